"""Causal filters for streams, each of which states its delay.

They work on integers (nanovolts): sums of integers are exact, so that an answer depends on the samples alone and never
on how the stream was cut into blocks, and a moving sum carries no rounding error however long it runs. All are built
from moving sums, whose group delay is the same at every frequency: half their length.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
NANOVOLTS = 1000.0  # per microvolt


def nanovolts(microvolts: Floats) -> Integers:
    """Turn microvolts [sample, lead] into the integers that the filters take."""
    return np.rint(microvolts * NANOVOLTS).astype(np.int64)


class MovingSum:
    """Sum over the last `length` samples, [sample, lead] -> [sample, lead]. Delay: (length - 1) / 2 samples."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.delay_samples = (length - 1) / 2
        self._last: Integers | None = None  # the last `length` inputs

    def take(self, samples: Integers) -> Integers:
        """Filter the next samples; before the first sample the signal is taken to have stood still."""
        if self._last is None:
            self._last = np.repeat(samples[:1], self.length, axis=0)
        both = np.concatenate((self._last, samples))
        self._last = both[-self.length :]
        sums = both.cumsum(axis=0)
        difference: Integers = sums[self.length :] - sums[: -self.length]
        return difference


class Lag:
    """The signal `length` samples ago, [sample, lead] -> [sample, lead]. Delay: `length` samples."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.delay_samples = float(length)
        self._last: Integers | None = None

    def take(self, samples: Integers) -> Integers:
        """Delay the next samples."""
        if self._last is None:
            self._last = np.repeat(samples[:1], self.length, axis=0)
        both = np.concatenate((self._last, samples))
        self._last = both[-self.length :]
        return both[: -self.length]


class Slope:
    """Sum over the last `length` samples less that over the `length` before: a band-pass, greatest at 0.37 / length.

    Zero at 0 Hz and at every multiple of 1 / length. Delay: length - 1/2 samples.
    """

    def __init__(self, length: int) -> None:
        self.length = length
        self.delay_samples = length - 0.5
        self._sum = MovingSum(length)
        self._lag = Lag(length)

    def take(self, samples: Integers) -> Integers:
        """Filter the next samples."""
        sums = self._sum.take(samples)
        return sums - self._lag.take(sums)


class QrsFilters:
    """The three signals that a QRS detector looks at, and its memory of them, by sample number.

    `smooth`: mean over 8 ms, centred on its sample less `delay_samples`, for the time and the shape of a peak.
    `slope`: difference of two neighbouring means of 24 ms, a band-pass around 15 Hz. `energy`: mean of its size over
    70 ms.
    All [sample, lead] in microvolts; `at_ns` [sample] tells when each sample was. At least `memory_s` are kept.
    """

    def __init__(self, leads: int, rate_hz: float, memory_s: float = 4.0) -> None:
        self._smooth = MovingSum(max(1, round(0.008 * rate_hz)) | 1)
        self._slope = Slope(max(2, round(0.024 * rate_hz)))
        self._energy = MovingSum(max(2, round(0.070 * rate_hz)))
        self.delay_samples = int(self._smooth.delay_samples)
        self._capacity = 2 * round(memory_s * rate_hz)
        self.smooth = np.zeros((self._capacity, leads))
        self.slope = np.zeros((self._capacity, leads))
        self.energy = np.zeros((self._capacity, leads))
        self.strength = np.zeros(self._capacity)  # the owner's: the leads' energies, fused
        self.at_ns = np.zeros(self._capacity, dtype=np.int64)
        self.begin = 0  # number of the first sample kept
        self.end = 0

    def take(self, microvolts: Floats, at_ns: Integers) -> None:
        """Filter samples, at most `memory_s` of them, and keep the results; when full, the older half goes."""
        count = len(microvolts)
        if self.end - self.begin + count > self._capacity:
            keep = self._capacity // 2
            for array in (self.smooth, self.slope, self.energy, self.strength, self.at_ns):
                array[:keep] = array[self.end - self.begin - keep : self.end - self.begin].copy()
            self.begin = self.end - keep
        samples = nanovolts(microvolts)
        slope = self._slope.take(samples)
        at = slice(self.end - self.begin, self.end - self.begin + count)
        slope_nv = NANOVOLTS * self._slope.length
        self.smooth[at] = self._smooth.take(samples) / (NANOVOLTS * self._smooth.length)
        self.slope[at] = slope / slope_nv
        self.energy[at] = self._energy.take(np.abs(slope)) / (slope_nv * self._energy.length)
        self.at_ns[at] = at_ns
        self.end += count

    def rows(self, first: int, last: int) -> slice:
        """Turn sample numbers [first, last) into rows, as far as they are kept."""
        return slice(max(0, first - self.begin), max(0, min(last, self.end) - self.begin))

    def time_ns(self, number: float) -> int:
        """Tell when a sample, or a point between two, was."""
        if self.end - self.begin < 2:
            return int(self.at_ns[0])
        whole = min(max(int(number // 1), self.begin), self.end - 2)
        here, there = int(self.at_ns[whole - self.begin]), int(self.at_ns[whole - self.begin + 1])
        return here + round((number - whole) * (there - here))
