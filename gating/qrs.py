"""What a beat usually looks like in each lead, learned from the beats themselves, and the judge that compares with it.

The strength of a sample fuses the leads: each energy over its own QRS level, weighted by the square of how far QRS
stand out of what lies between them; a QRS as usual has strength 1. Levels are quantiles of the last beats.

The judge is one logistic function of seven figures: strength, likeness to the usual shape, slope and swing over the
usual ones, the quiet just before, and the time since the last beat over the usual interval. Its value is a probability.

References: levels between QRS and noise peaks after Hamilton and Tompkins, doi:10.1109/TBME.1986.325695; slopes that
tell a T wave after Pan and Tompkins, doi:10.1109/TBME.1985.325532. Our deviations:

- moving sums instead of IIR band-passes, and several leads;
- a fitted judge at a fixed delay after the peak instead of a threshold at the maximum of the energy;
- no search-back: nobody can expose in the past. Long after a beat, smaller ones are believed instead.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gating.filters import Floats, QrsFilters

BEFORE_S, AFTER_S = 0.078, 0.050  # where the peak may lie around the instant a candidate opened
SHAPE_S = 0.050  # on either side of the peak
LEAST_UV = 20.0  # energy of the least QRS level: about 0.15 mV of deflection (EC13: ignore less)
BEATS = 8  # that the levels rest on
OFFSETS = 16  # beats that a lead's offset to the reference rests on
OUTDONE = 1.5  # so much steeper than the beat just confirmed: that one was none
JUMP, NOTHING = 10.0, 0.5  # of a lead's QRS level
SAME_SIGN = 2.0  # the other deflection must be so much larger to be taken for the peak

# Fitted by logistic regression to 45,634 candidates on both leads of 22 MIT-BIH records, cross-validated by record.
JUDGE_BIAS = -2.97
JUDGE = np.array([1.90, 0.95, 1.14, 2.30, -2.11, 4.48, -0.53])


@dataclass(frozen=True, slots=True)
class Figures:
    """What the judge weighs."""

    strength: float
    likeness: float
    slope: float
    swing: float
    quiet: float


class Lead:
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


def median(values: deque[float]) -> float:
    """Give the upper median."""
    return sorted(values)[len(values) // 2]


class UsualBeat:
    """The beat as learned so far, on all leads of one stream. Knows nothing until `learn`."""

    def __init__(self, signals: QrsFilters, leads: int, rate_hz: float) -> None:
        self._signals = signals
        self._rate_hz = rate_hz
        self.leads = tuple(Lead() for _ in range(leads))
        self.weights = [0.0] * leads
        self.threshold = 1.0
        self.last_r: float | None = None  # sample number of the last confirmed peak
        self._rr: deque[float] = deque(maxlen=BEATS)
        self._slopes: deque[float] = deque(maxlen=BEATS)  # steepest of the last beats
        self._swings: deque[float] = deque(maxlen=BEATS)

    # --- leads and levels -------------------------------------------------------------------------------

    def fuse(self, first: int) -> None:
        """Compute the strength of all samples from this number on with the present weights."""
        signals = self._signals
        rows = signals.rows(first, signals.end)
        strength = signals.energy[rows, 0] * self.weights[0]
        for k in range(1, len(self.weights)):
            strength += signals.energy[rows, k] * self.weights[k]
        signals.strength[rows] = strength

    def _fused(self, per_lead: NDArray[np.float64]) -> float:
        """Fuse one figure per lead as the strength is."""
        values: list[float] = per_lead.tolist()
        return sum(value * weight for value, weight in zip(values, self.weights, strict=True))

    def weigh(self, trusted: tuple[bool, ...], from_number: int) -> None:
        """Weigh the leads anew: by the square of level over what lies between, scaled to strength 1 for a QRS."""
        shares, floor, total = [0.0] * len(self.leads), 0.0, 0.0
        for k, lead in enumerate(self.leads):
            if trusted[k] and len(lead.qrs) >= 2:
                level, between = lead.levels()
                share = max(level / between, 0.5) ** 2
                total += share
                floor += share * between / level
                shares[k] = share / level
        if total > 0:
            floor /= total
            self.threshold = max(0.35, min(0.75, floor + 0.3 * (1.0 - floor)))
            shares = [share / total for share in shares]
        self.weights = shares
        self.fuse(from_number)

    def share(self, lead: int) -> float:
        """Give the share that a lead has in the strength of a usual QRS."""
        return self.weights[lead] * self.leads[lead].levels()[0] if self.weights[lead] > 0 else 0.0

    def learn(self, trusted: tuple[bool, ...], first: int, last: int) -> None:
        """Learn the first levels from the samples [first, last): the greatest energies of their two halves."""
        energy = self._signals.energy[self._signals.rows(first, last)]
        half = len(energy) // 2
        for k, lead in enumerate(self.leads):
            if trusted[k]:
                low, high = sorted((float(energy[:half, k].max()), float(energy[half:, k].max())))
                # the lesser, lest an artifact sets the level; but not a half without a beat
                lead.qrs.extend([low if low > 0.4 * high else high] * 3)
                lead.between.extend([2.0 * float(np.median(energy[:, k]))] * 3)
        self.weigh(trusted, last)

    def usual_rr_s(self) -> float:
        """Give the usual RR interval (s)."""
        return median(self._rr) / self._rate_hz if len(self._rr) >= 3 else 1.0

    def usual_slope(self) -> float:
        """Give the steepest slope of a beat, of the last or of the usual one, whichever is less."""
        return min(self._slopes[-1], median(self._slopes)) if self._slopes else 0.0

    # --- measuring and judging --------------------------------------------------------------------------

    def peak(self, lead: int, opened: int, now: int) -> float | None:
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
        polarity = self.leads[lead].up
        height *= SAME_SIGN if polarity > 0 else 1.0
        depth *= SAME_SIGN if polarity < 0 else 1.0
        at = top if height >= depth else bottom
        if at > len(values) - 1 - max(2, round(0.004 * self._rate_hz)) and last == now - delay:
            return None
        start: int = rows.start
        return start + signals.begin - delay + at + self._parabola(values, at)

    @staticmethod
    def _parabola(values: Floats, at: int) -> float:
        """Place the extremum between samples, by the parabola through three."""
        if not 0 < at < len(values) - 1:
            return 0.0
        before, here, after = (float(value) for value in values[at - 1 : at + 2])
        bend = before - 2.0 * here + after
        return 0.5 * (before - after) / bend if bend != 0.0 else 0.0

    def steepest(self, r: float, now: int) -> float:
        """Give the steepest slope around the peak, fused."""
        rows = self._signals.rows(round(r - 0.05 * self._rate_hz), now + 1)
        return self._fused(np.abs(self._signals.slope[rows]).max(axis=0))

    def figures(self, opened: int, r: float, now: int) -> Figures:
        """Measure what opened at `opened`, peaks at `r` and is known up to `now`."""
        signals, rate = self._signals, self._rate_hz
        around = signals.smooth[signals.rows(round(r - 0.06 * rate), now + 1)]
        before = signals.rows(opened - round(0.22 * rate), opened - round(0.06 * rate))
        quiet = signals.strength[before]
        return Figures(
            strength=float(signals.strength[signals.rows(opened, now + 1)].max()),
            likeness=self._likeness(r),
            slope=self.steepest(r, now),
            swing=self._fused(np.ptp(around, axis=0)),
            quiet=float(quiet.mean()) if len(quiet) else 0.0,
        )

    def is_one_sided(self, opened: int, now: int) -> bool:
        """Tell whether one lead jumps as no heart does while another sees nothing: an electrode, not a beat."""
        own = self._signals.rows(opened - round(0.004 * self._rate_hz), now + 1)
        most, least = 0.0, float("inf")
        for k, lead in enumerate(self.leads):
            if self.weights[k] > 0:
                ratio = float(self._signals.energy[own, k].max()) / lead.levels()[0]
                most, least = max(most, ratio), min(least, ratio)
        return most > JUMP and least < NOTHING

    def _likeness(self, r: float) -> float:
        """Give the correlation with the usual beat, over the leads, by weight; 0 while there is none."""
        likeness = total = 0.0
        for k, lead in enumerate(self.leads):
            shape = self._shape(k, r)
            if lead.shape is None or shape is None or self.weights[k] <= 0:
                continue
            share = self.share(k)
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

    def confidence(self, figures: Figures, since: float) -> float:
        """Give the probability that a candidate is a beat."""

        def over(value: float, usual: float) -> float:
            return float(np.log(max(value / usual, 0.03))) if usual > 0 else 0.0

        intervals = min(max(since / (self._rate_hz * self.usual_rr_s()), 0.2), 2.0)
        swing = median(self._swings) if self._swings else 0.0
        evidence = np.array(
            [
                over(figures.strength, 1.0),
                figures.likeness,
                over(figures.slope, self.usual_slope()),
                over(figures.swing, swing),
                over(figures.quiet, 1.0),
                min(intervals, 1.0),
                max(intervals - 1.0, 0.0),
            ]
        )
        return float(1.0 / (1.0 + np.exp(-(JUDGE_BIAS + evidence @ JUDGE))))

    # --- remembering ------------------------------------------------------------------------------------

    def remember(
        self, trusted: tuple[bool, ...], opened: int, r: float, now: int, figures: Figures, *, reference: int | None
    ) -> None:
        """Learn from a confirmed beat; `reference` is the reference lead if that one was timed."""
        signals, rate, previous = self._signals, self._rate_hz, self.last_r
        if previous is not None and r - previous < 3.0 * rate:
            self._rr.append(r - previous)
        self.last_r = r
        self._slopes.append(figures.slope)
        self._swings.append(figures.swing)
        own = signals.rows(opened - round(0.004 * rate), now + 1)
        gap = slice(0, 0)
        if previous is not None:
            begin = max(round(previous + 0.2 * rate), round(r - 2.0 * rate))
            gap = signals.rows(begin, opened - round(0.04 * rate))
        for k, lead in enumerate(self.leads):
            if not trusted[k]:
                continue
            energy = float(signals.energy[own, k].max())
            level = lead.levels()[0] if lead.qrs else energy
            lead.qrs.append(min(energy, 2.0 * level))
            if gap.stop > gap.start:
                lead.between.append(min(float(signals.energy[gap, k].max()), 2.0 * level))
            elif not lead.between:
                lead.between.append(0.3 * energy)
            self._remember_shape(k, reference, r, figures.likeness, now)
        self.weigh(trusted, now + 1)

    def correct(self, trusted: tuple[bool, ...], opened: int, figures: Figures, now: int) -> None:
        """Learn from what is too soon after a beat to be one and yet far steeper: that beat was a P wave or less.

        What was confirmed stays; but the usual beat is the steep one, so that the next P wave is not believed.
        """
        if figures.slope <= OUTDONE * self._slopes[-1]:
            return
        own = self._signals.rows(opened - round(0.004 * self._rate_hz), now + 1)
        self._slopes[-1], self._swings[-1] = figures.slope, figures.swing
        for k, lead in enumerate(self.leads):
            if trusted[k] and lead.qrs:
                lead.between.append(min(lead.qrs[-1], 2.0 * lead.levels()[0]))
                lead.qrs[-1] = float(self._signals.energy[own, k].max())
        self.weigh(trusted, now + 1)

    def _remember_shape(self, k: int, reference: int | None, r: float, likeness: float, now: int) -> None:
        """Learn the shape, the polarity and the offset of one lead from a confirmed beat."""
        signals, lead = self._signals, self.leads[k]
        shape = self._shape(k, r)
        if shape is not None and (lead.shape is None or likeness > 0.7 or len(self._rr) < BEATS):
            mixed = shape if lead.shape is None else 0.85 * lead.shape + 0.15 * shape
            lead.shape = mixed / max(float(np.sqrt(mixed @ mixed)), 1e-9)
        there = self.peak(k, round(r) + round(0.02 * self._rate_hz), now)
        if there is None:
            return
        peak = signals.smooth[signals.rows(round(there) + signals.delay_samples, now + 1), k]
        around = signals.smooth[signals.rows(round(there - 0.1 * self._rate_hz), now + 1), k]
        if len(peak) and len(around):
            lead.up = 0.9 * lead.up + (0.1 if float(peak[0]) > float(np.median(around)) else -0.1)
        if reference is not None and k != reference and abs(there - r) < 0.04 * self._rate_hz:
            lead.offsets.append(there - r)
