"""What the gate tells the eye: its status, the strip, and the health of the line. Nothing here decides anything."""

from collections import deque

import numpy as np

from gating.beats import Beats, ClassifiedBeat
from gating.disturbance import Disturbances
from gating.frontends.frontend import DecoderFaults, SampleBlock
from gating.leads import LeadsState
from gating.messages import Advice, Beat, EcgBlock, GateState, GateStatus, LeadStatus, Rhythm
from gating.r_peak import RPeak
from gating.sample_clock import BlockTimes
from gating.settings import GateSettings
from gating.units import NS_PER_S, ms_from_ns, ns_from_ms

_STRIP_NS = ns_from_ms(40)  # at most 25 blocks a second (architecture.md section 7)


class LineHealth:
    """Counts frames and damage over the last second, from the decoder's running totals."""

    def __init__(self) -> None:
        self._history: deque[tuple[int, int, int]] = deque(maxlen=4096)
        self.crc_errors = 0
        self.lost_samples = 0
        self.crc_share = 0.0

    def take(self, faults: DecoderFaults, now_ns: int) -> None:
        """Take the decoder's totals after a read at `now_ns`."""
        self.crc_errors, self.lost_samples = faults.crc_errors, faults.lost_samples
        self._history.append((now_ns, faults.frames, faults.crc_errors))
        while self._history[0][0] < now_ns - NS_PER_S:
            self._history.popleft()
        frames = faults.frames - self._history[0][1]
        errors = faults.crc_errors - self._history[0][2]
        self.crc_share = errors / (frames + errors) if errors else 0.0


class Strip:
    """Gathers samples into strips of at least 40 ms for the page."""

    def __init__(self) -> None:
        self._pending: list[SampleBlock] = []
        self._first_at_ns = 0
        self._sequence = 0

    def take(self, block: SampleBlock, times: BlockTimes, leads: LeadsState) -> list[EcgBlock]:
        """Take one block; give a strip when enough has gathered. A gap or a change of leads begins a new one."""
        if self._pending and (block.lost_before or block.leads != self._pending[0].leads):
            self._pending = []
        if not self._pending:
            self._first_at_ns = times.first_at_ns
        self._pending.append(block)
        if times.newest_at_ns - self._first_at_ns < _STRIP_NS:
            return []
        microvolts = np.rint(np.concatenate([one.microvolts for one in self._pending])).astype(int)
        self._pending = []
        self._sequence += 1
        return [
            EcgBlock(
                first_at_ns=self._first_at_ns,
                rate_hz=block.rate_hz,
                leads=block.leads,
                microvolts=tuple(tuple(column) for column in microvolts.T.tolist()),
                electrodes_off=leads.electrodes_off,
                sequence=self._sequence,
            )
        ]


def beat_message(peak: RPeak, beats: Beats, beat: ClassifiedBeat | None, now_ns: int) -> Beat:
    """Say one stage of one R-peak; `beat` is what it became, once confirmed."""
    return Beat(
        number=peak.number,
        stage=peak.stage,
        r_at_ns=peak.r_at_ns,
        uncertainty_ns=peak.uncertainty_ns,
        beat_kind=beats.kind_of(peak.r_at_ns) if beat is None else beat.beat_kind,
        confidence=peak.confidence,
        lead=peak.lead,
        rr_interval_ms=None if beat is None else beat.rr_interval_ms,
        sample_arrived_at_ns=now_ns,
        decided_at_ns=peak.decided_at_ns,
        trust=peak.trust,
        armed=peak.armed,
        kind_confidence=0.0 if beat is None else beat.kind_confidence,
    )


def doubt_of(peak: RPeak, leads: LeadsState | None, disturbances: Disturbances | None) -> str | None:
    """Say why a confirmed beat may not arm, and what disturbs the lead that is disturbed most; None: it may."""
    if peak.why_not is None or leads is None or disturbances is None:
        return peak.why_not
    spoilt = [
        (worst.size_uv, f"lead {lead.lead}: {worst.text}")
        for number, lead in enumerate(leads.leads)
        if lead.trusted and (worst := disturbances.now(number)) is not None
    ]
    return f"{peak.why_not} ({max(spoilt)[1]})" if spoilt else peak.why_not


def gate_status(
    settings: GateSettings,
    *,
    now_ns: int,
    patient_safe: bool,
    times: BlockTimes | None,
    leads: LeadsState | None,
    signal_reasons: tuple[str, ...],
    rhythm: Rhythm,
    last_beat: ClassifiedBeat | None,
    best_lead: str | None,
    doubt: str | None,
    good_beats: int,
    health: LineHealth,
    session: str | None,
    inhibited: bool,
    hold_began_at_ns: int | None,
) -> GateStatus:
    """Put the gate's state into one message, the first reason first."""
    wanted = settings.interlocks.min_beats
    advice: Advice = rhythm.advice
    reasons = rhythm.reasons
    state: GateState
    if signal_reasons:
        learning = times is not None and signal_reasons == ("learning the QRS",)
        advice, reasons = ("wait" if learning else "no-go"), signal_reasons
        state = "learning" if learning else "no-signal" if times is None else "inhibited"
    elif inhibited or good_beats < wanted:
        state = "inhibited" if inhibited else "learning"
        advice, reasons = "wait", (f"{good_beats} of {wanted} good beats seen", *reasons)
    else:
        state = "ready" if session is None else "armed"
        if doubt is not None:
            advice, reasons = ("wait" if advice == "go" else advice), (doubt, *reasons)
    shown = None if signal_reasons else last_beat
    return GateStatus(
        at_ns=now_ns,
        boot=settings.boot,
        state=state,
        advice=advice,
        reasons=reasons,
        leads=()
        if leads is None
        else tuple(LeadStatus(lead=x.lead, trusted=x.trusted, reason=x.reason) for x in leads.leads),
        best_lead=best_lead,
        source=settings.frontend,
        simulated=settings.simulated,
        patient_safe=patient_safe,
        sample_age_ms=None if times is None else ms_from_ns(now_ns - times.newest_at_ns),
        heart_rate_bpm=None if shown is None else rhythm.averaged_rate_bpm,
        rr_interval_ms=None if shown is None else shown.rr_interval_ms,
        steadiness=rhythm.steadiness,
        crc_errors=health.crc_errors,
        lost_samples=health.lost_samples,
        session=session,
        hold_began_at_ns=hold_began_at_ns,
    )
