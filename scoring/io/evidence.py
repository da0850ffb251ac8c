"""The headers of the images that a score was made from: patient, study and order come from here and nowhere else."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from scoring.io.dicom_in import CT_IMAGE
from scoring.io.enhanced_in import ENHANCED_CT, frames_of
from scoring.io.errors import SeriesError
from scoring.io.sources import files_of
from scoring.volume import Volume

# whose the images are; a result of slices that differ here belongs to nobody
IDENTITY = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "AccessionNumber")

SAME_PLACE_MM = 1e-3  # the same file was read for the volume; beyond it lies another slice


def read_evidence(source: Path, volume: Volume) -> tuple[Dataset, ...]:
    """Read the headers of a volume's slices, without pixels, in the volume's order.

    Raises
    ------
    SeriesError
        If a slice of the volume has no file, or the files are not of one patient and one study.
    """
    headers = []
    for file in files_of(source):
        headers += [] if file.no_dicom else _headers(file.read(), volume.series_uid)
    places = np.array([one.ImagePositionPatient for one in headers], dtype=float).reshape(-1, 3)
    ordered = []
    for corner in volume.corners_mm:
        at = np.flatnonzero(np.all(np.abs(places - corner) <= SAME_PLACE_MM, axis=1))
        if not len(at):
            raise SeriesError(f"The slice at {corner[2]:g} mm has no file any more; give the folder that was scored.")
        ordered.append(headers[at[0]])
    check_one_patient(ordered)
    return tuple(ordered)


def _headers(data: bytes, series_uid: str) -> list[Dataset]:
    """Read the headers of a file's slices, if they are of the series: one, or one for each frame."""
    try:
        header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
    except pydicom.errors.InvalidDicomError:
        return []
    if str(header.get("SeriesInstanceUID")) != series_uid:
        return []
    if header.get("SOPClassUID") == CT_IMAGE:
        return [header]
    return frames_of("the object", header) if header.get("SOPClassUID") in ENHANCED_CT else []


def check_one_patient(headers: Sequence[Dataset]) -> None:
    """Refuse headers of two patients, studies or orders; the text names the attribute, never a value.

    Raises
    ------
    SeriesError
        If they differ.
    """
    for name in IDENTITY:
        if len({str(header.get(name) or "") for header in headers}) > 1:
            raise SeriesError(
                f"The slices differ in {name}, so nobody can say whose they are; give one patient's series."
            )
