"""Waveforms that a bench feeds to a trigger monitor, and the instants that they hold; no heart, no noise, no chance."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

AMPLITUDE_UV = 1000.0
WIDTH_S = 0.060
EVERY_S = 1.0
FIRST_S = 0.5


def half_sine_peaks_s(
    seconds: float, *, width_s: float = WIDTH_S, every_s: float = EVERY_S, first_s: float = FIRST_S
) -> Floats:
    """Give when the pulses of `half_sine` peak, in seconds; only those that are whole within the time."""
    count = int(np.floor((seconds - first_s - width_s / 2.0) / every_s)) + 1
    return first_s + every_s * np.arange(max(0, count), dtype=np.float64)


def half_sine(
    rate_hz: float,
    seconds: float,
    *,
    amplitude_uv: float = AMPLITUDE_UV,
    width_s: float = WIDTH_S,
    every_s: float = EVERY_S,
    first_s: float = FIRST_S,
) -> Floats:
    """Make the half-sine pulses by which the makers of CT trigger monitors state the delay of their trigger.

    Parameters
    ----------
    rate_hz, seconds
        Rate and length of the signal; sample `i` is taken at `i / rate_hz`.
    amplitude_uv, width_s, every_s
        Height, length and distance of the pulses: by default 1 mV, 60 ms, 1 Hz.
    first_s
        When the first pulse peaks.

    Returns
    -------
    array of float64, shape (samples,)
        In microvolts; between the pulses 0. The peaks lie at `half_sine_peaks_s`.

    References
    ----------
    Ivy 7600/7800 manuals: 1 mV, 60 ms half-sine at 1 Hz (ecg.md section 4). It makes no claim on real ECG.
    """
    at_s = np.arange(round(seconds * rate_hz)) / rate_hz
    microvolts = np.zeros(len(at_s))
    for peak_s in half_sine_peaks_s(seconds, width_s=width_s, every_s=every_s, first_s=first_s):
        since_s = at_s - peak_s
        inside = np.abs(since_s) <= width_s / 2.0
        microvolts[inside] = amplitude_uv * np.cos(np.pi * since_s[inside] / width_s)
    return microvolts
