"""Scoring against annotated beats, by hand-computed cases; and noise at the ratio asked for."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gating.evaluation import (
    TOLERANCES_MS,
    Decision,
    Kind,
    Outcome,
    Told,
    Truth,
    armed,
    average,
    calibration,
    confirmed_words,
    counts_at,
    figures,
    first_words,
    match,
    outcome,
    pooled,
    premature,
    premature_beats,
    scored_from,
    told_offline,
)
from gating.io.records import read_record
from gating.noise_stress import at_rate, mixed, noise_power, signal_power, snr_db, when_on

samples = st.lists(st.floats(0.0, 5000.0, allow_nan=False), max_size=40).map(lambda values: np.array(sorted(values)))


def truth(*beats: float, first: float = 0.0, flutter: tuple[tuple[float, float], ...] = ()) -> Truth:
    """Annotated beats at 1000 Hz: a sample is a millisecond."""
    return Truth(np.array(beats, dtype=np.float64), 1000.0, first, flutter)


def told(*beats: float, after: float = 60.0, trust: float = 0.9, armed: bool = True) -> Told:
    """Beats told so many milliseconds after their R."""
    r = np.array(beats, dtype=np.float64)
    return Told(r, r + after, np.full(len(r), trust), np.full(len(r), armed))


def counted(result: Outcome, tolerance_ms: float = 150.0) -> tuple[int, int, int]:
    """TP, FN, FP."""
    counts = counts_at(result, tolerance_ms)
    return counts.tp, counts.fn, counts.fp


@pytest.mark.parametrize(
    ("beats", "found", "partners"),
    [
        ([1000.0], [1150.0], [0]),  # at the tolerance: a pair
        ([1000.0], [1151.0], [-1]),
        ([1000.0], [990.0, 1005.0], [1]),  # the closer one
        ([1000.0, 1100.0], [1060.0], [-1, 0]),  # to the closer one
        ([1000.0, 1100.0], [1050.0], [0, -1]),  # of equals the earlier
        ([1000.0, 1100.0], [1090.0, 1210.0], [-1, 0]),  # closest first: 1090 is the second's, though it costs a pair
        ([1000.0, 2000.0, 3000.0], [1001.0, 2999.0], [0, -1, 1]),
        ([], [1000.0], []),
        ([1000.0], [], [-1]),
    ],
)
def test_the_closest_pair_first_and_one_to_one(beats: list[float], found: list[float], partners: list[int]) -> None:
    """Every case of a pair, none, and two who want the same."""
    assert partners == match(np.array(beats), np.array(found), 150.0).tolist()


@given(samples, samples)
def test_a_wider_tolerance_never_finds_less(beats: np.ndarray, found: np.ndarray) -> None:
    """Pairs only come with tolerance, and each beat is in one pair at most; counts always add up."""
    result = outcome(Truth(beats, 1000.0, 0.0), told_offline(found))
    each = [counts_at(result, tolerance_ms) for tolerance_ms in TOLERANCES_MS]
    assert sorted(one.tp for one in each) == [one.tp for one in each]
    assert {(len(beats), len(found))} == {(one.tp + one.fn, one.tp + one.fp) for one in each}
    partners = [k for k in match(beats, found, 150.0).tolist() if k >= 0]
    assert len(set(partners)) == len(partners)


@given(samples, samples, st.sampled_from(TOLERANCES_MS))
def test_the_pairs_of_a_tolerance_are_those_matched_with_it(
    beats: np.ndarray, found: np.ndarray, tolerance: float
) -> None:
    """Matching at 150 ms and taking the close pairs is matching at the tighter tolerance."""
    result = outcome(Truth(beats, 1000.0, 0.0), told_offline(found))
    assert int((match(beats, found, tolerance) >= 0).sum()) == counts_at(result, tolerance).tp


def test_figures_of_a_hand_counted_record() -> None:
    """Two found, 4 ms early and 20 ms late, one missed, one false."""
    result = outcome(truth(1000, 2000, 3000), told(996, 2020, 3500))
    one = figures(result)
    assert (2, 1, 1) == counted(result)
    assert (1, 2, 2) == counted(result, 8.0)
    assert [pytest.approx(200 / 3)] * 2 == [one.counts.se_percent, one.counts.ppv_percent]
    assert (8.0, 12.0, 8.0) == (one.error.bias_ms, one.error.sd_ms, one.error.median_ms)
    assert 0.0 == one.error.within_one_sample_percent
    assert (68.0, 80.0) == (one.delay.median_ms, one.delay.max_ms)


def test_the_learning_period_is_matched_and_not_counted() -> None:
    """A pair across its end counts or not with its annotation; what lies before it is neither missed nor false."""
    assert (1, 0, 0) == counted(outcome(truth(100, 1001, first=1000.0), told(500, 990)))
    assert (0, 0, 0) == counted(outcome(truth(999, first=1000.0), told(1010)))
    assert (0, 1, 1) == counted(outcome(truth(999, 1500, first=1000.0), told(1200)))


def test_flutter_is_not_scored() -> None:
    """Inside an episode and within 150 ms of it nothing is missed or false; outside everything is."""
    episode = ((2000.0, 4000.0),)
    assert (1, 0, 0) == counted(outcome(truth(1000, 1900, flutter=episode), told(1000, 1851, 2500, 4149)))
    assert (0, 1, 1) == counted(outcome(truth(1800, flutter=episode), told(4200)))


@pytest.mark.parametrize(
    ("seconds", "learning_s", "first_s", "short"),
    [(1800, 300, 300, False), (600, 300, 300, False), (599, 300, 10, True), (60, 5, 5, False), (6, 5, 5, True)],
)
def test_a_short_record_is_scored_after_ten_seconds(
    seconds: float, learning_s: float, first_s: float, short: bool
) -> None:
    """Shorter than two learning periods: after 10 s, and it is told."""
    assert (first_s * 250.0, short) == scored_from(round(seconds * 250), 250.0, learning_s)


def test_the_first_word_counts_though_it_is_withdrawn() -> None:
    """Per number the first word is kept; confirmed beats are a list of their own."""

    def word(number: int, kind: Kind, emitted: float, r: float = 1000.0) -> Decision:
        return Decision(number, kind, r, emitted, 0.7, kind == "confirmed")

    words = [
        word(1, "provisional", 1010.0),
        word(1, "confirmed", 1060.0),
        word(2, "provisional", 1510.0, 1500.0),
        word(2, "withdrawn", 1560.0, 1500.0),
        word(3, "confirmed", 2060.0, 2000.0),
    ]
    first, sure = first_words(words), confirmed_words(words)
    assert [1010.0, 1510.0, 2060.0] == first.emitted_sample.tolist()
    assert [1060.0, 2060.0] == sure.emitted_sample.tolist()
    assert (2, 0, 1) == counted(outcome(truth(1000, 2000), first))


def test_early_beats_are_premature() -> None:
    """RR below 80 % of the mean of the eight before it; what flutter interrupts is no interval."""
    regular = [1000.0 * k for k in range(1, 10)]
    assert [9] == np.flatnonzero(premature_beats(truth(*regular, 9790.0))).tolist()
    assert [] == np.flatnonzero(premature_beats(truth(*regular, 9810.0))).tolist()
    assert not premature_beats(truth(1000, 2000, 2500)).any()  # four intervals must be known
    after_flutter = truth(*regular, 9500.0, flutter=((9100.0, 9400.0),))
    assert not premature_beats(after_flutter).any()


def test_premature_beats_are_known_by_either_word() -> None:
    """Told 20 ms after it, confirmed 60 ms after it; one that nobody told is not known."""
    beats = truth(*[1000.0 * k for k in range(1, 10)], 9700.0, 10700.0, 11400.0)
    first = outcome(beats, told(*beats.beats[:-1], after=20.0))
    sure = outcome(beats, told(*beats.beats[:-1], after=60.0))
    assert (2, 50.0, 50.0) == tuple(getattr(premature(first, sure), name) for name in premature(first, sure).__slots__)
    late = premature(outcome(beats, told()), sure)
    assert (0.0, 50.0) == (late.known_35_ms_percent, late.known_85_ms_percent)


def test_armed_beats_have_figures_of_their_own() -> None:
    """Two armed of which one is true, of four true beats."""
    some = Told(np.array([1000.0, 2000.0, 3500.0]), np.full(3, np.nan), np.full(3, 0.5), np.array([True, False, True]))
    result = armed(outcome(truth(1000, 2000, 3000, 4000), some))
    assert (2, 50.0, 25.0) == (result.armed, result.ppv_percent, result.share_of_beats_percent)


def test_trust_is_compared_with_the_share_of_true_beats() -> None:
    """Ten beats of trust 0.95 of which nine are true, two of 0.25 of which one is: off by 0.05 and 0.25."""
    beats = [1000.0 * k for k in range(1, 11)]
    sure, doubtful = told(*beats[:9], 20_000.0, trust=0.95), told(10_000.0, 21_000.0, trust=0.25)
    parts = [outcome(truth(*beats[:9]), sure), outcome(truth(beats[9]), doubtful)]
    result = calibration(pooled(parts))
    filled = [(one.told, one.mean_trust, one.true_share) for one in result.bins if one.told]
    assert [(2, 0.25, 0.5), (10, pytest.approx(0.95), 0.9)] == filled
    assert (10 * 0.05 + 2 * 0.25) / 12 == pytest.approx(result.expected_error)


def test_gross_weighs_beats_and_average_weighs_records() -> None:
    """1 of 1 and 1 of 3 found: 50 % gross, 67 % on average."""
    parts = [outcome(truth(1000), told(1000)), outcome(truth(1000, 2000, 3000), told(1010))]
    assert 50.0 == figures(pooled(parts)).counts.se_percent
    assert pytest.approx((200 / 3, 100.0)) == average(map(figures, parts))
    assert 5.0 == figures(pooled(parts)).error.sd_ms
    assert 0.0 == figures(pooled(parts)).error.sd_centred_ms


def test_nothing_told_has_no_shares() -> None:
    """No beat told: Se is 0, +P and all times are not a number, and nothing warns."""
    one = figures(outcome(truth(1000), told()))
    assert 0.0 == one.counts.se_percent
    assert np.isnan([one.counts.ppv_percent, one.delay.median_ms, one.error.bias_ms, one.error.sd_ms]).all()
    assert np.isnan(calibration(outcome(truth(1000), told())).expected_error)


# --- noise ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked_db", [24.0, 6.0, -6.0])
@pytest.mark.parametrize("rate_hz", [250.0, 360.0])
def test_noise_is_mixed_in_at_the_ratio_asked_for(asked_db: float, rate_hz: float) -> None:
    """What was added, by the same definition, gives the ratio back; lead k has channel k mod 2; it is on and off."""
    rng = np.random.default_rng(7)
    count = round(420 * rate_hz)
    beats = np.arange(100, count - 100, round(0.8 * rate_hz))
    clean = np.zeros((count, 3))
    clean[beats] = (1000.0, 400.0, 2000.0)
    noise = at_rate(rng.normal(size=(80 * 360, 2)).cumsum(axis=0), 360.0, rate_hz)
    first = 60.0 * rate_hz
    added = mixed(clean, beats, rate_hz, noise, asked_db, first) - clean
    on = when_on(count, rate_hz, first)
    assert (round(240 * rate_hz), 0.0) == (on.sum(), np.abs(added[~on]).max())
    for lead in range(3):
        once = added[on][: len(noise), lead]
        ratio_db = snr_db(signal_power(clean[:, lead], beats, rate_hz), noise_power(once, rate_hz))
        assert asked_db == pytest.approx(ratio_db, abs=1e-6)
        assert 1.0 == pytest.approx(np.corrcoef(once, noise[:, lead % 2])[0, 1])
        np.testing.assert_allclose(added[on][len(noise) : 2 * len(noise), lead], once)


@pytest.mark.recorded
def test_the_published_noise_counts_as_it_was_published(recorded_ecg: Path) -> None:
    """The noise of 118e_6 lies 6 dB above the signal of record 118, on its first lead."""
    if not (recorded_ecg / "nstdb" / "em118.hea").is_file():
        pytest.skip("no noise of record 118e_6 (nstdb/em118)")
    record, noise = read_record(recorded_ecg / "mitdb" / "118"), read_record(recorded_ecg / "nstdb" / "em118")
    assert record.beats is not None
    signal_uv2 = signal_power(record.microvolts[:, 0], record.beats.sample, record.rate_hz)
    assert -6.0 == pytest.approx(snr_db(signal_uv2, noise_power(noise.microvolts[:, 0], noise.rate_hz)), abs=0.1)
