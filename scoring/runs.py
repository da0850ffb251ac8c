"""Pixels as runs along the rows of their slices, and which runs touch: connected components without visiting the rest.

A scan has millions of pixels and some ten thousand runs above a threshold, so everything after the threshold is quick.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Runs in the order of slice, row and column; all arrays are [run]."""

    slice: Indices
    row: Indices
    first: Indices  # column
    last: Indices  # column, inclusive
    shape: tuple[int, int, int]  # of the volume: slices, rows, columns

    def __len__(self) -> int:
        """Count the runs."""
        return len(self.slice)

    @property
    def pixels(self) -> Indices:
        """Number of pixels of each run."""
        return self.last - self.first + 1

    @property
    def starts(self) -> Indices:
        """Flat index of each run's first pixel in the volume."""
        _, rows, columns = self.shape
        return (self.slice * rows + self.row) * columns + self.first

    def taken(self, order: Indices) -> "Runs":
        """Give some of the runs, or all in another order."""
        return Runs(self.slice[order], self.row[order], self.first[order], self.last[order], self.shape)


def runs_of(flat: Indices, shape: tuple[int, int, int], owner: Indices | None = None) -> Runs:
    """Cut pixels into runs: neighbours in one row, and of one owner.

    Parameters
    ----------
    flat
        Flat indices of the pixels; ascending, at least among those of one owner.
    shape
        Of the volume: slices, rows, columns.
    owner
        Of each pixel; None: all have the same.
    """
    _, rows, columns = shape
    new = np.ones(len(flat), dtype=np.bool_)
    new[1:] = (np.diff(flat) != 1) | (flat[1:] % columns == 0)
    if owner is not None:
        new[1:] |= np.diff(owner) != 0
    begins = np.flatnonzero(new)
    lengths = np.diff(begins, append=len(flat))
    start = flat[begins]
    line, first = np.divmod(start, columns)
    where, row = np.divmod(line, rows)
    return Runs(where, row, first, first + lengths - 1, shape)


def touching_pairs(runs: Runs, steps: Sequence[tuple[int, int, int]]) -> tuple[Indices, Indices]:
    """List the pairs of runs of which one lies beside the other, seen from the first.

    Parameters
    ----------
    runs
        In their order.
    steps
        Slices up, rows down, and how many columns beyond its own ends a run reaches there.

    Returns
    -------
    tuple of two arrays [pair]
        Indices into `runs`.
    """
    _, rows, columns = runs.shape
    # a line of its own between rows, and a row of its own between slices, so that no run reaches into the next line
    width, height = columns + 2, rows + 2
    base = (runs.slice * height + runs.row) * width
    first, last = base + runs.first, base + runs.last
    ones, others = [], []
    for up, down, reach in steps:
        shift = (up * height + down) * width
        low = np.searchsorted(last, first + (shift - reach), "left")
        high = np.searchsorted(first, last + (shift + reach), "right")
        count = np.maximum(high - low, 0)
        one = np.repeat(np.arange(len(runs)), count)
        ones.append(one)
        others.append(np.repeat(low, count) + np.arange(len(one)) - np.repeat(np.cumsum(count) - count, count))
    return np.concatenate(ones), np.concatenate(others)


def components(count: int, one: Indices, other: Indices) -> Indices:
    """Give each of `count` nodes the number of its connected component, in the order of their first nodes.

    Notes
    -----
    Roots are hooked to smaller roots, then all nodes point to their roots, until no pair is apart (Shiloach and Vishkin
    1982, doi:10.1016/0196-6774(82)90008-6). scipy has this too, but takes longer to load than a series to be scored.
    """
    root = np.arange(count, dtype=np.int64)
    while True:
        a, b = root[one], root[other]
        apart = a != b
        if not apart.any():
            break
        one, other = one[apart], other[apart]
        np.minimum.at(root, np.maximum(a, b)[apart], np.minimum(a, b)[apart])
        while not np.array_equal(root, further := root[root]):
            root = further
    _, number = np.unique(root, return_inverse=True)
    return np.asarray(number, dtype=np.int64)
