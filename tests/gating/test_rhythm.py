"""Beats to rhythm and advice."""

from itertools import accumulate

import numpy as np
import pytest

from gating.beats import Beats, ClassifiedBeat
from gating.messages import BeatKind, EctopicPattern, Rhythm
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


RATES: dict[str, tuple[list[float], float]] = {
    "bigeminy, 600 and 900 ms: 80 bpm": ([600.0, 900.0] * 5, 80.0),
    "pairs of 350 and 650 ms: 120 bpm": ([350.0, 350.0, 650.0, 650.0] * 3, 120.0),
    "a step from 80 to 120 bpm, three beats on": ([750.0] * 9 + [500.0] * 3, 120.0),
    "a step from 80 to 40 bpm, three beats on: 4.5 s": ([750.0] * 9 + [1500.0] * 3, 40.0),
    "one premature beat and its pause": ([1000.0] * 8 + [600.0, 1400.0], 60.0),
}


@pytest.mark.parametrize("name", RATES)
def test_the_averaged_rate(name: str) -> None:
    """Each named rhythm shows its rate within 1 bpm; a step is followed in three beats."""
    intervals, expected = RATES[name]
    assert expected == pytest.approx(judged(intervals)[0].averaged_rate_bpm, abs=1.0)


def kinds(marks: str) -> Rhythm:
    """Give the rhythm after beats told by letters: N normal, P premature, V ventricular."""
    named: dict[str, BeatKind] = {"N": "normal", "P": "premature", "V": "ventricular"}
    judge, last, before = RhythmJudge(RhythmSettings()), None, "N"
    for number, mark in enumerate("N" * 8 + marks):
        beat = ClassifiedBeat(number, number * 1000 * NS_PER_MS, 1000.0, named[mark], before != "N")
        last, before = judge.take(beat), mark
    assert last is not None
    return last


PATTERNS: dict[str, tuple[str, EctopicPattern, int, int]] = {
    "none": ("NNNNNNNNNN", "none", 0, 0),
    "one of them": ("NNNNNNPNNN", "single", 1, 0),
    "every second": ("NVNVNVNVNV", "bigeminy", 5, 5),
    "every third": ("NNVNNVNNVN", "trigeminy", 3, 3),
    "two in a row": ("NNNVVNNNNN", "couplet", 2, 2),
    "three in a row": ("NNNPVVNNNN", "run", 3, 2),
    "longer ago than ten beats": ("VVVNNNNNNNNNN", "none", 0, 0),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_the_pattern_of_ectopic_beats(name: str) -> None:
    """Each named order gets its name and its counts, and the reasons say so."""
    marks, pattern, ectopic, ventricular = PATTERNS[name]
    rhythm = kinds(marks)
    assert (pattern, ectopic, ventricular) == (rhythm.pattern, rhythm.premature, rhythm.ventricular)
    assert (ectopic > 0) is any("in the last 10 beats" in reason for reason in rhythm.reasons)


def test_rmssd_and_trend_of_known_series() -> None:
    """900 and 1100 ms in turn differ by 200 ms; a rate that rises by 1 bpm each second rises by 10 in 10 s."""
    assert 200.0 == pytest.approx(judged([900.0, 1100.0] * 6)[0].rmssd_ms)
    at_s, intervals = 0.0, []
    while at_s < 14.0:
        intervals.append(60e3 / (60.0 + at_s))
        at_s += intervals[-1] / 1e3
    assert 10.0 == pytest.approx(judged(intervals)[0].trend_bpm_per_10_s, abs=0.7)


def test_fibrillation_has_a_probability_and_ventricular_beats_do_not_make_it() -> None:
    """Above 0.9 in fibrillation; below 0.1 at rest; below 0.1 with every sixth ventricular; None at first."""
    af, _ = judged([600.0, 1100.0, 750.0, 1300.0, 520.0, 900.0, 1250.0, 610.0] * 2)
    assert af.af_probability is not None
    assert af.af_probability > 0.9
    rest, _ = judged([1000.0, 1010.0] * 8)
    assert rest.af_probability is not None
    assert rest.af_probability < 0.1
    judge, at_ms = RhythmJudge(RhythmSettings()), 0.0
    last = judge.now(0)
    for number in range(36):
        wide = number % 6 == 5
        interval = 600.0 if wide else 1400.0 if number % 6 == 0 else 1000.0
        at_ms += interval
        kind: BeatKind = "ventricular" if wide else "normal"
        last = judge.take(ClassifiedBeat(number, round(at_ms * NS_PER_MS), interval, kind, number % 6 == 0))
    assert last.af_probability is not None
    assert last.af_probability < 0.1
    assert "irregular" != last.steadiness
    assert judged([1000.0] * 5)[0].af_probability is None


def test_two_short_intervals_are_too_fast_one_is_not() -> None:
    """A single premature beat is not a tachycardia."""
    assert judged([1000.0] * 8 + [400.0])[1].too_fast() is False
    assert judged([1000.0] * 8 + [400.0, 400.0])[1].too_fast() is True


def test_a_pause_is_1_8_times_the_running_interval() -> None:
    """1750 ms after 1000 ms is no pause, 1850 ms is."""
    assert judged([1000.0] * 8 + [1750.0])[1].pause() is False
    assert judged([1000.0] * 8 + [1850.0])[1].pause() is True


def _swinging(sd_ms: list[float]) -> list[str]:
    """Give the steadiness after each beat of a rhythm of 1000 ms that swings over eight beats with the given SD."""
    intervals = [1000.0 + np.sqrt(2.0) * sd * np.sin(np.pi * k / 4.0) for k, sd in enumerate(sd_ms)]
    beats, judge = Beats(RhythmSettings()), RhythmJudge(RhythmSettings())
    said: list[str] = []
    for number, at_ms in enumerate(accumulate(intervals)):
        at_ns = round(at_ms * NS_PER_MS)
        said.append(judge.take(beats.take(RPeak(number, "confirmed", at_ns, 0, 1.0, "II", at_ns))).steadiness)
    return said


def test_steady_and_variable_have_hysteresis() -> None:
    """With an SD of 45 ms, between the two limits, a rhythm stays what it was: steady, or variable after 70 ms."""
    assert _swinging([10.0] * 16 + [45.0] * 16)[-1] == "steady"
    said = _swinging([10.0] * 16 + [70.0] * 16 + [45.0] * 16 + [30.0] * 16)
    assert [said[k] for k in (15, 31, 47, 63)] == ["steady", "variable", "variable", "steady"]


def test_paced() -> None:
    """Spikes at four of the last ten beats make a rhythm paced; it is told in words, and is over when they are."""
    beats, judge = Beats(RhythmSettings()), RhythmJudge(RhythmSettings())
    said: list[Rhythm] = []
    for number in range(30):
        at_ns = number * 1000 * NS_PER_MS
        beat = beats.take(RPeak(number, "confirmed", at_ns, 0, 1.0, "II", at_ns))
        said.append(judge.take(beat, paced=8 <= number < 16))
    assert [one.paced for one in said] == [11 <= number < 22 for number in range(30)]
    assert said[15].advice == "wait"
    assert "paced: a pacemaker's spikes at the beats" in said[15].reasons
    assert said[-1].advice == "go"
