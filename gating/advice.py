"""One advice from a rehearsal: GO, WAIT, CHANGE or NO-GO, with the numbers that speak for it.

The forecast of the site's own policy is put beside those of the other policies that the gate knows. NO-GO: a scan would
not complete, or the rate is out of bounds. WAIT: something passes, and waiting for it is worth it. CHANGE: another
policy would show clearly more slabs at rest. GO: none of these. An advice never touches an interlock, and may be
overridden by a person who gives a name and a reason.

Limits stand in `RehearsalSettings` with their sources.
"""

from dataclasses import dataclass

import msgspec

from gating.forecast import forecast
from gating.messages import AcquisitionPlan, Forecast, RehearsalReport, ScanAdvice
from gating.rehearsal import NotRehearsed, Rehearsed
from gating.settings import GateSettings, RehearsalSettings, WindowSettings
from gating.window import NoWindow

REJECTED_SHARE = 0.2  # of the beats in the hold, that the ECG was not good enough for


@dataclass(frozen=True, slots=True)
class Alternative:
    """One policy and what it would come to."""

    name: str  # in the words of a site file
    words: str  # in those of a radiographer
    forecast: Forecast


@dataclass(frozen=True, slots=True)
class Advised:
    """The advice, the forecast of the site's own policy, and those of the others, the best first."""

    advice: ScanAdvice
    reasons: tuple[str, ...]
    own: Forecast | None
    others: tuple[Alternative, ...]
    change_to: str | None = None


def advise(rehearsed: Rehearsed, plan: AcquisitionPlan, settings: GateSettings, seed: int = 0) -> Advised:
    """Give one advice; pure, and the same for the same seed."""
    limits, window = settings.rehearsal, settings.window
    own = _forecast(rehearsed, plan, window, limits, seed)
    others = _others(rehearsed, plan, own, limits, seed)
    if isinstance(own, NoWindow):
        return Advised("no-go", own.reasons, None, others)
    never = _never(rehearsed, own, others, settings)
    if never:
        return Advised("no-go", never, own, others)
    waits = _waits(rehearsed, own, limits)
    if waits:
        return Advised("wait", waits, own, others)
    better = _better(own, others, limits)
    if better is not None:
        now, then = 100 * own.mean_at_rest, 100 * better.forecast.mean_at_rest
        dose = better.forecast.dose_msv.median - own.dose_msv.median
        cost = f" for {dose:.2f} mSv more" if dose > 0.005 else ""
        text = f"{better.words}: {then:.0f} % of the slabs at rest instead of {now:.0f} %{cost}"
        return Advised("change", (text,), own, others, better.name)
    if own.complete < limits.complete_above:
        return Advised("wait", (_hold_too_short(own, plan),), own, others)
    return Advised("go", _go(own), own, others)


def report_of(ended: Rehearsed | NotRehearsed, advised: Advised | None, at_ns: int) -> RehearsalReport:
    """Put a rehearsal and its advice into the message that page and report show."""
    if isinstance(ended, NotRehearsed) or advised is None:
        reasons = ended.reasons if isinstance(ended, NotRehearsed) else ("no plan is known yet",)
        return RehearsalReport(at_ns=at_ns, reasons=reasons)
    return RehearsalReport(
        at_ns=at_ns,
        advice=advised.advice,
        change_to=advised.change_to,
        reasons=advised.reasons,
        held_s=ended.held_s,
        rate_before_bpm=ended.rate_before_bpm,
        rate_held_bpm=ended.rate_held_bpm,
        settle_s=ended.settle_s,
        drift_bpm_per_10_s=ended.drift_bpm_per_10_s,
        spread_ms=ended.spread_ms,
        beats=ended.beats,
        ectopic=ended.ectopic,
        rejected=ended.rejected,
        forecast=advised.own,
    )


def _forecast(
    rehearsed: Rehearsed, plan: AcquisitionPlan, window: WindowSettings, limits: RehearsalSettings, seed: int
) -> Forecast | NoWindow:
    return forecast(rehearsed, plan, window, af_above=limits.af_above, draws=limits.draws, seed=seed)


def _others(
    rehearsed: Rehearsed, plan: AcquisitionPlan, own: Forecast | NoWindow, limits: RehearsalSettings, seed: int
) -> tuple[Alternative, ...]:
    """Forecast what else the gate could do, the most slabs at rest first; nothing that comes to the same windows."""
    seen = {(own.phase, own.padding_ms)} if isinstance(own, Forecast) else set()
    wanted: dict[str, tuple[str, WindowSettings]] = {
        "least_blur_dose": ("let the gate choose the phase", WindowSettings()),
        "least_blur_dose:systole": ("scan in systole", msgspec.structs.replace(WindowSettings(), phase="systole")),
        "least_blur_dose:diastole": ("scan in diastole", msgspec.structs.replace(WindowSettings(), phase="diastole")),
        "coverage 0.98": ("a wider window (more padding)", WindowSettings(coverage=0.98)),
        "absolute_ms": ("a fixed time after each R", msgspec.structs.replace(WindowSettings(), policy="absolute_ms")),
    }
    found = []
    for name, (words, changed) in wanted.items():
        other = _forecast(rehearsed, plan, changed, limits, seed)
        if isinstance(other, Forecast) and (other.phase, other.padding_ms) not in seen:
            seen.add((other.phase, other.padding_ms))
            found.append(Alternative(name, words, other))
    return tuple(sorted(found, key=lambda one: -one.forecast.mean_at_rest))


def _better(own: Forecast, others: tuple[Alternative, ...], limits: RehearsalSettings) -> Alternative | None:
    """Pick the first that completes at least as surely, and has clearly more slabs at rest."""
    for one in others:
        gain = one.forecast.mean_at_rest - own.mean_at_rest
        if gain >= limits.gain_for_change and one.forecast.complete >= min(own.complete, limits.complete_above):
            return one
    return None


def _never(
    rehearsed: Rehearsed, own: Forecast, others: tuple[Alternative, ...], settings: GateSettings
) -> tuple[str, ...]:
    """Say why this heart cannot be scanned with this plan."""
    reasons, rate = [], rehearsed.rate_held_bpm
    if rate > settings.rhythm.max_rate_bpm:
        reasons.append(f"{rate:.0f} bpm in the hold; above {settings.rhythm.max_rate_bpm:.0f} nothing is gated")
    if rate < settings.rhythm.min_rate_bpm:
        reasons.append(f"{rate:.0f} bpm in the hold; below {settings.rhythm.min_rate_bpm:.0f} nothing is gated")
    best = max([own.complete, *(one.forecast.complete for one in others)])
    if best < settings.rehearsal.complete_below:
        reasons.append(f"the scan would complete in {100 * best:.0f} % of breath-holds: a longer hold, or fewer steps")
    return tuple(reasons)


def _waits(rehearsed: Rehearsed, own: Forecast, limits: RehearsalSettings) -> tuple[str, ...]:
    """Say what is worth waiting for."""
    reasons = []
    if rehearsed.rejected > REJECTED_SHARE * rehearsed.beats:
        reasons.append(
            f"the ECG was not good enough for {rehearsed.rejected} of {rehearsed.beats} beats: mend the electrodes, "
            "let the patient lie still, rehearse again"
        )
    fibrillating = (rehearsed.af_probability or 0.0) > limits.af_above
    drift = rehearsed.drift_bpm_per_10_s
    if abs(drift) > limits.settled_drift_bpm and not fibrillating:
        way = "falls" if drift < 0 else "rises"
        reasons.append(f"the heart rate still {way} by {abs(drift):.0f} bpm in 10 s: wait, and rehearse again")
    if own.mean_at_rest < limits.least_at_rest and rehearsed.rate_held_bpm > limits.calm_bpm and not fibrillating:
        reasons.append(
            f"at {rehearsed.rate_held_bpm:.0f} bpm the heart hardly rests as long as this scanner looks: let the "
            f"patient calm down, below {limits.calm_bpm:.0f} bpm if that can be; a physician may give a beta-blocker"
        )
    if rehearsed.ectopic > limits.most_ectopic_share * rehearsed.beats and not fibrillating:
        reasons.append(f"{rehearsed.ectopic} of {rehearsed.beats} beats were ectopic: wait for a quieter rhythm")
    return tuple(reasons)


def _hold_too_short(own: Forecast, plan: AcquisitionPlan) -> str:
    """Say that the breath-hold may be too short, in numbers."""
    needed = "" if own.breath_hold_s is None else f"; up to {own.breath_hold_s.high:.0f} s are needed"
    return (
        f"{100 * own.complete:.0f} % of scans complete within {plan.breath_hold_limit_s:.0f} s{needed}: "
        "wait for a steadier rhythm, or let the patient practise a longer hold"
    )


def _go(own: Forecast) -> tuple[str, ...]:
    """Say what the scan will be like."""
    reasons = []
    if own.beats is not None and own.breath_hold_s is not None:
        reasons.append(
            f"{own.beats.median:.0f} beats in a breath-hold of {own.breath_hold_s.median:.0f} s "
            f"({own.breath_hold_s.low:.0f} to {own.breath_hold_s.high:.0f})"
        )
    reasons.append(f"{100 * own.mean_at_rest:.0f} % of the slabs at rest are expected, in {own.phase}")
    return tuple(reasons)
