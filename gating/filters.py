"""Causal filters for one stream, and their memory.

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
AHEAD = 64  # samples are filtered together before they are searched, and bring no more words than that
WEIGHT = 0  # column of a lead's memory (`qrs`): what its energy counts in the strength
(SMOOTH, ENERGY, SLOPE, RAW) = range(4)  # rows of `wave`
(SMOOTH_SUM, NEW_SUM, OLD_SUM, SIZE_SUM) = range(4)  # columns of `sums`
NEVER_NEGATIVE = 2**31 - 1  # a mask that was masked with it: the compiler sees that no index counts from the end


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
    while memory < MEMORY_S * rate_hz + AHEAD:
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


@kernel
def filter_ahead(lengths: Lengths, signals: Signals, n: int, samples: Floats, first: int, last: int) -> None:
    """Filter the samples [first, last) of a piece [sample, lead], of which the first has number n.

    Lead by lead, so that the sums stay in registers. They are exact: nothing depends on how many come at once.
    """
    wave, sums = signals.wave, signals.sums
    mask = lengths.mask & NEVER_NEGATIVE
    smooth, slope, energy = lengths.smooth, lengths.slope, lengths.energy
    per_smooth = 1.0 / (NANOVOLTS * smooth)
    per_energy = 1.0 / (NANOVOLTS * slope * energy)
    for k in range(samples.shape[1]):
        smooth_sum, size_sum = sums[k, SMOOTH_SUM], sums[k, SIZE_SUM]
        new_sum, old_sum = sums[k, NEW_SUM], sums[k, OLD_SUM]
        for i in range(first, last):
            at = n + i - first
            here = at & mask
            value = np.rint(samples[i, k] * NANOVOLTS)
            middle = wave[k, RAW, (at - slope) & mask]
            smooth_sum += value - wave[k, RAW, (at - smooth) & mask]
            new_sum += value - middle
            old_sum += middle - wave[k, RAW, (at - 2 * slope) & mask]
            difference = new_sum - old_sum
            size_sum += abs(difference) - abs(wave[k, SLOPE, (at - energy) & mask])
            wave[k, RAW, here] = value
            wave[k, SLOPE, here] = difference
            wave[k, SMOOTH, here] = smooth_sum * per_smooth
            wave[k, ENERGY, here] = size_sum * per_energy
        sums[k, SMOOTH_SUM], sums[k, NEW_SUM] = smooth_sum, new_sum
        sums[k, OLD_SUM], sums[k, SIZE_SUM] = old_sum, size_sum


@inlined
def fuse(signals: Signals, leads: Floats, place: int) -> float:
    """Fuse the energies of all leads by their weights into the strength at a place of the memory; gives it."""
    strength = 0.0
    for k in range(leads.shape[0]):
        strength += leads[k, WEIGHT] * signals.wave[k, ENERGY, place]
    signals.strength[place] = strength
    return strength


@kernel
def fuse_again(lengths: Lengths, signals: Signals, leads: Floats, first: int, last: int) -> None:
    """Fuse the energies of the samples [first, last) with other weights."""
    for n in range(max(first, last - lengths.mask), last):
        fuse(signals, leads, n & lengths.mask)


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
