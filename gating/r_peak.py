"""Samples -> R-peaks: provisional at once, then confirmed or withdrawn. Causal, multi-lead, the same for every cut.

Theory of operation
-------------------
1. Per lead, integer moving sums (exact, hence the same however the stream is cut) give `smooth` (8 ms, for the time of
   the peak) and `energy`: the mean of |slope| over 70 ms, the slope being the difference of two 24 ms means next to
   each other, a band-pass around 15 Hz.
2. Leads are fused into one strength: each energy over its own QRS level, weighted by the square of how far QRS stand
   out of what lies between them. A QRS as usual has strength 1. Levels are quantiles of the last beats.
3. Where the strength passes a low threshold a candidate opens. As soon as it has passed the full threshold and the
   extremum on the lead that is timed lies behind us, it is told as *provisional*. `confirm_after_ms` after the
   extremum it is judged once, by its strength, its likeness to the usual beat and the time since the last one, and is
   *confirmed* (final) or, if it was told, *withdrawn*. There is no search-back: nobody can expose in the past.
4. The time is the extremum of `smooth` on the reference lead, interpolated by a parabola, its delay taken out. Every
   other lead learns its median offset to the reference; when the reference is not trusted, another lead is timed and
   its offset taken off.

Sources: the adaptive level between QRS and noise peaks after Hamilton and Tompkins, doi:10.1109/TBME.1986.325695; the
T-wave slope test after Pan and Tompkins, doi:10.1109/TBME.1985.325532. Our deviations: moving sums instead of IIR
band-passes; several leads; a decision at a fixed delay after the extremum; no search-back.
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gating.filters import NANOVOLTS, MovingSum, Slope, nanovolts
from gating.sample_clock import BlockTimes
from gating.settings import RPeakSettings
from gating.units import NS_PER_S

Floats = NDArray[np.float64]
Stage = Literal["provisional", "confirmed", "withdrawn"]

SMOOTH_S, SLOPE_S, ENERGY_S = 0.008, 0.024, 0.070
MEMORY_S = 4.0  # of filtered samples
PIECE_S = 0.25  # longer blocks are taken in pieces, so that the memory is bounded
STEP_S = 0.004  # a candidate is looked at so often
BEFORE_S, AFTER_S = 0.078, 0.050  # where the extremum may lie around the instant the candidate opened
TEMPLATE_S = 0.050  # on either side of the peak
LEAST_UV = 20.0  # energy of the least QRS level: about 0.15 mV of deflection (EC13 asks to ignore less)
BEATS = 8  # that the levels rest on
T_WAVE_S = 0.36
CANDIDATE = 0.6  # of the threshold
RISE = 1.4  # over the least strength since the last candidate


@dataclass(frozen=True, slots=True)
class RPeak:
    """One R-peak at one stage. A confirmed one is final; the number stays the same through all stages."""

    number: int
    stage: Stage
    r_at_ns: int
    uncertainty_ns: int
    confidence: float  # 0..1
    lead: str  # that was timed
    decided_at_ns: int  # time of the sample that decided


@dataclass(slots=True)
class _Candidate:
    """What may become a beat."""

    opened: int  # sample number
    looked: int  # next sample number at which to look
    number: int | None = None  # once it was told
    told: RPeak | None = None


class _Memory:
    """The last seconds of the filtered signals, by sample number."""

    def __init__(self, leads: int, rate_hz: float) -> None:
        self._capacity = 2 * round(MEMORY_S * rate_hz)
        self.smooth = np.zeros((self._capacity, leads))
        self.slope = np.zeros((self._capacity, leads))
        self.energy = np.zeros((self._capacity, leads))
        self.strength = np.zeros(self._capacity)
        self.at_ns = np.zeros(self._capacity, dtype=np.int64)
        self.begin = 0  # number of the first sample kept
        self.end = 0

    def append(self, smooth: Floats, slope: Floats, energy: Floats, at_ns: NDArray[np.int64]) -> None:
        """Add samples; when full, the older half goes."""
        count = len(smooth)
        if self.end - self.begin + count > self._capacity:
            keep = self._capacity // 2
            for array in (self.smooth, self.slope, self.energy, self.strength, self.at_ns):
                array[:keep] = array[self.end - self.begin - keep : self.end - self.begin]
            self.begin = self.end - keep
        at = slice(self.end - self.begin, self.end - self.begin + count)
        self.smooth[at], self.slope[at], self.energy[at], self.at_ns[at] = smooth, slope, energy, at_ns
        self.end += count

    def rows(self, first: int, last: int) -> slice:
        """Turn sample numbers [first, last) into rows, as far as they are kept."""
        return slice(max(0, first - self.begin), max(0, min(last, self.end) - self.begin))

    def time_ns(self, number: float) -> int:
        """Tell when a sample, or a point between two, was."""
        whole = min(max(int(number // 1), self.begin), self.end - 2)
        here, there = self.at_ns[whole - self.begin], self.at_ns[whole - self.begin + 1]
        return int(here) + round((number - whole) * int(there - here))


class _Lead:
    """What one lead has learned."""

    def __init__(self) -> None:
        self.qrs: deque[float] = deque(maxlen=BEATS)  # energy of the last beats
        self.between: deque[float] = deque(maxlen=BEATS)  # greatest energy between them
        self.offsets: deque[float] = deque(maxlen=2 * BEATS)  # samples behind the reference
        self.up = 0.0  # polarity: > 0 upright
        self.template: Floats | None = None

    def levels(self) -> tuple[float, float]:
        """Give the QRS level and the level between (microvolts of energy)."""
        qrs = sorted(self.qrs)
        between = sorted(self.between)
        level = max(qrs[int(0.4 * (len(qrs) - 1))], LEAST_UV)
        return level, max(between[len(between) // 2], 0.02 * level)


class RPeakDetector:
    """Finds R-peaks in the trusted leads of one stream."""

    def __init__(self, settings: RPeakSettings, leads: tuple[str, ...], rate_hz: float) -> None:
        self._settings = settings
        self._names = leads
        self._rate_hz = rate_hz
        self._reference = next((k for k, lead in enumerate(leads) if lead in ("II", "MLII")), 0)
        length = lambda span_s: max(1, round(span_s * rate_hz))  # noqa: E731 - said once, used at once
        self._smooth = MovingSum(length(SMOOTH_S) | 1)
        self._slope = Slope(max(2, length(SLOPE_S)))
        self._energy = MovingSum(length(ENERGY_S))
        self._piece = length(PIECE_S)
        self._step = length(STEP_S)
        self._memory = _Memory(len(leads), rate_hz)
        self._trusted: tuple[bool, ...] = (False,) * len(leads)
        self._number = 0
        self._newest_ns: int | None = None
        self.relearn()

    def relearn(self) -> None:
        """Forget what a beat looks like and learn it anew; numbers go on."""
        self._leads = tuple(_Lead() for _ in self._names)
        self._weights: Floats = np.zeros(len(self._names))
        self._threshold = 1.0
        self._learn_from: int | None = None
        self._learned = False
        self._candidate: _Candidate | None = None
        self._blind_until = 0
        self._last_r: float | None = None
        self._rr: deque[float] = deque(maxlen=BEATS)
        self._slopes: deque[float] = deque(maxlen=BEATS)  # steepest of the last beats
        self._cursor = self._closed_at = self._memory.end

    @property
    def learned(self) -> bool:
        """Tell whether the detector knows what a beat looks like."""
        return self._learned

    def take(self, microvolts: Floats, trusted: tuple[bool, ...], times: BlockTimes) -> tuple[RPeak, ...]:
        """Take the samples of one block, [sample, lead]; give the R-peaks that they make known.

        Parameters
        ----------
        microvolts : array, shape (samples, leads)
        trusted : one per lead; no beat is found from a lead that is not
        times : when the samples were, on the host's clock
        """
        peaks: list[RPeak] = []
        at_ns = times.first_at_ns + np.rint(np.arange(len(microvolts)) * times.period_ns).astype(np.int64)
        if trusted != self._trusted:
            peaks += self._trust(trusted)
        for first in range(0, len(microvolts), self._piece):
            rows = slice(first, first + self._piece)
            self._filter(microvolts[rows], at_ns[rows])
            peaks += self._search()
        return tuple(peaks)

    # --- filtering and fusing ---------------------------------------------------------------------------

    def _filter(self, microvolts: Floats, at_ns: NDArray[np.int64]) -> None:
        """Filter a piece into the memory."""
        samples = nanovolts(microvolts)
        smooth = self._smooth.take(samples)
        slope = self._slope.take(samples)
        energy = self._energy.take(np.abs(slope))
        self._memory.append(
            smooth / (NANOVOLTS * self._smooth.length),
            slope / (NANOVOLTS * self._slope.length),
            energy / (NANOVOLTS * self._slope.length * self._energy.length),
            at_ns,
        )
        self._fuse(self._memory.end - len(samples))

    def _fuse(self, first: int) -> None:
        """Compute the strength of all samples from this number on with the present weights."""
        rows = self._memory.rows(first, self._memory.end)
        self._memory.strength[rows] = (self._memory.energy[rows] * self._weights).sum(axis=1)

    def _weigh(self, from_number: int) -> None:
        """Weigh the leads anew: by the square of level over what lies between, scaled to strength 1 for a QRS."""
        shares = np.zeros(len(self._names))
        noise = np.zeros(len(self._names))
        scale = np.ones(len(self._names))
        for k, lead in enumerate(self._leads):
            if self._trusted[k] and len(lead.qrs) >= 2:
                scale[k], between = lead.levels()
                noise[k] = between / scale[k]
                shares[k] = max(1.0 / noise[k], 0.5) ** 2
        total = shares.sum()
        if total > 0:
            shares /= total
            floor = float((shares * noise).sum())
            self._threshold = max(0.35, min(0.75, floor + 0.3 * (1.0 - floor)))
        self._weights = shares / scale
        self._fuse(from_number)

    def _trust(self, trusted: tuple[bool, ...]) -> list[RPeak]:
        """Take the new word on the leads; without any, what was told is withdrawn."""
        self._trusted = trusted
        self._weigh(self._memory.end)
        if not self._learned:
            self._learn_from = None
        if any(trusted):
            return []
        self._last_r = None
        candidate, self._candidate = self._candidate, None
        return self._withdraw(candidate, self._memory.end - 1) if candidate is not None else []

    def _learn(self) -> None:
        """Learn the first levels from `learn_s` of trusted signal: the greatest energies of its two halves."""
        memory = self._memory
        if not any(self._trusted):
            self._learn_from = None
            return
        if self._learn_from is None:
            self._learn_from = memory.end
        span = round(self._settings.learn_s * self._rate_hz)
        if memory.end - self._learn_from < span:
            return
        energy = memory.energy[memory.rows(self._learn_from, self._learn_from + span)]
        for k, lead in enumerate(self._leads):
            if self._trusted[k]:
                halves = sorted((float(energy[: span // 2, k].max()), float(energy[span // 2 :, k].max())))
                lead.qrs.extend([halves[0] if halves[0] > 0.4 * halves[1] else halves[1]] * 3)
                lead.between.extend([2.0 * float(np.median(energy[:, k]))] * 3)
        self._learned = True
        self._cursor = self._blind_until = self._learn_from + span
        self._weigh(self._cursor)

    # --- searching --------------------------------------------------------------------------------------

    def _search(self) -> list[RPeak]:
        """Go through the samples not yet seen."""
        peaks: list[RPeak] = []
        memory = self._memory
        if not self._learned:
            self._learn()
        if not self._learned or not any(self._weights):
            self._cursor = memory.end
            return peaks
        while self._cursor < memory.end:
            if self._candidate is not None:
                peaks += self._follow(self._candidate)
            else:
                self._scan()
        return peaks

    def _scan(self) -> None:
        """Look for the next sample whose strength opens a candidate."""
        memory = self._memory
        first = self._cursor = max(self._cursor, min(self._blind_until, memory.end))
        if first >= memory.end:
            return
        last, factor = self._patience(first)
        strength = memory.strength[memory.rows(first, last)]
        low = np.minimum(np.minimum.accumulate(strength), self._lowest(first))
        high = (strength >= CANDIDATE * factor * self._threshold) & (strength >= RISE * low)
        at = int(high.argmax())
        if high[at]:
            self._cursor = first + at
            self._candidate = _Candidate(opened=first + at, looked=first + at)
        else:
            self._cursor = min(last, memory.end)

    def _lowest(self, first: int) -> float:
        """Give the least strength between the end of the last candidate and a sample: what falls off opens nothing."""
        strength = self._memory.strength[self._memory.rows(self._closed_at, first)]
        return float(strength.min()) if len(strength) else np.inf

    def _patience(self, number: int) -> tuple[int, float]:
        """Give the factor on the threshold at a sample, and the sample up to which it holds.

        Long after the last beat smaller ones are believed; the factor falls in steps of 50 ms.
        """
        slot = 0.05 * self._rate_hz
        origin = self._last_r if self._last_r is not None else float(self._blind_until)
        count = int((number - origin) // slot)
        last = int(origin + (count + 1) * slot) + 1
        late_s = 0.05 * count - 1.4 * self._rr_s()
        if late_s <= 0:
            return last, 1.0
        return last, max(0.1, 0.75 * 0.5 ** (late_s / 1.0))

    def _rr_s(self) -> float:
        """Give the usual RR interval (s)."""
        if len(self._rr) < 3:
            return 1.0
        return sorted(self._rr)[len(self._rr) // 2] / self._rate_hz

    def _follow(self, candidate: _Candidate) -> list[RPeak]:
        """Look at an open candidate, every 4 ms as far as there are samples."""
        peaks: list[RPeak] = []
        confirm = round(1e-3 * self._settings.confirm_after_ms * self._rate_hz) + int(self._smooth.delay_samples)
        while candidate.looked < self._memory.end:
            now = candidate.looked
            candidate.looked += self._step
            lead = self._timed_lead()
            r = self._extremum(lead, candidate.opened, now)
            too_old = now - candidate.opened > 0.13 * self._rate_hz
            if r is None and not too_old:
                continue
            if r is not None and now - r < confirm and not too_old:
                if candidate.told is None and self._is_clear(candidate, r, now):
                    peaks.append(self._tell(candidate, "provisional", lead, r, now, 0.5))
                continue
            self._candidate = None
            self._cursor = self._closed_at = now + 1
            peaks += self._judge(candidate, lead, r, now)
            return peaks
        self._cursor = self._memory.end
        return peaks

    def _timed_lead(self) -> int:
        """Choose the lead to time: the reference, else the trusted one of the greatest weight whose offset is known."""
        if self._trusted[self._reference]:
            return self._reference
        known = [k for k, lead in enumerate(self._leads) if self._trusted[k] and len(lead.offsets) >= 3]
        among = known or [k for k, good in enumerate(self._trusted) if good]
        return max(among, key=lambda k: float(self._weights[k]))

    def _extremum(self, lead: int, opened: int, now: int) -> float | None:
        """Find the extremum around the opening on one lead, in sample numbers of the signal; None while it still rises."""
        memory = self._memory
        delay = int(self._smooth.delay_samples)
        first = opened - round(BEFORE_S * self._rate_hz)
        last = min(opened + round(AFTER_S * self._rate_hz), now - delay)
        values = memory.smooth[memory.rows(first + delay, last + delay + 1), lead]
        if len(values) < 5:
            return None
        before = memory.smooth[memory.rows(first - round(0.08 * self._rate_hz) + delay, first + delay), lead]
        base = float(before.mean()) if len(before) else float(values[0])
        top, bottom = int(values.argmax()), int(values.argmin())
        height, depth = float(values[top]) - base, base - float(values[bottom])
        up = height * (2.0 if self._leads[lead].up > 0 else 1.0) >= depth * (2.0 if self._leads[lead].up < 0 else 1.0)
        at = top if up else bottom
        if at > len(values) - 1 - max(2, self._step) and last == now - delay:
            return None
        return max(first, memory.begin - delay) + at + self._parabola(values, at)

    @staticmethod
    def _parabola(values: Floats, at: int) -> float:
        """Place the extremum between samples, by the parabola through three."""
        if not 0 < at < len(values) - 1:
            return 0.0
        before, here, after = float(values[at - 1]), float(values[at]), float(values[at + 1])
        bend = before - 2.0 * here + after
        return 0.5 * (before - after) / bend if bend != 0.0 else 0.0

    # --- judging ----------------------------------------------------------------------------------------

    def _is_clear(self, candidate: _Candidate, r: float, now: int) -> bool:
        """Tell whether a candidate may be told before it is judged."""
        strength = float(self._memory.strength[self._memory.rows(candidate.opened, now + 1)].max())
        factor = self._patience(candidate.opened)[1]
        return strength >= factor * self._threshold and not self._is_t_wave(r, now)

    def _steepest(self, r: float, now: int) -> float:
        """Give the steepest slope around the peak, fused as the strength is."""
        rows = self._memory.rows(round(r - 0.05 * self._rate_hz), now + 1)
        slope = np.abs(self._memory.slope[rows])
        return float((slope.max(axis=0) * self._weights).sum()) if len(slope) else 0.0

    def _is_t_wave(self, r: float, now: int) -> bool:
        """Soon after a beat, half as steep: the T wave."""
        if self._last_r is None or r - self._last_r > T_WAVE_S * self._rate_hz:
            return False
        return self._steepest(r, now) < 0.5 * self._usual_slope()

    def _usual_slope(self) -> float:
        """Give the steepest slope of a beat, of the last or of the usual one, whichever is less."""
        slopes = sorted(self._slopes)
        return min(self._slopes[-1], slopes[len(slopes) // 2]) if slopes else 0.0

    def _likeness(self, r: float) -> float:
        """Give the correlation with the usual beat, over the leads, by weight; 0 while there is none."""
        memory, total, weight = self._memory, 0.0, 0.0
        for k, lead in enumerate(self._leads):
            shape = self._shape(k, r)
            if lead.template is None or shape is None or self._weights[k] <= 0:
                continue
            share = float(self._weights[k] * lead.levels()[0])
            total += share * float(shape @ lead.template)
            weight += share
        return total / weight if weight else 0.0

    def _shape(self, lead: int, r: float) -> Floats | None:
        """Give the beat's shape, without its mean, at unit length."""
        half = round(TEMPLATE_S * self._rate_hz)
        centre = round(r) + int(self._smooth.delay_samples)
        values = self._memory.smooth[self._memory.rows(centre - half, centre + half + 1), lead]
        if len(values) != 2 * half + 1:
            return None
        values = values - values.mean()
        norm = float(np.sqrt(values @ values))
        return values / norm if norm > 0 else None

    def _judge(self, candidate: _Candidate, lead: int, r: float | None, now: int) -> list[RPeak]:
        """Decide on a candidate, once."""
        if r is None:
            return self._withdraw(candidate, now)
        likeness = self._likeness(r)
        strength = float(self._memory.strength[self._memory.rows(candidate.opened, now + 1)].max())
        factor = self._patience(candidate.opened)[1]
        bar = factor * self._threshold * (1.35 - 0.6 * max(0.0, likeness))
        since = float("inf") if self._last_r is None else r - self._last_r
        refused = since < 1e-3 * self._settings.refractory_ms * self._rate_hz or self._is_t_wave(r, now)
        self.debug = (strength, factor, self._threshold, likeness, since / self._rate_hz, self._steepest(r, now) / max(self._usual_slope(), 1e-9), r, now)
        if refused or strength < bar:
            self._blind_until = now + 1
            return self._withdraw(candidate, now)
        confidence = strength / (strength + bar) if likeness else 0.5
        peak = self._tell(candidate, "confirmed", lead, r, now, confidence)
        self._remember(candidate, lead, r, now, likeness)
        return [peak]

    def _remember(self, candidate: _Candidate, timed: int, r: float, now: int, likeness: float) -> None:
        """Learn from a confirmed beat."""
        memory, rate = self._memory, self._rate_hz
        previous = self._last_r
        if previous is not None and r - previous < 3.0 * rate:
            self._rr.append(r - previous)
        self._last_r = r
        self._slopes.append(self._steepest(r, now))
        own = memory.rows(candidate.opened - self._step, now + 1)
        gap = slice(0, 0)
        if previous is not None:
            gap = memory.rows(round(previous + 0.2 * rate), candidate.opened - round(0.04 * rate))
        for k, lead in enumerate(self._leads):
            if not self._trusted[k]:
                continue
            energy = float(memory.energy[own, k].max())
            level = lead.levels()[0] if lead.qrs else energy
            lead.qrs.append(min(energy, 2.0 * level))
            if gap.stop > gap.start:
                lead.between.append(min(float(memory.energy[gap, k].max()), 2.0 * level))
            elif not lead.between:
                lead.between.append(0.3 * energy)
            self._remember_shape(k, timed, r, likeness, now)
        self._blind_until = max(now + 1, round(r + 1e-3 * self._settings.refractory_ms * rate))
        self._weigh(now + 1)

    def _remember_shape(self, k: int, timed: int, r: float, likeness: float, now: int) -> None:
        """Learn the shape, the polarity and the offset of one lead from a confirmed beat."""
        lead = self._leads[k]
        shape = self._shape(k, r)
        if shape is not None and (lead.template is None or likeness > 0.7 or len(self._rr) < BEATS):
            template = shape if lead.template is None else 0.85 * lead.template + 0.15 * shape
            lead.template = template / max(float(np.sqrt(template @ template)), 1e-9)
        there = self._extremum(k, round(r) + round(0.02 * self._rate_hz), now)
        if there is None:
            return
        value = self._memory.smooth[self._memory.rows(round(there) + int(self._smooth.delay_samples), now + 1), k]
        around = self._memory.smooth[self._memory.rows(round(there - 0.1 * self._rate_hz), now + 1), k]
        if len(value) and len(around):
            upright = float(value[0]) > float(np.median(around))
            lead.up = 0.9 * lead.up + (0.1 if upright else -0.1)
        if timed == self._reference and k != timed and abs(there - r) < 0.04 * self._rate_hz:
            lead.offsets.append(there - r)

    # --- telling ----------------------------------------------------------------------------------------

    def _tell(self, candidate: _Candidate, stage: Stage, lead: int, r: float, now: int, confidence: float) -> RPeak:
        """Make the message of one stage."""
        if candidate.number is None:
            self._number += 1
            candidate.number = self._number
        uncertainty_s = 0.5 / self._rate_hz + (0.004 if stage == "provisional" else 0.001)
        if lead != self._reference:
            offsets = sorted(self._leads[lead].offsets)
            if len(offsets) >= 3:
                r -= offsets[len(offsets) // 2]
                uncertainty_s += (offsets[-1] - offsets[0]) / 4 / self._rate_hz
            else:
                uncertainty_s += 0.02  # an unknown offset
        candidate.told = RPeak(
            number=candidate.number,
            stage=stage,
            r_at_ns=self._memory.time_ns(r),
            uncertainty_ns=round(uncertainty_s * NS_PER_S),
            confidence=min(1.0, max(0.0, confidence)),
            lead=self._names[lead],
            decided_at_ns=self._memory.time_ns(float(now)),
        )
        return candidate.told

    def _withdraw(self, candidate: _Candidate, now: int) -> list[RPeak]:
        """Take back what was told of a candidate, if anything was."""
        told = candidate.told
        if told is None:
            return []
        decided_at_ns = self._memory.time_ns(float(now))
        return [replace(told, stage="withdrawn", confidence=0.0, decided_at_ns=decided_at_ns)]
