"""Times and sizes of the detector for the bench. One core; what is compared runs in turns, under the same load."""

import os
import statistics
import time
import tracemalloc
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gating.io.numbers import read_judge
from gating.io.peers import DETECTORS
from gating.r_peak import RPeakDetector
from gating.sample_clock import BlockTimes
from gating.settings import RPeakSettings
from gating.units import NS_PER_S

Floats = NDArray[np.float64]
KIB = 1024.0


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process on one processor, and give the others back at the end."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Feed:
    """A detector of its own with time going on from block to block."""

    def __init__(self, leads: tuple[str, ...], rate_hz: float) -> None:
        self._detector = RPeakDetector(RPeakSettings(), leads, rate_hz, read_judge())
        self._trusted = (True,) * len(leads)
        self._rate_hz = rate_hz
        self._next = 0
        self.told = 0

    def take(self, microvolts: Floats) -> None:
        """Hand over one block."""
        period_ns = NS_PER_S / self._rate_hz
        first_ns = round(self._next * period_ns)
        self._next += len(microvolts)
        times = BlockTimes(first_ns, period_ns, round((self._next - 1) * period_ns), 0.0, 0.0, None)
        self.told += len(self._detector.take(microvolts, self._trusted, times))

    def take_all(self, microvolts: Floats, rows: int) -> None:
        """Hand over a signal in blocks of so many rows."""
        for begin in range(0, len(microvolts), rows):
            self.take(microvolts[begin : begin + rows])


def ours(microvolts: Floats, leads: tuple[str, ...], rate_hz: float, rows: int | None = None) -> Callable[[], int]:
    """Make the work of finding the beats of a signal, whole or in blocks; a contiguous copy is made beforehand."""
    block = np.ascontiguousarray(microvolts)

    def work() -> int:
        feed = Feed(leads, rate_hz)
        feed.take_all(block, len(block) if rows is None else rows)
        return feed.told

    return work


def peer(name: str, microvolts: Floats, rate_hz: float) -> Callable[[], int]:
    """Make the work of a peer on one lead."""
    millivolts = np.ascontiguousarray(microvolts * 1e-3)

    def work() -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return len(DETECTORS[name][1](millivolts, rate_hz))

    return work


def in_turns(works: dict[str, Callable[[], int]], turns: int) -> dict[str, float]:
    """Run all works once for warmth, then in turns; gives the median time of each in seconds.

    A work that finds nothing did not do it, and its time would mean nothing.
    """
    idle = [name for name, work in works.items() if not work()]
    assert [] == idle, f"found no beat: {idle}"
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(turns):
        for name, work in works.items():
            begun = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - begun)
    return {name: statistics.median(each) for name, each in times.items()}


def block_times_ms(microvolts: Floats, leads: tuple[str, ...], rate_hz: float, rows: int) -> tuple[Floats, Floats]:
    """Give how long each block took in ms, by the wall and by the thread's own processor time.

    What lasts longer by the wall than by the processor is another program's turn. The first pass over the signal is
    for warmth; the second is of a new detector and counts from its first block on.
    """
    Feed(leads, rate_hz).take_all(microvolts, rows)
    feed = Feed(leads, rate_hz)
    begins = range(0, len(microvolts) - rows + 1, rows)
    wall_ms, own_ms = np.zeros(len(begins)), np.zeros(len(begins))
    for place, begin in enumerate(begins):
        block = microvolts[begin : begin + rows]
        own_ns, wall_ns = time.thread_time_ns(), time.perf_counter_ns()
        feed.take(block)
        wall_ms[place] = (time.perf_counter_ns() - wall_ns) * 1e-6
        own_ms[place] = (time.thread_time_ns() - own_ns) * 1e-6
    return wall_ms, own_ms


# --- memory ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Size:
    """What the process held after so much signal."""

    fed_s: float
    traced_kib: float  # by Python and numpy since the detector was made
    peak_kib: float  # the most of it since the last look
    resident_kib: float  # of the whole process


def sizes_over(
    tile: Floats, leads: tuple[str, ...], rate_hz: float, *, looks_s: tuple[float, ...], rows: int
) -> list[Size]:
    """Feed a piece of signal over and over, in blocks, and look at the memory at these times of the signal."""
    Feed(leads, rate_hz).take_all(tile, rows)  # what is made once a process is made
    tracemalloc.start()
    try:
        base = tracemalloc.get_traced_memory()[0]
        feed, fed, sizes = Feed(leads, rate_hz), 0, []
        for look_s in looks_s:
            tracemalloc.reset_peak()
            while fed < look_s * rate_hz:
                feed.take_all(tile, rows)
                fed += len(tile)
            now, peak = tracemalloc.get_traced_memory()
            sizes.append(Size(fed / rate_hz, (now - base) / KIB, (peak - base) / KIB, _resident_kib()))
        return sizes
    finally:
        tracemalloc.stop()


def _resident_kib() -> float:
    """Give the resident size of this process, as the kernel counts it."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / KIB
