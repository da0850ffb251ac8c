"""The sans-IO object that chains the rooms and holds all state.

Theory of operation. Everything that happens to the gate is one of five calls, each with its instant: bytes came
(`receive`), a block came (`take`), a message came (`hear`), time passed (`wake`), or something broke (`lost`). What it
returns depends on nothing but these calls, so a journal of them replays to the identical messages.

A block runs through the rooms in their order: sample clock, leads, R-peaks; each confirmed peak then through beats,
rhythm, prediction, window, interlocks, and becomes a Trigger or a Held. Any R-peak, provisional ones too, that comes
before a booked window has closed cancels it: the beat that the window was made for is over.

The lease: while the session is armed and no signal veto stands, each block renews it (`KeepAlive`), for the latest
R-peak only. A signal veto inhibits at once; the lease comes back after `min_beats` good beats, never by itself.
"""

from collections import deque

from gating.beats import Beats, ClassifiedBeat
from gating.disturbance import Disturbances
from gating.fast_wave import FastWaves
from gating.frontends import FRONTENDS
from gating.frontends.frontend import SampleBlock
from gating.interlocks import BookingView, SignalView, booking_vetoes, signal_vetoes, standing_vetoes
from gating.judge import Judge
from gating.leads import Leads, LeadsState
from gating.messages import (
    Armed,
    BreathHold,
    CardiacPhase,
    ExposureReport,
    Held,
    Message,
    OperatorRequest,
    Ping,
    Pong,
    ScannerStatus,
    TriggerAnswer,
)
from gating.morphology import Shapes
from gating.prediction import Predictor
from gating.r_peak import RPeak, RPeakDetector
from gating.rehearsal_desk import RehearsalDesk
from gating.rhythm import RhythmJudge
from gating.sample_clock import BlockTimes, SampleClock
from gating.settings import GateSettings
from gating.status import LineHealth, Strip, beat_message, doubt_of, gate_status
from gating.trigger import Booking, Permit, overtaken, why_not_armed
from gating.units import NS_PER_S, Nanoseconds, ns_from_ms
from gating.window import NoWindow, heart_of, place

STATUS_EVERY_NS = ns_from_ms(250)
PINGS = 16  # remembered, each to be answered once: two answers to one ping are two gates


class Gate:
    """Bytes in, messages out. See the module's text; `wake_at_ns` says when the gate wants to be woken."""

    def __init__(self, settings: GateSettings, judge: Judge) -> None:
        self.settings = settings
        self._judge = judge
        frontend = FRONTENDS[settings.frontend]
        self._declaration = frontend.declaration
        self._decoder = frontend.decoder()
        self._clock = SampleClock(settings.sample_clock, frontend.declaration)
        self._leads = Leads(settings.leads, frontend.declaration, settings.sample_clock)
        self._detector: RPeakDetector | None = None
        self._disturbances: Disturbances | None = None
        self._shapes = Shapes(len(frontend.declaration.leads), frontend.declaration.rate_hz)
        self._fast_waves = FastWaves()
        self._doubt: str | None = None  # why the last beat may not arm
        self._detector_shape: tuple[tuple[str, ...], float] | None = None
        self._beats = Beats(settings.rhythm)
        self._rhythm = RhythmJudge(settings.rhythm)
        self._predictor = Predictor(settings.prediction)
        self._desk = RehearsalDesk(settings)
        self._health = LineHealth()
        self._strip = Strip()
        self._times: BlockTimes | None = None
        self._leads_state: LeadsState | None = None
        self._lost_before = 0
        self._rate_hz = frontend.declaration.rate_hz
        self._lost_reason: str | None = None
        self._last_r_at_ns: int | None = None
        self._last_beat: ClassifiedBeat | None = None
        self._current_peak = 0
        self._numbered_before = 0
        self._good_beats = 0
        self._signal_reasons: tuple[str, ...] = ("no ECG samples yet",)
        self._inhibited = False
        self._permit: Permit | None = None
        self._not_taken: str | None = None
        self._armed_at_ns: int | None = None  # of the last arming taken: none is entered twice
        self._needed_leads: frozenset[str] = frozenset()
        self._pinged: deque[str] = deque(maxlen=PINGS)
        self._sequence = 0
        self._scanner: ScannerStatus | None = None
        self._hold_began_at_ns: int | None = None
        self._booking: Booking | None = None
        self._settled_at_ns = 0
        self._session_phase: CardiacPhase | None = None
        self._last_keep_alive_ns: int | None = None
        self._status_due_ns: int | None = None

    # --- the five calls ---------------------------------------------------------------------------------------------

    def receive(self, data: bytes, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Take bytes from the box as they were read at `now_ns`."""
        out: list[Message] = []
        blocks = self._decoder.feed(data)
        self._health.take(self._decoder.faults, now_ns)
        for block in blocks:
            out += self._take(block, now_ns)
        out += self._watch(now_ns)
        return tuple(out)

    def take(self, block: SampleBlock, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Take one block of samples, at its own rate and leads, that arrived at `now_ns`."""
        return (*self._take(block, now_ns), *self._watch(now_ns))

    def hear(self, message: Message, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Take a message whose signature the bus has checked."""
        match message:
            case Ping() if message.token not in self._pinged:
                self._pinged.append(message.token)
                return (Pong(token=message.token, ping_at_ns=message.at_ns, gate_at_ns=now_ns),)
            case Armed():
                self._arm(message)
            case BreathHold() if self._permit is not None and message.session == self._permit.armed.session:
                self._hold_began_at_ns = None if message.ended_at_ns is not None else message.began_at_ns
                if self._hold_began_at_ns is not None:
                    self._predictor.hold_breath(self._hold_began_at_ns)
            case OperatorRequest(request="rehearse"):
                self._desk.ask(now_ns, armed=self._permit is not None)
            case TriggerAnswer() if message.accepted_at_ns is None:
                self._settle(message.sequence, message.at_ns)
            case ExposureReport():
                self._settle(message.sequence, message.at_ns)
            case ScannerStatus() if self._scanner is None or not overtaken(message, self._scanner):
                self._scanner = message
                permit = self._permit
                # a status from before the arming may overtake: only a later one tells of another session
                if (
                    permit is not None
                    and message.at_ns > permit.armed.at_ns
                    and message.session != permit.armed.session
                ):
                    self._disarm()
            case _:
                pass
        return self._watch(now_ns)

    def wake(self, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Let time pass: silence is an input too."""
        return self._watch(now_ns)

    def lost(self, reason: str, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Hear that the line, the journal or the clock failed; ends an armed session, and the signal is learnt anew."""
        out: list[Message] = []
        self._lost_reason = reason
        if self._permit is not None:
            out.append(self._permit.inhibit((reason,), now_ns, latched=True))
            self._disarm()
        self._forget()
        self._decoder = FRONTENDS[self.settings.frontend].decoder()
        self._clock = SampleClock(self.settings.sample_clock, self._declaration)
        self._leads = Leads(self.settings.leads, self._declaration, self.settings.sample_clock)
        self._times, self._leads_state, self._detector, self._detector_shape = None, None, None, None
        self._status_due_ns = None
        return (*out, *self._watch(now_ns))

    @property
    def wake_at_ns(self) -> int | None:
        """When the gate wants to be woken at the latest; None before anything has happened."""
        if self._status_due_ns is None:
            return None
        due = self._status_due_ns
        if self._times is not None and self._permit is not None and not self._inhibited:
            due = min(due, self._times.newest_at_ns + ns_from_ms(self.settings.interlocks.silence_ms) + 1)
        return due

    # --- samples ----------------------------------------------------------------------------------------------------

    def _take(self, block: SampleBlock, now_ns: int) -> list[Message]:
        self._lost_reason = None
        self._times = self._clock.take(block, now_ns)
        self._leads_state = self._leads.take(block, self._times)
        self._lost_before, self._rate_hz = block.lost_before, block.rate_hz
        detector = self._detector_for(block)
        if 1000 * block.lost_before / block.rate_hz > self.settings.sample_clock.max_gap_ms:
            detector.relearn()
            self._forget()
        if self._disturbances is not None:
            self._disturbances.take(block.microvolts)
        self._shapes.take(block.microvolts, self._times)
        self._fast_waves.take(block.microvolts, block.rate_hz, self._leads_state.mask)
        peaks = detector.take(block.microvolts, self._leads_state.mask, self._times)
        self._judge_signal(now_ns)
        out: list[Message] = []
        for peak in peaks:
            out += self._on_peak(peak._replace(number=peak.number + self._numbered_before), now_ns)
        out += self._strip.take(block, self._times, self._leads_state)
        out += self._lease(now_ns)
        return out

    def _detector_for(self, block: SampleBlock) -> RPeakDetector:
        shape = (block.leads, block.rate_hz)
        if self._detector is None or self._detector_shape != shape:
            self._detector = RPeakDetector(self.settings.r_peak, block.leads, block.rate_hz, self._judge)
            self._disturbances = Disturbances(len(block.leads), block.rate_hz)
            self._shapes = Shapes(len(block.leads), block.rate_hz)
            self._detector_shape = shape
            self._numbered_before = self._current_peak  # a new detector counts from 1, the gate goes on
        return self._detector

    def _on_peak(self, peak: RPeak, now_ns: int) -> list[Message]:
        if peak.stage == "withdrawn":
            return [beat_message(peak, self._beats, None, now_ns)]
        self._current_peak = max(self._current_peak, peak.number)
        out: list[Message] = self._cancel_if_early(peak, now_ns)
        if peak.stage == "provisional":
            return [beat_message(peak, self._beats, None, now_ns), *out]
        mask = () if self._leads_state is None else self._leads_state.mask
        beat = self._beats.take(peak, self._shapes.compare(peak.r_at_ns, mask))
        self._last_r_at_ns, self._last_beat = peak.r_at_ns, beat
        self._doubt = doubt_of(peak, self._leads_state, self._disturbances)
        rhythm = self._rhythm.take(beat, paced=self._disturbances is not None and self._disturbances.paced())
        self._good_beats = 0 if self._signal_reasons else self._good_beats + 1
        out = [beat_message(peak, self._beats, beat, now_ns), *out, rhythm]
        self._predictor.take(beat)
        self._desk.take(beat, armed=peak.armed, af_probability=rhythm.af_probability)
        out += self._book(beat, now_ns)
        return out

    # --- permission -------------------------------------------------------------------------------------------------

    def _arm(self, armed: Armed) -> None:
        """Begin a session, if it is ours and its plan is what its hash says; otherwise say why not.

        The same arming again is none: the sequence would fall, and a session that was latched off would come back.
        """
        if self._armed_at_ns is not None and armed.at_ns <= self._armed_at_ns:
            return
        leads = () if self._leads_state is None else self._leads_state.leads
        needed = frozenset(lead.lead for lead in leads if lead.trusted)
        self._not_taken = why_not_armed(armed, self.settings.key_id, needed)
        if self._not_taken is not None:
            return
        self._armed_at_ns, self._needed_leads = armed.at_ns, needed
        self._permit = Permit(armed, self._sequence)
        self._booking, self._session_phase, self._hold_began_at_ns = None, None, None
        self._inhibited = False

    def _disarm(self) -> None:
        if self._permit is not None:
            self._sequence = self._permit.sequence
        self._permit, self._booking, self._hold_began_at_ns = None, None, None
        self._needed_leads = frozenset()
        self._inhibited = False

    def _settle(self, sequence: int, at_ns: int) -> None:
        """Note that the bridge is done with a trigger; only a later status may be booked upon."""
        if self._booking is not None and self._booking.trigger.sequence == sequence:
            self._booking = None
            self._settled_at_ns = at_ns

    def _cancel_if_early(self, peak: RPeak, now_ns: int) -> list[Message]:
        """Withdraw the booked window if this R-peak comes before it has closed: its beat is over."""
        if self._booking is None or self._permit is None:
            return []
        beat, reason = self._booking.trigger.beat, self._booking.ended_by(peak.number, peak.r_at_ns)
        if reason is None:
            return []
        self._booking = None
        return [self._permit.cancel(beat, (reason,), now_ns)]

    def _lease(self, now_ns: int) -> list[Message]:
        if self._permit is None or self._inhibited or self._signal_reasons or self._times is None:
            return []
        limits = self.settings.interlocks
        if self._good_beats < limits.min_beats:
            return []
        last = self._last_keep_alive_ns
        if last is not None and now_ns - last < ns_from_ms(limits.keep_alive_every_ms) // 2:
            return []
        self._last_keep_alive_ns = now_ns
        return [self._permit.keep_alive(self._current_peak, self._times.newest_at_ns, limits)]

    def _book(self, beat: ClassifiedBeat, now_ns: int) -> list[Message]:
        permit, scanner = self._permit, self._scanner
        if permit is None or self._inhibited or scanner is None or self._hold_began_at_ns is None:
            return []
        if self._booking is not None and not self._booking.is_over(now_ns):
            return []
        if scanner.state != "armed" or scanner.table_settled_at_ns is None or scanner.at_ns < self._settled_at_ns:
            return []  # the table moves, or the bridge is not done with the last beat
        settled_at_ns = self._hold_began_at_ns + round(permit.armed.plan.settle_s * NS_PER_S)
        if scanner.next_step is None or scanner.next_attempt is None or beat.r_at_ns < settled_at_ns:
            return []  # nothing is waited for yet
        prediction = self._predictor.next_rr()
        heart = heart_of(beat, prediction, self._rhythm.now(now_ns))
        window = place(heart, permit.armed.plan, self.settings.window, self._session_phase)
        view = BookingView(
            now_ns=now_ns,
            beat=beat,
            good_beats=self._good_beats,
            doubt=self._doubt,
            patient_safe=self._declaration.patient_safe,
            rate_exact=self._declaration.rate_exact,
            scanner=scanner,
            hold_began_at_ns=self._hold_began_at_ns,
            expires_at_ns=None if isinstance(window, NoWindow) else permit.expires_at_ns(window),
        )
        reasons = (*self._signal_reasons, *booking_vetoes(view, self.settings.interlocks))
        if isinstance(window, NoWindow):
            reasons = (*reasons, *window.reasons)
        if reasons or isinstance(window, NoWindow):
            return [Held(session=permit.armed.session, beat=beat.number, reasons=reasons, at_ns=now_ns)]
        trigger = permit.trigger(
            window,
            beat=beat.number,
            r_at_ns=beat.r_at_ns,
            step=scanner.next_step,
            attempt=scanner.next_attempt,
            prediction=prediction,
            settings=self.settings.window,
            sample_arrived_at_ns=now_ns,
            now_ns=now_ns,
        )
        self._booking = Booking(trigger)
        self._session_phase = window.phase
        return [trigger]

    # --- watching ---------------------------------------------------------------------------------------------------

    def _judge_signal(self, now_ns: int) -> None:
        detector = self._detector
        view = SignalView(
            now_ns=now_ns,
            times=self._times,
            leads=self._leads_state,
            needed_leads=self._needed_leads,
            lost_samples=self._lost_before,
            rate_hz=self._rate_hz,
            crc_share=self._health.crc_share,
            learned=detector is not None and detector.learned,
            last_r_at_ns=self._last_r_at_ns,
            running_rr_ms=self._beats.running_rr_ms(),
            rhythm=self._rhythm,
            fast_wave=self._fast_waves.seen,
            lost_reason=self._lost_reason,
        )
        self._signal_reasons = signal_vetoes(view, self.settings.interlocks, self.settings.sample_clock)
        if self._signal_reasons:
            self._good_beats = 0

    def _watch(self, now_ns: int) -> tuple[Message, ...]:
        """Judge the signal at this instant, inhibit or take the inhibit back, and say the status when it is due."""
        self._judge_signal(now_ns)
        out: list[Message] = []
        if self._permit is not None and self._signal_reasons and not self._inhibited:
            self._inhibited, self._booking = True, None
            out.append(self._permit.inhibit(self._signal_reasons, now_ns, latched=False))
            self._status_due_ns = now_ns
        elif self._inhibited and self._good_beats >= self.settings.interlocks.min_beats:
            self._inhibited = False
            self._status_due_ns = now_ns
        plan, armed = None if self._scanner is None else self._scanner.plan, self._permit is not None
        out += self._desk.answers(now_ns, spoilt=self._signal_reasons, plan=plan, armed=armed)
        if self._status_due_ns is None or now_ns >= self._status_due_ns:
            self._status_due_ns = now_ns + STATUS_EVERY_NS
            standing = standing_vetoes(self._declaration.rate_exact, self._not_taken)
            out.append(
                gate_status(
                    self.settings,
                    now_ns=now_ns,
                    patient_safe=self._declaration.patient_safe,
                    times=self._times,
                    leads=self._leads_state,
                    signal_reasons=self._signal_reasons or standing,
                    rhythm=self._rhythm.now(now_ns),
                    last_beat=self._last_beat,
                    best_lead=None if self._detector is None else self._detector.best_lead,
                    doubt=self._doubt,
                    good_beats=self._good_beats,
                    health=self._health,
                    session=None if self._permit is None else self._permit.armed.session,
                    inhibited=self._inhibited,
                    hold_began_at_ns=self._hold_began_at_ns,
                )
            )
        return tuple(out)

    def _forget(self) -> None:
        self._beats.forget()
        self._rhythm.forget()
        self._predictor.forget()
        self._shapes.forget()
        self._fast_waves.forget()
        self._desk.forget()
        self._good_beats = 0
        self._last_r_at_ns, self._last_beat, self._doubt = None, None, None
