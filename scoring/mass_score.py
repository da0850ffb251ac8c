"""Islands and a calibration -> calcium mass. Without a calibration there is no mass."""

import math
from collections.abc import Iterable
from typing import Literal

import msgspec
import numpy as np

from scoring.islands import Island
from scoring.volume import Volume

SizeClass = Literal["small", "medium", "large"]
CalibrationSource = Literal["phantom", "patient-factor", "device-factor"]
ROD_MG_CM3 = 200.0  # hydroxyapatite of the calibration rod
PER_ML = 1e-3  # mg/mL/HU, as DICOM gives its factors, to mg/mm3/HU


class PhantomReading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person measured in the calibration insert that was scanned with the patient, or by the same protocol."""

    rod_hu: float  # mean of the hydroxyapatite rod, in a circle of 6.9 mm radius
    water_hu: float  # mean of the water rod
    rod_mg_cm3: float = ROD_MG_CM3

    def __post_init__(self) -> None:
        """Refuse a rod that is not brighter than water, or numbers that are none."""
        if not all(map(math.isfinite, (self.rod_hu, self.water_hu, self.rod_mg_cm3))):
            raise ValueError("a reading is a finite number")
        if self.rod_hu - self.water_hu < 1.0 or self.rod_mg_cm3 <= 0:
            raise ValueError("the rod must be brighter than water, and hold hydroxyapatite")


class Calibration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From HU to hydroxyapatite, and where that comes from."""

    mg_mm3_per_hu: float
    source: CalibrationSource
    told: str  # in words, printed with every mass


def calibration_of(
    volume: Volume, reading: PhantomReading | None = None, size: SizeClass | None = None
) -> Calibration | None:
    """Choose a calibration: a phantom before the patient's own factor, that before the scanner's; None: no mass.

    Parameters
    ----------
    volume
        Its mass factors in mg/mL/HU: (0018,9351) for this patient, (0018,9352) for small, medium and large ones.
    reading
        Of a phantom.
    size
        Class of the patient's lateral thickness, for the scanner's three factors; they are not used without it.

    References
    ----------
    McCollough 2007, doi:10.1148/radiol.2432050808 (calibration rods, size classes). DICOM PS3.3 C.8.2.1 (factors).
    """
    if reading is not None:
        factor = reading.rod_mg_cm3 * PER_ML / (reading.rod_hu - reading.water_hu)
        return Calibration(
            mg_mm3_per_hu=factor,
            source="phantom",
            told=f"rod of {reading.rod_mg_cm3:g} mg/cm3 at {reading.rod_hu:g} HU, water at {reading.water_hu:g} HU",
        )
    if volume.mass_factor_patient is not None:
        factor = volume.mass_factor_patient
        return Calibration(
            mg_mm3_per_hu=factor * PER_ML, source="patient-factor", told=f"factor {factor:g} of the images (0018,9351)"
        )
    if volume.mass_factors_device is not None and size is not None:
        factor = volume.mass_factors_device[("small", "medium", "large").index(size)]
        return Calibration(
            mg_mm3_per_hu=factor * PER_ML,
            source="device-factor",
            told=f"factor {factor:g} of the scanner (0018,9352) for a {size} patient",
        )
    return None


def hu_sum(islands: Iterable[Island], volume: Volume) -> float:
    """Sum of the HU of all counted pixels, correctly rounded, so that it does not depend on their order."""
    values = [volume.hu[island.slice, island.rows, island.columns].astype(np.float64) for island in islands]
    return math.fsum(np.concatenate(values)) if values else 0.0


def mass_mg(total_hu: float, volume: Volume, calibration: Calibration) -> float:
    """Mass of hydroxyapatite: factor x volume x mean HU, in mg.

    Parameters
    ----------
    total_hu
        Sum of the HU of the counted pixels (`hu_sum`).
    volume
        Pixel area and increment: the volume of one pixel in mm3.
    calibration
        mg/mm3 per HU.

    References
    ----------
    McCollough 2007, doi:10.1148/radiol.2432050808: mass = c x volume x mean HU, c = 0.2 / (HU rod - HU water).

    Notes
    -----
    Our decision: the volume is always that of whole voxels; an interpolated volume would need interpolated HU.
    """
    return calibration.mg_mm3_per_hu * volume.pixel_area_mm2 * volume.increment_mm * total_hu
