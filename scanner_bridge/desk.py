"""What the session holds and how it speaks: its state, its books, and the effects that a call leaves behind.

`Session` adds the rules. Nothing here decides about the beam.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from gating.messages import (
    AcquisitionPlan,
    Armed,
    BreathHold,
    Message,
    OperatorRequest,
    ScannerStatus,
    SessionState,
    Trigger,
    TriggerAnswer,
    plan_hash,
)
from gating.units import NS_PER_S, ms_from_ns, ns_from_ms
from scanner_bridge import commands
from scanner_bridge.authority import Bound, Lease, Reason, Standing, clock_reasons, lead_ns
from scanner_bridge.booking import Booking
from scanner_bridge.driver import Capabilities, ScannerCommand
from scanner_bridge.ledger import Ledger, Rate, Refusals
from scanner_bridge.peer_clock import PeerClock
from scanner_bridge.session_table import IN_SESSION
from scanner_bridge.settings import BridgeSettings

MOST_REASONS, LONGEST_REASON = 4, 120  # of one message: it must stay below MAX_PAYLOAD_BYTES
STATUS_SPACING_NS = 100_000_000  # between statuses that only tell new counts: a flood must not become one of ours
GATE_SILENT_NS = 5 * NS_PER_S  # a gate not heard for so long is not there


@dataclass(frozen=True, slots=True)
class Publish:
    """Send this message."""

    message: Message


@dataclass(frozen=True, slots=True)
class Append:
    """Append this record to the audit log, then call `durable` with its number."""

    number: int
    record: dict[str, object]


@dataclass(frozen=True, slots=True)
class Command:
    """Hand this command to the driver."""

    command: ScannerCommand


Effect = Publish | Append | Command


def clipped(reasons: tuple[str, ...]) -> tuple[str, ...]:
    """Bound what somebody else's reasons can add to a message."""
    return tuple(reason[:LONGEST_REASON] for reason in reasons[:MOST_REASONS])


class Desk:
    """The session's state, without its rules."""

    def __init__(
        self,
        plan: AcquisitionPlan,
        capabilities: Capabilities,
        settings: BridgeSettings,
        keys: Mapping[str, str],
        tokens: Iterator[str],
    ) -> None:
        self._plan, self._plan_hash = plan, plan_hash(plan)
        self._capabilities, self._settings = capabilities, settings
        self._keys, self._tokens = dict(keys), tokens
        self._doubt_ns = ns_from_ms(settings.limits.clock_uncertainty_ms)
        self._table_timeout_ns = round(settings.limits.table_timeout_s * NS_PER_S)
        self._ledger = Ledger(plan)
        self._refusals = Refusals(settings.limits)
        self._rate = Rate(settings.limits.messages_per_s)
        self._audit_rate = Rate(settings.limits.messages_per_s)
        self._clock = PeerClock(settings.limits.clock_fresh_s)
        self._gates_heard: dict[str, int] = {}  # bounded by twice the number of gate keys
        self.state: SessionState = "disarmed"
        self._reasons: tuple[str, ...] = ("restart",)
        self._ready = False
        self._challenge = next(tokens)
        self._bound: Bound | None = None
        self._last_nonce: str | None = None
        self._booking: Booking | None = None
        self._after: tuple[SessionState, tuple[str, ...]] | None = None  # where to, once the scanner has said its word
        self._lease: Lease | None = None
        self._inhibited_by: int | None = None  # sequence of the inhibit that stands
        self._hold_began_at_ns: int | None = None
        self._settled_at_ns: int | None = None
        self._moved_at_ns: int | None = None
        self._forget_sequences()
        self._now_ns = 0
        self._records = 0
        self._out: list[Effect] = []
        self._shown: object = None
        self._told_refused = 0
        self._status_due_ns = 0
        self._status_at_ns = 0
        self._ping_due_ns = 0

    def _forget_sequences(self) -> None:
        """Start counting anew: sequences belong to one nonce."""
        self._last_trigger_sequence = -1
        self._last_lease_sequence = -1
        self._dominated_sequence = -1
        self._last_beat: int | None = None

    # --- the session's course ---------------------------------------------------------------------------------------

    def _open(self, gate_key_id: str) -> None:
        """Draw session and nonce and tell the gate."""
        nonce = next(self._tokens)
        ends_at_ns = self._now_ns + round(self._plan.arm_limit_s * NS_PER_S)
        bound = Bound(next(self._tokens), nonce, gate_key_id, self._plan, self._plan_hash, ends_at_ns)
        self._bound, self._last_nonce, self._after = bound, nonce, None
        self._lease, self._inhibited_by, self._hold_began_at_ns = None, None, None
        self._forget_sequences()
        self._out.append(
            Publish(
                Armed(
                    session=bound.session,
                    nonce=nonce,
                    plan=self._plan,
                    plan_hash=self._plan_hash,
                    gate_key_id=gate_key_id,
                    lead_ms=self._lead_ms,
                    at_ns=self._gate_time(self._now_ns),
                    ends_at_ns=self._gate_time(ends_at_ns),
                )
            )
        )

    def _move(self) -> None:
        """Send the table to the next step."""
        step = self._ledger.next_step
        assert step is not None
        self._settled_at_ns, self._moved_at_ns = None, self._now_ns
        self._append("move", step=step)
        self._command(commands.move(step, self._plan))
        self._go(self._resting_state())

    def _resting_state(self) -> SessionState:
        """Name the state of a session that has nothing booked."""
        if self._inhibited_by is not None:
            return "inhibited"
        return "moving" if self._settled_at_ns is None else "armed"

    def _go(self, state: SessionState) -> None:
        """Enter a state of a running session."""
        assert state in IN_SESSION
        if state != "inhibited":
            self._reasons = ()
        self.state = state

    def _rest(self, state: SessionState, reasons: tuple[str, ...]) -> None:
        """Enter a state without a session: everything that could permit a beam is forgotten."""
        assert state not in IN_SESSION
        if self._hold_began_at_ns is not None:
            self._publish_hold(self._now_ns)
        if self._bound is not None:
            self._append("session-end", state=state, reasons=reasons, steps_exposed=self._ledger.steps_exposed)
        self._ledger.close()
        self._bound, self._booking, self._after, self._lease = None, None, None, None
        self._inhibited_by, self._hold_began_at_ns = None, None
        self._settled_at_ns, self._moved_at_ns = None, None
        self._challenge = next(self._tokens)
        self.state, self._reasons = state, reasons

    def _panic(self, text: str) -> None:
        """Stop and stand at fault after a defect of our own, with as little code as possible."""
        self._out.append(Command(commands.Stop("internal")))
        self._bound, self._booking, self._after, self._lease = None, None, None, None
        self._inhibited_by, self._hold_began_at_ns = None, None
        self._settled_at_ns, self._moved_at_ns = None, None
        self._ledger.close()
        self.state, self._reasons = "fault", ("internal", text[:LONGEST_REASON])
        self._append("fault", reasons=self._reasons)

    # --- who may ----------------------------------------------------------------------------------------------------

    def _operator_reason(self, request: OperatorRequest, key_id: str | None) -> Reason | None:
        """Say why a request that permits is not the operator's word for this plan, now; it spends the challenge."""
        if key_id is None:
            return "unsigned"
        if self._keys.get(key_id) != "operator":
            return "wrong-role" if key_id in self._keys else "unknown-key"
        if request.challenge != self._challenge:
            return "wrong-challenge"
        self._challenge = next(self._tokens)
        if request.request != "begin-hold" and request.plan_hash != self._plan_hash:
            return "wrong-plan"
        return None

    def _unready_reason(self, *, resume: bool) -> Reason | None:
        """Say why no session can begin now, whoever asks."""
        if self._capabilities.control != "exposure":
            return "no-control"
        if not self._ready:
            return "not-ready"
        if len(self._gates_now()) > 1:
            return "two-gates"
        if clock_reasons(self._standing()):
            return "clock" if self._gates_now() else "no-gate"
        if resume and not self._ledger.resumable:
            return "nothing-to-resume"
        return None

    def _gates_now(self) -> list[str]:
        """Name the gate keys that answered a ping lately."""
        return [key for key, at_ns in self._gates_heard.items() if self._now_ns - at_ns <= GATE_SILENT_NS]

    def _the_gate(self) -> str | None:
        """Name the one gate that answers our pings."""
        gates = self._gates_now()
        return gates[0] if len(gates) == 1 else None

    def _decline_with(self, reason: Reason) -> None:
        """Refuse a request where the operator sees it."""
        self._count(reason)
        if self._bound is None:
            self._reasons = (reason,)

    def _count(self, reason: str) -> None:
        """Count a refusal; too many forgeries in a short time latch an inhibit."""
        self._append_limited("refused", reason=reason)
        if self._refusals.count(reason, self._now_ns):
            self._end("ended", ("forged",))

    def _end(self, state: SessionState, reasons: tuple[str, ...]) -> None:
        """End the session; a rule, so `Exposures` has it."""
        raise AssertionError(f"Only a Session can end itself ({state}, {reasons}).")

    def _standing(self) -> Standing:
        """Gather what a judgement needs."""
        offset_ns, uncertainty_ns = self._clock.estimate(self._now_ns)
        return Standing(
            bound=self._bound,
            capabilities=self._capabilities,
            limits=self._settings.limits,
            clock_offset_ns=offset_ns,
            clock_uncertainty_ns=uncertainty_ns,
            next_step=self._ledger.next_step,
            next_attempt=self._ledger.next_attempt,
            table_settled_at_ns=self._settled_at_ns,
            hold_began_at_ns=self._hold_began_at_ns,
            last_trigger_sequence=self._last_trigger_sequence,
            dominated_sequence=self._dominated_sequence,
            last_beat=self._last_beat,
            beam_on_ms=self._ledger.session_beam_ms,
            effective_msv=self._ledger.effective_msv,
        )

    # --- speaking ---------------------------------------------------------------------------------------------------

    @property
    def _lead_ms(self) -> float:
        """Say in ms how long before opening a command must be at the driver."""
        return ms_from_ns(lead_ns(self._capabilities, self._settings.limits))

    def _offset_ns(self) -> int:
        """Give the gate's clock minus ours."""
        return self._clock.estimate(self._now_ns)[0]

    def _gate_time(self, at_ns: int) -> int:
        """Translate an instant of ours to the gate's clock, which all messages speak in."""
        return at_ns + self._offset_ns()

    def _hold_ends_at_ns(self) -> int | None:
        """Give the end of the breath-hold at the latest; None without one."""
        if self._hold_began_at_ns is None:
            return None
        return self._hold_began_at_ns + round(self._plan.breath_hold_limit_s * NS_PER_S)

    def _publish_hold(self, ended_at_ns: int | None) -> None:
        """Tell the breath-hold, or its end."""
        if self._bound is not None and self._hold_began_at_ns is not None:
            hold = BreathHold(
                session=self._bound.session,
                began_at_ns=self._gate_time(self._hold_began_at_ns),
                limit_s=self._plan.breath_hold_limit_s,
                ended_at_ns=None if ended_at_ns is None else self._gate_time(ended_at_ns),
            )
            self._out.append(Publish(hold))

    def _answer(self, trigger: Trigger, accepted_at_ns: int | None, reasons: tuple[str, ...]) -> None:
        """Answer a trigger, and count it if it was refused."""
        answer = TriggerAnswer(
            session=trigger.session,
            sequence=trigger.sequence,
            beat=trigger.beat,
            step=trigger.step,
            attempt=trigger.attempt,
            accepted_at_ns=None if accepted_at_ns is None else self._gate_time(accepted_at_ns),
            reasons=reasons,
            at_ns=self._gate_time(self._now_ns),
        )
        self._out.append(Publish(answer))
        if accepted_at_ns is None:
            self._append_limited("trigger-refused", sequence=trigger.sequence, beat=trigger.beat, reasons=reasons)
            if self._refusals.count(reasons[0], self._now_ns):
                self._end("ended", ("forged",))

    def _append(self, what: str, **fields: object) -> int:
        """Leave an audit record; gives its number."""
        self._records += 1
        record: dict[str, object] = {"what": what, "at_ns": self._now_ns}
        if self._bound is not None:
            record["session"] = self._bound.session
        record.update({name: msgspec.to_builtins(value) for name, value in fields.items()})
        self._out.append(Append(self._records, record))
        return self._records

    def _append_limited(self, what: str, **fields: object) -> None:
        """Leave an audit record of something that a stranger can cause: at most so many per second."""
        suppressed = self._audit_rate.suppressed
        if self._audit_rate.allow(self._now_ns):
            self._append(what, **fields, **({"suppressed_before": suppressed} if suppressed else {}))

    def _command(self, command: ScannerCommand) -> None:
        """Leave a command for the driver."""
        self._out.append(Command(command))

    def _ping_if_due(self) -> None:
        """Ask the gate for its clock when it is time."""
        if self._now_ns >= self._ping_due_ns:
            self._ping_due_ns = self._now_ns + ns_from_ms(self._settings.limits.ping_every_ms)
            self._out.append(Publish(self._clock.ping(next(self._tokens), self._now_ns)))

    def _deliver(self) -> tuple[Effect, ...]:
        """Hand out the effects of this call, and the status if anything that it shows has changed or it is due."""
        shown = (
            self.state,
            self._reasons,
            self._challenge,
            self._ledger.next_step,
            self._ledger.next_attempt,
            self._settled_at_ns,
            self._hold_began_at_ns,
            self._ledger.beam_on_ms,
        )
        refused = sum(self._refusals.counts.values())
        if shown != self._shown or self._now_ns >= self._status_due_ns:
            self._shown, self._told_refused = shown, refused
            self._status_at_ns = self._now_ns
            self._status_due_ns = self._now_ns + ns_from_ms(self._settings.limits.status_every_ms)
            self._out.append(Publish(self._status()))
        elif refused != self._told_refused:
            self._status_due_ns = min(self._status_due_ns, self._status_at_ns + STATUS_SPACING_NS)
        effects, self._out = tuple(self._out), []
        return effects

    def _status(self) -> ScannerStatus:
        """Say where the session stands."""
        offset_ns, uncertainty_ns = self._clock.estimate(self._now_ns)
        settled, hold = self._settled_at_ns, self._hold_began_at_ns
        return ScannerStatus(
            at_ns=self._now_ns + offset_ns,
            state=self.state,
            reasons=self._reasons,
            challenge=self._challenge,
            plan=self._plan,
            plan_hash=self._plan_hash,
            session=None if self._bound is None else self._bound.session,
            driver=self._capabilities.name,
            control=self._capabilities.control,
            simulated=self._capabilities.simulated,
            lead_ms=self._lead_ms,
            next_step=self._ledger.next_step,
            next_attempt=self._ledger.next_attempt,
            table_settled_at_ns=None if settled is None else settled + offset_ns,
            steps_exposed=self._ledger.steps_exposed,
            beam_on_ms=self._ledger.beam_on_ms,
            ctdivol_mgy=self._ledger.ctdivol_mgy,
            dlp_mgycm=self._ledger.dlp_mgycm,
            effective_msv=self._ledger.effective_msv,
            hold_began_at_ns=None if hold is None else hold + offset_ns,
            refused=self._refusals.counts,
            clock_offset_ns=offset_ns,
            clock_uncertainty_ns=uncertainty_ns,
        )
