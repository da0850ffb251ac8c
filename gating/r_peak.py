"""Samples -> R-peaks: provisional at once, then confirmed or withdrawn. Causal, multi-lead, the same for every cut.

Theory of operation
-------------------
1. `filters.QrsFilters` gives per lead `smooth` (for time and shape), `slope` and `energy` (|slope| over 70 ms), from
   exact integers; `qrs.UsualBeat` fuses the energies into one strength, in which a usual QRS has 1.
2. Where the strength rises over a low threshold a candidate opens. As soon as it has passed the full threshold and the
   peak on the lead that is timed lies behind us, it is told as *provisional*.
3. `confirm_after_ms` after its peak a candidate is judged, once (`UsualBeat.confidence`), and is *confirmed*, which is
   final, or, if it was told, *withdrawn*. There is no search-back.
4. The time is the extremum of `smooth` on the reference lead, interpolated by a parabola, its delay taken out. Every
   other lead learns its median offset to the reference; when the reference is not trusted, another lead is timed and
   its offset taken off.

Sources and deviations: see `qrs.py`.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gating.filters import Floats, QrsFilters
from gating.qrs import UsualBeat, median
from gating.sample_clock import BlockTimes
from gating.settings import RPeakSettings
from gating.units import NS_PER_S

Stage = Literal["provisional", "confirmed", "withdrawn"]

PIECE_S = 0.25  # longer blocks are taken in pieces, so that the memory is bounded
STEP_S = 0.004  # an open candidate is looked at so often
LATE_S = 0.015  # a lead that peaks after the reference is given so much longer, lest the decision comes too late
OPEN_S = 0.130  # a candidate is judged by then, whatever its peak does
T_WAVE_S = 0.36
CANDIDATE = 0.6  # of the threshold opens a candidate
RISE = 1.4  # over the least strength since the last candidate: what falls off opens nothing
BELIEVE = 0.5  # confidence from which a beat is confirmed


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
        self._usual = UsualBeat(self._signals, len(self._names), self._rate_hz)
        self._reference = next((k for k, lead in enumerate(self._names) if lead in ("II", "MLII")), 0)
        self._learn_from = end
        self._learned = False
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
            self._usual.fuse(begin)
            peaks += self._search()
        return tuple(peaks)

    # --- fusing and learning ----------------------------------------------------------------------------

    def _trust(self, trusted: tuple[bool, ...]) -> None:
        """Take the new word on the leads.

        When one falls, what it lately said is taken out of the strength, and a candidate not yet decided, which may be
        its doing, is withdrawn and looked for again in the others. Without any lead there is silence.
        """
        fell = any(was and not now for was, now in zip(self._trusted, trusted, strict=True))
        self._trusted = trusted
        end = self._signals.end
        self._usual.weigh(trusted, end - round(PIECE_S * self._rate_hz) if fell else end)
        if not self._learned:
            self._learn_from = end
        if fell and self._candidate is not None:
            self._withdrawn += self._withdraw(self._candidate, end - 1)
            self._cursor = self._candidate.opened
            self._low = float("inf")
            self._candidate = None
        if not any(trusted):
            self._usual.last_r = None

    def _learn(self) -> None:
        """Learn the first levels as soon as `learn_s` of signal went by with the same leads trusted."""
        first, last = self._learn_from, self._learn_from + self._learn_span
        if not any(self._trusted) or self._signals.end < last:
            return
        self._learned = True
        self._cursor = self._blind_until = last
        self._usual.learn(self._trusted, first, last)
        if not self._trusted[self._reference]:
            self._reference = max(range(len(self._names)), key=lambda k: self._usual.weights[k])

    # --- searching --------------------------------------------------------------------------------------

    def _search(self) -> list[RPeak]:
        """Go through the samples not yet seen."""
        peaks: list[RPeak] = []
        if not self._learned:
            self._learn()
        if not self._learned or not any(self._usual.weights):
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
        high = (strength >= CANDIDATE * factor * self._usual.threshold) & (strength >= RISE * low)
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
        origin = self._usual.last_r if self._usual.last_r is not None else float(self._blind_until)
        count = int((number - origin) // slot)
        last = int(origin + (count + 1) * slot) + 1
        late_s = 0.05 * count - 1.4 * self._usual.usual_rr_s()
        return max(last, number + 1), max(0.1, 0.75 * 0.5**late_s) if late_s > 0 else 1.0

    def _follow(self, candidate: _Candidate) -> list[RPeak]:
        """Look at an open candidate, every 4 ms as far as there are samples."""
        peaks: list[RPeak] = []
        while candidate.looked < self._signals.end:
            now = candidate.looked
            candidate.looked += self._step
            lead = self._timed_lead()
            r = self._usual.peak(lead, candidate.opened, now)
            late = min(max(self._offset(lead), 0.0), LATE_S * self._rate_hz) - self._offset(lead)
            if now - candidate.opened <= OPEN_S * self._rate_hz and (r is None or now - r < self._confirm + late):
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
        known = [k for k, lead in enumerate(self._usual.leads) if self._trusted[k] and len(lead.offsets) >= 3]
        among = known or [k for k, good in enumerate(self._trusted) if good]
        return max(among, key=self._usual.share)

    def _offset(self, lead: int) -> float:
        """Give how many samples the peak of a lead lies behind that of the reference; 0 while nobody knows."""
        offsets = self._usual.leads[lead].offsets
        return median(offsets) if lead != self._reference and len(offsets) >= 3 else 0.0

    # --- judging ----------------------------------------------------------------------------------------

    def _is_clear(self, candidate: _Candidate, r: float, now: int) -> bool:
        """Tell whether a candidate may be told before it is judged: strong, not in the refractory time, no T wave."""
        since = float("inf") if self._usual.last_r is None else r - self._usual.last_r
        if since < self._refractory:
            return False
        strength = self._signals.strength[self._signals.rows(candidate.opened, now + 1)].max()
        if strength < self._patience(candidate.opened)[1] * self._usual.threshold:
            return False
        if self._usual.is_one_sided(candidate.opened, now):
            return False
        return since > T_WAVE_S * self._rate_hz or self._usual.steepest(r, now) >= 0.5 * self._usual.usual_slope()

    def _judge(self, candidate: _Candidate, lead: int, r: float | None, now: int) -> list[RPeak]:
        """Decide on a candidate, once."""
        if r is None:
            return self._withdraw(candidate, now)
        since = 2.0 * self._rate_hz if self._usual.last_r is None else r - self._usual.last_r
        figures = self._usual.figures(candidate.opened, r, now)
        confidence = self._usual.confidence(figures, since)
        if self._usual.is_one_sided(candidate.opened, now):
            return self._withdraw(candidate, now)
        if since < self._refractory or confidence < BELIEVE:
            if since < self._refractory:
                self._usual.correct(self._trusted, candidate.opened, figures, now)
            return self._withdraw(candidate, now)
        peak = self._tell(candidate, "confirmed", lead, r, now, confidence)
        reference = self._reference if lead == self._reference else None
        self._usual.remember(self._trusted, candidate.opened, r, now, figures, reference=reference)
        return [peak]

    # --- telling ----------------------------------------------------------------------------------------

    def _tell(self, candidate: _Candidate, stage: Stage, lead: int, r: float, now: int, confidence: float) -> RPeak:
        """Make the message of one stage."""
        if candidate.number is None:
            self._number += 1
            candidate.number = self._number
        uncertainty_s = 0.5 / self._rate_hz + (0.004 if stage == "provisional" else 0.001)
        if lead != self._reference:
            offsets = self._usual.leads[lead].offsets
            if len(offsets) >= 3:
                r -= self._offset(lead)
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
