"""Compressed slices: what a small file may not do, and that loss is told."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000, UID, JPEG2000Lossless, JPEGLSLossless, JPEGLSNearLossless, RLELossless

from scoring.io import dicom_in, streams
from scoring.io.dicom_in import read_series
from scoring.io.errors import SeriesError
from scoring.volume import Volume
from tests.scoring.dicom_files import ct_slice

BLOCK = (2, 5, 2, 5, 2, 150.0)
SYNTAXES = {"JPEG 2000": JPEG2000Lossless, "JPEG-LS": JPEGLSLossless, "RLE": RLELossless}
UNSIGNED = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0}


@pytest.fixture
def folder(tmp_path: Path, write_series: Callable[..., list[Dataset]]) -> Path:
    """Write a plain series of six slices."""
    write_series(tmp_path / "s", BLOCK, **UNSIGNED)
    return tmp_path / "s"


def compress(path: Path, syntax: UID, hu: np.ndarray | None = None) -> Dataset:
    """Compress a slice; with other pixels than its header says."""
    one = pydicom.dcmread(path)
    if hu is not None:
        other = ct_slice(hu, 106.0, 3, **UNSIGNED)
        one.PixelData, one.Rows, one.Columns = other.PixelData, *hu.shape
    one.compress(syntax, generate_instance_uid=False)
    one.Rows = one.Columns = 32
    one.save_as(path)
    return one


@pytest.mark.parametrize("name", ["JPEG 2000", "JPEG-LS"])
def test_a_codestream_of_another_size_is_refused_before_it_is_decoded(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few kilobytes that would decode to 32 MiB, and could to gigabytes: no decoder sees them."""
    compress(folder / "slice002.dcm", SYNTAXES[name], np.full((4096, 4096), 40.0))
    monkeypatch.setattr(pydicom.Dataset, "pixel_array", property(lambda _: pytest.fail("decoded")))
    for path in folder.iterdir():
        if path.name != "slice002.dcm":
            path.unlink()
    with pytest.raises(SeriesError, match=r"slice002\.dcm is damaged: its compressed pixels are not 32 x 32"):
        read_series(folder)


def test_a_run_length_bomb_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run lengths have no size of their own; a frame of them has a bound."""
    compress(folder / "slice002.dcm", RLELossless)
    monkeypatch.setattr(streams, "MAX_RLE_BYTES", 100)
    with pytest.raises(SeriesError, match=r"slice002\.dcm is damaged: its compressed pixels are not 32 x 32"):
        read_series(folder)


@pytest.mark.parametrize("name", SYNTAXES)
def test_more_frames_than_the_header_says_are_refused(name: str, folder: Path) -> None:
    """However many there are, the library would decode them all."""
    path = folder / "slice002.dcm"
    one = compress(path, SYNTAXES[name])
    frame = next(generate_frames(one.PixelData, number_of_frames=1))
    one.PixelData = encapsulate([frame] * 3)
    one.save_as(path)
    with pytest.raises(SeriesError, match=r"slice002\.dcm holds more frames than it says \(1\)"):
        read_series(folder)


def test_a_second_size_in_one_codestream_is_refused(folder: Path) -> None:
    """A decoy before the real size: nobody knows which of them a decoder takes."""
    path = folder / "slice002.dcm"
    one = compress(path, JPEG2000Lossless)
    frame = next(generate_frames(one.PixelData, number_of_frames=1))
    one.PixelData = encapsulate([b"\0\0\0\x0cjP  \r\n\x87\n" + frame[:60] + frame])
    one.save_as(path)
    with pytest.raises(SeriesError, match="its compressed pixels are not 32 x 32"):
        read_series(folder)


def test_a_size_in_a_comment_does_not_hide_the_real_one(folder: Path) -> None:
    """The right size, written as JPEG 2000 would, in a comment of a JPEG-LS stream of another size."""
    path = folder / "slice002.dcm"
    one = compress(path, JPEGLSLossless, np.full((64, 64), 40.0))
    frame = next(generate_frames(one.PixelData, number_of_frames=1))
    decoy = b"\xff\x4f\xff\x51" + bytes(4) + b"".join(value.to_bytes(4, "big") for value in (32, 32, 0, 0))
    comment = b"\xff\xfe" + (len(decoy) + 2).to_bytes(2, "big") + decoy
    one.PixelData = encapsulate([frame[:2] + comment + frame[2:]])
    one.save_as(path)
    with pytest.raises(SeriesError, match="its compressed pixels are not 32 x 32"):
        read_series(folder)


def test_small_files_may_not_be_large_together(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound holds for all pixels of a source."""
    monkeypatch.setattr(dicom_in, "MAX_SERIES_BYTES", 5 * 32 * 32 * 2)
    with pytest.raises(SeriesError, match="decodes to more than"):
        read_series(folder)


@pytest.mark.parametrize(
    ("syntax", "told", "noted"),
    [
        (JPEG2000Lossless, None, False),
        (JPEG2000, None, True),  # may be either, and does not say
        (JPEG2000, "00", False),
        (JPEG2000, "01", True),
        (JPEGLSNearLossless, "00", True),  # knows no other way
        (JPEGLSLossless, None, False),
    ],
)
def test_loss_is_noted_by_the_syntax_too(syntax: UID, told: str | None, noted: bool, folder: Path) -> None:
    """A slice that lost something on its way says so, or its syntax does."""
    lossless = JPEG2000Lossless if syntax in {JPEG2000Lossless, JPEG2000} else JPEGLSLossless
    for path in folder.iterdir():
        one = compress(path, lossless)
        one.file_meta.TransferSyntaxUID = syntax
        if told is not None:
            one.LossyImageCompression = told
        one.save_as(path)
    volume = read_series(folder)
    assert isinstance(volume, Volume)
    assert noted == any("Compressed with loss" in note for note in volume.notes)
