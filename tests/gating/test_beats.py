"""R-peaks to beats."""

from itertools import accumulate

from gating.beats import Beats, ClassifiedBeat
from gating.r_peak import RPeak
from gating.settings import RhythmSettings
from gating.units import NS_PER_MS


def _peak(number: int, at_ms: float) -> RPeak:
    at_ns = round(at_ms * NS_PER_MS)
    return RPeak(
        number=number,
        stage="confirmed",
        r_at_ns=at_ns,
        uncertainty_ns=NS_PER_MS,
        confidence=1.0,
        lead="II",
        decided_at_ns=at_ns + 60 * NS_PER_MS,
    )


def classified(intervals_ms: list[float]) -> list[ClassifiedBeat]:
    """Classify a series of beats that lie these intervals apart."""
    beats = Beats(RhythmSettings())
    return [beats.take(_peak(k, at)) for k, at in enumerate(accumulate(intervals_ms, initial=0.0))]


def test_the_first_beats_are_of_unknown_kind() -> None:
    """With fewer than three intervals to compare with, a beat is neither normal nor premature."""
    assert ["unknown"] * 4 + ["normal"] == [beat.beat_kind for beat in classified([1000.0] * 4)]


def test_the_first_beat_has_no_interval() -> None:
    """An interval needs two beats."""
    assert [None, 1000.0] == [beat.rr_interval_ms for beat in classified([1000.0])]


def test_a_beat_15_percent_early_is_premature_and_marks_the_one_after_it() -> None:
    """At a running RR of 1000 ms, 840 ms is premature, 860 ms is not; the pause belongs to the premature beat."""
    kinds = [beat.beat_kind for beat in classified([1000.0] * 8 + [840.0, 1160.0, 860.0])]
    assert ["premature", "normal", "normal"] == kinds[-3:]
    follows = [beat.follows_premature for beat in classified([1000.0] * 8 + [840.0, 1160.0, 860.0])]
    assert [False, True, False] == follows[-3:]


def test_a_lasting_change_of_rate_becomes_normal() -> None:
    """After half the memory the running RR has followed a step from 60 to 80 bpm."""
    kinds = [beat.beat_kind for beat in classified([1000.0] * 8 + [750.0] * 6)]
    assert ["normal"] * 2 == kinds[-2:]


def test_an_interval_across_a_gap_is_nobodys() -> None:
    """After `forget`, the next beat has no interval."""
    beats = Beats(RhythmSettings())
    beats.take(_peak(1, 0.0))
    beats.forget()
    assert beats.take(_peak(2, 5000.0)).rr_interval_ms is None
