"""One simulated body at rest: thorax, heart, coronary courses and their calcium.

Patient coordinates, mm: x to the patient's left, y to the back, z to the head (DICOM's LPS); the centre of the heart
lies at z = 0, the isocentre at x = y = 0. The heart fits into +-72 mm, so a plan of 4 steps of 36 mm stands at
-54, -18, 18 and 54. Each object is *added* to what it lies in, so it must lie wholly inside its parent, at every
phase: tests hold that.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.motion import VESSELS
from simulators.scenario import Scenario

Floats = NDArray[np.float64]

HU_PER_MG_PER_CC = 1.31  # hydroxyapatite in water at 70 keV, displaced water counted (xraydb; ct-simulation.md 4)
FAT_HU = -90.0
MUSCLE_HU = 45.0  # muscle and unenhanced blood
LUNG_HU = -850.0
BONE_HU = 320.0
AIR_HU = -1000.0

HEART_CENTRE_MM = (14.0, -18.0, 0.0)
HEART_ANGLE_DEG = 35.0  # of the long in-plane axis, from the patient's left towards the back
MUSCLE_SEMI_AXES_MM = (43.0, 33.0, 49.0)
FAT_SEMI_AXES_MM = (55.0, 45.0, 61.0)  # 12 mm of fat around: the coronaries run in its middle

COVERAGE_MM = 72.0
"""The heart and its coronaries lie within +- this of z = 0."""


@dataclass(frozen=True, slots=True)
class Course:
    """One artery's way over the heart, in shell coordinates of the heart at end diastole, and its own slide.

    `u_deg` is the direction from the heart's axis in the patient's x-y plane (0 left, 90 back, -90 front), `z_mm` the
    height; both run linearly from first to last. The slide moves the artery *within the shell* by end systole.
    """

    u_deg: tuple[float, float]
    z_mm: tuple[float, float]
    slide_deg: float
    slide_mm: float
    radius_mm: float


COURSES = {
    "LM": Course(u_deg=(-78.0, -64.0), z_mm=(31.0, 29.0), slide_deg=6.0, slide_mm=-2.0, radius_mm=1.8),
    "LAD": Course(u_deg=(-60.0, -38.0), z_mm=(26.0, -36.0), slide_deg=8.0, slide_mm=-2.0, radius_mm=1.5),
    "LCX": Course(u_deg=(-26.0, 68.0), z_mm=(28.0, 12.0), slide_deg=-16.0, slide_mm=-4.0, radius_mm=1.5),
    "RCA": Course(u_deg=(-112.0, -235.0), z_mm=(28.0, -24.0), slide_deg=23.0, slide_mm=-6.0, radius_mm=1.6),
}
"""Cartoon courses: each leaves at the base of the heart, the LAD for the apex, LCX and RCA around the AV groove."""


@dataclass(frozen=True, slots=True)
class Lesion:
    """One calcified plaque: where on its artery's course (0..1), how large, how dense."""

    vessel: str
    along: float
    semi_axes_mm: tuple[float, float, float]
    angle_deg: float
    density_mg_per_cc: float


@dataclass(frozen=True, slots=True)
class Body:
    """One thing that does not move: an elliptic cylinder along z."""

    x_mm: float
    y_mm: float
    semi_axes_mm: tuple[float, float]
    angle_deg: float
    added_hu: float  # to its parent


@dataclass(frozen=True, slots=True)
class Patient:
    """One body: what stands still, the courses of the coronaries, and the calcium on them."""

    bodies: tuple[Body, ...]
    courses: Mapping[str, Course]
    lesions: tuple[Lesion, ...]


def _rib(direction_deg: float, semi_axes_mm: tuple[float, float]) -> Body:
    """Put a rib's section into the middle of the chest wall, along it."""
    u = np.deg2rad(direction_deg)
    inner = np.array([_LUNGS.semi_axes_mm[0] * np.cos(u), _LUNGS.y_mm + _LUNGS.semi_axes_mm[1] * np.sin(u)])
    outer = np.array([_WALL.semi_axes_mm[0] * np.cos(u), _WALL.semi_axes_mm[1] * np.sin(u)])
    along = np.rad2deg(np.arctan2(130.0 * np.sin(u), 80.0 * np.cos(u)))  # across the wall, roughly
    x, y = 0.5 * (inner + outer)
    return Body(float(x), float(y), semi_axes_mm, float(along), BONE_HU - MUSCLE_HU)


_WALL = Body(0.0, 0.0, (141.0, 93.0), 0.0, MUSCLE_HU - FAT_HU)
_LUNGS = Body(0.0, -9.0, (122.0, 67.0), 0.0, LUNG_HU - MUSCLE_HU)

BODIES = (
    Body(0.0, 0.0, (150.0, 102.0), 0.0, FAT_HU - AIR_HU),  # skin and fat, 300 x 204 mm
    _WALL,
    _LUNGS,  # both, and what lies between them, as one
    Body(0.0, 74.5, (17.0, 14.0), 0.0, BONE_HU - MUSCLE_HU),  # spine
    Body(0.0, -84.0, (17.0, 4.0), 0.0, BONE_HU - MUSCLE_HU),  # sternum
    Body(34.0, 43.5, (10.0, 10.0), 0.0, MUSCLE_HU - LUNG_HU),  # descending aorta
    *(_rib(direction, (4.0, 9.0)) for direction in (0.0, 180.0)),
    *(_rib(direction, (3.5, 9.0)) for direction in (40.0, 140.0, -38.0, -142.0)),
)


def make_patient(scenario: Scenario, seed: int) -> Patient:
    """Draw one patient's calcium on the fixed courses.

    Parameters
    ----------
    scenario
        `anatomy` gives the number of lesions per vessel and the ranges of density (mg HA/cc) and radius (mm).
    seed
        Used where the anatomy names no seed of its own. The same seed gives the same patient, bit for bit.

    Returns
    -------
    Patient
        The body, and one lesion in each equal stretch of a course.

    Raises
    ------
    ValueError
        If the anatomy names a vessel that there is not.
    """
    story = scenario.anatomy
    unknown = sorted(set(story.lesions) - set(VESSELS))
    if unknown:
        raise ValueError(f"the anatomy has calcium on {', '.join(unknown)}; the vessels are {', '.join(VESSELS)}")
    rng = np.random.default_rng([story.seed if story.seed is not None else seed, 0xCA1C])
    lesions = []
    for vessel in VESSELS:
        count = story.lesions.get(vessel, 0)
        for n in range(count):
            radius = rng.uniform(*story.radius_mm)
            lengths = rng.uniform(1.0, 1.5, size=2)  # plaques are long rather than round
            lesions.append(
                Lesion(
                    vessel=vessel,
                    # a stretch of the first four fifths, where calcium sits; never at its very ends, so that two
                    # neighbours do not touch
                    along=float(0.8 * (n + rng.uniform(0.3, 0.7)) / count),
                    semi_axes_mm=(float(radius * lengths[0]), float(radius), float(radius * lengths[1])),
                    angle_deg=float(rng.uniform(0.0, 180.0)),
                    density_mg_per_cc=float(rng.uniform(*story.density_mg_per_cc)),
                )
            )
    return Patient(bodies=BODIES, courses=COURSES, lesions=tuple(lesions))
