"""One simulated body at rest: thorax, heart, coronary courses and their calcium.

Patient coordinates, mm: x to the patient's left, y to the back, z to the head (DICOM's LPS); the centre of the heart
lies at z = 0, the isocentre at x = y = 0. The heart fits into +-72 mm, so a plan of 4 steps of 36 mm stands at
-54, -18, 18 and 54. Each object is *added* to what it lies in, so it must lie wholly inside its parent, at every
phase: tests hold that.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from simulators.burden import draw_lesions, score_at
from simulators.motion import VESSELS
from simulators.plaque import FAT_HU, Lesion
from simulators.scenario import Anatomy, Scenario

Floats = NDArray[np.float64]

MUSCLE_HU = 45.0  # muscle and unenhanced blood
LUNG_HU = -850.0
BONE_HU = 320.0
AIR_HU = -1000.0

SKIN_SEMI_AXES_MM = {"small": (150.0, 102.0), "medium": (175.0, 125.0), "large": (200.0, 150.0)}
"""Of the three classes of body: 300 x 204, 350 x 250, 400 x 300 mm, as a thorax phantom and its two rings of fat tissue
(QRM: 300 x 200, then 350 x 250 and 400 x 300 mm; general knowledge). What is inside is the same."""

HEART_CENTRE_MM = (14.0, -18.0, 0.0)
HEART_ANGLE_DEG = 35.0  # of the long in-plane axis, from the patient's left towards the back
MUSCLE_SEMI_AXES_MM = (43.0, 33.0, 49.0)  # of the outline that both halves of the heart fill
FAT_SEMI_AXES_MM = (55.0, 45.0, 61.0)  # 12 mm of fat around: the coronaries run in its middle

AORTA_MM, AORTA_RADIUS_MM = (34.0, 43.5), 10.0  # descending

COVERAGE_MM = 72.0
"""The heart and its coronaries lie within +- this of z = 0."""


@dataclass(frozen=True, slots=True)
class Half:
    """One half of the heart, an ellipsoid of muscle and blood, at end diastole; and what its own systole does to it.

    `centre_mm` lies along the heart's long axis, across it, and to the head. By end systole the half has swung about
    the heart's middle and come down with its valve's ring; the halves lie apart and inside the outline at every phase.
    """

    centre_mm: tuple[float, float, float]
    semi_axes_mm: tuple[float, float, float]
    swing_deg: float
    descent_mm: float


LEFT_HALF = Half((15.0, 0.0, 0.0), (25.0, 28.0, 43.0), 0.0, 0.0)
RIGHT_HALF = Half((-24.0, 4.0, 2.0), (13.0, 22.0, 30.0), 23.0, -6.0)
"""Left: ventricle and atrium by the clock of the left arteries. Right: the same by the clock of the right artery, which
lies in its groove. Its swing and descent give that artery its published speeds (`motion`)."""


@dataclass(frozen=True, slots=True)
class Course:
    """One artery's way over the heart, in shell coordinates of the heart at end diastole, and its own slide.

    `u_deg` is the direction from the heart's axis in the patient's x-y plane (0 left, 90 back, -90 front), `z_mm` the
    height; both run linearly from first to last. The artery swings and comes down with its half; the slide moves it
    *within the shell* of it by end systole.
    """

    u_deg: tuple[float, float]
    z_mm: tuple[float, float]
    slide_deg: float
    slide_mm: float
    radius_mm: float
    half: Half = LEFT_HALF


COURSES = {
    "LM": Course(u_deg=(-78.0, -64.0), z_mm=(31.0, 29.0), slide_deg=6.0, slide_mm=-2.0, radius_mm=1.8),
    "LAD": Course(u_deg=(-60.0, -38.0), z_mm=(26.0, -36.0), slide_deg=8.0, slide_mm=-2.0, radius_mm=1.5),
    "LCX": Course(u_deg=(-26.0, 68.0), z_mm=(28.0, 12.0), slide_deg=-16.0, slide_mm=-4.0, radius_mm=1.5),
    "RCA": Course(
        u_deg=(-112.0, -235.0), z_mm=(28.0, -24.0), slide_deg=0.0, slide_mm=0.0, radius_mm=1.6, half=RIGHT_HALF
    ),
}
"""Cartoon courses: each leaves at the base of the heart, the LAD for the apex, LCX and RCA around the AV groove."""


@dataclass(frozen=True, slots=True)
class Body:
    """One thing that does not move: an elliptic cylinder along z."""

    x_mm: float
    y_mm: float
    semi_axes_mm: tuple[float, float]
    angle_deg: float
    added_hu: float  # to its parent
    bone: bool = False  # what it adds is hydroxyapatite, else water


@dataclass(frozen=True, slots=True)
class Heart:
    """How large one heart is against the usual one, and where its middle lies at end diastole."""

    scale: float = 1.0
    centre_mm: tuple[float, float, float] = HEART_CENTRE_MM


@dataclass(frozen=True, slots=True)
class Other:
    """Something dense that is no coronary calcium and must not be scored.

    A stent lies on an artery's course like a lesion; valve calcium lies at `at_mm` from the middle of the heart and
    moves with it; calcium of the aortic wall lies at `at_mm` in the patient and does not move.
    """

    kind: Literal["stent", "valve", "aortic-wall"]
    semi_axes_mm: tuple[float, float, float]
    added_hu: float  # to its parent
    vessel: str = ""
    along: float = 0.0
    at_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Patient:
    """One body: what stands still, the courses of the coronaries, the calcium on them, and what else is dense."""

    bodies: tuple[Body, ...]
    courses: Mapping[str, Course]
    lesions: tuple[Lesion, ...]
    heart: Heart = Heart()
    others: tuple[Other, ...] = ()


def _rib(direction_deg: float, semi_axes_mm: tuple[float, float]) -> Body:
    """Put a rib's section into the middle of the chest wall, along it."""
    u = np.deg2rad(direction_deg)
    inner = np.array([_LUNGS.semi_axes_mm[0] * np.cos(u), _LUNGS.y_mm + _LUNGS.semi_axes_mm[1] * np.sin(u)])
    outer = np.array([_WALL.semi_axes_mm[0] * np.cos(u), _WALL.semi_axes_mm[1] * np.sin(u)])
    along = np.rad2deg(np.arctan2(130.0 * np.sin(u), 80.0 * np.cos(u)))  # across the wall, roughly
    x, y = 0.5 * (inner + outer)
    return Body(float(x), float(y), semi_axes_mm, float(along), BONE_HU - MUSCLE_HU, bone=True)


_WALL = Body(0.0, 0.0, (141.0, 93.0), 0.0, MUSCLE_HU - FAT_HU)
_LUNGS = Body(0.0, -9.0, (122.0, 67.0), 0.0, LUNG_HU - MUSCLE_HU)

BODIES = (
    Body(0.0, 0.0, SKIN_SEMI_AXES_MM["small"], 0.0, FAT_HU - AIR_HU),  # skin and fat
    _WALL,
    _LUNGS,  # both, and what lies between them, as one
    Body(0.0, 74.5, (17.0, 14.0), 0.0, BONE_HU - MUSCLE_HU, bone=True),  # spine
    Body(0.0, -84.0, (17.0, 4.0), 0.0, BONE_HU - MUSCLE_HU, bone=True),  # sternum
    Body(*AORTA_MM, (AORTA_RADIUS_MM, AORTA_RADIUS_MM), 0.0, MUSCLE_HU - LUNG_HU),  # descending aorta
    *(_rib(direction, (4.0, 9.0)) for direction in (0.0, 180.0)),
    *(_rib(direction, (3.5, 9.0)) for direction in (40.0, 140.0, -38.0, -142.0)),
)


HEART_SCALE_SD = 0.03  # ours: as much as the lungs and the plan of 144 mm have room for at 2 SD
HEART_SHIFT_SD_MM = 2.0  # ours

STENT_VESSEL, STENT_ALONG = "LAD", (0.30, 0.46)
_STENT_PARTS = 5

OTHERS: dict[str, tuple[Other, ...]] = {
    # a stent of 3 mm and some 12 mm: its struts, blurred by the scanner, are a dense rod (700 HU above fat; ours)
    "stent": tuple(
        Other("stent", (1.5, 1.5, 1.5), 790.0, vessel=STENT_VESSEL, along=float(along))
        for along in np.linspace(*STENT_ALONG, _STENT_PARTS)
    ),
    # at the root of the aorta, inside the heart, between the origins of the arteries
    "valve": (
        Other("valve", (3.5, 2.0, 1.8), 450.0, at_mm=(6.0, 4.0, 24.0)),
        Other("valve", (2.0, 3.0, 1.8), 350.0, at_mm=(14.0, 9.0, 25.0)),
    ),
    "aortic-wall": (
        Other("aortic-wall", (1.4, 2.4, 5.0), 600.0, at_mm=(AORTA_MM[0] - 7.5, AORTA_MM[1], -12.0)),
        Other("aortic-wall", (2.4, 1.4, 4.0), 500.0, at_mm=(AORTA_MM[0], AORTA_MM[1] + 7.5, 21.0)),
    ),
}
"""What must not be scored, by the name a scenario gives it."""


def make_patient(scenario: Scenario, seed: int) -> Patient:
    """Draw one patient: body, heart, the calcium on the fixed courses, and what else is dense.

    Parameters
    ----------
    scenario
        `anatomy` gives either the number of lesions per vessel and the range of radius (mm), or the group and the age
        whose scores the patient's is one of; the range of density (mg HA/cc); the body; and what must not be scored.
    seed
        Used where the anatomy names no seed of its own. The same seed gives the same patient, bit for bit.

    Returns
    -------
    Patient
        The body, and lesions in equal stretches of the courses.

    Raises
    ------
    ValueError
        If the anatomy names a vessel, a group or an age that there is not.
    """
    story = scenario.anatomy
    unknown = sorted(set(story.lesions) - set(VESSELS))
    if unknown:
        raise ValueError(f"the anatomy has calcium on {', '.join(unknown)}; the vessels are {', '.join(VESSELS)}")
    own = story.seed if story.seed is not None else seed
    rng = np.random.default_rng([own, 0xCA1C])
    if story.group is None:
        lesions = tuple(lesion for vessel in VESSELS for lesion in _lesions(vessel, story, rng))
    else:
        level = float(rng.uniform()) if story.level is None else story.level
        lesions = draw_lesions(score_at(story.group, story.age, level), story.density_mg_per_cc, rng)
    skin = Body(0.0, 0.0, SKIN_SEMI_AXES_MM[story.body], 0.0, FAT_HU - AIR_HU)
    heart = _heart(story, np.random.default_rng([own, 0x4EA7]))
    return Patient(
        bodies=(skin, *BODIES[1:]),
        courses=COURSES,
        lesions=_clear_of_stent(lesions) if "stent" in story.others else lesions,
        heart=heart,
        others=tuple(one for kind in story.others for one in OTHERS[kind]),
    )


def _lesions(vessel: str, story: Anatomy, rng: np.random.Generator) -> list[Lesion]:
    """Draw as many lesions on one artery as the story says, one in each equal stretch."""
    lesions = []
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
    return lesions


def _heart(story: Anatomy, rng: np.random.Generator) -> Heart:
    """Take the heart's size and place from the story, or draw them about it."""
    size, right, back = np.clip(rng.standard_normal(3), -2.0, 2.0) * float(story.heart_drawn)
    x, y, z = HEART_CENTRE_MM
    return Heart(
        scale=story.heart_scale * (1.0 + HEART_SCALE_SD * float(size)),
        centre_mm=(x + HEART_SHIFT_SD_MM * float(right), y + 0.5 * HEART_SHIFT_SD_MM * float(back), z),
    )


def _clear_of_stent(lesions: tuple[Lesion, ...]) -> tuple[Lesion, ...]:
    """Leave out what would lie where the stent is: it was opened there."""
    first, last = STENT_ALONG
    return tuple(one for one in lesions if one.vessel != STENT_VESSEL or not first - 0.12 <= one.along <= last + 0.12)
