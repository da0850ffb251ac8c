"""One object's bytes -> what it is, or why it is not taken. Total: any bytes whatever give one of the two.

Runs in a child process with limits of memory and time (`examiner.py`), for a few kilobytes can ask for gigabytes.
"""

import io
import math
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    SegmentationStorage,
)

from scoring.io.receiver.errors import ReceiverError
from scoring.io.receiver.records import Examined, Reason, Rejected, digest
from scoring.io.receiver.settings import ExamineSettings

UID_TEXT = re.compile(r"[0-9]+(\.[0-9]+)*")
MIB = 2**20
HEAD_BYTES = 144  # preamble, DICM, and the length of the file meta group
INFLATES_AT_MOST = 50  # times its size, from 16 MiB on; CT pixels reach 4
SMALL_PIXELS = 4 * MIB  # compressed pixels up to here are decoded at once; of a larger image its first frame


class Unfit(Exception):
    """Carries the reason out of the depth of an examination."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason: Reason = reason


def valid_uid(text: object) -> bool:
    """Tell whether a text is a UID of DICOM: digits and dots, 64 at most (PS3.5 chapter 9)."""
    return isinstance(text, str) and len(text) <= 64 and UID_TEXT.fullmatch(text) is not None


def dataset_offset(data: bytes) -> int:
    """Give where the data set begins behind the file meta group that the receiver wrote.

    Raises
    ------
    ReceiverError
        If the bytes do not begin as the receiver writes a file.
    """
    if len(data) < HEAD_BYTES or data[128:136] != b"DICM\x02\x00\x00\x00":
        raise ReceiverError("A file of the store does not begin as a DICOM file; take it out.")
    return HEAD_BYTES + int.from_bytes(data[140:144], "little")


def examine(
    data: bytes, syntax: str, sop_class: str, instance_uid: str, limits: ExamineSettings
) -> Examined | Rejected:
    """Read a data set and judge whether it is what its request announced, and fit to be scored.

    Parameters
    ----------
    data
        The data set, encoded in the transfer syntax, without preamble and file meta group.
    syntax, sop_class, instance_uid
        Of the presentation context and the request.
    limits
        Of size, depth and number of elements. Time and memory are limited by the process.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd but readable values are the business of the checks
            return _examined(data, UID(syntax), sop_class, instance_uid, limits)
    except Unfit as error:
        return Rejected(reason=error.reason, text=str(error))
    except RecursionError:
        return Rejected(reason="too-deep", text=f"sequences are nested deeper than {limits.depth}")
    except MemoryError:
        return Rejected(reason="too-large", text="reading it takes more memory than an object may take")
    except Exception as error:  # pydicom raises what it meets; any of it means that the object is not what it claims
        return Rejected(reason="damaged", text=f"it cannot be read as DICOM ({type(error).__name__})")


def _examined(data: bytes, syntax: UID, sop_class: str, instance_uid: str, limits: ExamineSettings) -> Examined:
    """Read, check, and put into hashes what the receiver needs to know."""
    if syntax == DeflatedExplicitVRLittleEndian:
        data = _inflated(data, limits.inflated_mib * MIB)
    dataset = read_dataset(io.BytesIO(data), syntax.is_implicit_VR, syntax.is_little_endian)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    _walk(dataset, limits)
    if _text(dataset, "SOPClassUID") != sop_class or _text(dataset, "SOPInstanceUID") != instance_uid:
        raise Unfit("mismatch", "its SOP class or instance is not the one that was announced")
    for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        if not valid_uid(_text(dataset, name)):
            raise Unfit("hostile-uid", f"{name} is missing or no UID")
    _check_pixels(dataset, limits)
    kinds = {CTImageStorage: _slice, EnhancedCTImageStorage: _frames, SegmentationStorage: _map}
    if sop_class not in kinds:
        raise Unfit("mismatch", "its SOP class is none that was offered")
    return kinds[sop_class](dataset)


def _inflated(data: bytes, most_bytes: int) -> bytes:
    """Inflate no further than the limit, nor than what image data can reach."""
    most_bytes = min(most_bytes, max(16 * MIB, INFLATES_AT_MOST * len(data)))
    machine = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = machine.decompress(data, most_bytes)
    if machine.unconsumed_tail:
        raise Unfit("too-large", f"it inflates to more than {most_bytes // MIB} MiB")
    if not machine.eof:
        raise Unfit("damaged", "its deflated data end too early")
    return plain


def _walk(dataset: Dataset, limits: ExamineSettings) -> None:
    """Visit every element once, so that each is read here or never; count them and the depth."""
    count = 0
    waiting: list[tuple[Iterator[object], int]] = [(iter(dataset), 1)]
    while waiting:
        elements, depth = waiting[-1]
        element = next(elements, None)
        if element is None:
            waiting.pop()
            continue
        count += 1
        if count > limits.elements:
            raise Unfit("too-large", f"it has more than {limits.elements} elements")
        if isinstance(element, pydicom.DataElement) and element.VR == "SQ":
            if depth > limits.depth:
                raise Unfit("too-deep", f"sequences are nested deeper than {limits.depth}")
            waiting.extend((iter(item), depth + 1) for item in element.value)


def _check_pixels(dataset: Dataset, limits: ExamineSettings) -> None:
    """Hold the product of the declared sizes against the limit and the pixel data, before anything is decoded."""
    if "PixelData" not in dataset:
        raise Unfit("damaged", "it has no pixel data; it is truncated or no image")
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    frames, samples = int(dataset.get("NumberOfFrames") or 1), int(dataset.get("SamplesPerPixel") or 1)
    bits = int(dataset.BitsAllocated)
    if min(rows, columns, frames) < 1 or samples != 1 or bits not in {1, 8, 16, 32}:
        raise Unfit("lying-size", "its Rows, Columns, frames, samples or bits are those of no image that is scored")
    needed = math.ceil(rows * columns * frames * bits / 8)
    if needed > limits.inflated_mib * MIB:
        raise Unfit("lying-size", f"Rows x Columns x frames ask for {needed // MIB} MiB")
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        if len(dataset.PixelData) < needed:
            raise Unfit("lying-size", "its pixel data are shorter than Rows x Columns x frames")
        return
    small = rows * columns * frames <= SMALL_PIXELS
    decoded = pydicom.pixels.pixel_array(dataset, index=None if small else 0)
    if decoded.shape[-2:] != (rows, columns):
        raise Unfit("lying-size", "its compressed pixels are not Rows x Columns")


def _slice(dataset: Dataset) -> Examined:
    """Make the record of a single-frame CT image."""
    image_type = [str(value).upper() for value in dataset.get("ImageType") or ()]
    if "LOCALIZER" in image_type:
        return _record("localizer", dataset)
    if "ImagePositionPatient" not in dataset or "ImageOrientationPatient" not in dataset:
        raise Unfit("unfit", "it has no position or orientation in the patient")
    along = _along(dataset.ImageOrientationPatient, [dataset.ImagePositionPatient])
    thickness = float(dataset.get("SliceThickness") or 0.0)
    return _record("slice", dataset, along, thickness if math.isfinite(thickness) and thickness > 0 else None)


def _frames(dataset: Dataset) -> Examined:
    """Make the record of a multi-frame CT image, each frame by its own place."""
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    shared = dataset.SharedFunctionalGroupsSequence[0] if dataset.get("SharedFunctionalGroupsSequence") else Dataset()

    def item(group: Dataset, name: str) -> Dataset:
        found = group.get(name) or shared.get(name)
        if not found:
            raise Unfit("unfit", "a frame has no position or orientation in the patient")
        return found[0]

    if len(groups) != int(dataset.NumberOfFrames):
        raise Unfit("lying-size", "it describes another number of frames than it has")
    orientations = [item(group, "PlaneOrientationSequence").ImageOrientationPatient for group in groups]
    corners = [item(group, "PlanePositionSequence").ImagePositionPatient for group in groups]
    thickness = float(item(groups[0], "PixelMeasuresSequence").get("SliceThickness") or 0.0)
    along = _along(orientations[0], corners)
    return _record("frames", dataset, along, thickness if math.isfinite(thickness) and thickness > 0 else None)


def _map(dataset: Dataset) -> Examined:
    """Make the record of a vessel map; whether it fits a series is asked when one is scored."""
    if _text(dataset, "SegmentationType") != "BINARY" or not dataset.get("SegmentSequence"):
        raise Unfit("unfit", "it is no BINARY segmentation with segments")
    return _record("map", dataset)


def _along(orientation: Sequence[object], corners: Sequence[Sequence[object]]) -> tuple[float, ...]:
    """Positions along the slice normal in mm, in the order of the frames."""
    unit = np.array([float(str(value)) for value in orientation]).reshape(2, 3)
    points = np.array([[float(str(value)) for value in corner] for corner in corners]).reshape(-1, 3)
    if not (np.all(np.isfinite(unit)) and np.all(np.isfinite(points))):
        raise Unfit("unfit", "its position or orientation in the patient is no number")
    return tuple(round(float(value), 4) for value in points @ np.cross(unit[0], unit[1]))


def _record(
    kind: str, dataset: Dataset, positions_mm: tuple[float, ...] = (), thickness_mm: float | None = None
) -> Examined:
    """Put identifiers into hashes."""
    told = [int(dataset.get(name) or 0) for name in ("ImagesInAcquisition", "NumberOfSeriesRelatedInstances")]
    parts = int(dataset.get("InConcatenationTotalNumber") or 0)
    by_series = told[1] > 0
    patient = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate")
    return Examined(
        kind=kind,  # type: ignore[arg-type]  # one of the four literals of the callers above
        instance=digest(_text(dataset, "SOPInstanceUID")),
        series=digest(_text(dataset, "SeriesInstanceUID")),
        study=digest(_text(dataset, "StudyInstanceUID")),
        patient=digest(*(_text(dataset, name) for name in patient)),
        accession=digest("accession", _text(dataset, "AccessionNumber")),
        frame=digest(_text(dataset, "FrameOfReferenceUID")),
        positions_mm=positions_mm,
        thickness_mm=thickness_mm,
        acquisition="series" if by_series else digest("acquisition", _text(dataset, "AcquisitionNumber"))[:16],
        announced=next((count for count in reversed(told) if count > 0), None),
        parts=parts if parts > 0 else None,
    )


def _text(dataset: Dataset, name: str) -> str:
    """Text of an attribute, empty when absent."""
    return str(dataset.get(name) or "")
