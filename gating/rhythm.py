"""Beats to rhythm: rate, spread, trend, ectopy, irregularity; and the advice go / wait / no-go with its reasons.

*Irregularity* is the median absolute successive difference of the last RR intervals over their median. Intervals on
either side of a beat of another shape are left out, for they are its doing. Early beats of the usual shape stay in: in
atrial fibrillation most early beats are of that kind, and a few of them leave a median alone. What is irregular without
an ectopic's doing is fibrillation with a probability, a logistic function of it fitted by `training/fibrillation.py`.

Two rates: `heart_rate_bpm` is the mean of the last eight intervals, as scanners take it; `averaged_rate_bpm` that of
the last four, and of the last three where these agree on another rate: so a meter shows bigeminy as one rate, and
follows a step within four beats (EC13: 6 s).

References: limits stand in `RhythmSettings` with their sources; RMSSD: Task Force 1996, doi:10.1161/01.CIR.93.5.1043;
irregularity of successive intervals for fibrillation: Tateno and Glass 2001, doi:10.1007/BF02345439. Our deviations:

- the median instead of the distribution of the differences: 16 intervals, not 100.
"""

import math
from collections import deque
from itertools import pairwise
from statistics import fmean, median

import numpy as np

from gating.beats import ClassifiedBeat
from gating.messages import Advice, EctopicPattern, Rhythm, Steadiness
from gating.settings import RhythmSettings

_MIN_INTERVALS = 4
_MIN_DIFFERENCES = 6
_ECTOPY_BEATS = 10
_PACED_BEATS = 4
_TREND_S = 10.0
_AVERAGED, _AGREEING = 4, 3
_AGREE, _ANOTHER = 0.05, 0.15  # three intervals agree within; and differ from those before by more than

ODDS_OF_AF = (3.85, 7.73)
"""Logits of fibrillation: of `figure_of` the irregularity, and always (docs/beats.md)."""


def figure_of(irregularity: float) -> float:
    """Give the figure that tells fibrillation: the logarithm, with a floor where there is no difference to be seen."""
    return math.log(irregularity + 0.005)


class RhythmJudge:
    """Judges the rhythm beat by beat. State is bounded by the settings' beat counts."""

    def __init__(self, settings: RhythmSettings) -> None:
        self._settings = settings
        self._beats: deque[ClassifiedBeat] = deque(maxlen=max(settings.irregular_beats, _ECTOPY_BEATS) + 1)
        self._paced: deque[bool] = deque(maxlen=_ECTOPY_BEATS)
        self._irregular = self._variable = False

    def take(self, beat: ClassifiedBeat, *, paced: bool = False) -> Rhythm:
        """Take one beat, and whether a pacer's spikes are seen at it, and say what the rhythm is now."""
        self._beats.append(beat)
        self._paced.append(paced)
        limit = self._settings.regular_below if self._irregular else self._settings.irregular_above
        self._irregular = (self.irregularity() or 0.0) > limit
        spread_ms = self._settings.steady_again_sd_ms if self._variable else self._settings.steady_sd_ms
        self._variable = float(np.std(self._last_sinus() or [0.0])) > spread_ms
        return self.now(beat.r_at_ns)

    def forget(self) -> None:
        """Start anew after a gap in the signal."""
        self._beats.clear()
        self._paced.clear()
        self._irregular = self._variable = False

    def now(self, at_ns: int) -> Rhythm:
        """Say what the rhythm is."""
        intervals = self._intervals()[-self._settings.beats :]
        enough = len(intervals) >= _MIN_INTERVALS
        steadiness = self._steadiness() if enough else "unknown"
        advice, reasons = self._advice(steadiness)
        mean_rr = fmean(intervals) if enough else None
        irregularity = self.irregularity()
        return Rhythm(
            at_ns=at_ns,
            steadiness=steadiness,
            beats=len(intervals),
            heart_rate_bpm=None if mean_rr is None else 60_000 / mean_rr,
            averaged_rate_bpm=self._averaged_rate_bpm(),
            mean_rr_ms=mean_rr,
            sd_rr_ms=float(np.std(intervals)) if enough else None,
            rmssd_ms=_rmssd_ms(intervals) if enough else None,
            range_bpm=60_000 / min(intervals) - 60_000 / max(intervals) if enough else None,
            trend_bpm_per_10_s=self._trend(),
            premature=self._count("premature", "ventricular", "artifact"),
            ventricular=self._count("ventricular"),
            pattern=self._pattern(),
            pause=self.pause(),
            paced=self.paced(),
            af_probability=None if irregularity is None else _af_probability(irregularity),
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

    def paced(self) -> bool:
        """Tell whether a pacer's spikes were seen at several of the last ten beats."""
        return sum(self._paced) >= _PACED_BEATS

    def irregularity(self) -> float | None:
        """Give the median |successive difference| over the median RR, without other shapes' doing; None: too few."""
        kept = list(self._beats)[-self._settings.irregular_beats - 1 :]
        pairs = [(None, None), *pairwise(kept)]
        usual = [
            after.rr_interval_ms
            if before is not None and not {before.beat_kind, after.beat_kind} & {"ventricular", "artifact"}
            else None
            for before, after in pairs
            if after is not None
        ]
        steps = [abs(b - a) for a, b in pairwise(usual) if a is not None and b is not None]
        if len(steps) < _MIN_DIFFERENCES:
            return None
        return median(steps) / median([one for one in usual if one is not None])

    # --- figures ---------------------------------------------------------------------------------------------------

    def _intervals(self) -> list[float]:
        return [beat.rr_interval_ms for beat in self._beats if beat.rr_interval_ms is not None]

    def _last_sinus(self) -> list[float]:
        """List the last intervals that no ectopic beat begins or ends."""
        sinus = [
            beat.rr_interval_ms
            for beat in self._beats
            if beat.rr_interval_ms is not None and not beat.ectopic and not beat.follows_premature
        ]
        return sinus[-self._settings.beats :]

    def _count(self, *kinds: str) -> int:
        return sum(beat.beat_kind in kinds for beat in list(self._beats)[-_ECTOPY_BEATS:])

    def _averaged_rate_bpm(self) -> float | None:
        """Give the rate of the last four intervals, or of the last three if they agree on another one."""
        last = self._intervals()[-_AVERAGED - _AGREEING :]
        if len(last) < _AVERAGED:
            return None
        newest, before = last[-_AGREEING:], last[:-_AGREEING]
        mean = fmean(newest)
        agree = max(newest) - min(newest) < _AGREE * mean
        another = abs(fmean(before) / mean - 1.0) > _ANOTHER
        return 60_000 / (mean if agree and another else fmean(last[-_AVERAGED:]))

    def _trend(self) -> float | None:
        """Give how the rate of the sinus beats of the last 10 s rises, bpm per 10 s, by least squares."""
        newest = self._beats[-1].r_at_ns if self._beats else 0
        points = [
            ((beat.r_at_ns - newest) / 1e9, 60_000 / beat.rr_interval_ms)
            for beat in self._beats
            if beat.rr_interval_ms is not None and not beat.ectopic and not beat.follows_premature
        ]
        points = [(at_s, rate) for at_s, rate in points if at_s >= -_TREND_S]
        if len(points) < _MIN_INTERVALS:
            return None
        at, rate = (np.array(one) for one in zip(*points, strict=True))
        at = at - at.mean()
        return float(10.0 * (at * rate).sum() / (at * at).sum())

    def _pattern(self) -> EctopicPattern:
        """Name how the ectopic beats of the last ten follow one another; the worst name that holds."""
        marks = "".join("E" if beat.ectopic else "N" for beat in list(self._beats)[-_ECTOPY_BEATS:])
        names: tuple[tuple[str, EctopicPattern], ...] = (
            ("EEE", "run"),
            ("EE", "couplet"),
            ("ENENE", "bigeminy"),
            ("ENNENNE", "trigeminy"),
            ("E", "single"),
        )
        return next((name for sign, name in names if sign in marks), "none")

    # --- words -----------------------------------------------------------------------------------------------------

    def _steadiness(self) -> Steadiness:
        if self._irregular:
            return "irregular"
        return "variable" if self._variable or len(self._last_sinus()) < _MIN_INTERVALS else "steady"

    def _advice(self, steadiness: Steadiness) -> tuple[Advice, tuple[str, ...]]:
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
            share = 100 * (self.irregularity() or 0.0)
            reasons.append(f"irregular rhythm (RR changes by {share:.0f} %): windows at a fixed time after R")
        elif steadiness == "variable":
            spread = float(np.std(intervals))
            reasons.append(f"RR varies by {spread:.0f} ms")
        if self.paced():
            reasons.append("paced: a pacemaker's spikes at the beats")
        if self.pause():
            reasons.append(f"a pause of {intervals[-1] / 1000:.1f} s")
        reasons += self._ectopy(steadiness)
        if reasons:
            return "wait", tuple(reasons)
        return "go", (f"steady at {rate:.0f} bpm",)

    def _ectopy(self, steadiness: Steadiness) -> list[str]:
        """Say how many ectopic beats there were; in an irregular rhythm an early beat means nothing by itself."""
        ventricular, early = self._count("ventricular"), self._count("premature")
        early = 0 if steadiness == "irregular" else early
        pattern = self._pattern()
        name = f", {pattern}" if pattern not in ("none", "single") and steadiness != "irregular" else ""
        counted = [f"{n} {kind}" for n, kind in ((ventricular, "ventricular"), (early, "premature")) if n]
        return [f"{' and '.join(counted)} in the last {_ECTOPY_BEATS} beats{name}"] if counted else []


def _rmssd_ms(intervals: list[float]) -> float:
    """Give the root of the mean squared successive difference, ms."""
    return math.sqrt(fmean((b - a) ** 2 for a, b in pairwise(intervals)))


def _af_probability(irregularity: float) -> float:
    """Give the probability that this is atrial fibrillation."""
    logits = ODDS_OF_AF[0] * figure_of(irregularity) + ODDS_OF_AF[1]
    return 1.0 / (1.0 + math.exp(-min(max(logits, -30.0), 30.0)))
