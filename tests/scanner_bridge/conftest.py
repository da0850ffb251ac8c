"""A bridge in virtual time: the real session, the real gantry and its client, and a gate that does as it is told."""

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from gating.messages import (
    AcquisitionPlan,
    Armed,
    Cancel,
    ExposureReport,
    Inhibit,
    KeepAlive,
    Message,
    OperatorRequest,
    Ping,
    Pong,
    ScannerStatus,
    SessionState,
    Trigger,
    TriggerAnswer,
)
from scanner_bridge.driver import Capabilities, Expose, ScannerCommand
from scanner_bridge.drivers.gantry import CAPABILITIES
from scanner_bridge.drivers.gantry_wire import GantryClient
from scanner_bridge.plan import plan_from
from scanner_bridge.session import Append, Command, Effect, Publish, Session
from scanner_bridge.settings import BridgeSettings
from simulators.gantry import BeamTruth, Gantry
from simulators.scenario import Scanner

MS = 1_000_000
S = 1_000_000_000
KEYS = {"gate-1": "gate", "gate-2": "gate", "bridge-1": "bridge", "operator-1": "operator"}


@dataclass
class Rig:
    """Bridge, gantry and a scripted gate, joined by calls in virtual time."""

    settings: BridgeSettings = field(default_factory=BridgeSettings)
    capabilities: Capabilities = CAPABILITIES
    gate_offset_ns: int = 0  # gate's clock minus bridge's
    pong_delay_ns: int = 200_000
    fsync_ns: int = 4 * MS
    now_ns: int = 50 * S
    alive: bool = True  # the gate renews the lease every 40 ms
    beat: int = 10
    sequence: int = 0

    def __post_init__(self) -> None:
        self.plan: AcquisitionPlan = plan_from(self.settings.plan)
        tokens = (f"token-{number}" for number in itertools.count())
        self.session = Session(self.plan, self.capabilities, self.settings, KEYS, tokens)
        self.gantry = Gantry(Scanner(), 30.0, clock_offset_ns=-7_123_456_789)
        self.client = GantryClient()
        self.messages: list[Message] = []
        self.records: list[dict[str, object]] = []
        self.commands: list[tuple[int, ScannerCommand]] = []
        self.truth: list[BeamTruth] = []
        self.last_pong: Pong | None = None
        self.forgotten_acks = False  # the scanner's words are lost
        self._later: list[tuple[int, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._lease_due_ns = self.now_ns
        self._says(self.gantry.receive(self.client.hello(self.now_ns), self.now_ns))

    # --- time ---

    def after(self, delay_ns: int, call: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._later, (self.now_ns + delay_ns, next(self._count), call))

    def run_for(self, span_ns: int) -> None:
        """Let so much time pass, everything at its instant."""
        end_ns = self.now_ns + span_ns
        while (due_ns := self._next_due_ns()) <= end_ns:
            self.now_ns = max(self.now_ns, due_ns)
            self._turn()
        self.now_ns = end_ns

    def _next_due_ns(self) -> int:
        """Say when something happens next."""
        due = [self.session.wake_at_ns, self._lease_due_ns, self.client.wake_at_ns or 0]
        due += [self._later[0][0]] if self._later else []
        due += [] if self.gantry.wake_at_ns is None else [self.gantry.wake_at_ns]
        return min(due)

    def _turn(self) -> None:
        """Let everything happen that is due."""
        while self._later and self._later[0][0] <= self.now_ns:
            heapq.heappop(self._later)[2]()
        self._says(self.gantry.wake(self.now_ns))
        ping = self.client.wake(self.now_ns)
        if ping:
            self._says(self.gantry.receive(ping, self.now_ns))
        if self._lease_due_ns <= self.now_ns:
            self._lease_due_ns = self.now_ns + 40 * MS
            if self.alive and self.armed is not None:
                self.keep_alive()
        if self.session.wake_at_ns <= self.now_ns:
            self.perform(self.session.wake(self.now_ns))

    # --- effects ---

    def perform(self, effects: tuple[Effect, ...]) -> tuple[Effect, ...]:
        """Carry the effects of one call out."""
        for effect in effects:
            match effect:
                case Publish(message):
                    self.messages.append(message)
                    if isinstance(message, Ping):
                        self.after(self.pong_delay_ns, lambda ping=message: self._pong(ping))  # type: ignore[misc]  # bound now
                case Append(number, record):
                    self.records.append(record)
                    self.after(self.fsync_ns, lambda number=number: self._durable(number))  # type: ignore[misc]  # bound now
                case Command(command):
                    self.commands.append((self.now_ns, command))
                    self._says(self.gantry.receive(self.client.command(command), self.now_ns))
        return effects

    def _pong(self, ping: Ping) -> None:
        """Answer a ping on the gate's clock."""
        gate_ns = self.now_ns - self.pong_delay_ns // 2 + self.gate_offset_ns
        self.last_pong = Pong(token=ping.token, ping_at_ns=ping.at_ns, gate_at_ns=gate_ns)
        self.hear(self.last_pong)

    def _durable(self, number: int) -> None:
        """Let the disk be done."""
        self.perform(self.session.durable(number, self.now_ns))

    def _says(self, data: bytes) -> None:
        """Hand on what the gantry says."""
        self.truth += self.gantry.drain_truth()
        for event in self.client.feed(data, self.now_ns):
            if not self.forgotten_acks:
                self.perform(self.session.sense(event, self.now_ns))

    # --- the gate and the operator ---

    def hear(self, message: Message, key: str | None = "gate-1") -> tuple[Effect, ...]:
        """Deliver a message now."""
        return self.perform(self.session.hear(message, key, self.now_ns))

    def ask(self, request: Any, key: str | None = "operator-1", **fields: Any) -> tuple[Effect, ...]:
        """Let the operator ask, with the latest challenge and the right plan unless told otherwise."""
        fields = {"plan_hash": self.status.plan_hash, "challenge": self.status.challenge, **fields}
        return self.hear(OperatorRequest(request=request, name="Ada", **fields), key)

    def permission(self) -> dict[str, Any]:
        """Give session, nonce and the next sequence."""
        armed = self.armed
        assert armed is not None
        self.sequence += 1
        return {"session": armed.session, "nonce": armed.nonce, "sequence": self.sequence}

    def keep_alive(self, **fields: Any) -> tuple[Effect, ...]:
        """Renew the lease: the newest sample is 20 ms old."""
        newest = self.now_ns + self.gate_offset_ns - 20 * MS
        values = {"beat": self.beat, "newest_sample_at_ns": newest, "good_until_ns": newest + 120 * MS, **fields}
        return self.hear(KeepAlive(**self.permission(), **values))

    def trigger(self, **fields: Any) -> Trigger:
        """Make the trigger that an honest gate would send now: opening in 400 ms, no padding."""
        armed, status = self.armed, self.status
        assert armed is not None
        gate_now = self.now_ns + self.gate_offset_ns
        opens = fields.pop("opens_at_ns", gate_now + 400 * MS)
        half = round(self.plan.half_scan_ms * MS)
        values: dict[str, Any] = {
            **self.permission(),
            "plan_hash": armed.plan_hash,
            "beat": self.beat,
            "step": status.next_step if status.next_step is not None else 0,
            "attempt": status.next_attempt if status.next_attempt is not None else 1,
            "r_at_ns": gate_now - 90 * MS,
            "opens_at_ns": opens,
            "closes_at_ns": opens + half,
            "centre_at_ns": opens + half // 2,
            "latest_open_at_ns": opens + 5 * MS,
            "expires_at_ns": opens - round(armed.lead_ms * MS),
            "phase": "diastole",
            "predicted_rr_ms": 1000.0,
            "predicted_rr_low_ms": 950.0,
            "predicted_rr_high_ms": 1050.0,
            "padding_ms": 0.0,
            "reasons": (),
            "sample_arrived_at_ns": gate_now,
            "issued_at_ns": gate_now,
        }
        return Trigger(**{**values, **fields})

    def cancel(self, **fields: Any) -> tuple[Effect, ...]:
        """Withdraw the current beat."""
        values = {"beat": self.beat, "reasons": ("premature",), "at_ns": self.now_ns, **fields}
        return self.hear(Cancel(**{**self.permission(), **values}))

    def inhibit(self, *, latched: bool, **fields: Any) -> tuple[Effect, ...]:
        """Withdraw everything."""
        values = {"latched": latched, "reasons": ("electrode LL is off",), "at_ns": self.now_ns, **fields}
        return self.hear(Inhibit(**{**self.permission(), **values}))

    def book(self, **fields: Any) -> TriggerAnswer:
        """Send an honest trigger for the next beat; gives the answer."""
        self.beat += 1
        self.keep_alive()
        self.last_trigger = self.trigger(**fields)
        self.hear(self.last_trigger)
        answer: TriggerAnswer = self.last(TriggerAnswer)
        return answer

    # --- where it stands ---

    def make_ready(self) -> None:
        """Let scanner and clock become known."""
        self.run_for(1200 * MS)

    def arm(self) -> None:
        """Arm, move to the first step, begin the hold and let it settle."""
        self.make_ready()
        self.ask("arm")
        self.run_for(800 * MS)
        self.ask("begin-hold")
        self.run_for(round(self.plan.settle_s * S))

    def expose(self) -> ExposureReport:
        """Book one beat and let it happen, and the table move after it."""
        self.book()
        self.run_for(700 * MS)
        report: ExposureReport = self.last(ExposureReport)
        self.run_for(750 * MS)
        return report

    def expose_without_move(self) -> None:
        """Book one beat and let it happen, until the table moves."""
        self.book()
        self.run_for(700 * MS)

    def last(self, kind: type[Any]) -> Any:
        """Give the last published message of a kind."""
        return next(message for message in reversed(self.messages) if isinstance(message, kind))

    def state(self) -> SessionState:
        """Give the session's state."""
        return self.session.state

    def count(self, kind: type[Any]) -> int:
        """Count the published messages of a kind."""
        return sum(isinstance(message, kind) for message in self.messages)

    @property
    def status(self) -> ScannerStatus:
        """The last status."""
        if not any(isinstance(message, ScannerStatus) for message in self.messages):
            self.perform(self.session.wake(self.now_ns))
        status: ScannerStatus = self.last(ScannerStatus)
        return status

    @property
    def armed(self) -> Armed | None:
        """The last armed session, ended or not."""
        return next((one for one in reversed(self.messages) if isinstance(one, Armed)), None)

    @property
    def exposes(self) -> list[Expose]:
        """The exposure commands so far."""
        return [command for _, command in self.commands if isinstance(command, Expose)]

    def close(self) -> None:
        """Let the gantry finish what it does."""
        self.run_for(2 * S)


def replaced(message: Any, **fields: Any) -> Any:
    """Give the same message with other values."""
    return msgspec.structs.replace(message, **fields)


@pytest.fixture
def make_rig() -> Callable[..., Rig]:
    """Make rigs with other settings."""
    return Rig


@pytest.fixture
def rig() -> Rig:
    """A bridge just started."""
    return Rig()


@pytest.fixture
def armed_rig() -> Iterator[Rig]:
    """A bridge that is armed, settled and in a breath-hold; ready for its first trigger."""
    rig = Rig()
    rig.arm()
    assert "armed" == rig.session.state, (rig.session.state, rig.status.reasons)
    yield rig
