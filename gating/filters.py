"""Causal filters for one stream, sample by sample, and their memory.

They work on whole nanovolts: sums of whole numbers below 2^53 are exact, so that an answer depends on the samples alone
and never on how the stream was cut into blocks, and a moving sum carries no rounding error however long it runs. All
are built from moving sums, whose group delay is the same at every frequency: half their length.

`smooth`: mean over 8 ms, for the time and the shape of a peak; delay `smooth_delay` samples.
`slope`: difference of two neighbouring sums of 24 ms, a band-pass around 15 Hz. `energy`: mean of its size over 60 ms.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gating.kernel import inlined, kernel

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

NANOVOLTS = 1000.0  # per microvolt
SMOOTH_S, SLOPE_S, ENERGY_S = 0.008, 0.024, 0.060
MEMORY_S = 5.0
WEIGHT = 0  # column of a lead's memory (`qrs`): what its energy counts in the strength
(SMOOTH, ENERGY, SLOPE, RAW) = range(4)  # rows of `wave`
(SMOOTH_SUM, NEW_SUM, OLD_SUM, SIZE_SUM) = range(4)  # columns of `sums`


class Lengths(NamedTuple):
    """The lengths of all filters in samples, for one rate."""

    rate_hz: float
    smooth: int
    slope: int
    energy: int
    smooth_delay: int
    mask: int  # a sample's place in the memory is its number and this mask


class Signals(NamedTuple):
    """The filters' memory. In `wave` sample number n of lead k stands at [k, SMOOTH ..., n & mask]."""

    wave: Floats  # SMOOTH and ENERGY in microvolts, RAW in nanovolts, SLOPE in nanovolts times its length
    strength: Floats  # [n & mask]: the energies of all leads, fused; 1 is a usual QRS
    at_ns: Integers  # [n & mask]: when the sample was
    sums: Floats  # [lead, SMOOTH_SUM ...]


def lengths_for(rate_hz: float) -> Lengths:
    """Give the filters' lengths at a rate."""
    memory = 1
    while memory < MEMORY_S * rate_hz:
        memory *= 2
    smooth = max(1, round(SMOOTH_S * rate_hz)) | 1
    return Lengths(
        rate_hz=float(rate_hz),
        smooth=smooth,
        slope=max(2, round(SLOPE_S * rate_hz)),
        energy=max(2, round(ENERGY_S * rate_hz)),
        smooth_delay=(smooth - 1) // 2,
        mask=memory - 1,
    )


def signals_for(lengths: Lengths, leads: int) -> Signals:
    """Make an empty memory."""
    return Signals(
        wave=np.zeros((leads, 4, lengths.mask + 1)),
        strength=np.zeros(lengths.mask + 1),
        at_ns=np.zeros(lengths.mask + 1, dtype=np.int64),
        sums=np.zeros((leads, 4)),
    )


@kernel
def begin(lengths: Lengths, signals: Signals, first: Floats) -> None:
    """Take the signal to have stood still before its first sample: `first` [lead], microvolts."""
    for k in range(first.shape[0]):
        value = np.rint(first[k] * NANOVOLTS)
        signals.wave[k, RAW, :] = value
        signals.wave[k, SMOOTH, :] = value / NANOVOLTS
        signals.sums[k, SMOOTH_SUM] = value * lengths.smooth
        signals.sums[k, NEW_SUM] = value * lengths.slope
        signals.sums[k, OLD_SUM] = value * lengths.slope


@inlined
def filter_sample(lengths: Lengths, wave: Floats, sums: Floats, leads: Floats, n: int, sample: Floats) -> float:
    """Filter sample number n of all leads, and fuse their energies by the leads' weights; gives the strength."""
    mask = lengths.mask
    here = n & mask
    smooth_end, new_end = (n - lengths.smooth) & mask, (n - lengths.slope) & mask
    old_end, size_end = (n - 2 * lengths.slope) & mask, (n - lengths.energy) & mask
    per_smooth = 1.0 / (NANOVOLTS * lengths.smooth)
    per_energy = 1.0 / (NANOVOLTS * lengths.slope * lengths.energy)
    strength = 0.0
    for k in range(sample.shape[0]):
        value = np.rint(sample[k] * NANOVOLTS)
        middle = wave[k, RAW, new_end]
        smooth_sum = sums[k, SMOOTH_SUM] + value - wave[k, RAW, smooth_end]
        new_sum = sums[k, NEW_SUM] + value - middle
        old_sum = sums[k, OLD_SUM] + middle - wave[k, RAW, old_end]
        difference = new_sum - old_sum
        size_sum = sums[k, SIZE_SUM] + abs(difference) - abs(wave[k, SLOPE, size_end])
        sums[k, SMOOTH_SUM], sums[k, NEW_SUM] = smooth_sum, new_sum
        sums[k, OLD_SUM], sums[k, SIZE_SUM] = old_sum, size_sum
        wave[k, RAW, here] = value
        wave[k, SLOPE, here] = difference
        energy = size_sum * per_energy
        wave[k, SMOOTH, here] = smooth_sum * per_smooth
        wave[k, ENERGY, here] = energy
        strength += leads[k, WEIGHT] * energy
    return strength


@kernel
def fuse_again(lengths: Lengths, signals: Signals, leads: Floats, first: int, last: int) -> None:
    """Fuse the energies of the samples [first, last) with other weights."""
    for n in range(max(first, last - lengths.mask), last):
        strength = 0.0
        for k in range(leads.shape[0]):
            strength += leads[k, WEIGHT] * signals.wave[k, ENERGY, n & lengths.mask]
        signals.strength[n & lengths.mask] = strength


@kernel
def time_ns(lengths: Lengths, signals: Signals, number: float, newest: int) -> int:
    """Tell when a sample, or a point between two, was."""
    whole = min(max(int(np.floor(number)), newest - lengths.mask), max(newest - 1, 0))
    here, there = signals.at_ns[whole & lengths.mask], signals.at_ns[(whole + 1) & lengths.mask]
    if newest == 0:
        there = here
    return here + np.int64(np.rint((number - whole) * (there - here)))


@inlined
def parabola(before: float, here: float, after: float) -> float:
    """Place an extremum between samples, by the parabola through three."""
    bend = before - 2.0 * here + after
    if bend == 0.0:
        return 0.0
    return min(max(0.5 * (before - after) / bend, -1.0), 1.0)
