"""One scan at the level of beats: what is exposed, held, cut and cancelled, and how far the heart moved."""

import msgspec
import pytest

from gating.settings import GateSettings, WindowSettings
from scanner_bridge.plan import plan_from
from scanner_bridge.settings import PlanSettings
from simulators.beat_scan import BeatScan, scan_beats
from simulators.heart import TrueBeat
from simulators.motion import MotionClock, RestOffsets

DUAL = plan_from(PlanSettings(sources=2, rotation_ms=250.0, tube_current_ma=200.0))


def _beats(intervals_ms: list[float]) -> tuple[TrueBeat, ...]:
    at_s, beats = 0.5, []
    for number, interval in enumerate([0.0, *intervals_ms], start=1):
        at_s += interval / 1e3
        beats.append(TrueBeat(number, at_s, "sinus"))
    return tuple(beats)


def _scanned(intervals_ms: list[float], *, hold_begins_at_s: float = 10.0, policy: str = "least_blur_dose") -> BeatScan:
    beats = _beats(intervals_ms)
    window = msgspec.convert({"policy": policy}, WindowSettings)
    motion = MotionClock([beat.r_at_s for beat in beats], RestOffsets())
    return scan_beats(beats, motion, DUAL, GateSettings(window=window), hold_begins_at_s=hold_begins_at_s)


def test_a_steady_heart_is_scanned_at_rest_in_seven_beats() -> None:
    """At 60 bpm four slabs take seven beats, the table moves through every second one, and nothing moves 1 mm."""
    scan = _scanned([1000.0] * 40)
    assert None is scan.ended
    assert 4 == len(scan.whole) == len(scan.exposures)
    assert 7 == scan.beats
    assert all(one.at_rest and one.trigger.phase == "diastole" for one in scan.whole)
    assert [0.0] * 4 == pytest.approx([one.phase_error_ms for one in scan.whole], abs=20.0)
    assert [0.0] * 3 == [one.trigger.padding_ms for one in scan.whole[1:]]
    paid_ms = 4 * DUAL.half_scan_ms + scan.whole[0].trigger.padding_ms  # the first beat of a hold is the least sure
    assert paid_ms * DUAL.msv_per_ms == pytest.approx(scan.dose_msv, rel=0.001)


def test_an_early_beat_before_the_window_cancels_it() -> None:
    """A beat 550 ms after the one that was booked for: no beam for it, and the scan goes on at the same slab."""
    scan = _scanned([1000.0] * 13 + [550.0, 1450.0] + [1000.0] * 20)
    assert None is scan.ended
    assert 1 == scan.cancelled
    assert 0 == scan.repeats
    assert [0, 1, 2, 3] == [one.step for one in scan.exposures]


def test_an_early_beat_inside_the_window_cuts_it_and_the_slab_is_exposed_again() -> None:
    """A beat 740 ms after the one booked for ends the beam; the same step follows as attempt 2; its dose counts."""
    scan = _scanned([1000.0] * 13 + [740.0, 1260.0] + [1000.0] * 20)
    assert None is scan.ended
    assert [("cut", 0, 1), ("exposed", 0, 2)] == [(one.outcome, one.step, one.attempt) for one in scan.exposures[:2]]
    cut = scan.exposures[0]
    assert 0.0 < cut.beam_ms <= DUAL.half_scan_ms + cut.trigger.padding_ms
    assert sum(one.beam_ms for one in scan.exposures) * DUAL.msv_per_ms == pytest.approx(scan.dose_msv)


def test_beats_that_run_out_end_the_scan_and_it_says_so() -> None:
    """A scan without enough beats is not complete, and names the reason."""
    scan = _scanned([1000.0] * 15)
    assert "the beats ran out" == scan.ended
    assert len(scan.whole) < 4


def test_the_fixed_policy_of_a_scanner_books_where_the_scanner_would() -> None:
    """300 ms after each R, at any rate."""
    scan = _scanned([800.0] * 40, policy="absolute_ms")
    assert [300.0] * 4 == pytest.approx([(one.trigger.centre_at_ns - one.trigger.r_at_ns) / 1e6 for one in scan.whole])
