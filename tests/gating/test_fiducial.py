"""Where a beat is marked: between the flanks of its greatest wave, whatever its top does."""

import numpy as np
import pytest

from gating.filters import Floats
from gating.io.numbers import read_judge
from gating.r_peak import RPeakDetector
from gating.sample_clock import BlockTimes
from gating.settings import RPeakSettings

BEATS_AT_MS = np.arange(400.0, 20_000.0, 850.0)
LEARNT_MS = 6_000.0
FLANK_UV_PER_MS, HALF_AT_FOOT_MS, HALF_AT_TOP_MS = 80.0, 30.0, 8.0


def _wave(at_ms: Floats, slant_uv_per_ms: float) -> Floats:
    """Give a wave with straight flanks, the same on both sides, cut off by a top that slants; its middle is at 0."""
    flanks = FLANK_UV_PER_MS * (HALF_AT_FOOT_MS - np.abs(at_ms))
    top = FLANK_UV_PER_MS * (HALF_AT_FOOT_MS - HALF_AT_TOP_MS) + slant_uv_per_ms * at_ms
    return np.clip(flanks, 0.0, np.maximum(top, 0.0))


def _errors_ms(slant_uv_per_ms: float, polarity: float, rate_hz: float) -> Floats:
    """Tell beats of such waves; gives how far the confirmed marks lie behind their middles."""
    at_ms = np.arange(0.0, 21_000.0, 1e3 / rate_hz)
    signal = sum((_wave(at_ms - beat_ms, slant_uv_per_ms) for beat_ms in BEATS_AT_MS), start=np.zeros(len(at_ms)))
    detector = RPeakDetector(RPeakSettings(), ("II",), rate_hz, read_judge())
    peaks = detector.take(polarity * signal[:, None], (True,), BlockTimes(0, 1e9 / rate_hz, 0, 0.0, 0.0, None))
    marks_ms = np.array([1e-6 * peak.r_at_ns for peak in peaks if peak.stage == "confirmed"])
    marks_ms = marks_ms[marks_ms > LEARNT_MS]
    return np.array([mark_ms - BEATS_AT_MS[np.abs(BEATS_AT_MS - mark_ms).argmin()] for mark_ms in marks_ms])


@pytest.mark.parametrize("rate_hz", [100.0, 128.0, 360.0, 1000.0, 2000.0])
@pytest.mark.parametrize("polarity", [1.0, -1.0], ids=["R", "QS"])
@pytest.mark.parametrize("slant_uv_per_ms", [0.0, 12.0, -12.0], ids=["flat", "rises", "falls"])
def test_the_mark_lies_between_the_flanks(slant_uv_per_ms: float, polarity: float, rate_hz: float) -> None:
    """A top that slants has its extremum 7 ms aside; the mark stays within 0.5 ms, and a tenth of a sample."""
    at_ms = np.arange(-40.0, 41.0)
    aside_ms = 0.0 if slant_uv_per_ms == 0.0 else abs(at_ms[_wave(at_ms, slant_uv_per_ms).argmax()])
    errors_ms = _errors_ms(slant_uv_per_ms, polarity, rate_hz)
    assert (slant_uv_per_ms != 0.0) == (aside_ms >= 6.0)
    assert len(errors_ms) >= 15
    assert np.abs(errors_ms).max() <= 0.5 + 0.1 * 1e3 / rate_hz
