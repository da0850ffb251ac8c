"""Whole studies: what a trigger's error does to the calcium, and that nothing else does."""

import dataclasses

import msgspec
import numpy as np
import pytest
from scipy import ndimage

from scanner_bridge.plan import plan_from
from scanner_bridge.settings import PlanSettings
from simulators.anatomy import BODIES, BONE_HU, MUSCLE_HU, Patient, make_patient
from simulators.exposure import Shot, view_times_s
from simulators.motion import VESSELS, Breathing, MotionClock, RestOffsets
from simulators.phantom import course_points, without_calcium
from simulators.scenario import Respiration, Scenario
from simulators.study import Frozen, StudyVolume, acquire, slice_positions_mm, warm_up
from simulators.territories import territories

STORY = Scenario(name="test", story="A patient.")
PLAN = msgspec.structs.replace(plan_from(PlanSettings()), matrix=256)
CLOCK = MotionClock(np.arange(60), RestOffsets())
LEFT_HALF_MM = (14.0 + 15.0 * np.cos(np.deg2rad(35.0)), -18.0 + 15.0 * np.sin(np.deg2rad(35.0)))
DIASTOLE = Frozen(rr_ms=1000.0, centre_after_r_ms=750.0)


def shots(centre_after_r_ms: float, steps: tuple[int, ...] = (0, 1, 2, 3)) -> list[Shot]:
    """Expose every other beat of 60 bpm, the middle of the views at `centre_after_r_ms`."""
    opened = centre_after_r_ms * 1e-3 - PLAN.half_scan_ms * 0.5e-3
    return [Shot(step, PLAN.table_mm[step], 20.0 + 2 * step + opened, 37.0 + 101.0 * step) for step in steps]


def calcium(volume: StudyVolume, labels: np.ndarray) -> np.ndarray:
    """Give an Agatston-like sum per vessel: area x weight of each island of >= 130 HU and 1 mm2 in a territory."""
    sums = np.zeros(len(VESSELS) + 1)
    for hu, where in zip(volume.hu, labels, strict=True):
        islands, _ = ndimage.label(hu >= 130)
        for number, box in enumerate(ndimage.find_objects(islands), start=1):
            inside = islands[box] == number
            votes = np.bincount(where[box][inside], minlength=5)
            area_mm2 = inside.sum() * volume.pixel_mm**2
            if votes[1:].any() and area_mm2 >= 1:
                sums[1 + votes[1:].argmax()] += area_mm2 * min(hu[box][inside].max() // 100, 4)
    return sums[1:]


def scan(patient: Patient, centre_ms: float, frozen: Frozen | None = None) -> StudyVolume:
    """Scan at 60 bpm without a breath, seed 1."""
    return acquire(patient, CLOCK, shots(centre_ms), PLAN, noise_seed=1, frozen=frozen)


@pytest.fixture(scope="module")
def patient() -> Patient:
    """Give the patient of seed 2, with calcium on all four arteries."""
    return make_patient(STORY, 2)


@pytest.fixture(scope="module")
def frozen(patient: Patient) -> StudyVolume:
    """Scan the patient with the heart held at the diastolic target."""
    return scan(patient, 750.0, DIASTOLE)


@pytest.fixture(scope="module")
def labels(patient: Patient, frozen: StudyVolume) -> np.ndarray:
    """Give the territories of the default grid."""
    return territories(patient, CLOCK, frozen)


def test_a_perfect_diastolic_trigger_gives_the_frozen_score(
    patient: Patient, frozen: StudyVolume, labels: np.ndarray
) -> None:
    """At 60 bpm the total changes by less than 10 %."""
    still, moving = calcium(frozen, labels).sum(), calcium(scan(patient, 750.0), labels).sum()
    assert 100 <= still <= 900
    assert abs(moving / still - 1) < 0.10


def test_a_trigger_in_contraction_ruins_the_score(patient: Patient, frozen: StudyVolume, labels: np.ndarray) -> None:
    """Mid-contraction the vessels' errors sum to at least 3 times those of the perfect trigger, and to over 20 %."""
    still = calcium(frozen, labels)
    perfect, early = (
        np.abs(calcium(scan(patient, centre), labels) - still).sum() / still.sum() for centre in (750.0, 200.0)
    )
    assert early > 0.20
    assert early > 3 * perfect


def test_two_sources_suffer_less_from_motion(patient: Patient, frozen: StudyVolume, labels: np.ndarray) -> None:
    """As the heart relaxes, two sources keep the vessels' errors below those of one; a still heart scores alike."""
    plan = msgspec.structs.replace(plan_from(PlanSettings(sources=2)), matrix=256)
    opened = 500.0 * 1e-3 - plan.half_scan_ms * 0.5e-3
    quarter = [Shot(step, z, 20.0 + 2 * step + opened, 37.0 + 101.0 * step) for step, z in enumerate(plan.table_mm)]
    still = Frozen(1000.0, 500.0)
    two, held = (acquire(patient, CLOCK, quarter, plan, noise_seed=1, frozen=one) for one in (None, still))
    one, held_one = scan(patient, 500.0), scan(patient, 500.0, still)
    assert abs(calcium(held, labels).sum() / calcium(held_one, labels).sum() - 1) < 0.05
    errors = [
        np.abs(calcium(moving, labels) - calcium(at_rest, labels)).sum() / calcium(at_rest, labels).sum()
        for moving, at_rest in ((one, held_one), (two, held))
    ]
    assert errors[1] < 0.7 * errors[0]


def test_a_still_heart_scores_alike_at_any_phase(patient: Patient, frozen: StudyVolume, labels: np.ndarray) -> None:
    """Only partial volume differs: held elsewhere in the cycle the total stays within 25 % of end diastole."""
    still = calcium(frozen, labels).sum()
    for centre_ms in (200.0, 375.0):
        held = calcium(scan(patient, 750.0, Frozen(1000.0, centre_ms)), labels).sum()
        assert abs(held / still - 1) < 0.25


def test_clean_arteries_score_nothing(patient: Patient, labels: np.ndarray) -> None:
    """Without calcium no island of >= 130 HU lies in any territory, though the heart moves fast."""
    assert calcium(scan(without_calcium(patient), 200.0), labels).sum() == 0


def test_tissues_and_noise_are_those_of_a_calcium_scan(frozen: StudyVolume) -> None:
    """Blood near 45 HU; 15-20 HU of noise in the middle of the heart (512 pixels, default plan)."""
    plan = msgspec.structs.replace(PLAN, matrix=512)
    clean = without_calcium(make_patient(STORY, 1))
    volume = acquire(clean, CLOCK, shots(750.0, (1,)), plan, noise_seed=1)
    x, y = LEFT_HALF_MM
    row, column = (round((at - first) / volume.pixel_mm) for at, first in ((y, volume.y0_mm), (x, volume.x0_mm)))
    middle = volume.hu[6:, row - 30 : row + 30, column - 30 : column + 30]
    assert pytest.approx(45, abs=3) == middle.mean()
    assert 15 <= middle.std() <= 20


def test_threads_and_runs_give_the_same_bits(patient: Patient) -> None:
    """One thread, two threads, again: bit-identical."""
    plan = msgspec.structs.replace(PLAN, matrix=64)
    one, two, again = (
        acquire(patient, CLOCK, shots(600.0, (1,)), plan, noise_seed=9, threads=threads).hu for threads in (1, 2, 2)
    )
    assert np.array_equal(one, two)
    assert np.array_equal(two, again)


def test_moving_and_frozen_share_their_noise(patient: Patient) -> None:
    """Far from the heart the two differ by less than a tenth of the noise: the draws are the same."""
    plan = msgspec.structs.replace(PLAN, matrix=128)
    one = acquire(patient, CLOCK, shots(200.0, (1,)), plan, noise_seed=4).hu
    held = acquire(patient, CLOCK, shots(200.0, (1,)), plan, noise_seed=4, frozen=DIASTOLE).hu
    other = acquire(patient, CLOCK, shots(200.0, (1,)), plan, noise_seed=5, frozen=DIASTOLE).hu
    spine = np.s_[:, 104:110, 60:68]
    assert np.std(one[spine] - held[spine]) < 0.1 * np.std(other[spine] - held[spine])


def test_the_frozen_heart_has_one_breath(patient: Patient) -> None:
    """The scan drifts 0.3 mm/s with the hold; the frozen heart stays at the mean of that."""
    plan = msgspec.structs.replace(PLAN, matrix=64)
    breath = Breathing(Respiration(hold_begins_at_s=14.0))
    volume = acquire(patient, CLOCK, shots(750.0, (0, 3)), plan, noise_seed=None, breathing=breath)
    still = acquire(patient, CLOCK, shots(750.0, (0, 3)), plan, noise_seed=None, breathing=breath, frozen=DIASTOLE)
    assert pytest.approx((0.3 * 6.652, 0.3 * 12.848), abs=0.01) == volume.caudal_mm
    assert pytest.approx(0.3 * 9.75, abs=0.01) == still.caudal_mm[0] == still.caudal_mm[1]


def test_slices_stand_where_the_plan_says(frozen: StudyVolume) -> None:
    """48 contiguous slices of 3 mm, by rising z, each with its step; a missing step leaves a gap and no more."""
    assert np.allclose(-70.5 + 3.0 * np.arange(48), frozen.z_mm)
    assert [0] * 12 + [1] * 12 + [2] * 12 + [3] * 12 == frozen.step_of_slice.tolist()
    plan = msgspec.structs.replace(PLAN, matrix=16)
    partial = acquire(make_patient(STORY, 1), CLOCK, shots(750.0, (3, 0)), plan, noise_seed=1)
    expected = np.concatenate([slice_positions_mm(PLAN.table_mm[step], PLAN) for step in (0, 3)])
    assert np.allclose(expected, partial.z_mm)


def test_the_views_fill_the_half_scan() -> None:
    """690 views over 196 ms from the opening on; their middle is the middle of the half scan."""
    times = view_times_s(shots(750.0)[0], PLAN)
    assert 690 == len(times)
    assert pytest.approx(20.75, abs=0.0005) == times.mean()


@pytest.mark.parametrize("bad", [[], [Shot(0, -54.0, 1.0, 0.0), Shot(0, -54.0, 3.0, 0.0)]])
def test_studies_that_are_none_are_refused(patient: Patient, bad: list[Shot]) -> None:
    """No exposure, or two for one step, make no study."""
    with pytest.raises(ValueError, match="one shot"):
        acquire(patient, CLOCK, bad, PLAN, noise_seed=1)


def test_territories_hold_their_artery_at_every_phase(
    patient: Patient, frozen: StudyVolume, labels: np.ndarray
) -> None:
    """Wherever an artery is in the cycle, the nearest pixel is labelled, mostly as its own; all four exist."""
    assert {0, 1, 2, 3, 4} == set(np.unique(labels))
    for number, vessel in enumerate(VESSELS, start=1):
        phases = CLOCK.displacement(np.linspace(30.0, 31.0, 7))
        points = course_points(patient, vessel, np.linspace(0.05, 0.95, 10), phases, np.zeros(7)).reshape(-1, 3)
        index = np.round((points[:, ::-1] - (frozen.z_mm[0], frozen.y0_mm, frozen.x0_mm)) / (3, *[frozen.pixel_mm] * 2))
        found = labels[tuple(index.astype(int).T)]
        assert np.all(found > 0)
        assert np.mean(found == number) > 0.6


def test_no_bone_lies_in_a_territory(frozen: StudyVolume, labels: np.ndarray) -> None:
    """Every bone's pixels are unlabelled."""
    axis = np.arange(256) * frozen.pixel_mm
    x, y = np.meshgrid(frozen.x0_mm + axis, frozen.y0_mm + axis)
    for body in BODIES:
        if body.added_hu == BONE_HU - MUSCLE_HU:
            near = np.hypot(x - body.x_mm, y - body.y_mm) < max(body.semi_axes_mm)
            assert not labels[:, near].any()


def test_territories_follow_the_breath(patient: Patient) -> None:
    """A heart that sank during the scan is covered where it was and where it went, two slices lower."""
    plan = msgspec.structs.replace(PLAN, matrix=64)
    volume = acquire(patient, CLOCK, shots(750.0, (0,)), plan, noise_seed=None)
    lowest = [
        np.flatnonzero(territories(patient, CLOCK, dataclasses.replace(volume, caudal_mm=caudal)).any(axis=(1, 2)))
        for caudal in ((0.0, 0.0), (0.0, 6.0))
    ]
    assert set(lowest[0]) < set(lowest[1])
    assert lowest[1].min() == lowest[0].min() - 2


def test_left_is_right_in_the_picture(frozen: StudyVolume) -> None:
    """Rows run to the back, columns to the patient's left: spine at the bottom, sternum on top, heart to the right."""
    middle = frozen.hu[24]
    column = round((0 - frozen.x0_mm) / frozen.pixel_mm)
    spine, sternum = (round((y - frozen.y0_mm) / frozen.pixel_mm) for y in (74.5, -84.0))
    assert spine > 128 > sternum
    assert pytest.approx(320, abs=40) == middle[spine - 2 : spine + 3, column - 2 : column + 3].mean()
    assert middle[sternum, column] > 200
    heart = np.abs(middle - 45) < 60
    assert heart[60:160, 128:].sum() > heart[60:160, :128].sum()


def test_warming_up_needs_no_study(patient: Patient) -> None:
    """The kernels are compiled before a clock runs."""
    warm_up(PLAN, patient)
