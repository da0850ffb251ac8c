"""Demos as a user starts them: real processes in a process group of their own, two at a time, never one left behind."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gating.io.keys import make_keys
from gating.io.operator import Operator
from gating.io.site import read_site
from gating.messages import Armed, BreathHold, Cancel, ExposureReport, Inhibit, Message
from simulators.io.play import House, Options
from simulators.io.processes import Processes
from simulators.io.scenarios import load_scenario
from simulators.report import BeamAt
from simulators.scenario import Scenario

HOLD_AT_S = 12.0
FAULT_AT_S = 20.1  # step 3 of this seed is booked at 19.8 s and would open at 20.36 s
LONGEST_S = 170.0  # of one demo on a busy machine

QUICK = f"""
name = "quick"
story = "A steady heart, an early hold, few lesions and coarse slices: the whole chain in half the time."

[respiration]
hold_begins_at_s = {HOLD_AT_S}

[anatomy]
lesions = {{ LM = 0, LAD = 1, LCX = 0, RCA = 1 }}

[scanner]
matrix = 128
"""
FAULTS = {
    "quick": "",
    "lead-off": f'[[faults]]\nkind = "electrode-off"\nelectrode = "LL"\nat_s = {FAULT_AT_S}\nshows_as = "hum"\n',
    "unplug": f'[[faults]]\nkind = "unplug"\nat_s = {FAULT_AT_S}\n',
}


def write_scenario(folder: Path, fault: str) -> Path:
    """Write the quick scenario with one fault into a TOML file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{fault}.toml"
    path.write_text(f"{QUICK}\n{FAULTS[fault]}", encoding="utf-8")
    return path


@dataclass
class Demo:
    """One `diastole` command in a process group of its own."""

    arguments: tuple[str, ...]
    out: Path
    lines: list[str] = field(default_factory=list)
    errors: str = ""
    code: int | None = None
    left_over: list[int] = field(default_factory=list)
    page: bytes | None = None  # what the page's address gave while the scan was going on
    ended_after_s: float | None = None  # a signal
    stalled_before: list[str] = field(default_factory=list)  # why this is a second try

    @property
    def text(self) -> str:
        """The whole standard output."""
        return "\n".join(self.lines)

    @property
    def report(self) -> dict[str, object]:
        """What `report.json` holds."""
        found = json.loads((self.out / "report.json").read_text(encoding="utf-8"))
        assert isinstance(found, dict)
        return found

    @property
    def started_at_ns(self) -> int:
        """Patient time 0 on the host's clock, as the ECG box said it."""
        return said(self.out / "log" / "ecg-box.log", "started_at_ns")

    def beams(self) -> list[BeamAt]:
        """The true exposures."""
        return beams_in(self.out)

    def run(self, on_line: Callable[[str, "subprocess.Popen[str]"], None] = lambda *_: None) -> "Demo":
        """Run it to its end; `on_line` sees each line as it comes, and may send a signal."""
        errors = self.out.with_name(f"{self.out.name}.errors")
        with (
            errors.open("w") as sink,
            subprocess.Popen(
                [sys.executable, "-m", "diastole", *self.arguments],
                stdout=subprocess.PIPE,
                stderr=sink,
                stdin=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            ) as process,
        ):
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    self.lines.append(line.rstrip("\n"))
                    on_line(line, process)
                self.code = process.wait(LONGEST_S)
                self.left_over = living(process.pid)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        self.errors = errors.read_text()
        return self


def said(log: Path, key: str) -> int:
    """Find a number in the JSON lines of a process."""
    for line in log.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):
            words = json.loads(line)
            if isinstance(words, dict) and key in words:
                return int(words[key])
    raise AssertionError(f"{log} says no {key}")


def beams_in(out: Path) -> list[BeamAt]:
    """Read the true exposures of a folder."""
    rows = map(json.loads, (out / "truth" / "beam.jsonl").read_text().splitlines())
    return [BeamAt(**{name: row[name] for name in BeamAt.__slots__}) for row in rows]


def living(group: int) -> list[int]:
    """List the processes of a group that still run; one that nobody has waited for yet is dead all the same."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, pgrp = stat.read_text().rpartition(")")[2].split()[:3]
            if int(pgrp) == group and state not in {"Z", "X"}:
                found.append(int(stat.parent.name))
    return found


def demo(out: Path, fault: str = "quick", *more: str) -> Demo:
    """Make the command of a demo."""
    scenario = write_scenario(out.parent, fault)
    return Demo(("demo", "--scenario", str(scenario), "--out", str(out), *more), out)


def unless_stalled(run: Callable[[Path], Demo], out: Path, exposures: int) -> Demo:
    """Run a demo; once more if a busy machine kept it from exposing so much, and its own report says that it was late.

    Samples or messages that come late are refused, as they must be: such a run is safe, but shows nothing else.
    """
    first = run(out)
    late = lateness(first)
    if len(first.beams()) >= exposures or not late:
        return first
    again = run(out.with_name(f"{out.name}-again"))
    again.stalled_before = late
    return again


def lateness(found: Demo) -> list[str]:
    """List the reasons in a report that only a late machine gives on these steady stories."""
    report = found.report
    held, inhibits = report["held"], report["inhibits"]
    assert isinstance(held, list)
    assert isinstance(inhibits, list)
    reasons = [reason for row in [*inhibits, *held] for reason in row["reasons"]]
    codes = {"expired", "late", "lease", "old-samples", "not-durable", "clock", "table", "other-beat"}
    # the ECG box is a process of its own: starved, it sends nothing; a story that silences it says why (unplugged, off)
    late = (" late", "no ECG samples for ")
    return [each for each in reasons if each in codes or each.endswith(late[0]) or each.startswith(late[1])]


def on_embedded(out: Path) -> Demo:
    """Run a demo as `make demo` does, and look at its page while the patient is being scanned."""
    one = demo(out)

    def look(line: str, _: "subprocess.Popen[str]") -> None:
        if line.startswith("hold") and one.page is None:
            address = next(said for said in one.lines if said.startswith("page")).split()[1]
            with urllib.request.urlopen(address, timeout=10) as answer:
                one.page = answer.read()

    return one.run(look)


def on_mosquitto(out: Path, binary: str) -> Demo:
    """Run a demo on a mosquitto of its own."""
    port = free_port()
    out.parent.mkdir(parents=True, exist_ok=True)
    config = out.with_name("mosquitto.conf")
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\npersistence false\nuser root\n"
    )
    with broker(port, [binary, "-c", str(config)]):
        return demo(out, "quick", "--broker", f"127.0.0.1:{port}", "--no-page").run()


def stopped_by(number: signal.Signals, out: Path, *, at: str, whole_group: bool) -> Demo:
    """Run a demo and send it a signal at a line: to the whole group as a terminal does, or to it alone."""
    one = demo(out, "quick", "--no-page")
    sent_at: list[float] = []

    def stop(line: str, process: "subprocess.Popen[str]") -> None:
        if line.startswith(at) and not sent_at:
            sent_at.append(time.monotonic())
            os.killpg(process.pid, number) if whole_group else process.send_signal(number)

    one.run(stop)
    one.ended_after_s = time.monotonic() - sent_at[0] if sent_at else None
    return one


def in_virtual_time(out: Path) -> Demo:
    """Run the same scenario and seed without a wire."""
    scenario = write_scenario(out.parent, "quick")
    return Demo(("simulate", "study", "--scenario", str(scenario), "--out", str(out)), out).run()


def free_port() -> int:
    """Ask the system for a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def broker(port: int, command: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a broker in a process of its own; it is ready when it takes a connection."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
                time.sleep(0.05)
            yield process
        finally:
            process.kill()


@dataclass(frozen=True)
class Killed:
    """What became of a scan whose broker was killed."""

    out: Path
    killed_at_ns: int
    back_at_ns: int
    beams: list[BeamAt]
    before: tuple[Message, ...]  # of the session that was cut off
    state_after: str
    armed_again: object
    exposed_again: bool


def broker_killed(out: Path) -> Killed:
    """Kill the broker of a demo after the first exposure, start it again, and arm again."""
    return asyncio.run(_broker_killed(out))


async def _broker_killed(out: Path) -> Killed:
    port, secret = free_port(), out / "secret"
    scenario: Scenario = load_scenario(write_scenario(out, "quick"))
    command = [sys.executable, "-m", "diastole", "broker", "--port", str(port)]
    options = Options(scenario, out, None, 0.0, ("127.0.0.1", port), stay=False, page=False)
    heard: list[Message] = []
    make_keys(secret / "keys")
    async with Processes(out / "log") as processes:
        house = House(options, processes, secret, lambda _: None)
        with broker(port, command) as first:
            await house.start()
            site = read_site(secret / "site.toml")
            async with Operator(site, also=(Inhibit, Cancel), heard=heard.append) as operator:
                await until(lambda: operator.gate is not None and operator.gate.state == "ready", 40)
                assert isinstance(await operator.arm(), Armed)
                assert isinstance(await operator.begin_hold(), BreathHold)
                await until(lambda: any(isinstance(one, ExposureReport) for one in heard), 30)
                first.kill()
                killed_at_ns = time.monotonic_ns()
                before = tuple(heard)
        await asyncio.sleep(1.0)
        with broker(port, command):
            back_at_ns = time.monotonic_ns()
            heard.clear()
            async with Operator(site, heard=heard.append) as operator:
                await until(lambda: operator.gate is not None and operator.gate.state == "ready", 40)
                status = await operator.scanner(20)
                again = await operator.arm()
                if isinstance(again, Armed):
                    await operator.begin_hold()
                    await until(lambda: any(isinstance(one, ExposureReport) for one in heard), 20)
                exposed = any(isinstance(one, ExposureReport) and one.outcome == "exposed" for one in heard)
    return Killed(out, killed_at_ns, back_at_ns, beams_in(out), before, status.state, again, exposed)


async def until(true: Callable[[], bool], seconds: float) -> None:
    """Wait until something is true, at most so long."""
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
