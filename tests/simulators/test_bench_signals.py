"""The waveforms of the bench: heights, lengths and instants are those that their source states."""

import numpy as np
import pytest

from simulators.bench_signals import half_sine, half_sine_peaks_s


@pytest.mark.parametrize("rate_hz", [250.0, 1000.0, 2000.0])
def test_half_sines_are_of_1_mv_60_ms_and_1_hz(rate_hz: float) -> None:
    """Each pulse peaks with 1 mV where it says, spans 60 ms, and the next follows after a second."""
    microvolts, peaks_s = half_sine(rate_hz, 10.0), half_sine_peaks_s(10.0)
    assert round(10.0 * rate_hz) == len(microvolts)
    np.testing.assert_allclose(0.5 + np.arange(10), peaks_s)
    np.testing.assert_allclose(1000.0, microvolts[np.rint(peaks_s * rate_hz).astype(np.int64)])
    np.testing.assert_allclose(10 * 0.060, (microvolts > 0.0).sum() / rate_hz, atol=10 * 2.0 / rate_hz)
    assert 0.0 == microvolts.min()


def test_a_half_sine_is_one() -> None:
    """A quarter of its length from the peak a pulse has fallen to the cosine of 45 degrees."""
    microvolts = half_sine(1000.0, 2.0)
    np.testing.assert_allclose(1000.0 * np.sqrt(0.5), microvolts[[485, 515]])
    np.testing.assert_allclose(0.0, microvolts[[470, 530]], atol=1e-9)


def test_a_pulse_that_would_be_cut_off_is_left_out() -> None:
    """The last pulse is whole, and in no time there is none."""
    assert 1 == len(half_sine_peaks_s(1.51))
    assert 2 == len(half_sine_peaks_s(1.53))
    assert 0 == len(half_sine_peaks_s(0.2))
    assert 0.0 == half_sine(1000.0, 1.51)[1000:].max()
