"""What the bus says in the stories of the page: one message of each kind, and a model that heard some."""

from dataclasses import dataclass

import msgspec

from gating import messages as m
from gating.monitor.page import PageModel

MS = 1_000_000
S = 1_000_000_000

GATE = m.GateStatus(
    at_ns=10 * S,
    boot="b1",
    state="ready",
    advice="go",
    reasons=(),
    leads=tuple(m.LeadStatus(lead=lead, trusted=True) for lead in ("I", "II", "V1")),
    best_lead="II",
    source="healthypi6",
    simulated=False,
    patient_safe=False,
    sample_age_ms=12.0,
    heart_rate_bpm=60.0,
    rr_interval_ms=1000.0,
    steadiness="steady",
    crc_errors=0,
    lost_samples=0,
    session=None,
    hold_began_at_ns=None,
)
TRIGGER = m.Trigger(
    session="s1",
    nonce="secret-nonce",
    sequence=7,
    plan_hash="p",
    beat=4,
    step=0,
    attempt=1,
    r_at_ns=10 * S,
    opens_at_ns=10_600 * MS,
    closes_at_ns=10_800 * MS,
    centre_at_ns=10_700 * MS,
    latest_open_at_ns=10_605 * MS,
    expires_at_ns=10_580 * MS,
    phase="diastole",
    predicted_rr_ms=1000.0,
    predicted_rr_low_ms=960.0,
    predicted_rr_high_ms=1040.0,
    padding_ms=0.0,
    reasons=(),
    sample_arrived_at_ns=10_100 * MS,
    issued_at_ns=10_101 * MS,
)
ACCEPTED = m.TriggerAnswer(
    session="s1", sequence=7, beat=4, step=0, attempt=1, accepted_at_ns=10_103 * MS, reasons=(), at_ns=10_103 * MS
)
REFUSED = msgspec.structs.replace(ACCEPTED, accepted_at_ns=None, reasons=("replayed",))
CANCEL = m.Cancel(session="s1", nonce="n", sequence=8, beat=4, reasons=("premature beat",), at_ns=10_500 * MS)
INHIBIT = m.Inhibit(session="s1", nonce="n", sequence=9, latched=False, reasons=("lead LA off",), at_ns=10_500 * MS)
EXPOSED = m.ExposureReport(
    session="s1",
    sequence=7,
    beat=4,
    step=0,
    attempt=1,
    outcome="exposed",
    reasons=(),
    planned_open_at_ns=TRIGGER.opens_at_ns,
    planned_close_at_ns=TRIGGER.closes_at_ns,
    opened_at_ns=10_602 * MS,
    closed_at_ns=10_798 * MS,
    table_mm=0.0,
    start_angle_deg=0.0,
    at_ns=10_800 * MS,
)
MISSED = msgspec.structs.replace(EXPOSED, outcome="missed", opened_at_ns=None, closed_at_ns=None, reasons=("late",))
BEAT = m.Beat(
    number=4,
    stage="provisional",
    r_at_ns=10 * S,
    uncertainty_ns=MS,
    beat_kind="normal",
    confidence=0.9,
    lead="II",
    rr_interval_ms=1000.0,
    sample_arrived_at_ns=0,
    decided_at_ns=0,
)
RHYTHM = m.Rhythm(
    at_ns=10 * S,
    steadiness="steady",
    beats=8,
    heart_rate_bpm=60.0,
    mean_rr_ms=1000.0,
    sd_rr_ms=14.0,
    range_bpm=3.0,
    premature=1,
    advice="go",
    reasons=(),
)
BLOCK = m.EcgBlock(
    first_at_ns=5 * S,
    rate_hz=500.0,
    leads=("I", "II", "V1"),
    microvolts=((1, 2), (-300_000, 4), (5, 6)),
    electrodes_off=(),
    sequence=3,
)


@dataclass(frozen=True)
class Said:
    """What the bus hands over."""

    message: m.Message
    key_id: str | None = "k"
    arrived_at_ns: int = 10 * S


@dataclass(frozen=True)
class NotBelieved:
    """What the bus hands over for a message that is not authentic."""

    reason: str = "unsigned"


def model_of(*messages: m.Message) -> PageModel:
    """Fold messages into a fresh model, each as it came at 10 s."""
    model = PageModel("site")
    for message in messages:
        model.hear(message, 10 * S)
    return model
