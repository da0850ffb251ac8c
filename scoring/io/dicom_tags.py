"""Optional attributes of a CT image: its beat, and its factors for the mass. Absent or odd ones are None."""

import math

from pydicom.dataset import Dataset

from scoring.volume import Cardiac


def cardiac_of(dataset: Dataset) -> Cardiac:
    """Read the beat of an image: DICOM PS3.3 C.7.6.18 and the attributes that scanners write into plain CT images."""
    acquisition = _number(dataset, "AcquisitionNumber")
    return Cardiac(
        trigger_time_ms=_number(dataset, "TriggerTime"),
        rr_interval_ms=_number(dataset, "NominalInterval"),
        phase_percent=_number(dataset, "NominalPercentageOfCardiacPhase"),
        acquisition=None if acquisition is None else int(acquisition),
    )


def mass_factor_patient(dataset: Dataset) -> float | None:
    """Read (0018,9351), mg/mL/HU."""
    factor = _number(dataset, "CalciumScoringMassFactorPatient")
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


def _number(dataset: Dataset, name: str) -> float | None:
    """Finite number of an attribute; None when it is absent, empty or no number."""
    try:
        number = float(dataset.get(name))
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
