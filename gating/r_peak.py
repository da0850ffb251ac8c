"""Samples -> R-peaks: provisional at once, then confirmed or withdrawn. Causal, multi-lead, the same for every cut.

Theory of operation
-------------------
1. `filters.QrsFilters` gives per lead `smooth` (for time and shape), `slope` and `energy` (|slope| over 70 ms).
2. Leads are fused into one strength: each energy over its own QRS level, weighted by the square of how far QRS stand
   out of what lies between them. A QRS as usual has strength 1. Levels are quantiles of the last beats.
3. Where the strength rises over a low threshold a candidate opens. As soon as it has passed the full threshold and the
   extremum on the lead that is timed lies behind us, it is told as *provisional*. `confirm_after_ms` after the
   extremum it is judged, once, and is *confirmed* (final) or, if it was told, *withdrawn*. There is no search-back:
   nobody can expose in the past.
4. The judge is one logistic function of seven figures: strength, likeness to the usual beat, slope and swing over the
   usual ones, the quiet just before, and the time since the last beat over the usual interval. A T wave falls by its
   slope (Pan and Tompkins), an artifact by its surroundings. Its value is the confidence.
5. The time is the extremum of `smooth` on the reference lead, interpolated by a parabola, its delay taken out. Every
   other lead learns its median offset to the reference; when the reference is not trusted, another lead is timed and
   its offset taken off.

Sources: levels between QRS and noise peaks after Hamilton and Tompkins, doi:10.1109/TBME.1986.325695; T-wave slope test
after Pan and Tompkins, doi:10.1109/TBME.1985.325532. Our deviations: moving sums instead of IIR band-passes; several
leads; a fitted judge at a fixed delay after the extremum instead of a threshold; no search-back.
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gating.filters import Floats, QrsFilters
from gating.sample_clock import BlockTimes
from gating.settings import RPeakSettings
from gating.units import NS_PER_S

Stage = Literal["provisional", "confirmed", "withdrawn"]

PIECE_S = 0.25  # longer blocks are taken in pieces, so that the memory is bounded
STEP_S = 0.004  # an open candidate is looked at so often
BEFORE_S, AFTER_S = 0.078, 0.050  # where the extremum may lie around the instant the candidate opened
OPEN_S = 0.130  # a candidate is judged by then, whatever its extremum does
SHAPE_S = 0.050  # on either side of the peak
LEAST_UV = 20.0  # energy of the least QRS level: about 0.15 mV of deflection (EC13: ignore less)
BEATS = 8  # that the levels rest on
OFFSETS = 16  # beats that a lead's offset to the reference rests on
T_WAVE_S = 0.36
CANDIDATE = 0.6  # of the threshold opens a candidate
RISE = 1.4  # over the least strength since the last candidate: what falls off opens nothing
OUTDONE = 1.5  # so much steeper than the beat just confirmed
SAME_SIGN = 2.0  # the other deflection must be so much larger to be taken for the peak

# Fitted by logistic regression to 45,634 candidates on both leads of 22 MIT-BIH records, cross-validated by record.
JUDGE_BIAS = -2.97
JUDGE = np.array([1.90, 0.95, 1.14, 2.30, -2.11, 4.48, -0.53])
BELIEVE = 0.3


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


@dataclass(frozen=True, slots=True)
class _Figures:
    """What the judge weighs."""

    strength: float
    likeness: float
    slope: float
    swing: float
    quiet: float


class _Lead:
    """What one lead has learned."""

    def __init__(self) -> None:
        self.qrs: deque[float] = deque(maxlen=BEATS)  # energy of the last beats
        self.between: deque[float] = deque(maxlen=BEATS)  # greatest energy between them
        self.offsets: deque[float] = deque(maxlen=OFFSETS)  # samples behind the reference
        self.up = 0.0  # polarity: > 0 upright
        self.shape: Floats | None = None

    def levels(self) -> tuple[float, float]:
        """Give the QRS level and the level between (microvolts of energy)."""
        qrs, between = sorted(self.qrs), sorted(self.between)
        level = max(qrs[int(0.4 * (len(qrs) - 1))], LEAST_UV)
        return level, max(between[len(between) // 2], 0.02 * level)


def _median(values: deque[float]) -> float:
    """Give the upper median."""
    return sorted(values)[len(values) // 2]


class RPeakDetector:
    """Finds R-peaks in the trusted leads of one stream."""

    def __init__(self, settings: RPeakSettings, leads: tuple[str, ...], rate_hz: float) -> None:
        self._names = leads
        self._rate_hz = rate_hz
        self._refractory = 1e-3 * settings.refractory_ms * rate_hz
        self._learn_span = round(settings.learn_s * rate_hz)
        self._signals = QrsFilters(len(leads), rate_hz)
        self._confirm = 1e-3 * settings.confirm_after_ms * rate_hz + self._signals.delay_samples
        self._piece = max(1, round(PIECE_S * rate_hz))
        self._step = max(1, round(STEP_S * rate_hz))
        self._trusted: tuple[bool, ...] = (False,) * len(leads)
        self._number = 0
        self._candidate: _Candidate | None = None
        self._withdrawn: list[RPeak] = []
        self.relearn()

    def relearn(self) -> None:
        """Forget what a beat looks like and learn it anew; numbers go on, and what was told and not decided falls."""
        end = self._signals.end
        if self._candidate is not None:
            self._withdrawn += self._withdraw(self._candidate, end - 1)
        self._candidate = None
        self._leads = tuple(_Lead() for _ in self._names)
        self._reference = next((k for k, lead in enumerate(self._names) if lead in ("II", "MLII")), 0)
        self._weights: list[float] = [0.0] * len(self._names)
        self._threshold = 1.0
        self._learn_from = end
        self._learned = False
        self._last_r: float | None = None
        self._rr: deque[float] = deque(maxlen=BEATS)
        self._slopes: deque[float] = deque(maxlen=BEATS)  # steepest of the last beats
        self._swings: deque[float] = deque(maxlen=BEATS)
        self._cursor = self._blind_until = end
        self._low = float("inf")  # least strength since the last candidate

    @property
    def learned(self) -> bool:
        """Tell whether the detector knows what a beat looks like."""
        return self._learned

    def take(self, microvolts: Floats, trusted: tuple[bool, ...], times: BlockTimes) -> tuple[RPeak, ...]:
        """Take the samples of one block; give the R-peaks that they make known.

        Parameters
        ----------
        microvolts : array of float64, shape (samples, leads)
            The signal in microvolts, at the rate given at the beginning.
        trusted : tuple of bool, one per lead
            No beat is found from a lead that is not trusted; without any, nothing is told.
        times : BlockTimes
            When the samples were, on the host's clock, in nanoseconds.

        Returns
        -------
        tuple of RPeak
            In the order of their decision.
        """
        at_ns = times.first_at_ns + np.rint(np.arange(len(microvolts)) * times.period_ns).astype(np.int64)
        if trusted != self._trusted:
            self._trust(trusted)
        peaks, self._withdrawn = self._withdrawn, []
        for first in range(0, len(microvolts), self._piece):
            rows = slice(first, first + self._piece)
            begin = self._signals.end
            self._signals.take(microvolts[rows], at_ns[rows])
            self._fuse(begin)
            peaks += self._search()
        return tuple(peaks)

    # --- fusing and learning ----------------------------------------------------------------------------

    def _fuse(self, first: int) -> None:
        """Compute the strength of all samples from this number on with the present weights."""
        signals = self._signals
        rows = signals.rows(first, signals.end)
        strength = signals.energy[rows, 0] * self._weights[0]
        for k in range(1, len(self._weights)):
            strength += signals.energy[rows, k] * self._weights[k]
        signals.strength[rows] = strength

    def _fused(self, per_lead: NDArray[np.float64]) -> float:
        """Fuse one figure per lead as the strength is."""
        return sum(value * weight for value, weight in zip(per_lead.tolist(), self._weights, strict=True))

    def _weigh(self, from_number: int) -> None:
        """Weigh the leads anew: by the square of level over what lies between, scaled to strength 1 for a QRS."""
        shares, floor, total = [0.0] * len(self._names), 0.0, 0.0
        for k, lead in enumerate(self._leads):
            if self._trusted[k] and len(lead.qrs) >= 2:
                level, between = lead.levels()
                share = max(level / between, 0.5) ** 2
                total += share
                floor += share * between / level
                shares[k] = share / level
        if total > 0:
            floor /= total
            self._threshold = max(0.35, min(0.75, floor + 0.3 * (1.0 - floor)))
            shares = [share / total for share in shares]
        self._weights = shares
        self._fuse(from_number)

    def _trust(self, trusted: tuple[bool, ...]) -> None:
        """Take the new word on the leads; without any, what was told is withdrawn."""
        self._trusted = trusted
        end = self._signals.end
        self._weigh(end)
        if not self._learned:
            self._learn_from = end
        if not any(trusted):
            self._last_r = None
            if self._candidate is not None:
                self._withdrawn += self._withdraw(self._candidate, end - 1)
            self._candidate = None

    def _learn(self) -> None:
        """Learn the first levels from `learn_s` of trusted signal: the greatest energies of its two halves."""
        first, last = self._learn_from, self._learn_from + self._learn_span
        if not any(self._trusted) or self._signals.end < last:
            return
        energy = self._signals.energy[self._signals.rows(first, last)]
        half = len(energy) // 2
        for k, lead in enumerate(self._leads):
            if self._trusted[k]:
                low, high = sorted((float(energy[:half, k].max()), float(energy[half:, k].max())))
                # the lesser, lest an artifact sets the level; but not a half without a beat
                lead.qrs.extend([low if low > 0.4 * high else high] * 3)
                lead.between.extend([2.0 * float(np.median(energy[:, k]))] * 3)
        self._learned = True
        self._cursor = self._blind_until = last
        self._weigh(last)
        if not self._trusted[self._reference]:
            self._reference = max(range(len(self._names)), key=lambda k: self._weights[k])

    # --- searching --------------------------------------------------------------------------------------

    def _search(self) -> list[RPeak]:
        """Go through the samples not yet seen."""
        peaks: list[RPeak] = []
        if not self._learned:
            self._learn()
        if not self._learned or not any(self._weights):
            self._cursor = self._signals.end
            return peaks
        while self._cursor < self._signals.end:
            if self._candidate is not None:
                peaks += self._follow(self._candidate)
            else:
                self._scan()
        return peaks

    def _scan(self) -> None:
        """Look for the next sample at which the strength rises over the low threshold."""
        signals, first = self._signals, self._cursor
        last, factor = self._patience(first)
        strength = signals.strength[signals.rows(first, last)]
        low = np.minimum(np.minimum.accumulate(strength), self._low)
        high = (strength >= CANDIDATE * factor * self._threshold) & (strength >= RISE * low)
        high[: max(0, self._blind_until - first)] = False
        at = int(high.argmax())
        if high[at]:
            self._cursor = first + at
            self._candidate = _Candidate(opened=first + at, looked=first + at)
        else:
            self._cursor = first + len(strength)
            self._low = float(low[-1])

    def _patience(self, number: int) -> tuple[int, float]:
        """Give the sample up to which the factor on the threshold holds, and that factor.

        Long after the last beat smaller ones are believed; the factor falls in steps of 50 ms.
        """
        slot = 0.05 * self._rate_hz
        origin = self._last_r if self._last_r is not None else float(self._blind_until)
        count = int((number - origin) // slot)
        last = int(origin + (count + 1) * slot) + 1
        late_s = 0.05 * count - 1.4 * self._usual_rr_s()
        return max(last, number + 1), max(0.1, 0.75 * 0.5**late_s) if late_s > 0 else 1.0

    def _usual_rr_s(self) -> float:
        """Give the usual RR interval (s)."""
        return _median(self._rr) / self._rate_hz if len(self._rr) >= 3 else 1.0

    def _follow(self, candidate: _Candidate) -> list[RPeak]:
        """Look at an open candidate, every 4 ms as far as there are samples."""
        peaks: list[RPeak] = []
        while candidate.looked < self._signals.end:
            now = candidate.looked
            candidate.looked += self._step
            lead = self._timed_lead()
            r = self._extremum(lead, candidate.opened, now)
            if now - candidate.opened <= OPEN_S * self._rate_hz and (r is None or now - r < self._confirm):
                if r is not None and candidate.told is None and self._is_clear(candidate, r, now):
                    peaks.append(self._tell(candidate, "provisional", lead, r, now, 0.5))
                continue
            self._candidate = None
            self._cursor = now + 1
            self._blind_until = max(self._blind_until, now + 1)
            self._low = float("inf")
            return peaks + self._judge(candidate, lead, r, now)
        self._cursor = self._signals.end
        return peaks

    def _timed_lead(self) -> int:
        """Choose the lead to time: the reference, else the trusted one of the greatest weight whose offset is known."""
        if self._trusted[self._reference]:
            return self._reference
        known = [k for k, lead in enumerate(self._leads) if self._trusted[k] and len(lead.offsets) >= 3]
        among = known or [k for k, good in enumerate(self._trusted) if good]
        return max(among, key=lambda k: self._weights[k])

    def _extremum(self, lead: int, opened: int, now: int) -> float | None:
        """Find the peak around the opening on one lead, in sample numbers of the signal; None while it still rises."""
        signals, delay = self._signals, self._signals.delay_samples
        first = opened - round(BEFORE_S * self._rate_hz)
        last = min(opened + round(AFTER_S * self._rate_hz), now - delay)
        rows = signals.rows(first + delay, last + delay + 1)
        values = signals.smooth[rows, lead]
        if len(values) < 5:
            return None
        before = signals.smooth[signals.rows(first - round(0.08 * self._rate_hz) + delay, first + delay), lead]
        base = float(before.mean()) if len(before) else float(values[0])
        top, bottom = int(values.argmax()), int(values.argmin())
        height, depth = float(values[top]) - base, base - float(values[bottom])
        polarity = self._leads[lead].up
        height *= SAME_SIGN if polarity > 0 else 1.0
        depth *= SAME_SIGN if polarity < 0 else 1.0
        at = top if height >= depth else bottom
        if at > len(values) - 1 - max(2, self._step) and last == now - delay:
            return None
        return rows.start + signals.begin - delay + at + self._parabola(values, at)

    @staticmethod
    def _parabola(values: Floats, at: int) -> float:
        """Place the extremum between samples, by the parabola through three."""
        if not 0 < at < len(values) - 1:
            return 0.0
        before, here, after = (float(value) for value in values[at - 1 : at + 2])
        bend = before - 2.0 * here + after
        return 0.5 * (before - after) / bend if bend != 0.0 else 0.0

    # --- judging ----------------------------------------------------------------------------------------

    def _is_clear(self, candidate: _Candidate, r: float, now: int) -> bool:
        """Tell whether a candidate may be told before it is judged: strong, not in the refractory time, no T wave."""
        since = float("inf") if self._last_r is None else r - self._last_r
        if since < self._refractory:
            return False
        strength = self._signals.strength[self._signals.rows(candidate.opened, now + 1)].max()
        if strength < self._patience(candidate.opened)[1] * self._threshold:
            return False
        return since > T_WAVE_S * self._rate_hz or self._steepest(r, now) >= 0.5 * self._usual_slope()

    def _steepest(self, r: float, now: int) -> float:
        """Give the steepest slope around the peak, fused."""
        rows = self._signals.rows(round(r - 0.05 * self._rate_hz), now + 1)
        return self._fused(np.abs(self._signals.slope[rows]).max(axis=0))

    def _usual_slope(self) -> float:
        """Give the steepest slope of a beat, of the last or of the usual one, whichever is less."""
        return min(self._slopes[-1], _median(self._slopes)) if self._slopes else 0.0

    def _figures(self, candidate: _Candidate, r: float, now: int) -> _Figures:
        """Measure a candidate."""
        signals, rate = self._signals, self._rate_hz
        around = signals.smooth[signals.rows(round(r - 0.06 * rate), now + 1)]
        before = signals.rows(candidate.opened - round(0.22 * rate), candidate.opened - round(0.06 * rate))
        quiet = signals.strength[before]
        return _Figures(
            strength=float(signals.strength[signals.rows(candidate.opened, now + 1)].max()),
            likeness=self._likeness(r),
            slope=self._steepest(r, now),
            swing=self._fused(np.ptp(around, axis=0)),
            quiet=float(quiet.mean()) if len(quiet) else 0.0,
        )

    def _likeness(self, r: float) -> float:
        """Give the correlation with the usual beat, over the leads, by weight; 0 while there is none."""
        likeness = total = 0.0
        for k, lead in enumerate(self._leads):
            shape = self._shape(k, r)
            if lead.shape is None or shape is None or self._weights[k] <= 0:
                continue
            share = self._weights[k] * lead.levels()[0]
            likeness += share * float(shape @ lead.shape)
            total += share
        return likeness / total if total else 0.0

    def _shape(self, lead: int, r: float) -> Floats | None:
        """Give the beat's shape, without its mean, at unit length."""
        half = round(SHAPE_S * self._rate_hz)
        centre = round(r) + self._signals.delay_samples
        values = self._signals.smooth[self._signals.rows(centre - half, centre + half + 1), lead]
        if len(values) != 2 * half + 1:
            return None
        centred: Floats = values - values.mean()
        norm = float(np.sqrt(centred @ centred))
        return centred / norm if norm > 0 else None

    def _confidence(self, figures: _Figures, since: float) -> float:
        """Give the probability that a candidate is a beat."""

        def over(value: float, usual: float) -> float:
            return float(np.log(max(value / usual, 0.03))) if usual > 0 else 0.0

        intervals = min(max(since / (self._rate_hz * self._usual_rr_s()), 0.2), 2.0)
        swing = _median(self._swings) if self._swings else 0.0
        evidence = np.array(
            [
                over(figures.strength, 1.0),
                figures.likeness,
                over(figures.slope, self._usual_slope()),
                over(figures.swing, swing),
                over(figures.quiet, 1.0),
                min(intervals, 1.0),
                max(intervals - 1.0, 0.0),
            ]
        )
        return float(1.0 / (1.0 + np.exp(-(JUDGE_BIAS + evidence @ JUDGE))))

    def _judge(self, candidate: _Candidate, lead: int, r: float | None, now: int) -> list[RPeak]:
        """Decide on a candidate, once."""
        if r is None:
            return self._withdraw(candidate, now)
        since = 2.0 * self._rate_hz if self._last_r is None else r - self._last_r
        figures = self._figures(candidate, r, now)
        confidence = self._confidence(figures, since)
        if since < self._refractory or confidence < BELIEVE:
            if since < self._refractory and figures.slope > OUTDONE * self._slopes[-1]:
                self._correct(candidate, figures, now)
            return self._withdraw(candidate, now)
        peak = self._tell(candidate, "confirmed", lead, r, now, confidence)
        self._remember(candidate, lead, r, now, figures)
        return [peak]

    # --- remembering ------------------------------------------------------------------------------------

    def _remember(self, candidate: _Candidate, timed: int, r: float, now: int, figures: _Figures) -> None:
        """Learn from a confirmed beat."""
        signals, rate, previous = self._signals, self._rate_hz, self._last_r
        if previous is not None and r - previous < 3.0 * rate:
            self._rr.append(r - previous)
        self._last_r = r
        self._slopes.append(figures.slope)
        self._swings.append(figures.swing)
        own = signals.rows(candidate.opened - self._step, now + 1)
        gap = slice(0, 0)
        if previous is not None:
            begin = max(round(previous + 0.2 * rate), round(r - 2.0 * rate))
            gap = signals.rows(begin, candidate.opened - round(0.04 * rate))
        for k, lead in enumerate(self._leads):
            if not self._trusted[k]:
                continue
            energy = float(signals.energy[own, k].max())
            level = lead.levels()[0] if lead.qrs else energy
            lead.qrs.append(min(energy, 2.0 * level))
            if gap.stop > gap.start:
                lead.between.append(min(float(signals.energy[gap, k].max()), 2.0 * level))
            elif not lead.between:
                lead.between.append(0.3 * energy)
            self._remember_shape(k, timed, r, figures.likeness, now)
        self._weigh(now + 1)

    def _correct(self, candidate: _Candidate, figures: _Figures, now: int) -> None:
        """Learn from what is too soon after a beat to be one and yet far steeper: that beat was a P wave or less.

        What was confirmed stays; but the usual beat is the steep one, so that the next P wave is not believed.
        """
        own = self._signals.rows(candidate.opened - self._step, now + 1)
        self._slopes[-1], self._swings[-1] = figures.slope, figures.swing
        for k, lead in enumerate(self._leads):
            if self._trusted[k] and lead.qrs:
                lead.between.append(min(lead.qrs[-1], 2.0 * lead.levels()[0]))
                lead.qrs[-1] = float(self._signals.energy[own, k].max())
        self._weigh(now + 1)

    def _remember_shape(self, k: int, timed: int, r: float, likeness: float, now: int) -> None:
        """Learn the shape, the polarity and the offset of one lead from a confirmed beat."""
        signals, lead = self._signals, self._leads[k]
        shape = self._shape(k, r)
        if shape is not None and (lead.shape is None or likeness > 0.7 or len(self._rr) < BEATS):
            mixed = shape if lead.shape is None else 0.85 * lead.shape + 0.15 * shape
            lead.shape = mixed / max(float(np.sqrt(mixed @ mixed)), 1e-9)
        there = self._extremum(k, round(r) + round(0.02 * self._rate_hz), now)
        if there is None:
            return
        peak = signals.smooth[signals.rows(round(there) + signals.delay_samples, now + 1), k]
        around = signals.smooth[signals.rows(round(there - 0.1 * self._rate_hz), now + 1), k]
        if len(peak) and len(around):
            lead.up = 0.9 * lead.up + (0.1 if float(peak[0]) > float(np.median(around)) else -0.1)
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
            offsets = self._leads[lead].offsets
            if len(offsets) >= 3:
                r -= _median(offsets)
                uncertainty_s += (max(offsets) - min(offsets)) / 4 / self._rate_hz
            else:
                uncertainty_s += 0.02  # an unknown offset
        candidate.told = RPeak(
            number=candidate.number,
            stage=stage,
            r_at_ns=self._signals.time_ns(r),
            uncertainty_ns=round(uncertainty_s * NS_PER_S),
            confidence=confidence,
            lead=self._names[lead],
            decided_at_ns=self._signals.time_ns(float(now)),
        )
        return candidate.told

    def _withdraw(self, candidate: _Candidate, now: int) -> list[RPeak]:
        """Take back what was told of a candidate, if anything was."""
        told = candidate.told
        if told is None:
            return []
        decided_at_ns = self._signals.time_ns(float(now))
        return [replace(told, stage="withdrawn", confidence=0.0, decided_at_ns=decided_at_ns)]
