"""The vetoes, each with its reason in words. A veto only tightens: adding one never yields a trigger.

Two kinds. A *signal* veto doubts what the gate sees: no lease and no booking, and an armed session is inhibited.
A *booking* veto concerns one beat: the beat is held, the lease goes on.
"""

from dataclasses import dataclass

from gating.beats import ClassifiedBeat
from gating.leads import LeadsState, electrodes_of
from gating.messages import ScannerStatus
from gating.rhythm import RhythmJudge
from gating.sample_clock import BlockTimes
from gating.settings import InterlockSettings, SampleClockSettings
from gating.units import NS_PER_S, ms_from_ns

NO_FIXED_RATE = "this ECG box keeps no fixed sample rate: to be watched, not to gate on"


@dataclass(frozen=True, slots=True)
class SignalView:
    """All that the signal vetoes look at."""

    now_ns: int
    times: BlockTimes | None  # of the newest block
    leads: LeadsState | None
    needed_leads: frozenset[str]  # fixed at arming: each must stay trusted; empty before
    lost_samples: int  # just before the newest block
    rate_hz: float
    crc_share: float  # of the frames of the last second
    learned: bool
    last_r_at_ns: int | None
    running_rr_ms: float | None
    rhythm: RhythmJudge
    fast_wave: str | None  # ventricular tachycardia or flutter, in words
    lost_reason: str | None  # the line, the journal or the clock failed


def standstill_after_s(running_rr_ms: float | None, settings: InterlockSettings) -> float:
    """Give the time without an R-peak that counts as standstill: max(2 s, 1.5 RR), at most 3 s (hazards.md E9)."""
    span = settings.standstill_min_s
    if running_rr_ms is not None:
        span = max(span, 1.5 * running_rr_ms / 1000)
    return min(span, settings.standstill_max_s)


def signal_vetoes(
    view: SignalView, settings: InterlockSettings, clock_settings: SampleClockSettings
) -> tuple[str, ...]:
    """List why the signal may not be trusted now; the first reason is the one that a radiographer needs."""
    if view.lost_reason is not None:
        return (view.lost_reason,)
    if view.times is None or view.leads is None:
        return ("no ECG samples yet",)
    silent_ms = ms_from_ns(view.now_ns - view.times.newest_at_ns)
    if silent_ms > settings.silence_ms:
        return (f"no ECG samples for {silent_ms / 1000:.1f} s",)
    # one that was off at arming already, with the leads that rest on it, is not waited for
    needed = {electrode for lead in view.needed_leads for electrode in (*electrodes_of(lead), "RL")}
    reasons = [f"electrode {electrode} is off" for electrode in view.leads.electrodes_off if electrode in needed]
    untrusted = [lead for lead in view.leads.leads if lead.lead in view.needed_leads and not lead.trusted]
    reasons += [f"lead {lead.lead}: {lead.reason}" for lead in untrusted]
    if not any(lead.trusted for lead in view.leads.leads):
        worst = next((lead.reason for lead in view.leads.leads if lead.reason), "not trusted")
        reasons.append(f"no lead can be trusted: {worst}")
    if silent_ms > settings.max_sample_age_ms or view.times.backlog_ms > clock_settings.max_backlog_ms:
        reasons.append(f"ECG samples arrive {max(silent_ms, view.times.backlog_ms):.0f} ms late")
    gap_ms = 1000 * view.lost_samples / view.rate_hz
    if gap_ms > clock_settings.max_gap_ms:
        reasons.append(f"{gap_ms:.0f} ms of ECG were lost on the line")
    if view.crc_share > settings.max_crc_share:
        reasons.append(f"{100 * view.crc_share:.0f} % of the frames are damaged: check baud rate and cable")
    if view.times.drift_ppm is not None and abs(view.times.drift_ppm) > clock_settings.max_drift_ppm:
        reasons.append(f"the box's rate is {view.times.drift_ppm / 10_000:+.1f} % off what it declares")
    if not view.learned:
        reasons.append("learning the QRS")
    reasons.extend(_beat_vetoes(view, settings))
    return tuple(reasons)


def _beat_vetoes(view: SignalView, settings: InterlockSettings) -> list[str]:
    reasons = []
    if view.last_r_at_ns is not None:
        since_s = (view.now_ns - view.last_r_at_ns) / NS_PER_S
        if since_s > standstill_after_s(view.running_rr_ms, settings):
            reasons.append(f"no R-peak for {since_s:.1f} s")
    if view.rhythm.too_fast():
        reasons.append("heart rate too fast to gate")
    if view.fast_wave is not None:
        reasons.append(view.fast_wave)
    return reasons


def standing_vetoes(rate_exact: bool, not_taken: str | None) -> tuple[str, ...]:
    """List what keeps a gate from ever gating as it is set up: its box, or the arming it did not take."""
    if not rate_exact:
        return (NO_FIXED_RATE,)
    return () if not_taken is None else (not_taken,)


@dataclass(frozen=True, slots=True)
class BookingView:
    """All that the vetoes of one beat look at."""

    now_ns: int
    beat: ClassifiedBeat
    good_beats: int  # confirmed in a row without a signal veto
    doubt: str | None  # why this beat may not arm: the ECG is not to be trusted enough
    patient_safe: bool
    rate_exact: bool
    scanner: ScannerStatus | None
    hold_began_at_ns: int | None  # on the gate's clock
    expires_at_ns: int | None  # of the trigger that would be booked


def booking_vetoes(view: BookingView, settings: InterlockSettings) -> tuple[str, ...]:
    """List why nothing may be booked for this beat."""
    reasons = []
    if view.scanner is None:
        return ("the scanner bridge is silent",)
    if not view.scanner.simulated and not view.patient_safe:
        reasons.append("this ECG box is not fit for a person, and the scanner is real")
    if not view.rate_exact:
        reasons.append(NO_FIXED_RATE)
    if view.scanner.control == "none":
        reasons.append(f"driver {view.scanner.driver} controls nothing")
    if view.good_beats < settings.min_beats:
        reasons.append(f"{view.good_beats} of {settings.min_beats} good beats seen")
    if view.doubt is not None:
        reasons.append(view.doubt)
    if view.hold_began_at_ns is None:
        reasons.append("the breath-hold has not begun")
    if view.beat.ectopic:
        reasons.append(f"{view.beat.beat_kind} beat")
    if view.beat.beat_kind == "unknown":
        reasons.append("kind of beat unknown")
    if view.expires_at_ns is not None:
        left_ms = ms_from_ns(view.expires_at_ns - view.now_ns)
        if left_ms < settings.lead_margin_ms:
            reasons.append(f"too late: {left_ms:.0f} ms left to send the trigger")
    return tuple(reasons)
