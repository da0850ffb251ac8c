"""Where every object of the body is at each instant: the tables that the projector draws.

The heart is a sac of fat with two halves in it, each with its own clock. The coronaries and their calcium live in
shell coordinates (direction u, height z) of the *moving* heart, in the middle of its fat, and go with their half:
whatever the heart does they cannot leave the fat, so nothing but calcium and bone is ever dense.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators import anatomy
from simulators.anatomy import LUNG_HU, MUSCLE_HU, Half, Heart, Other, Patient
from simulators.motion import VESSELS
from simulators.plaque import FAT_HU, HU_PER_MG_PER_CC, Lesion

Floats = NDArray[np.float64]

ELLIPSOID, SLAB_ELLIPSOID, CYLINDER, ROD = 0.0, 1.0, 2.0, 3.0
"""What column 9 of a table says: an ellipsoid cut at the slice's mid-plane, one averaged exactly over the slice (small
objects, where through-plane partial volume matters), an endless cylinder along z, or one of half length c."""

ANTERIOR_PER_CAUDAL = 1.3 / 4.9  # of the heart in a breath (Shechter 2004, IEEE TMI 23:1046)
BEAD_SPACING_MM = 4.0  # an artery is drawn as a row of beads; touching ones would add up to a false density
_CLEAR_OF_LESION_MM = 1.5

# What end systole does to the heart: both shells shrink, it twists and is drawn towards the apex.
_MUSCLE_SHRINKS = 0.10
_FAT_SHRINKS = 0.05
_TWIST_DEG = 3.0
_SHIFT_MM = np.array([1.0, -1.0, -1.5])


@dataclass(frozen=True, slots=True)
class Pose:
    """The heart at some instants; arrays [time] or [time, 3]."""

    centre_mm: Floats
    muscle_mm: Floats
    fat_mm: Floats
    twist_rad: Floats


def pose(heart: Heart, left: Floats, caudal_mm: Floats) -> Pose:
    """Place a heart: `left` is the displacement fraction of the left side, `caudal_mm` the breath; both [time]."""
    breath = np.stack([np.zeros_like(caudal_mm), -ANTERIOR_PER_CAUDAL * caudal_mm, -caudal_mm], axis=-1)
    return Pose(
        centre_mm=np.array(heart.centre_mm) + left[:, None] * _SHIFT_MM + breath,
        muscle_mm=heart.scale * np.array(anatomy.MUSCLE_SEMI_AXES_MM) * (1.0 - _MUSCLE_SHRINKS * left[:, None]),
        fat_mm=heart.scale * np.array(anatomy.FAT_SEMI_AXES_MM) * (1.0 - _FAT_SHRINKS * left[:, None]),
        twist_rad=np.deg2rad(_TWIST_DEG) * left,
    )


def halves(left: Floats, right: Floats) -> tuple[tuple[Half, Floats], tuple[Half, Floats]]:
    """Give both halves of the heart, each with its own displacement fraction, [time]."""
    return (anatomy.LEFT_HALF, left), (anatomy.RIGHT_HALF, right)


def _half(heart: Heart, at: Pose, half: Half, own: Floats) -> Floats:
    """Place one half of the heart, [time, 1, 11]: `own` is the displacement fraction of its side."""
    turned = np.deg2rad(anatomy.HEART_ANGLE_DEG) + at.twist_rad + own * np.deg2rad(half.swing_deg)
    along, across, up = heart.scale * np.array(half.centre_mm)
    shrunk = at.muscle_mm[:, 2] / (heart.scale * anatomy.MUSCLE_SEMI_AXES_MM[2])
    one = np.empty((len(own), 1, 11))
    one[:, 0, 0] = at.centre_mm[:, 0] + along * np.cos(turned) - across * np.sin(turned)
    one[:, 0, 1] = at.centre_mm[:, 1] + along * np.sin(turned) + across * np.cos(turned)
    one[:, 0, 2] = at.centre_mm[:, 2] + up * shrunk + own * half.descent_mm
    one[:, 0, 3:6] = heart.scale * np.array(half.semi_axes_mm) * (1.0 - _MUSCLE_SHRINKS * own[:, None])
    one[:, 0, 6], one[:, 0, 7] = np.cos(turned), np.sin(turned)
    one[:, 0, 8:] = (MUSCLE_HU - FAT_HU) / 1000.0, ELLIPSOID, 0.0
    return one


def course_points(patient: Patient, vessel: str, along: ArrayLike, displacement: Floats, caudal_mm: Floats) -> Floats:
    """Give where points of one artery are.

    Parameters
    ----------
    patient
        Whose artery.
    vessel
        One of `VESSELS`.
    along
        Fractions of its course, [point].
    displacement
        Displacement fractions, [time, vessel].
    caudal_mm
        The breath, [time].

    Returns
    -------
    Floats
        Patient coordinates in mm, [time, point, 3].
    """
    course, fraction = patient.courses[vessel], np.atleast_1d(np.asarray(along, dtype=np.float64))
    own = displacement[:, VESSELS.index(vessel), None]
    left = displacement[:, VESSELS.index("LAD")]
    heart = pose(patient.heart, left, caudal_mm)
    shell = 0.5 * (heart.muscle_mm + heart.fat_mm)[:, None, :]
    at_rest = 0.5 * (anatomy.MUSCLE_SEMI_AXES_MM[2] + anatomy.FAT_SEMI_AXES_MM[2])
    angle = np.deg2rad(anatomy.HEART_ANGLE_DEG)
    swung = course.slide_deg + course.half.swing_deg
    u = np.deg2rad(np.interp(fraction, (0, 1), course.u_deg)) + own * np.deg2rad(swung)
    u = u + heart.twist_rad[:, None] - angle
    z = np.interp(fraction, (0, 1), course.z_mm) * shell[..., 2] / at_rest
    z = z + own * (course.slide_mm + course.half.descent_mm)
    wide = np.sqrt(1.0 - (z / shell[..., 2]) ** 2)
    x, y = shell[..., 0] * wide * np.cos(u), shell[..., 1] * wide * np.sin(u)
    turned = np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle), z], axis=-1)
    return np.asarray(turned + heart.centre_mm[:, None, :])


def _bead_fractions(patient: Patient, vessel: str) -> Floats:
    """Space the beads of one artery at end diastole, leaving out those that a lesion needs the room of."""
    still, none = np.zeros((1, len(VESSELS))), np.zeros(1)
    fine = np.linspace(0.0, 1.0, 400)
    line = course_points(patient, vessel, fine, still, none)[0]
    length = np.concatenate(([0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))))
    fractions = np.interp(np.arange(0.0, length[-1], BEAD_SPACING_MM), length, fine)
    beads = course_points(patient, vessel, fractions, still, none)[0]
    keep = np.ones(len(fractions), dtype=bool)
    dense: tuple[Lesion | Other, ...] = (*patient.lesions, *(other for other in patient.others if other.vessel))
    for lesion in dense:
        centre = course_points(patient, lesion.vessel, [lesion.along], still, none)[0, 0]
        reach = max(lesion.semi_axes_mm) + patient.courses[vessel].radius_mm + _CLEAR_OF_LESION_MM
        keep &= np.linalg.norm(beads - centre, axis=1) > reach
    return np.asarray(fractions[keep])


def static_table(patient: Patient) -> Floats:
    """Give the objects that never move, [1, object, 11] (columns as in `moving_table`)."""
    rows = []
    for body in patient.bodies:
        angle = np.deg2rad(body.angle_deg)
        row = [body.x_mm, body.y_mm, 0.0, *body.semi_axes_mm, 1.0, np.cos(angle), np.sin(angle)]
        rows.append([*row, body.added_hu / 1000.0, CYLINDER, float(body.bone)])
    return np.array([rows])


def moving_table(patient: Patient, displacement: Floats, caudal_mm: Floats) -> Floats:
    """Give the heart, its arteries and their calcium.

    Parameters
    ----------
    patient
        Whose heart.
    displacement
        Displacement fractions, [view, vessel].
    caudal_mm
        The breath, [view].

    Returns
    -------
    Floats
        [view, object, 11]: centre x, y, z and semi-axes a, b, c in mm, cosine and sine of the in-plane angle, what
        the object adds to its parent (1 = the attenuation of water), the kind, and how much of what it adds is
        hydroxyapatite and not water (0 to 1).
    """
    views = len(displacement)
    left, right = (displacement[:, VESSELS.index(vessel)] for vessel in ("LAD", "RCA"))
    heart = pose(patient.heart, left, caudal_mm)
    angle = np.deg2rad(anatomy.HEART_ANGLE_DEG)
    fat = np.empty((views, 1, 11))
    fat[:, 0, :3], fat[:, 0, 3:6] = heart.centre_mm, heart.fat_mm
    fat[:, 0, 6:] = np.cos(angle), np.sin(angle), (FAT_HU - LUNG_HU) / 1000.0, ELLIPSOID, 0.0
    tables = [fat, *(_half(patient.heart, heart, half, own) for half, own in halves(left, right))]
    for vessel in VESSELS:
        beads = course_points(patient, vessel, _bead_fractions(patient, vessel), displacement, caudal_mm)
        many = np.empty((views, beads.shape[1], 11))
        many[..., :3], many[..., 3:6] = beads, patient.courses[vessel].radius_mm
        many[..., 6:] = 1.0, 0.0, (MUSCLE_HU - FAT_HU) / 1000.0, SLAB_ELLIPSOID, 0.0
        tables.append(many)
    for lesion in patient.lesions:
        turned = np.deg2rad(lesion.angle_deg)
        one = np.empty((views, 1, 11))
        one[..., :3] = course_points(patient, lesion.vessel, [lesion.along], displacement, caudal_mm)
        one[..., 3:6] = lesion.semi_axes_mm
        calcium_hu = HU_PER_MG_PER_CC * lesion.density_mg_per_cc
        added_hu = calcium_hu - FAT_HU
        one[..., 6:9] = np.cos(turned), np.sin(turned), added_hu / 1000.0
        one[..., 9:] = SLAB_ELLIPSOID, calcium_hu / added_hu
        tables.append(one)
    for other in patient.others:
        one = np.empty((views, 1, 11))
        one[:, 0, :3] = np.array(other.at_mm) + (heart.centre_mm if other.kind == "valve" else 0.0)
        if other.vessel:
            one[..., :3] = course_points(patient, other.vessel, [other.along], displacement, caudal_mm)
        one[..., 3:6] = other.semi_axes_mm
        one[..., 6:] = 1.0, 0.0, other.added_hu / 1000.0, SLAB_ELLIPSOID, 1.0  # metal counts as calcium
        tables.append(one)
    return np.concatenate(tables, axis=1)


def hu_at(patient: Patient, points_mm: Floats, displacement: Floats, caudal_mm: float = 0.0) -> Floats:
    """Evaluate the phantom itself, without a scanner.

    Parameters
    ----------
    patient
        Whose body.
    points_mm
        Patient coordinates, [point, 3].
    displacement
        Displacement fractions, [vessel].
    caudal_mm
        The breath.

    Returns
    -------
    Floats
        HU, [point].
    """
    moving = moving_table(patient, displacement[None, :], np.array([caudal_mm]))[0]
    total = np.zeros(len(points_mm))
    for row in np.concatenate((static_table(patient)[0], moving)):
        x, y, z = (points_mm - row[:3]).T
        along, across = x * row[6] + y * row[7], y * row[6] - x * row[7]
        inside = (along / row[3]) ** 2 + (across / row[4]) ** 2
        if row[9] != CYLINDER:
            inside = inside + (z / row[5]) ** 2
        total += np.where(inside <= 1.0, row[8], 0.0)
    return 1000.0 * (total - 1.0)


def without_calcium(patient: Patient) -> Patient:
    """Give the same body with clean arteries, and nothing else that is dense."""
    return replace(patient, lesions=(), others=())
