"""Rhythm to prediction: the next RR interval, with an interval of stated coverage.

A robust first version: the median of the last sinus intervals, and as spread the quantile of its own past errors.
Beats of another kind, and the pause after a premature one, teach it nothing.
"""

from collections import deque
from dataclasses import dataclass
from statistics import median

import numpy as np

from gating.beats import ClassifiedBeat
from gating.settings import PredictionSettings

_ERRORS = 32


@dataclass(frozen=True, slots=True)
class Prediction:
    """The next RR interval: median, and the interval that holds with `coverage`."""

    rr_ms: float
    low_ms: float
    high_ms: float
    coverage: float
    beats: int


class Predictor:
    """Foretells the next RR interval of a sinus rhythm. State: `beats` intervals and the last 32 errors.

    Notes
    -----
    The interval is split-conformal: the `coverage` quantile, rounded up to the next order statistic, of the absolute
    one-step errors of this patient so far. With few errors known, the largest of them times 1.5 and at least 3 % of RR.
    """

    def __init__(self, settings: PredictionSettings) -> None:
        self._settings = settings
        self._intervals_ms: deque[float] = deque(maxlen=settings.beats)
        self._errors_ms: deque[float] = deque(maxlen=_ERRORS)

    def take(self, beat: ClassifiedBeat) -> None:
        """Learn from one beat, if its interval is a sinus interval."""
        if beat.rr_interval_ms is None or beat.follows_premature or beat.beat_kind == "premature":
            return
        foretold = self.next_rr()
        if foretold is not None:
            self._errors_ms.append(abs(beat.rr_interval_ms - foretold.rr_ms))
        self._intervals_ms.append(beat.rr_interval_ms)

    def next_rr(self) -> Prediction | None:
        """Foretell the next interval; None when too little is known."""
        if len(self._intervals_ms) < self._settings.min_beats:
            return None
        centre = median(self._intervals_ms)
        spread = self._spread_ms(centre)
        return Prediction(
            rr_ms=centre,
            low_ms=centre - spread,
            high_ms=centre + spread,
            coverage=self._settings.coverage,
            beats=len(self._intervals_ms),
        )

    def forget(self) -> None:
        """Start anew after a gap in the signal."""
        self._intervals_ms.clear()
        self._errors_ms.clear()

    def _spread_ms(self, centre_ms: float) -> float:
        if not self._errors_ms:
            spread = max(abs(interval - centre_ms) for interval in self._intervals_ms)
            return max(1.5 * spread, 0.03 * centre_ms)
        count = len(self._errors_ms)
        rank = int(np.ceil(self._settings.coverage * (count + 1)))
        ordered = sorted(self._errors_ms)
        return ordered[rank - 1] if rank <= count else max(1.5 * ordered[-1], 0.03 * centre_ms)
