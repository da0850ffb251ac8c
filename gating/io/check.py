"""What would stop a scan today: port, rate, adapter, broker, rights, keys and clocks, each with its cure."""

import asyncio
import secrets
import statistics
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gating.errors import DiastoleError
from gating.frontends import FRONTENDS
from gating.io.bus import Bus, Heard, Refused
from gating.io.keys import ROLES, Keyring, KeyRole
from gating.io.process import make_reader
from gating.io.watch import GAP_NS, slept_ns
from gating.messages import CHANNELS, Message, OperatorRequest, Ping, Pong
from gating.settings import SiteSettings
from gating.units import NS_PER_MS, NS_PER_S

Verdict = Literal["ok", "warn", "stop"]

READ_S = 3.0
SAME_BOX = 0.01  # of the declared rate: more is another box or another speed (hazards.md S5)
SLOW_LATENCY_TIMER_MS = 2  # FTDI ships with 16
PROBES = 20
PROBE_PAUSE_S = 0.01
LEASE_MS = 120.0  # architecture.md section 5
NAGLE_MS = 20.0  # round trips around 40 ms are Nagle's algorithm and delayed acks (io.md section 2.4)
SLOW_MS = 10.0
PROBE_WAIT_S = 1.0


@dataclass(frozen=True)
class Finding:
    """One line of the table: what was looked at, the verdict, and what to do."""

    name: str
    verdict: Verdict
    text: str


def check_serial(site: SiteSettings, seconds: float = READ_S) -> list[Finding]:
    """Read the port for some seconds: does a box of the declared kind speak at the declared rate."""
    try:
        reader = make_reader(site)
        reader.open()
    except DiastoleError as error:
        return [Finding("serial port", "stop", str(error))]
    declared = FRONTENDS[site.gate.frontend].declaration
    decoder = FRONTENDS[site.gate.frontend].decoder()
    arrivals: list[tuple[int, int]] = []
    received = 0

    def take(data: bytes, now_ns: int) -> None:
        """Count the samples of a chunk at its arrival."""
        nonlocal received
        received += len(data)
        samples = sum(len(block.microvolts) + block.lost_before for block in decoder.feed(data))
        if samples:
            arrivals.append((now_ns, samples))

    lost: list[str] = []
    reader.run(take, lost.append, lambda: None)
    time.sleep(seconds)
    reader.close()
    found = [
        Finding("serial port", "stop", lost[0]) if lost else Finding("serial port", "ok", f"{reader.port} is open.")
    ]
    found.append(_judge_rate(site.gate.frontend, declared.rate_hz, received, arrivals))
    faults = decoder.faults
    if faults.crc_errors or faults.lost_samples:
        text = f"{faults.crc_errors} damaged frames and {faults.lost_samples} lost samples in {seconds:g} s; "
        found.append(Finding("serial line", "warn", f"{text}try another cable, and a port of the host itself."))
    if not declared.patient_safe:
        found.append(Finding("patient safety", "warn", f"{declared.title}: {declared.why_not_safe}"))
    return found


def _judge_rate(frontend: str, rate_hz: float, received: int, arrivals: list[tuple[int, int]]) -> Finding:
    """Compare the samples per second that came with those that the frontend declares."""
    name = "sampling rate"
    if received == 0:
        return Finding(name, "stop", "The port is silent; switch the ECG box on, and check `frontend` in [gate].")
    if len(arrivals) < 3:
        return Finding(
            name, "stop", f"{received} bytes came but no {frontend} frames; check `frontend` in [gate] and `baud`."
        )
    span_s = (arrivals[-1][0] - arrivals[0][0]) / NS_PER_S
    measured_hz = sum(samples for _, samples in arrivals[1:]) / span_s if span_s > 0 else 0.0
    # a block more or less at the ends is within what so short a look can tell
    tolerance = SAME_BOX + arrivals[-1][1] / (rate_hz * span_s) if span_s > 0 else 0.0
    if abs(measured_hz / rate_hz - 1) > tolerance:
        return Finding(
            name, "stop", f"{measured_hz:.1f} samples/s instead of {rate_hz:g}; set the box to the rate of {frontend}."
        )
    return Finding(name, "ok", f"{measured_hz:.1f} samples/s, {rate_hz:g} declared.")


def check_latency_timer(site: SiteSettings, sys_folder: Path = Path("/sys")) -> list[Finding]:
    """Read the latency timer of a USB serial adapter, where it has one."""
    if site.serial is None:
        return []
    device = Path(site.serial.port).resolve().name
    path = sys_folder / "bus" / "usb-serial" / "devices" / device / "latency_timer"
    if not path.exists():
        return [Finding("latency timer", "ok", f"{device} has none.")]
    milliseconds = int(path.read_text(encoding="ascii"))
    if milliseconds > SLOW_LATENCY_TIMER_MS:
        text = f"{device} holds samples back for {milliseconds} ms; run `echo 1 | sudo tee {path}`."
        return [Finding("latency timer", "warn", text)]
    return [Finding("latency timer", "ok", f"{milliseconds} ms.")]


def check_keys(site: SiteSettings) -> list[Finding]:
    """Look whether the key files are there, the private ones private, and all peers known."""
    folder = Path(site.keys.folder)
    own = [role for role in ROLES if (folder / f"{role}.key").exists()]
    try:
        rings = [Keyring(folder, role) for role in own] or [Keyring(folder, None)]
    except DiastoleError as error:
        return [Finding("keys", "stop", str(error))]
    missing = rings[0].missing()
    if missing:
        text = f"The public keys of {', '.join(missing)} are not in {folder}, so nobody believes them; copy them there."
        return [Finding("keys", "stop", text)]
    if not own:
        return [Finding("keys", "warn", f"No private key in {folder}: this host can only watch.")]
    return [Finding("keys", "ok", f"Private: {', '.join(own)}; all public keys are there.")]


def check_clocks() -> list[Finding]:
    """Look whether the monotonic clock is fine-grained, and whether this host has slept since it started."""
    resolution_ns = round(time.get_clock_info("monotonic").resolution * NS_PER_S)
    if resolution_ns > NS_PER_MS:
        return [Finding("clock", "stop", f"The monotonic clock has steps of {resolution_ns} ns; use another host.")]
    if slept_ns() > GAP_NS:
        text = f"This host was suspended for {slept_ns() / NS_PER_S:.1f} s since it started; forbid it to sleep."
        return [Finding("clock", "warn", text)]
    return [Finding("clock", "ok", f"Steps of {resolution_ns} ns, never suspended.")]


def check_driver(site: SiteSettings, drivers: Collection[str]) -> list[Finding]:
    """Look whether the scanner driver's name is known on this host."""
    name = str(site.bridge.get("driver", "null"))
    if name not in drivers:
        known = ", ".join(sorted(drivers))
        return [
            Finding("scanner driver", "stop", f"There is no driver {name!r}; `driver` in [bridge] is one of {known}.")
        ]
    if name == "null":
        return [Finding("scanner driver", "stop", "The driver `null` refuses all; set `driver` in [bridge].")]
    return [Finding("scanner driver", "ok", name)]


async def check_broker(site: SiteSettings) -> list[Finding]:
    """Look whether the broker lets each own role in, passes on what it may say, and how fast it is."""
    folder = Path(site.keys.folder)
    found: list[Finding] = []
    for role in [role for role in ROLES if (folder / f"{role}.key").exists()]:
        try:
            found.append(await _probe_role(site, role, Keyring(folder, role)))
        except DiastoleError as error:
            found.append(Finding(f"broker as {role}", "stop", str(error)))
        if found[-1].verdict == "stop":
            break  # the other roles would most likely find the same
    return found or [Finding("broker", "warn", "Not tried: this host holds no private key.")]


def _probe(role: KeyRole, token: str) -> Message:
    """Make a message of a role that has no authority: a running gate or bridge answers, notes or ignores it."""
    match role:
        case "gate":
            return Pong(token=token, ping_at_ns=0, gate_at_ns=0)
        case "bridge":
            return Ping(token=token, at_ns=0)
        case "operator":
            return OperatorRequest(request="mark", name="diastole check", text=token)


async def _probe_role(site: SiteSettings, role: KeyRole, keyring: Keyring) -> Finding:
    """Connect as a role, publish and wait to hear it: a broker drops what a user may not say in silence."""
    probe = _probe(role, secrets.token_hex(16))
    heard: list[Message] = []
    links: list[str] = []

    def hear(one: Heard | Refused) -> None:
        """Keep what was believed."""
        if isinstance(one, Heard):
            heard.append(one.message)

    bus = Bus(site.mqtt, site.site, keyring, role=role, listen=(type(probe),), now_ns=time.monotonic_ns)
    task = asyncio.ensure_future(bus.run(hear, lambda _, text: links.append(text)))
    name = f"broker as {role}"
    try:
        if not await _comes(lambda: bool(links), 6.0) or not bus.connected:
            return Finding(name, "stop", links[0] if links else f"{bus.broker} does not answer; is it running?")
        await bus.publish(probe)
        if not await _comes(lambda: probe in heard, PROBE_WAIT_S):
            text = f"{bus.broker} does not pass on what the {role} says; grant it in the broker's access list."
            return Finding(name, "stop", text)
        trips_ms = await _round_trips(bus, site, role)
        return _judge_round_trip(name, bus.broker, statistics.median(trips_ms), max(trips_ms))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _round_trips(bus: Bus, site: SiteSettings, role: KeyRole) -> list[float]:
    """Measure QoS 1 round trips in ms: from publishing until it was acknowledged and heard again."""
    trips_ms: list[float] = []
    async with bus.loopback(f"gating/{site.site}/{CHANNELS[type(_probe(role, ''))].topic.split('/')[0]}/check") as trip:
        for _ in range(PROBES):
            began_ns = time.monotonic_ns()
            await trip()
            trips_ms.append((time.monotonic_ns() - began_ns) / NS_PER_MS)
            await asyncio.sleep(PROBE_PAUSE_S)
    return trips_ms


async def _comes(true: Callable[[], bool], seconds: float) -> bool:
    """Wait until something is true, at most so long."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.0005)
    return True


def _judge_round_trip(name: str, broker: str, median_ms: float, worst_ms: float) -> Finding:
    """Judge the way to the broker and back, and name the usual cause of a slow one."""
    trip = f"{broker}: QoS 1 round trip {median_ms:.1f} ms (worst {worst_ms:.1f})"
    if median_ms > LEASE_MS:
        return Finding(name, "stop", f"{trip}, longer than a permission lasts; take a nearer broker.")
    if median_ms > NAGLE_MS:
        cause = "around 40 ms is Nagle's algorithm, so set `set_tcp_nodelay true` in mosquitto.conf"
        return Finding(name, "warn", f"{trip}; {cause}.")
    if median_ms > SLOW_MS:
        return Finding(name, "warn", f"{trip}; relieve the broker or the network.")
    return Finding(name, "ok", f"{trip}; it passes on what the role says.")


def check_site(site: SiteSettings, drivers: Collection[str]) -> list[Finding]:
    """Check everything on this host that a scan needs."""
    return [
        *check_serial(site),
        *check_latency_timer(site),
        *check_keys(site),
        *check_clocks(),
        *asyncio.run(check_broker(site)),
        *check_driver(site, drivers),
    ]
