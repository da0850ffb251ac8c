"""R-peaks to beats: intervals, kinds, and how sure they are."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gating.beats import Beats, ClassifiedBeat, ventricular_probability
from gating.messages import BeatKind
from gating.morphology import Shape
from gating.r_peak import RPeak
from gating.settings import RhythmSettings
from gating.units import NS_PER_MS

USUAL = Shape(alike=0.99, unlike_ratio=1.0, width_ratio=1.0, size_ratio=1.0)
WIDE = Shape(alike=0.3, unlike_ratio=15.0, width_ratio=1.6, size_ratio=1.3)
NOTHING = Shape(alike=0.1, unlike_ratio=30.0, width_ratio=0.7, size_ratio=3.0)


def _peak(number: int, at_ms: float, trust: float = 1.0) -> RPeak:
    at_ns = round(at_ms * NS_PER_MS)
    return RPeak(
        number=number,
        stage="confirmed",
        r_at_ns=at_ns,
        uncertainty_ns=NS_PER_MS,
        confidence=1.0,
        lead="II",
        decided_at_ns=at_ns + 60 * NS_PER_MS,
        trust=trust,
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


SCATTERED = [960.0, 1040.0, 1000.0, 1050.0, 950.0, 1000.0, 1040.0, 960.0]
"""A running RR of 1000 ms with a robust SD of 59 ms."""


def test_a_beat_15_percent_early_is_premature_and_marks_the_one_after_it() -> None:
    """At a running RR of 1000 ms, 840 ms is premature, 860 ms is not; the pause belongs to the premature beat."""
    kinds = [beat.beat_kind for beat in classified([*SCATTERED, 840.0, 1160.0, 860.0])]
    assert ["premature", "normal", "normal"] == kinds[-3:]
    follows = [beat.follows_premature for beat in classified([*SCATTERED, 840.0, 1160.0, 860.0])]
    assert [False, True, False] == follows[-3:]


@pytest.mark.parametrize(
    ("before", "last_ms", "expected"),
    [
        pytest.param([1000.0] * 8, 925.0, "premature", id="even, 7.5 % early"),
        pytest.param([1000.0] * 8, 935.0, "normal", id="even, 6.5 % early"),
        pytest.param([980.0, 1020.0] * 4, 895.0, "normal", id="an SD of 30 ms, 3.5 SD early"),
        pytest.param([980.0, 1020.0] * 4, 875.0, "premature", id="an SD of 30 ms, 4.2 SD early"),
        pytest.param(SCATTERED, 860.0, "normal", id="scattered, 14 % early"),
    ],
)
def test_in_an_even_rhythm_less_is_early(before: list[float], last_ms: float, expected: BeatKind) -> None:
    """A beat that is 4 SD and more than 7 % early stands out of an even rhythm, and is premature."""
    assert expected == classified([*before, last_ms])[-1].beat_kind


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


Last = tuple[float, Shape | None, float, BeatKind]
KINDS: dict[str, Last] = {
    "on time, of the usual shape": (1000.0, USUAL, 1.0, "normal"),
    "30 % early, of the usual shape": (700.0, USUAL, 1.0, "premature"),
    "30 % early and wide": (700.0, WIDE, 1.0, "ventricular"),
    "on time and wide: an end-diastolic one": (1000.0, WIDE, 1.0, "ventricular"),
    "like nothing, in a signal not to be trusted": (700.0, NOTHING, 0.2, "artifact"),
    "30 % early, and no shape is known": (700.0, None, 1.0, "premature"),
    "on time, and no shape is known": (1000.0, None, 1.0, "normal"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_beat_gets_its_kind_by_time_and_shape(name: str) -> None:
    """After eight beats at 60 bpm each named beat is what it should be, and it is more likely that than not."""
    interval_ms, shape, trust, expected = KINDS[name]
    beats = Beats(RhythmSettings())
    for number in range(9):
        beats.take(_peak(number, 1000.0 * number), USUAL)
    beat = beats.take(_peak(9, 8000.0 + interval_ms, trust), shape)
    assert expected == beat.beat_kind
    assert (expected != "normal") is beat.ectopic
    assert 0.5 < beat.kind_confidence <= 1.0


def test_an_unknown_kind_has_no_confidence() -> None:
    """The first beat is nothing yet, whatever it looks like."""
    beat = Beats(RhythmSettings()).take(_peak(1, 0.0), WIDE)
    assert ("unknown", 0.0) == (beat.beat_kind, beat.kind_confidence)


def test_the_beat_after_a_ventricular_one_is_marked() -> None:
    """Its interval is the ectopic beat's pause, not the sinus rate."""
    beats = Beats(RhythmSettings())
    for number in range(9):
        beats.take(_peak(number, 1000.0 * number), USUAL)
    beats.take(_peak(9, 9000.0), WIDE)
    assert beats.take(_peak(10, 10_000.0), USUAL).follows_premature is True


@given(
    alike=st.floats(-1.0, 0.99),
    less=st.floats(0.0, 0.5),
    wide=st.floats(0.5, 3.0),
    wider=st.floats(1.0, 2.0),
    early=st.floats(-1.0, 1.0),
    earlier=st.floats(0.0, 0.5),
)
def test_less_alike_wider_or_earlier_is_never_less_ventricular(
    alike: float, less: float, wide: float, wider: float, early: float, earlier: float
) -> None:
    """The probability rises with each of them, and stays one."""
    one = ventricular_probability(Shape(alike, 2.0, wide, 1.1), early)
    other = ventricular_probability(Shape(max(alike - less, -1.0), 2.0, wide * wider, 1.1), early + earlier)
    assert 0.0 <= one <= other <= 1.0
