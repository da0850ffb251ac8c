"""The snapshot that a page gets: what it shows, and nothing else (no nonce, no challenge, no patient)."""

from typing import Literal

import msgspec

from gating.messages import LeadStatus, RehearsalReport

BandState = Literal["planned", "booked", "fired", "cut", "redo", "held", "missed", "unreported"]


class PageMark(msgspec.Struct, frozen=True, kw_only=True):
    """One R-peak, or one mark that a person set."""

    r_ms: float
    number: int
    stage: str
    beat_kind: str


class PageBand(msgspec.Struct, frozen=True, kw_only=True):
    """One planned window, and what became of it."""

    key: str
    beat: int
    step: int
    attempt: int
    opens_ms: float
    closes_ms: float
    next_r_ms: float | None  # foretold
    state: BandState
    reason: str | None


class PageGate(msgspec.Struct, frozen=True, kw_only=True):
    """The gate's last word, and how old it is."""

    boot: str  # another one: another clock, perhaps
    age_ms: float
    state: str
    advice: str
    reasons: tuple[str, ...]
    leads: tuple[LeadStatus, ...]
    best_lead: str | None
    source: str
    patient_safe: bool
    sample_age_ms: float | None
    heart_rate_bpm: float | None
    rr_interval_ms: float | None
    sd_rr_ms: float | None
    premature: int | None
    steadiness: str
    crc_errors: int
    lost_samples: int


class PageScanner(msgspec.Struct, frozen=True, kw_only=True):
    """The bridge's last word, and how old it is."""

    age_ms: float
    state: str
    reasons: tuple[str, ...]
    driver: str
    control: str
    steps: int
    steps_exposed: tuple[int, ...]
    next_step: int | None
    next_attempt: int | None
    table_settled: bool
    effective_msv: float
    ctdivol_mgy: float
    dlp_mgycm: float
    planned_dlp_mgycm: float  # of one complete scan without padding, the scout in it
    reference_dlp_mgycm: float | None
    msv_per_mgycm: float
    msv_factor_source: str
    dose_ceiling_msv: float
    refused: dict[str, int]


class PageHold(msgspec.Struct, frozen=True, kw_only=True):
    """The breath-hold."""

    began_ms: float
    ended_ms: float | None
    limit_s: float
    settle_s: float
    heart_rate_change_bpm: float | None


class PageState(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="state"):
    """One whole snapshot: losing any number of them harms nothing."""

    now_ms: float
    site: str
    broker_up: bool
    broker_text: str
    same_clock: bool
    simulated: bool
    gate: PageGate | None
    scanner: PageScanner | None
    hold: PageHold | None
    rehearsal: RehearsalReport | None
    beats: tuple[PageMark, ...]
    bands: tuple[PageBand, ...]
    marks_ms: tuple[float, ...]
    outcomes: dict[str, int]  # of this session's triggers
    refused: dict[str, int]  # messages that were not authentic, by reason
