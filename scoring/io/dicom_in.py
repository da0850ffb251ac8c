"""DICOM files -> slice records and a volume.

Total on any bytes: whatever a file holds, the outcome is records, a note that it was passed over, or a `SeriesError`
that names it. Nothing here logs or repeats a patient's name.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray

from scoring.io.dicom_file import brief, lossy, number, parse, pixels_of, text, values
from scoring.io.dicom_tags import cardiac_of, contrast_of, mass_factor_patient, mass_factors_device, numbering_of
from scoring.io.enhanced_in import ENHANCED_CT, frames_of
from scoring.io.errors import SeriesError
from scoring.io.sources import SourceFile, files_of
from scoring.settings import ScoreSettings
from scoring.volume import Refusal, SliceRecord, Volume, build_volume

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
PLACE_AND_RESCALE = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept",
)  # fmt: skip
MAX_SERIES_BYTES = 2 * 2**30  # of all pixels, decoded: files that are small together may not be large together


def read_series(
    source: Path, settings: ScoreSettings | None = None, *, missing_allowed: bool = False, series: int | None = None
) -> Volume | Refusal:
    """Read the one series of a folder, file or zip into a regular volume, or say why it is refused.

    Objects that are DICOM but no images of a series (segmentation, report, localizer) are passed over with a note, and
    so are files that by their name cannot be DICOM.

    Parameters
    ----------
    source
        See `sources.files_of`.
    series
        Which one, where there are several: their numbers stand in the refusal.

    Raises
    ------
    SeriesError
        If the source is missing or holds no image, or a file is corrupt, truncated or not DICOM.
    """
    records, passed = read_records(source)
    groups = _groups(records)
    if series is not None:
        if not 1 <= series <= len(groups):
            raise SeriesError(f"There is no series {series}: {source.name} holds {len(groups)}.")
        records = groups[series - 1]
    outcome = build_volume(records, settings, missing_allowed=missing_allowed)
    if isinstance(outcome, Refusal):
        told = () if series is not None or len(groups) == 1 else (_several(groups),)
        return Refusal((*outcome.reasons, *told))
    if not passed:
        return outcome
    note = f"{len(passed)} file(s) that are no slices passed over: {', '.join(passed[:3])}"
    note += f" and {len(passed) - 3} more." if len(passed) > 3 else "."
    fields = {name: getattr(outcome, name) for name in Volume.__slots__}
    return Volume(**{**fields, "notes": (*outcome.notes, note)})


def read_records(source: Path) -> tuple[list[SliceRecord], list[str]]:
    """Read all slices of a source; also the names of the files that were passed over."""
    records: list[SliceRecord] = []
    passed: list[str] = []
    held = 0
    for file in files_of(source):
        found = [] if file.no_dicom else _records(file)
        held += sum(record.stored.nbytes for record in found)
        if held > MAX_SERIES_BYTES:
            raise SeriesError(
                f"{source} decodes to more than {MAX_SERIES_BYTES >> 20} MiB; give the slices of one series."
            )
        records += found
        if not found:
            passed.append(file.name)
    if not records:
        seen = f" (passed over: {', '.join(passed[:3])})" if passed else ""
        raise SeriesError(f"{source} holds no CT image{seen}; give the folder that holds the slices of one series.")
    return records, passed


def _groups(records: Sequence[SliceRecord]) -> list[list[SliceRecord]]:
    """Part records by series, in an order that does not depend on the files' names."""
    by_uid: dict[str, list[SliceRecord]] = {}
    for record in records:
        by_uid.setdefault(record.series_uid, []).append(record)
    return [by_uid[uid] for uid in sorted(by_uid)]


def _several(groups: Sequence[Sequence[SliceRecord]]) -> str:
    """List several series without a word that could be a name."""
    told = []
    for place, group in enumerate(groups, 1):
        first = group[0]
        thick = "" if first.thickness_mm is None else f" of {first.thickness_mm:g} mm"
        rows, columns = first.stored.shape
        kv = "" if first.kvp is None else f", {first.kvp:g} kV"
        told.append(f"{place}: {len(group)} image(s){thick}, {rows} x {columns}{kv}")
    return f"There are {len(groups)} series; choose one with --series ({'; '.join(told)})."


def _records(file: SourceFile) -> list[SliceRecord]:
    """Read one file; nothing when it is DICOM but no slice."""
    name, data = file.name, file.read()
    dataset = parse(name, data)
    sop_class = text(dataset, "SOPClassUID")
    if "LOCALIZER" in {str(value).upper() for value in values(dataset, "ImageType")}:
        return []
    single = "ImagePositionPatient" in dataset and "Rows" in dataset and "NumberOfFrames" not in dataset
    if sop_class not in {CT_IMAGE, *ENHANCED_CT} and not single:
        return []  # a report, a segmentation, a dose grid
    try:
        return _frames(name, dataset) if sop_class in ENHANCED_CT else [_slice(name, data, dataset)]
    except SeriesError:
        raise
    except Exception as error:  # pydicom raises what it meets; any of it means that the file is not what it claims
        raise SeriesError(f"{name} is a damaged or truncated DICOM image ({brief(error)}); export it again.") from error


def _slice(name: str, data: bytes, dataset: pydicom.Dataset) -> SliceRecord:
    """Read a single-frame image."""
    if "PixelData" not in dataset:
        raise SeriesError(f"{name} has no PixelData; it is truncated or no axial slice, export it again.")
    return _to_record(name, hashlib.sha256(data).hexdigest(), dataset, pixels_of(name, dataset))


def _frames(name: str, dataset: pydicom.Dataset) -> list[SliceRecord]:
    """Read all frames of a multi-frame image; two are byte-identical where pixels, place and rescale are."""
    headers, stored = frames_of(name, dataset), pixels_of(name, dataset)
    stored = stored[np.newaxis] if stored.ndim == 2 else stored
    if len(stored) != len(headers):
        raise SeriesError(f"{name} describes {len(headers)} frames and has others; export it again.")
    records = []
    for place, (header, pixels) in enumerate(zip(headers, stored, strict=True), 1):
        told = [str(header.get(one)) for one in PLACE_AND_RESCALE]
        digest = hashlib.sha256("\n".join(told).encode() + pixels.tobytes()).hexdigest()
        records.append(_to_record(f"{name}, frame {place}", digest, header, pixels, len(headers)))
    return records


def _to_record(
    name: str, digest: str, dataset: pydicom.Dataset, stored: NDArray[np.integer], frames: int | None = None
) -> SliceRecord:
    """Turn the attributes of one image into a record, believing nothing."""
    for needed in ("SeriesInstanceUID", "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient"):
        if needed not in dataset:
            raise SeriesError(f"{name} has no {needed}; it is truncated or no axial slice, export it again.")
    row_mm, column_mm = (float(value) for value in dataset.PixelSpacing)
    o = [float(value) for value in dataset.ImageOrientationPatient]
    x, y, z = (float(value) for value in dataset.ImagePositionPatient)
    unit = np.array(o).reshape(2, 3)
    if not np.all(np.isfinite([row_mm, column_mm, *o, x, y, z])) or min(row_mm, column_mm) <= 0:
        raise SeriesError(f"{name} has an impossible spacing or position; export it again.")
    if np.abs(unit @ unit.T - np.eye(2)).max() > 0.001:
        raise SeriesError(f"{name} has an orientation that is not two perpendicular directions; export it again.")
    if stored.ndim != 2 or not np.issubdtype(stored.dtype, np.integer):
        raise SeriesError(f"{name} is no single grey image of whole numbers; export the scanner's original.")
    kvp, thickness_mm = number(dataset, "KVP"), number(dataset, "SliceThickness")
    padding = dataset.get("PixelPaddingValue")
    told = " ".join(
        text(dataset, told_by) for told_by in ("Manufacturer", "ManufacturerModelName", "SeriesDescription")
    )
    return SliceRecord(
        name=name,
        digest=digest,
        series_uid=text(dataset, "SeriesInstanceUID"),
        frame_uid=text(dataset, "FrameOfReferenceUID"),
        stored=stored,
        slope=number(dataset, "RescaleSlope"),
        intercept=number(dataset, "RescaleIntercept"),
        row_mm=row_mm,
        column_mm=column_mm,
        orientation=(o[0], o[1], o[2], o[3], o[4], o[5]),
        position_mm=(x, y, z),
        modality=text(dataset, "Modality"),
        kvp=kvp,
        thickness_mm=thickness_mm if thickness_mm and thickness_mm > 0 else None,
        rescale_type=text(dataset, "RescaleType"),
        padding=int(padding) if isinstance(padding, int) else None,
        contrast_agent=contrast_of(dataset),
        simulated="simulat" in told.lower(),
        lossy=lossy(dataset),
        cardiac=cardiac_of(dataset),
        numbering=numbering_of(dataset, frames),
        mass_factor_patient=mass_factor_patient(dataset),
        mass_factors_device=mass_factors_device(dataset),
    )
