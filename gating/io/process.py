"""The process `gate`: serial port, detector and publisher, and nothing else."""

import asyncio
import datetime
import functools
import secrets
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from gating.errors import SettingsError
from gating.frontends import FRONTENDS
from gating.gate import Gate
from gating.io.bus import Bus
from gating.io.journal import Journal, JournalledGate, head_for
from gating.io.keys import Keyring
from gating.io.loop import GateLoop
from gating.io.numbers import read_judge
from gating.io.outlet import DisplayOutlet, PermissionOutlet
from gating.io.serial_port import SerialReader
from gating.io.watch import quiet_collector, watch
from gating.messages import (
    Armed,
    BreathHold,
    ExposureReport,
    Message,
    OperatorRequest,
    Ping,
    ScannerStatus,
    TriggerAnswer,
)
from gating.settings import GateSettings, SiteSettings
from gating.units import NS_PER_S, Nanoseconds

LISTENS_TO: tuple[type[Message], ...] = (
    Armed,
    BreathHold,
    ExposureReport,
    Ping,
    ScannerStatus,
    TriggerAnswer,
    OperatorRequest,
)
LAST_WORDS_S = 0.2
WARM_UP_S = 8.0  # enough beats for every room to have had its turn


def journal_path(out: Path, settings: GateSettings) -> Path:
    """Name a new journal: the wall time as a label, and the boot."""
    stamp = datetime.datetime.now().astimezone().strftime("%Y%m%dT%H%M%S")
    return out / f"gate-{stamp}-{settings.boot}.journal.jsonl"


def make_reader(site: SiteSettings) -> SerialReader:
    """Make the reader of the site's port, with the frontend's baud, start and stop bytes.

    Raises
    ------
    SettingsError
        If the site has no [serial] section or names a frontend that does not exist.
    """
    if site.serial is None:
        raise SettingsError("The site file has no [serial] section; add one with the `port` of the ECG box.")
    frontend = FRONTENDS.get(site.gate.frontend)
    if frontend is None:
        raise SettingsError(
            f"There is no frontend {site.gate.frontend!r}; `frontend` is one of {', '.join(FRONTENDS)}."
        )
    declared = frontend.declaration
    baud = site.serial.baud or declared.baud
    return SerialReader(site.serial.port, baud, start=declared.start, stop=declared.stop)


def warm_up(settings: GateSettings) -> None:
    """Run some seconds of made-up ECG through a gate that is thrown away: whatever is made on first use is made now.

    A compile or an import while armed would be a late loop, thus a fault.
    """
    frontend = FRONTENDS[settings.frontend]
    declared = frontend.declaration
    gate, encoder = Gate(settings, read_judge()), frontend.encoder()
    size = max(declared.block_fill_samples)
    on = np.zeros((size, len(declared.electrodes)), dtype=bool)
    for first in range(0, round(WARM_UP_S * declared.rate_hz), size):
        seconds = (np.arange(first, first + size) / declared.rate_hz)[:, np.newaxis]
        spikes = 1000.0 * np.exp(-0.5 * ((seconds % 0.8 - 0.4) / 0.01) ** 2)  # R-like, 75 bpm
        data = encoder.encode(np.repeat(spikes, len(declared.leads), axis=1), on)
        gate.receive(data, Nanoseconds(round((first + size) / declared.rate_hz * NS_PER_S)))


async def run_gate(site: SiteSettings, log: Callable[[str], None]) -> None:
    """Run the gate of a site until cancelled.

    Raises
    ------
    DeviceError
        If the port cannot be opened at the start; later it is opened again for ever.
    SettingsError
        If keys, password or the folder for the journal are wrong.
    """
    reader = make_reader(site)
    keyring = Keyring(Path(site.keys.folder), "gate")
    settings = msgspec.structs.replace(site.gate, boot=secrets.token_hex(4), key_id=keyring.key_id)
    bus = functools.partial(Bus, site.mqtt, site.site, keyring, role="gate", now_ns=time.monotonic_ns)
    buses = bus(listen=LISTENS_TO), bus(listen=())
    warm_up(settings)
    gate = Gate(settings, read_judge())
    quiet_collector()
    reader.open()
    wall = datetime.datetime.now().astimezone().isoformat()
    journal = Journal(journal_path(Path(site.out), settings), head_for(settings, time.monotonic_ns(), wall))

    def note(text: str) -> None:
        """Log and journal a line for people."""
        log(text)
        journal.note(time.monotonic_ns(), text)

    loop = GateLoop(JournalledGate(gate, journal, tell=log), note=note)
    note(f"The gate {settings.boot} reads {settings.frontend} at {reader.port}; its journal is {journal.path}.")
    try:
        await _join(loop, reader, *buses)
    finally:
        journal.close()


async def _join(loop: GateLoop, reader: SerialReader, permission_bus: Bus, display_bus: Bus) -> None:
    """Let everything run together until one part fails or we are cancelled; then inhibit and close."""
    permission = PermissionOutlet(permission_bus, loop.broker_failed, loop.broker_took)
    display = DisplayOutlet(display_bus)
    loop.begin(permission, display)
    to_loop = asyncio.get_running_loop().call_soon_threadsafe
    reader.run(
        loop.chunk,
        lambda text: to_loop(loop.lost, "serial unplugged", text),
        lambda: to_loop(loop.note, f"The serial port {reader.port} is open again."),
    )
    parts = [
        asyncio.ensure_future(permission_bus.run(loop.hear, loop.link)),
        asyncio.ensure_future(display_bus.run(loop.hear, lambda *_: None)),
        asyncio.ensure_future(display.run()),
        asyncio.ensure_future(
            watch(
                lambda late_ms: loop.note(f"The loop was {late_ms:.0f} ms late; give the gate a processor of its own."),
                lambda: loop.lost("clock gap", "This host was suspended; the scan must be armed again."),
            )
        ),
    ]
    try:
        done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        for part in done:
            part.result()
    finally:
        await asyncio.to_thread(reader.close)
        loop.lost("gate stopped", "The gate ends.")
        loop.end()
        await permission.flush(LAST_WORDS_S)
        for part in parts:
            part.cancel()
        await asyncio.gather(*parts, return_exceptions=True)
