"""Small series whose answers can be worked out on paper, as arrays, as slice records and as DICOM files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset

from scoring.lesions import VESSELS, Labels
from scoring.volume import SliceRecord, Volume, axial_volume
from tests.scoring import dicom_files
from tests.scoring.dicom_files import Block, painted


@pytest.fixture(scope="session")
def make_volume() -> Callable[..., Volume]:
    """Make a volume of blocks: pixels of 0.25 mm2 and 3 mm slices, so that one pixel of weight 1 scores 0.25."""

    def make(
        *blocks: Block,
        slices: int = 4,
        side: int = 24,
        row_mm: float = 0.5,
        column_mm: float = 0.5,
        increment_mm: float = 3.0,
        background: float = 40.0,
        **more: Any,
    ) -> Volume:
        hu = painted(blocks, (slices, side, side), background)
        z_mm = [10.0 + increment_mm * index for index in range(slices)]
        return axial_volume(hu, row_mm=row_mm, column_mm=column_mm, z_mm=z_mm, **more)

    return make


@pytest.fixture(scope="session")
def whole_map() -> Callable[..., Labels]:
    """Make a map that gives the whole volume to one vessel."""

    def make(volume: Volume, vessel: str = "LAD") -> Labels:
        value = [*VESSELS].index(vessel) + 1  # type: ignore[arg-type]  # a plain text is easier in a test
        return Labels(np.full(volume.hu.shape, value, dtype=np.uint8))

    return make


@pytest.fixture(scope="session")
def make_records() -> Callable[..., list[SliceRecord]]:
    """Make the records of a plain series of blocks; any field can be set for single slices by `changes[index]`."""

    def make(
        *blocks: Block, slices: int = 6, changes: dict[int, dict[str, Any]] | None = None, **common: Any
    ) -> list[SliceRecord]:
        hu = painted(blocks, (slices, 16, 16), 40.0)
        records = []
        for index in range(slices):
            fields: dict[str, Any] = {
                "name": f"{index:03d}.dcm",
                "digest": f"digest {index}",
                "series_uid": "1.2.3",
                "frame_uid": "1.2.4",
                "stored": np.rint(hu[index] + 1024).astype(np.int16),
                "slope": 1.0,
                "intercept": -1024.0,
                "row_mm": 0.5,
                "column_mm": 0.5,
                "orientation": (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
                "position_mm": (-50.0, -60.0, 100.0 + 3.0 * index),
            }
            records.append(SliceRecord(**{**fields, **common, **(changes or {}).get(index, {})}))
        return records

    return make


@pytest.fixture(scope="session")
def ct_slice() -> Callable[..., FileDataset]:
    """Make one CT image as pydicom data; any attribute can be set by keyword, None removes it."""
    return dicom_files.ct_slice


@pytest.fixture(scope="session")
def write_series() -> Callable[..., list[pydicom.Dataset]]:
    """Write the blocks of a series as DICOM files into a folder and return the data sets."""

    def write(
        folder: Path, *blocks: Block, slices: int = 6, side: int = 32, **attributes: Any
    ) -> list[pydicom.Dataset]:
        folder.mkdir(parents=True, exist_ok=True)
        hu = painted(blocks, (slices, side, side), 40.0)
        written: list[pydicom.Dataset] = []
        for index in range(slices):
            dataset = dicom_files.ct_slice(hu[index], 100.0 + 3.0 * index, index + 1, **attributes)
            dataset.save_as(folder / f"slice{index:03d}.dcm", enforce_file_format=True)
            written.append(dataset)
        return written

    return write


@pytest.fixture(scope="session")
def write_map() -> Callable[..., Any]:
    """Write a vessel map [slice, row, column] of 0 to 4 as a BINARY DICOM SEG, coded or only labelled."""
    return dicom_files.write_map


@pytest.fixture(scope="session")
def make_case(write_series: Callable[..., list[pydicom.Dataset]]) -> Callable[..., tuple[Any, tuple[Any, ...]]]:
    """Score a series on disk with a map [slice, row, column]; gives the scored series and the evidence."""
    from scoring.io.dicom_in import read_series
    from scoring.io.evidence import read_evidence
    from scoring.io.scored_series import ScoredSeries, score_again
    from scoring.quality import NOT_MEASURED, quality_of
    from scoring.report import Review, make_report
    from scoring.score import score_volume
    from scoring.settings import ScoreSettings

    def make(
        folder: Path,
        *blocks: Block,
        labels: Labels | None = None,
        review: Review | None = None,
        settings: ScoreSettings | None = None,
        **attributes: Any,
    ) -> tuple[ScoredSeries, tuple[Any, ...]]:
        write_series(folder, *blocks, **attributes)
        volume = read_series(folder)
        assert isinstance(volume, Volume)
        rules = settings or ScoreSettings()
        outcome = score_volume(volume, labels, rules)
        quality = quality_of(volume, NOT_MEASURED, None, rules)
        report = make_report(outcome, volume, labels, None, rules, quality=quality, version="1")
        scored = ScoredSeries(report, outcome, volume, labels)
        if review is not None and labels is not None:
            scored = score_again(scored, labels, review)
        return scored, read_evidence(folder, volume)

    return make
