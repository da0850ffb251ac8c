"""Sample times: right within a millisecond whatever the blocks and the bursts, monotone, honest about age."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gating.frontends import FRONTENDS, Declaration, SampleBlock
from gating.sample_clock import BlockTimes, SampleClock
from gating.settings import SampleClockSettings

HP6 = FRONTENDS["healthypi6"].declaration
MS = 1_000_000


def _block(first: int, samples: int, declaration: Declaration = HP6, lost: int = 0) -> SampleBlock:
    """Make a block of which only the counters matter."""
    return SampleBlock(
        leads=declaration.leads,
        microvolts=np.zeros((samples, len(declaration.leads))),
        rate_hz=declaration.rate_hz,
        first_index=first,
        electrodes=(),
        electrodes_off=np.zeros((samples, 0), dtype=np.bool_),
        lost_before=lost,
    )


def _run(
    samples: int, drift_ppm: float, seed: int, seconds: float = 15.0, jitter_ms: float = 8.0, shift_ns: int = 0
) -> tuple[np.ndarray, np.ndarray, list[BlockTimes]]:
    """Give (true time s, error ms) of every sample, and all answers; arrivals jitter and come in bursts."""
    rng = np.random.default_rng(seed)
    clock = SampleClock(SampleClockSettings(), HP6)
    period_ns = 2 * MS / (1 + 1e-6 * drift_ppm)
    blocks = int(seconds * 500) // samples
    ready = np.array([(samples * (k + 1) - 1) * period_ns for k in range(blocks)])
    arrivals = np.maximum.accumulate(ready + MS + rng.uniform(0, jitter_ms, blocks) * MS)
    truth, errors, answers = [], [], []
    for k in range(blocks):
        times = clock.take(_block(k * samples, samples), round(arrivals[k]) + shift_ns)
        given_ns = times.first_at_ns - shift_ns + np.arange(samples) * times.period_ns
        true_ns = (k * samples + np.arange(samples)) * period_ns
        truth.append(true_ns / 1e9)
        errors.append((given_ns - true_ns) / MS)
        answers.append(times)
    return np.concatenate(truth), np.concatenate(errors), answers


@pytest.mark.parametrize("samples", [1, 8, 16])
@pytest.mark.parametrize("drift_ppm", [-200.0, 0.0, 200.0])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_samples_are_timed_within_a_millisecond(samples: int, drift_ppm: float, seed: int) -> None:
    """After 3 s within 1 ms of the truth in bursts of 0-8 ms; before that within a block."""
    at_s, error_ms, answers = _run(samples, drift_ppm, seed)
    assert np.abs(error_ms[at_s > 3.0]).max() <= 1.0
    assert np.abs(error_ms).max() <= max(8.0, 2.0 * samples)
    assert answers[-1].drift_ppm is not None
    assert drift_ppm == pytest.approx(answers[-1].drift_ppm, abs=150.0)


@pytest.mark.parametrize("samples", [1, 16])
def test_time_never_goes_back(samples: int) -> None:
    """Each block begins after the one before ended, from the first block on."""
    _, _, answers = _run(samples, 50.0, seed=7)
    for before, after in pairwise(answers):
        assert after.first_at_ns > before.newest_at_ns
        assert after.newest_at_ns == pytest.approx(after.first_at_ns + (samples - 1) * after.period_ns, abs=1)


@given(st.lists(st.tuples(st.integers(1, 16), st.integers(0, 3000), st.integers(0, 400)), min_size=2, max_size=40))
@settings(max_examples=60, deadline=None)
def test_time_rises_whatever_comes(steps: list[tuple[int, int, int]]) -> None:
    """Losses, stalls and bursts of any size: monotone times, and no negative backlog."""
    clock = SampleClock(SampleClockSettings(), HP6)
    index = now_ns = 0
    newest_ns: int | None = None
    for samples, lost, wait_ms in steps:
        index += lost
        now_ns += wait_ms * MS
        times = clock.take(_block(index, samples, lost=lost), now_ns)
        index += samples
        assert newest_ns is None or times.first_at_ns > newest_ns
        assert times.period_ns > 0
        assert times.backlog_ms >= 0.0
        newest_ns = times.newest_at_ns


def test_all_inputs_shifted_shift_all_answers() -> None:
    """The origin of the clock means nothing."""
    shift_ns = 10**16 + 12_345
    _, _, plain = _run(16, 20.0, seed=3, seconds=6.0)
    _, _, shifted = _run(16, 20.0, seed=3, seconds=6.0, shift_ns=shift_ns)
    expected = [replace(t, first_at_ns=t.first_at_ns + shift_ns, newest_at_ns=t.newest_at_ns + shift_ns) for t in plain]
    assert expected == shifted


def test_what_was_held_back_is_old() -> None:
    """A stall of 400 ms and the burst after it: age and backlog say so, the sample times do not move."""
    clock = SampleClock(SampleClockSettings(), HP6)
    for k in range(200):
        ready_ns = (16 * (k + 1) - 1) * 2 * MS + MS
        held_ns = max(ready_ns, 5_400 * MS) if ready_ns > 5_000 * MS else ready_ns
        times = clock.take(_block(16 * k, 16), held_ns)
        assert ready_ns - MS == pytest.approx(times.newest_at_ns, abs=10_000)
        assert (held_ns - ready_ns) / MS == pytest.approx(times.backlog_ms, abs=0.1)
        assert times.backlog_ms + 1.0 == pytest.approx(times.age_ms, abs=0.1)


def test_a_box_of_half_the_rate_is_seen() -> None:
    """250 samples a second labelled 500: the drift is beyond every limit at the first telling."""
    clock = SampleClock(SampleClockSettings(), HP6)
    drifts = [clock.take(_block(16 * k, 16), 16 * (k + 1) * 4 * MS).drift_ppm for k in range(200)]
    told = [drift for drift in drifts if drift is not None]
    assert told[0] == pytest.approx(-500_000, rel=0.01)


def test_a_wrapping_counter_that_missed_whole_turns_is_mended() -> None:
    """Cyton: 3 s of radio silence lose 750 samples, of which the counter shows 750 - 512."""
    cyton = FRONTENDS["cyton"].declaration
    clock = SampleClock(SampleClockSettings(), cyton)
    floor_ns = cyton.link_floor_ns
    for k in range(1000):
        clock.take(_block(k, 1, cyton), k * 4 * MS + floor_ns)
    for k in range(1750, 2000):
        lost = 750 - 512 if k == 1750 else 0
        times = clock.take(_block(k - 512, 1, cyton, lost), k * 4 * MS + floor_ns)
        assert k * 4 * MS - cyton.filter_delay_ns == pytest.approx(times.newest_at_ns, abs=MS)
    assert times.backlog_ms < 1.0


def test_a_box_without_a_rate_leans_on_arrivals() -> None:
    """AD8232 lines at 170 Hz, labelled 192: times follow within a few milliseconds, gaps are jumped."""
    ad8232 = FRONTENDS["ad8232"].declaration
    clock = SampleClock(SampleClockSettings(), ad8232)
    constant_ns = ad8232.filter_delay_ns + ad8232.link_floor_ns
    for k in range(1500):
        now_ns = round(k * 1e9 / 170) + (2_000 * MS if k > 900 else 0)
        times = clock.take(_block(k, 1, ad8232), now_ns)
        if k % 900 > 400:
            assert now_ns - constant_ns == pytest.approx(times.newest_at_ns, abs=5 * MS)
