"""What disturbs each lead now, in the words a radiographer uses: mains, wander, muscle, electrode motion, pacer spikes.

Theory of operation. The signal is cut into bins of about 83 ms, three at a time are taken in every 0.25 s, and what is
told rests on the last 2 s: 24 bins. In each bin a least-squares fit parts a cubic from a sine of 50 and one of 60 Hz.
A QRS spoils the one or two bins it lies in, so medians and low quantiles over the bins tell of what lies between beats.
Told is what matters in these 2 s and, settled over 1.7 s, has mattered before; the settled size gives the order too.

- mains: the complex height of the line, turned back by its own drift of phase, hardly differs from bin to bin.
- muscle: what the fit leaves, a low quantile of the bins' RMS.
- wander: the swing of a robust (Huber) fit of the cubics' levels, three cosines up to 0.5 Hz.
- electrode motion: what that fit leaves, as a median, times how little the best lag of 0.33-1.25 s makes of it. The
  heart repeats its waves, a moved electrode does not.
- pacer spikes: at most 2 ms wide, steep on both sides, quiet before and after, more than one in 4 s.

Limits. Below 150 Hz hum cannot be told from muscle, and neither is told; below 250 Hz no spikes are. Harmonics of the
mains count as muscle. Only the samples and their order matter, never how the stream was cut.

References
----------
Huber 1964, Annals of Mathematical Statistics 35:73 (the robust fit). ANSI/AAMI EC13 4.1.4.1 (pacer pulses of 2 to
700 mV, 0.1 to 2 ms; mains of 0.1 mV). Moody, Muldrow & Mark 1984, Computers in Cardiology 11:381 (the kinds of noise).
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Kind = Literal["mains", "wander", "muscle", "electrode motion", "pacer spikes"]

TICKS_PER_S = 36  # levels of the slow part
TICKS_PER_BIN, BINS_PER_HOP, BINS = 3, 3, 24
TICKS = TICKS_PER_BIN * BINS
LINES_HZ = (50, 60)
LINE_REACH_HZ = 0.5  # how far a line may be off its nominal frequency
LOWEST_RATE_FOR_FAST_HZ = 150.0  # 2.5 times the higher line
LOWEST_RATE_FOR_SPIKES_HZ = 250.0  # below, a sample holds more than two of the widest pacer pulses

# From what size on a part matters. Ours, from MIT-BIH records and its noise, for all alike.
MAINS_UV = 70.0  # peak to peak; EC13 tests with 100
MUSCLE_UV = 210.0
WANDER_UV = 500.0
MOTION_UV = 560.0
MOTION_OVER_WANDER = 0.40  # of its size; less is what a fast wander leaves of itself

MUSCLE_RANK = BINS * 3 // 10  # the bin that stands for all: 16 of 24 may hold a QRS
MUSCLE_PEAKS = 6.0  # peak to peak over RMS: 99.7 % of Gaussian noise
MOTION_PEAKS = 8.0  # peak to peak over the median after the best lag; 6 for Gaussian noise, of which the lag takes some
NARROW = 1.0  # a line's height over the median distance of the bins from it; 0.3 to 0.5 for noise
CLIP = 1.5  # median distances: where the robust fit stops to believe
ROUNDS = 5

SETTLING = 0.15  # of what is new enters the order at each hop, 1.7 s: one PVC is over before it counts

SPIKE_WIDTH_S = 0.002  # EC13 4.1.4.1
SPIKE_UV = 1500.0  # a pulse of 2 mV that shares its width between samples
SPIKE_QUIET = 0.3  # of a spike's height may lie in the slopes beside it; an R wave has all of it there
SPIKE_OVER_NOISE = 10.0  # of the RMS of the noise
SPIKE_ONE_S = 0.02  # hits nearer than this are one spike
SPIKE_MEMORY_S = 4.0  # holds two at 30 a minute
SPIKES_MOST = 20  # in this memory: two or three a beat; more are noise
SPIKE_STALE_S = 2.0

_ROWS: tuple[Kind, ...] = ("mains", "muscle", "wander", "electrode motion")
_LIMITS_UV = np.array([[MAINS_UV], [MUSCLE_UV], [WANDER_UV], [MOTION_UV]])


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One thing that disturbs one lead."""

    kind: Kind
    size_uv: float  # peak to peak, of this part of the signal
    text: str  # for people


class Disturbances:
    """Watches all leads of one stream.

    Parameters
    ----------
    leads : int
        How many.
    rate_hz : float
        The nominal rate, 100 to 2000 Hz.
    """

    def __init__(self, leads: int, rate_hz: float) -> None:
        tick = max(2, round(rate_hz / TICKS_PER_S))
        self._bin = tick * TICKS_PER_BIN
        self._hop = self._bin * BINS_PER_HOP
        self._rate_hz = rate_hz
        self._slow = _Slow(leads)
        self._bins = _Bins(leads, rate_hz, tick)
        self._spikes = _Spikes(leads, rate_hz) if rate_hz >= LOWEST_RATE_FOR_SPIKES_HZ else None
        self._rest = np.zeros((self._hop, leads))
        self._filled = 0
        self._sizes_uv = np.zeros((len(_ROWS), leads))
        self._usual: Floats | None = None  # sizes over their limits, settled
        self._scores = np.zeros((len(_ROWS), leads))  # the same of what matters, else 0
        self._line_hz = [LINES_HZ[0]] * leads

    def take(self, microvolts: Floats) -> None:
        """Take the next samples [sample, lead]."""
        begin, count = 0, len(microvolts)
        while begin < count:
            end = min(count, begin + self._hop - self._filled)
            self._rest[self._filled : self._filled + end - begin] = microvolts[begin:end]
            self._filled += end - begin
            begin = end
            if self._filled == self._hop:
                self._filled = 0
                self._hear()

    def now(self, lead: int) -> Disturbance | None:
        """Give the worst of what disturbs a lead now; `None`: it is clean, or the first 2 s are not over."""
        all_now = self.all_now(lead)
        return all_now[0] if all_now else None

    def paced(self) -> bool:
        """Tell whether a pacer's spikes are seen on any lead."""
        return self._spikes is not None and self._spikes.any_now()

    def all_now(self, lead: int) -> tuple[Disturbance, ...]:
        """Give all that disturbs a lead now, the worst first; a pacer is always told first."""
        spikes = self._spikes.now(lead) if self._spikes is not None else None
        told = [] if spikes is None else [spikes]
        scores: list[float] = self._scores[:, lead].tolist()
        for row in sorted(range(len(_ROWS)), key=lambda row: -scores[row]):
            if scores[row] >= 1.0:
                size_uv = float(self._sizes_uv[row, lead])
                told.append(Disturbance(_ROWS[row], size_uv, self._words(row, lead, size_uv)))
        return tuple(told)

    def _words(self, row: int, lead: int, size_uv: float) -> str:
        """Put one disturbance into words."""
        names = (f"{self._line_hz[lead]} Hz mains hum", "muscle noise", "baseline wander", "electrode motion")
        return f"{names[row]}, {_mv(size_uv)}"

    def _hear(self) -> None:
        """Take in a full hop and judge the last 2 s."""
        levels_uv = self._bins.take(self._rest)
        self._slow.take(levels_uv)
        noise_uv = self._bins.noise_uv()
        if self._spikes is not None:
            self._spikes.take(self._rest, noise_uv)
        if not self._bins.full:
            return
        wander_uv, motion_uv = self._slow.sizes_uv()
        line_uv, which = self._bins.line_uv()
        self._line_hz = [LINES_HZ[k] for k in which.tolist()]
        self._sizes_uv = np.stack((line_uv, MUSCLE_PEAKS * noise_uv, wander_uv, motion_uv))
        fresh = self._sizes_uv / _LIMITS_UV
        fresh[3, motion_uv < MOTION_OVER_WANDER * wander_uv] = 0.0
        self._usual = fresh if self._usual is None else self._usual + SETTLING * (fresh - self._usual)
        scores = np.where(fresh >= 1.0, self._usual, 0.0)
        # the baseline that a moved electrode leaves behind is its doing, not a second disturbance that is worse
        scores[2] = np.where(scores[3] >= 1.0, np.minimum(scores[2], 0.99 * scores[3]), scores[2])
        self._scores = scores


class _Bins:
    """The least-squares fit of each bin, and what its fast part tells over the last 2 s."""

    def __init__(self, leads: int, rate_hz: float, tick: int) -> None:
        size = tick * TICKS_PER_BIN
        self.full = False
        self._fast = rate_hz >= LOWEST_RATE_FOR_FAST_HZ
        lines = LINES_HZ if self._fast else ()
        seconds = np.arange(size) / rate_hz
        place = np.linspace(-1.0, 1.0, size)
        columns = [place**power for power in range(4)]
        for hertz in lines:
            columns += [np.cos(2.0 * math.pi * hertz * seconds), np.sin(2.0 * math.pi * hertz * seconds)]
        design = np.stack(columns, axis=1)
        base, upper = np.linalg.qr(design)
        self._base = np.ascontiguousarray(base.T)  # [part, sample], orthonormal
        weights = np.linalg.inv(upper)
        at_ticks = design[:, :4].reshape(TICKS_PER_BIN, tick, 4).mean(axis=1)
        self._to_ticks = at_ticks @ weights[:4]
        self._to_lines = weights[4::2] - 1j * weights[5::2]  # x = Re(z exp(i w t)): z = cosine - i sine
        self._free = size - design.shape[1]
        self._size, self._rate_hz, self._leads = size, rate_hz, leads
        self._number = 0
        self._hertz = np.array(lines, dtype=np.float64)
        self._rms_uv = np.zeros((BINS, leads))
        self._lines = np.zeros((BINS, len(lines), leads), dtype=np.complex128)
        self._reach = 2.0 * math.pi * LINE_REACH_HZ * size / rate_hz  # of a line's phase, from bin to bin
        self._steps = (np.arange(BINS) - (BINS - 1) / 2)[:, None, None]

    def take(self, hop: Floats) -> Floats:
        """Fit the bins of one hop; give the levels of their ticks [tick, lead]."""
        bins = hop.reshape(BINS_PER_HOP, self._size, self._leads)
        means = bins.sum(axis=1, keepdims=True) / self._size
        centred = bins - means
        parts = self._base @ centred
        power = np.einsum("bsl,bsl->bl", centred, centred) - np.einsum("bpl,bpl->bl", parts, parts)
        self._rms_uv[:-BINS_PER_HOP] = self._rms_uv[BINS_PER_HOP:]
        self._rms_uv[-BINS_PER_HOP:] = np.sqrt(np.maximum(power, 0.0) / self._free)
        if self._fast:
            begins_s = (self._number + np.arange(BINS_PER_HOP)) * self._size / self._rate_hz
            turns = np.exp(-2j * math.pi * ((begins_s[:, None] * self._hertz) % 1.0))
            self._lines[:-BINS_PER_HOP] = self._lines[BINS_PER_HOP:]
            self._lines[-BINS_PER_HOP:] = (self._to_lines @ parts) * turns[:, :, None]
        self._number += BINS_PER_HOP
        self.full = self.full or self._number >= BINS
        levels: Floats = (self._to_ticks @ parts + means).reshape(-1, self._leads)
        return levels

    def noise_uv(self) -> Floats:
        """Give the RMS of broadband noise, lead by lead."""
        if not self._fast:
            return np.zeros(self._leads)
        noise: Floats = np.sort(self._rms_uv, axis=0)[MUSCLE_RANK]
        return noise

    def line_uv(self) -> tuple[Floats, NDArray[np.intp]]:
        """Give the greater line of each lead from peak to peak, 0 if it is none, and which one it is."""
        if not self._fast:
            return np.zeros(self._leads), np.zeros(self._leads, dtype=np.intp)
        heights = self._lines
        long = np.abs(heights)
        unit = heights / np.maximum(long, 1e-9)
        drift = np.angle((unit[1:] * unit[:-1].conj()).sum(axis=0))
        still = heights * np.exp(-1j * np.clip(drift, -self._reach, self._reach) * self._steps)
        middle = BINS // 2
        centre = np.sort(still.real, axis=0)[middle] + 1j * np.sort(still.imag, axis=0)[middle]
        apart = np.sort(np.abs(still - centre), axis=0)[middle]
        size: Floats = np.abs(centre)
        size = np.where((size >= NARROW * apart) & (np.abs(drift) <= 1.5 * self._reach), 2.0 * size, 0.0)
        which = size.argmax(axis=0)
        return size.max(axis=0), which


class _Slow:
    """The levels of the last 2 s: how far they wander, and what is left of them."""

    def __init__(self, leads: int) -> None:
        self._levels_uv = np.zeros((TICKS, leads))
        place = (np.arange(TICKS) + 0.5) / TICKS
        self._base, _ = np.linalg.qr(np.stack([np.cos(math.pi * k * place) for k in range(3)], axis=1))
        lags = np.arange(TICKS // 6, TICKS * 5 // 8 + 1)
        pairs = TICKS // 3
        self._later = lags[:, None] + np.arange(pairs) * (TICKS - lags[:, None]) // pairs
        self._earlier = self._later - lags[:, None]

    def take(self, levels_uv: Floats) -> None:
        """Take in the levels of one hop."""
        self._levels_uv[: -len(levels_uv)] = self._levels_uv[len(levels_uv) :]
        self._levels_uv[-len(levels_uv) :] = levels_uv

    def sizes_uv(self) -> tuple[Floats, Floats]:
        """Give the peak-to-peak size of wander and of electrode motion, lead by lead."""
        middle = TICKS // 2
        levels = self._levels_uv - np.sort(self._levels_uv, axis=0)[middle]
        fit = np.zeros_like(levels)
        for _ in range(ROUNDS):
            left = levels - fit
            most = CLIP * np.sort(np.abs(left), axis=0)[middle]
            fit = self._base @ (self._base.T @ (fit + np.minimum(np.maximum(left, -most), most)))
        left = levels - fit
        motion = MOTION_PEAKS * np.sort(np.abs(left), axis=0)[middle]
        if (motion >= MOTION_UV).any():
            motion = motion * self._unlike(left)
        return fit.max(axis=0) - fit.min(axis=0), motion

    def _unlike(self, left: Floats) -> Floats:
        """Tell what the best lag leaves of the usual difference between then and now: near 0 for a steady heart."""
        apart = np.sort(np.abs(left[self._later] - left[self._earlier]), axis=1)[:, self._later.shape[1] // 2]
        apart.sort(axis=0)
        share: Floats = apart[0] / np.maximum(apart[len(apart) // 2], 1e-9)
        return share


class _Spikes:
    """Pacer pulses of the last seconds."""

    def __init__(self, leads: int, rate_hz: float) -> None:
        self._beside = math.ceil(SPIKE_WIDTH_S * rate_hz) + 1  # samples from a spike's top to where it is over
        self._rate_hz = rate_hz
        self._last: Floats | None = None
        self._end = 0  # number of the sample after those searched
        self._found: tuple[deque[tuple[int, float]], ...] = tuple(deque(maxlen=SPIKES_MOST + 1) for _ in range(leads))

    def take(self, hop: Floats, noise_uv: Floats) -> None:
        """Search a hop, whose last samples wait for the next one."""
        g = self._beside
        if self._last is None:
            self._last = np.repeat(hop[:1], 4 * g, axis=0)
            self._end = -2 * g
        x = np.concatenate((self._last, hop))
        self._last = x[-4 * g :]
        begin, self._end = self._end, self._end + len(hop)
        steps = x[g:] - x[:-g]  # steps[k] = x[k + g] - x[k]
        if steps.max() < SPIKE_UV and steps.min() > -SPIKE_UV:
            return
        up, down = steps[g : -2 * g], -steps[2 * g : -g]
        height = np.minimum(np.abs(up), np.abs(down))
        slopes = np.maximum(np.abs(steps[: -3 * g]), np.abs(steps[3 * g :]))
        least = np.maximum(SPIKE_UV, SPIKE_OVER_NOISE * noise_uv)
        hits = (height >= least) & (up * down > 0.0) & (slopes <= SPIKE_QUIET * height)
        for row, lead in np.argwhere(hits).tolist():
            self._note(self._found[lead], begin + row, float(height[row, lead]))

    def _note(self, found: deque[tuple[int, float]], at: int, height_uv: float) -> None:
        """Write down one hit; hits close together are one spike."""
        if found and at - found[-1][0] < SPIKE_ONE_S * self._rate_hz:
            at, height_uv = found[-1][0], max(found.pop()[1], height_uv)
        found.append((at, height_uv))

    def any_now(self) -> bool:
        """Tell whether spikes repeat on any lead."""
        return any(found and self.now(lead) is not None for lead, found in enumerate(self._found))

    def now(self, lead: int) -> Disturbance | None:
        """Tell of spikes that repeat, and have not ended."""
        recent = [one for one in self._found[lead] if one[0] >= self._end - SPIKE_MEMORY_S * self._rate_hz]
        if not 2 <= len(recent) <= SPIKES_MOST or recent[-1][0] < self._end - SPIKE_STALE_S * self._rate_hz:
            return None
        rate = (len(recent) - 1) * self._rate_hz / (recent[-1][0] - recent[0][0])
        heights = sorted(height for _, height in recent)
        return Disturbance("pacer spikes", heights[len(heights) // 2], f"pacer spikes, {rate:.2g} a second")


def _mv(microvolts: float) -> str:
    """Write a size in millivolts, with as many digits as mean something."""
    return f"{microvolts / 1e3:.{2 if microvolts < 500.0 else 1}f} mV"
