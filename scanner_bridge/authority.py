"""Judge a trigger: authentic, fresh, for this beat, this plan, this session, and the first of its kind.

Pure functions that answer with reasons; no reason means yes. Each limit of the gate is checked here again, on the
bridge's own clock, and the tighter one counts. Adding a check can only make a yes into a no.
"""

from dataclasses import dataclass
from typing import Literal

from gating.messages import AcquisitionPlan, KeepAlive, Permission, Trigger
from gating.units import NS_PER_S, ms_from_ns, ns_from_ms
from scanner_bridge.driver import Capabilities
from scanner_bridge.settings import LimitSettings

Reason = Literal[
    # who says it
    "unsigned",
    "unknown-key",
    "bad-signature",
    "wrong-role",
    "foreign-key",
    "malformed",
    "too-large",
    "retained",
    "flood",
    # for which session
    "not-armed",
    "wrong-session",
    "wrong-nonce",
    "wrong-plan",
    "wrong-challenge",
    # the first of its kind
    "duplicate",
    "replayed",
    "same-beat",
    "cancelled",
    "wrong-step",
    "wrong-attempt",
    "booked",
    # in time
    "clock",
    "expired",
    "late",
    "too-early",
    "future",
    "not-durable",
    # a sane window
    "window",
    "too-long",
    "padding",
    # now
    "inhibited",
    "table",
    "no-hold",
    "not-settled",
    "hold-limit",
    "arm-limit",
    "lease",
    "other-beat",
    "old-samples",
    "dose",
    "beam-limit",
    "repeats",
    # about the session as a whole
    "restart",
    "no-control",
    "not-ready",
    "no-gate",
    "two-gates",
    "second-gate",
    "forged",
    "already-armed",
    "nothing-to-resume",
    "hold-ended",
    "held",
    "disarmed",
    "latched-inhibit",
    "link-lost",
    "scanner-restarted",
    "stray-beam",
    "no-read-back",
    "scanner",
    "internal",
]

SLACK_NS = 1_000_000
"""Rounding between milliseconds of formulas and nanoseconds of instants: 1 ms."""


@dataclass(frozen=True, slots=True)
class Bound:
    """One armed session and what it is bound to."""

    session: str
    nonce: str
    gate_key_id: str
    plan: AcquisitionPlan
    plan_hash: str
    ends_at_ns: int  # by the arm limit


@dataclass(frozen=True, slots=True)
class Window:
    """The appointment of a trigger, on the bridge's clock."""

    opens_at_ns: int
    closes_at_ns: int
    latest_open_at_ns: int
    expires_at_ns: int


@dataclass(frozen=True, slots=True)
class Lease:
    """A keep-alive, on the bridge's clock, with the bridge's own limits applied."""

    sequence: int
    beat: int
    newest_sample_at_ns: int
    good_until_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """All that the session knows and a judgement needs; times on the bridge's clock."""

    bound: Bound | None
    capabilities: Capabilities
    limits: LimitSettings
    clock_offset_ns: int  # gate's clock minus bridge's clock
    clock_uncertainty_ns: int | None
    next_step: int | None
    next_attempt: int | None
    table_settled_at_ns: int | None
    hold_began_at_ns: int | None
    last_trigger_sequence: int
    dominated_sequence: int  # of the highest Cancel or Inhibit
    last_beat: int | None  # of the last accepted trigger
    beam_on_ms: float  # of this session
    effective_msv: float  # of the patient


def lead_ns(capabilities: Capabilities, limits: LimitSettings) -> int:
    """Give how long before opening a command must be at the driver: the larger of the driver's and the bridge's."""
    return max(capabilities.lead_ns, ns_from_ms(limits.min_lead_ms))


def window_of(trigger: Trigger, clock_offset_ns: int) -> Window:
    """Translate a trigger's instants to the bridge's clock."""
    return Window(
        trigger.opens_at_ns - clock_offset_ns,
        trigger.closes_at_ns - clock_offset_ns,
        trigger.latest_open_at_ns - clock_offset_ns,
        trigger.expires_at_ns - clock_offset_ns,
    )


def whose(message: Permission, key_id: str | None, roles: dict[str, str], bound: Bound | None) -> Reason | None:
    """Say why a message of permission is not this session's gate speaking; None if it is."""
    if key_id is None:
        return "unsigned"
    if key_id not in roles:
        return "unknown-key"
    if roles[key_id] != "gate":
        return "wrong-role"
    if bound is None:
        return "not-armed"
    if key_id != bound.gate_key_id:
        return "foreign-key"
    if message.session != bound.session:
        return "wrong-session"
    if message.nonce != bound.nonce:
        return "wrong-nonce"
    return None


def clock_reasons(standing: Standing) -> list[Reason]:
    """Refuse while the gate's clock is not known well enough."""
    uncertainty_ns = standing.clock_uncertainty_ns
    if uncertainty_ns is None or ms_from_ns(uncertainty_ns) > standing.limits.clock_uncertainty_ms:
        return ["clock"]
    return []


def judge(trigger: Trigger, standing: Standing, now_ns: int) -> tuple[Reason, ...]:
    """List every reason against an authentic trigger; none means that it is accepted."""
    bound = standing.bound
    if bound is None:
        return ("not-armed",)
    window = window_of(trigger, standing.clock_offset_ns)
    return (
        *clock_reasons(standing),
        *_sequence_reasons(trigger, standing, bound),
        *_time_reasons(trigger, window, standing, now_ns),
        *_shape_reasons(trigger, window, standing, bound.plan),
        *_readiness_reasons(window, standing, bound),
        *_dose_reasons(window, standing, bound.plan),
    )


def _sequence_reasons(trigger: Trigger, standing: Standing, bound: Bound) -> list[Reason]:
    """Judge whether it is the first of its kind, for this plan, step and attempt."""
    reasons: list[Reason] = []
    if trigger.sequence == standing.last_trigger_sequence:
        reasons.append("duplicate")
    elif trigger.sequence < standing.last_trigger_sequence:
        reasons.append("replayed")
    if trigger.sequence <= standing.dominated_sequence:
        reasons.append("cancelled")
    if standing.last_beat is not None and trigger.beat <= standing.last_beat:
        reasons.append("same-beat")
    if trigger.plan_hash != bound.plan_hash:
        reasons.append("wrong-plan")
    if trigger.step != standing.next_step:
        reasons.append("wrong-step")
    if trigger.attempt != standing.next_attempt:
        reasons.append("wrong-attempt")
    return reasons


def _time_reasons(trigger: Trigger, window: Window, standing: Standing, now_ns: int) -> list[Reason]:
    """Judge whether it comes in time, neither late nor far ahead."""
    reasons: list[Reason] = []
    must_leave_ns = window.opens_at_ns - lead_ns(standing.capabilities, standing.limits)
    if now_ns > window.expires_at_ns:
        reasons.append("expired")
    if now_ns > must_leave_ns:
        reasons.append("late")
    if window.opens_at_ns - now_ns > ns_from_ms(standing.limits.max_ahead_ms):
        reasons.append("too-early")
    issued_at_ns = trigger.issued_at_ns - standing.clock_offset_ns
    if issued_at_ns > now_ns + ns_from_ms(standing.limits.clock_uncertainty_ms):
        reasons.append("future")
    return reasons


def _shape_reasons(trigger: Trigger, window: Window, standing: Standing, plan: AcquisitionPlan) -> list[Reason]:
    """Judge whether the window is one that an honest gate makes."""
    reasons: list[Reason] = []
    length_ns = window.closes_at_ns - window.opens_at_ns
    half_ns = ns_from_ms(plan.half_scan_ms)
    centre_ns = trigger.centre_at_ns - standing.clock_offset_ns
    late_ns = window.latest_open_at_ns - window.opens_at_ns
    latest_expiry_ns = window.opens_at_ns - lead_ns(standing.capabilities, standing.limits) + SLACK_NS
    first_centre_ns = window.opens_at_ns + half_ns // 2 - SLACK_NS
    last_centre_ns = window.closes_at_ns - half_ns // 2 + SLACK_NS
    sane = (
        abs(length_ns - half_ns - ns_from_ms(trigger.padding_ms)) <= SLACK_NS
        and first_centre_ns <= centre_ns <= last_centre_ns
        and 0 <= late_ns <= ns_from_ms(standing.limits.late_open_ms)
        and window.expires_at_ns <= latest_expiry_ns
        and trigger.r_at_ns < trigger.opens_at_ns
    )
    if not sane:
        reasons.append("window")
    if not 0.0 <= trigger.padding_ms <= plan.max_padding_ms:
        reasons.append("padding")
    if length_ns > ns_from_ms(plan.max_exposure_ms) + SLACK_NS or length_ns > standing.capabilities.max_exposure_ns:
        reasons.append("too-long")
    return reasons


def _readiness_reasons(window: Window, standing: Standing, bound: Bound) -> list[Reason]:
    """Judge whether table, hold and session are where they must be."""
    reasons: list[Reason] = []
    if standing.table_settled_at_ns is None:
        reasons.append("table")
    if window.closes_at_ns > bound.ends_at_ns:
        reasons.append("arm-limit")
    if standing.hold_began_at_ns is None:
        reasons.append("no-hold")
        return reasons
    into_hold_ns = window.opens_at_ns - standing.hold_began_at_ns
    # The bridge stamps the hold when it hears of it, the gate when it is told: they may differ by the clocks' doubt.
    slack_ns = ns_from_ms(standing.limits.clock_uncertainty_ms)
    if into_hold_ns < round(bound.plan.settle_s * NS_PER_S) - slack_ns:
        reasons.append("not-settled")
    if window.closes_at_ns > standing.hold_began_at_ns + round(bound.plan.breath_hold_limit_s * NS_PER_S):
        reasons.append("hold-limit")
    return reasons


def _dose_reasons(window: Window, standing: Standing, plan: AcquisitionPlan) -> list[Reason]:
    """Judge whether the beam time and the dose are still within the plan."""
    reasons: list[Reason] = []
    length_ms = ms_from_ns(window.closes_at_ns - window.opens_at_ns)
    if standing.beam_on_ms + length_ms > plan.beam_on_limit_ms + 1e-6:
        reasons.append("beam-limit")
    if standing.effective_msv + length_ms * plan.msv_per_ms > plan.dose_ceiling_msv + 1e-9:
        reasons.append("dose")
    return reasons


# --- the lease ---------------------------------------------------------------------------------------------


def lease_of(message: KeepAlive, standing: Standing, now_ns: int) -> Lease | Reason:
    """Take a keep-alive as a lease no longer than the bridge's own limits, or say why not."""
    if clock_reasons(standing):
        return "clock"
    newest_ns = message.newest_sample_at_ns - standing.clock_offset_ns
    if newest_ns > now_ns + ns_from_ms(standing.limits.clock_uncertainty_ms):
        return "future"
    lease_ns = ns_from_ms(standing.limits.lease_ms)
    good_until_ns = min(message.good_until_ns - standing.clock_offset_ns, newest_ns + lease_ns, now_ns + lease_ns)
    return Lease(message.sequence, message.beat, newest_ns, good_until_ns)


def beam_reasons(beat: int, window: Window, lease: Lease | None, standing: Standing, now_ns: int) -> tuple[Reason, ...]:
    """List why the command of an accepted trigger may not leave at this instant; the last check before the beam."""
    reasons: list[Reason] = clock_reasons(standing)
    if now_ns > min(window.opens_at_ns - lead_ns(standing.capabilities, standing.limits), window.expires_at_ns):
        reasons.append("late")
    if standing.table_settled_at_ns is None:
        reasons.append("table")
    if standing.hold_began_at_ns is None:
        reasons.append("no-hold")
    if lease is None or lease.good_until_ns < window.latest_open_at_ns:
        reasons.append("lease")
    elif lease.beat != beat:
        reasons.append("other-beat")
    elif now_ns - lease.newest_sample_at_ns > ns_from_ms(standing.limits.max_sample_age_ms):
        reasons.append("old-samples")
    return tuple(reasons)
