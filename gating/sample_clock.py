"""Arrival stamps and the box's counters -> sample times on the host clock, drift, age and backlog.

Theory of operation. A frame's bytes can come late, never early. So the arrivals, less the counter times the nominal
period, lie on or above a straight line whose slope is the box's drift; the line is the lower envelope of the last
`window_s` seconds, kept as one lowest point per quarter second. What the frontend declares as constant (the filters'
delay, the link's floor) is taken off; the wait for a full frame is none, as the line rests on the *last* sample of each
frame. A burst therefore moves no sample.

Sample times never go back: where the line falls (an early frame shows that all before were late) the clock closes up
at half a period a sample at least.
"""

from collections import deque
from dataclasses import dataclass
from itertools import pairwise

from gating.frontends.frontend import Declaration, SampleBlock
from gating.settings import SampleClockSettings
from gating.units import NS_PER_MS, NS_PER_S

BIN_S = 0.25
SLOPE_AFTER_S = 4.0  # a shorter span tells the slope worse than a crystal's data sheet does
FAST_SLOPE = 2e-3  # a slope beyond this is believed at once: the box is not what it says it is
FREE_WINDOW_S = 2.0  # a box without a rate of its own
HOLE_S = 0.5  # after a longer loss the counter vouches for nothing
EARLY_NS = 20 * NS_PER_MS  # an arrival so long before its sample: the counter is wrong


@dataclass(frozen=True, slots=True)
class BlockTimes:
    """When the samples of one block happened, on the host's monotonic clock."""

    first_at_ns: int
    period_ns: float
    newest_at_ns: int
    age_ms: float  # of the newest sample, on arrival
    backlog_ms: float  # how much later than at best the block arrived
    drift_ppm: float | None  # how much faster than nominal the box samples; None: not known yet


class SampleClock:
    """Fits the lower envelope; one instance per stream."""

    def __init__(self, settings: SampleClockSettings, declaration: Declaration) -> None:
        self._exact = declaration.rate_exact
        self._window_s = settings.window_s if self._exact else FREE_WINDOW_S
        self._nominal_ns = NS_PER_S / declaration.rate_hz
        self._constant_ns = declaration.filter_delay_ns + declaration.link_floor_ns
        self._wraps_at = declaration.counter_wraps_at
        # (bin, index, arrival): the lowest of each bin; the window empties it long before its bound
        self._bins: deque[tuple[int, int, int]] = deque(maxlen=4096)
        self._origin = (0, 0)  # index and arrival that the line is reckoned from
        self._offset_ns = 0.0  # of the line at the origin
        self._slope = 0.0  # relative: 1e-6 is 1 ppm slow
        self._span_s = 0.0
        self._shift = 0  # samples added to the counter: whole turns that it missed
        self._newest: tuple[int, int] | None = None  # index and time of the last sample given out

    def take(self, block: SampleBlock, now_ns: int) -> BlockTimes:
        """Give the times of the samples of a block that arrived at `now_ns`."""
        samples = len(block.microvolts)
        last = block.first_index + self._shift + samples - 1
        if self._newest is None:
            self._forget(last, now_ns)
        elif block.lost_before:
            last = self._mend(last, block, now_ns)
        early_ns = self._line_at(last) - now_ns
        if early_ns > EARLY_NS or (not self._exact and -early_ns > NS_PER_S / 4):
            self._forget(last, now_ns)
        self._rest_on(last, now_ns)
        line_ns = self._line_at(last)
        first_ns, period_ns, newest_ns = self._spread(last, samples, line_ns - self._constant_ns)
        self._newest = (last, newest_ns)
        return BlockTimes(
            first_at_ns=first_ns,
            period_ns=period_ns,
            newest_at_ns=newest_ns,
            age_ms=(now_ns - newest_ns) / NS_PER_MS,
            backlog_ms=max(0.0, (now_ns - line_ns) / NS_PER_MS),
            drift_ppm=-1e6 * self._slope / (1.0 + self._slope) if self._span_s >= SLOPE_AFTER_S else None,
        )

    def _forget(self, last: int, now_ns: int) -> None:
        """Begin anew from this arrival; the drift learned so far goes with the rest."""
        self._bins.clear()
        self._origin = (last, now_ns)
        self._offset_ns = self._slope = self._span_s = 0.0

    def _mend(self, last: int, block: SampleBlock, now_ns: int) -> int:
        """After a loss: add the turns that a wrapping counter missed, or begin anew after a long hole."""
        late_ns = now_ns - self._line_at(last)
        if self._wraps_at is not None and late_ns > 0:
            turn_ns = self._wraps_at * self._nominal_ns
            turns = round(late_ns / turn_ns)
            if abs(late_ns - turns * turn_ns) < 0.1 * turn_ns:
                self._shift += turns * self._wraps_at
                last += turns * self._wraps_at
        if block.lost_before / block.rate_hz > HOLE_S:
            self._forget(last, now_ns)
        return last

    def _line_at(self, index: int) -> int:
        """Tell when the sample of this index would arrive at best."""
        steps = index - self._origin[0]
        return self._origin[1] + round(self._offset_ns + steps * self._nominal_ns * (1.0 + self._slope))

    def _rest_on(self, index: int, now_ns: int) -> None:
        """Add one arrival; fit again when it begins a bin or lies below the line."""
        number = int(index * self._nominal_ns // (BIN_S * NS_PER_S))
        new_bin = not self._bins or self._bins[-1][0] != number
        above_ns = now_ns - self._line_at(index)
        if new_bin:
            self._bins.append((number, index, now_ns))
            while (number - self._bins[0][0]) * BIN_S > self._window_s:
                self._bins.popleft()
        else:
            _, low_index, low_ns = self._bins[-1]
            if above_ns < low_ns - self._line_at(low_index):
                self._bins[-1] = (number, index, now_ns)
        if new_bin or above_ns < 0:
            self._fit()

    def _fit(self) -> None:
        """Lay the line under all points: the edge of their lower hull below the middle of the window."""
        index0, at0 = self._bins[0][1], self._bins[0][2]
        points = [(k - index0, at - at0 - (k - index0) * self._nominal_ns) for _, k, at in self._bins]
        self._span_s = points[-1][0] * self._nominal_ns / NS_PER_S
        slope = self._hull_slope(points) if len(points) > 1 else 0.0
        relative = slope / self._nominal_ns
        needed_s = SLOPE_AFTER_S if self._exact else BIN_S
        if self._span_s < needed_s and not (self._span_s > 1.0 and abs(relative) > FAST_SLOPE):
            slope = relative = 0.0
        self._origin = (index0, at0)
        self._slope = relative
        self._offset_ns = min(y - slope * x for x, y in points)

    @staticmethod
    def _hull_slope(points: list[tuple[int, float]]) -> float:
        """Give the slope (ns per sample) of the edge of the lower convex hull that spans the mean of x."""
        hull: list[tuple[int, float]] = []
        for x, y in points:
            while len(hull) > 1:
                (xa, ya), (xb, yb) = hull[-2], hull[-1]
                if (yb - ya) * (x - xa) < (y - ya) * (xb - xa):
                    break
                hull.pop()
            hull.append((x, y))
        middle = sum(x for x, _ in points) / len(points)
        for (xa, ya), (xb, yb) in pairwise(hull):
            if xa <= middle <= xb:
                return (yb - ya) / (xb - xa)
        return 0.0

    def _spread(self, last: int, samples: int, newest_ns: int) -> tuple[int, float, int]:
        """Give first time, period and newest time of a block: as the line says, but never back."""
        period_ns = self._nominal_ns * (1.0 + self._slope)
        first_ns = newest_ns - round((samples - 1) * period_ns)
        if self._newest is None:
            return first_ns, period_ns, newest_ns
        before_index, before_ns = self._newest
        steps = max(1, last - before_index)  # samples since then, the lost ones too
        least_ns = before_ns + round((steps - samples + 1) * period_ns / 2)
        if first_ns >= least_ns:
            return first_ns, period_ns, newest_ns
        newest_ns = max(newest_ns, before_ns + round(steps * self._nominal_ns / 2))
        period_ns = (newest_ns - before_ns) / steps
        return newest_ns - round((samples - 1) * period_ns), period_ns, newest_ns
