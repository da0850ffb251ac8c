"""What the page shows, folded from the messages on the bus: messages and time in, one snapshot or one strip frame out.

`PageModel` keeps facts as they were said (triggers, answers, cancels, reports) and judges only when asked, so that the
order of arrival of messages from different senders does not change what is shown. Nothing here reads a clock.

Times leave as milliseconds of the *gate's* monotonic clock, in doubles: exact to a microsecond for 285 years.
"""

from collections import OrderedDict, deque
from typing import TypeVar

from gating import messages as m
from gating.monitor.state import BandState, PageBand, PageGate, PageHold, PageMark, PageScanner, PageState
from gating.monitor.strip import encode_strip, untrusted_leads
from gating.reasons import in_words
from gating.units import NS_PER_MS, ms_from_ns

KEEP = 96  # beats, and as many triggers, answers, reports: more than a minute of each
KEEP_MARKS = 16
CLOCK_WINDOW = 60  # gate statuses, about 30 s, that the smallest delay is taken over
SAME_CLOCK_MS = (-50.0, 60_000.0)  # smallest delay gate -> monitor that one shared clock can explain
SILENT_MS = 1500.0  # the gate and the bridge speak twice a second

LISTEN: tuple[type[m.Message], ...] = (
    m.Beat,
    m.Rhythm,
    m.GateStatus,
    m.EcgBlock,
    m.Trigger,
    m.Cancel,
    m.Inhibit,
    m.TriggerAnswer,
    m.ScannerStatus,
    m.BreathHold,
    m.ExposureReport,
    m.RehearsalReport,
)
"""What the page reads; the lease and the pings are not for the eye."""

K = TypeVar("K")
V = TypeVar("V")


def _remember(store: OrderedDict[K, V], key: K, value: V) -> None:
    """Keep the newest `KEEP` entries."""
    store[key] = value
    store.move_to_end(key)
    while len(store) > KEEP:
        store.popitem(last=False)


class PageModel:
    """All that the page knows. `hear` folds a message in; `state` and `strip` tell."""

    def __init__(self, site: str) -> None:
        self._site = site
        self._broker = (False, "not connected yet")
        self._gate: m.GateStatus | None = None
        self._gate_arrived_ns = 0
        self._rhythm: m.Rhythm | None = None
        self._scanner: m.ScannerStatus | None = None
        self._scanner_arrived_ns = 0
        self._hold: m.BreathHold | None = None
        self._hold_rate_bpm: float | None = None
        self._rehearsal: m.RehearsalReport | None = None
        self._beats: OrderedDict[int, m.Beat] = OrderedDict()
        self._triggers: OrderedDict[tuple[str, int], m.Trigger] = OrderedDict()
        self._answers: OrderedDict[tuple[str, int], m.TriggerAnswer] = OrderedDict()
        self._reports: OrderedDict[tuple[str, int], m.ExposureReport] = OrderedDict()
        self._cancels: OrderedDict[tuple[str, int], m.Cancel] = OrderedDict()
        self._inhibits: OrderedDict[tuple[str, int], m.Inhibit] = OrderedDict()
        self._marks: deque[float] = deque(maxlen=KEEP_MARKS)
        self._refused: dict[str, int] = {}
        self._delays_ns: deque[int] = deque(maxlen=CLOCK_WINDOW)
        self.version = 0
        """Rises with whatever changes the picture; blocks of ECG do not."""

    def link(self, up: bool, text: str) -> None:
        """Take the state of the connection to the broker."""
        self._broker = (up, text)
        self.version += 1

    def refuse(self, reason: str) -> None:
        """Count a message that was not authentic; it is never shown."""
        self._refused[reason] = self._refused.get(reason, 0) + 1
        self.version += 1

    def mark(self, now_ns: int) -> None:
        """Set a person's mark at this instant."""
        self._marks.append(self._gate_ms(now_ns))
        self.version += 1

    def hear(self, message: m.Message, arrived_at_ns: int) -> None:
        """Fold one authentic message in; kinds that the page does not show are ignored."""
        match message:
            case m.EcgBlock():
                return  # goes to the pages as a strip frame, not into the state
            case m.GateStatus():
                self._hear_gate(message, arrived_at_ns)
            case m.Rhythm():
                self._rhythm = message
            case m.Beat():
                _remember(self._beats, message.number, message)
            case m.ScannerStatus():
                self._scanner, self._scanner_arrived_ns = message, arrived_at_ns
            case m.BreathHold():
                self._hear_hold(message)
            case m.RehearsalReport():
                self._rehearsal = message
            case m.Trigger():
                _remember(self._triggers, (message.session, message.sequence), message)
            case m.TriggerAnswer():
                _remember(self._answers, (message.session, message.sequence), message)
            case m.ExposureReport():
                _remember(self._reports, (message.session, message.sequence), message)
            case m.Cancel():
                _remember(self._cancels, (message.session, message.sequence), message)
            case m.Inhibit():
                _remember(self._inhibits, (message.session, message.sequence), message)
            case _:
                return
        self.version += 1

    def _hear_gate(self, status: m.GateStatus, arrived_at_ns: int) -> None:
        """Take the gate's status; a new start of the gate counts its beats anew, and may run on another clock."""
        if self._gate is not None and self._gate.boot != status.boot:
            self._beats.clear()
            self._delays_ns.clear()
            self._rhythm, self._rehearsal = None, None
        self._gate, self._gate_arrived_ns = status, arrived_at_ns
        self._delays_ns.append(arrived_at_ns - status.at_ns)

    def _hear_hold(self, hold: m.BreathHold) -> None:
        """Take the breath-hold; the heart rate at its begin is what its change is told against."""
        if self._hold is None or self._hold.began_at_ns != hold.began_at_ns:
            self._hold_rate_bpm = None if self._gate is None else self._gate.heart_rate_bpm
        self._hold = hold

    @property
    def clock_offset_ns(self) -> int:
        """Monitor's clock minus gate's: 0 on one host, else the smallest delay seen (then a delay cannot be told)."""
        if not self._delays_ns or self.same_clock:
            return 0
        return min(self._delays_ns)

    @property
    def same_clock(self) -> bool:
        """Whether gate and monitor can share a clock.

        The upper limit is wide, since a broker that holds everything back for seconds must look old, not like another
        clock; a foreign clock inside the limits makes live data look old, which is the safe side.
        """
        if not self._delays_ns:
            return True
        low_ms, high_ms = SAME_CLOCK_MS
        return low_ms <= min(self._delays_ns) / NS_PER_MS <= high_ms

    def _gate_ms(self, now_ns: int) -> float:
        """Turn an instant of the monitor's clock into the gate's milliseconds."""
        return ms_from_ns(now_ns - self.clock_offset_ns)

    # --- telling -----------------------------------------------------------------------------------------

    def state(self, now_ns: int) -> PageState:
        """Tell everything but the strip."""
        now_ms = self._gate_ms(now_ns)
        bands = tuple(self._band(trigger, now_ms) for trigger in self._triggers.values())
        return PageState(
            now_ms=now_ms,
            site=self._site,
            broker_up=self._broker[0],
            broker_text=self._broker[1],
            same_clock=self.same_clock,
            simulated=bool(
                (self._gate is not None and self._gate.simulated)
                or (self._scanner is not None and self._scanner.simulated)
            ),
            gate=self._tell_gate(now_ns),
            scanner=self._tell_scanner(now_ns),
            hold=self._tell_hold(),
            rehearsal=self._rehearsal,
            beats=tuple(
                PageMark(r_ms=ms_from_ns(b.r_at_ns), number=b.number, stage=b.stage, beat_kind=b.beat_kind)
                for b in self._beats.values()
                if b.stage != "withdrawn"
            ),
            bands=bands,
            marks_ms=tuple(self._marks),
            outcomes=self._outcomes(bands),
            refused=dict(self._refused),
        )

    def _tell_gate(self, now_ns: int) -> PageGate | None:
        """Join the gate's status with the rhythm's figures."""
        gate, rhythm = self._gate, self._rhythm
        if gate is None:
            return None
        known = gate.heart_rate_bpm is not None  # else the figures are those of an earlier rhythm
        return PageGate(
            boot=gate.boot,
            age_ms=ms_from_ns(now_ns - self._gate_arrived_ns),
            state=gate.state,
            advice=gate.advice,
            reasons=gate.reasons,
            leads=gate.leads,
            best_lead=gate.best_lead,
            source=gate.source,
            patient_safe=gate.patient_safe,
            sample_age_ms=gate.sample_age_ms,
            heart_rate_bpm=gate.heart_rate_bpm,
            rr_interval_ms=gate.rr_interval_ms,
            sd_rr_ms=rhythm.sd_rr_ms if rhythm is not None and known else None,
            premature=rhythm.premature if rhythm is not None and known else None,
            steadiness=gate.steadiness,
            crc_errors=gate.crc_errors,
            lost_samples=gate.lost_samples,
        )

    def _tell_scanner(self, now_ns: int) -> PageScanner | None:
        """Pick what a radiographer needs from the bridge's status; no nonce, challenge, plan or patient leaves."""
        scanner = self._scanner
        if scanner is None:
            return None
        return PageScanner(
            age_ms=ms_from_ns(now_ns - self._scanner_arrived_ns),
            state=scanner.state,
            reasons=tuple(map(in_words, scanner.reasons)),
            driver=scanner.driver,
            control=scanner.control,
            steps=len(scanner.plan.table_mm),
            steps_exposed=scanner.steps_exposed,
            next_step=scanner.next_step,
            next_attempt=scanner.next_attempt,
            table_settled=scanner.table_settled_at_ns is not None,
            effective_msv=scanner.effective_msv,
            ctdivol_mgy=scanner.ctdivol_mgy,
            planned_dlp_mgycm=scanner.plan.planned_dlp_mgycm,
            reference_dlp_mgycm=scanner.plan.reference_dlp_mgycm,
            msv_per_mgycm=scanner.plan.msv_per_mgycm,
            msv_factor_source=scanner.plan.msv_factor_source,
            dlp_mgycm=scanner.dlp_mgycm,
            dose_ceiling_msv=scanner.plan.dose_ceiling_msv,
            refused=scanner.refused,
        )

    def _tell_hold(self) -> PageHold | None:
        """Tell the breath-hold: the bridge's own word if there is one, else what its status says."""
        plan = None if self._scanner is None else self._scanner.plan
        settle_s = 0.0 if plan is None else plan.settle_s
        if self._hold is not None:
            rate = None if self._gate is None else self._gate.heart_rate_bpm
            known = rate is not None and self._hold_rate_bpm is not None
            ended = self._hold.ended_at_ns
            return PageHold(
                began_ms=ms_from_ns(self._hold.began_at_ns),
                ended_ms=None if ended is None else ms_from_ns(ended),
                limit_s=self._hold.limit_s,
                settle_s=settle_s,
                heart_rate_change_bpm=(rate or 0.0) - (self._hold_rate_bpm or 0.0) if known else None,
            )
        began = None if self._scanner is None else self._scanner.hold_began_at_ns
        if began is None or plan is None:
            return None
        return PageHold(
            began_ms=ms_from_ns(began),
            ended_ms=None,
            limit_s=plan.breath_hold_limit_s,
            settle_s=settle_s,
            heart_rate_change_bpm=None,
        )

    def _band(self, trigger: m.Trigger, now_ms: float) -> PageBand:
        """Draw one trigger's window: where it is planned, or where the beam really was."""
        state, reason = self._became(trigger, now_ms)
        report = self._reports.get((trigger.session, trigger.sequence))
        opens_ns, closes_ns = trigger.opens_at_ns, trigger.closes_at_ns
        if report is not None and report.opened_at_ns is not None:
            opens_ns, closes_ns = report.opened_at_ns, report.closed_at_ns or trigger.closes_at_ns
        foretold = trigger.predicted_rr_ms
        return PageBand(
            key=f"{trigger.session}/{trigger.sequence}",
            beat=trigger.beat,
            step=trigger.step,
            attempt=trigger.attempt,
            opens_ms=ms_from_ns(opens_ns),
            closes_ms=ms_from_ns(closes_ns),
            next_r_ms=None if foretold is None else ms_from_ns(trigger.r_at_ns) + foretold,
            state=state,
            reason=reason,
        )

    def _became(self, trigger: m.Trigger, now_ms: float) -> tuple[BandState, str | None]:
        """Judge what became of a trigger: the scanner's report outranks every withdrawal, a withdrawal the booking."""
        report = self._reports.get((trigger.session, trigger.sequence))
        if report is not None:
            state: BandState = "fired" if report.outcome == "exposed" else report.outcome
            return state, _first(report.reasons)
        answer = self._answers.get((trigger.session, trigger.sequence))
        if answer is not None and answer.accepted_at_ns is None:
            return "held", _first(answer.reasons)
        withdrawals: tuple[m.Cancel | m.Inhibit, ...] = (*self._cancels.values(), *self._inhibits.values())
        for withdrawal in withdrawals:
            if _withdraws(withdrawal, trigger):
                return "held", _first(withdrawal.reasons)
        if now_ms > ms_from_ns(trigger.closes_at_ns) + SILENT_MS:
            return "unreported", "the scanner has not said what became of it"
        return ("booked", None) if answer is not None else ("planned", None)

    def _outcomes(self, bands: tuple[PageBand, ...]) -> dict[str, int]:
        """Count what became of the windows of the newest session that had one."""
        counts: dict[str, int] = {}
        newest = next(reversed(self._triggers.values()), None)
        for band in bands:
            if newest is not None and band.key.startswith(f"{newest.session}/"):
                counts[band.state] = counts.get(band.state, 0) + 1
        return counts

    def strip(self, block: m.EcgBlock, now_ns: int) -> bytes:
        """Encode one block of ECG for the pages (see `gating.monitor.strip`)."""
        leads = () if self._gate is None else self._gate.leads
        return encode_strip(block, untrusted_leads(block, leads), self._gate_ms(now_ns))


def _first(reasons: tuple[str, ...]) -> str | None:
    """Give the reason that counts most."""
    return in_words(reasons[0]) if reasons else None


def _withdraws(withdrawal: m.Cancel | m.Inhibit, trigger: m.Trigger) -> bool:
    """Whether this word took that trigger back before its window was over."""
    return (
        withdrawal.session == trigger.session
        and withdrawal.sequence >= trigger.sequence
        and withdrawal.at_ns < trigger.closes_at_ns
        and (isinstance(withdrawal, m.Inhibit) or withdrawal.beat == trigger.beat)
    )
