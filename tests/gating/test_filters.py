"""Causal filters: exact, independent of the cut, and as late as they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gating.filters import Lag, MovingSum, QrsFilters, Slope, nanovolts

FILTERS = [MovingSum(1), MovingSum(7), Lag(5), Slope(6)]


def _fresh(kind: MovingSum | Lag | Slope) -> MovingSum | Lag | Slope:
    """Make one like it that has seen nothing."""
    return type(kind)(kind.length)


@pytest.mark.parametrize("kind", FILTERS, ids=lambda f: type(f).__name__)
@given(cuts=st.lists(st.integers(1, 30), min_size=1, max_size=10), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_the_cut_changes_no_bit(kind: MovingSum, cuts: list[int], seed: int) -> None:
    """Whole or in pieces: the same integers."""
    samples = np.random.default_rng(seed).integers(-(10**9), 10**9, (sum(cuts), 3))
    whole = _fresh(kind).take(samples)
    pieces, cut = _fresh(kind), np.split(samples, np.cumsum(cuts)[:-1])
    np.testing.assert_array_equal(whole, np.concatenate([pieces.take(piece) for piece in cut]))


def test_a_moving_sum_is_the_sum() -> None:
    """Seven samples, and before the first one the signal stood still."""
    samples = np.random.default_rng(1).integers(-1000, 1000, (50, 2))
    padded = np.concatenate((np.repeat(samples[:1], 6, axis=0), samples))
    expected = [padded[k : k + 7].sum(axis=0) for k in range(50)]
    np.testing.assert_array_equal(expected, MovingSum(7).take(samples))


@pytest.mark.parametrize("kind", [MovingSum(8), MovingSum(9), Lag(4)], ids=["even", "odd", "lag"])
def test_a_ramp_comes_out_as_late_as_stated(kind: MovingSum) -> None:
    """A straight line is only shifted, by the stated delay."""
    ramp = 1000 * np.arange(100)[:, None]
    gain = kind.length if isinstance(kind, MovingSum) else 1
    out = _fresh(kind).take(ramp)[50:, 0] / gain
    np.testing.assert_allclose(1000 * (np.arange(50, 100) - kind.delay_samples), out)


def test_the_slope_of_a_ramp_and_of_a_plateau() -> None:
    """Constant on a straight line, nothing on a level; its delay is that of its middle."""
    slope = Slope(6).take(np.concatenate((np.zeros(40), 10 * np.arange(60)))[:, None].astype(np.int64))[:, 0]
    assert 0 == slope[30]
    assert 10 * 6 * 6 == slope[-1]
    half = int(np.argmax(slope >= slope[-1] / 2))
    assert half - 40 == pytest.approx(Slope(6).delay_samples, abs=1)


def test_an_offset_of_half_a_volt_leaves_no_rounding() -> None:
    """300 mV of electrode offset and an hour of samples: the sums stay exact."""
    kind = MovingSum(5)
    samples = nanovolts(np.full((10_000, 1), 300_000.5))
    for _ in range(20):
        out = kind.take(samples)
    assert {5 * 300_000_500} == set(out[:, 0].tolist())


def test_the_memory_keeps_four_seconds_and_knows_their_times() -> None:
    """Old samples go, the last four seconds stay under their numbers."""
    filters = QrsFilters(1, 500.0)
    x = np.sin(np.arange(10_000) / 50.0)[:, None] * 500.0
    for first in range(0, 10_000, 16):
        rows = slice(first, first + 16)
        filters.take(x[rows], 2_000_000 * np.arange(first, first + len(x[rows])))
    assert 10_000 == filters.end
    assert filters.begin <= 8_000
    assert 2_000_000 * 8_123 + 500_000 == filters.time_ns(8_123.25)
    at = filters.rows(9_000, 9_001).start
    assert filters.smooth[at, 0] == pytest.approx(x[9_000 - filters.delay_samples, 0], abs=1.0)
