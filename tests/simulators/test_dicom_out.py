"""Slices and territories as DICOM: what every reader needs, the cardiac tags, and the same bytes for the same seed."""

import dataclasses
import shutil
import subprocess
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from scanner_bridge.plan import plan_from
from scanner_bridge.settings import PlanSettings
from scoring.io.dicom_in import read_series
from scoring.io.labels_in import read_labels
from scoring.volume import Volume
from simulators.anatomy import make_patient
from simulators.exposure import Shot
from simulators.io.dicom.slices import CardiacTags, write_labels, write_series
from simulators.motion import VESSELS, MotionClock, RestOffsets
from simulators.scenario import Scenario
from simulators.study import StudyVolume, acquire
from simulators.territories import Labels, territories

PLAN = msgspec.structs.replace(plan_from(PlanSettings()), matrix=64)
CLOCK = MotionClock(np.arange(40), RestOffsets())
PATIENT = make_patient(Scenario(name="test", story=""), 1)
TAGS = CardiacTags(
    r_at_s=20.0, trigger_time_ms=652.0, nominal_interval_ms=1003.4, heart_rate_bpm=59.8, phase_percent=74.8
)


@pytest.fixture(scope="module")
def volume() -> StudyVolume:
    """Give a coarse study of two slabs."""
    shots = [Shot(step, PLAN.table_mm[step], 20.652 + 2 * step, 30.0) for step in (1, 2)]
    return acquire(PATIENT, CLOCK, shots, PLAN, noise_seed=1)


@pytest.fixture(scope="module")
def labels(volume: StudyVolume) -> Labels:
    """Give its territories."""
    return territories(PATIENT, CLOCK, volume)


def write(folder: Path, volume: StudyVolume, labels: Labels) -> list[Dataset]:
    """Write slices and labels."""
    folder.mkdir(exist_ok=True)
    sources = write_series(folder, volume, [TAGS] * 24, seed=5, began=datetime(2026, 1, 2, 3, 4, 5))
    write_labels(folder.with_suffix(".seg.dcm"), labels, sources)
    return sources


def test_slices_carry_their_beat(tmp_path: Path, volume: StudyVolume, labels: Labels) -> None:
    """Trigger time, RR, rate and phase, in the standard's own attributes."""
    write(tmp_path / "series", volume, labels)
    dataset = pydicom.dcmread(tmp_path / "series" / "slice-0013.dcm")
    assert 652.0 == float(dataset[0x0018, 0x1060].value)
    assert 1003 == int(dataset[0x0018, 0x1062].value)
    assert 60 == int(dataset[0x0018, 0x1088].value)
    assert pytest.approx(74.8) == float(dataset[0x0020, 0x9241].value)
    assert 3 == dataset.AcquisitionNumber


def test_slices_say_what_they_are(tmp_path: Path, volume: StudyVolume, labels: Labels) -> None:
    """CT, axial, head first supine, columns to the left; simulated; a pseudonym and nobody's birthday."""
    dataset = write(tmp_path / "series", volume, labels)[0]
    assert "1.2.840.10008.5.1.4.1.1.2" == dataset.SOPClassUID
    assert [1, 0, 0, 0, 1, 0] == list(dataset.ImageOrientationPatient)
    assert "HFS" == dataset.PatientPosition
    assert pytest.approx([volume.x0_mm, volume.y0_mm, -34.5]) == list(dataset.ImagePositionPatient)
    assert 120 == dataset.KVP
    assert "simulated" in dataset.ManufacturerModelName
    assert "SIMULATED" in dataset.ImageComments
    assert PLAN.patient == dataset.PatientID
    assert not dataset.PatientBirthDate


def test_two_sources_expose_with_the_current_of_both(tmp_path: Path, volume: StudyVolume, labels: Labels) -> None:
    """The current is that of each tube, the exposure in mAs that of both."""
    two = dataclasses.replace(volume, plan=msgspec.structs.replace(volume.plan, sources=2))
    one, both = (write(tmp_path / name, study, labels)[0] for name, study in (("one", volume), ("two", two)))
    assert one.XRayTubeCurrent == both.XRayTubeCurrent
    assert 2 * float(one.Exposure) == pytest.approx(float(both.Exposure), abs=1.0)


def test_the_same_study_is_the_same_bytes(tmp_path: Path, volume: StudyVolume, labels: Labels) -> None:
    """Every file and UID is derived: written twice they are equal; another seed has other UIDs."""
    one = write(tmp_path / "one", volume, labels)
    write(tmp_path / "two", volume, labels)
    names = [path.name for path in (tmp_path / "one").iterdir()]
    assert 24 == len(names)
    assert all((tmp_path / "one" / n).read_bytes() == (tmp_path / "two" / n).read_bytes() for n in names)
    assert (tmp_path / "one.seg.dcm").read_bytes() == (tmp_path / "two.seg.dcm").read_bytes()
    (tmp_path / "other").mkdir()
    other = write_series(tmp_path / "other", volume, [TAGS] * 24, seed=6)
    assert one[0].SeriesInstanceUID != other[0].SeriesInstanceUID
    assert 24 == len({dataset.SOPInstanceUID for dataset in one})


def test_the_scorer_reads_back_what_was_written(tmp_path: Path, volume: StudyVolume, labels: Labels) -> None:
    """HU to half a unit (stored whole), positions, and every pixel of every territory."""
    write(tmp_path / "series", volume, labels)
    read = read_series(tmp_path / "series")
    assert isinstance(read, Volume)
    assert np.abs(read.hu - np.clip(volume.hu, -1024, 3071)).max() <= 0.5
    assert np.allclose(volume.z_mm, read.positions_mm)
    assert np.array_equal(labels, read_labels(tmp_path / "series.seg.dcm", read).vessels)


def test_the_segments_are_coded(tmp_path: Path, volume: StudyVolume, labels: Labels) -> None:
    """Four segments with their SNOMED codes, also when an artery has no pixel."""
    write(tmp_path / "series", volume, np.where(labels == 1, 0, labels).astype(np.uint8))
    segments = pydicom.dcmread(tmp_path / "series.seg.dcm").SegmentSequence
    assert list(VESSELS) == [segment.SegmentLabel for segment in segments]
    codes = [segment.SegmentedPropertyTypeCodeSequence[0].CodeValue for segment in segments]
    assert ["3227004", "59438005", "57396003", "13647002"] == codes


def test_every_slice_needs_its_beat(tmp_path: Path, volume: StudyVolume) -> None:
    """Tags for fewer slices than there are, are refused; nothing is written."""
    with pytest.raises(ValueError, match="shorter"):
        write_series(tmp_path, volume, [TAGS] * 23, seed=5)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
def test_dciodvfy_finds_no_error(tmp_path: Path, volume: StudyVolume, labels: Labels) -> None:
    """The validator of dicom3tools reports no error; its only warnings name the four cardiac attributes."""
    write(tmp_path / "series", volume, labels)
    for path in (tmp_path / "series" / "slice-0001.dcm", tmp_path / "series.seg.dcm"):
        run = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        lines = (run.stdout + run.stderr).splitlines()
        assert not [line for line in lines if line.startswith("Error")]
        warnings = [line for line in lines if line.startswith("Warning")]
        assert all("not present in standard DICOM IOD" in line for line in warnings)
