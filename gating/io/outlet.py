"""Two ways out of the gate: permission, in order and told when it fails; display, drop-oldest and never waited for."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from gating.errors import PeerError
from gating.messages import Message

DISPLAY_BACKLOG = 50  # two seconds of 25 strips: older ones are of no use to an eye


class Publisher(Protocol):
    """What an outlet needs of a bus."""

    async def publish(self, message: Message) -> None:
        """Send one message or raise PeerError."""


class PermissionOutlet:
    """Publishes each message at once, in the order of the calls; how many may be under way is bounded by the bus."""

    def __init__(self, bus: Publisher, failed: Callable[[str], None], sent: Callable[[], None]) -> None:
        self._bus = bus
        self._failed = failed
        self._sent = sent
        self._under_way: set[asyncio.Task[None]] = set()

    def send(self, message: Message) -> None:
        """Start to publish; a failure is told through `failed`."""
        task = asyncio.ensure_future(self._publish(message))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def flush(self, seconds: float) -> None:
        """Give what is under way so long to leave."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=seconds)

    async def _publish(self, message: Message) -> None:
        """Publish one message and tell how it went."""
        try:
            await self._bus.publish(message)
        except PeerError as error:
            self._failed(str(error))
        else:
            self._sent()


class DisplayOutlet:
    """Publishes for the eye: a bounded backlog, the oldest dropped first; a broken line only counts."""

    def __init__(self, bus: Publisher) -> None:
        self._bus = bus
        self._backlog: deque[Message] = deque(maxlen=DISPLAY_BACKLOG)
        self._any = asyncio.Event()
        self.dropped = 0

    def send(self, message: Message) -> None:
        """Take one message; the oldest goes when there is no room."""
        self.dropped += len(self._backlog) == DISPLAY_BACKLOG
        self._backlog.append(message)
        self._any.set()

    async def run(self) -> None:
        """Publish one after the other until cancelled."""
        while True:
            await self._any.wait()
            while self._backlog:
                try:
                    await self._bus.publish(self._backlog.popleft())
                except PeerError:
                    self.dropped += 1
            self._any.clear()
