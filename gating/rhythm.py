"""Beats to rhythm: rate, spread, ectopy, irregularity; and the advice go / wait / no-go with its reasons.

Irregularity is the median absolute successive difference of the last RR intervals over their median: a few premature
beats leave a median alone, atrial fibrillation does not. The limits stand in `RhythmSettings` with their sources.
"""

from collections import deque
from itertools import pairwise
from statistics import fmean, median

import numpy as np

from gating.beats import ClassifiedBeat
from gating.messages import Advice, Rhythm, Steadiness
from gating.settings import RhythmSettings

_MIN_INTERVALS = 4
_ECTOPY_BEATS = 10


class RhythmJudge:
    """Judges the rhythm beat by beat. State is bounded by the settings' beat counts."""

    def __init__(self, settings: RhythmSettings) -> None:
        self._settings = settings
        self._beats: deque[ClassifiedBeat] = deque(maxlen=max(settings.irregular_beats, _ECTOPY_BEATS) + 1)
        self._irregular = False

    def take(self, beat: ClassifiedBeat) -> Rhythm:
        """Take one beat and say what the rhythm is now."""
        self._beats.append(beat)
        self._irregular = self._irregularity() > (
            self._settings.regular_below if self._irregular else self._settings.irregular_above
        )
        return self.now(beat.r_at_ns)

    def forget(self) -> None:
        """Start anew after a gap in the signal."""
        self._beats.clear()
        self._irregular = False

    def now(self, at_ns: int) -> Rhythm:
        """Say what the rhythm is."""
        intervals = self._intervals()[-self._settings.beats :]
        premature = sum(beat.ectopic for beat in list(self._beats)[-_ECTOPY_BEATS:])
        enough = len(intervals) >= _MIN_INTERVALS
        steadiness = self._steadiness() if enough else "unknown"
        advice, reasons = self._advice(steadiness, premature)
        mean_rr = fmean(intervals) if enough else None
        return Rhythm(
            at_ns=at_ns,
            steadiness=steadiness,
            beats=len(intervals),
            heart_rate_bpm=None if mean_rr is None else 60_000 / mean_rr,
            mean_rr_ms=mean_rr,
            sd_rr_ms=float(np.std(intervals)) if enough else None,
            range_bpm=60_000 / min(intervals) - 60_000 / max(intervals) if enough else None,
            premature=premature,
            advice=advice,
            reasons=reasons,
        )

    def too_fast(self) -> bool:
        """Tell whether the last two intervals are both shorter than the highest rate allows."""
        last = self._intervals()[-2:]
        return len(last) == 2 and max(last) < 60_000 / self._settings.max_rate_bpm

    def pause(self) -> bool:
        """Tell whether the last interval was a pause, measured against the running median."""
        intervals = self._intervals()
        if len(intervals) < _MIN_INTERVALS:
            return False
        return intervals[-1] > self._settings.pause_above * median(intervals)

    def _intervals(self) -> list[float]:
        return [beat.rr_interval_ms for beat in self._beats if beat.rr_interval_ms is not None]

    def _irregularity(self) -> float:
        intervals = self._intervals()[-self._settings.irregular_beats :]
        if len(intervals) < _MIN_INTERVALS:
            return 0.0
        steps = [abs(b - a) for a, b in pairwise(intervals)]
        return median(steps) / median(intervals)

    def _steadiness(self) -> Steadiness:
        if self._irregular:
            return "irregular"
        sinus = [
            beat.rr_interval_ms
            for beat in self._beats
            if beat.rr_interval_ms is not None and not beat.ectopic and not beat.follows_premature
        ][-self._settings.beats :]
        if len(sinus) < _MIN_INTERVALS:
            return "variable"
        return "steady" if np.std(sinus) <= self._settings.steady_sd_ms else "variable"

    def _advice(self, steadiness: Steadiness, premature: int) -> tuple[Advice, tuple[str, ...]]:
        intervals = self._intervals()[-self._settings.beats :]
        rate = 60_000 / fmean(intervals) if intervals else None
        if steadiness == "unknown" or rate is None:
            return "wait", ("learning the rhythm",)
        if self.too_fast() or rate > self._settings.max_rate_bpm:
            return "no-go", (f"heart rate {rate:.0f} bpm is above {self._settings.max_rate_bpm:.0f}",)
        if rate < self._settings.min_rate_bpm:
            return "no-go", (f"heart rate {rate:.0f} bpm is below {self._settings.min_rate_bpm:.0f}",)
        reasons: list[str] = []
        if steadiness == "irregular":
            share = 100 * self._irregularity()
            reasons.append(f"irregular rhythm (RR changes by {share:.0f} %): windows at a fixed time after R")
        elif steadiness == "variable":
            spread = float(np.std(intervals))
            reasons.append(f"RR varies by {spread:.0f} ms")
        if self.pause():
            reasons.append(f"a pause of {intervals[-1] / 1000:.1f} s")
        if premature:
            reasons.append(f"{premature} premature in the last {_ECTOPY_BEATS} beats")
        if reasons:
            return "wait", tuple(reasons)
        return "go", (f"steady at {rate:.0f} bpm",)
