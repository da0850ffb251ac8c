"""Named phantoms whose calcium is known: a cardiac calcification insert, and rods that move in a straight line.

Both lie in a water-filled ellipse of a thorax's size. They are scenes for `study.scan`; no heart, no breath.

References: the insert, QRM's cardiac calcification insert as phantom studies describe it: cylinders of 1, 3 and 5 mm
and as long, of 200, 400 and 800 mg HA/cc (Groen 2008, PMC2373860; ct-simulation.md section 6). The rods: 5 mm wide and
10 mm long, moved at 10 to 50 mm/s (van der Werf 2018, doi:10.1007/s10554-017-1293-x). Our deviations:

- all axes of the cylinders run along the table; where they stand in the slice is ours.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.anatomy import AIR_HU
from simulators.phantom import CYLINDER, ROD
from simulators.plaque import HU_PER_MG_PER_CC

Floats = NDArray[np.float64]

PHANTOMS = {
    "insert": "cylinders of 1, 3 and 5 mm of 200, 400 and 800 mg/cc, and a calibration rod",
    "rods": "rods of 5 x 10 mm of 200, 400 and 800 mg/cc that move in a straight line",
}
BODY_SEMI_AXES_MM = (150.0, 100.0)
DIAMETERS_MM = (1.0, 3.0, 5.0)
DENSITIES_MG_PER_CC = (200.0, 400.0, 800.0)
CALIBRATION_MM = (20.0, 30.0)  # diameter, length
CALIBRATION_MG_PER_CC = 200.0


@dataclass(frozen=True, slots=True)
class Rod:
    """One cylinder along the table."""

    x_mm: float
    y_mm: float
    z_mm: float
    diameter_mm: float
    length_mm: float
    density_mg_per_cc: float

    @property
    def mass_mg(self) -> float:
        """Give its mass of hydroxyapatite."""
        volume_mm3 = np.pi * self.diameter_mm**2 / 4.0 * self.length_mm
        return float(volume_mm3 * self.density_mg_per_cc * 1e-3)


@dataclass(frozen=True, slots=True)
class Insert:
    """Rods in water. All move alike: `velocity_mm_per_s` (x, y, z), and are where they are said to be at `at_s`."""

    rods: tuple[Rod, ...]
    velocity_mm_per_s: tuple[float, float, float] = (0.0, 0.0, 0.0)
    at_s: float = 0.0

    def still(self) -> Floats:
        """Give the water around, [1, 1, 11]."""
        return np.array([[[0.0, 0.0, 0.0, *BODY_SEMI_AXES_MM, 1.0, 1.0, 0.0, -AIR_HU / 1000.0, CYLINDER, 0.0]]])

    def moving(self, times_s: Floats) -> Floats:
        """Give the rods at some instants, [time, rod, 11]."""
        table = np.empty((len(times_s), len(self.rods), 11))
        for number, rod in enumerate(self.rods):
            added = HU_PER_MG_PER_CC * rod.density_mg_per_cc / 1000.0
            half = rod.diameter_mm / 2.0
            where = (rod.x_mm, rod.y_mm, rod.z_mm, half, half, rod.length_mm / 2.0)
            table[:, number] = (*where, 1.0, 0.0, added, ROD, 1.0)
        moved = (np.asarray(times_s) - self.at_s)[:, None] * np.array(self.velocity_mm_per_s)
        table[:, :, :3] += moved[:, None, :]
        return table


def calcification_insert(z_mm: float = 0.0) -> Insert:
    """Make the cardiac calcification insert: nine cylinders about the axis, and a calibration rod behind them.

    Parameters
    ----------
    z_mm
        Height of the middle of them all: how they lie against the slices.
    """
    rods = []
    for column, density in enumerate(DENSITIES_MG_PER_CC):
        for row, diameter in enumerate(DIAMETERS_MM):
            x_mm, y_mm = 20.0 * (column - 1), 20.0 * (row - 1) - 15.0
            rods.append(Rod(x_mm, y_mm, z_mm, diameter, diameter, density))
    diameter, length = CALIBRATION_MM
    rods.append(Rod(0.0, 40.0, z_mm, diameter, length, CALIBRATION_MG_PER_CC))
    return Insert(tuple(rods))


def moving_rods(speed_mm_per_s: float, direction_deg: float, at_s: float, z_mm: float = 0.0) -> Insert:
    """Make three rods of 5 x 10 mm of 200, 400 and 800 mg/cc that move alike across the table.

    Parameters
    ----------
    speed_mm_per_s, direction_deg
        In the slice's plane; 0 is towards the patient's left, 90 towards the back.
    at_s
        When they pass the places where they are drawn: the middle of the exposure.
    z_mm
        Height of their middle.
    """
    direction = np.deg2rad(direction_deg)
    velocity = (speed_mm_per_s * float(np.cos(direction)), speed_mm_per_s * float(np.sin(direction)), 0.0)
    places = ((-35.0, -10.0), (0.0, 20.0), (35.0, -10.0))
    rods = (Rod(x, y, z_mm, 5.0, 10.0, one) for (x, y), one in zip(places, DENSITIES_MG_PER_CC, strict=True))
    return Insert(tuple(rods), velocity, at_s)
