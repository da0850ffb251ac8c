"""The heart clock against the literature, and the breath."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.heart import Atria
from simulators.motion import (
    DIASTOLE_SD_MS,
    SYSTOLE_SD_MS,
    VESSELS,
    Breathing,
    MotionClock,
    RestOffsets,
    rest_offsets,
)
from simulators.scenario import Respiration, RestPhase

STROKE_MM = {"LAD": 10.0, "RCA": 21.0}  # nominal: the left side's mean, and the RCA's


def steady(bpm: float, rest: RestOffsets | None = None) -> MotionClock:
    """Give the clock of a heart that beats evenly."""
    return MotionClock(np.arange(20) * 60.0 / bpm, rest or RestOffsets())


def cycle(bpm: float, vessel: str, rest: RestOffsets | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Give one cycle at 1 ms: times after R in ms, and the displacement fraction of one vessel."""
    t_ms = np.arange(0.0, 60_000.0 / bpm)
    displacement = steady(bpm, rest).displacement(10 * 60.0 / bpm + t_ms * 1e-3)
    return t_ms, displacement[:, VESSELS.index(vessel)]


def still_interval(t_ms: np.ndarray, path_mm: np.ndarray, around_ms: float) -> tuple[float, float]:
    """Find the longest interval near an instant within which all positions lie within 1 mm of each other."""
    near = np.abs(t_ms - around_ms) < 130.0
    t_ms, path_mm = t_ms[near], path_mm[near]
    longest, begin = (0.0, 0.0), 0
    for end in range(len(path_mm)):
        while np.ptp(path_mm[begin : end + 1]) > 1.0:
            begin += 1
        if t_ms[end] - t_ms[begin] > longest[1] - longest[0]:
            longest = float(t_ms[begin]), float(t_ms[end])
    return longest


@pytest.mark.parametrize("vessel", ["LAD", "RCA"])
@pytest.mark.parametrize("bpm", [50, 60, 75, 90, 100])
def test_the_systolic_rest_lasts_as_published(bpm: float, vessel: str) -> None:
    """Within 1 mm for 76-80 ms at any rate (Shechter 2005), to the millisecond of the sampling."""
    t_ms, fraction = cycle(bpm, vessel)
    begins, ends = still_interval(t_ms, fraction * STROKE_MM[vessel], 255 + 0.12 * 60_000 / bpm)
    assert 76 <= ends - begins <= 80


@pytest.mark.parametrize("vessel", ["LAD", "RCA"])
@pytest.mark.parametrize("bpm", [50, 60, 70, 80, 90, 100])
def test_the_slowest_systolic_moment_is_where_the_gate_aims(bpm: float, vessel: str) -> None:
    """Centre of the rest, and the least mean speed of a 100 ms exposure, within 20 ms of 255 + 0.12 RR."""
    aim_ms = 255 + 0.12 * 60_000 / bpm
    t_ms, fraction = cycle(bpm, vessel)
    assert abs(sum(still_interval(t_ms, fraction * STROKE_MM[vessel], aim_ms)) / 2 - aim_ms) <= 20
    path = np.convolve(np.abs(np.gradient(fraction)), np.ones(100), mode="same")
    systole = np.abs(t_ms - aim_ms) < 100
    assert abs(t_ms[systole][np.argmin(path[systole])] - aim_ms) <= 20


@pytest.mark.parametrize(("vessel", "bpm", "tolerance"), [("RCA", 78, 3), ("LCX", 91, 4)])
def test_the_diastolic_rest_vanishes_at_the_published_rate(vessel: str, bpm: float, tolerance: float) -> None:
    """Extinction of the mid-diastolic rest: RCA 78, LCX 91 bpm (Otton 2013)."""
    rates = np.arange(60.0, 110.0, 0.25)
    lengths = [np.subtract(*steady(rate).rest_ms(60_000 / rate, vessel, "diastole")[::-1]) for rate in rates]
    assert abs(rates[np.flatnonzero(np.array(lengths) <= 0)[0]] - bpm) <= tolerance


@pytest.mark.parametrize(("vessel", "bpm"), [("RCA", 70), ("RCA", 60), ("LCX", 80), ("LCX", 60)])
def test_the_stated_diastolic_rest_is_one(vessel: str, bpm: float) -> None:
    """Inside the interval that `rest_ms` names nothing moves but the drift (<= 0.4 strokes/s); around it, more."""
    begins, ends = steady(bpm).rest_ms(60_000 / bpm, vessel, "diastole")
    t_ms, fraction = cycle(bpm, vessel)
    speed_per_s = np.abs(np.gradient(fraction)) * 1e3
    assert speed_per_s[(t_ms > begins + 1) & (t_ms < ends - 1)].max() <= 0.4 + 1e-6
    assert speed_per_s[np.argmin(np.abs(t_ms - begins + 40))] > 0.4
    assert speed_per_s[np.argmin(np.abs(t_ms - ends - 40))] > 0.4


@pytest.mark.parametrize(("bpm", "percent"), [(55, 74), (75, 77)])
@pytest.mark.parametrize("vessel", ["LCX", "RCA"])
def test_the_best_diastolic_phase_is_the_published_one(vessel: str, bpm: float, percent: float) -> None:
    """74 % of RR at 55 and 77 % at 75 bpm (Otton 2013), within 2 points."""
    rr_ms = 60_000 / bpm
    assert abs(100 * steady(bpm).rest_centre_ms(rr_ms, vessel, "diastole") / rr_ms - percent) <= 2


@pytest.mark.parametrize("bpm", [50, 60, 70])
def test_the_diastolic_centre_agrees_with_the_gates_formula(bpm: float) -> None:
    """0.66 RR + 90 ms, within 25 ms."""
    rr_ms = 60_000 / bpm
    assert abs(steady(bpm).rest_centre_ms(rr_ms, "LCX", "diastole") - (0.66 * rr_ms + 90)) <= 25


def test_offsets_move_the_rests_and_nothing_else() -> None:
    """A patient's own rest phases lie later by just the offset; the lengths stay."""
    shifted = RestOffsets(systole_ms=12.0, diastole_ms=-30.0)
    for rest, offset in (("systole", 12.0), ("diastole", -30.0)):
        mean, own = (steady(60, o).rest_ms(1000.0, "RCA", rest) for o in (RestOffsets(), shifted))  # type: ignore[arg-type]  # the loop's literals
        assert np.allclose(np.array(mean) + offset, own)


def test_drawn_offsets_follow_the_published_spread() -> None:
    """Mean 0, the stated SDs (a little less, being truncated at 2 SD), and the scenario's offsets on top."""
    rng = np.random.default_rng(1)
    story = RestPhase(drawn=True, systole_offset_ms=5.0)
    drawn = [rest_offsets(story, rng) for _ in range(2000)]
    systole, diastole = (np.array([getattr(d, name) for d in drawn]) for name in ("systole_ms", "diastole_ms"))
    assert abs(systole.mean() - 5.0) < 2
    assert abs(diastole.mean()) < 3
    assert 0.85 < systole.std() / SYSTOLE_SD_MS < 1
    assert 0.85 < diastole.std() / DIASTOLE_SD_MS < 1
    assert np.abs(diastole).max() <= 2 * DIASTOLE_SD_MS + 1e-9


def test_a_patient_at_the_mean_has_no_offset_and_takes_as_many_numbers() -> None:
    """`drawn = false` gives the scenario's offsets and leaves the generator where a draw would."""
    one, other = np.random.default_rng(3), np.random.default_rng(3)
    assert rest_offsets(RestPhase(), one) == RestOffsets(0.0, 0.0)
    rest_offsets(RestPhase(drawn=True), other)
    assert one.random() == other.random()


BEATS = st.lists(st.floats(0.3, 2.8), min_size=3, max_size=12)


def _moved(rr_s: list[float], rest: RestOffsets, atria: list[Atria] | None) -> np.ndarray:
    """Sample the displacement through a rhythm and a second beyond, every 0.5 ms."""
    beats = np.concatenate(([1.0], 1.0 + np.cumsum(rr_s)))
    clock = MotionClock(beats, rest, None if atria is None else atria[: len(beats)])
    return clock.displacement(np.arange(0.5, beats[-1] + 1.0, 0.0005))


@settings(max_examples=25, deadline=None)
@given(BEATS, st.floats(-30.0, 30.0), st.floats(-60.0, 60.0))
def test_the_displacement_is_continuous_in_any_rhythm(rr_s: list[float], systole_ms: float, diastole_ms: float) -> None:
    """Premature beats, pauses, chaos: no jump in 0.5 ms, and never far outside 0..1."""
    moved = _moved(rr_s, RestOffsets(systole_ms, diastole_ms), None)
    assert np.abs(np.diff(moved, axis=0)).max() < 0.025
    assert moved.min() > -0.3
    assert moved.max() < 1.5


@settings(max_examples=25, deadline=None)
@given(BEATS, st.lists(st.sampled_from(["lead", "apart", "still"]), min_size=13, max_size=13))
def test_it_is_continuous_whatever_the_atria_do(rr_s: list[float], words: list[Atria]) -> None:
    """No jump in 0.5 ms; an R on T adds its stroke to what the atria have still to give back, and to no more."""
    moved = _moved(rr_s, RestOffsets(), words)
    assert np.abs(np.diff(moved, axis=0)).max() < 0.025
    assert moved.min() > -0.3
    assert moved.max() < 1.5 + 0.22


def test_systole_cannot_know_the_next_beat() -> None:
    """Until the atrial kick of the shorter cycle, a beat runs the same whatever interval follows it."""
    times = 4.0 + np.arange(0.0, 0.42, 0.001)
    even = MotionClock([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], RestOffsets()).displacement(times)
    early = MotionClock([0.0, 1.0, 2.0, 3.0, 4.0, 4.6], RestOffsets()).displacement(times)
    assert np.array_equal(even, early)


PVC_AT_S = 5.8  # of a rhythm of 1 s: premature, with a full compensatory pause
WITH_PVC = [*np.arange(6.0), PVC_AT_S, *np.arange(7.0, 12.0)]
LEAD: Atria = "lead"
STILL: Atria = "still"
ATRIA: list[Atria] = [*[LEAD] * 6, "apart", *[LEAD] * 5]


def test_no_atrial_kick_leads_to_a_ventricular_beat() -> None:
    """Up to a PVC the arteries move as in the even rhythm; if the atria led to it they would move before it."""
    times = np.arange(5.0, PVC_AT_S + 0.03, 0.002)
    even = steady(60).displacement(times)
    assert np.allclose(even, MotionClock(WITH_PVC, RestOffsets(), ATRIA).displacement(times), atol=1e-9)
    assert not np.allclose(even, MotionClock(WITH_PVC, RestOffsets()).displacement(times), atol=0.05)


def test_the_atria_keep_their_own_time_behind_a_ventricular_beat() -> None:
    """Their kick comes at the instant of the even rhythm, on top of the PVC's contraction; then all is as before."""
    clock = MotionClock(WITH_PVC, RestOffsets(), ATRIA)
    alone = MotionClock(WITH_PVC, RestOffsets(), [*[LEAD] * 6, STILL, *[LEAD] * 5])
    times = np.array([5.83, 6.02])
    given_back = (clock.displacement(times) - alone.displacement(times))[0] - (
        clock.displacement(times) - alone.displacement(times)
    )[1]
    assert (given_back > 0.15).all()
    later = np.arange(9.5, 10.5, 0.01)
    assert np.allclose(steady(60).displacement(later), clock.displacement(later), atol=1e-6)


def test_fibrillating_atria_do_not_kick() -> None:
    """From early filling to just before the next R the arteries only drift; their stroke is whole all the same."""
    clock = MotionClock(np.arange(12.0), RestOffsets(), [STILL] * 12)
    ends = clock.displacement([5.0 + 0.96])[0]
    kicking = steady(60).displacement([5.0 + 0.80])[0]
    assert (ends < 0.02).all()
    assert (kicking > 0.1).all()
    assert (clock.displacement(5.0 + np.arange(0.30, 0.40, 0.002)).max(axis=0) > 0.97).all()


def test_the_atria_of_every_beat_are_told() -> None:
    """One word a beat; fewer are refused."""
    with pytest.raises(ValueError, match="2 words of the atria for 3 beats"):
        MotionClock([0.0, 1.0, 2.0], RestOffsets(), ["lead", "lead"])


def test_what_is_held_is_an_instant_of_the_steady_cycle() -> None:
    """`held` equals the moving clock at that instant."""
    assert np.allclose(steady(60).displacement([10.75])[0], steady(75).held(1000.0, 750.0))


@pytest.mark.parametrize("beats", [[], [1.0], [1.0, 1.0], [2.0, 1.0]])
def test_beats_that_are_none_are_refused(beats: list[float]) -> None:
    """Fewer than two beats, or beats out of order, make no clock."""
    with pytest.raises(ValueError, match="rising order"):
        MotionClock(beats, RestOffsets())


def test_the_breath_is_quiet_in_the_hold_and_continuous() -> None:
    """Free breathing of 4.9 mm before, 0.3 mm/s during the hold, free again after it fails; no jump anywhere."""
    breath = Breathing(Respiration(hold_begins_at_s=14.0, hold_fails_after_s=8.0))
    times = np.arange(0.0, 40.0, 0.01)
    caudal = breath.caudal_mm(times)
    assert pytest.approx(4.9, abs=0.01) == np.ptp(caudal[times < 14])
    assert np.allclose(0.3, np.gradient(caudal, 0.01)[(times > 14.1) & (times < 21.9)])
    assert pytest.approx(4.9, abs=0.01) == np.ptp(caudal[times > 22])
    assert np.abs(np.diff(caudal)).max() < 0.1


def test_the_patient_breathes_again_when_told() -> None:
    """A hold that ends by word ends the drift; one that never ends drifts on."""
    told = Breathing(Respiration(hold_begins_at_s=10.0), hold_ends_at_s=15.0)
    assert pytest.approx(1.5) == told.caudal_mm([15.0])[0]
    assert np.ptp(told.caudal_mm(np.arange(15.0, 25.0, 0.1))) > 4
    assert pytest.approx(3.0) == Breathing(Respiration(hold_begins_at_s=10.0)).caudal_mm([20.0])[0]
