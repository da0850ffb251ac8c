"""What goes beside the slices: ECG, dose report, enhanced object. They agree with them, and validators take them."""

import shutil
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from scanner_bridge.plan import plan_from
from scanner_bridge.settings import PlanSettings
from scoring.io.scored_series import score_series
from scoring.settings import ScoreSettings
from simulators.io.dicom.study import StudyIdentity
from simulators.io.dicom.waveform import write_ecg
from simulators.io.play_virtual import study
from simulators.io.scenarios import load_scenario
from simulators.scenario import Anatomy, Scanner, Scenario

STORY = load_scenario("steady")
SMALL = Scanner(matrix=128, scout=True, reference_dlp_mgycm=100.0)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Run one whole scan with scouts; give its folder and report."""
    out = tmp_path_factory.mktemp("scan")
    story = Scenario(name="small", story="Small.", scanner=SMALL, anatomy=Anatomy(lesions={"LAD": 1}))
    return out, study(story, out, lambda _: None, enhanced=True)


def _seconds(text: str) -> float:
    return (datetime.strptime(text, "%Y%m%d%H%M%S.%f") - datetime(2000, 1, 1)) / timedelta(seconds=1)


def _slices(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted((folder / "slices").glob("*.dcm"))]


def _marks(ecg: pydicom.Dataset) -> list[float]:
    """Give the instants of the R marks, s after patient time 0."""
    began = _seconds(ecg.AcquisitionDateTime)
    marks = [one for one in ecg.WaveformAnnotationSequence if one.UnformattedTextValue == "R"]
    return [began + float(one.ReferencedTimeOffsets) / 1e3 for one in marks]


def test_r_mark_and_delay_give_the_time_of_the_slice(scan: tuple[Path, dict[str, Any]]) -> None:
    """Every slice began its trigger time after an R mark of the ECG, within 5 ms, in one frame of synchronization."""
    folder, _ = scan
    ecg, slices = pydicom.dcmread(folder / "ecg.dcm"), _slices(folder)
    marks = np.array(_marks(ecg))
    assert len(marks) > 5
    for one in slices:
        assert ecg.SynchronizationFrameOfReferenceUID == one.SynchronizationFrameOfReferenceUID
        expected_s = _seconds(one.AcquisitionDateTime) - float(one.TriggerTime) / 1e3
        assert 0.0 == pytest.approx(float(np.min(np.abs(marks - expected_s))), abs=0.005)
    assert ecg.StudyInstanceUID == slices[0].StudyInstanceUID


def test_the_marks_lie_on_the_r_peaks(scan: tuple[Path, dict[str, Any]]) -> None:
    """Lead II is within 30 ms of a mark at its largest of each heart beat."""
    folder, _ = scan
    ecg = pydicom.dcmread(folder / "ecg.dcm")
    samples, (group,) = ecg.waveform_array(0), ecg.WaveformSequence
    leads = [one.ChannelSourceSequence[0].CodeMeaning for one in group.ChannelDefinitionSequence]
    assert "1.2.840.10008.5.1.4.1.1.9.1.2" == ecg.SOPClassUID
    lead = np.abs(samples[:, leads.index("Lead II")])
    rate_hz = float(group.SamplingFrequency)
    for mark_s in _marks(ecg)[1:-1]:
        at = round((mark_s - _seconds(ecg.AcquisitionDateTime)) * rate_hz)
        around = lead[max(at - round(0.2 * rate_hz), 0) : at + round(0.2 * rate_hz)]
        assert 0.2 == pytest.approx(int(np.argmax(around)) / rate_hz, abs=0.03)


_TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", *(f"V{n}" for n in range(1, 7)))
LEADS = {
    "three leads at 500 Hz": (("I", "II", "V1"), 500.0, "1.2.840.10008.5.1.4.1.1.9.1.2"),
    "twelve leads": (_TWELVE, 500.0, "1.2.840.10008.5.1.4.1.1.9.1.1"),
    "one lead at 180 Hz": (("II",), 180.0, "1.2.840.10008.5.1.4.1.1.9.1.3"),
}


@pytest.mark.parametrize("name", LEADS)
def test_the_class_of_an_ecg_follows_leads_and_rate(name: str, tmp_path: Path) -> None:
    """Twelve leads are a 12-Lead ECG, fewer a General one, below 200 Hz an Ambulatory one; samples round-trip."""
    leads, rate_hz, sop_class = LEADS[name]
    samples = np.random.default_rng(1).integers(-3000, 3000, (900, len(leads))).astype(np.float64)
    identity = StudyIdentity(plan_from(PlanSettings()), 1)
    write_ecg(tmp_path / "e.dcm", identity, samples, leads, rate_hz, first_at_s=3.0, r_at_s=[2.0, 3.5, 99.0])
    ecg = pydicom.dcmread(tmp_path / "e.dcm")
    assert sop_class == ecg.SOPClassUID
    assert np.array_equal(samples, ecg.waveform_array(0))
    assert [3.5] == pytest.approx(_marks(ecg))
    _validate(tmp_path / "e.dcm")


def _items(dataset: pydicom.Dataset, meaning: str) -> list[pydicom.Dataset]:
    """Find all content items of a concept."""
    found = []
    for item in dataset.get("ContentSequence", ()):
        if item.get("ConceptNameCodeSequence") and item.ConceptNameCodeSequence[0].CodeMeaning == meaning:
            found.append(item)
        found += _items(item, meaning)
    return found


def _numbers(dataset: pydicom.Dataset, meaning: str) -> list[float]:
    return [float(item.MeasuredValueSequence[0].NumericValue) for item in _items(dataset, meaning)]


def test_the_dose_report_is_the_dose_that_was_counted(scan: tuple[Path, dict[str, Any]]) -> None:
    """Two scouts and one event for the whole series; their DLP sum to the total, which is the report's."""
    folder, report = scan
    dose = pydicom.dcmread(folder / "dose.dcm")
    kinds = [item.ConceptCodeSequence[0].CodeMeaning for item in _items(dose, "CT Acquisition Type")]
    assert ["Constant Angle Acquisition"] * 2 + ["Sequenced Acquisition"] == kinds
    total = report["dose"]["dlp_mgycm"]
    assert [total] == pytest.approx(_numbers(dose, "CT Dose Length Product Total"))
    assert total == pytest.approx(sum(_numbers(dose, "DLP")))
    assert report["dose"]["ctdivol_mgy"] == pytest.approx(_numbers(dose, "Mean CTDIvol")[-1])
    assert [report["dose"]["effective_msv"]] == pytest.approx(_numbers(dose, "Effective Dose"))
    assert [0.014] == _numbers(dose, "Effective Dose Conversion Factor")
    assert report["dose"]["beam_on_ms"] / 1e3 == pytest.approx(_numbers(dose, "Exposure Time")[-1])
    events = [item.UID for item in _items(dose, "Irradiation Event UID")]
    assert 3 == len(set(events))
    assert {events[-1]} == {one.IrradiationEventUID for one in _slices(folder)}


def test_the_enhanced_object_holds_the_slices(scan: tuple[Path, dict[str, Any]]) -> None:
    """Same pixels, places, instants and phases, frame by frame; and what the gate planned beside what came."""
    folder, _ = scan
    enhanced, slices = pydicom.dcmread(folder / "enhanced.dcm"), _slices(folder)
    assert len(slices) == int(enhanced.NumberOfFrames)
    assert np.array_equal(np.stack([one.pixel_array for one in slices]), enhanced.pixel_array)
    for one, frame in zip(slices, enhanced.PerFrameFunctionalGroupsSequence, strict=True):
        assert one.ImagePositionPatient == frame.PlanePositionSequence[0].ImagePositionPatient
        content, beat = frame.FrameContentSequence[0], frame.CardiacSynchronizationSequence[0]
        assert one.AcquisitionDateTime == content.FrameAcquisitionDateTime
        assert float(one.NominalPercentageOfCardiacPhase) == beat.NominalPercentageOfCardiacPhase
        half_ms = content.FrameAcquisitionDuration / 2
        assert float(one.TriggerTime) + half_ms == pytest.approx(beat.NominalCardiacTriggerDelayTime, abs=0.002)
        assert beat.NominalCardiacTriggerDelayTime == pytest.approx(beat.ActualCardiacTriggerDelayTime, abs=5.0)
    assert "PROSPECTIVE" == enhanced.CardiacSynchronizationTechnique


def test_the_enhanced_object_scores_as_the_slices_to_the_last_bit(scan: tuple[Path, dict[str, Any]]) -> None:
    """One file of many frames, or many files of one: the same numbers, lesions and classes."""
    folder, _ = scan
    one, other = (
        score_series(folder / name, folder / "labels.seg.dcm", folder / "scan.json", ScoreSettings()).report
        for name in ("slices", "enhanced.dcm")
    )
    assert one.score.total is not None
    assert one.score == other.score
    assert one.lesions == other.lesions
    assert one.candidates == other.candidates
    assert (one.category, one.cac_drs, one.notes) == (other.category, other.cac_drs, other.notes)


def test_the_same_scan_is_the_same_bytes(scan: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """A seed gives the same objects again, and a scan without the wish leaves no enhanced one behind."""
    folder, _ = scan
    story = Scenario(name="small", story="Small.", scanner=SMALL, anatomy=Anatomy(lesions={"LAD": 1}))
    study(story, tmp_path, lambda _: None, enhanced=True)
    for name in ("ecg.dcm", "dose.dcm", "enhanced.dcm", "slices/slice-0001.dcm"):
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()
    study(story, tmp_path, lambda _: None)
    assert not (tmp_path / "enhanced.dcm").exists()


def _validate(path: Path) -> None:
    """Let dciodvfy look, where it is installed."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy (dicom3tools) is not installed")
    run = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    lines = (run.stdout + run.stderr).splitlines()
    assert lines
    assert not [line for line in lines if line.startswith(("Error", "Warning", "Abort"))]


@pytest.mark.parametrize("name", ["ecg.dcm", "dose.dcm", "enhanced.dcm", "labels.seg.dcm"])
def test_dciodvfy_has_nothing_to_say(name: str, scan: tuple[Path, dict[str, Any]]) -> None:
    """No error and no warning."""
    _validate(scan[0] / name)


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dsrdump (dcmtk) is not installed")
def test_dsrdump_reads_the_dose_report(scan: tuple[Path, dict[str, Any]]) -> None:
    """The tree is read, with the total in it."""
    run = subprocess.run(["dsrdump", str(scan[0] / "dose.dcm")], capture_output=True, text=True, check=True)
    assert "X-Ray Radiation Dose SR Document" in run.stdout
    assert "CT Dose Length Product Total" in run.stdout


@pytest.mark.skipif(shutil.which("dcm2pnm") is None, reason="dcm2pnm (dcmtk) is not installed")
def test_a_viewers_library_shows_it_the_right_way_up(scan: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    """The picture is the slice's pixels; sternum above, spine below, and the heart and the aorta to the right."""
    path = scan[0] / "slices" / "slice-0020.dcm"
    picture = tmp_path / "slice.pgm"
    window = ["+Ww", "100", "1000"]
    subprocess.run(["dcm2pnm", *window, str(path), str(picture)], check=True, capture_output=True)
    shown = _read_pgm(picture)
    dataset = pydicom.dcmread(path)
    hu = dataset.pixel_array.astype(float) - 1024.0
    expected = np.clip((hu - 99.5) / 999.0 + 0.5, 0.0, 1.0) * 255.0
    assert expected == pytest.approx(shown.astype(float), abs=1.5)
    x0, y0 = (float(one) for one in dataset.ImagePositionPatient[:2])
    pixel = float(dataset.PixelSpacing[0])
    bone = shown > 0.65 * 255
    rows, columns = np.nonzero(bone)
    assert rows.min() * pixel + y0 < -60.0  # a sternum or rib in front, at the top
    assert rows.max() * pixel + y0 > 60.0  # the spine behind, at the bottom
    middle = round(-y0 / pixel)
    soft = shown[middle - 15 : middle] > 0.35 * 255
    at_x = x0 + pixel * np.nonzero(soft)[1]
    inside = at_x[np.abs(at_x) < 90.0]
    assert float(inside.mean()) > 5.0  # the heart lies to the patient's left, the picture's right
    assert columns.size > 0


def _read_pgm(path: Path) -> np.ndarray:
    """Read a binary PGM of 8 bits."""
    data = path.read_bytes()
    head: list[bytes] = []
    rest = data
    while len(head) < 4:
        line, _, rest = rest.partition(b"\n")
        if not line.startswith(b"#"):
            head += line.split()
    width, height = int(head[1]), int(head[2])
    return np.frombuffer(rest, np.uint8, width * height).reshape(height, width)
