"""The heart: true R times of every rhythm, exact and reproducible."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.heart import TrueBeat, breath_hold_change_bpm, breathing_depth, true_beats
from simulators.scenario import Respiration, RhythmStory, Scenario

QUIET = RhythmStory(noise_ms=0.0, wave_ms=0.0)
NO_BREATH = Respiration(rsa_bpm=0.0, hold_begins_at_s=1e6)


def beats_of(rhythm: RhythmStory, respiration: Respiration = NO_BREATH, seconds: float = 120.0) -> tuple[TrueBeat, ...]:
    """Draw the beats of a rhythm with seed 3."""
    scenario = Scenario(name="t", story="t", rhythm=rhythm, respiration=respiration)
    return true_beats(scenario, seconds, np.random.default_rng(3))


def intervals_s(beats: tuple[TrueBeat, ...]) -> np.ndarray:
    """Give the RR intervals."""
    return np.diff([beat.r_at_s for beat in beats])


@settings(max_examples=30)
@given(
    st.sampled_from(["sinus", "af"]),
    st.sampled_from([None, 3.0, 7.0]),
    st.floats(5.0, 60.0),
    st.integers(0, 2**32),
)
def test_a_longer_duration_only_adds_beats(kind: str, pvc: float | None, seconds: float, seed: int) -> None:
    """The beats of a short duration are, bit for bit, the first of a long one."""
    rhythm = msgspec.convert({"kind": kind, "pvc_every_beats": pvc, "pauses_at_s": [20.0]}, RhythmStory)
    scenario = Scenario(name="t", story="t", rhythm=rhythm)
    short = true_beats(scenario, seconds, np.random.default_rng(seed))
    long = true_beats(scenario, seconds + 30.0, np.random.default_rng(seed))
    assert short == tuple(beat for beat in long if beat.r_at_s <= seconds)
    assert [beat.number for beat in long] == list(range(1, len(long) + 1))
    assert np.all(intervals_s(long) >= 0.15)


def test_a_heart_without_any_variation_is_a_metronome() -> None:
    """60 bpm without noise, wave and breath gives exactly one beat a second."""
    np.testing.assert_allclose(intervals_s(beats_of(QUIET)), 1.0, atol=1e-12)


def test_respiratory_arrhythmia_follows_the_published_corner() -> None:
    """At 15 breaths a minute 0.43 of the slow-breathing amplitude is left: 20 bpm show as 8.65 bpm."""
    rate = 60.0 / intervals_s(beats_of(QUIET, Respiration(rsa_bpm=20.0, hold_begins_at_s=1e6), 300.0))
    assert rate.max() == pytest.approx(60.0 + 20.0 / np.hypot(1.0, 0.25 / 0.12), abs=0.5)
    assert rate.min() == pytest.approx(60.0 - 20.0 / np.hypot(1.0, 0.25 / 0.12), abs=0.5)


def test_breath_hold_ends_respiratory_arrhythmia() -> None:
    """From three seconds into the hold the swing is below a tenth of what it was."""
    respiration = Respiration(rsa_bpm=20.0, hold_begins_at_s=60.0, hold_rate_change_bpm=0.0)
    beats = beats_of(QUIET, respiration, 74.0)
    before = [60.0 / rr for beat, rr in zip(beats, intervals_s(beats), strict=False) if beat.r_at_s < 59.0]
    during = [60.0 / rr for beat, rr in zip(beats, intervals_s(beats), strict=False) if 63.0 < beat.r_at_s < 74.0]
    assert np.ptp(during) < 0.1 * np.ptp(before)


@pytest.mark.parametrize(
    ("since_s", "low", "high"),
    [(-1.0, 0.0, 0.0), (1.0, 2.0, 3.0), (4.0, -4.01, -3.9), (14.0, -4.01, -3.99), (20.0, -2.1, -1.9), (60.0, 1.9, 2.1)],
)
def test_breath_hold_moves_the_rate_up_then_down_then_late_up(since_s: float, low: float, high: float) -> None:
    """The first beats are faster, the hold settles at -4 bpm, and the rate rises after 15 s."""
    assert low <= breath_hold_change_bpm(Respiration(hold_begins_at_s=10.0), 10.0 + since_s) <= high


def test_a_failed_hold_brings_breathing_back() -> None:
    """Breathing is full again and the rate back to rest some seconds after a hold failed."""
    respiration = Respiration(hold_begins_at_s=10.0, hold_fails_after_s=6.0)
    assert breathing_depth(respiration, 15.9) < 0.06
    assert breathing_depth(respiration, 20.0) > 0.99
    assert abs(breath_hold_change_bpm(respiration, 40.0)) < 0.01


def test_a_premature_ventricular_beat_has_its_coupling_and_full_compensatory_pause() -> None:
    """Coupling is 0.6 to 0.8 of RR, and coupling plus pause are two RR."""
    beats = beats_of(RhythmStory(noise_ms=0.0, wave_ms=0.0, pvc_every_beats=7.0))
    rr = intervals_s(beats)
    at = [i for i, beat in enumerate(beats[:-1]) if beat.kind == "pvc"]
    assert 14 <= len(at) <= 20
    assert all(0.6 <= rr[i - 1] <= 0.8 for i in at)
    np.testing.assert_allclose([rr[i - 1] + rr[i] for i in at], 2.0, atol=1e-9)
    assert {6, 7, 8} == set(np.diff(at))


def test_atrial_fibrillation_has_independent_intervals_over_the_published_range() -> None:
    """The rate of an interval is uniform over 45-115 bpm (so 70 / ln(115/45) = 75 beats a minute), without memory."""
    beats = beats_of(RhythmStory(kind="af", rate_bpm=80.0), seconds=600.0)
    rr = intervals_s(beats)
    assert {"af"} == {beat.kind for beat in beats}
    assert 65.0 < np.ptp(60.0 / rr) <= 70.0 + 1e-9
    assert abs(np.corrcoef(rr[:-1], rr[1:])[0, 1]) < 0.1
    assert 72.0 < 60.0 / rr.mean() < 77.0


def test_a_pause_is_as_long_as_told_and_ends_with_an_escape_beat() -> None:
    """The first beat after `pauses_at_s` is followed by `pause_ms` of silence and an escape beat."""
    beats = beats_of(RhythmStory(noise_ms=0.0, wave_ms=0.0, pauses_at_s=(20.0,), pause_ms=2500.0))
    rr = intervals_s(beats)
    assert ["escape"] == [beat.kind for beat in beats if beat.kind != "sinus"]
    assert rr.max() == pytest.approx(2.5)
    assert 20.0 <= beats[int(rr.argmax())].r_at_s < 21.0
