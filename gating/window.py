"""Prediction, rest-phase model and temporal resolution to the exposure window, by the site's policy.

Start and centre of a window are two numbers: here a window is made from its *centre* after R, and opens half a
half-scan, and half of the padding, earlier.

`least_blur_dose` weighs the `candidates`: of those that lie at rest with the wanted probability the one with the least
expected blur x dose; where none does, the least of all, and it says so. The other policies are those of scanners, so
that a site can reproduce its own: a share of the mean RR, a fixed time, a table by heart rate.
"""

from dataclasses import dataclass

import numpy as np

from gating.beats import ClassifiedBeat
from gating.candidates import Candidate, candidates, centre_ms, recon_shift_ms, rr_points_ms
from gating.messages import AcquisitionPlan, CardiacPhase, Rhythm, Trigger
from gating.prediction import Prediction
from gating.rest_phase import Rest
from gating.settings import WindowSettings
from gating.units import ms_from_ns, ns_from_ms

OFFSETS_MS = (0.0, -20.0, 20.0)
"""Centres that are tried around that of the published rest; of equals the first counts."""

PADDINGS_MS = (0.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0)
"""Paddings that are tried, up to what the plan allows; scanners offer 0-150 ms (gating.md S11)."""

SCAN_SD_BPM = 1.6
"""Spread of the heart rate during a scan: SD 1.6 +- 1.0 bpm (gating.md S54)."""

FALLS_YET_BPM = 2.0
"""What the heart rate still falls by after the first exposure of a scan: half of the 4 bpm by which a scan is slower
than the rest before it (gating.md S27); that half is ours."""

FIBRILLATING = 0.6
"""Probability of fibrillation from which on no interval is taken to tell anything about the next."""

FREQUENT_ECTOPY = 4
"""Premature beats in the last ten from which on any next beat may be premature: bigeminy has five."""

WORTH_A_CHANGE = 0.6
"""Slabs of one scan should show one phase; the other one is taken when its cost is less than this share (ours)."""

SHARE_OF_SYSTOLE = 0.5
"""Of RR: a fixed window centred before it is called systolic."""


@dataclass(frozen=True, slots=True)
class Window:
    """One exposure window, in ns of the host clock; `centre_at_ns` is its midpoint."""

    phase: CardiacPhase
    opens_at_ns: int
    centre_at_ns: int
    closes_at_ns: int
    padding_ms: float
    reasons: tuple[str, ...]
    policy: str
    dose_msv: float
    padding_msv: float
    at_rest: float | None = None  # 0..1; None where too little is known to say
    blur_mm: float | None = None


@dataclass(frozen=True, slots=True)
class NoWindow:
    """Why this beat offers no window."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heart:
    """What is known of the heart when a beat is to be booked."""

    r_at_ns: int
    rr_before_ms: float | None  # the interval that this beat ended
    prediction: Prediction | None  # of the interval that it begins
    rhythm: Rhythm
    fibrillating: bool  # irregular without a pattern: no interval tells anything about the next
    settled: bool = False  # the rate is that of the whole hold: it will not fall after the first exposure


def heart_of(beat: ClassifiedBeat, prediction: Prediction | None, rhythm: Rhythm) -> Heart:
    """Put together what is known when a beat is to be booked."""
    return Heart(
        r_at_ns=beat.r_at_ns,
        rr_before_ms=beat.rr_interval_ms,
        prediction=prediction,
        rhythm=rhythm,
        fibrillating=rhythm.steadiness == "irregular" and (rhythm.af_probability or 0.0) > FIBRILLATING,
    )


def place(
    heart: Heart, plan: AcquisitionPlan, settings: WindowSettings, preferred: CardiacPhase | None
) -> Window | NoWindow:
    """Place the window of a beat.

    `preferred` is the phase of the last exposure of this scan. It is kept while the other one is not far better, so
    that the slabs of one scan show one phase.
    """
    if settings.policy != "least_blur_dose":
        return _fixed(heart, plan, settings)
    if heart.fibrillating and (settings.irregular == "absolute_ms" or heart.rr_before_ms is None):
        why = "irregular rhythm, the next beat cannot be foretold: fixed time"
        return _window(heart, "absolute-systole", settings.absolute_centre_ms, 0.0, plan, settings, (why,))
    if heart.rr_before_ms is None or (heart.prediction is None and heart.rhythm.steadiness == "unknown"):
        return NoWindow(("the next RR is not known yet",))
    return _least_blur_dose(heart, heart.rr_before_ms, plan, settings, preferred)


def recon_centre_at_ns(trigger: Trigger, next_r_at_ns: int | None) -> int:
    """Tell where a half-scan of this exposure is centred best, once the beat is over.

    A pure function of the appointment and of the next confirmed R-peak. In diastole the half-scan follows the interval
    as it turned out, as far as the padding reaches; else, and where no next beat is known, the planned centre stands.
    """
    if next_r_at_ns is None or trigger.predicted_rr_ms is None or trigger.phase != "diastole":
        return trigger.centre_at_ns
    longer_ms = ms_from_ns(next_r_at_ns - trigger.r_at_ns) - trigger.predicted_rr_ms
    return trigger.centre_at_ns + ns_from_ms(float(recon_shift_ms("diastole", longer_ms, trigger.padding_ms)))


# --- ours ------------------------------------------------------------------------------------------------------


def _least_blur_dose(
    heart: Heart, rr_before_ms: float, plan: AcquisitionPlan, settings: WindowSettings, preferred: CardiacPhase | None
) -> Window:
    """Choose the rest of this scan, and in it the centre and the padding of this beat."""
    unsteady = heart.fibrillating or heart.rhythm.premature >= FREQUENT_ECTOPY
    foretold = None if unsteady else heart.prediction
    rests: tuple[Rest, ...] = ("systole",) if foretold is None else ("diastole", "systole")
    rests = tuple(rest for rest in rests if settings.phase in ("auto", rest)) or ("systole",)
    offered = {rest: _offered(rest, rr_before_ms, foretold, plan, settings) for rest in rests}
    rest: Rest
    why: tuple[str, ...] = ()
    if foretold is None:
        rest, why = "systole", ("the next beat cannot be foretold: systole, which the interval before places",)
    else:
        falls_bpm = 0.0 if heart.settled or preferred is not None else FALLS_YET_BPM
        rest, why = _rest_of_scan(rests, foretold, plan, preferred, falls_bpm)
    if not offered[rest]:
        rest, why = "systole", (*why, "diastole would not close before the earliest next R")
        offered[rest] = offered.get(rest) or _offered(rest, rr_before_ms, foretold, plan, settings)
    best = _best(offered[rest], settings)
    other = next((_best(found, settings) for one, found in offered.items() if one != rest and found), None)
    told = (*_told(best, other, settings), *why)
    return _window(heart, best.rest, best.centre_ms, best.padding_ms, plan, settings, told, best)


def _best(offered: list[Candidate], settings: WindowSettings) -> Candidate:
    """Pick the least blur x dose among those that are likely enough to lie at rest; among all, where none is."""
    covering = [one for one in offered if one.at_rest >= settings.coverage]
    return min(covering or offered, key=lambda one: one.cost)


def _rest_of_scan(
    rests: tuple[Rest, ...],
    foretold: Prediction,
    plan: AcquisitionPlan,
    preferred: CardiacPhase | None,
    falls_bpm: float,
) -> tuple[Rest, tuple[str, ...]]:
    """Choose the rest that the slabs of the scan will show, as far as can be seen at this beat, and say why.

    The rate still settles at the first beat, and little is known of this breath-hold: the choice is made for the rate
    at which the scan will be, and for the spread that scans usually have, where that is less than what is foretold for
    this one beat.
    """
    rr_ms = 60_000.0 / (60_000.0 / foretold.rr_ms - falls_bpm)
    points = rr_points_ms(foretold)
    usual_ms = SCAN_SD_BPM * rr_ms**2 / 60_000.0
    points = rr_ms + (points - foretold.rr_ms) * min(1.0, usual_ms / max(float(points.std()), 1.0))
    costs = {
        rest: candidates(
            rest,
            (centre_ms(rest, rr_ms, rr_ms),),
            (0.0,),
            rr_before_ms=rr_ms,
            rr_ms=rr_ms,
            rr_points=points,
            plan=plan,
        )[0].cost
        for rest in rests
    }
    best = min(rests, key=lambda rest: costs[rest])
    if preferred not in ("systole", "diastole") or preferred not in costs:
        return best, ()
    if best == preferred or costs[best] > WORTH_A_CHANGE * costs[preferred]:
        return preferred, ("the phase this scan began with",)
    return best, (f"changed from {preferred}, which would move {costs[preferred] / costs[best]:.1f} times as much",)


def _offered(
    rest: Rest, rr_before_ms: float, foretold: Prediction | None, plan: AcquisitionPlan, settings: WindowSettings
) -> list[Candidate]:
    """List the windows of one rest that may be booked: those that close before the next R may come."""
    rr_ms = rr_before_ms if foretold is None else foretold.rr_ms
    middle = centre_ms(rest, rr_before_ms, rr_ms)
    longest_ms = min(plan.max_padding_ms, plan.max_exposure_ms - plan.half_scan_ms)
    # the interval before places systole: there padding would buy nothing
    paddings = tuple(one for one in PADDINGS_MS if one <= longest_ms or one == 0.0) if rest == "diastole" else (0.0,)
    offered = candidates(
        rest,
        tuple(middle + offset for offset in OFFSETS_MS),
        paddings,
        rr_before_ms=rr_before_ms,
        rr_ms=rr_ms,
        rr_points=np.full(1, rr_ms) if foretold is None else rr_points_ms(foretold),
        plan=plan,
    )
    if rest == "systole" or foretold is None:
        return offered
    latest_ms = foretold.low_ms - settings.guard_before_next_r_ms
    return [one for one in offered if one.centre_ms + (plan.half_scan_ms + one.padding_ms) / 2.0 <= latest_ms]


def _told(best: Candidate, other: Candidate | None, settings: WindowSettings) -> tuple[str, ...]:
    """Say why in words: what is expected of it, against the best of the other rest."""
    text = f"{best.rest}: {best.blur_mm:.1f} mm of movement expected, {100 * best.at_rest:.0f} % chance of rest"
    if other is not None:
        text += f" ({other.rest}: {other.blur_mm:.1f} mm, {100 * other.at_rest:.0f} %)"
    reasons = [text]
    if best.at_rest < settings.coverage:
        reasons.append(f"no window reaches {100 * settings.coverage:.0f} %: the least blur x dose")
    if best.padding_ms:
        reasons.append(f"{best.padding_ms:.0f} ms of padding cost {best.padding_msv:.3f} mSv")
    return tuple(reasons)


# --- the scanners' -----------------------------------------------------------------------------------------------


def _fixed(heart: Heart, plan: AcquisitionPlan, settings: WindowSettings) -> Window | NoWindow:
    """Place the window as a scanner does: at a fixed time, or at a share of the mean of the last RR intervals."""
    mean_ms = heart.rhythm.mean_rr_ms
    if settings.policy == "absolute_ms":
        text = f"fixed time of {settings.absolute_centre_ms:.0f} ms, as the site asks for"
        return _window(
            heart, "absolute-systole", settings.absolute_centre_ms, settings.padding_ms, plan, settings, (text,)
        )
    if mean_ms is None:
        return NoWindow(("the mean RR is not known yet",))
    percent, text = settings.percent_rr, "as the site asks for"
    if settings.policy == "vendor_table":
        rate = 60_000.0 / mean_ms
        row = next((one for one in settings.vendor_table if rate < one.below_bpm), settings.vendor_table[-1])
        percent, text = row.percent_rr, f"by the table for {rate:.0f} bpm"
    at_ms = percent / 100.0 * mean_ms
    phase: CardiacPhase = "systole" if at_ms < SHARE_OF_SYSTOLE * mean_ms else "diastole"
    reason = f"{percent:.0f} % of the mean RR, {text}"
    rated = None
    if heart.rr_before_ms is not None and heart.prediction is not None:
        (rated,) = candidates(
            "systole" if phase == "systole" else "diastole",
            (at_ms,),
            (settings.padding_ms,),
            rr_before_ms=heart.rr_before_ms,
            rr_ms=heart.prediction.rr_ms,
            rr_points=rr_points_ms(heart.prediction),
            plan=plan,
        )
    return _window(heart, phase, at_ms, settings.padding_ms, plan, settings, (reason,), rated)


def _window(
    heart: Heart,
    phase: CardiacPhase,
    at_ms: float,
    padding_ms: float,
    plan: AcquisitionPlan,
    settings: WindowSettings,
    reasons: tuple[str, ...],
    rated: Candidate | None = None,
) -> Window:
    """Make the window around a centre after R; one that would open too early for a trigger is moved."""
    half = (plan.half_scan_ms + padding_ms) / 2.0
    if at_ms - half < settings.earliest_open_ms:
        at_ms, rated = settings.earliest_open_ms + half, None
        reasons = (
            *reasons,
            f"moved to open {settings.earliest_open_ms:.0f} ms after R, the earliest that can be booked",
        )
    return Window(
        phase=phase,
        opens_at_ns=heart.r_at_ns + ns_from_ms(at_ms - half),
        centre_at_ns=heart.r_at_ns + ns_from_ms(at_ms),
        closes_at_ns=heart.r_at_ns + ns_from_ms(at_ms + half),
        padding_ms=padding_ms,
        reasons=reasons,
        policy=settings.policy,
        dose_msv=(plan.half_scan_ms + padding_ms) * plan.msv_per_ms,
        padding_msv=padding_ms * plan.msv_per_ms,
        at_rest=None if rated is None else rated.at_rest,
        blur_mm=None if rated is None else rated.blur_mm,
    )
