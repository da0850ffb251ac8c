"""From exposures to slices: what a scanner would have shown of this patient at those instants, and with a still heart.

Each exposure is one slab. Its slices share views and instants; each has its own seeded noise, so that the moving and
the frozen study differ by what moved alone. Raw views can be kept, and reconstructed in other ways.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from gating.messages import AcquisitionPlan
from simulators.anatomy import Patient
from simulators.exposure import EXACT, Exposure, Physics, Scene, Shot, padding_views, view_angles_rad, view_times_s
from simulators.motion import Breathing, MotionClock
from simulators.phantom import moving_table, static_table
from simulators.projector import VIEWS_PER_ROTATION, make_fan, project
from simulators.reconstruction import Grid, Method, make_grid, make_method, reconstruct

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]


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
    physics: Physics = EXACT,
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
    physics
        How much of a real scanner is simulated.
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
    volume = scan(scene, ordered, plan, noise_seed=noise_seed, physics=physics, threads=threads)
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
    scene: Scene,
    shots: Sequence[Shot],
    plan: AcquisitionPlan,
    *,
    noise_seed: int | None,
    physics: Physics = EXACT,
    threads: int = 2,
) -> StudyVolume:
    """Scan whatever lies in the scanner; parameters, result and what it raises as of `acquire`."""
    _refuse_what_cannot_be_scanned(shots)
    ordered = sorted(shots, key=lambda shot: shot.table_mm)
    method, grid = _method(plan), _grid(plan)
    z = np.concatenate([slice_positions_mm(shot.table_mm, plan) for shot in ordered])
    hu = np.empty((len(z), grid.matrix, grid.matrix), dtype=np.float32)
    with ThreadPoolExecutor(threads) as pool:
        for number, shot in enumerate(ordered):
            exposure = Exposure(scene, shot, plan, physics)

            def one(index: int, exposure: Exposure = exposure) -> None:
                in_slab = index % plan.slices_per_step
                noise = None if noise_seed is None else (noise_seed, exposure.shot.step, in_slab)
                lines = exposure.row(float(z[index]), plan.slice_thickness_mm, noise)
                hu[index] = reconstruct(lines, float(exposure.angles_rad[0, 0]), method, grid)

            begin = number * plan.slices_per_step
            _for_each(pool, one, range(begin, begin + plan.slices_per_step))
    return _volume(hu, z, grid, plan, ordered)


@dataclass(frozen=True, slots=True, eq=False)
class RawViews:
    """What was measured in a scan, by rising z, kept to be reconstructed more than once."""

    lines: Singles  # mm of water, [row, source, view, channel]
    z_mm: Floats  # middle of each row, [row]
    row_mm: float
    extra: int  # views at either end beyond the half-scan
    plan: AcquisitionPlan
    shots: tuple[Shot, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to reconstruct raw views; None: as the plan says."""

    slice_mm: float | None = None
    kernel_cutoff: float | None = None
    matrix: int | None = None
    fov_mm: float | None = None
    centre_mm: tuple[float, float] | None = None  # of the field of view, x and y
    moved_ms: float = 0.0  # later than the middle of the exposure, within its padding


def expose(
    scene: Scene,
    shots: Sequence[Shot],
    plan: AcquisitionPlan,
    *,
    noise_seed: int | None,
    row_mm: float | None = None,
    padding_ms: float = 0.0,
    physics: Physics = EXACT,
    threads: int = 2,
) -> RawViews:
    """Measure whatever lies in the scanner, and keep the views.

    Parameters
    ----------
    scene, shots, plan, noise_seed, physics, threads
        As of `acquire`.
    row_mm
        Thickness of the detector's rows, of which a slice has a whole number; None: the plan's slices.
    padding_ms
        Of each exposure: half of it lies before the shot's half-scan, half behind.

    Raises
    ------
    ValueError
        As of `acquire`; and if a slice is no whole number of rows.
    """
    _refuse_what_cannot_be_scanned(shots)
    ordered = sorted(shots, key=lambda shot: shot.table_mm)
    thick, extra = plan.slice_thickness_mm if row_mm is None else row_mm, padding_views(plan, padding_ms)
    _whole(plan.slice_thickness_mm, thick)
    rows = _whole(plan.slices_per_step * plan.slice_thickness_mm, thick)
    z = np.concatenate([shot.table_mm + (np.arange(rows) - 0.5 * (rows - 1)) * thick for shot in ordered])
    measured: list[Singles] = []
    with ThreadPoolExecutor(threads) as pool:
        for number, shot in enumerate(ordered):
            exposure = Exposure(scene, shot, plan, physics, extra)

            def one(row: int, exposure: Exposure = exposure, number: int = number) -> Singles:
                noise = None if noise_seed is None else (noise_seed, exposure.shot.step, row)
                return exposure.row(float(z[number * rows + row]), thick, noise)

            measured += pool.map(one, range(rows))
    return RawViews(np.stack(measured), z, thick, extra, plan, tuple(ordered))


def develop(raw: RawViews, choice: Choice, *, threads: int = 2) -> StudyVolume:
    """Reconstruct raw views in one of several ways.

    Raises
    ------
    ValueError
        If a slice is no whole number of rows, or the padding does not reach as far as the phase was moved.
    """
    plan = _chosen(raw.plan, choice)
    moved = round(choice.moved_ms / plan.rotation_ms * VIEWS_PER_ROTATION)
    if abs(moved) > raw.extra:
        reach_ms = raw.extra * plan.rotation_ms / VIEWS_PER_ROTATION
        raise ValueError(f"the phase is moved by {choice.moved_ms:g} ms; the padding reaches {reach_ms:.0f} ms")
    shots = tuple(_moved(shot, moved, plan) for shot in raw.shots)
    each = _whole(plan.slice_thickness_mm, raw.row_mm)
    method, grid = _method(plan), _grid(plan)
    z = raw.z_mm.reshape(-1, each).mean(axis=1)
    hu = np.empty((len(z), grid.matrix, grid.matrix), dtype=np.float32)
    begin = raw.extra + moved
    views = raw.lines.shape[2] - 2 * raw.extra

    def one(index: int) -> None:
        rows = raw.lines[index * each : (index + 1) * each, :, begin : begin + views]
        angle = view_angles_rad(shots[index // plan.slices_per_step].start_angle_deg, plan)[0, 0]
        hu[index] = reconstruct(rows.mean(axis=0) if each > 1 else rows[0], float(angle), method, grid)

    with ThreadPoolExecutor(threads) as pool:
        _for_each(pool, one, range(len(z)))
    return _volume(hu, z, grid, plan, shots)


def _chosen(plan: AcquisitionPlan, choice: Choice) -> AcquisitionPlan:
    """Give the plan as the choice would have it."""
    slab_mm = plan.slices_per_step * plan.slice_thickness_mm
    slice_mm = plan.slice_thickness_mm if choice.slice_mm is None else choice.slice_mm
    x_mm, y_mm = (plan.centre_x_mm, plan.centre_y_mm) if choice.centre_mm is None else choice.centre_mm
    return msgspec.structs.replace(
        plan,
        slice_thickness_mm=slice_mm,
        slices_per_step=_whole(slab_mm, slice_mm),
        kernel_cutoff=plan.kernel_cutoff if choice.kernel_cutoff is None else choice.kernel_cutoff,
        matrix=plan.matrix if choice.matrix is None else choice.matrix,
        fov_mm=plan.fov_mm if choice.fov_mm is None else choice.fov_mm,
        centre_x_mm=x_mm,
        centre_y_mm=y_mm,
    )


def _whole(of_mm: float, part_mm: float) -> int:
    """Count the parts of a length, which must be whole."""
    count = round(of_mm / part_mm)
    if count < 1 or abs(count * part_mm - of_mm) > 1e-6:
        raise ValueError(f"{of_mm:g} mm is no whole number of {part_mm:g} mm")
    return count


def _moved(shot: Shot, views: int, plan: AcquisitionPlan) -> Shot:
    """Give the shot that begins so many views later."""
    later_s = views * plan.rotation_ms * 1e-3 / VIEWS_PER_ROTATION
    turned_deg = views * 360.0 / VIEWS_PER_ROTATION
    return replace(shot, opened_at_s=shot.opened_at_s + later_s, start_angle_deg=shot.start_angle_deg + turned_deg)


def _method(plan: AcquisitionPlan) -> Method:
    fan = make_fan(plan.fan_deg)
    return make_method(fan, plan.fan_deg, plan.feather_deg, plan.kernel_cutoff, sources=plan.sources)


def _grid(plan: AcquisitionPlan) -> Grid:
    return make_grid(plan.matrix, plan.fov_mm, plan.centre_x_mm, plan.centre_y_mm)


def _for_each(pool: ThreadPoolExecutor, work: Callable[[int], None], indices: range) -> None:
    for _ in pool.map(work, indices):
        pass  # drawing the results raises what a slice raised


def _volume(hu: Singles, z_mm: Floats, grid: Grid, plan: AcquisitionPlan, shots: Sequence[Shot]) -> StudyVolume:
    return StudyVolume(
        hu=hu,
        z_mm=z_mm,
        step_of_slice=np.repeat([shot.step for shot in shots], plan.slices_per_step),
        pixel_mm=grid.pixel_mm,
        x0_mm=grid.x0_mm,
        y0_mm=grid.y0_mm,
        caudal_mm=(0.0, 0.0),
        plan=plan,
        shots=tuple(shots),
    )


def _refuse_what_cannot_be_scanned(shots: Sequence[Shot]) -> None:
    if not shots or len({shot.step for shot in shots}) != len(shots):
        raise ValueError("a study needs one shot for each of its steps, and at least one step")


def _caudal_mm(breathing: Breathing | None, times_s: Floats) -> Floats:
    """Give the breath at some instants, [time]."""
    return np.zeros(len(times_s)) if breathing is None else breathing.caudal_mm(times_s)


def warm_up(plan: AcquisitionPlan, patient: Patient) -> None:
    """Compile (or load) the kernels: one tiny slice through the whole chain, before a clock is running."""
    fan, method = make_fan(plan.fan_deg), _method(plan)
    angles = view_angles_rad(0.0, plan)
    table = np.concatenate((static_table(patient), moving_table(patient, np.zeros((1, 4)), np.zeros(1))), axis=1)
    lines = np.stack([project(table, source, fan, 0.0, plan.slice_thickness_mm) for source in angles])
    reconstruct(lines, 0.0, method, make_grid(16, plan.fov_mm, plan.centre_x_mm, plan.centre_y_mm))
