"""The shell: what the bus, the driver, the disk and the clock say goes into the session; its effects go out."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from gating.errors import DeviceError, DiastoleError, PeerError
from gating.io.bus import Heard, Refused
from gating.messages import Message
from scanner_bridge.driver import DeviceEvent, DriverFault, ScannerCommand, ScannerReady
from scanner_bridge.io.audit import AuditLog
from scanner_bridge.io.guard import Guard
from scanner_bridge.io.recorder import Recorder
from scanner_bridge.session import Command, Effect, Publish, Session

MOST_SENDING, MOST_COMMANDS = 64, 64


class Line(Protocol):
    """What the loop needs of the bus."""

    async def run(self, hear: Callable[[Heard | Refused], None], link: Callable[[bool, str], None]) -> None:
        """Stay connected and call back."""

    async def publish(self, message: Message) -> None:
        """Send one message or raise PeerError."""


class Driver(Protocol):
    """What the loop needs of the driver."""

    async def open(self, events: Callable[[DeviceEvent], None]) -> None:
        """Connect and call back."""

    async def command(self, command: ScannerCommand) -> None:
        """Hand one command over or raise DeviceError."""

    async def close(self) -> None:
        """Beam off, let go."""


class BridgeLoop:
    """One session between one bus, one driver and one audit log, in real time."""

    def __init__(
        self,
        session: Session,
        bus: Line,
        driver: Driver,
        audit: AuditLog,
        *,
        command_deadline_s: float,
        tell: Callable[[Message | str], None],
    ) -> None:
        self._session, self._bus, self._driver = session, bus, driver
        self._deadline_s, self._tell = command_deadline_s, tell
        self._sending: set[asyncio.Task[None]] = set()
        self._commands: asyncio.Queue[ScannerCommand] = asyncio.Queue(maxsize=MOST_COMMANDS)
        self._recorder = Recorder(audit, lambda number: self._perform(session.durable(number, time.monotonic_ns())))
        self._timer: asyncio.TimerHandle | None = None
        self._guarded = self._driver_ready = self._mute = False
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, guard: Guard | None) -> None:
        """Run until something ends it; whatever that is, the driver is closed, which stops the beam."""
        self._guarded = guard is None
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self._break(context))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._until_broken())
                tasks.create_task(self._recorder.run())
                await self._driver.open(self.sense)
                tasks.create_task(self._command())
                tasks.create_task(self._bus.run(self._hear, self._link))
                if guard is not None:
                    tasks.create_task(guard.run())
                self._wake()
        except ExceptionGroup as group:
            raise next((one for one in group.exceptions if isinstance(one, DiastoleError)), group) from None
        finally:
            await self._driver.close()
            self._perform(self._session.disconnect("the bridge ends", time.monotonic_ns()))
            if self._timer is not None:
                self._timer.cancel()
            await self._recorder.finish()

    async def _until_broken(self) -> None:
        """Raise what went wrong in a callback."""
        await self._broken

    def _break(self, context: dict[str, object]) -> None:
        """End the bridge for something that went wrong in a callback, where nobody else would see it."""
        error = context.get("exception")
        if not self._broken.done():
            self._broken.set_exception(error if isinstance(error, Exception) else RuntimeError(str(context)))

    # --- what comes in ----------------------------------------------------------------------------------------------

    def _hear(self, heard: Heard | Refused) -> None:
        """Take what the bus heard."""
        now_ns = time.monotonic_ns()
        if isinstance(heard, Refused):
            self._perform(self._session.refuse(heard.reason, now_ns))
        else:
            self._perform(self._session.hear(heard.message, heard.key_id, now_ns))

    def _link(self, up: bool, text: str) -> None:
        """Take the state of the connection to the broker."""
        self._tell(text)
        self._mute = False
        if not up:
            self._perform(self._session.disconnect(text, time.monotonic_ns()))

    def sense(self, event: DeviceEvent) -> None:
        """Take a word of the scanner; it is ready only while its watchdog holds a line too."""
        if isinstance(event, ScannerReady | DriverFault):
            self._driver_ready = isinstance(event, ScannerReady)
        if not isinstance(event, ScannerReady) or self._guarded:
            self._perform(self._session.sense(event, time.monotonic_ns()))

    def guard_says(self, word: str) -> None:
        """Take a word of the watchdog: ready, lost, stopped."""
        self._tell(f"watchdog: {word}")
        self._guarded = word == "ready"
        now_ns = time.monotonic_ns()
        if not self._guarded:
            self._perform(self._session.sense(DriverFault(f"watchdog: {word}", now_ns), now_ns))
            self._guarded = word == "stopped"  # it has said its stop and holds its line still
        if self._guarded and self._driver_ready:
            self._perform(self._session.sense(ScannerReady(now_ns), now_ns))

    def _wake(self) -> None:
        """Wake the session."""
        self._timer = None
        self._perform(self._session.wake(time.monotonic_ns()))

    # --- what goes out ----------------------------------------------------------------------------------------------

    def _perform(self, effects: tuple[Effect, ...]) -> None:
        """Carry the effects out, in order, and wake the session when it asks for it. Never waits."""
        for effect in effects:
            if isinstance(effect, Publish):
                self._publish(effect.message)
            elif isinstance(effect, Command):
                self._commands.put_nowait(effect.command)
            else:
                self._recorder.put(effect)
        if self._timer is not None:
            self._timer.cancel()
        delay_s = max(0.0, (self._session.wake_at_ns - time.monotonic_ns()) / 1e9)
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._wake)

    def _publish(self, message: Message) -> None:
        """Send a message without waiting for it; the order stays, the number is bounded."""
        self._tell(message)
        if len(self._sending) >= MOST_SENDING:
            self._tell(f"not sent, too much is waiting: {type(message).__name__}")
            return
        task = asyncio.get_running_loop().create_task(self._send(message))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, message: Message) -> None:
        """Send one message; a broker that is away is told once, and the lease does the rest."""
        try:
            await self._bus.publish(message)
        except PeerError as error:
            if not self._mute:
                self._tell(f"not sent: {type(message).__name__} ({error})")
            self._mute = True  # once per loss: status and ping would repeat it four times a second

    async def _command(self) -> None:
        """Hand commands to the driver one by one, each within its deadline; a failure is a fault of the scanner."""
        while True:
            command = await self._commands.get()
            try:
                async with asyncio.timeout(self._deadline_s):
                    await self._driver.command(command)
            except (DeviceError, TimeoutError, OSError) as error:
                self.sense(DriverFault(str(error) or "the driver hangs", time.monotonic_ns()))
