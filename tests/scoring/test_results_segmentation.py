"""The vessel map on its way out and back: the identical map, and so the identical score."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring.io.labels_in import read_labels
from scoring.io.results.origin import origin_of, sources_of
from scoring.io.results.segmentation import make_segmentation
from scoring.io.scored_series import ScoredSeries, score_again
from scoring.lesions import VESSELS, Labels
from scoring.report import Review, to_json
from tests.scoring.result_cases import BLOCKS, CONFIRMED

SHAPE = (6, 32, 32)
MakeCase = Callable[..., tuple[ScoredSeries, tuple[pydicom.Dataset, ...]]]


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory, make_case: MakeCase) -> Any:
    """A scored series with a map, and its evidence."""
    labels = np.zeros(SHAPE, dtype=np.uint8)
    labels[:, :16], labels[:, 16:] = VESSELS.index("LAD") + 1, VESSELS.index("RCA") + 1
    return make_case(tmp_path_factory.mktemp("case") / "slices", *BLOCKS, labels=Labels(labels))


def _written(scored: ScoredSeries, evidence: Any, path: Path) -> pydicom.Dataset:
    """Write the segmentation of a scored series and give it."""
    segmentation = make_segmentation(scored, sources_of(evidence), origin_of(scored.report, evidence, corrects=False))
    assert segmentation is not None
    segmentation.save_as(path)
    return segmentation


def _returned(scored: ScoredSeries, labels: Labels, evidence: Any, path: Path, review: Review | None = None) -> Labels:
    """Write a map and read it back; the score of both is the same to the last byte."""
    volume = scored.volume
    assert volume is not None
    first = score_again(scored, Labels(labels.vessels, "DICOM SEG (BINARY)", (), labels.cut), review)
    _written(first, evidence, path)
    read = read_labels(path, volume)
    assert to_json(first.report) == to_json(score_again(scored, read, review).report)
    return read


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_map_comes_back_as_it_was(case: Any, tmp_path: Path, data: st.DataObject) -> None:
    """Boxes of any vessels, with or without a cut across them: the identical map and cut, the identical score."""
    scored, evidence = case
    vessels, cut = np.zeros(SHAPE, dtype=np.uint8), np.zeros(SHAPE, dtype=np.bool_)
    corner = st.tuples(st.integers(0, 5), st.integers(0, 31), st.integers(0, 31))
    boxes = st.lists(st.tuples(st.integers(1, 5), corner, corner), max_size=5)
    for kind, one, other in data.draw(boxes):
        box = tuple(slice(min(pair), max(pair) + 1) for pair in zip(one, other, strict=True))
        if kind > len(VESSELS):
            cut[box] = True
        else:
            vessels[box] = kind
    labels = Labels(vessels, "", (), cut if cut.any() else None)
    read = _returned(scored, labels, evidence, tmp_path / "map.dcm")
    assert np.array_equal(vessels, read.vessels)
    assert (read.cut is None) == (not cut.any())
    assert read.cut is None or np.array_equal(cut, read.cut)


def test_a_map_without_a_pixel_is_a_map(case: Any, tmp_path: Path) -> None:
    """No calcium: an empty frame for each segment says that somebody looked; the score read back is 0, not none."""
    scored, evidence = case
    empty = Labels(np.zeros(SHAPE, dtype=np.uint8))
    read = _returned(scored, empty, evidence, tmp_path / "map.dcm")
    assert not read.vessels.any()
    again = score_again(scored, read, None).report
    assert again.score.total is not None
    assert (0.0, "0", "CAC-DRS A0/N0") == (again.score.total.agatston, again.score.shown, again.cac_drs)
    assert 4 == int(pydicom.dcmread(tmp_path / "map.dcm").NumberOfFrames)


def test_one_vessel_alone_keeps_the_other_segments(case: Any, tmp_path: Path) -> None:
    """Four segments always, so that an empty vessel is no missing vessel and earns no note."""
    scored, evidence = case
    vessels = np.zeros(SHAPE, dtype=np.uint8)
    vessels[4, 20:22, 20:22] = VESSELS.index("RCA") + 1
    assert () == _returned(scored, Labels(vessels), evidence, tmp_path / "map.dcm").notes
    segments = pydicom.dcmread(tmp_path / "map.dcm").SegmentSequence
    assert list(VESSELS) == [segment.SegmentLabel for segment in segments]


@pytest.mark.parametrize(
    ("origin", "review", "kind"),
    [
        ("proposed by rules", None, "AUTOMATIC"),
        ("DICOM SEG (BINARY)", None, "SEMIAUTOMATIC"),
        ("proposed by rules", CONFIRMED, "MANUAL"),
    ],
)
def test_the_segments_say_who_made_them(case: Any, tmp_path: Path, origin: str, review: Any, kind: str) -> None:
    """A proposal is automatic, a map nobody confirmed semiautomatic; what a person confirmed is theirs."""
    scored, evidence = case
    again = score_again(scored, Labels(scored.labels.vessels, origin), review)
    segments = _written(again, evidence, tmp_path / "map.dcm").SegmentSequence
    assert {kind} == {segment.SegmentAlgorithmType for segment in segments}


def test_only_a_map_of_calcium_calls_itself_plaque(case: Any, tmp_path: Path) -> None:
    """A map of whole territories is coded as the vessels; either way the vessel is the anatomic region."""
    scored, evidence = case
    territories = _written(scored, evidence, tmp_path / "map.dcm").SegmentSequence[1]
    calcium = np.where(scored.volume.hu >= 130, scored.labels.vessels, 0).astype(np.uint8)
    plaque = _written(score_again(scored, Labels(calcium), None), evidence, tmp_path / "plaque.dcm").SegmentSequence[1]
    assert ("59438005", "29483008") == (
        territories.SegmentedPropertyTypeCodeSequence[0].CodeValue,
        plaque.SegmentedPropertyTypeCodeSequence[0].CodeValue,
    )
    assert {"59438005"} == {one.AnatomicRegionSequence[0].CodeValue for one in (territories, plaque)}
    _returned(scored, Labels(calcium), evidence, tmp_path / "again.dcm")
