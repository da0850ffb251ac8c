"""From exposures to slices: what a scanner would have shown of this patient at those instants, and with a still heart.

Each exposure is one slab. Its slices share views and instants; each has its own seeded noise, so that the moving and
the frozen study differ by what moved alone.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gating.messages import AcquisitionPlan
from simulators.anatomy import Patient
from simulators.motion import VESSELS, Breathing, MotionClock
from simulators.phantom import course_points, moving_table, static_table
from simulators.projector import VIEWS_PER_ROTATION, add_noise, half_scan_views, make_fan, photons, project
from simulators.reconstruction import make_grid, make_method, reconstruct

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Labels = NDArray[np.uint8]

TERRITORY_MM = 5.0  # around the swept course
STENT_MM = 4.5  # around the swept parts of a stent: their radius, and as far as the scanner blurs them
_SWEEP_PHASES = 25
_COURSE_STEP_MM = 2.0


@dataclass(frozen=True, slots=True)
class Shot:
    """One exposure as it really was. `opened_at_s` is the patient time of the first view that is reconstructed."""

    step: int
    table_mm: float
    opened_at_s: float
    start_angle_deg: float  # of the gantry at that instant


class Scene(Protocol):
    """What lies in the scanner: tables of objects as `phantom.moving_table` gives them."""

    def still(self) -> Floats:
        """Give what never moves and runs through all slices, [1, object, 10]."""

    def moving(self, times_s: Floats) -> Floats:
        """Give all else at some instants of patient time, [time, object, 10], or [1, object, 10] if it stands still."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """Hold every vessel where it is `centre_after_r_ms` after the R of a steady beat of `rr_ms`."""

    rr_ms: float
    centre_after_r_ms: float


@dataclass(frozen=True, slots=True, eq=False)
class StudyVolume:
    """The slices of a study, by rising z."""

    hu: Singles  # [slice, row, column]; rows run to the back, columns to the patient's left
    z_mm: Floats  # middle of each slice, [slice]
    step_of_slice: NDArray[np.int64]
    pixel_mm: float
    x0_mm: float  # centre of column 0
    y0_mm: float  # centre of row 0
    caudal_mm: tuple[float, float]  # least and most that the breath displaced the heart during the views
    plan: AcquisitionPlan
    shots: tuple[Shot, ...]


def view_count(plan: AcquisitionPlan) -> int:
    """Count the views that each source makes in one exposure of this plan."""
    return half_scan_views(plan.fan_deg, plan.feather_deg, sources=plan.sources)


def view_times_s(shot: Shot, plan: AcquisitionPlan) -> Floats:
    """Give the patient time of each view of one exposure, [view]."""
    return np.asarray(shot.opened_at_s + np.arange(view_count(plan)) * plan.rotation_ms * 1e-3 / VIEWS_PER_ROTATION)


def view_angles_rad(start_angle_deg: float, plan: AcquisitionPlan) -> Floats:
    """Give the angle of each source at each view of one exposure, [source, view]; the second stands at 90 degrees."""
    turned = 2.0 * np.pi / VIEWS_PER_ROTATION * np.arange(view_count(plan))
    apart = np.pi / plan.sources * np.arange(plan.sources)
    return np.asarray(np.deg2rad(start_angle_deg) + apart[:, None] + turned)


def slice_positions_mm(table_mm: float, plan: AcquisitionPlan) -> Floats:
    """Give the middles of the slices of one slab, [slice]: contiguous, around the table position."""
    count = plan.slices_per_step
    return np.asarray(table_mm + (np.arange(count) - 0.5 * (count - 1)) * plan.slice_thickness_mm)


def acquire(
    patient: Patient,
    motion: MotionClock,
    shots: Sequence[Shot],
    plan: AcquisitionPlan,
    *,
    noise_seed: int | None,
    breathing: Breathing | None = None,
    frozen: Frozen | None = None,
    threads: int = 2,
) -> StudyVolume:
    """Scan a patient.

    Parameters
    ----------
    patient, motion
        Whose body, and where its coronaries are at each instant.
    shots
        The exposures, one per step; steps may be missing.
    plan
        Geometry, current, grid and kernel.
    noise_seed
        Of the quantum noise; the draws of a slice depend on it, the step and the slice alone. None: no noise.
    breathing
        Where the breath puts the heart; None: nowhere.
    frozen
        Hold the coronaries still, and the breath at its mean over the exposures: the truth that a trigger is
        measured against.
    threads
        Slices in work at once. The volume does not depend on it.

    Returns
    -------
    StudyVolume
        HU.

    Raises
    ------
    ValueError
        If there is no shot, or two for one step.
    """
    _refuse_what_cannot_be_scanned(shots)
    ordered = sorted(shots, key=lambda shot: shot.table_mm)
    caudal = np.concatenate([_caudal_mm(breathing, view_times_s(shot, plan)) for shot in ordered])
    scene: Scene = _Moving(patient, motion, breathing)
    if frozen is not None:
        caudal = np.full(1, float(caudal.mean()))
        held = motion.held(frozen.rr_ms, frozen.centre_after_r_ms)[None, :]
        scene = _Held(patient, held, caudal)
    volume = scan(scene, ordered, plan, noise_seed=noise_seed, threads=threads)
    return replace(volume, caudal_mm=(float(caudal.min()), float(caudal.max())))


@dataclass(frozen=True, slots=True)
class _Moving:
    """A patient whose heart beats and breath moves."""

    patient: Patient
    motion: MotionClock
    breathing: Breathing | None

    def still(self) -> Floats:
        return static_table(self.patient)

    def moving(self, times_s: Floats) -> Floats:
        return moving_table(self.patient, self.motion.displacement(times_s), _caudal_mm(self.breathing, times_s))


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """A patient whose heart and breath are held."""

    patient: Patient
    displacement: Floats  # [1, vessel]
    caudal_mm: Floats  # [1]

    def still(self) -> Floats:
        return static_table(self.patient)

    def moving(self, times_s: Floats) -> Floats:
        del times_s  # it is the same at any
        return moving_table(self.patient, self.displacement, self.caudal_mm)


def scan(
    scene: Scene, shots: Sequence[Shot], plan: AcquisitionPlan, *, noise_seed: int | None, threads: int = 2
) -> StudyVolume:
    """Scan whatever lies in the scanner; parameters, result and what it raises as of `acquire`."""
    _refuse_what_cannot_be_scanned(shots)
    ordered = sorted(shots, key=lambda shot: shot.table_mm)
    fan = make_fan(plan.fan_deg)
    method = make_method(fan, plan.fan_deg, plan.feather_deg, plan.kernel_cutoff, sources=plan.sources)
    grid = make_grid(plan.matrix, plan.fov_mm, plan.centre_x_mm, plan.centre_y_mm)
    quanta = photons(plan.tube_current_ma, plan.rotation_ms, plan.slice_thickness_mm)
    still = scene.still()
    z = np.concatenate([slice_positions_mm(shot.table_mm, plan) for shot in ordered])
    hu = np.empty((len(z), grid.matrix, grid.matrix), dtype=np.float32)

    with ThreadPoolExecutor(threads) as pool:
        for number, shot in enumerate(ordered):
            table = scene.moving(view_times_s(shot, plan))
            angles = view_angles_rad(shot.start_angle_deg, plan)
            # what stands still is a cylinder along z: one projection serves all slices of the slab
            background = [project(still, source, fan, 0.0, plan.slice_thickness_mm) for source in angles]

            def one(
                index: int,
                table: Floats = table,
                angles: Floats = angles,
                background: Sequence[Singles] = background,
                step: int = shot.step,
            ) -> None:
                lines = np.stack(
                    [
                        project(table, source, fan, float(z[index]), plan.slice_thickness_mm, onto)
                        for source, onto in zip(angles, background, strict=True)
                    ]
                )
                if noise_seed is not None:
                    in_slab = index % plan.slices_per_step
                    add_noise(lines, quanta, np.random.default_rng([noise_seed, step, in_slab]))
                hu[index] = reconstruct(lines, float(angles[0, 0]), method, grid)

            begin = number * plan.slices_per_step
            for _ in pool.map(one, range(begin, begin + plan.slices_per_step)):
                pass  # drawing the results raises what a slice raised
    return StudyVolume(
        hu=hu,
        z_mm=z,
        step_of_slice=np.repeat([shot.step for shot in ordered], plan.slices_per_step),
        pixel_mm=grid.pixel_mm,
        x0_mm=grid.x0_mm,
        y0_mm=grid.y0_mm,
        caudal_mm=(0.0, 0.0),
        plan=plan,
        shots=tuple(ordered),
    )


def _refuse_what_cannot_be_scanned(shots: Sequence[Shot]) -> None:
    if not shots or len({shot.step for shot in shots}) != len(shots):
        raise ValueError("a study needs one shot for each of its steps, and at least one step")


def _caudal_mm(breathing: Breathing | None, times_s: Floats) -> Floats:
    """Give the breath at some instants, [time]."""
    return np.zeros(len(times_s)) if breathing is None else breathing.caudal_mm(times_s)


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


def warm_up(plan: AcquisitionPlan, patient: Patient) -> None:
    """Compile (or load) the kernels: one tiny slice through the whole chain, before a clock is running."""
    fan = make_fan(plan.fan_deg)
    method = make_method(fan, plan.fan_deg, plan.feather_deg, plan.kernel_cutoff, sources=plan.sources)
    angles = view_angles_rad(0.0, plan)
    table = np.concatenate((static_table(patient), moving_table(patient, np.zeros((1, 4)), np.zeros(1))), axis=1)
    lines = np.stack([project(table, source, fan, 0.0, plan.slice_thickness_mm) for source in angles])
    reconstruct(lines, 0.0, method, make_grid(16, plan.fov_mm, plan.centre_x_mm, plan.centre_y_mm))
