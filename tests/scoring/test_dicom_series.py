"""DICOM files in: the round trip, and every kind of wrong file named with its cure."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring.io.dicom_in import read_series
from scoring.io.errors import SeriesError
from scoring.io.labels_in import read_labels
from scoring.lesions import VESSELS
from scoring.score import Score, score_volume
from scoring.volume import Refusal, Volume

BLOCKS = [(1, 5, 2, 5, 2, 250.0), (2, 5, 2, 5, 3, 410.0), (4, 20, 2, 20, 2, 150.0)]  # 8 on LAD, 1 on RCA
Write = Callable[..., list[pydicom.Dataset]]


def _map(shape: tuple[int, int, int] = (6, 32, 32)) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """LAD in the upper left quarter, RCA in the lower right one."""
    labels = np.zeros(shape, dtype=np.uint8)
    labels[:, :16, :16] = VESSELS.index("LAD") + 1
    labels[:, 16:, 16:] = VESSELS.index("RCA") + 1
    return labels


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, write_series: Write, write_map: Callable[..., Any]) -> Path:
    """A folder with a good series in `slices` and its map beside it; tests copy before they spoil."""
    folder = tmp_path_factory.mktemp("good")
    sources = write_series(folder / "slices", *BLOCKS)
    write_map(folder / "labels.seg.dcm", sources, _map())
    return folder


@pytest.fixture
def spoiled(good: Path, tmp_path: Path) -> Path:
    """A copy of the good folder that a test may spoil."""
    return Path(shutil.copytree(good, tmp_path / "copy"))


def _volume(folder: Path) -> Volume:
    """Read a series that must not be refused."""
    volume = read_series(folder)
    assert isinstance(volume, Volume), volume
    return volume


def test_a_series_survives_the_round_trip(good: Path) -> None:
    """What pydicom wrote is read back in HU, in order, with its geometry."""
    volume = _volume(good / "slices")
    assert (6, 32, 32) == volume.hu.shape
    assert (0.5, 0.5, 3.0, 120.0, 3.0) == (
        volume.row_mm,
        volume.column_mm,
        volume.increment_mm,
        volume.kvp,
        volume.thickness_mm,
    )
    assert 410.0 == volume.hu[2, 5, 5]
    assert (-50.0, -60.0, 106.0) == volume.to_patient_mm(2, 0, 0)


def test_a_coded_map_gives_each_lesion_its_vessel(good: Path) -> None:
    """Segments are known by their SNOMED codes, and the score per vessel is that on paper."""
    volume = _volume(good / "slices")
    labels = read_labels(good / "labels.seg.dcm", volume)
    assert np.array_equal(_map(), labels.vessels)
    score = score_volume(volume, labels)
    assert isinstance(score, Score)
    assert score.agatston == {"total": 9.0, "LM": 0.0, "LAD": 8.0, "LCX": 0.0, "RCA": 1.0}
    assert score.cac_drs == "CAC-DRS A1/N2"


def test_a_map_that_is_only_labelled_is_read_too(
    spoiled: Path, write_series: Write, write_map: Callable[..., Any]
) -> None:
    """Without a vessel's code the segment's label decides; a vessel without pixels is simply empty."""
    sources = write_series(spoiled / "again", *BLOCKS)
    write_map(spoiled / "labelled.dcm", sources, _map(), coded=False)
    volume = _volume(spoiled / "again")
    assert np.array_equal(_map(), read_labels(spoiled / "labelled.dcm", volume).vessels)


def test_the_names_and_numbers_of_the_files_play_no_part(spoiled: Path) -> None:
    """Files renamed in reverse, instance numbers scrambled: the same volume."""
    before = _volume(spoiled / "slices")
    for number, path in enumerate(sorted((spoiled / "slices").iterdir())):
        dataset = pydicom.dcmread(path)
        dataset.InstanceNumber = (number * 5) % 7
        dataset.save_as(spoiled / "slices" / f"a{9 - number}")
        path.unlink()
    assert np.array_equal(before.hu, _volume(spoiled / "slices").hu)


def test_what_is_no_slice_is_passed_over_with_a_note(spoiled: Path) -> None:
    """The segmentation, our own reports and a localizer may lie in the same folder."""
    slices = spoiled / "slices"
    shutil.copy(spoiled / "labels.seg.dcm", slices)
    (slices / "score.json").write_text("{}")
    scout = pydicom.dcmread(slices / "slice000.dcm")
    scout.ImageType, scout.SeriesInstanceUID = ["ORIGINAL", "PRIMARY", "LOCALIZER"], "1.2.3.4"
    scout.save_as(slices / "scout.dcm")
    volume = _volume(slices)
    assert (6, 32, 32) == volume.hu.shape
    assert volume.notes == ("3 file(s) that are no slices passed over: labels.seg.dcm, score.json, scout.dcm.",)


def test_a_copied_file_is_dropped_with_a_note(spoiled: Path) -> None:
    """The same bytes under two names are one slice."""
    shutil.copy(spoiled / "slices" / "slice002.dcm", spoiled / "slices" / "copy.dcm")
    volume = _volume(spoiled / "slices")
    assert "byte-identical" in volume.notes[0]
    assert (6, 32, 32) == volume.hu.shape


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"RescaleSlope": None}, "No rescale"),
        ({"Modality": "MR"}, "Not CT but MR"),
        ({"RescaleType": "OD"}, "not HU"),
        ({"SeriesInstanceUID": "1.2.3.4.5"}, "second series"),
        ({"KVP": 100}, "another kV"),
        ({"PixelSpacing": [0.6, 0.6]}, "pixel spacing"),
        ({"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "Not axial"),
        ({"SOPInstanceUID": "1.2.3.4.6"}, "Two different images"),
    ],
)
def test_one_foreign_slice_refuses_the_series(spoiled: Path, attributes: dict[str, Any], words: str) -> None:
    """A slice that differs is no file error but a refusal with a reason."""
    path = spoiled / "slices" / "slice003.dcm"
    dataset = pydicom.dcmread(path)
    for name, value in attributes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path.with_name("zz.dcm") if "SOPInstanceUID" in attributes else path)
    refused = read_series(spoiled / "slices")
    assert isinstance(refused, Refusal)
    assert any(words in reason for reason in refused.reasons)


def test_a_missing_file_refuses_the_series(spoiled: Path) -> None:
    """One file deleted is one gap."""
    (spoiled / "slices" / "slice003.dcm").unlink()
    refused = read_series(spoiled / "slices")
    assert isinstance(refused, Refusal)
    assert "Slices are missing" in refused.reasons[0]


@pytest.mark.parametrize("size", [0, 1, 100, 200, 500, -1, -100])
def test_a_truncated_file_is_named(spoiled: Path, size: int) -> None:
    """Wherever the file was cut, its name and a cure stand in one sentence."""
    path = spoiled / "slices" / "slice003.dcm"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(SeriesError, match=r"slice003\.dcm.*export it again"):
        read_series(spoiled / "slices")


def test_a_file_that_is_not_dicom_is_named(spoiled: Path) -> None:
    """Garbage among the slices is neither passed over nor scored."""
    (spoiled / "slices" / "zzz.dcm").write_bytes(b"garbage" * 100)
    with pytest.raises(SeriesError, match=r"zzz\.dcm is not DICOM.*take it out"):
        read_series(spoiled / "slices")


@pytest.mark.parametrize(
    "attributes",
    [
        {"PixelSpacing": None},
        {"PixelSpacing": [0, 0.5]},
        {"ImagePositionPatient": None},
        {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]},
        {"PixelData": b"\0\0"},
        {"SamplesPerPixel": 3},
        {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2.1"},
    ],
)
def test_an_impossible_slice_is_named(spoiled: Path, attributes: dict[str, Any]) -> None:
    """A CT slice without a place, a direction or its pixels is an error of that file."""
    path = spoiled / "slices" / "slice003.dcm"
    dataset = pydicom.dcmread(path)
    for name, value in attributes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path)
    with pytest.raises(SeriesError, match=r"slice003\.dcm"):
        read_series(spoiled / "slices")


def test_a_folder_without_slices_is_an_error(tmp_path: Path) -> None:
    """Missing, empty, and holding something else only: each says what to give."""
    with pytest.raises(SeriesError, match="is not there"):
        read_series(tmp_path / "nowhere")
    with pytest.raises(SeriesError, match="no CT image"):
        read_series(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(SeriesError, match=r"no CT image \(passed over: notes\.txt\)"):
        read_series(tmp_path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_never_raise_anything_else(good: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Bytes changed at random: a volume, a refusal or a typed error, nothing else, and never a patient's name."""
    content = bytearray((good / "slices" / "slice003.dcm").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, 1500))] = data.draw(st.integers(0, 255))
    folder = tmp_path / "damaged"
    shutil.copytree(good / "slices", folder, dirs_exist_ok=True)
    (folder / "slice003.dcm").write_bytes(content)
    try:
        outcome = read_series(folder)
    except SeriesError as error:
        assert "Secret" not in str(error)
        return
    assert isinstance(outcome, Volume | Refusal)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"FrameOfReferenceUID": "1.2.3"}, "another frame of reference"),
        ({"Rows": 16}, "rows or columns"),
        ({"SegmentationType": "FRACTIONAL"}, "no BINARY DICOM segmentation"),
        ({"PixelData": b"\0\0"}, "cannot be read as a segmentation"),
        ({"PerFrameFunctionalGroupsSequence": []}, "describes 0"),
        ({"SegmentSequence": []}, "no coronary vessel"),
    ],
)
def test_a_map_that_does_not_fit_is_an_error(spoiled: Path, attributes: dict[str, Any], words: str) -> None:
    """A map of another scan, or no map at all, is never stretched or half used."""
    path = spoiled / "labels.seg.dcm"
    dataset = pydicom.dcmread(path)
    for name, value in attributes.items():
        setattr(dataset, name, value)
    dataset.save_as(path)
    with pytest.raises(SeriesError, match=words):
        read_labels(path, _volume(spoiled / "slices"))


def test_a_map_frame_without_a_slice_is_an_error(spoiled: Path) -> None:
    """A frame 1 mm beside its slice belongs to another scan."""
    path = spoiled / "labels.seg.dcm"
    dataset = pydicom.dcmread(path)
    position = dataset.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence[0]
    position.ImagePositionPatient = [-50, -60, float(position.ImagePositionPatient[2]) + 1]
    dataset.save_as(path)
    with pytest.raises(SeriesError, match="where the series has no slice"):
        read_labels(path, _volume(spoiled / "slices"))


def test_a_map_that_gives_a_pixel_two_vessels_is_an_error(spoiled: Path) -> None:
    """Overlapping segments have no answer; the territories must be disjoint."""
    path = spoiled / "labels.seg.dcm"
    dataset = pydicom.dcmread(path)
    groups = dataset.PerFrameFunctionalGroupsSequence
    first = groups[0].PlanePositionSequence[0].ImagePositionPatient
    number = groups[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber
    twin = next(g for g in groups if g.SegmentIdentificationSequence[0].ReferencedSegmentNumber != number)
    twin.PlanePositionSequence[0].ImagePositionPatient = first
    frames = np.asarray(dataset.pixel_array).copy()
    frames[:] = 1
    dataset.PixelData = np.packbits(frames.ravel(), bitorder="little").tobytes()
    dataset.save_as(path)
    with pytest.raises(SeriesError, match="two vessels"):
        read_labels(path, _volume(spoiled / "slices"))


def test_a_map_that_is_missing_or_a_slice_is_an_error(good: Path) -> None:
    """A wrong path and a wrong kind of file are told apart."""
    volume = _volume(good / "slices")
    with pytest.raises(SeriesError, match="is not there"):
        read_labels(good / "nothing.dcm", volume)
    with pytest.raises(SeriesError, match="no BINARY DICOM segmentation"):
        read_labels(good / "slices" / "slice000.dcm", volume)


def test_a_segment_that_is_no_vessel_is_passed_over_with_a_note(spoiled: Path) -> None:
    """A map may also hold the aorta; the vessel that then has no segment is named."""
    path = spoiled / "labels.seg.dcm"
    dataset = pydicom.dcmread(path)
    dataset.SegmentSequence[3].SegmentedPropertyTypeCodeSequence[0].CodeValue = "15825003"
    dataset.save_as(path)
    labels = read_labels(path, _volume(spoiled / "slices"))
    assert {0, 2} == set(np.unique(labels.vessels))
    assert any("Segment 4" in note for note in labels.notes)
    assert any("no segment for RCA" in note for note in labels.notes)


def test_a_full_series_is_read_and_scored_in_seconds(
    tmp_path: Path, write_series: Write, record_property: Callable[[str, object], None]
) -> None:
    """48 slices of 512 x 512: about half a second alone on a core; the bound leaves room for a busy machine."""
    blocks = [(index, 100, 9, 100 + 5 * index, 9, 150.0 + 8 * index) for index in range(48)]
    write_series(tmp_path / "slices", *blocks, slices=48, side=512)
    began = time.perf_counter()
    volume = _volume(tmp_path / "slices")
    score = score_volume(volume, None)
    seconds = time.perf_counter() - began
    record_property("read_and_scored_s", seconds)
    assert isinstance(score, Score)
    assert (48, 512, 512) == volume.hu.shape
    assert seconds < 5.0
