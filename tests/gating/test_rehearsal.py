"""A rehearsed breath-hold, in figures; or why it tells nothing."""

from itertools import pairwise

import pytest

from gating.beats import ClassifiedBeat
from gating.messages import BeatKind
from gating.rehearsal import NotRehearsed, Rehearsal, Rehearsed
from gating.settings import RehearsalSettings
from gating.units import NS_PER_S

BEGAN_S = 100.0


def beats_at(at_s: list[float], odd: dict[int, BeatKind] | None = None) -> list[ClassifiedBeat]:
    """Make beats at these seconds; some of another kind, by their place."""
    kinds = odd or {}
    found: list[ClassifiedBeat] = []
    for number, (before, at) in enumerate(pairwise([at_s[0] - 1.0, *at_s])):
        kind = kinds.get(number, "normal")
        follows = bool(found) and found[-1].ectopic
        found.append(ClassifiedBeat(number, round(at * NS_PER_S), 1e3 * (at - before), kind, follows))
    return found


def every(interval_s: float, from_s: float, until_s: float) -> list[float]:
    """List instants at even distances."""
    return [from_s + k * interval_s for k in range(int((until_s - from_s) / interval_s) + 1)]


def rehearsed(
    held: list[ClassifiedBeat],
    *,
    before: list[ClassifiedBeat] | None = None,
    held_s: float = 18.0,
    unarmed: frozenset[int] = frozenset(),
    af_probability: float | None = 0.0,
) -> Rehearsed | NotRehearsed:
    """Rehearse with beats at 60 bpm before the hold."""
    earlier = beats_at(every(1.0, 90.0, 99.0)) if before is None else before
    room = Rehearsal(RehearsalSettings(), round(BEGAN_S * NS_PER_S), tuple(earlier))
    for number, beat in enumerate(held):
        room.take(beat, armed=number not in unarmed, af_probability=af_probability)
    return room.end(round((BEGAN_S + held_s) * NS_PER_S))


def test_a_heart_that_falls_from_60_to_50_bpm() -> None:
    """1 s before, 1.2 s in the hold from the third second on: 60, 50, a drop of 10; settled within 4 s; no scatter."""
    found = rehearsed(beats_at([100.5, 101.5, 102.5, *every(1.2, 103.7, 118.0)]))
    assert isinstance(found, Rehearsed)
    assert (60.0, 50.0, 10.0) == pytest.approx((found.rate_before_bpm, found.rate_held_bpm, found.drop_bpm), abs=0.3)
    assert 2.0 < found.settle_s < 4.0
    assert (0.0, 0.0) == pytest.approx((found.drift_bpm_per_10_s, found.spread_ms), abs=0.5)
    assert (15, 0, 0) == (found.beats, found.ectopic, found.rejected)


def test_a_rate_that_drifts_and_scatters() -> None:
    """From 60 bpm, 0.5 bpm more every second: 5 in 10 s; every second interval 20 ms longer: about 20 ms."""
    at = 100.0
    times: list[float] = []
    while at < 118.0:
        rr_s = 60.0 / (60.0 + 0.5 * (at - 100.0)) + (0.02 if len(times) % 2 else -0.02)
        at += rr_s
        times.append(at)
    found = rehearsed(beats_at(times))
    assert isinstance(found, Rehearsed)
    assert 5.0 == pytest.approx(found.drift_bpm_per_10_s, abs=1.3)
    assert 20.0 == pytest.approx(found.spread_ms, abs=4.0)


def test_ectopic_and_unarmed_beats_are_counted_and_not_measured() -> None:
    """One ventricular beat and its pause change no rate; two beats that could not arm are told."""
    times = [*every(1.0, 100.5, 108.5), 109.1, *every(1.0, 110.5, 117.5)]
    found = rehearsed(beats_at(times, {9: "ventricular"}), unarmed=frozenset({2, 3}))
    assert isinstance(found, Rehearsed)
    assert (1, 2) == (found.ectopic, found.rejected)
    assert 60.0 == pytest.approx(found.rate_held_bpm, abs=0.3)


NOTHING: dict[str, tuple[list[ClassifiedBeat], list[ClassifiedBeat] | None, float, str]] = {
    "breathed after 8 s": (beats_at(every(0.7, 100.5, 108.0)), None, 8.0, "held for 8 s; 12 s are needed"),
    "few beats": (beats_at(every(3.0, 100.5, 118.0)), None, 18.0, "6 usable beats in the hold; 8 are needed"),
    "nothing before": (beats_at(every(1.0, 100.5, 118.0)), [], 18.0, "0 usable beats before the hold; 4 are needed"),
    "bigeminy": (
        beats_at(every(0.9, 100.5, 118.0), dict.fromkeys(range(1, 20, 2), "ventricular")),
        None,
        18.0,
        "were ectopic: wait for a quieter rhythm",
    ),
}


@pytest.mark.parametrize("name", NOTHING)
def test_a_rehearsal_that_tells_too_little_says_why(name: str) -> None:
    """Each named rehearsal gives the reason that a radiographer needs."""
    held, before, held_s, expected = NOTHING[name]
    found = rehearsed(held, before=before, held_s=held_s)
    assert isinstance(found, NotRehearsed)
    assert expected in found.reasons[0]


def test_a_lost_signal_comes_first() -> None:
    """What spoilt it stands before everything else."""
    room = Rehearsal(RehearsalSettings(), 0, ())
    room.spoil("electrode LL is off")
    room.spoil("no R-peak for 2.0 s")
    found = room.end(round(18 * NS_PER_S))
    assert isinstance(found, NotRehearsed)
    assert "electrode LL is off" == found.reasons[0]
    assert 18 * NS_PER_S == room.ends_at_ns


def test_in_fibrillation_every_interval_counts() -> None:
    """There is no sinus beat to wait for: early ones stay in."""
    odd: dict[int, BeatKind] = dict.fromkeys(range(1, 20, 2), "premature")
    found = rehearsed(beats_at(every(0.8, 100.5, 118.0), odd), af_probability=0.9)
    assert isinstance(found, Rehearsed)
    assert 75.0 == pytest.approx(found.rate_held_bpm, abs=1.0)
