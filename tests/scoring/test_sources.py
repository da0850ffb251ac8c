"""What a path may be: a folder, folders in one, a multi-frame file, a zip; and what is refused before it hurts."""

import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLosslessSV1, JPEGLSLossless, generate_uid

from scoring.io import sources
from scoring.io.dicom_file import MAX_INFLATED_BYTES
from scoring.io.dicom_in import read_series
from scoring.io.errors import SeriesError
from scoring.volume import Refusal, Volume

Writer = Callable[..., list[Dataset]]
BLOCK = (2, 5, 2, 5, 2, 150.0)


def _volume(source: Path, **more: Any) -> Volume:
    read = read_series(source, **more)
    assert isinstance(read, Volume), read
    return read


@pytest.fixture
def plain(tmp_path: Path, write_series: Writer) -> Path:
    """Write a plain series of six slices."""
    write_series(tmp_path / "plain", BLOCK)
    return tmp_path / "plain"


def test_an_export_with_folders_in_it_is_one_series(plain: Path, tmp_path: Path) -> None:
    """A DICOMDIR and folders in folders: the slices are found, and scored as those of a plain folder."""
    for index, path in enumerate(sorted(plain.iterdir())):
        target = tmp_path / "export" / "A" / f"S{index % 2}" / path.stem
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (tmp_path / "export" / "DICOMDIR").write_bytes(b"an index that nobody needs")
    assert np.array_equal(_volume(plain).hu, _volume(tmp_path / "export").hu)


def test_subfolders_play_no_part_where_the_folder_holds_slices(plain: Path, write_series: Writer) -> None:
    """As before: a folder with slices stands for itself."""
    write_series(plain / "other", BLOCK, SeriesInstanceUID=generate_uid())
    assert len(_volume(plain).positions_mm) == 6


def test_of_several_series_one_is_chosen(plain: Path, write_series: Writer) -> None:
    """Two series are refused with a list that names nobody; a number chooses."""
    for index, one in enumerate(write_series(plain.parent / "b", BLOCK, slices=4, SeriesInstanceUID="1.2.3", KVP=100)):
        one.save_as(plain / f"other{index}.dcm", enforce_file_format=True)
    refused = read_series(plain)
    assert isinstance(refused, Refusal)
    assert "There are 2 series; choose one with --series (1: 4 image(s) of 3 mm, 32 x 32, 100 kV; 2: 6" in " ".join(
        refused.reasons
    )
    assert [4, 6] == [len(_volume(plain, series=number).positions_mm) for number in (1, 2)]
    with pytest.raises(SeriesError, match="no series 3"):
        read_series(plain, series=3)


def test_a_zip_is_read_without_using_a_name_of_it(plain: Path, tmp_path: Path) -> None:
    """Entries that point outside are read like the others, and nothing is written."""
    path = tmp_path / "series.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in sorted(plain.iterdir()):
            archive.writestr(f"../../{one.name}", one.read_bytes())
    before = sorted(tmp_path.rglob("*"))
    assert np.array_equal(_volume(plain).hu, _volume(path).hu)
    assert before == sorted(tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("name", "words"), [("bomb", "beyond all bounds"), ("many", "files, more than"), ("broken", "damaged zip")]
)
def test_a_zip_that_would_hurt_is_refused(
    name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bomb, a crowd and a broken archive: one sentence each, before anything is inflated."""
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.dcm", bytes(40 * 2**20) if name == "bomb" else b"a")
        archive.writestr("b.dcm", b"b")
    if name == "many":
        monkeypatch.setattr(sources, "MAX_FILES", 1)
    if name == "broken":
        data = bytearray(path.read_bytes())
        where = data.index(b"PK\x01\x02")
        data[where + 10 : where + 12] = b"\x63\x00"  # a way of compression that there is not
        path.write_bytes(bytes(data))
    with pytest.raises(SeriesError, match=words):
        read_series(path)


def _enhanced(plain: Path, path: Path, **changes: Any) -> Path:
    """Put the slices of a folder into one multi-frame object."""
    slices = [pydicom.dcmread(one) for one in sorted(plain.iterdir())]
    first = slices[0]
    dataset = Dataset()
    dataset.file_meta = first.file_meta
    for name in ("PatientName", "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Rows",
                 "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
                 "PhotometricInterpretation", "Modality", "Manufacturer"):  # fmt: skip
        setattr(dataset, name, getattr(first, name))
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.NumberOfFrames = len(slices)
    dataset.PixelData = b"".join(one.PixelData for one in slices)

    def item(**values: Any) -> DicomSequence:
        one = Dataset()
        for name, value in values.items():
            setattr(one, name, value)
        return DicomSequence([one])

    shared = Dataset()
    shared.PixelMeasuresSequence = item(PixelSpacing=[0.5, 0.5], SliceThickness=3)
    shared.PlaneOrientationSequence = item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shared.PixelValueTransformationSequence = item(RescaleSlope=1, RescaleIntercept=-1024, RescaleType="HU")
    shared.CTXRayDetailsSequence = item(KVP=120)
    frames = []
    for index, one in enumerate(slices):
        frame = Dataset()
        frame.PlanePositionSequence = item(ImagePositionPatient=list(one.ImagePositionPatient))
        frame.FrameContentSequence = item(FrameAcquisitionNumber=index // 2 + 1)
        frame.CardiacSynchronizationSequence = item(NominalPercentageOfCardiacPhase=75.0, RRIntervalTimeNominal=1000.0)
        frames.append(frame)
    dataset.SharedFunctionalGroupsSequence = DicomSequence([shared])
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(frames)
    for name, value in changes.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def test_a_multi_frame_object_is_the_same_volume(plain: Path, tmp_path: Path) -> None:
    """Each frame is a slice by its own functional groups: same HU, places and kV, and the beats."""
    one, other = _volume(plain), _volume(_enhanced(plain, tmp_path / "enhanced.dcm"))
    assert np.array_equal(one.hu, other.hu)
    assert np.array_equal(one.corners_mm, other.corners_mm)
    assert (one.kvp, one.thickness_mm, one.row_mm) == (other.kvp, other.thickness_mm, other.row_mm)
    assert [1, 1, 2, 2, 3, 3] == [beat.acquisition for beat in other.cardiac]
    assert {(75.0, 1000.0)} == {(beat.phase_percent, beat.rr_interval_ms) for beat in other.cardiac}


def test_a_multi_frame_object_that_contradicts_itself_is_refused(plain: Path, tmp_path: Path) -> None:
    """Fewer descriptions than frames, or frames without a place."""
    path = _enhanced(plain, tmp_path / "e.dcm")
    dataset = pydicom.dcmread(path)
    dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:5]
    dataset.save_as(path)
    with pytest.raises(SeriesError, match="describes 5 frames"):
        read_series(path)
    path = _enhanced(plain, tmp_path / "e.dcm")
    dataset = pydicom.dcmread(path)
    del dataset.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence
    dataset.save_as(path)
    with pytest.raises(SeriesError, match="no place"):
        read_series(path)


def test_contrast_in_a_multi_frame_object_is_seen(plain: Path, tmp_path: Path) -> None:
    """There the agent stands in a sequence."""
    agent = Dataset()
    agent.CodeMeaning = "Iomeprol"
    path = _enhanced(plain, tmp_path / "e.dcm", ContrastBolusAgentSequence=DicomSequence([agent]))
    assert _volume(path).contrast_agent == "Iomeprol"


def test_loss_is_noted(tmp_path: Path, write_series: Writer) -> None:
    """An image that was once compressed with loss says so, and so does the volume."""
    write_series(tmp_path / "s", BLOCK, LossyImageCompression="01")
    assert any("Compressed with loss" in note for note in _volume(tmp_path / "s").notes)


def test_a_compression_that_nothing_decodes_names_the_cure(plain: Path) -> None:
    """JPEG lossless needs a decoder that does not come with us."""
    path = plain / "slice002.dcm"
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
    dataset["PixelData"].is_undefined_length = True
    dataset.save_as(path)
    with pytest.raises(SeriesError, match=r"slice002\.dcm is compressed as JPEG Lossless.*dcmdjpeg"):
        read_series(plain)


def test_a_deflated_bomb_is_refused_before_it_is_inflated(plain: Path) -> None:
    """A few hundred kilobytes that would become more than the bound."""
    path = plain / "slice002.dcm"
    dataset = pydicom.dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.save_as(path)
    data = path.read_bytes()
    end = 144 + struct.unpack("<I", data[140:144])[0]
    machine = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    chunk = bytes(2**24)
    bomb = b"".join(machine.compress(chunk) for _ in range(MAX_INFLATED_BYTES // len(chunk) + 1)) + machine.flush()
    path.write_bytes(data[:end] + bomb)
    with pytest.raises(SeriesError, match=r"slice002\.dcm inflates to more than"):
        read_series(plain)


def test_a_size_that_lies_is_refused_before_it_is_decoded(plain: Path) -> None:
    """65535 x 65535 pixels in a file of a few kilobytes."""
    path = plain / "slice002.dcm"
    dataset = pydicom.dcmread(path)
    dataset.Rows = dataset.Columns = 65535
    dataset.save_as(path)
    with pytest.raises(SeriesError, match=r"slice002\.dcm asks for \d+ MiB"):
        read_series(plain)


def test_a_stream_that_is_larger_than_its_header_is_refused_before_it_is_decoded(plain: Path) -> None:
    """A JPEG-LS stream that says 30,000 x 30,000 under a header of 32 x 32: a decoder would make room for it."""
    path = plain / "slice002.dcm"
    dataset = pydicom.dcmread(path)
    dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 0, 12, 11
    dataset.compress(JPEGLSLossless)
    frame = bytearray(next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)))
    at = frame.index(b"\xff\xf7")
    frame[at + 5 : at + 9] = b"\x75\x30\x75\x30"
    dataset.PixelData = pydicom.encaps.encapsulate([bytes(frame)])
    dataset.save_as(path)
    with pytest.raises(SeriesError, match=r"slice002\.dcm is damaged: its compressed pixels are not 32 x 32"):
        read_series(plain)
