"""A DICOM SEG -> the vessel map of a volume, and what a person cut."""

from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
from numpy.typing import NDArray

from scoring.io.dicom_file import brief, codes, parse, pixels_of, text
from scoring.io.errors import SeriesError
from scoring.lesions import VESSELS, Labels, Vessel
from scoring.volume import Volume

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
FRAME_TOLERANCE_MM = 0.05  # between a map's frame and a slice
COSINE_TOLERANCE = 1e-4


def read_labels(path: Path, volume: Volume) -> Labels:
    """Read a vessel map from a DICOM SEG (BINARY) and put it into the volume's geometry.

    A segment is known by its SNOMED code (property type, then anatomic region), else by its label. The map need not
    refer to this very series, but must share its frame of reference and pixel grid: one map serves two reconstructions.

    Raises
    ------
    SeriesError
        If the file is no BINARY segmentation, does not fit the volume, knows no vessel, or gives a pixel two vessels.
    """
    if not path.is_file():
        raise SeriesError(f"{path} is not there; give the path of an existing file.")
    dataset = parse(path.name, path.read_bytes())
    if text(dataset, "SOPClassUID") != SEGMENTATION or text(dataset, "SegmentationType") != "BINARY":
        raise SeriesError(f"{path.name} is no BINARY DICOM segmentation; export the vessel map as one.")
    try:
        segments, notes = _segments(dataset, path)
        _check_grid(dataset, volume, path)
        frames = pixels_of(path.name, dataset)
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
        raise SeriesError(f"{path.name} cannot be read as a segmentation ({brief(error)}); export it again.") from error
    absent = [name for name in VESSELS if name not in segments.values()]
    if absent:
        notes.append(f"The vessel map has no segment for {', '.join(absent)}.")
    vessels.setflags(write=False)
    cut.setflags(write=False)
    return Labels(vessels, "DICOM SEG (BINARY)", tuple(notes), cut if cut.any() else None)


def _segments(dataset: pydicom.Dataset, path: Path) -> tuple[dict[int, Vessel | Literal["CUT"]], list[str]]:
    """Vessel of each segment number, or that it is the cut, and notes on the segments that are neither."""
    found: dict[int, Vessel | Literal["CUT"]] = {}
    notes = []
    for segment in dataset.SegmentSequence:
        if text(segment, "SegmentLabel").upper() == CUT:
            found[int(segment.SegmentNumber)] = CUT
            continue
        coded = codes(segment.get("SegmentedPropertyTypeCodeSequence") or ())
        coded += codes(segment.get("AnatomicRegionSequence") or ())
        vessel = next((VESSEL_CODES[code] for code in coded if code in VESSEL_CODES), None)
        vessel = vessel or _vessel_named(text(segment, "SegmentLabel"))
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
    frame_uid = text(dataset, "FrameOfReferenceUID")
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
