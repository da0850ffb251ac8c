"""The gate's shell: one turn per call, in order, on time, and every loss told once."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from gating.errors import PeerError
from gating.io.bus import Heard, Refused
from gating.io.loop import CHUNKS_WAITING, GateLoop
from gating.io.outlet import DISPLAY_BACKLOG, DisplayOutlet, PermissionOutlet
from gating.io.watch import watch
from gating.messages import Beat, KeepAlive, Message, Ping, Pong
from gating.units import Nanoseconds

PING = Ping(token="t", at_ns=1)


def a_keep_alive(sequence: int) -> KeepAlive:
    """Make a message of permission."""
    return KeepAlive(session="s", nonce="n", sequence=sequence, beat=1, newest_sample_at_ns=0, good_until_ns=0)


def a_beat(number: int) -> Beat:
    """Make a message for the eye."""
    return Beat(
        number=number,
        stage="confirmed",
        r_at_ns=0,
        uncertainty_ns=0,
        beat_kind="normal",
        confidence=1.0,
        lead="II",
        rr_interval_ms=None,
        sample_arrived_at_ns=0,
        decided_at_ns=0,
    )


@dataclass
class FakeGate:
    """Remembers its calls; says one message of each kind per block; wants to be woken when told so."""

    calls: list[tuple[str, Any, int]] = field(default_factory=list)
    wake_at_ns: int | None = None

    def receive(self, data: bytes, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Take bytes."""
        self.calls.append(("receive", data, now_ns))
        return (a_keep_alive(len(self.calls)), a_beat(len(self.calls)))

    def hear(self, message: Message, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Take a message."""
        self.calls.append(("hear", message, now_ns))
        return (Pong(token="t", ping_at_ns=1, gate_at_ns=now_ns),)

    def wake(self, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Let time pass."""
        self.calls.append(("wake", None, now_ns))
        return ()

    def lost(self, reason: str, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Hear of a loss."""
        self.calls.append(("lost", reason, now_ns))
        return ()

    def named(self, call: str) -> list[tuple[str, Any, int]]:
        """The calls of one name."""
        return [one for one in self.calls if one[0] == call]


@dataclass
class FakeOutlet:
    """Keeps what was sent."""

    sent: list[Message] = field(default_factory=list)

    def send(self, message: Message) -> None:
        """Take one message."""
        self.sent.append(message)


@dataclass
class Rig:
    """A loop with fakes around it."""

    gate: FakeGate
    permission: FakeOutlet
    display: FakeOutlet
    notes: list[str]
    loop: GateLoop


def in_a_rig(scenario: Callable[[Rig], Coroutine[Any, Any, None]]) -> None:
    """Run a scenario on a fresh event loop with a fresh rig."""

    async def run() -> None:
        """Build the rig and play."""
        notes: list[str] = []
        gate, permission, display = FakeGate(), FakeOutlet(), FakeOutlet()
        rig = Rig(gate, permission, display, notes, GateLoop(gate, note=notes.append))
        rig.loop.begin(permission, display)
        try:
            await scenario(rig)
        finally:
            rig.loop.end()

    asyncio.run(run())


def test_the_first_turn_lets_the_gate_speak() -> None:
    """A gate that has seen nothing is woken once, so that it can say so."""

    async def scenario(rig: Rig) -> None:
        """Play it."""
        assert ["wake"] == [call for call, _, _ in rig.gate.calls]

    in_a_rig(scenario)


def test_chunks_from_the_reading_thread_become_turns_in_their_order_and_with_their_stamps() -> None:
    """And what the gate says leaves by the way of its kind."""

    async def scenario(rig: Rig) -> None:
        """Play it."""
        base_ns = time.monotonic_ns() + 1_000_000

        def read() -> None:
            """Be the reading thread."""
            for number in range(5):
                rig.loop.chunk(bytes([number]), base_ns + number)

        thread = threading.Thread(target=read)
        thread.start()
        await asyncio.to_thread(thread.join)
        await asyncio.sleep(0.01)
        expected = [("receive", bytes([number]), base_ns + number) for number in range(5)]
        assert expected == rig.gate.named("receive")
        assert [KeepAlive] * 5 == [type(message) for message in rig.permission.sent]
        assert [Beat] * 5 == [type(message) for message in rig.display.sent]

    in_a_rig(scenario)


def test_the_gates_clock_never_runs_backwards() -> None:
    """A chunk read before, but fed after a message was heard, is fed at the later instant."""

    async def scenario(rig: Rig) -> None:
        """Play it."""
        late_ns = time.monotonic_ns() + 10**9
        rig.loop.hear(Heard(PING, "key", late_ns))
        rig.loop.chunk(b"x", late_ns - 5)
        await asyncio.sleep(0.01)
        assert [("receive", b"x", late_ns)] == rig.gate.named("receive")

    in_a_rig(scenario)


def test_a_stalled_loop_keeps_a_bounded_number_of_chunks() -> None:
    """The oldest go; the box's counters tell the gate of the gap."""

    async def scenario(rig: Rig) -> None:
        """Play it."""
        for number in range(CHUNKS_WAITING + 10):
            rig.loop.chunk(number.to_bytes(2, "big"), time.monotonic_ns())
        await asyncio.sleep(0.1)
        received = rig.gate.named("receive")
        assert (CHUNKS_WAITING, (10).to_bytes(2, "big")) == (len(received), received[0][1])

    in_a_rig(scenario)


def test_heard_messages_are_fed_and_refused_ones_noted() -> None:
    """A refused message never reaches the gate."""

    async def scenario(rig: Rig) -> None:
        """Play it."""
        now_ns = time.monotonic_ns()
        rig.loop.hear(Heard(PING, "key", now_ns))
        rig.loop.hear(Refused("bad-signature", "gating/test/scanner/ping", now_ns))
        assert [("hear", PING, now_ns)] == rig.gate.named("hear")
        assert [Pong] == [type(message) for message in rig.permission.sent]
        assert ["Refused a message on gating/test/scanner/ping: bad-signature."] == rig.notes

    in_a_rig(scenario)


def test_the_gate_is_woken_at_its_deadline(until: Callable[..., Any]) -> None:
    """Not before, soon after, and not in a circle while the deadline lies in the past."""

    async def scenario(rig: Rig) -> None:
        """Play it."""
        due_ns = time.monotonic_ns() + 50_000_000
        rig.gate.wake_at_ns = due_ns
        rig.loop.hear(Heard(PING, "key", time.monotonic_ns()))
        await until(lambda: len(rig.gate.named("wake")) > 1)
        assert due_ns - 1_000_000 <= rig.gate.named("wake")[1][2] <= due_ns + 500_000_000
        began_ns, before = time.monotonic_ns(), len(rig.gate.named("wake"))
        await asyncio.sleep(0.05)
        passed_ms = (time.monotonic_ns() - began_ns) / 1e6
        assert len(rig.gate.named("wake")) - before <= passed_ms + 2

    in_a_rig(scenario)


def test_a_broken_link_is_told_to_the_gate_once_per_outage() -> None:
    """By the link or by a failed publish, whichever comes first; the next outage is told again."""

    async def scenario(rig: Rig) -> None:
        """Play it."""
        rig.loop.link(True, "up")
        rig.loop.broker_failed("not sent")
        rig.loop.link(False, "down")
        assert ["broker lost"] == [reason for _, reason, _ in rig.gate.named("lost")]
        rig.loop.link(True, "up")
        rig.loop.link(False, "down")
        rig.loop.broker_took()
        rig.loop.broker_failed("no ack")
        assert ["broker lost"] * 3 == [reason for _, reason, _ in rig.gate.named("lost")]

    in_a_rig(scenario)


@dataclass
class FakeBus:
    """Publishes as told: at once, never, or with an error."""

    sent: list[Message] = field(default_factory=list)
    error: str | None = None
    release: asyncio.Event | None = None

    async def publish(self, message: Message) -> None:
        """Send one message."""
        if self.error is not None:
            raise PeerError(self.error)
        self.sent.append(message)
        if self.release is not None:
            await self.release.wait()


def test_permission_leaves_in_order_without_waiting_for_acks() -> None:
    """A slow ack of one message does not hold the next one."""

    async def scenario() -> None:
        """Play it."""
        bus = FakeBus(release=asyncio.Event())
        ends: list[str] = []
        outlet = PermissionOutlet(bus, ends.append, lambda: ends.append("sent"))
        messages = [a_keep_alive(number) for number in range(5)]
        for message in messages:
            outlet.send(message)
        await asyncio.sleep(0.01)
        assert (messages, []) == (bus.sent, ends)
        assert bus.release is not None
        bus.release.set()
        await outlet.flush(1)
        bus.error = "the broker is away"
        outlet.send(messages[0])
        await outlet.flush(1)
        assert ["sent"] * 5 + ["the broker is away"] == ends

    asyncio.run(scenario())


def test_display_drops_the_oldest_and_waits_for_nobody() -> None:
    """A stuck line costs old strips, and a broken one costs nothing but strips."""

    async def scenario() -> None:
        """Play it."""
        bus = FakeBus(release=asyncio.Event())
        outlet = DisplayOutlet(bus)
        task = asyncio.ensure_future(outlet.run())
        outlet.send(a_beat(0))
        await asyncio.sleep(0.01)
        for number in range(1, DISPLAY_BACKLOG + 11):
            outlet.send(a_beat(number))
        assert 10 == outlet.dropped
        assert bus.release is not None
        bus.release.set()
        await asyncio.sleep(0.01)
        assert [0, *range(11, DISPLAY_BACKLOG + 11)] == [m.number for m in bus.sent if isinstance(m, Beat)]
        bus.error = "away"
        outlet.send(a_beat(99))
        await asyncio.sleep(0.01)
        assert 11 == outlet.dropped
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())


def test_a_late_loop_and_a_sleeping_host_are_told() -> None:
    """A turn more than 20 ms late, and a gap of more than 50 ms between the clocks, each once."""

    async def scenario() -> None:
        """Play it."""
        late: list[float] = []
        slept: list[int] = []
        asleep_ns = 0
        task = asyncio.ensure_future(watch(late.append, lambda: slept.append(1), slept_ns=lambda: asleep_ns))
        await asyncio.sleep(0.05)
        late.clear()  # a busy machine may be late by itself
        time.sleep(0.1)  # the stall that is tested
        asleep_ns = 60_000_000
        await asyncio.sleep(0.1)
        assert max(late) > 50
        assert [1] == slept
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(scenario())
