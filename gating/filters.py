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
