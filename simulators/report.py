"""What was said and what was true, put side by side: the gating part of `report.json`.

A `ScanLog` is what an observer of the bus heard, plus the truth that the simulated devices wrote; where it was heard,
on real wires or in virtual time, makes no difference. Only after the scan do the two meet, here.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from statistics import median
from typing import TypeVar

from gating.messages import (
    AcquisitionPlan,
    Armed,
    Beat,
    BreathHold,
    Cancel,
    ExposureReport,
    Held,
    Inhibit,
    Message,
    OperatorRequest,
    RehearsalReport,
    ScannerStatus,
    Span,
    Trigger,
    TriggerAnswer,
)
from gating.units import ms_from_ns
from gating.window import recon_centre_at_ns
from simulators.heart import Atria


@dataclass(frozen=True, slots=True)
class BeatAt:
    """One true beat: its number, its R in patient time and on the host's clock, and its kind."""

    number: int
    patient_s: float
    r_at_ns: int
    kind: str
    atria: Atria = "lead"  # what they did before it


@dataclass(frozen=True, slots=True)
class BeamAt:
    """One true exposure, as the gantry saw it, in host time."""

    step: int
    attempt: int
    on_at_ns: int
    off_at_ns: int
    table_mm: float
    start_angle_deg: float


@dataclass(frozen=True, slots=True)
class ScanLog:
    """Everything an observer heard, in order, and the truth of the simulated devices."""

    plan: AcquisitionPlan
    heard: tuple[tuple[int, Message], ...]
    beats: tuple[BeatAt, ...]
    beams: tuple[BeamAt, ...]


@dataclass(frozen=True, slots=True)
class Exposure:
    """One exposure, planned beside true. `true_beat` is the beat that the beam really began in."""

    beat: int
    true_beat: int | None
    step: int
    attempt: int
    opens_at_ns: dict[str, int]
    centre_after_r_ms: dict[str, float | None]
    rr_ms: dict[str, float | None]
    phase: str
    outcome: str
    table_mm: float
    start_angle_deg: float
    padding_ms: float
    recon_moved_ms: float  # of the half-scan's centre inside the exposure, once the beat was over
    window: dict[str, object]  # why it was booked there, and what was expected of it


M = TypeVar("M", bound=Message)


def of_kind(log: ScanLog, kind: type[M]) -> list[M]:
    """List the messages of one kind in the order they were heard."""
    return [message for _, message in log.heard if isinstance(message, kind)]


def exposures(log: ScanLog) -> list[Exposure]:
    """List what was really exposed, in order, each beside the trigger that it came from."""
    triggers = {trigger.sequence: trigger for trigger in of_kind(log, Trigger)}
    told = {(report.step, report.attempt): report for report in of_kind(log, ExposureReport) if report.opened_at_ns}
    found = []
    for beam in log.beams:
        report = told.get((beam.step, beam.attempt))
        trigger = None if report is None else triggers.get(report.sequence)
        if report is None or trigger is None:
            continue
        found.append(_exposure(log, beam, report, trigger))
    return found


def _exposure(log: ScanLog, beam: BeamAt, report: ExposureReport, trigger: Trigger) -> Exposure:
    index = _beat_before(log.beats, beam.on_at_ns)
    beat = None if index is None else log.beats[index]
    following = None if index is None or index + 1 >= len(log.beats) else log.beats[index + 1]
    centre_ns = (beam.on_at_ns + beam.off_at_ns) / 2
    return Exposure(
        beat=trigger.beat,
        true_beat=None if beat is None else beat.number,
        step=beam.step,
        attempt=beam.attempt,
        opens_at_ns={"planned": trigger.opens_at_ns, "actual": beam.on_at_ns},
        centre_after_r_ms={
            "planned": ms_from_ns(trigger.centre_at_ns - trigger.r_at_ns),
            "true": None if beat is None else (centre_ns - beat.r_at_ns) / 1e6,
        },
        rr_ms={
            "predicted": trigger.predicted_rr_ms,
            "true": None if beat is None or following is None else ms_from_ns(following.r_at_ns - beat.r_at_ns),
        },
        phase=trigger.phase,
        outcome=report.outcome,
        table_mm=beam.table_mm,
        start_angle_deg=beam.start_angle_deg,
        padding_ms=trigger.padding_ms,
        recon_moved_ms=_recon_moved_ms(log, trigger),
        window={
            "policy": trigger.policy,
            "reasons": list(trigger.reasons),
            "at_rest": trigger.at_rest,
            "blur_mm": trigger.blur_mm,
            "padding_msv": trigger.padding_msv,
            "dose_msv": trigger.dose_msv,
        },
    )


def _recon_moved_ms(log: ScanLog, trigger: Trigger) -> float:
    """Centre the half-scan by the next R-peak that the gate confirmed."""
    later = (beat for beat in of_kind(log, Beat) if beat.stage == "confirmed" and beat.number > trigger.beat)
    following = next(later, None)
    centre_at_ns = recon_centre_at_ns(trigger, None if following is None else following.r_at_ns)
    return ms_from_ns(centre_at_ns - trigger.centre_at_ns)


def _beat_before(beats: tuple[BeatAt, ...], at_ns: int) -> int | None:
    index = None
    for k, beat in enumerate(beats):
        if beat.r_at_ns > at_ns:
            break
        index = k
    return index


def held(log: ScanLog) -> list[dict[str, object]]:
    """List the beats that were not exposed although the scan waited for one: one row a beat, the first cause wins."""
    rows: dict[int, dict[str, object]] = {}
    for _, message in log.heard:
        why = reasons = None
        match message:
            case Cancel():
                why, reasons = "cancelled", message.reasons
            case ExposureReport(outcome="missed"):
                why, reasons = "missed", message.reasons
            case TriggerAnswer(accepted_at_ns=None) | Held():
                why, reasons = "refused", message.reasons
            case _:
                continue
        rows.setdefault(message.beat, {"beat": message.beat, "why": why, "reasons": list(reasons)})
    exposed = {exposure.beat for exposure in exposures(log)}
    return [row for beat, row in rows.items() if beat not in exposed]


def spread(values: Iterable[float]) -> dict[str, float | int | None]:
    """Give n, median and maximum."""
    known = list(values)
    return {"n": len(known), "median": median(known) if known else None, "max": max(known, default=None)}


def steps_exposed(log: ScanLog) -> list[int]:
    """List the steps that have a whole exposure, which is what slices can be made from."""
    return sorted({exposure.step for exposure in exposures(log) if exposure.outcome == "exposed"})


def gating_report(log: ScanLog) -> dict[str, object]:
    """Put the gating part of `report.json` together: what was exposed, held and refused, the dose, the latencies."""
    done = exposures(log)
    answers = [answer for answer in of_kind(log, TriggerAnswer) if answer.accepted_at_ns is not None]
    triggers = {trigger.sequence: trigger for trigger in of_kind(log, Trigger)}
    accepted = [(answer.accepted_at_ns, triggers[answer.sequence]) for answer in answers if answer.sequence in triggers]
    status = next(reversed(of_kind(log, ScannerStatus)), None)
    steps = steps_exposed(log)
    missing = [step for step in range(len(log.plan.table_mm)) if step not in steps]
    return {
        "complete": not missing,
        "steps_missing": missing,
        "ended": None if status is None else {"state": status.state, "reasons": list(status.reasons)},
        "breath_holds": len({hold.session for hold in of_kind(log, BreathHold)}),
        "sessions": len(of_kind(log, Armed)),
        "exposures": [asdict(exposure) for exposure in done],
        "held": held(log),
        "inhibits": [{"reasons": list(one.reasons), "latched": one.latched} for one in of_kind(log, Inhibit)],
        "refused_messages": {} if status is None else dict(status.refused),
        "beats": beat_counts(log),
        "dose": dose(log),
        "rehearsal": rehearsal(log),
        "overrides": [
            {"name": one.name, "reason": one.text}
            for one in of_kind(log, OperatorRequest)
            if one.request == "arm" and one.text
        ],
        "trigger_latency_ms": spread((at - trigger.sample_arrived_at_ns) / 1e6 for at, trigger in accepted if at),
        "r_to_accept_ms": spread((at - trigger.r_at_ns) / 1e6 for at, trigger in accepted if at),
    }


def rehearsal(log: ScanLog) -> dict[str, object] | None:
    """Put what the last rehearsal foretold beside what came; None where there was none, or it told too little."""
    told = next((one for one in reversed(of_kind(log, RehearsalReport)) if one.forecast is not None), None)
    if told is None or told.forecast is None:
        return None
    foretold, began = told.forecast, next(iter(of_kind(log, BreathHold)), None)
    off = [beam.off_at_ns for beam in log.beams]
    held_s = None if began is None or not off else (max(off) - began.began_at_ns) / 1e9
    used = [exposure.beat for exposure in exposures(log)]
    return {
        "advice": told.advice,
        "reasons": list(told.reasons),
        "beats": _beside(foretold.beats, float(max(used) - min(used) + 1) if used else None),
        "breath_hold_s": _beside(foretold.breath_hold_s, held_s),
        "dose_msv": _beside(
            foretold.dose_msv,
            log.plan.scout_msv
            + sum(ms_from_ns(beam.off_at_ns - beam.on_at_ns) for beam in log.beams) * log.plan.msv_per_ms,
        ),
        "motion_free": {"predicted": foretold.motion_free},
    }


def _beside(span: Span | None, actual: float | None) -> dict[str, object]:
    """Put a forecast beside what came, and say whether the interval of 90 % held."""
    if span is None:
        return {"predicted": None, "low": None, "high": None, "actual": actual, "held": None}
    held_ = None if actual is None else span.low <= actual <= span.high
    return {"predicted": span.median, "low": span.low, "high": span.high, "actual": actual, "held": held_}


def beat_counts(log: ScanLog) -> dict[str, object]:
    """Count the true beats by kind beside what the gate found, and the beats from the first to the last exposure."""
    confirmed = [beat for beat in of_kind(log, Beat) if beat.stage == "confirmed"]
    used = [exposure.beat for exposure in exposures(log)]
    return {
        "true": dict(Counter(beat.kind for beat in log.beats)),
        "confirmed": dict(Counter(beat.beat_kind for beat in confirmed)),
        "scan": max(used) - min(used) + 1 if used else 0,
    }


def dose(log: ScanLog) -> dict[str, object]:
    """Count the dose from the beam that really was, whether or not its slab could be used.

    CTDIvol is the mean over the slabs that got any beam, as the bridge tells it; each counts its full collimation.
    DLP and effective dose hold the scout too.
    """
    beam_ms = sum(ms_from_ns(beam.off_at_ns - beam.on_at_ns) for beam in log.beams)
    plan = log.plan
    slabs_dlp = beam_ms * plan.dlp_mgycm_per_ms
    dlp = plan.scout_dlp_mgycm + slabs_dlp
    irradiated_cm = len({beam.step for beam in log.beams}) * plan.collimation_mm / 10
    return {
        "mas": beam_ms / 1000 * plan.tube_current_ma * plan.sources,
        "beam_on_ms": beam_ms,
        "ctdivol_mgy": slabs_dlp / irradiated_cm if irradiated_cm else 0.0,
        "dlp_mgycm": dlp,
        "scout_dlp_mgycm": plan.scout_dlp_mgycm,
        "reference_dlp_mgycm": plan.reference_dlp_mgycm,
        "effective_msv": dlp * plan.msv_per_mgycm,
        "msv_per_mgycm": plan.msv_per_mgycm,
        "msv_factor_source": plan.msv_factor_source,
    }
