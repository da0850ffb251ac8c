"""The simulated gantry over TCP: absolute times ahead, the device begins and ends the beam by itself."""

import asyncio
import contextlib
import select
import socket
import time
from collections.abc import Callable, Mapping

import msgspec

from gating.errors import DeviceError, SettingsError
from gating.units import ns_from_ms
from scanner_bridge.driver import Capabilities, DeviceEvent, DriverFault, ScannerCommand
from scanner_bridge.drivers.gantry_wire import GantryClient, encode_line, word_from

CAPABILITIES = Capabilities(
    name="gantry",
    control="exposure",
    timed_start=True,
    ends_beam_itself=True,
    simulated=True,
    lead_ns=ns_from_ms(20),  # a local network, and the scheduler of a busy machine
    max_exposure_ns=ns_from_ms(500),  # simulators.gantry refuses longer ones by itself
)
RECONNECT_S = 0.5
CONNECT_TIMEOUT_S = 5.0


class GantryOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the gantry listens."""

    port: int
    host: str = "127.0.0.1"


class GantryStopLine:
    """A connection of its own that can say STOP and nothing else; blocking, for the watchdog."""

    def __init__(self, options: GantryOptions) -> None:
        self._options = options
        self._socket: socket.socket | None = None
        self.check()

    def check(self) -> None:
        """Connect if there is no connection, and raise DeviceError if the gantry has closed it."""
        try:
            if self._socket is None:
                self._socket = socket.create_connection((self._options.host, self._options.port), CONNECT_TIMEOUT_S)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._socket.settimeout(CONNECT_TIMEOUT_S)
                self._socket.sendall(encode_line("HELLO", "stop"))
            elif self._closed(self._socket):
                raise ConnectionResetError("closed by the gantry")
        except OSError as error:
            self.close()
            raise DeviceError(f"The gantry's stop line is dead ({error}); is the gantry running?") from error

    @staticmethod
    def _closed(line: socket.socket) -> bool:
        """Tell whether the gantry has hung up, without waiting."""
        readable, _, _ = select.select([line], [], [], 0)
        return bool(readable) and line.recv(4096) == b""

    def stop(self, reason: str) -> None:
        """Say STOP; reconnect once if the line has died meanwhile."""
        self.check()
        assert self._socket is not None
        try:
            self._socket.sendall(encode_line("STOP", word_from(reason)))
        except OSError as error:
            self.close()
            raise DeviceError(f"The gantry did not take a stop ({error}); press its own stop button.") from error

    def close(self) -> None:
        """Give the line up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class GantryDriver(asyncio.Protocol):
    """One controlling connection; comes back by itself when it is lost, and says both."""

    def __init__(self, options: Mapping[str, object]) -> None:
        try:
            self._options = msgspec.convert(dict(options), GantryOptions)
        except msgspec.ValidationError as error:
            raise SettingsError(
                f"[bridge.driver_options] of driver gantry: {error}; it takes host and port."
            ) from error
        self._events: Callable[[DeviceEvent], None] | None = None
        self._client = GantryClient()
        self._transport: asyncio.WriteTransport | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()

    @property
    def capabilities(self) -> Capabilities:
        """Timed start, hard length, simulated."""
        return CAPABILITIES

    async def open(self, events: Callable[[DeviceEvent], None]) -> None:
        """Connect; from then on the keeper keeps the connection and the device's clock."""
        self._events = events
        await self._connect()
        self._keeper = asyncio.create_task(self._keep())

    async def command(self, command: ScannerCommand) -> None:
        """Send one command."""
        if self._transport is None:
            raise DeviceError("The gantry is not connected; is it running?")
        self._transport.write(self._client.command(command))

    async def close(self) -> None:
        """Close the connection, which makes the gantry stop."""
        self._events = None
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def stop_line(self) -> GantryStopLine:
        """Open the watchdog's own connection."""
        return GantryStopLine(self._options)

    # --- the connection ---------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        """Connect with a fresh client."""
        loop = asyncio.get_running_loop()
        self._client, self._lost = GantryClient(), asyncio.Event()
        where = f"{self._options.host}:{self._options.port}"
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await loop.create_connection(lambda: self, self._options.host, self._options.port)
        except (OSError, TimeoutError) as error:
            raise DeviceError(
                f"No gantry answers at {where} ({error}); start it, or mend [bridge.driver_options]."
            ) from error

    async def _keep(self) -> None:
        """Ask for the device's clock in time; notice silence; reconnect after a loss."""
        while self._events is not None:
            if self._transport is None:
                await asyncio.sleep(RECONNECT_S)
                try:
                    await self._connect()
                except DeviceError as error:
                    self._say(DriverFault(str(error)[:80], time.monotonic_ns()))
                continue
            now_ns = time.monotonic_ns()
            if self._client.silent(now_ns):
                self._transport.abort()
            else:
                self._transport.write(self._client.wake(now_ns))
            due_s = ((self._client.wake_at_ns or now_ns) - now_ns) / 1e9
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.001, due_s)):  # not wait_for: on 3.11 it can swallow a cancellation
                    await self._lost.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce ourselves."""
        assert isinstance(transport, asyncio.WriteTransport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport = transport
        transport.write(self._client.hello(time.monotonic_ns()))

    def data_received(self, data: bytes) -> None:
        """Hand on what the device says."""
        for event in self._client.feed(data, time.monotonic_ns()):
            self._say(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Say that nothing is known any more."""
        self._transport = None
        self._lost.set()
        self._say(DriverFault(f"connection lost ({exc or 'closed by the gantry'})", time.monotonic_ns()))

    def _say(self, event: DeviceEvent) -> None:
        """Report an event, if somebody still listens."""
        if self._events is not None:
            self._events(event)
