"""THE contract: everything that crosses a process, both ways, with its topic; nothing else does.

Each message is frozen, tagged (`kind`), versioned (`v`) and refuses unknown fields. Times are integer nanoseconds of
the *gating host's monotonic clock*, as the names say; wall time never takes part. Payloads are JSON. The messages here
are unsigned: `gating.io.bus` wraps the exact payload bytes into a signed envelope.

Phase convention: `opens_at_ns` and `closes_at_ns` bound the exposure, `centre_at_ns` is the midpoint of the half-scan
that will be reconstructed. The start and the centre of a window are two different numbers.

The JSON Schema and the AsyncAPI 3 document in `gating/schema/` are generated from this file (`make schema`).
"""

import hashlib
from typing import Literal, TypeVar, get_args

import msgspec

VERSION = 1

Electrode = Literal["RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6", "RL"]
Advice = Literal["go", "wait", "no-go"]
ScanAdvice = Literal["go", "wait", "change", "no-go"]
Steadiness = Literal["steady", "variable", "irregular", "unknown"]
# premature: early, of the usual shape (atrial, junctional); ventricular: not of this patient's usual shape
BeatKind = Literal["normal", "premature", "ventricular", "artifact", "unknown"]
EctopicPattern = Literal["none", "single", "trigeminy", "bigeminy", "couplet", "run"]
BeatStage = Literal["provisional", "confirmed", "withdrawn"]
CardiacPhase = Literal["systole", "diastole", "absolute-systole"]
ExposureOutcome = Literal["exposed", "cut", "redo", "missed"]
SessionState = Literal["disarmed", "armed", "booked", "exposing", "moving", "inhibited", "complete", "ended", "fault"]
GateState = Literal["no-signal", "learning", "ready", "armed", "inhibited"]


def _kind(class_name: str) -> str:
    """Turn `KeepAlive` into `keep-alive`, the tag on the wire."""
    return "".join(f"-{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(class_name))


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind", tag=_kind):
    """What all messages share: the tag, the version, and the refusal of unknown fields."""

    v: Literal[1] = 1


# --- from the gate: what it sees -------------------------------------------------------------------------


class Beat(Message, frozen=True):
    """One R-peak, told when it is provisional, and again when confirmed or withdrawn. A confirmed beat is final."""

    number: int  # counts the R-peaks of this gate since it started; the same number through all stages
    stage: BeatStage
    r_at_ns: int  # fiducial of the reference lead, every declared delay taken out
    uncertainty_ns: int
    beat_kind: BeatKind
    confidence: float  # 0..1: that this is a beat
    lead: str  # the lead the decision leant on
    rr_interval_ms: float | None  # to the previous confirmed beat; None for the first
    sample_arrived_at_ns: int  # when the bytes arrived that held the deciding sample
    decided_at_ns: int
    trust: float = 0.0  # 0..1: how probable it is that the beats found now are right
    armed: bool = False  # confirmed, and trusted enough to book an exposure
    kind_confidence: float = 0.0  # 0..1: of `beat_kind`; 0 while it is not decided


class Rhythm(Message, frozen=True):
    """What the last beats say together. Unknown figures are None, never 0."""

    at_ns: int
    steadiness: Steadiness
    beats: int  # how many RR intervals the figures rest on
    heart_rate_bpm: float | None
    mean_rr_ms: float | None
    sd_rr_ms: float | None
    range_bpm: float | None
    premature: int  # in the last 10 beats, of any kind that the sinus node did not make
    advice: Advice
    reasons: tuple[str, ...]
    averaged_rate_bpm: float | None = None  # of the last four intervals: follows a step within 6 s
    rmssd_ms: float | None = None
    trend_bpm_per_10_s: float | None = None
    ventricular: int = 0  # in the last 10 beats
    pattern: EctopicPattern = "none"
    pause: bool = False  # the last interval
    paced: bool = False  # a pacemaker's spikes at several of the last ten beats
    af_probability: float | None = None  # 0..1: irregularly irregular; None: too few intervals


class LeadStatus(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether one lead may be trusted now, and if not why, in words for the page."""

    lead: str
    trusted: bool
    reason: str | None = None


class GateStatus(Message, frozen=True):
    """The gate's word to the page, at least twice a second."""

    at_ns: int
    boot: str  # new at every start
    state: GateState
    advice: Advice
    reasons: tuple[str, ...]  # the first one is the one a radiographer needs
    leads: tuple[LeadStatus, ...]
    best_lead: str | None
    source: str  # the frontend's name
    simulated: bool
    patient_safe: bool
    sample_age_ms: float | None
    heart_rate_bpm: float | None  # averaged over four intervals, or over three that agree on another rate
    rr_interval_ms: float | None
    steadiness: Steadiness
    crc_errors: int
    lost_samples: int
    session: str | None
    hold_began_at_ns: int | None


class EcgBlock(Message, frozen=True):
    """A strip of ECG for the eye only: QoS 0, droppable, never used in a decision."""

    first_at_ns: int
    rate_hz: float
    leads: tuple[str, ...]
    microvolts: tuple[tuple[int, ...], ...]  # [lead][sample]
    electrodes_off: tuple[str, ...]
    sequence: int


# --- from the gate: permission ---------------------------------------------------------------------------


class Permission(Message, frozen=True):
    """What all messages of permission carry: whose session this is, and a sequence that only rises.

    One counter serves all four kinds, so that a Cancel or Inhibit dominates everything with a lower sequence in any
    order of delivery.
    """

    session: str
    nonce: str  # drawn by the bridge at arming, copied into every message of permission
    sequence: int


class Trigger(Permission, frozen=True):
    """An appointment for one exposure in one beat: absolute, expiring, for one step and attempt of one plan.

    Not accepted after `expires_at_ns`; not begun after `latest_open_at_ns`; beam off at `closes_at_ns` whatever
    happens.
    """

    plan_hash: str
    beat: int
    step: int
    attempt: int
    r_at_ns: int
    opens_at_ns: int
    closes_at_ns: int
    centre_at_ns: int  # of the planned half-scan: midpoint of the window while padding is symmetric
    latest_open_at_ns: int
    expires_at_ns: int
    phase: CardiacPhase
    predicted_rr_ms: float | None  # None where the phase needs no prediction
    predicted_rr_low_ms: float | None
    predicted_rr_high_ms: float | None
    padding_ms: float
    reasons: tuple[str, ...]  # why this phase and this place
    sample_arrived_at_ns: int  # arrival of the sample that confirmed the beat: the start of the latency figure
    issued_at_ns: int
    policy: str = "least_blur_dose"  # of the site, that chose it
    at_rest: float | None = None  # foretold probability that no artery moves 1 mm in it; None: no model asked
    blur_mm: float | None = None  # expected movement of the artery that moves most
    dose_msv: float | None = None  # of the whole window
    padding_msv: float | None = None  # of it, for the padding


class KeepAlive(Permission, frozen=True):
    """The lease: nothing begins after `good_until_ns`, nor for any beat but this one."""

    beat: int
    newest_sample_at_ns: int
    good_until_ns: int


class Cancel(Permission, frozen=True):
    """Withdraws the trigger of one beat. Dominates every trigger of an equal or lower sequence."""

    beat: int
    reasons: tuple[str, ...]
    at_ns: int


class Inhibit(Permission, frozen=True):
    """Withdraws all permission. A latched one ends the session; otherwise the gate may trigger again later."""

    latched: bool
    reasons: tuple[str, ...]
    at_ns: int


class Held(Message, frozen=True):
    """A beat of an armed, settled breath-hold for which the gate booked nothing, and why. For eye and report."""

    session: str
    beat: int
    reasons: tuple[str, ...]
    at_ns: int


class Span(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A median, and the interval that is meant to hold with 90 %."""

    median: float
    low: float
    high: float


class Forecast(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What drawn scans came to. Beats and hold: of those that complete (None: none does); the rest: of all."""

    policy: str
    phase: CardiacPhase
    draws: int
    complete: float  # 0..1: chance to complete in one breath-hold
    motion_free: float  # 0..1: chance that it completes and no slab moves 1 mm
    rate_bpm: Span
    rate_spread_bpm: Span
    beats: Span | None
    breath_hold_s: Span | None
    at_rest: Span  # share of the planned slabs, 0..1
    mean_at_rest: float
    rejected: Span  # beats that could not be used
    dose_msv: Span
    padding_ms: float


class RehearsalReport(Message, frozen=True):
    """A rehearsed breath-hold, what to expect of the scan, and one advice. `None`: it told too little, see reasons."""

    at_ns: int
    running_until_ns: int | None = None  # not ended yet: nothing but the time stands here
    advice: ScanAdvice | None = None
    change_to: str | None = None  # what `change` advises, in the words of a site file
    reasons: tuple[str, ...] = ()  # the first one is the one a radiographer needs
    held_s: float | None = None
    rate_before_bpm: float | None = None
    rate_held_bpm: float | None = None
    settle_s: float | None = None
    drift_bpm_per_10_s: float | None = None
    spread_ms: float | None = None
    beats: int | None = None  # in the hold
    ectopic: int | None = None
    rejected: int | None = None  # not trusted enough to arm
    forecast: Forecast | None = None


class Pong(Message, frozen=True):
    """The gate's answer to a Ping, with its own clock."""

    token: str
    ping_at_ns: int  # the bridge's clock, copied from the Ping
    gate_at_ns: int


# --- from the bridge -------------------------------------------------------------------------------------


class AcquisitionPlan(Message, frozen=True):
    """What will be scanned. Owned by the bridge alone; everybody else refers to it by its hash."""

    plan_id: str
    patient: str  # a pseudonym; a name never crosses a process
    table_mm: tuple[float, ...]  # centre of the slab of each step, patient z
    collimation_mm: float
    slices_per_step: int
    slice_thickness_mm: float
    rotation_ms: float
    fan_deg: float
    feather_deg: float
    sources: int  # X-ray tubes that turn and expose together: 1, or 2 at a right angle
    half_scan_ms: float  # beam of one exposure: (180 / sources + fan + feather) / 360 of the rotation
    temporal_resolution_ms: float  # rotation / 2 / sources: the part of it that shows the middle of the field
    kvp: float
    tube_current_ma: float
    matrix: int
    fov_mm: float
    centre_x_mm: float
    centre_y_mm: float
    kernel_cutoff: float  # Gaussian half-amplitude, fraction of Nyquist
    ctdivol_mgy_per_ms: float  # of beam, per step
    dlp_mgycm_per_ms: float
    msv_per_ms: float
    msv_per_mgycm: float
    msv_factor_source: str
    scout_dlp_mgycm: float  # that the patient got before, for planning
    reference_dlp_mgycm: float | None  # the site's reference level of such a scan
    table_move_ms: float  # expected, one step
    max_repeats: int
    max_padding_ms: float
    max_exposure_ms: float  # hard cap of one exposure
    beam_on_limit_ms: float  # hard cap of the whole session
    dose_ceiling_msv: float
    settle_s: float  # after the breath-hold began, before the first window
    breath_hold_limit_s: float
    arm_limit_s: float

    @property
    def scout_msv(self) -> float:
        """Effective dose of the scout."""
        return self.scout_dlp_mgycm * self.msv_per_mgycm

    @property
    def planned_dlp_mgycm(self) -> float:
        """DLP of one complete scan without padding, the scout in it."""
        return self.scout_dlp_mgycm + len(self.table_mm) * self.half_scan_ms * self.dlp_mgycm_per_ms


class TriggerAnswer(Message, frozen=True):
    """The bridge's answer to one trigger: accepted at an instant, or refused with reasons."""

    session: str
    sequence: int
    beat: int
    step: int
    attempt: int
    accepted_at_ns: int | None
    reasons: tuple[str, ...]
    at_ns: int


class ScannerStatus(Message, frozen=True):
    """The bridge's word: where the session stands. Retained nowhere; sent at every change and twice a second."""

    at_ns: int
    state: SessionState
    reasons: tuple[str, ...]
    challenge: str  # an arm request must carry the latest one
    plan: AcquisitionPlan
    plan_hash: str
    session: str | None
    driver: str
    control: Literal["exposure", "r_pulse", "none"]
    simulated: bool
    lead_ms: float  # how long before opening a command must be at the driver
    next_step: int | None
    next_attempt: int | None
    table_settled_at_ns: int | None  # acknowledged by the scanner for `next_step`; None while it moves
    steps_exposed: tuple[int, ...]
    beam_on_ms: float
    ctdivol_mgy: float
    dlp_mgycm: float
    effective_msv: float
    hold_began_at_ns: int | None
    refused: dict[str, int]  # refusals so far, by reason
    clock_offset_ns: int  # gate's clock minus bridge's clock
    clock_uncertainty_ns: int | None  # None: not measured yet


class Armed(Message, frozen=True):
    """The bridge is armed: the nonce of this session, the plan, and the one gate key that it binds."""

    session: str
    nonce: str
    plan: AcquisitionPlan
    plan_hash: str
    gate_key_id: str
    lead_ms: float
    at_ns: int
    ends_at_ns: int  # at the latest


class BreathHold(Message, frozen=True):
    """The breath-hold as the bridge times it."""

    session: str
    began_at_ns: int
    limit_s: float
    ended_at_ns: int | None = None


class ExposureReport(Message, frozen=True):
    """What the scanner really did with one accepted trigger. `missed` means that no beam was."""

    session: str
    sequence: int
    beat: int
    step: int
    attempt: int
    outcome: ExposureOutcome
    reasons: tuple[str, ...]
    planned_open_at_ns: int
    planned_close_at_ns: int
    opened_at_ns: int | None
    closed_at_ns: int | None
    table_mm: float | None
    start_angle_deg: float | None
    at_ns: int


class Ping(Message, frozen=True):
    """The bridge asks the gate for its clock."""

    token: str
    at_ns: int


# --- from people -----------------------------------------------------------------------------------------


class OperatorRequest(Message, frozen=True):
    """A person's word. `arm`, `begin-hold` and `resume` need the operator's key; the rest can only tighten."""

    request: Literal["arm", "disarm", "begin-hold", "end-hold", "resume", "rehearse", "mark", "hold"]
    name: str
    plan_hash: str | None = None
    challenge: str | None = None
    text: str | None = None


AnyMessage = (
    Beat
    | Rhythm
    | GateStatus
    | EcgBlock
    | Trigger
    | KeepAlive
    | Cancel
    | Inhibit
    | Held
    | RehearsalReport
    | Pong
    | AcquisitionPlan
    | TriggerAnswer
    | ScannerStatus
    | Armed
    | BreathHold
    | ExposureReport
    | Ping
    | OperatorRequest
)
MESSAGES: tuple[type[Message], ...] = get_args(AnyMessage)
MAX_PAYLOAD_BYTES = 4096  # hazards.md M8; an EcgBlock or a ScannerStatus stays below it, by test

M = TypeVar("M", bound=Message)


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """Where a kind of message travels, and how."""

    topic: str  # below gating/<site>/
    qos: Literal[0, 1]
    sender: Literal["gate", "bridge", "operator"]
    permission: bool  # on the permission connection; otherwise display


CHANNELS: dict[type[Message], Channel] = {
    Beat: Channel(topic="gate/beat", qos=0, sender="gate", permission=False),
    Rhythm: Channel(topic="gate/rhythm", qos=0, sender="gate", permission=False),
    GateStatus: Channel(topic="gate/status", qos=0, sender="gate", permission=False),
    EcgBlock: Channel(topic="gate/ecg", qos=0, sender="gate", permission=False),
    Trigger: Channel(topic="gate/trigger", qos=1, sender="gate", permission=True),
    KeepAlive: Channel(topic="gate/keep-alive", qos=0, sender="gate", permission=True),
    Cancel: Channel(topic="gate/cancel", qos=1, sender="gate", permission=True),
    Inhibit: Channel(topic="gate/inhibit", qos=1, sender="gate", permission=True),
    Held: Channel(topic="gate/held", qos=0, sender="gate", permission=False),
    RehearsalReport: Channel(topic="gate/rehearsal", qos=1, sender="gate", permission=False),
    Pong: Channel(topic="gate/pong", qos=0, sender="gate", permission=True),
    TriggerAnswer: Channel(topic="scanner/answer", qos=1, sender="bridge", permission=True),
    ScannerStatus: Channel(topic="scanner/status", qos=0, sender="bridge", permission=True),
    Armed: Channel(topic="scanner/armed", qos=1, sender="bridge", permission=True),
    BreathHold: Channel(topic="scanner/breath-hold", qos=1, sender="bridge", permission=True),
    ExposureReport: Channel(topic="scanner/exposure", qos=1, sender="bridge", permission=True),
    Ping: Channel(topic="scanner/ping", qos=0, sender="bridge", permission=True),
    OperatorRequest: Channel(topic="operator/request", qos=1, sender="operator", permission=True),
}
"""`AcquisitionPlan` has no topic of its own: it travels inside `ScannerStatus` and `Armed`."""

PAGE_TOPIC = "page/request"
"""Where the page, which holds no key, puts its unsigned `OperatorRequest`s (`rehearse`, `mark`, `hold`)."""

_decoder = msgspec.json.Decoder(AnyMessage)
_encoder = msgspec.json.Encoder(order="deterministic")


def encode(message: Message) -> bytes:
    """Encode a message to the exact bytes that are signed, sent and journalled."""
    return _encoder.encode(message)


def decode(payload: bytes) -> Message:
    """Decode one message.

    Raises
    ------
    ValueError
        If the payload is not JSON, not a known kind or version, misses a field, has an unknown one, or one of a wrong
        type (`msgspec.ValidationError` and `msgspec.DecodeError` are `ValueError`s).
    """
    try:
        message: Message = _decoder.decode(payload)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    return message


def plan_hash(plan: AcquisitionPlan) -> str:
    """Name a plan by its content: SHA-256 of its encoded bytes, hexadecimal.

    Encoded as it comes out of a decoder: 120 and 120.0 in a field of floats are one plan on both sides of the wire.
    """
    return hashlib.sha256(encode(decode(encode(plan)))).hexdigest()


def topic_of(site: str, message: Message) -> str:
    """Give the full topic of a message at a site."""
    return f"gating/{site}/{CHANNELS[type(message)].topic}"
