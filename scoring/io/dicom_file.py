"""Bytes of one file -> a DICOM data set, and its pixels, within bounds; and its values, whatever they are.

Total on any bytes: the outcome is a data set or a `SeriesError` that names the file. Nothing here repeats what a file
holds: it may be a name.
"""

import io
import warnings
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from scoring.io.errors import SeriesError
from scoring.io.streams import check_streams

MIB = 2**20
MAX_INFLATED_BYTES = 512 * MIB  # of a deflated file: a few kilobytes can ask for gigabytes
META_LENGTH = b"\x02\x00\x00\x00UL\x04\x00"  # tag, VR and length of (0002,0000)
META_BYTES = 4096  # from the beginning: more than any file meta group has
MAX_PIXEL_BYTES = 1024 * MIB  # of all frames of one file, decoded
ALWAYS_LOSSY = {JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless}
MAY_BE_LOSSY = {JPEG2000, "1.2.840.10008.1.2.4.203"}  # JPEG 2000, also high-throughput: lossless only if it says so


def parse(name: str, data: bytes) -> pydicom.Dataset:
    """Parse a file; any failure is the file's.

    Raises
    ------
    SeriesError
        If it is not DICOM, damaged, inflates beyond all bounds, or does not say what it is.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd but readable values are the business of the checks that follow
            _check_inflated(name, data)
            dataset = pydicom.dcmread(io.BytesIO(data))
            for element in ("SOPClassUID", "Modality", "Rows"):
                dataset.get(element)
    except SeriesError:
        raise
    except Exception as error:  # pydicom raises what it meets; any of it means that the file is not what it claims
        raise SeriesError(
            f"{name} is not DICOM, or damaged ({brief(error)}); take it out of the folder or export it again."
        ) from error
    if "SOPClassUID" not in dataset:
        raise SeriesError(f"{name} does not say what it is (no SOPClassUID); it is damaged, export it again.")
    return dataset


def pixels_of(name: str, dataset: pydicom.Dataset) -> NDArray[np.integer]:
    """Decode the pixels of a data set, [row, column] or [frame, row, column].

    Raises
    ------
    SeriesError
        If the declared size is beyond all bounds, or nothing here can decode the transfer syntax.
    """
    bits, samples = int(dataset.BitsAllocated), int(dataset.get("SamplesPerPixel") or 1)
    frames = int(dataset.get("NumberOfFrames") or 1)
    # single bits become bytes
    needed = int(dataset.Rows) * int(dataset.Columns) * samples * frames * max(bits, 8) // 8
    if needed > MAX_PIXEL_BYTES:
        raise SeriesError(f"{name} asks for {needed // MIB} MiB of pixels, beyond all bounds; it is damaged.")
    check_streams(name, dataset, frames)
    try:
        stored: NDArray[np.integer] = np.asarray(dataset.pixel_array)
    except (RuntimeError, NotImplementedError) as error:  # what pydicom raises where it has no decoder
        syntax = _syntax(dataset)
        if syntax.is_encapsulated and "plugin" in str(error) + str(error.__cause__):
            raise SeriesError(
                f"{name} is compressed as {syntax.name}, which nothing here decodes; convert the series (dcmtk: "
                "dcmdjpeg) or install python-gdcm."
            ) from error
        raise
    return stored


def lossy(dataset: pydicom.Dataset) -> bool:
    """Tell whether an image was once compressed with loss: by its word, or because its syntax knows no other way."""
    told, syntax = text(dataset, "LossyImageCompression"), _syntax(dataset)
    return told == "01" or syntax in ALWAYS_LOSSY or (syntax in MAY_BE_LOSSY and told != "00")


def _syntax(dataset: pydicom.Dataset) -> UID:
    """Transfer syntax of a file, empty when it does not say."""
    return UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))


def _check_inflated(name: str, data: bytes) -> None:
    """Refuse a deflated file that grows too large, before anything reads it whole.

    The file meta group is never deflated; it begins with its own length (DICOM PS3.10 7.1), and names the syntax.
    """
    if data[128:132] != b"DICM" or DeflatedExplicitVRLittleEndian.encode() not in data[132:META_BYTES]:
        return
    if data[132:140] != META_LENGTH:
        raise SeriesError(f"{name} is deflated and does not say where; it is damaged, export it again.")
    machine = zlib.decompressobj(-zlib.MAX_WBITS)
    machine.decompress(data[144 + int.from_bytes(data[140:144], "little") :], MAX_INFLATED_BYTES)
    if machine.unconsumed_tail:
        raise SeriesError(f"{name} inflates to more than {MAX_INFLATED_BYTES // MIB} MiB; take it out of the folder.")


def brief(error: Exception) -> str:
    """Name an error by its class: its text could repeat file content, such as a name."""
    return type(error).__name__


def text(dataset: pydicom.Dataset, name: str) -> str:
    """Text of an attribute, empty when absent."""
    return str(dataset.get(name) or "")


def values(dataset: pydicom.Dataset, name: str) -> Sequence[object]:
    """Values of a multi-valued attribute, also when it holds one or none."""
    value = dataset.get(name)
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def number(dataset: pydicom.Dataset, name: str) -> float | None:
    """Finite number of an attribute; None when it is absent, empty or no number."""
    try:
        found = float(dataset.get(name))
    except (TypeError, ValueError):
        return None
    return found if np.isfinite(found) else None


def codes(items: Iterable[pydicom.Dataset]) -> list[str]:
    """SNOMED code values of a code sequence."""
    return [text(item, "CodeValue") for item in items if text(item, "CodingSchemeDesignator") == "SCT"]
