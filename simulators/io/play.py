"""`diastole demo`: one whole scan, every part in a process of its own, meeting only on the wire.

Broker, gantry, bridge, page, ECG box and gate are started as a user would start them, with fresh keys; the demo itself
is the operator, and hears the bus like anybody. After the scan it ends them, and puts said and true together.
"""

import asyncio
import contextlib
import errno
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.console import Console

from gating.errors import DeviceError, PeerError, SettingsError
from gating.io.bus import Bus, Heard, Refused
from gating.io.keys import Keyring, make_keys
from gating.messages import CHANNELS, EcgBlock, KeepAlive, Message, OperatorRequest, Ping, Pong
from gating.settings import MqttSettings
from gating.units import NS_PER_S
from scanner_bridge.plan import plan_from
from simulators.io.outcome import Story, finish, open_out
from simulators.io.processes import Processes
from simulators.io.scenarios import load_scenario
from simulators.io.site import site_toml
from simulators.io.teller import Teller, summary
from simulators.operator import Operator
from simulators.report import BeamAt, BeatAt, ScanLog
from simulators.scenario import Scenario, reseeded
from simulators.stage import LONGEST_S, ecg_of, plan_settings, seed_angle_deg

T = TypeVar("T")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
UNHEARD = (KeepAlive, EcgBlock, Ping, Pong)  # of no use to the report
SITE = "demo"
BROKER_S = 3.0  # for a broker to take a connection
EXAMPLE = "Example: diastole demo --scenario pvc --seed 7 --out out/pvc"


@app.callback()
def room() -> None:
    """Run one whole simulated scan."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asked for."""

    scenario: Scenario
    out: Path
    record: str | None
    record_from_s: float
    broker: tuple[str, int] | None
    stay: bool
    page: bool


@app.command(epilog=EXAMPLE)
def demo(
    scenario: Annotated[str, typer.Option(help="Name of a scenario, or a TOML file.")] = "steady",
    ecg: Annotated[str | None, typer.Option(metavar="WFDB-RECORD", help="Feed a recorded ECG instead.")] = None,
    start_s: Annotated[float, typer.Option("--from", metavar="S", help="Second of the record to begin at.")] = 0.0,
    seed: Annotated[int | None, typer.Option(min=0, help="Another patient, gantry angle and noise.")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results.")] = Path("out/demo"),
    broker: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Use this MQTT broker.")] = None,
    stay: Annotated[bool, typer.Option("--stay", help="Keep the page up until Ctrl-C.")] = False,
    no_page: Annotated[bool, typer.Option("--no-page", help="Without the radiographer's page.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print report.json at the end, nothing else.")] = False,
) -> None:
    """Run one whole scan: ECG bytes, R-peaks, triggers, exposures, slices, score; the truth stands beside it.

    Exit code 0: scanned and scored; 1: not completed, with the reason; 2: wrong input.
    """
    story = load_scenario(scenario)
    options = Options(
        scenario=story if seed is None else reseeded(story, seed),
        out=open_out(out),
        record=ecg,
        record_from_s=start_s,
        broker=None if broker is None else _address(broker),
        stay=stay,
        page=not no_page,
    )
    console = Console(highlight=False, markup=False, soft_wrap=True, quiet=json)
    report = asyncio.run(_until_told(run_demo(options, console.print)))
    if report is None:
        raise PeerError(f"The demo was stopped; what was recorded so far is kept in {options.out}.")
    if json:
        typer.echo(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    raise typer.Exit(0 if report["complete"] and report["agatston"]["total"] is not None else 1)  # type: ignore[index]  # JSON


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise SettingsError(f"--broker takes HOST:PORT, not {text!r}; e.g. --broker 127.0.0.1:1883.")
    return host, int(port)


async def _until_told(work: Coroutine[None, None, T]) -> T | None:
    """Run something to its end, or until Ctrl-C or SIGTERM: then it ends what it began, and this gives None."""
    task, loop = asyncio.ensure_future(work), asyncio.get_running_loop()
    loop.set_exception_handler(_tell_of_callback)
    for number in (signal.SIGINT, signal.SIGTERM):
        # once: a second Ctrl-C must not break off the ending itself
        loop.add_signal_handler(number, lambda: task.cancelling() or task.cancel())
    try:
        return await task
    except asyncio.CancelledError:
        return None


def _tell_of_callback(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell what broke in a callback of the event loop, but for a socket that was closed before it could be watched.

    A broker that ends while aiomqtt connects in its thread leaves one; that the broker is gone, the bus tells.
    """
    error = context.get("exception")
    if not isinstance(error, OSError) or error.errno != errno.EBADF:
        loop.default_exception_handler(context)


async def run_demo(options: Options, say: Callable[[str], None]) -> dict[str, object]:
    """Run the scan and write the results; gives what `report.json` holds."""
    with tempfile.TemporaryDirectory(prefix="diastole-") as secret:
        make_keys(Path(secret) / "keys")
        async with Processes(options.out / "log") as processes:
            house = House(options, processes, Path(secret), say)
            await house.start()
            await house.scan()
            if not options.stay:
                await processes.stop()
            report = await asyncio.to_thread(finish, house.log(), house.story(), options.out, say)
            for line in summary(report, options.out):
                say(line)
            if options.stay:
                say(f"The page stays at {house.page_address}; Ctrl-C ends it." if options.page else "Ctrl-C ends it.")
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
    return report


class House:
    """All processes of one demo, and the operator among them."""

    def __init__(self, options: Options, processes: Processes, secret: Path, say: Callable[[str], None]) -> None:
        self._options, self._processes, self._secret, self._say = options, processes, secret, say
        self._truth = options.out / "truth"
        self._site = secret / "site.toml"
        self._heard: list[tuple[int, Message]] = []
        self._notes: tuple[str, ...] = ()
        self._started_at_ns = 0
        self._mqtt = MqttSettings()
        self._plan = plan_from(plan_settings(options.scenario))
        self.page_address: str | None = None

    async def start(self) -> None:
        """Start every process and wait for its word; the ECG box last but one, the gate last."""
        options, scenario = self._options, self._options.scenario
        self._truth.mkdir(exist_ok=True)
        for name in ("beats.jsonl", "beam.jsonl"):
            (self._truth / name).unlink(missing_ok=True)
        broker = await self._start_broker()
        gantry_says = await self._start_gantry()
        box = await self._start_box()  # each of the three takes seconds to come up: together
        if broker is not None:
            self._mqtt = MqttSettings(port=int(str(await self._processes.say("broker", broker, "port"))))
        self._say(f"broker  {'' if broker is None else 'embedded, at '}{self._mqtt.host}:{self._mqtt.port}")
        gantry = int(str(await self._processes.say("gantry", gantry_says, "port")))
        self._say(f"gantry  simulated, at 127.0.0.1:{gantry}")
        page_port = free_port() if options.page else 0
        about = await self._processes.words("ecg-box", box, "port")
        mapping = about.get("mapping")
        self._notes = tuple(str(line) for line in mapping) if isinstance(mapping, list) else ()
        for line in self._notes:
            self._say(f"record  {line}")
        self._site.write_text(
            site_toml(
                SITE,
                scenario,
                mqtt=self._mqtt,
                out=options.out,
                keys=self._secret / "keys",
                serial_port=str(about["port"]),
                gantry_port=gantry,
                page_port=page_port,
            ),
            encoding="utf-8",
        )
        await self._processes.start("bridge", "bridge", "--config", str(self._site))
        if options.page:
            await self._processes.start("monitor", "monitor", "--config", str(self._site))
            self.page_address = f"http://127.0.0.1:{page_port}/"
            self._say(f"page    {self.page_address}")
        await self._processes.start("gate", "gate", "--config", str(self._site))
        started = await self._processes.say("ecg-box", box, "started_at_ns")
        if not isinstance(started, int):
            raise DeviceError(f"The ECG box said a start time that is no number: {started!r}.")
        self._started_at_ns = started

    async def _start_broker(self) -> "asyncio.Queue[str] | None":
        """Start the embedded broker, or see that the one we were told is there."""
        if self._options.broker is None:
            return await self._processes.start("broker", "broker", "--port", "0")
        host, port = self._options.broker
        await _see_broker(host, port)
        self._mqtt = MqttSettings(host=host, port=port)
        return None

    async def _start_gantry(self) -> "asyncio.Queue[str]":
        scanner = self._options.scenario.scanner
        return await self._processes.start(
            "gantry",
            *("simulate", "gantry", "--port", "0", "--json", "--truth", str(self._truth)),
            *("--seed-angle", str(seed_angle_deg(self._options.scenario))),
            *("--rotation-ms", str(scanner.rotation_ms), "--table-move-ms", str(scanner.table_move_ms)),
        )

    async def _start_box(self) -> "asyncio.Queue[str]":
        options = self._options
        common = ("--json", "--truth", str(self._truth), "--seconds", str(LONGEST_S))
        if options.record is None:
            scenario_file = self._secret / "scenario.json"
            scenario_file.write_bytes(msgspec.json.encode(options.scenario))
            return await self._processes.start("ecg-box", "simulate", "ecg", "--scenario", str(scenario_file), *common)
        where = ("--from", str(options.record_from_s), "--frontend", options.scenario.box.frontend)
        return await self._processes.start("ecg-box", "replay", options.record, *where, *common)

    async def scan(self) -> None:
        """Be the operator until the scan is over."""
        hold_s = self._options.scenario.respiration.hold_begins_at_s
        operator = Operator(self._started_at_ns + round(hold_s * NS_PER_S))
        teller = Teller(self._say)
        asked: asyncio.Queue[OperatorRequest] = asyncio.Queue(maxsize=8)

        def hear(one: Heard | Refused) -> None:
            """Keep it for the report, tell it, and answer it."""
            if isinstance(one, Refused) or isinstance(one.message, UNHEARD):
                return
            self._heard.append((one.arrived_at_ns, one.message))
            teller.tell(one.message)
            for request in operator.hear(one.message, one.arrived_at_ns):
                asked.put_nowait(request)

        def link(up: bool, text: str) -> None:
            """Tell that the broker is gone."""
            if not up:
                self._say(f"operator: {text}")

        listen = [kind for kind in CHANNELS if kind not in UNHEARD and kind is not OperatorRequest]
        bus = Bus(
            self._mqtt,
            SITE,
            Keyring(self._secret / "keys", "operator"),
            role="operator",
            listen=listen,
            now_ns=time.monotonic_ns,
        )
        running = asyncio.create_task(bus.run(hear, link))
        try:
            await self._operate(bus, operator, asked)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    async def _operate(self, bus: Bus, operator: Operator, asked: "asyncio.Queue[OperatorRequest]") -> None:
        end_ns = self._started_at_ns + round((LONGEST_S - 2) * NS_PER_S)
        while not operator.is_done(time.monotonic_ns()) and time.monotonic_ns() < end_ns:
            with contextlib.suppress(TimeoutError):
                asked_for = await asyncio.wait_for(asked.get(), timeout=0.02)
                await self._ask(bus, asked_for)
            for request in operator.wake(time.monotonic_ns()):
                await self._ask(bus, request)
            gone = self._processes.ended()
            if gone in {"broker", "bridge", "gate", "gantry"}:
                self._say(f"the process {gone} has ended; its output is in {self._options.out / 'log'}")
                return

    async def _ask(self, bus: Bus, request: OperatorRequest) -> None:
        try:
            await bus.publish(request)
            self._heard.append((time.monotonic_ns(), request))
        except PeerError as error:
            self._say(f"operator: {error}")

    def log(self) -> ScanLog:
        """Put together what was heard and what was true."""
        beats = _json_lines(self._truth / "beats.jsonl", BeatAt)
        beams = _json_lines(self._truth / "beam.jsonl", BeamAt)
        return ScanLog(plan=self._plan, heard=tuple(self._heard), beats=tuple(beats), beams=tuple(beams))

    def story(self) -> Story:
        """Tell whose scan it was."""
        record = self._options.record
        return Story(
            scenario=self._options.scenario,
            started_at_ns=self._started_at_ns,
            source="scenario"
            if record is None
            else f"record {Path(record).name} from {self._options.record_from_s:g} s",
            notes=self._notes,
            settings={"scenario": msgspec.to_builtins(self._options.scenario)},
            ecg=ecg_of(self._options.scenario) if record is None else None,
            journal=max(self._options.out.glob("gate-*.journal.jsonl"), default=None),  # the latest is this scan's
        )


def _json_lines(path: Path, kind: type[T]) -> list[T]:
    """Read truth rows; fields that the report does not need are passed over."""
    if not path.exists():
        return []
    return [msgspec.json.decode(line, type=kind) for line in path.read_bytes().splitlines() if line.strip()]


async def _see_broker(host: str, port: int) -> None:
    """Look whether anybody listens there before a patient is made to hold the breath for nothing."""
    try:
        async with asyncio.timeout(BROKER_S):
            _, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        why = error.strerror or "no answer"
        raise PeerError(f"No MQTT broker answers at {host}:{port} ({why}); start it, or leave --broker out.") from error
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def free_port() -> int:
    """Ask the system for a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
