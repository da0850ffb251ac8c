"""What a scan of this plan will be like with the heart that was rehearsed: many drawn scans, counted.

Theory of operation. A heart is drawn as the rehearsal showed it: its rate, how sure that is, its drift and scatter, its
ectopic beats (a share, drawn from what is plausible after so many beats), and where its rests lie (the published spread
between patients). Each drawn heart is then scanned as the gate would: the breath is held, the first beat after settling
is waited for, windows lie where `window` puts the one of this heart, an early beat cancels or cuts, the table moves.
All draws go through the beats side by side.

Reference: the rest-phase model and its spread, `rest_phase`; ectopic beats as a Beta posterior with Jeffreys' prior.
Our deviations:

- one phase for the whole scan, that of the window now; in fibrillation every interval is drawn from the rehearsed ones;
- a drawn ectopic beat comes at 0.6 to 0.8 of the interval and is followed by its full pause (gating.md section 5).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gating.candidates import centre_ms, recon_shift_ms
from gating.messages import AcquisitionPlan, Forecast, Rhythm, Span
from gating.prediction import COVERAGES, Prediction
from gating.rehearsal import Rehearsed
from gating.rest_phase import (
    AT_REST_MM,
    DIASTOLE_SD_MS,
    SYSTOLE_SD_MS,
    Rest,
    diastole_centre_ms,
    movement_mm,
    systole_centre_ms,
)
from gating.settings import WindowSettings
from gating.units import NS_PER_MS
from gating.window import Heart, NoWindow, Window, place

Floats = NDArray[np.float64]

LEVEL_SD_BPM = 0.6
"""Of the rate of one hold against that of another. Ours, no source was found; within a scan the spread is SD 1.6 +- 1.0
bpm (gating.md S54). Held against what came in docs/advice.md."""

COUPLING = (0.6, 0.8)  # of the interval: when a drawn ectopic beat comes (gating.md section 5)
HIDDEN_ECTOPY = 0.2  # of the hearts without an ectopic beat in the rehearsal have some nevertheless (docs/advice.md)
EARLY = 0.85  # of the running interval (gating.md S35)
SEEN_AFTER_MS = 50.0  # from an R-peak to the beam that it stops (hazards.md I6)
LONGEST_BEATS = 80
OF_NORMAL = (0.674, 1.282, 1.645, 1.960, 2.576)  # half-widths of COVERAGES over the SD
LEAST_SPREAD_MS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """The drawn scans, one by one, [draw]."""

    complete: NDArray[np.bool_]
    beats: Floats
    breath_hold_s: Floats
    at_rest: Floats  # share of the planned slabs
    rejected: Floats
    dose_msv: Floats
    rate_bpm: Floats
    rate_spread_bpm: Floats


@dataclass(frozen=True, slots=True)
class _Hearts:
    """The drawn hearts: intervals ms [draw, beat], when each beat comes s [draw, beat], which are ectopic."""

    rr_ms: Floats
    at_s: Floats
    expected_ms: Floats  # [draw, beat]: what a good prediction says of each interval
    ectopic: NDArray[np.bool_]
    later_ms: Floats  # [draw]
    slower: Floats  # [draw]


def forecast(
    rehearsed: Rehearsed, plan: AcquisitionPlan, window: WindowSettings, *, af_above: float, draws: int, seed: int
) -> Forecast | NoWindow:
    """Foretell a scan.

    Parameters
    ----------
    rehearsed
        What the rehearsal showed.
    plan
        What is to be scanned.
    window
        The site's policy.
    af_above
        Probability of fibrillation from which on it is taken for that.
    draws
        How many scans are drawn.
    seed
        The same seed gives the same forecast.

    Returns
    -------
    Forecast or NoWindow
        The latter where this policy offers no window for this heart, with the reasons.
    """
    booked = window_of(rehearsed, plan, window, af_above)
    if isinstance(booked, NoWindow):
        return booked
    drawn = draw(rehearsed, plan, window, booked, af_above=af_above, draws=draws, seed=seed)
    done = drawn.complete
    return Forecast(
        policy=window.policy,
        phase=booked.phase,
        draws=draws,
        complete=float(done.mean()),
        motion_free=float((done & (drawn.at_rest >= 1.0)).mean()),
        rate_bpm=_span(drawn.rate_bpm),
        rate_spread_bpm=_span(drawn.rate_spread_bpm),
        beats=_span(drawn.beats[done]) if done.any() else None,
        breath_hold_s=_span(drawn.breath_hold_s[done]) if done.any() else None,
        at_rest=_span(drawn.at_rest),
        mean_at_rest=float(drawn.at_rest.mean()),
        rejected=_span(drawn.rejected),
        dose_msv=_span(drawn.dose_msv),
        padding_ms=booked.padding_ms,
    )


def window_of(
    rehearsed: Rehearsed, plan: AcquisitionPlan, window: WindowSettings, af_above: float
) -> Window | NoWindow:
    """Place the window that a beat of the rehearsed heart gets, at time 0."""
    rr_ms = 60e3 / rehearsed.rate_held_bpm
    spread_ms = max(rehearsed.spread_ms, LEAST_SPREAD_MS)
    halves = tuple(one * spread_ms for one in OF_NORMAL)
    prediction = Prediction(rr_ms, rr_ms - halves[3], rr_ms + halves[3], COVERAGES[3], rehearsed.beats, halves)
    fibrillating = _fibrillates(rehearsed, af_above)
    rhythm = Rhythm(
        at_ns=0, steadiness="irregular" if fibrillating else "steady", beats=rehearsed.beats,
        heart_rate_bpm=rehearsed.rate_held_bpm, mean_rr_ms=rr_ms, sd_rr_ms=spread_ms, range_bpm=None,
        premature=round(10.0 * rehearsed.ectopic / max(rehearsed.beats, 1)), advice="go", reasons=(),
    )  # fmt: skip
    heart = Heart(
        r_at_ns=0, rr_before_ms=rr_ms, prediction=prediction, rhythm=rhythm, fibrillating=fibrillating, settled=True
    )  # fmt: skip
    return place(heart, plan, window, None)


def draw(
    rehearsed: Rehearsed,
    plan: AcquisitionPlan,
    window: WindowSettings,
    booked: Window,
    *,
    af_above: float,
    draws: int,
    seed: int,
) -> Draws:
    """Draw hearts and scan them; see `forecast`."""
    rng = np.random.default_rng(seed)
    fibrillating = _fibrillates(rehearsed, af_above)
    hearts = _hearts(rehearsed, plan, booked, fibrillating=fibrillating, draws=draws, rng=rng)
    return _Scans(hearts, plan, window, booked, rehearsed).run()


def _fibrillates(rehearsed: Rehearsed, af_above: float) -> bool:
    return (rehearsed.af_probability or 0.0) > af_above


def _span(values: Floats) -> Span:
    low, middle, high = np.percentile(values, [5.0, 50.0, 95.0]).tolist()
    return Span(median=middle, low=low, high=high)


def _hearts(
    rehearsed: Rehearsed,
    plan: AcquisitionPlan,
    booked: Window,
    *,
    fibrillating: bool,
    draws: int,
    rng: np.random.Generator,
) -> _Hearts:
    """Draw hearts as the rehearsal showed this one, from the begin of the hold on."""
    shape = (draws, LONGEST_BEATS)
    if fibrillating:
        rr_ms = rng.choice(np.array(rehearsed.rr_before_ms), size=shape)
        expected_ms = np.broadcast_to(rr_ms.mean(axis=1, keepdims=True), shape)
    else:
        level = rehearsed.rate_held_bpm + LEVEL_SD_BPM * rng.standard_normal((draws, 1))
        # what is known of the drift of a few beats is little: half of it goes on
        drift = 0.5 * rehearsed.drift_bpm_per_10_s / 10.0
        middle_s = 0.5 * (rehearsed.settle_s + rehearsed.held_s)
        about_s = np.arange(LONGEST_BEATS) * 60.0 / rehearsed.rate_held_bpm
        rate = np.clip(level + drift * (np.minimum(about_s, plan.breath_hold_limit_s) - middle_s), 25.0, 200.0)
        expected_ms = 60e3 / rate
        rr_ms = expected_ms + max(rehearsed.spread_ms, LEAST_SPREAD_MS) * rng.standard_normal(shape)
    rr_ms = np.maximum(rr_ms, 250.0)
    share = rng.beta(0.5 + rehearsed.ectopic, 0.5 + max(rehearsed.beats - rehearsed.ectopic, 0), size=(draws, 1))
    ectopic = np.zeros(shape, dtype=bool)
    if fibrillating:  # the gate takes a beat that comes so early for a premature one, and waits
        ectopic[:, 1:] = rr_ms[:, :-1] < EARLY * np.median(rr_ms, axis=1, keepdims=True)
    else:
        if not rehearsed.ectopic:
            share = share * (rng.uniform(size=(draws, 1)) < HIDDEN_ECTOPY)
        ectopic = rng.uniform(size=shape) < share
        ectopic[:, 1:] &= ~ectopic[:, :-1]
        ectopic[:, 0] = False
        coupling = rng.uniform(*COUPLING, size=shape)
        usual = rr_ms.copy()
        # the interval of the beat before an ectopic one is short, its own is the pause
        rr_ms[:, :-1] = np.where(ectopic[:, 1:], coupling[:, 1:] * usual[:, :-1], rr_ms[:, :-1])
        rr_ms[:, 1:] = np.where(ectopic[:, 1:], 2.0 * usual[:, 1:] - rr_ms[:, :-1], rr_ms[:, 1:])
    first_s = rng.uniform(size=(draws, 1)) * rr_ms[:, :1] / 1e3
    at_s = np.concatenate([first_s, first_s + np.cumsum(rr_ms[:, :-1], axis=1) / 1e3], axis=1)
    sd = DIASTOLE_SD_MS if booked.phase == "diastole" else SYSTOLE_SD_MS
    return _Hearts(rr_ms, at_s, expected_ms, ectopic, sd * rng.standard_normal(draws), rng.standard_normal(draws))


class _Scans:
    """All draws side by side, beat by beat."""

    def __init__(
        self, hearts: _Hearts, plan: AcquisitionPlan, window: WindowSettings, booked: Window, rehearsed: Rehearsed
    ) -> None:
        self._hearts, self._plan, self._booked = hearts, plan, booked
        rr_ms = 60e3 / rehearsed.rate_held_bpm
        self._rest: Rest = "diastole" if booked.phase == "diastole" else "systole"
        self._centre_ms = booked.centre_at_ns / NS_PER_MS
        self._off_ms = self._centre_ms - centre_ms(self._rest, rr_ms, rr_ms)
        self._share = None if window.policy in ("least_blur_dose", "absolute_ms") else self._centre_ms / rr_ms
        draws = len(hearts.rr_ms)
        self._half_s = (plan.half_scan_ms + booked.padding_ms) / 2e3
        self._settled_s = np.full(draws, plan.settle_s)
        self._step, self._attempt = np.zeros(draws, dtype=int), np.ones(draws, dtype=int)
        self._failed = np.zeros(draws, dtype=bool)
        self._first, self._last = np.full(draws, -1), np.full(draws, -1)
        self._ended_s, self._beam_s = np.zeros(draws), np.zeros(draws)
        self._resting, self._rejected = np.zeros(draws, dtype=int), np.zeros(draws, dtype=int)

    def run(self) -> Draws:
        """Take beat after beat."""
        for beat in range(1, LONGEST_BEATS):
            self._take(beat)
        hearts, steps = self._hearts, len(self._plan.table_mm)
        scanned = (hearts.at_s >= self._plan.settle_s) & (hearts.at_s <= np.maximum(self._ended_s, 8.0)[:, None])
        rates = np.where(scanned & ~hearts.ectopic, 60e3 / hearts.rr_ms, np.nan)
        return Draws(
            complete=self._step == steps,
            beats=(self._last - self._first + 1).astype(np.float64),
            breath_hold_s=self._ended_s,
            at_rest=self._resting / steps,
            rejected=self._rejected.astype(np.float64),
            dose_msv=self._plan.scout_msv + self._beam_s * 1e3 * self._plan.msv_per_ms,
            rate_bpm=np.nanmean(rates, axis=1),
            rate_spread_bpm=np.nanstd(rates, axis=1),
        )

    def _take(self, beat: int) -> None:
        """Let one beat come to all draws."""
        hearts, plan = self._hearts, self._plan
        at_s, rr_ms, before_ms = hearts.at_s[:, beat], hearts.rr_ms[:, beat], hearts.rr_ms[:, beat - 1]
        waiting = ~self._failed & (self._step < len(plan.table_mm)) & (at_s >= self._settled_s)
        self._first = np.where(waiting & (self._first < 0), beat, self._first)
        self._last = np.where(waiting, beat, self._last)
        self._rejected += waiting & hearts.ectopic[:, beat]
        centre_ms_ = self._centres_ms(before_ms, hearts.expected_ms[:, beat])
        opens_s, closes_s = at_s + centre_ms_ / 1e3 - self._half_s, at_s + centre_ms_ / 1e3 + self._half_s
        booked = waiting & ~hearts.ectopic[:, beat]
        late = booked & (closes_s > plan.breath_hold_limit_s)
        self._failed |= late
        stopped_s = at_s + (rr_ms + SEEN_AFTER_MS) / 1e3
        cancelled = booked & ~late & (stopped_s <= opens_s)
        cut = booked & ~late & ~cancelled & (at_s + rr_ms / 1e3 < closes_s)
        exposed = booked & ~late & ~cancelled & ~cut
        self._rejected += cancelled | cut
        off_s = np.where(cut, np.minimum(stopped_s, closes_s), closes_s)
        self._beam_s += np.where(cut | exposed, off_s - opens_s, 0.0)
        self._failed |= cut & (self._attempt > plan.max_repeats)
        self._attempt = np.where(exposed, 1, self._attempt + cut)
        self._step += exposed
        self._settled_s = np.where(exposed, closes_s + plan.table_move_ms / 1e3, self._settled_s)
        self._ended_s = np.where(exposed, closes_s, self._ended_s)
        self._resting += exposed & self._at_rest(centre_ms_, before_ms, rr_ms, hearts.expected_ms[:, beat])

    def _centres_ms(self, before_ms: Floats, expected_ms: Floats) -> Floats:
        """Give where the windows of this beat are centred, ms after R, [draw]."""
        if self._booked.phase == "absolute-systole":
            return np.full(len(before_ms), self._centre_ms)
        if self._share is not None:
            return self._share * expected_ms
        if self._rest == "systole":
            return systole_centre_ms(before_ms) + self._off_ms
        return diastole_centre_ms(before_ms, expected_ms) + self._off_ms

    def _at_rest(self, centre: Floats, before_ms: Floats, rr_ms: Floats, expected_ms: Floats) -> NDArray[np.bool_]:
        """Tell which draws move less than 1 mm in the middle of an exposure of this beat."""
        half = self._plan.temporal_resolution_ms / 2.0
        middle = centre + recon_shift_ms(self._rest, rr_ms - expected_ms, self._booked.padding_ms)
        moved = movement_mm(
            self._rest,
            middle - half,
            middle + half,
            rr_before_ms=before_ms,
            rr_ms=rr_ms,
            later_ms=self._hearts.later_ms,
            slower=self._hearts.slower,
        )
        return np.asarray(moved < AT_REST_MM)
