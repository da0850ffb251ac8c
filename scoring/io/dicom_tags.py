"""Optional attributes of a CT image: its beat, and its factors for the mass. Absent or odd ones are None."""

import math

from pydicom.dataset import Dataset

from scoring.ends import Numbering
from scoring.io.dicom_file import number, text
from scoring.volume import Cardiac

NO_CONTRAST = {"", "NO", "NONE", "NO CONTRAST"}


def cardiac_of(dataset: Dataset) -> Cardiac:
    """Read the beat of an image: DICOM PS3.3 C.7.6.18 and the attributes that scanners write into plain CT images."""
    acquisition = number(dataset, "AcquisitionNumber")
    return Cardiac(
        trigger_time_ms=number(dataset, "TriggerTime"),
        rr_interval_ms=number(dataset, "NominalInterval"),
        phase_percent=number(dataset, "NominalPercentageOfCardiacPhase"),
        acquisition=None if acquisition is None else int(acquisition),
    )


def numbering_of(dataset: Dataset, frames: int | None = None) -> Numbering:
    """Read the number of an image and the counts that it tells; `frames` are those of its multi-frame object."""
    names = ("InstanceNumber", "AcquisitionNumber", "ImagesInAcquisition", "NumberOfSeriesRelatedInstances")
    told = [number(dataset, name) for name in names]
    instance, acquisition, in_acquisition, in_series = (None if value is None else int(value) for value in told)
    if frames is not None:  # the counts are of objects, and frames share their object's number
        part = "InConcatenationTotalNumber" in dataset
        return Numbering(acquisition=acquisition, in_object=None if part else frames)
    return Numbering(instance, acquisition, in_acquisition, in_series)


def contrast_of(dataset: Dataset) -> str:
    """Name the contrast agent, in plain and in enhanced images; empty when there is none."""
    told = text(dataset, "ContrastBolusAgent").strip()
    for item in dataset.get("ContrastBolusAgentSequence") or ():
        told = told or text(item, "CodeMeaning").strip() or "an agent without a name"
    return "" if told.upper() in NO_CONTRAST else told


def mass_factor_patient(dataset: Dataset) -> float | None:
    """Read (0018,9351), mg/mL/HU."""
    factor = number(dataset, "CalciumScoringMassFactorPatient")
    return factor if factor is not None and factor > 0 else None


def mass_factors_device(dataset: Dataset) -> tuple[float, float, float] | None:
    """Read the three values of (0018,9352), mg/mL/HU: for small, medium and large patients."""
    values = dataset.get("CalciumScoringMassFactorDevice")
    try:
        small, medium, large = (float(value) for value in values or ())
    except (TypeError, ValueError):
        return None
    three = (small, medium, large)
    return three if all(math.isfinite(value) and value > 0 for value in three) else None
