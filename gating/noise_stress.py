"""Noise added to a clean recording at a stated ratio, after the MIT-BIH Noise Stress Test. For offline use.

Method. The ratio in decibels compares, lead by lead,

- the signal's power: the square of the QRS complexes' peak-to-peak height within 50 ms of each annotated beat, divided
  by 8 (that of a sine of this height), averaged without the lowest and highest 5 %;
- the noise's power: the standard deviation over each second, averaged without the lowest and highest 5 %, squared;

and the noise's amplitude comes out 1.69 times what their quotient asks for, which agrees with the published noisy
records: the noise of 118e_6, taken out of it, counts as -6.0 dB on its first lead. The noise is off for the learning
period, then on and off for two minutes each; its own file runs only while it is on, and begins again when it ends.
Lead k has the file's channel k mod 2 (the number of its channels).

References
----------
Moody, Muldrow & Mark 1984, Computers in Cardiology 11:381-384. PhysioNet WFDB, `nst` and `nstdbgen`.
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

QRS_HALF_S = 0.050
TRIM = 0.05  # of the values, on each side
AGREES = 1.69  # of amplitudes: with the published noisy records
ON_S = 120.0
ON_AND_OFF_S = 240.0


def trimmed_mean(values: Floats) -> float:
    """Average without the lowest and the highest 5 %."""
    cut = int(TRIM * len(values))
    return float(np.sort(values)[cut : len(values) - cut].mean())


def signal_power(microvolts: Floats, beats: NDArray[np.int64], rate_hz: float) -> float:
    """Give the power of one lead's QRS complexes in square microvolts; `beats` are sample numbers."""
    half = round(QRS_HALF_S * rate_hz)
    whole = beats[(beats >= half) & (beats < len(microvolts) - half)]
    windows = microvolts[whole[:, None] + np.arange(-half, half + 1)]
    return trimmed_mean((windows.max(axis=1) - windows.min(axis=1)) ** 2) / 8.0


def noise_power(microvolts: Floats, rate_hz: float) -> float:
    """Give the power of one channel of noise in square microvolts."""
    second = round(rate_hz)
    count = len(microvolts) // second
    return trimmed_mean(microvolts[: count * second].reshape(count, second).std(axis=1)) ** 2


def snr_db(signal_uv2: float, noise_uv2: float) -> float:
    """Give the ratio of two powers in decibels, as the published noisy records count it."""
    return float(10.0 * np.log10(AGREES**2 * signal_uv2 / noise_uv2))


def when_on(samples: int, rate_hz: float, first: float) -> Booleans:
    """Tell at which samples the noise is on: from `first` (a sample number), two minutes on, two off."""
    since_s = (np.arange(samples) - first) / rate_hz
    on: Booleans = (since_s >= 0.0) & (since_s % ON_AND_OFF_S < ON_S)
    return on


def at_rate(noise: Floats, noise_rate_hz: float, rate_hz: float) -> Floats:
    """Bring noise [sample, channel] to another rate."""
    ratio = Fraction(rate_hz / noise_rate_hz).limit_denominator(1000)
    if ratio == 1:
        return noise
    centre = noise.mean(axis=0)
    other: Floats = resample_poly(noise - centre, ratio.numerator, ratio.denominator, axis=0) + centre
    return other


def mixed(
    microvolts: Floats, beats: NDArray[np.int64], rate_hz: float, noise: Floats, ratio_db: float, first: float
) -> Floats:
    """Add noise to a recording at a signal-to-noise ratio.

    Parameters
    ----------
    microvolts : array of float64, shape (samples, leads)
    beats : array of int64
        Sample numbers of the annotated beats.
    noise : array of float64, shape (any number of samples, channels)
        In any unit, at the rate of the recording (see `at_rate`).
    ratio_db : float
        The ratio asked for, while the noise is on.
    first : float
        Sample number at which the noise comes on first.
    """
    on = when_on(len(microvolts), rate_hz, first)
    places = np.arange(int(on.sum())) % len(noise)
    noisy = microvolts.copy()
    for lead in range(microvolts.shape[1]):
        channel = noise[:, lead % noise.shape[1]]
        ratio = signal_power(microvolts[:, lead], beats, rate_hz) / noise_power(channel, rate_hz)
        noisy[on, lead] += AGREES * np.sqrt(ratio) * 10.0 ** (-ratio_db / 20.0) * channel[places]
    return noisy
