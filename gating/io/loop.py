"""The gate's shell: feed what came to the gate, publish what it says, sleep until its deadline; it decides nothing.

The reading thread hands over stamped chunks; bus and timer call on the event loop. Each call becomes one turn, and the
gate's clock never runs backwards from one turn to the next.
"""

import asyncio
import functools
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from gating.io.bus import Heard, Refused
from gating.io.journal import GateLike
from gating.messages import CHANNELS, Message
from gating.units import NS_PER_MS, NS_PER_S, Nanoseconds

CHUNKS_WAITING = 1024  # from the reading thread; above it the oldest go, and the counters of the box tell the gap


class Outlet(Protocol):
    """A way out of the gate."""

    def send(self, message: Message) -> None:
        """Take one message; never waits."""


class GateLoop:
    """Joins gate, reading thread, bus and timer. Made on the running event loop; `begin` gives the first turn."""

    def __init__(self, gate: GateLike, *, note: Callable[[str], None]) -> None:
        self._gate = gate
        self.note = note
        self._outlets: dict[bool, Outlet] = {}
        self._loop = asyncio.get_running_loop()
        self._chunks: deque[tuple[bytes, int]] = deque(maxlen=CHUNKS_WAITING)
        self._drain_due = False
        self._broker_lost = False
        self._last_ns = Nanoseconds(0)
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, permission: Outlet, display: Outlet) -> None:
        """Take the ways out and let the gate say its first word."""
        self._outlets = {True: permission, False: display}
        self._wake()

    def end(self) -> None:
        """Take back the alarm; without a further turn there is none."""
        if self._timer is not None:
            self._timer.cancel()

    def chunk(self, data: bytes, now_ns: int) -> None:
        """Take bytes and their stamp, in the reading thread, and hand them to the event loop."""
        self._chunks.append((data, now_ns))
        if not self._drain_due:
            self._drain_due = True
            self._loop.call_soon_threadsafe(self._drain)

    def hear(self, one: Heard | Refused) -> None:
        """Take what the bus heard; what was not believed is only noted."""
        if isinstance(one, Refused):
            self.note(f"Refused a message on {one.topic}: {one.reason}.")
        else:
            self._turn(one.arrived_at_ns, functools.partial(self._gate.hear, one.message))

    def lost(self, reason: str, text: str) -> None:
        """Take a loss of line, clock or broker: a word for the page, a sentence for the log."""
        self.note(text)
        self._turn(time.monotonic_ns(), functools.partial(self._gate.lost, reason))

    def link(self, up: bool, text: str) -> None:
        """Take a change of the permission connection; without it the gate must not think itself armed."""
        if up:
            self._broker_lost = False
            self.note(text)
        else:
            self.broker_failed(text)

    def broker_failed(self, text: str) -> None:
        """Take a failure of the permission connection; told to the gate once per outage."""
        if not self._broker_lost:
            self._broker_lost = True
            self.lost("broker lost", text)

    def broker_took(self) -> None:
        """Take a publish that went well: an outage without a broken line is over."""
        self._broker_lost = False

    def _drain(self) -> None:
        """Feed all chunks that wait."""
        self._drain_due = False
        while self._chunks:
            data, now_ns = self._chunks.popleft()
            self._turn(now_ns, functools.partial(self._gate.receive, data))

    def _wake(self) -> None:
        """Let the gate feel time pass."""
        self._turn(time.monotonic_ns(), self._gate.wake)

    def _turn(self, at_ns: int, ask: Callable[[Nanoseconds], tuple[Message, ...]]) -> None:
        """Feed, publish, set the alarm for the deadline."""
        self._last_ns = Nanoseconds(max(at_ns, self._last_ns))
        for message in ask(self._last_ns):
            self._outlets[CHANNELS[type(message)].permission].send(message)
        self.end()
        if self._gate.wake_at_ns is not None:
            soonest_ns = self._last_ns + NS_PER_MS  # a deadline in the past must not spin the loop
            self._timer = self._loop.call_at(max(self._gate.wake_at_ns, soonest_ns) / NS_PER_S, self._wake)
