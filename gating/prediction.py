"""Rhythm to prediction: the next RR interval, with intervals whose coverage holds.

Theory of operation
-------------------
1. Seven plain forecasters say what comes next: the last interval; a local level (the mean that leans on the newest);
   medians of four and five; the mean of eight, as scanners do; and two autoregressions over six and nine intervals,
   fitted beat by beat, which follow respiration. None of them is best for every patient.
2. They are averaged by how well each did lately (exponential weights over discounted absolute errors).
3. The errors of the average, each over what was usual at its time, are this patient's own distribution. The interval of
   a coverage is its quantile; and where the stated coverage did not hold lately, the level of the quantile is moved
   until it does.
4. While few errors are known, those of other patients stand in.

Beats of another kind, and the pause after a premature one, teach nothing and are foretold by nobody. An irregular
rhythm (`rhythm`) has no use for a prediction, and `window` asks for none.

References: exponential weights, Cesa-Bianchi and Lugosi 2006, Prediction, Learning, and Games, chapter 2; recursive
least squares with forgetting, Ljung 1999, System Identification, section 11.2; the level of the quantile, Gibbs and
Candes 2021, arXiv:2106.00170 (adaptive conformal inference). Our deviations:

- losses are absolute errors over the usual error, and held within `WORST`, so that one artifact does not decide;
- the autoregressions learn from errors that are held within three usual ones;
- the quantiles of several coverages are kept, and others are interpolated between them.
"""

import bisect
from collections import deque
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from gating.beats import ClassifiedBeat
from gating.settings import PredictionSettings
from gating.units import NS_PER_S

COVERAGES = (0.5, 0.8, 0.9, 0.95, 0.99)
OTHERS = (0.06, 0.18, 0.31, 0.44, 0.57, 0.72, 0.88, 1.06, 1.29, 1.56, 1.95, 2.85)
"""Errors of others over their usual ones, at evenly spaced probabilities: 20 records of MIT-BIH, 4 simulated hearts."""

FORECASTERS = 7
LEVEL_GAIN = 0.59  # of the local level (gating.md section 4.1)
SHARPNESS, DISCOUNT, WORST = 0.6, 0.98, 5.0  # of the weights; of a loss, by each beat; the greatest loss
SCALE_SHARE, LEAST_SCALE = 0.05, 0.002  # the usual error: a running mean of so much, and at least so much of RR
SETTLE_S = 3.0  # the heart rate after a breath-hold began (gating.md section 5, formula 1)
HOLD_DISCOUNT, HOLD_SCALE_SHARE = 0.9, 0.15  # once it has settled
STALE = 2  # intervals of the settled hold whose errors are those of the level before: they tell nothing of it
FIRST_IN_HOLD = 1.5  # times the usual width for the first of them (docs/prediction.md)
FIRST_SCALE = 0.02  # of RR, while no error is known
ERRORS = 200  # remembered
PATIENCE = 0.03  # how fast the level of a quantile moves


@dataclass(frozen=True, slots=True)
class Prediction:
    """The next RR interval: its median, and the interval that holds with `coverage`."""

    rr_ms: float
    low_ms: float
    high_ms: float
    coverage: float
    beats: int  # that it rests on
    half_widths_ms: tuple[float, ...]  # of the interval at each of COVERAGES

    def half_width_ms(self, coverage: float) -> float:
        """Give half the width of the interval that holds with any coverage, from 0 to that of the last of COVERAGES.

        Raises
        ------
        ValueError
            Beyond what is kept.
        """
        if not 0.0 <= coverage <= COVERAGES[-1]:
            raise ValueError(f"a coverage of {coverage:g} is not within 0..{COVERAGES[-1]:g}")
        return float(np.interp(coverage, (0.0, *COVERAGES), (0.0, *self.half_widths_ms)))


class Predictor:
    """Foretells the next RR interval of a sinus rhythm. State: 9 intervals, the forecasters', and the last errors."""

    def __init__(self, settings: PredictionSettings) -> None:
        self._settings = settings
        self.forget()

    def forget(self) -> None:
        """Start anew after a gap in the signal."""
        self._intervals_ms: deque[float] = deque(maxlen=8)
        self._count = 0
        self._level_ms = 0.0
        self._autoregressions = (Autoregression(6, 0.99), Autoregression(9, 0.995))
        self._losses = np.zeros(FORECASTERS)
        self._usual_miss_ms = 0.0  # of the forecasters
        self._errors = ErrorQuantiles()
        self._since_settled = STALE  # intervals since a hold had settled; without a hold nothing is stale
        self._settles_at_ns: int | None = None  # the heart rate, after the breath-hold began; None: no hold, or settled
        self._discount, self._scale_share = DISCOUNT, SCALE_SHARE

    def hold_breath(self, began_at_ns: int) -> None:
        """Hear that the patient holds the breath since an instant.

        Respiratory arrhythmia ends, and the rate goes to another level within `SETTLE_S`: what was learned of levels
        before and on the way is let go when it is there, and the errors on the way are not held against anybody.
        """
        self._settles_at_ns = began_at_ns + round(SETTLE_S * NS_PER_S)

    def take(self, beat: ClassifiedBeat) -> None:
        """Learn from one beat, if its interval is a sinus interval."""
        if beat.rr_interval_ms is None or beat.follows_premature or beat.ectopic:
            return
        interval = beat.rr_interval_ms
        settling = self._settles_at_ns is not None and beat.r_at_ns < self._settles_at_ns
        if self._settles_at_ns is not None and not settling:
            self._settle()
        if self._count:
            forecasts = self._forecasts()
            if self._count >= self._settings.min_beats and not settling and self._since_settled >= STALE:
                self._errors.take(abs(interval - self._average(forecasts)), interval, self._scale_share)
            misses = np.abs(forecasts - interval)
            usual = max(float(np.median(misses)), 1.0)
            share = SCALE_SHARE if self._usual_miss_ms else 1.0
            self._usual_miss_ms += share * (usual - self._usual_miss_ms)
            self._losses = self._discount * self._losses + np.minimum(misses / max(self._usual_miss_ms, 1.0), WORST)
        self._level_ms += (LEVEL_GAIN if self._count else 1.0) * (interval - self._level_ms)
        for each in self._autoregressions:
            each.take(interval)
        self._intervals_ms.append(interval)
        self._count += 1
        self._since_settled += 1

    def next_rr(self) -> Prediction | None:
        """Foretell the next interval; None when too little is known."""
        if self._count < self._settings.min_beats:
            return None
        centre = self._average(self._forecasts())
        wider = FIRST_IN_HOLD if self._since_settled == 1 else 1.0
        half_widths = tuple(wider * one for one in self._errors.half_widths_ms(centre))
        coverage = self._settings.coverage
        half = float(np.interp(coverage, COVERAGES, half_widths))
        return Prediction(centre, centre - half, centre + half, coverage, self._count, half_widths)

    def _settle(self) -> None:
        """Begin anew at the level that the breath-hold brought, and learn fast: there are few beats in it."""
        last = list(self._intervals_ms)[-1:]
        self._intervals_ms = deque(last, maxlen=8)
        self._autoregressions = (Autoregression(6, 0.99), Autoregression(9, 0.995))
        for each in self._autoregressions:
            for interval in last:
                each.take(interval)
        if last:
            self._level_ms = last[0]
        self._errors = ErrorQuantiles()
        self._losses, self._since_settled = np.zeros(FORECASTERS), 0
        self._discount, self._scale_share, self._settles_at_ns = HOLD_DISCOUNT, HOLD_SCALE_SHARE, None

    def _forecasts(self) -> NDArray[np.float64]:
        """Ask all forecasters; milliseconds."""
        last = list(self._intervals_ms)
        return np.array(
            [
                last[-1],
                self._level_ms,
                median(last[-4:]),
                median(last[-5:]),
                fmean(last),
                *(each.next_ms() for each in self._autoregressions),
            ]
        )

    def _average(self, forecasts: NDArray[np.float64]) -> float:
        weights = np.exp(-SHARPNESS * (self._losses - self._losses.min()))
        return float((weights * forecasts).sum() / weights.sum())


class Autoregression:
    """A linear forecast from the last intervals, fitted by recursive least squares. State: order squared numbers."""

    def __init__(self, order: int, forgetting: float) -> None:
        self._forgetting = forgetting
        self._weights = np.zeros(order)
        self._weights[0] = 0.6
        self._covariance = np.eye(order)
        self._deviations = np.zeros(order)  # from the mean, the newest first
        self._mean_ms = self._scale_ms = 0.0
        self._count = 0

    def next_ms(self) -> float:
        """Forecast the next interval."""
        return self._mean_ms + float((self._weights * self._deviations).sum())

    def take(self, interval_ms: float) -> None:
        """Learn from one interval."""
        if self._count == 0:
            self._mean_ms, self._scale_ms = interval_ms, FIRST_SCALE * interval_ms
        else:
            error = interval_ms - self.next_ms()
            held = min(max(error, -3.0 * self._scale_ms), 3.0 * self._scale_ms)
            along = (self._covariance * self._deviations).sum(axis=1)
            power = self._forgetting * self._scale_ms**2 + float((self._deviations * along).sum())
            self._weights = self._weights + along / power * held
            self._covariance = (self._covariance - np.outer(along, along) / power) / self._forgetting
            scale = self._scale_ms + SCALE_SHARE * (1.25 * min(abs(error), 5.0 * self._scale_ms) - self._scale_ms)
            self._scale_ms = max(scale, LEAST_SCALE * interval_ms)
        self._count += 1
        self._mean_ms += max(0.02, 1.0 / self._count) * (interval_ms - self._mean_ms)
        self._deviations = np.concatenate(([interval_ms - self._mean_ms], self._deviations[:-1]))


class ErrorQuantiles:
    """What errors to expect, by coverage, from those so far. State: the last errors, sorted and in their order."""

    def __init__(self) -> None:
        self._usual_ms = 0.0
        self._order: deque[float] = deque(OTHERS, maxlen=ERRORS)
        self._sorted = list(OTHERS)
        self._levels = list(COVERAGES)

    def take(self, error_ms: float, interval_ms: float, share: float = SCALE_SHARE) -> None:
        """Learn one absolute error; `share` of it goes into what is usual."""
        if self._usual_ms == 0.0:
            self._usual_ms = FIRST_SCALE * interval_ms
        error = error_ms / self._usual_ms
        for place, coverage in enumerate(COVERAGES):
            missed = error > self._quantile(self._levels[place])
            self._levels[place] += PATIENCE * (missed - (1.0 - coverage))
        if len(self._order) >= ERRORS:
            del self._sorted[bisect.bisect_left(self._sorted, self._order.popleft())]
        self._order.append(error)
        bisect.insort(self._sorted, error)
        usual = self._usual_ms + share * (min(error_ms, WORST * self._usual_ms) - self._usual_ms)
        self._usual_ms = max(usual, LEAST_SCALE * interval_ms)

    def half_widths_ms(self, rr_ms: float) -> tuple[float, ...]:
        """Give half the width of the interval at each coverage; they rise."""
        usual, widest, widths = self._usual_ms or FIRST_SCALE * rr_ms, 0.0, []
        for level in self._levels:
            widest = max(widest, usual * self._quantile(level))
            widths.append(widest)
        return tuple(widths)

    def _quantile(self, level: float) -> float:
        """Give a quantile of the errors; beyond the last of them, it and more."""
        place = level * (len(self._sorted) + 1) - 1.0
        if place >= len(self._sorted) - 1:
            return self._sorted[-1] * (1.0 + 0.1 * (place - len(self._sorted) + 1.0))
        if place <= 0.0:
            return self._sorted[0]
        whole = int(place)
        return self._sorted[whole] + (place - whole) * (self._sorted[whole + 1] - self._sorted[whole])
