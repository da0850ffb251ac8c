"""One suite that every installed scanner driver runs through, against its device.

A driver of your own: register it under `diastole.scanner_drivers` and add a world for it to `WORLDS`, which starts a
device (a simulator, a recording, a test stand) and gives the driver's options.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from gating.errors import DeviceError
from scanner_bridge.driver import (
    BeamOff,
    BeamOn,
    DeviceEvent,
    DriverFault,
    Expose,
    ExposureRefused,
    MoveTable,
    ScannerDriver,
    ScannerReady,
    Stop,
    TableSettled,
)
from scanner_bridge.io import registry
from simulators.gantry import Gantry
from simulators.io.tcp import GantryServer
from simulators.scenario import Scanner

MS = 1_000_000


@asynccontextmanager
async def no_world() -> AsyncIterator[dict[str, object]]:
    """Be nothing."""
    yield {}


@asynccontextmanager
async def gantry_world() -> AsyncIterator[dict[str, object]]:
    """Serve a simulated gantry on a free port."""
    server = GantryServer(Gantry(Scanner(table_move_ms=40.0), 10.0, clock_offset_ns=-(10**12)))
    port = await server.start("127.0.0.1", 0)
    try:
        yield {"port": port}
    finally:
        await server.close()


WORLDS = {"null": no_world, "gantry": gantry_world}


@dataclass
class Bench:
    """One opened driver and what it said."""

    driver: ScannerDriver
    events: list[DeviceEvent] = field(default_factory=list)

    async def heard(self, kind: type[DeviceEvent], timeout_s: float = 5.0) -> DeviceEvent:
        """Wait until an event of a kind was said."""
        async with asyncio.timeout(timeout_s):
            while not any(isinstance(event, kind) for event in self.events):
                await asyncio.sleep(0.002)
        return next(event for event in self.events if isinstance(event, kind))


Story = Callable[[Bench], Awaitable[None]]


def play(name: str, story: Story) -> None:
    """Open the driver in its world, play one story, close it."""

    async def whole() -> None:
        """Run it."""
        async with WORLDS[name]() as options:
            bench = Bench(registry.create(name, options))
            await bench.driver.open(bench.events.append)
            try:
                await story(bench)
            finally:
                await bench.driver.close()

    asyncio.run(whole())


def in_ms(span_ms: int) -> int:
    """Give an instant from now."""
    return time.monotonic_ns() + span_ms * MS


every_driver = pytest.mark.parametrize("name", registry.names())
exposing_driver = pytest.mark.parametrize(
    "name", [name for name in registry.names() if name != "null"]
)  # those with control "exposure"; a driver with another control adds its own stories


@every_driver
def test_every_driver_has_a_world_to_be_tested_in(name: str) -> None:
    """A driver without a device in this suite is not tested, and that is a failure."""
    assert name in WORLDS


@every_driver
def test_capabilities_are_complete_and_constant(name: str) -> None:
    """They can be read before opening and do not change by it."""

    async def story(bench: Bench) -> None:
        """Play it."""
        capabilities = bench.driver.capabilities
        assert name == capabilities.name
        assert capabilities.control in {"exposure", "r_pulse", "none"}
        assert capabilities.lead_ns >= 0
        assert (capabilities.max_exposure_ns > 0) == (capabilities.control == "exposure")

    play(name, story)


@every_driver
def test_a_stop_is_obeyed_at_any_time(name: str) -> None:
    """With nothing on, nothing moving, twice in a row."""

    async def story(bench: Bench) -> None:
        """Play it."""
        for _ in range(2):
            await bench.driver.command(Stop("test"))
        await asyncio.sleep(0.02)
        assert not any(isinstance(event, DriverFault | BeamOn) for event in bench.events)

    play(name, story)


@every_driver
def test_an_exposure_that_cannot_be_is_refused_in_words(name: str) -> None:
    """No table was moved: the driver answers ExposureRefused and makes no beam."""

    async def story(bench: Bench) -> None:
        """Play it."""
        if bench.driver.capabilities.control == "exposure":
            await bench.heard(ScannerReady)
        await bench.driver.command(Expose(0, 1, in_ms(50), in_ms(246), in_ms(55)))
        refused = await bench.heard(ExposureRefused)
        assert isinstance(refused, ExposureRefused)
        assert (0, 1) == (refused.step, refused.attempt)
        assert refused.reason
        await asyncio.sleep(0.1)
        assert not any(isinstance(event, BeamOn) for event in bench.events)

    play(name, story)


@every_driver
def test_closing_twice_is_harmless_and_silent(name: str) -> None:
    """After the first close nothing is said any more."""

    async def story(bench: Bench) -> None:
        """Play it."""
        await bench.driver.close()
        said = len(bench.events)
        await bench.driver.close()
        await asyncio.sleep(0.02)
        assert said == len(bench.events)

    play(name, story)


@every_driver
def test_the_stop_line_can_be_held_beside_the_driver(name: str) -> None:
    """The watchdog's line opens while the driver commands, checks, stops, closes."""

    async def story(bench: Bench) -> None:
        """Play it."""

        def hold() -> None:
            """Do it in a thread, as the watchdog does."""
            line = bench.driver.stop_line()
            line.check()
            line.stop("test")
            line.close()

        await asyncio.to_thread(hold)

    play(name, story)


async def settled(bench: Bench) -> None:
    """Wait for the scanner and bring the table to step 0."""
    await bench.heard(ScannerReady)
    await bench.driver.command(MoveTable(0, -54.0))
    event = await bench.heard(TableSettled)
    assert isinstance(event, TableSettled)
    assert (0, -54.0) == (event.step, event.table_mm)


@exposing_driver
def test_an_exposure_happens_at_its_instant_and_is_read_back(name: str) -> None:
    """On and off within 5 ms of what was commanded, on the host's clock."""

    async def story(bench: Bench) -> None:
        """Play it."""
        await settled(bench)
        command = Expose(0, 1, in_ms(80), in_ms(180), in_ms(85))
        await bench.driver.command(command)
        on, off = await bench.heard(BeamOn), await bench.heard(BeamOff)
        assert isinstance(on, BeamOn)
        assert isinstance(off, BeamOff)
        assert (0, 1) == (on.step, on.attempt) == (off.step, off.attempt)
        assert abs(on.at_ns - command.opens_at_ns) < 5 * MS
        assert abs(off.at_ns - command.closes_at_ns) < 5 * MS

    play(name, story)


@exposing_driver
@pytest.mark.parametrize("who", ["driver", "stop line"])
def test_a_stop_ends_a_beam(name: str, who: str) -> None:
    """Either way to the device ends it, within 100 ms."""

    async def story(bench: Bench) -> None:
        """Play it."""
        await settled(bench)
        line = await asyncio.to_thread(bench.driver.stop_line)
        await bench.driver.command(Expose(0, 1, in_ms(50), in_ms(450), in_ms(55)))
        await bench.heard(BeamOn)
        said_at_ns = time.monotonic_ns()
        if who == "driver":
            await bench.driver.command(Stop("test"))
        else:
            await asyncio.to_thread(line.stop, "test")
        off = await bench.heard(BeamOff)
        assert off.at_ns - said_at_ns < 100 * MS
        line.close()

    play(name, story)


@exposing_driver
def test_a_late_command_makes_no_beam(name: str) -> None:
    """After the latest opening the device refuses."""

    async def story(bench: Bench) -> None:
        """Play it."""
        await settled(bench)
        await bench.driver.command(Expose(0, 1, in_ms(-50), in_ms(146), in_ms(-45)))
        await bench.heard(ExposureRefused)
        assert not any(isinstance(event, BeamOn) for event in bench.events)

    play(name, story)


@exposing_driver
def test_closing_the_driver_ends_the_beam(name: str) -> None:
    """A bridge that goes leaves no beam behind: the stop line is the only witness left, and finds nothing to stop."""

    async def story(bench: Bench) -> None:
        """Play it."""
        await settled(bench)
        await bench.driver.command(Expose(0, 1, in_ms(30), in_ms(430), in_ms(35)))
        await bench.heard(BeamOn)
        await bench.driver.close()
        await asyncio.sleep(0.05)
        again = Bench(bench.driver)
        await again.driver.open(again.events.append)
        await settled(again)
        await again.driver.command(Expose(0, 1, in_ms(60), in_ms(160), in_ms(65)))
        await again.heard(BeamOn)

    play(name, story)


@exposing_driver
def test_a_second_commander_is_refused(name: str) -> None:
    """Two bridges, one scanner: the second hears so, the first goes on (hazards.md M10)."""

    async def whole() -> None:
        """Run it."""
        async with WORLDS[name]() as options:
            first, second = (Bench(registry.create(name, options)) for _ in range(2))
            await first.driver.open(first.events.append)
            await first.heard(ScannerReady)
            await second.driver.open(second.events.append)
            await second.heard(DriverFault)
            assert not any(isinstance(event, ScannerReady) for event in second.events)
            await first.driver.command(MoveTable(0, -54.0))
            await first.heard(TableSettled)
            await second.driver.close()
            await first.driver.close()

    asyncio.run(whole())


@exposing_driver
def test_a_device_that_goes_away_is_told_and_its_return_too(name: str) -> None:
    """DriverFault when the connection breaks; no beam can be commanded then."""

    async def whole() -> None:
        """Run it."""
        async with WORLDS[name]() as options:
            bench = Bench(registry.create(name, options))
            await bench.driver.open(bench.events.append)
            await bench.heard(ScannerReady)
        await bench.heard(DriverFault)
        with pytest.raises(DeviceError):
            await bench.driver.command(MoveTable(0, -54.0))
        await bench.driver.close()

    asyncio.run(whole())


@exposing_driver
def test_a_missing_device_is_named_with_the_cure(name: str) -> None:
    """Nobody listens: one sentence and what to do."""

    async def whole() -> None:
        """Run it."""
        async with WORLDS[name]() as options:
            pass
        bench = Bench(registry.create(name, options))
        with pytest.raises(DeviceError, match=";"):
            await bench.driver.open(bench.events.append)
        await bench.driver.close()

    asyncio.run(whole())
