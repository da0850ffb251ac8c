"""A bridge in real time without a broker: a scripted wire on one side, a gantry on TCP on the other."""

import asyncio
import itertools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gating.errors import PeerError
from gating.io.bus import Heard, Refused
from gating.messages import (
    Armed,
    KeepAlive,
    Message,
    OperatorRequest,
    Ping,
    Pong,
    ScannerStatus,
    Trigger,
)
from scanner_bridge.io.audit import AuditLog
from scanner_bridge.io.guard import Guard
from scanner_bridge.io.loop import BridgeLoop
from scanner_bridge.io.registry import create_from
from scanner_bridge.plan import plan_from
from scanner_bridge.session import Session
from scanner_bridge.settings import BridgeSettings, PlanSettings, WatchdogSettings
from simulators.gantry import Gantry
from simulators.io.tcp import GantryServer
from simulators.scenario import Scanner

MS = 1_000_000
KEYS = {"gate-1": "gate", "operator-1": "operator"}


class Wire:
    """A bus without a broker: what the bridge says is kept, and a scripted gate and operator answer."""

    def __init__(self) -> None:
        self.said: list[Message] = []
        self.beat = 10
        self.sequence = 0
        self.lease = True
        self._hear: Callable[[Heard | Refused], None] = lambda *_: None
        self.link: Callable[[bool, str], None] = lambda *_: None
        self.broken = False

    async def run(self, hear: Callable[[Heard | Refused], None], link: Callable[[bool, str], None]) -> None:
        """Renew the lease every 40 ms for ever."""
        self._hear, self.link = hear, link
        link(True, "connected")
        while True:
            await asyncio.sleep(0.04)
            if self.lease and self.armed is not None:
                self.keep_alive()

    async def publish(self, message: Message) -> None:
        """Keep the message; answer a ping at once."""
        if self.broken:
            raise PeerError("No broker; start it.")
        self.said.append(message)
        if isinstance(message, Ping):
            self.hear(Pong(token=message.token, ping_at_ns=message.at_ns, gate_at_ns=time.monotonic_ns()))

    def hear(self, message: Message, key: str = "gate-1") -> None:
        """Deliver a message to the bridge."""
        self._hear(Heard(message, key, time.monotonic_ns()))

    def ask(self, request: Any) -> None:
        """Ask as the operator with the latest challenge."""
        status = self.status
        self.hear(
            OperatorRequest(request=request, name="Ada", plan_hash=status.plan_hash, challenge=status.challenge),
            "operator-1",
        )

    def keep_alive(self) -> None:
        """Renew the lease."""
        newest = time.monotonic_ns() - 20 * MS
        self.hear(
            KeepAlive(**self._permission(), beat=self.beat, newest_sample_at_ns=newest, good_until_ns=newest + 120 * MS)
        )

    def trigger(self, ahead_ms: int = 250) -> None:
        """Send an honest trigger for the next beat."""
        self.beat += 1
        self.keep_alive()
        status, now = self.status, time.monotonic_ns()
        opens, half = now + ahead_ms * MS, 196 * MS
        assert status.next_step is not None
        assert status.next_attempt is not None
        self.hear(
            Trigger(
                **self._permission(),
                plan_hash=status.plan_hash,
                beat=self.beat,
                step=status.next_step,
                attempt=status.next_attempt,
                r_at_ns=now - 90 * MS,
                opens_at_ns=opens,
                closes_at_ns=opens + half,
                centre_at_ns=opens + half // 2,
                latest_open_at_ns=opens + 5 * MS,
                expires_at_ns=opens - 20 * MS,
                phase="diastole",
                predicted_rr_ms=None,
                predicted_rr_low_ms=None,
                predicted_rr_high_ms=None,
                padding_ms=0.0,
                reasons=(),
                sample_arrived_at_ns=now,
                issued_at_ns=now,
            )
        )

    def _permission(self) -> dict[str, Any]:
        """Give session, nonce and the next sequence."""
        armed = self.armed
        assert armed is not None
        self.sequence += 1
        return {"session": armed.session, "nonce": armed.nonce, "sequence": self.sequence}

    @property
    def status(self) -> ScannerStatus:
        """The latest status."""
        return next(one for one in reversed(self.said) if isinstance(one, ScannerStatus))

    @property
    def armed(self) -> Armed | None:
        """The latest session."""
        return next((one for one in reversed(self.said) if isinstance(one, Armed)), None)

    async def until(self, what: Callable[[], bool], timeout_s: float = 15.0) -> None:
        """Wait for something."""
        async with asyncio.timeout(timeout_s):
            while not what():
                await asyncio.sleep(0.002)

    async def until_state(self, *states: str) -> None:
        """Wait for a state of the session."""
        await self.until(lambda: any(isinstance(one, ScannerStatus) for one in self.said))
        await self.until(lambda: self.status.state in states)


class Site:
    """A gantry on a port, a bridge on it, and a wire."""

    def __init__(self, folder: Path, *, guarded: bool = False) -> None:
        self.folder, self.guarded = folder, guarded
        self.wire = Wire()
        self.told: list[str] = []
        self.gantry = Gantry(Scanner(table_move_ms=60.0), 0.0, clock_offset_ns=10**15)
        self.truth_file = folder / "beam.jsonl"
        self.guard: Guard | None = None

    async def play(self, story: Callable[["Site"], Any]) -> None:
        """Run the bridge while the story goes on."""
        with self.truth_file.open("a") as file:
            self.server = GantryServer(self.gantry, file)
            self.port = await self.server.start("127.0.0.1", 0)
            self.settings = BridgeSettings(
                driver="gantry",
                driver_options={"port": self.port},
                plan=PlanSettings(settle_s=0.1),
                command_deadline_ms=1000.0,
                watchdog=WatchdogSettings(silence_ms=250.0),
            )
            driver = create_from(self.settings)
            tokens = (f"token-{n}" for n in itertools.count())
            session = Session(plan_from(self.settings.plan), driver.capabilities, self.settings, KEYS, tokens)
            self.audit = AuditLog(self.folder / "audit.log")
            self.loop = BridgeLoop(session, self.wire, driver, self.audit, command_deadline_s=1.0, tell=self._tell)
            self.guard = Guard(self.settings, self.loop.guard_says) if self.guarded else None
            running = asyncio.ensure_future(self.loop.run(self.guard))
            telling = asyncio.ensure_future(story(self))
            try:
                done, _ = await asyncio.wait({running, telling}, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                running.cancel()
                telling.cancel()
                await asyncio.gather(running, telling, return_exceptions=True)
                await self.server.close()
                self.audit.close()

    async def arm(self) -> None:
        """Arm and begin the hold."""
        wire = self.wire
        await wire.until_state("disarmed")
        await wire.until(lambda: wire.status.clock_uncertainty_ns is not None)
        while wire.status.state == "disarmed":
            wire.ask("arm")
            await asyncio.sleep(0.1)
        await wire.until_state("armed")
        wire.ask("begin-hold")
        await asyncio.sleep(0.2)

    async def scan_until(self, state: str) -> None:
        """Trigger every beat that may be, until a state is reached."""
        async with asyncio.timeout(30):
            while self.wire.status.state != state:
                if self.wire.status.state == "armed":
                    self.wire.trigger()
                await asyncio.sleep(0.02)

    def _tell(self, what: Message | str) -> None:
        """Keep what is told."""
        self.told.append(what if isinstance(what, str) else type(what).__name__)

    @property
    def beams(self) -> list[dict[str, Any]]:
        """What the gantry wrote down."""
        return [json.loads(line) for line in self.truth_file.read_text().splitlines()]
