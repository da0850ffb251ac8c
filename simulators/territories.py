"""The vessel territories of a study: where each coronary artery may be at any phase."""

import numpy as np
from numpy.typing import NDArray

from simulators.anatomy import Patient
from simulators.motion import VESSELS, MotionClock
from simulators.phantom import course_points
from simulators.study import StudyVolume

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Labels = NDArray[np.uint8]

TERRITORY_MM = 5.0  # around the swept course
STENT_MM = 4.5  # around the swept parts of a stent: their radius, and as far as the scanner blurs them
_SWEEP_PHASES = 25
_COURSE_STEP_MM = 2.0


def territories(patient: Patient, motion: MotionClock, volume: StudyVolume) -> Labels:
    """Label where each coronary artery may be at any phase.

    Parameters
    ----------
    patient, motion
        Whose arteries; their courses are swept over one cycle of the mean rate, and over the breath's displacement.
    volume
        The grid. Frozen and moving volumes of one scan share the labels made from the moving one.

    Returns
    -------
    Labels
        uint8 [slice, row, column]: 0 none, then 1 + the place in `VESSELS`. Disjoint: the nearest course wins, the
        first of equals. Where a stent may be there is none.
    """
    rr_s = motion.mean_rr_ms * 1e-3
    steady = MotionClock(np.arange(-4, 5) * rr_s, motion.rest)
    phases = steady.displacement(np.linspace(0.0, rr_s, _SWEEP_PHASES))
    least, most = volume.caudal_mm
    caudal = np.linspace(least, most, 1 + int(np.ceil((most - least) / _COURSE_STEP_MM)))
    displacement = np.tile(phases, (len(caudal), 1))
    breath = np.repeat(caudal, len(phases))
    best = np.full(volume.hu.shape, np.float32(TERRITORY_MM**2))
    labels = np.zeros(volume.hu.shape, dtype=np.uint8)
    for vessel in VESSELS:
        ends = course_points(patient, vessel, np.linspace(0.0, 1.0, 50), displacement[:1], breath[:1])[0]
        length = float(np.linalg.norm(np.diff(ends, axis=0), axis=1).sum())
        along = np.linspace(0.0, 1.0, 2 + int(length / _COURSE_STEP_MM))
        points = course_points(patient, vessel, along, displacement, breath).reshape(-1, 3)
        _paint(labels, best, np.unique(np.round(points), axis=0), 1 + VESSELS.index(vessel), volume)
    stents = [other for other in patient.others if other.vessel]
    if stents:
        places, near = np.zeros_like(labels), np.full(labels.shape, np.float32(STENT_MM**2))
        for stent in stents:
            points = course_points(patient, stent.vessel, [stent.along], displacement, breath).reshape(-1, 3)
            _paint(places, near, np.unique(np.round(points), axis=0), 1, volume)
        labels[places == 1] = 0
    return labels


def _paint(labels: Labels, best: Singles, points: Floats, label: int, volume: StudyVolume) -> None:
    """Paint balls around points, each pixel to whoever is nearest so far."""
    reach = int(np.ceil(TERRITORY_MM / volume.pixel_mm))
    size = volume.hu.shape[1]
    axis = np.arange(-reach, reach + 1)
    for x, y, z in points:
        column, row = round((x - volume.x0_mm) / volume.pixel_mm), round((y - volume.y0_mm) / volume.pixel_mm)
        columns = column + axis[(column + axis >= 0) & (column + axis < size)]
        rows = row + axis[(row + axis >= 0) & (row + axis < size)]
        if not len(columns) or not len(rows):
            continue
        dx2 = (volume.x0_mm + columns * volume.pixel_mm - x) ** 2
        dy2 = (volume.y0_mm + rows * volume.pixel_mm - y) ** 2
        flat = (dy2[:, None] + dx2[None, :]).astype(np.float32)
        box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        for n in np.flatnonzero(np.abs(volume.z_mm - z) < TERRITORY_MM):
            squared = flat + np.float32((volume.z_mm[n] - z) ** 2)
            nearer = squared < best[n][box]
            best[n][box][nearer] = squared[nearer]
            labels[n][box][nearer] = label
