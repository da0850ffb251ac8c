"""Beats to rhythm and advice."""

from itertools import accumulate

import numpy as np
import pytest

from gating.beats import Beats
from gating.messages import Rhythm
from gating.r_peak import RPeak
from gating.rhythm import RhythmJudge
from gating.settings import RhythmSettings
from gating.units import NS_PER_MS


def judged(intervals_ms: list[float]) -> tuple[Rhythm, RhythmJudge]:
    """Run a series through beats and rhythm; give the last word and the judge."""
    settings = RhythmSettings()
    beats, judge = Beats(settings), RhythmJudge(settings)
    last = judge.now(0)
    for number, at_ms in enumerate(accumulate(intervals_ms, initial=0.0)):
        at_ns = round(at_ms * NS_PER_MS)
        last = judge.take(beats.take(RPeak(number, "confirmed", at_ns, 0, 1.0, "II", at_ns)))
    return last, judge


CASES = {
    "steady 60 bpm": ([1000.0] * 12, "steady", "go"),
    "sinus with a little noise": ([1000.0 + 12 * (-1) ** k for k in range(14)], "steady", "go"),
    "strong respiratory arrhythmia": ([1000.0 + 120 * np.sin(k) for k in range(16)], "variable", "wait"),
    "a premature beat now and then": ([1000.0] * 9 + [700.0, 1300.0] + [1000.0] * 3, "steady", "wait"),
    "atrial fibrillation": ([600.0, 1100.0, 750.0, 1300.0, 520.0, 900.0, 1250.0, 610.0] * 2, "irregular", "wait"),
    "a pause": ([1000.0] * 11 + [1900.0], "variable", "wait"),
    "too few beats": ([1000.0] * 2, "unknown", "wait"),
    "200 bpm": ([300.0] * 12, "steady", "no-go"),
    "30 bpm": ([2000.0] * 12, "steady", "no-go"),
}


@pytest.mark.parametrize("name", CASES)
def test_steadiness_and_advice(name: str) -> None:
    """Each named rhythm gets its steadiness and its advice."""
    intervals, steadiness, advice = CASES[name]
    rhythm, _ = judged(intervals)
    assert (steadiness, advice) == (rhythm.steadiness, rhythm.advice)
    assert rhythm.reasons, "an advice always has a reason"


def test_unknown_figures_are_none_never_zero() -> None:
    """Before four intervals are known there is no heart rate."""
    rhythm, _ = judged([1000.0] * 2)
    assert (None, None, None, None) == (rhythm.heart_rate_bpm, rhythm.mean_rr_ms, rhythm.sd_rr_ms, rhythm.range_bpm)


def test_figures_of_a_known_series() -> None:
    """Alternating 900 and 1100 ms: mean 1000, SD 100, 60 bpm, range 66.7 - 54.5 bpm."""
    rhythm, _ = judged([900.0, 1100.0] * 6)
    assert (1000.0, 100.0, 60.0) == (rhythm.mean_rr_ms, rhythm.sd_rr_ms, rhythm.heart_rate_bpm)
    assert 12.12 == pytest.approx(rhythm.range_bpm, abs=0.01)


def test_two_short_intervals_are_too_fast_one_is_not() -> None:
    """A single premature beat is not a tachycardia."""
    assert judged([1000.0] * 8 + [400.0])[1].too_fast() is False
    assert judged([1000.0] * 8 + [400.0, 400.0])[1].too_fast() is True


def test_a_pause_is_1_8_times_the_running_interval() -> None:
    """1750 ms after 1000 ms is no pause, 1850 ms is."""
    assert judged([1000.0] * 8 + [1750.0])[1].pause() is False
    assert judged([1000.0] * 8 + [1850.0])[1].pause() is True
