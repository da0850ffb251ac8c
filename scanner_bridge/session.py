"""The sans-IO object that owns the exposure session: who may, when, how often, and what the scanner really did.

Theory of operation. Everything that happens to the bridge is one of six calls, each with its instant: a message came
(`hear`), the bus did not believe one (`refuse`), the scanner said something (`sense`), an audit record is safe on disk
(`durable`), the broker went away (`disconnect`), time passed (`wake`). Each call is one event; `session_table.TABLE`
says by (state, event) which rule runs; a rule changes the session and leaves effects: publish this, append that to the
audit log, command the scanner. What comes out depends on nothing but these calls.

A trigger that passes `authority.judge` becomes a booking. Its intent goes to the audit log first. Its command leaves
shortly before it would be late, and only if at that instant the intent is durable, the lease is fresh and for this very
beat, the table stands, the hold is on and the clock is known (`authority.beam_reasons`); otherwise the beat is missed.
After dispatch, whatever withdraws the permission also stops the scanner, and the session waits for the scanner's own
word before it goes on; a scanner that owes its word is stopped and at fault. No session begins but by an operator's
signed request with the latest challenge; nothing on disk can arm.

The bridge's own clock rules here. Instants of the gate are translated when they come in, and back when they go out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gating.messages import (
    AcquisitionPlan,
    Cancel,
    Inhibit,
    KeepAlive,
    Message,
    OperatorRequest,
    Permission,
    Pong,
    SessionState,
    Trigger,
)
from scanner_bridge.authority import Lease, Reason, judge, lease_of, whose, window_of
from scanner_bridge.booking import Booking
from scanner_bridge.desk import Append, Command, Effect, Publish, clipped
from scanner_bridge.driver import (
    BeamOff,
    BeamOn,
    Capabilities,
    DeviceEvent,
    DriverFault,
    ExposureRefused,
    ScannerReady,
    TableSettled,
)
from scanner_bridge.exposures import Exposures
from scanner_bridge.session_table import IN_SESSION, TABLE, EventKind, Rule
from scanner_bridge.settings import BridgeSettings

__all__ = ["Append", "Command", "Effect", "Publish", "Session"]

SENSED: dict[type[DeviceEvent], EventKind] = {
    ScannerReady: "ready",
    TableSettled: "table-settled",
    BeamOn: "beam-on",
    BeamOff: "beam-off",
    ExposureRefused: "exposure-refused",
    DriverFault: "driver-fault",
}
PERMISSIONS: dict[type[Message], EventKind] = {
    Trigger: "trigger",
    KeepAlive: "keep-alive",
    Cancel: "cancel",
    Inhibit: "inhibit",
}
REQUESTS: dict[str, EventKind] = {
    "arm": "arm",
    "resume": "resume",
    "begin-hold": "begin-hold",
    "end-hold": "end-hold",
    "hold": "hold",
    "disarm": "disarm",
    "rehearse": "note",
    "mark": "note",
}
STATE_REASONS: dict[SessionState, Reason] = {
    "moving": "table",
    "booked": "booked",
    "exposing": "booked",
    "inhibited": "inhibited",
}


@dataclass(frozen=True, slots=True)
class Said:
    """A message and the key that signed it."""

    message: Any
    key_id: str | None


class Session(Exposures):
    """Messages, device events and time in; effects out. See the module's text.

    Parameters
    ----------
    plan
        What is scanned; owned by the bridge alone.
    capabilities
        What the driver can do.
    settings
        The bridge's limits.
    keys
        The role of every public key, by key id: "gate", "bridge" or "operator".
    tokens
        Fresh unguessable strings, without end: challenges, sessions, nonces, pings.
    """

    def __init__(
        self,
        plan: AcquisitionPlan,
        capabilities: Capabilities,
        settings: BridgeSettings,
        keys: Mapping[str, str],
        tokens: Iterator[str],
    ) -> None:
        super().__init__(plan, capabilities, settings, keys, tokens)
        self._rules: dict[Rule, Callable[[Any], None]] = {
            "ignore": lambda _: None,
            "arm": self._arm,
            "resume": self._arm,
            "decline": self._decline,
            "begin_hold": self._begin_hold,
            "end_hold": lambda _: self._end("ended", ("hold-ended",)) if self._hold_began_at_ns is not None else None,
            "end_held": lambda _: self._end("ended", ("held",)),
            "end_disarmed": lambda _: self._end("disarmed", ("disarmed",)),
            "end_unknown": lambda _: self._end("ended", ("internal",)),
            "end_link": lambda reason: self._end("ended", ("link-lost", reason)),
            "clear": lambda _: self._rest("disarmed", ("disarmed",)),
            "note": self._note,
            "judge": self._judge,
            "turn_down": self._judge,
            "renew": self._renew,
            "dominate": self._dominate,
            "inhibit": self._inhibit,
            "measure": self._measure,
            "stranger": self._meet_stranger,
            "count": self._count,
            "ready": self._become_ready,
            "restart": self._restart,
            "recover": self._become_ready,
            "settle": self._settle,
            "check_table": self._check_table,
            "begin": self._begin,
            "finish": self._finish,
            "miss": self._miss,
            "fault": lambda fault: self._fault(("scanner", fault.reason), ready=False),
            "alien": lambda event: self._fault(("stray-beam", repr(event)), ready=True),
            "durable": self._durable,
            "tick": lambda _: self._tick(),
        }

    # --- the six calls ----------------------------------------------------------------------------------------------

    def hear(self, message: Message, key_id: str | None, now_ns: int) -> tuple[Effect, ...]:
        """Take a message whose signature the bus has checked; `key_id` None: an unsigned request of the page."""
        said = Said(message, key_id)
        if isinstance(message, Permission):
            if not self._rate.allow(now_ns) and not isinstance(message, Cancel | Inhibit):
                return self._run("refused", "flood", now_ns)
            if whose(message, key_id, self._keys, self._bound) is not None:
                return self._run("stranger", said, now_ns)
            return self._run(PERMISSIONS[type(message)], said, now_ns)
        if isinstance(message, Pong):
            return self._run("pong", said, now_ns)
        if isinstance(message, OperatorRequest):
            return self._run(REQUESTS[message.request], said, now_ns)
        return self._run("unknown", said, now_ns)

    def refuse(self, reason: str, now_ns: int) -> tuple[Effect, ...]:
        """Hear that the bus did not believe a message, and why."""
        return self._run("refused", reason, now_ns)

    def sense(self, event: DeviceEvent, now_ns: int) -> tuple[Effect, ...]:
        """Take what the scanner says."""
        return self._run(SENSED.get(type(event), "unknown"), event, now_ns)

    def durable(self, record_number: int, now_ns: int) -> tuple[Effect, ...]:
        """Hear that the audit log is safe on disk up to and including this record."""
        return self._run("durable", record_number, now_ns)

    def disconnect(self, reason: str, now_ns: int) -> tuple[Effect, ...]:
        """Hear that the broker went away: no cancel could reach us any more, so the session ends."""
        return self._run("link-lost", reason, now_ns)

    def wake(self, now_ns: int) -> tuple[Effect, ...]:
        """Let time pass."""
        return self._run("tick", None, now_ns)

    def _run(self, event: EventKind, payload: object, now_ns: int) -> tuple[Effect, ...]:
        """Run the one rule that the table names; whatever goes wrong inside ends without beam."""
        self._now_ns = now_ns
        try:
            self._rules[TABLE[self.state, event]](payload)
        except Exception as error:
            # The last wall (hazards.md I8): a defect of ours must not leave a beam booked. It is told, not hidden.
            self._panic(f"{type(error).__name__}: {error}")
        return self._deliver()

    # --- people -----------------------------------------------------------------------------------------------------

    def _arm(self, said: Said) -> None:
        """Begin a session: a full scan, or the rest of one from the last exposed slab."""
        resume = said.message.request == "resume"
        reason = self._operator_reason(said.message, said.key_id) or self._unready_reason(resume=resume)
        gate = self._the_gate()
        if reason is not None or gate is None:
            self._decline_with(reason or "no-gate")
            return
        (self._ledger.resume if resume else self._ledger.start_over)()
        self._open(gate)
        why = said.message.text
        self._append(
            "armed", resume=resume, operator=said.message.name[:80], override=None if why is None else why[:200]
        )
        self._move()

    def _decline(self, said: Said) -> None:
        """Refuse a request that does not fit the state."""
        reason = self._operator_reason(said.message, said.key_id)
        in_session = self.state in IN_SESSION
        self._decline_with(reason or ("already-armed" if in_session else "not-armed"))

    def _begin_hold(self, said: Said) -> None:
        """Begin the breath-hold, once, at the operator's signed word."""
        if self._hold_began_at_ns is not None or self._after is not None:
            return  # told twice; a hold is never prolonged
        reason = self._operator_reason(said.message, said.key_id)
        if reason is not None:
            self._decline_with(reason)
            return
        self._hold_began_at_ns = self._now_ns
        self._ledger.breath_holds += 1
        self._append("breath-hold", number=self._ledger.breath_holds)
        self._publish_hold(None)

    def _note(self, said: Said) -> None:
        """Write a request down that changes nothing here."""
        self._append_limited("note", request=said.message.request, name=said.message.name[:80])

    # --- the gate ---------------------------------------------------------------------------------------------------

    def _judge(self, said: Said) -> None:
        """Accept a trigger or answer with every reason against it; outside `armed` there is always one."""
        trigger: Trigger = said.message
        reasons: tuple[str, ...] = judge(trigger, self._standing(), self._now_ns)
        self._last_trigger_sequence = max(self._last_trigger_sequence, trigger.sequence)
        if self.state != "armed":
            reasons = tuple(dict.fromkeys((*reasons, STATE_REASONS.get(self.state, "not-armed"))))
        if reasons:
            self._answer(trigger, None, reasons)
            return
        self._last_beat = trigger.beat
        number = self._append("intent", trigger=trigger)
        self._booking = Booking(
            trigger=trigger,
            window=window_of(trigger, self._offset_ns()),
            intent_number=number,
            clock_offset_ns=self._offset_ns(),
        )
        self._go("booked")
        self._answer(trigger, self._now_ns, ())

    def _renew(self, said: Said) -> None:
        """Take a keep-alive: the lease of the beam, and the way out of an inhibit that is not latched."""
        message: KeepAlive = said.message
        lease = "replayed" if message.sequence <= self._last_lease_sequence else self._lease_from(message)
        if not isinstance(lease, Lease):
            self._count(lease)
            return
        self._last_lease_sequence, self._lease = message.sequence, lease
        fresh = lease.good_until_ns > self._now_ns
        if self._inhibited_by is not None and message.sequence > self._inhibited_by and fresh:
            self._inhibited_by = None
            if self.state == "inhibited":
                self._go(self._resting_state())
        booking = self._booking
        if booking is None:
            return
        if booking.dispatched_at_ns is None:
            self._try_dispatch(booking)
        elif booking.opened_at_ns is None and lease.beat > booking.trigger.beat:
            self._withdraw(("other-beat",))

    def _lease_from(self, message: KeepAlive) -> Lease | Reason:
        """Make a lease of a keep-alive, unless an inhibit dominates it."""
        if self._inhibited_by is not None and message.sequence <= self._inhibited_by:
            return "cancelled"
        return lease_of(message, self._standing(), self._now_ns)

    def _dominate(self, said: Said) -> None:
        """Take a Cancel: it beats every trigger of its own or a lower sequence, in any order of delivery."""
        cancel: Cancel = said.message
        self._dominated_sequence = max(self._dominated_sequence, cancel.sequence)
        self._append_limited("cancel", beat=cancel.beat, sequence=cancel.sequence, reasons=clipped(cancel.reasons))
        if self._booking is not None and self._booking.trigger.sequence <= cancel.sequence:
            self._withdraw(("cancelled", *cancel.reasons))

    def _inhibit(self, said: Said) -> None:
        """Take an Inhibit: all permission is withdrawn, for good if it is latched."""
        inhibit: Inhibit = said.message
        self._dominated_sequence = max(self._dominated_sequence, inhibit.sequence)
        self._append_limited("inhibit", latched=inhibit.latched, reasons=clipped(inhibit.reasons))
        if inhibit.latched:
            self._end("ended", ("latched-inhibit", *inhibit.reasons))
            return
        self._inhibited_by = max(inhibit.sequence, self._inhibited_by or 0)  # they come in any order
        self._lease = None
        self._reasons = clipped(inhibit.reasons)
        if self._booking is not None:
            self._withdraw(("inhibited", *inhibit.reasons))
        else:
            self._go("inhibited")

    def _measure(self, said: Said) -> None:
        """Take an answer to our Ping, from a gate."""
        if said.key_id is None or self._keys.get(said.key_id) != "gate":
            known = said.key_id in self._keys
            self._count("unsigned" if said.key_id is None else "wrong-role" if known else "unknown-key")
            return
        self._gates_heard[said.key_id] = self._now_ns
        twin = self._clock.contradicts(said.message)
        if twin:  # a spare gate has a copy of the keys: only its second answer to one ping tells it from ours
            self._gates_heard[f"{said.key_id} twice"] = self._now_ns
        if self._bound is not None and (twin or said.key_id != self._bound.gate_key_id):
            self._end("ended", ("second-gate",))
        elif not self._clock.pong(said.message, self._now_ns):
            self._count("replayed")

    def _meet_stranger(self, said: Said) -> None:
        """Refuse a message of permission that is not of this session's gate; a second gate ends the session."""
        reason = whose(said.message, said.key_id, self._keys, self._bound)
        assert reason is not None
        leftover = self._bound is None and said.message.nonce == self._last_nonce
        if isinstance(said.message, Trigger):
            self._answer(said.message, None, (reason,))
        elif not leftover:
            self._count(reason)
        if reason == "foreign-key":
            self._end("ended", ("second-gate",))

    # --- time -------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Do what is due."""
        now = self._now_ns
        bound, booking, hold_ends_at = self._bound, self._booking, self._hold_ends_at_ns()
        if bound is not None and now >= bound.ends_at_ns:
            self._end("ended", ("arm-limit",))
        elif hold_ends_at is not None and now >= hold_ends_at:
            self._end("ended", ("hold-limit",))
        if self._moved_at_ns is not None and now >= self._moved_at_ns + self._table_timeout_ns:
            self._fault(("table", "did not settle in time"), ready=True)
        if booking is not None and booking is self._booking:
            self._watch(booking)
        self._ping_if_due()

    @property
    def wake_at_ns(self) -> int:
        """When the session wants to be woken at the latest; 0, which is at once, before its first call."""
        due = [self._status_due_ns, self._ping_due_ns]
        if self._bound is not None and self._after is None:
            due.append(self._bound.ends_at_ns)
            due += [] if self._hold_ends_at_ns() is None else [self._hold_ends_at_ns() or 0]
        if self._moved_at_ns is not None:
            due.append(self._moved_at_ns + self._table_timeout_ns)
        if self._booking is not None:
            due.append(self._booking_due_ns(self._booking))
        return min(due)
