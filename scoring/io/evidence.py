"""The headers of the images that a score was made from: patient, study and order come from here and nowhere else."""

import io
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from scoring.io.dicom_in import CT_IMAGE
from scoring.io.errors import SeriesError
from scoring.volume import Volume


def read_evidence(source: Path, volume: Volume) -> tuple[Dataset, ...]:
    """Read the headers of a volume's slices, without pixels, in the volume's order.

    Raises
    ------
    SeriesError
        If a slice of the volume has no file, or the files are not of one patient and one study.
    """
    headers = []
    for path in sorted(path for path in source.iterdir() if path.is_file()):
        try:
            header = pydicom.dcmread(io.BytesIO(path.read_bytes()), stop_before_pixels=True)
        except pydicom.errors.InvalidDicomError:
            continue
        if header.get("SOPClassUID") == CT_IMAGE and str(header.get("SeriesInstanceUID")) == volume.series_uid:
            headers.append(header)
    ordered = []
    for corner in volume.corners_mm:
        at = [one for one in headers if np.allclose(np.array(one.ImagePositionPatient, dtype=float), corner, atol=1e-6)]
        if not at:
            raise SeriesError(f"The slice at {corner[2]:g} mm has no file any more; give the folder that was scored.")
        ordered.append(at[0])
    for name in ("PatientID", "StudyInstanceUID", "AccessionNumber"):
        if len({str(header.get(name, "")) for header in ordered}) > 1:
            raise SeriesError(
                f"The slices differ in {name}, so nobody can say whose they are; give one patient's series."
            )
    return tuple(ordered)
