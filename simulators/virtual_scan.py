"""The whole chain in virtual time: box, gate, session and gantry joined by calls, with faults injected between them.

The objects are the very ones that run on the real wires. Time is a number that jumps to the next event; a message takes
as long as the drawn delay says; an audit record becomes durable a drawn time later. A run is a pure function of its
arguments: two runs are identical.
"""

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import msgspec
import numpy as np

from gating.gate import Gate
from gating.judge import Judge
from gating.messages import CHANNELS, AcquisitionPlan, Message, OperatorRequest, Permission, Trigger
from gating.settings import GateSettings
from gating.units import NS_PER_MS, NS_PER_S, Nanoseconds
from scanner_bridge.driver import Capabilities
from scanner_bridge.drivers.gantry_wire import GantryClient
from scanner_bridge.session import Append, Command, Effect, Publish, Session
from scanner_bridge.settings import BridgeSettings
from simulators.ecg_box import EcgBox
from simulators.gantry import BeamTruth, Gantry
from simulators.operator import Operator

KEYS = {"gate-key": "gate", "bridge-key": "bridge", "operator-key": "operator"}
LISTENERS = {"gate": ("bridge", "operator"), "bridge": ("gate", "operator"), "operator": ("bridge",)}
START_NS = 1_000 * NS_PER_S


@dataclass(frozen=True, slots=True)
class BusFaults:
    """What goes wrong between the processes; all chances are per message, and all zero by default."""

    drop: float = 0.0
    duplicate: float = 0.0
    late: float = 0.0  # held back up to `late_ms`, overtaken by later messages
    late_ms: float = 800.0
    forge: float = 0.0  # a stranger sends a copy of a trigger under a key of his own
    replay: float = 0.0  # an old message of permission is sent again, signature and all
    down_s: tuple[tuple[float, float], ...] = ()  # patient time in which the broker carries nothing


@dataclass(frozen=True, slots=True)
class Passed:
    """One message at one place: sent by, or come to, `place` at `at_ns`. `key_id` is whose signature it bears."""

    at_ns: int
    place: str  # "gate", "bridge", "operator"
    verb: str  # "sent", "heard"
    message: Message
    key_id: str


@dataclass(frozen=True, slots=True)
class GateCall:
    """One call of the gate with what it returned: the journal of a virtual run."""

    verb: str  # "receive", "hear", "wake"
    now_ns: int
    argument: bytes | Message | None
    returned: tuple[Message, ...]


@dataclass(slots=True)
class VirtualRun:
    """Everything that happened, in order."""

    plan: AcquisitionPlan
    started_at_ns: int
    ended_at_ns: int = 0
    passed: list[Passed] = field(default_factory=list)
    calls: list[GateCall] = field(default_factory=list)
    audit: list[dict[str, object]] = field(default_factory=list)
    beams: list[BeamTruth] = field(default_factory=list)

    def heard(self) -> tuple[tuple[int, Message], ...]:
        """List what an observer of the bus heard: every authentic message when it was sent."""
        return tuple((one.at_ns, one.message) for one in self.passed if one.verb == "sent" and one.key_id in KEYS)


class VirtualScan:
    """One scan in virtual time; `run` gives the VirtualRun.

    The operator begins the hold when the patient does, at `hold_begins_at_s` of patient time.
    """

    def __init__(
        self,
        *,
        box: EcgBox,
        gate: GateSettings,
        judge: Judge,
        bridge: BridgeSettings,
        plan: AcquisitionPlan,
        gantry: Gantry,
        capabilities: Capabilities,
        hold_begins_at_s: float,
        rng: np.random.Generator,
        faults: BusFaults | None = None,
        started_at_ns: int = START_NS,
    ) -> None:
        self._box, self._gantry = box, gantry
        self._gate = Gate(gate, judge)
        self._client = GantryClient()
        self._session = Session(plan, capabilities, bridge, KEYS, _tokens(rng))
        self._rng = rng
        self._faults = faults or BusFaults()
        self._started_at_ns = started_at_ns
        self._operator = Operator(started_at_ns + round(hold_begins_at_s * NS_PER_S))
        self._events: list[tuple[int, int, Callable[[int], None]]] = []
        self._count = 0
        self._delivered_at: dict[tuple[str, str], int] = {}
        self._old: list[Permission] = []
        self.result = VirtualRun(plan=plan, started_at_ns=started_at_ns)

    def run(self, limit_s: float = 60.0) -> VirtualRun:
        """Run until the session is over, or `limit_s` of patient time have passed."""
        now_ns, end_ns = self._started_at_ns, self._started_at_ns + round(limit_s * NS_PER_S)
        self._box.receive(self._box.frontend.declaration.start, now_ns)  # the gate's port says it when it opens
        self._to_gantry(self._client.hello(now_ns), now_ns)
        self._do(self._session.wake(now_ns), now_ns)
        while True:
            now_ns, act = self._next(now_ns)
            if now_ns > end_ns or self._operator.is_done(now_ns):
                break
            act(now_ns)
        self.result.ended_at_ns = now_ns
        self.result.beams = list(self._gantry.drain_truth())
        return self.result

    # --- time -------------------------------------------------------------------------------------------------------

    def _next(self, now_ns: int) -> tuple[int, Callable[[int], None]]:
        """Give the next thing that happens: an event, or an actor who wants to be woken. Ties go in a fixed order."""
        wakes: list[tuple[int | None, Callable[[int], None]]] = [
            (self._box.wake_at_ns, self._wake_box),
            (self._gantry.wake_at_ns, self._wake_gantry),
            (self._client.wake_at_ns, self._wake_client),
            (self._gate.wake_at_ns, self._wake_gate),
            (self._session.wake_at_ns, self._wake_session),
            (self._operator.wake_at_ns, self._wake_operator),
        ]
        due, act = min(((at, act) for at, act in wakes if at is not None), key=lambda one: one[0])
        if self._events and self._events[0][0] <= due:
            at_ns, _, act = heapq.heappop(self._events)
            return max(at_ns, now_ns), act
        return max(due, now_ns), act

    def _at(self, at_ns: int, act: Callable[[int], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (at_ns, self._count, act))

    def _wake_box(self, now_ns: int) -> None:
        data = self._box.wake(now_ns)
        if data:
            read_at_ns = now_ns + round(self._rng.uniform(0.1, 1.0) * NS_PER_MS)
            self._at(read_at_ns, lambda at_ns: self._gate_call("receive", data, at_ns))

    def _wake_gantry(self, now_ns: int) -> None:
        self._from_gantry(self._gantry.wake(now_ns), now_ns)

    def _wake_client(self, now_ns: int) -> None:
        self._to_gantry(self._client.wake(now_ns), now_ns)

    def _wake_gate(self, now_ns: int) -> None:
        self._gate_call("wake", None, now_ns)

    def _wake_session(self, now_ns: int) -> None:
        self._do(self._session.wake(now_ns), now_ns)

    # --- gate -------------------------------------------------------------------------------------------------------

    def _gate_call(self, verb: str, argument: bytes | Message | None, at_ns: int) -> None:
        now_ns = Nanoseconds(at_ns)
        if isinstance(argument, bytes):
            returned = self._gate.receive(argument, now_ns)
        elif isinstance(argument, Message):
            returned = self._gate.hear(argument, now_ns)
        else:
            returned = self._gate.wake(now_ns)
        self.result.calls.append(GateCall(verb, now_ns, argument, returned))
        for message in returned:
            self._send("gate", message, now_ns)

    # --- the bus ----------------------------------------------------------------------------------------------------

    def _send(self, sender: str, message: Message, now_ns: int, key_id: str | None = None) -> None:
        key = key_id or f"{sender}-key"
        self.result.passed.append(Passed(now_ns, sender, "sent", message, key))
        if self._is_down(now_ns):
            return
        for place in LISTENERS[sender]:
            if place == "bridge" and not CHANNELS[type(message)].permission:
                continue  # the bridge hears no display
            if self._rng.random() < self._faults.drop:
                continue
            copies = 2 if self._rng.random() < self._faults.duplicate else 1
            for _ in range(copies):
                self._at(self._arrival(sender, place, now_ns), self._delivery(place, message, key))
        if isinstance(message, Permission) and key in KEYS:
            self._mischief(message, now_ns)

    def _arrival(self, sender: str, place: str, now_ns: int) -> int:
        """Draw when a message comes: in order on one way, but for those held back."""
        delay_ms = 0.5 + self._rng.exponential(0.7)
        if self._faults.late and self._rng.random() < self._faults.late:
            return now_ns + round((delay_ms + self._rng.uniform(0, self._faults.late_ms)) * NS_PER_MS)
        at_ns = max(now_ns + round(delay_ms * NS_PER_MS), self._delivered_at.get((sender, place), 0) + 1)
        self._delivered_at[sender, place] = at_ns
        return at_ns

    def _is_down(self, now_ns: int) -> bool:
        second = (now_ns - self._started_at_ns) / NS_PER_S
        return any(begin <= second < end for begin, end in self._faults.down_s)

    def _mischief(self, message: Permission, now_ns: int) -> None:
        """Let a stranger forge a trigger, or somebody send an old message again."""
        if isinstance(message, Trigger) and self._rng.random() < self._faults.forge:
            forged = msgspec.structs.replace(message, sequence=message.sequence + 1, attempt=message.attempt + 1)
            self._at(now_ns + 2 * NS_PER_MS, self._delivery("bridge", forged, "stranger-key"))
        if self._old and self._rng.random() < self._faults.replay:
            old = self._old[int(self._rng.integers(len(self._old)))]
            self._at(now_ns + 3 * NS_PER_MS, self._delivery("bridge", old, "gate-key"))
        if isinstance(message, Trigger):
            self._old = [*self._old[-31:], message]

    def _delivery(self, place: str, message: Message, key_id: str) -> Callable[[int], None]:
        def deliver(now_ns: int) -> None:
            self.result.passed.append(Passed(now_ns, place, "heard", message, key_id))
            if place == "gate":
                self._gate_call("hear", message, now_ns)
            elif place == "operator":
                self._operate(self._operator.hear(message, now_ns), now_ns)
            elif key_id in KEYS:
                self._do(self._session.hear(message, key_id, now_ns), now_ns)
            else:
                self._do(self._session.refuse("unknown-key", now_ns), now_ns)

        return deliver

    # --- the operator -----------------------------------------------------------------------------------------------

    def _operate(self, requests: tuple[OperatorRequest, ...], now_ns: int) -> None:
        for request in requests:
            self._send("operator", request, now_ns)

    def _wake_operator(self, now_ns: int) -> None:
        self._operate(self._operator.wake(now_ns), now_ns)

    # --- the bridge -------------------------------------------------------------------------------------------------

    def _do(self, effects: tuple[Effect, ...], now_ns: int) -> None:
        for effect in effects:
            match effect:
                case Publish():
                    self._send("bridge", effect.message, now_ns)
                case Append():
                    self.result.audit.append(dict(effect.record))
                    self._at(now_ns + round(self._rng.uniform(1, 12) * NS_PER_MS), self._durable(effect.number))
                case Command():
                    self._to_gantry(self._client.command(effect.command), now_ns)

    def _durable(self, number: int) -> Callable[[int], None]:
        return lambda now_ns: self._do(self._session.durable(number, now_ns), now_ns)

    # --- the scanner ------------------------------------------------------------------------------------------------

    def _to_gantry(self, data: bytes, now_ns: int) -> None:
        if data:
            at_ns = now_ns + round(self._rng.uniform(0.1, 0.6) * NS_PER_MS)
            self._at(at_ns, lambda now: self._from_gantry(self._gantry.receive(data, now), now))

    def _from_gantry(self, data: bytes, now_ns: int) -> None:
        if data:
            at_ns = now_ns + round(self._rng.uniform(0.1, 0.6) * NS_PER_MS)
            self._at(at_ns, lambda now: self._sense(data, now))

    def _sense(self, data: bytes, now_ns: int) -> None:
        for event in self._client.feed(data, now_ns):
            self._do(self._session.sense(event, now_ns), now_ns)


def _tokens(rng: np.random.Generator) -> Iterator[str]:
    """Draw nonces and challenges from the seed; the real shell draws them from the operating system."""
    while True:
        yield rng.bytes(16).hex()
