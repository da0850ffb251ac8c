"""The filters: whole numbers, so no cut changes a bit; each delay is what it states; the fusing follows weights."""

import numpy as np
import pytest

from gating.filters import (
    ENERGY,
    NANOVOLTS,
    SLOPE,
    SMOOTH,
    WEIGHT,
    Lengths,
    Signals,
    begin,
    filter_ahead,
    fuse,
    fuse_again,
    lengths_for,
    parabola,
    signals_for,
    time_ns,
)

RATES_HZ = [100.0, 250.0, 360.0, 500.0, 1000.0, 2000.0]


def _filtered(x: np.ndarray, rate_hz: float, weights: tuple[float, ...]) -> tuple[Lengths, Signals, np.ndarray]:
    """Filter a signal [sample, lead] as the search does, in runs of 1 to 64 samples."""
    lengths = lengths_for(rate_hz)
    signals = signals_for(lengths, x.shape[1])
    leads = np.zeros((x.shape[1], WEIGHT + 1))
    leads[:, WEIGHT] = weights
    begin(lengths, signals, x[0])
    runs = np.random.default_rng(2).integers(1, 65, len(x))
    ends = [*np.cumsum(runs)[np.cumsum(runs) < len(x)].tolist(), len(x)]
    for first, end in zip([0, *ends[:-1]], ends, strict=True):
        filter_ahead(lengths, signals, first, x, first, end)
        for n in range(first, end):
            fuse(signals, leads, n & lengths.mask)
            signals.at_ns[n & lengths.mask] = round(1e9 * n / rate_hz)
    return lengths, signals, leads


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_they_are_what_plain_sums_say(rate_hz: float) -> None:
    """Smooth, slope and energy equal the means and differences computed anew from the samples, to the last bit."""
    x = np.rint(np.random.default_rng(1).normal(0.0, 300.0, (round(2 * rate_hz), 2)) * NANOVOLTS) / NANOVOLTS
    lengths, signals, _ = _filtered(x, rate_hz, (1.0, 1.0))
    before = np.repeat(x[:1], 4 * lengths.slope + lengths.energy, axis=0)
    nanovolts = np.rint(np.concatenate((before, x)) * NANOVOLTS)[:, 1]
    sums = np.convolve(nanovolts, np.ones(lengths.slope), "valid")
    slope = sums[lengths.slope :] - sums[: -lengths.slope]
    smooth = np.convolve(nanovolts, np.ones(lengths.smooth), "valid") / (NANOVOLTS * lengths.smooth)
    energy = np.convolve(np.abs(slope), np.ones(lengths.energy), "valid") / (NANOVOLTS * lengths.slope * lengths.energy)
    assert np.array_equal(slope[-len(x) :], signals.wave[1, SLOPE, : len(x)])
    assert np.allclose(smooth[-len(x) :], signals.wave[1, SMOOTH, : len(x)], rtol=1e-14, atol=1e-9)
    assert np.allclose(energy[-len(x) :], signals.wave[1, ENERGY, : len(x)], rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_the_smoothed_peak_lies_its_delay_behind(rate_hz: float) -> None:
    """A symmetrical wave comes out `smooth_delay` samples later, wherever it stood."""
    n = np.arange(round(rate_hz))
    x = 1000.0 * np.exp(-0.5 * ((n - 400 * rate_hz // 1000) / (0.015 * rate_hz)) ** 2)[:, None]
    lengths, signals, _ = _filtered(x, rate_hz, (1.0,))
    assert 400 * rate_hz // 1000 + lengths.smooth_delay == int(signals.wave[0, SMOOTH, : len(x)].argmax())


def test_a_long_run_carries_no_error() -> None:
    """After a million samples of noise on an offset of 100 mV a flat line is flat: no rounding is left in the sums."""
    rng = np.random.default_rng(3)
    x = np.concatenate((rng.normal(100_000.0, 500.0, (200_000, 1)), np.full((500, 1), 100_000.0)))
    lengths, signals, _ = _filtered(x, 250.0, (1.0,))
    last = (len(x) - 1) & lengths.mask
    assert (0.0, 0.0) == (signals.wave[0, SLOPE, last], signals.wave[0, ENERGY, last])


def test_the_strength_is_the_weighted_sum_of_the_energies() -> None:
    """Each lead counts as its weight says, and fusing again with other weights changes the past."""
    x = np.random.default_rng(5).normal(0.0, 100.0, (500, 3))
    lengths, signals, leads = _filtered(x, 500.0, (0.5, 0.0, 2.0))
    energy = signals.wave[:, ENERGY, :500]
    assert np.allclose(0.5 * energy[0] + 2.0 * energy[2], signals.strength[:500])
    leads[:, WEIGHT] = (0.0, 1.0, 0.0)
    fuse_again(lengths, signals, leads, 400, 500)
    assert np.allclose(0.5 * energy[0, :400] + 2.0 * energy[2, :400], signals.strength[:400])
    assert np.allclose(energy[1, 400:], signals.strength[400:500])


def test_a_point_between_samples_has_a_time() -> None:
    """Times are interpolated between the samples' own, and beyond the newest they go on."""
    lengths, signals, _ = _filtered(np.zeros((100, 1)), 500.0, (1.0,))
    assert 41_000_000 == time_ns(lengths, signals, 20.5, 99)
    assert 198_000_000 == time_ns(lengths, signals, 99.0, 99)


def test_the_parabola_finds_the_top_between_samples() -> None:
    """Through three points of a parabola its top comes back exactly; three equal points have none."""
    points = [-((at - 0.3) ** 2) for at in (-1.0, 0.0, 1.0)]
    assert 0.3 == pytest.approx(parabola(*points))
    assert 0.0 == parabola(1.0, 1.0, 1.0)
