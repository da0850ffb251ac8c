"""DICOM files -> slice records, a volume, a vessel map.

Total on any bytes: whatever a file holds, the outcome is a record, a note that it was passed over, or a `SeriesError`
that names it. Nothing here logs or repeats a patient's name.
"""

import hashlib
import io
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
from numpy.typing import NDArray

from scoring.io.dicom_tags import cardiac_of, mass_factor_patient, mass_factors_device
from scoring.io.errors import SeriesError
from scoring.lesions import VESSELS, Labels, Vessel
from scoring.settings import ScoreSettings
from scoring.volume import Refusal, SliceRecord, Volume, build_volume

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
# SNOMED CT codes of DICOM CID 3015, scheme SCT
VESSEL_CODES: dict[str, Vessel] = {"3227004": "LM", "59438005": "LAD", "57396003": "LCX", "13647002": "RCA"}
VESSEL_NAMES: tuple[tuple[str, Vessel], ...] = (
    ("left main", "LM"),
    ("anterior descending", "LAD"),
    ("circumflex", "LCX"),
    ("right coronary", "RCA"),
)
CUT: Literal["CUT"] = "CUT"  # label of the segment whose pixels a person barred
NO_CONTRAST = {"", "NO", "NONE", "NO CONTRAST"}
NOT_DICOM = {".json", ".jsonl", ".html", ".txt", ".csv", ".md", ".pdf", ".png", ".jpg", ".toml", ".xml", ".log"}
MAX_FILES = 4000  # in one folder; a calcium scan has 40 to 300
MAX_FILE_BYTES = 256 * 2**20
FRAME_TOLERANCE_MM = 0.05  # between a map's frame and a slice
COSINE_TOLERANCE = 1e-4


def read_series(
    folder: Path, settings: ScoreSettings | None = None, *, missing_allowed: bool = False
) -> Volume | Refusal:
    """Read the one series of a folder (not of its subfolders) into a regular volume, or say why it is refused.

    Objects that are DICOM but no images of a series (segmentation, report, localizer) are passed over with a note, and
    so are files that by their name cannot be DICOM.

    Raises
    ------
    SeriesError
        If the folder is missing or holds no image, or a file is corrupt, truncated or not DICOM.
    """
    records, passed = read_records(folder)
    outcome = build_volume(records, settings, missing_allowed=missing_allowed)
    if isinstance(outcome, Refusal) or not passed:
        return outcome
    note = f"{len(passed)} file(s) that are no slices passed over: {', '.join(passed[:3])}"
    note += f" and {len(passed) - 3} more." if len(passed) > 3 else "."
    fields = {name: getattr(outcome, name) for name in Volume.__slots__}
    return Volume(**{**fields, "notes": (*outcome.notes, note)})


def read_records(folder: Path) -> tuple[list[SliceRecord], list[str]]:
    """Read all slices of a folder; also the names of the files that were passed over."""
    if not folder.is_dir():
        raise SeriesError(f"{folder} is not a folder; give the folder that holds the slices of one series.")
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if len(files) > MAX_FILES:
        raise SeriesError(f"{folder} holds {len(files)} files, more than {MAX_FILES}; give the folder of one series.")
    records: list[SliceRecord] = []
    passed: list[str] = []
    for path in files:
        record = None if path.suffix.lower() in NOT_DICOM or path.name == "DICOMDIR" else _record(path)
        if record is None:
            passed.append(path.name)
        else:
            records.append(record)
    if not records:
        seen = f" (passed over: {', '.join(passed[:3])})" if passed else ""
        raise SeriesError(f"{folder} holds no CT image{seen}; give the folder that holds the slices of one series.")
    return records, passed


def read_labels(path: Path, volume: Volume) -> Labels:
    """Read a vessel map from a DICOM SEG (BINARY) and put it into the volume's geometry.

    A segment is known by its SNOMED code (property type, then anatomic region), else by its label. The map need not
    refer to this very series, but must share its frame of reference and pixel grid: one map serves two reconstructions.

    Raises
    ------
    SeriesError
        If the file is no BINARY segmentation, does not fit the volume, knows no vessel, or gives a pixel two vessels.
    """
    dataset = _dataset(path, path.read_bytes() if path.is_file() else None)
    if _text(dataset, "SOPClassUID") != SEGMENTATION or _text(dataset, "SegmentationType") != "BINARY":
        raise SeriesError(f"{path.name} is no BINARY DICOM segmentation; export the vessel map as one.")
    try:
        segments, notes = _segments(dataset, path)
        _check_grid(dataset, volume, path)
        frames = np.asarray(dataset.pixel_array)
        frames = frames[np.newaxis] if frames.ndim == 2 else frames
        per_frame = list(dataset.PerFrameFunctionalGroupsSequence)
        if len(frames) != len(per_frame):
            raise SeriesError(f"{path.name} has {len(frames)} frames but describes {len(per_frame)}; export it again.")
        vessels = np.zeros(volume.hu.shape, dtype=np.uint8)
        cut = np.zeros(volume.hu.shape, dtype=np.bool_)
        for frame, group in zip(frames, per_frame, strict=True):
            number = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
            if number not in segments:
                continue
            segment = segments[number]
            where = _slice_of(_frame_position(dataset, group), volume, path)
            inside = frame > 0
            if segment == CUT:
                cut[where] |= inside
                continue
            value = VESSELS.index(segment) + 1
            target = vessels[where]
            taken = target[inside]
            if np.any((taken > 0) & (taken != value)):
                raise SeriesError(f"{path.name} gives one pixel two vessels; make the segments disjoint.")
            target[inside] = value
    except SeriesError:
        raise
    except Exception as error:  # pydicom raises what it meets; any of it means that the file is not what it claims
        raise SeriesError(
            f"{path.name} cannot be read as a segmentation ({_brief(error)}); export it again."
        ) from error
    absent = [name for name in VESSELS if name not in segments.values()]
    if absent:
        notes.append(f"The vessel map has no segment for {', '.join(absent)}.")
    vessels.setflags(write=False)
    cut.setflags(write=False)
    return Labels(vessels, "DICOM SEG (BINARY)", tuple(notes), cut if cut.any() else None)


def _record(path: Path) -> SliceRecord | None:
    """Read one file; None when it is DICOM but no slice."""
    if path.stat().st_size > MAX_FILE_BYTES:
        raise SeriesError(f"{path.name} is larger than {MAX_FILE_BYTES >> 20} MiB; take it out of the folder.")
    data = path.read_bytes()
    dataset = _dataset(path, data)
    sop_class = _text(dataset, "SOPClassUID")
    if sop_class == ENHANCED_CT:
        raise SeriesError(f"{path.name} is a multi-frame Enhanced CT, not read yet; export single-frame CT images.")
    image_type = [str(value).upper() for value in _values(dataset, "ImageType")]
    is_ct = sop_class == CT_IMAGE
    if "LOCALIZER" in image_type:
        return None
    if not is_ct and ("ImagePositionPatient" not in dataset or "Rows" not in dataset or "NumberOfFrames" in dataset):
        return None  # a report, a segmentation, a dose grid
    try:
        return _to_record(path, data, dataset)
    except SeriesError:
        raise
    except Exception as error:  # pydicom raises what it meets; any of it means that the file is not what it claims
        raise SeriesError(
            f"{path.name} is a damaged or truncated DICOM image ({_brief(error)}); export it again."
        ) from error


def _to_record(path: Path, data: bytes, dataset: pydicom.Dataset) -> SliceRecord:
    """Turn the attributes of a single-frame image into a record, believing nothing."""
    for name in ("SeriesInstanceUID", "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient", "PixelData"):
        if name not in dataset:
            raise SeriesError(f"{path.name} has no {name}; it is truncated or no axial slice, export it again.")
    row_mm, column_mm = (float(value) for value in dataset.PixelSpacing)
    o = [float(value) for value in dataset.ImageOrientationPatient]
    x, y, z = (float(value) for value in dataset.ImagePositionPatient)
    unit = np.array(o).reshape(2, 3)
    if not np.all(np.isfinite([row_mm, column_mm, *o, x, y, z])) or min(row_mm, column_mm) <= 0:
        raise SeriesError(f"{path.name} has an impossible spacing or position; export it again.")
    if np.abs(unit @ unit.T - np.eye(2)).max() > 0.001:
        raise SeriesError(f"{path.name} has an orientation that is not two perpendicular directions; export it again.")
    stored = np.asarray(dataset.pixel_array)
    if stored.ndim != 2 or not np.issubdtype(stored.dtype, np.integer):
        raise SeriesError(f"{path.name} is no single grey image of whole numbers; export the scanner's original.")
    kvp, thickness_mm = _number(dataset, "KVP"), _number(dataset, "SliceThickness")
    padding = dataset.get("PixelPaddingValue")
    contrast = _text(dataset, "ContrastBolusAgent").strip()
    told = " ".join(_text(dataset, name) for name in ("Manufacturer", "ManufacturerModelName", "SeriesDescription"))
    return SliceRecord(
        name=path.name,
        digest=hashlib.sha256(data).hexdigest(),
        series_uid=_text(dataset, "SeriesInstanceUID"),
        frame_uid=_text(dataset, "FrameOfReferenceUID"),
        stored=stored,
        slope=_number(dataset, "RescaleSlope"),
        intercept=_number(dataset, "RescaleIntercept"),
        row_mm=row_mm,
        column_mm=column_mm,
        orientation=(o[0], o[1], o[2], o[3], o[4], o[5]),
        position_mm=(x, y, z),
        modality=_text(dataset, "Modality"),
        kvp=kvp,
        thickness_mm=thickness_mm if thickness_mm and thickness_mm > 0 else None,
        rescale_type=_text(dataset, "RescaleType"),
        padding=int(padding) if isinstance(padding, int) else None,
        contrast_agent="" if contrast.upper() in NO_CONTRAST else contrast,
        simulated="simulat" in told.lower(),
        cardiac=cardiac_of(dataset),
        mass_factor_patient=mass_factor_patient(dataset),
        mass_factors_device=mass_factors_device(dataset),
    )


def _dataset(path: Path, data: bytes | None) -> pydicom.Dataset:
    """Parse a file; any failure is the file's."""
    if data is None:
        raise SeriesError(f"{path} is not there; give the path of an existing file.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd but readable values are the business of the checks that follow
            dataset = pydicom.dcmread(io.BytesIO(data))
            for element in ("SOPClassUID", "Modality", "Rows"):
                dataset.get(element)
    except Exception as error:  # see read_labels
        raise SeriesError(
            f"{path.name} is not DICOM, or damaged ({_brief(error)}); take it out of the folder or export it again."
        ) from error
    if "SOPClassUID" not in dataset:
        raise SeriesError(f"{path.name} does not say what it is (no SOPClassUID); it is damaged, export it again.")
    return dataset


def _brief(error: Exception) -> str:
    """Name an error by its class: its text could repeat file content, such as a name."""
    return type(error).__name__


def _text(dataset: pydicom.Dataset, name: str) -> str:
    """Text of an attribute, empty when absent."""
    return str(dataset.get(name) or "")


def _values(dataset: pydicom.Dataset, name: str) -> Sequence[object]:
    """Values of a multi-valued attribute, also when it holds one or none."""
    value = dataset.get(name)
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else tuple(value)


def _number(dataset: pydicom.Dataset, name: str) -> float | None:
    """Finite number of an attribute, None when absent or empty."""
    value = dataset.get(name)
    number = None if value is None or value == "" else float(value)
    return number if number is not None and np.isfinite(number) else None


def _codes(items: Iterable[pydicom.Dataset]) -> list[str]:
    """SNOMED code values of a code sequence."""
    return [_text(item, "CodeValue") for item in items if _text(item, "CodingSchemeDesignator") == "SCT"]


def _segments(dataset: pydicom.Dataset, path: Path) -> tuple[dict[int, Vessel | Literal["CUT"]], list[str]]:
    """Vessel of each segment number, or that it is the cut, and notes on the segments that are neither."""
    found: dict[int, Vessel | Literal["CUT"]] = {}
    notes = []
    for segment in dataset.SegmentSequence:
        if _text(segment, "SegmentLabel").upper() == CUT:
            found[int(segment.SegmentNumber)] = CUT
            continue
        codes = _codes(segment.get("SegmentedPropertyTypeCodeSequence") or ())
        codes += _codes(segment.get("AnatomicRegionSequence") or ())
        vessel = next((VESSEL_CODES[code] for code in codes if code in VESSEL_CODES), None)
        vessel = vessel or _vessel_named(_text(segment, "SegmentLabel"))
        if vessel is None:
            notes.append(f"Segment {int(segment.SegmentNumber)} of the vessel map is no known vessel; passed over.")
        else:
            found[int(segment.SegmentNumber)] = vessel
    if not any(name != CUT for name in found.values()):
        raise SeriesError(f"{path.name} names no coronary vessel; label or code its segments LM, LAD, LCX, RCA.")
    return found, notes


def _vessel_named(label: str) -> Vessel | None:
    """Vessel of a label such as `LAD` or `Left anterior descending coronary artery`."""
    lowered = label.lower()
    words = lowered.replace("_", " ").replace("-", " ").split()
    for vessel in VESSELS:
        if vessel.lower() in words:
            return vessel
    return next((vessel for name, vessel in VESSEL_NAMES if name in lowered), None)


def _shared(dataset: pydicom.Dataset, group: pydicom.Dataset, sequence: str) -> pydicom.Dataset:
    """Item of a functional group, from the frame or shared by all frames."""
    items = group.get(sequence) or dataset.SharedFunctionalGroupsSequence[0].get(sequence)
    if not items:
        raise SeriesError(f"The vessel map has no {sequence}, so it has no place in the patient; export it again.")
    return items[0]


def _check_grid(dataset: pydicom.Dataset, volume: Volume, path: Path) -> None:
    """Refuse a map of another frame of reference or pixel grid."""
    frame_uid = _text(dataset, "FrameOfReferenceUID")
    if not frame_uid or frame_uid != volume.frame_uid:
        raise SeriesError(f"{path.name} belongs to another frame of reference; give the vessel map of this scan.")
    if (int(dataset.Rows), int(dataset.Columns)) != volume.hu.shape[1:]:
        raise SeriesError(f"{path.name} has another number of rows or columns than the slices; give this scan's map.")
    for group in dataset.PerFrameFunctionalGroupsSequence:
        spacing = [float(v) for v in _shared(dataset, group, "PixelMeasuresSequence").PixelSpacing]
        cosines = [float(v) for v in _shared(dataset, group, "PlaneOrientationSequence").ImageOrientationPatient]
        if not np.allclose(
            spacing, (volume.row_mm, volume.column_mm), rtol=0, atol=COSINE_TOLERANCE
        ) or not np.allclose(cosines, volume.orientation, rtol=0, atol=COSINE_TOLERANCE):
            raise SeriesError(
                f"{path.name} has another pixel spacing or orientation than the slices; give this scan's map."
            )


def _frame_position(dataset: pydicom.Dataset, group: pydicom.Dataset) -> NDArray[np.float64]:
    """Position of a frame's first pixel in patient coordinates, in mm."""
    position = _shared(dataset, group, "PlanePositionSequence").ImagePositionPatient
    return np.array([float(value) for value in position])


def _slice_of(position_mm: NDArray[np.float64], volume: Volume, path: Path) -> int:
    """Index of the slice at a position."""
    distance = np.linalg.norm(volume.corners_mm - position_mm, axis=1)
    nearest = int(np.argmin(distance))
    if distance[nearest] > FRAME_TOLERANCE_MM:
        raise SeriesError(
            f"{path.name} has a frame where the series has no slice ({position_mm[2]:g} mm); give this scan's map."
        )
    return nearest
