"""The real loop: real time, real TCP to a gantry, a real audit log and a real watchdog process; no broker."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gating.errors import DeviceError, SettingsError
from gating.io.bus import Refused
from gating.messages import (
    ExposureReport,
    ScannerStatus,
)
from scanner_bridge.driver import DriverFault, Expose, MoveTable
from scanner_bridge.io.audit import AuditLog, records, verify
from scanner_bridge.io.cli import Teller
from scanner_bridge.io.loop import BridgeLoop
from scanner_bridge.io.registry import create_from
from scanner_bridge.plan import plan_from
from scanner_bridge.session import Session
from scanner_bridge.settings import BridgeSettings
from simulators.gantry import BeamTruth, Gantry
from simulators.io.tcp import GantryServer
from simulators.scenario import Scanner
from tests.scanner_bridge.loop_rig import KEYS, MS, Site, Wire


def test_a_whole_scan_over_tcp(tmp_path: Path) -> None:
    """Four steps in real time: exposed, in the truth file, in a sound audit log, intent before begin."""
    site = Site(tmp_path)

    async def story(site: Site) -> None:
        """Play it."""
        await site.arm()
        await site.scan_until("complete")

    asyncio.run(site.play(story))
    all_reports = [one for one in site.wire.said if isinstance(one, ExposureReport)]
    assert {report.outcome for report in all_reports} <= {"exposed", "missed"}, all_reports  # missed: a busy machine
    reports = [report for report in all_reports if report.outcome == "exposed"]
    assert [0, 1, 2, 3] == [report.step for report in reports]
    assert [0, 1, 2, 3] == [beam["step"] for beam in site.beams]
    assert [-54.0, -18.0, 18.0, 54.0] == [beam["table_mm"] for beam in site.beams]
    for beam, report in zip(site.beams, reports, strict=True):
        assert abs(beam["on_at_ns"] - report.planned_open_at_ns) < 5 * MS
        assert abs(report.opened_at_ns - beam["on_at_ns"]) < 5 * MS
    assert verify(tmp_path / "audit.log").broken is None
    kinds = [record["what"] for record in records(tmp_path / "audit.log")]
    assert kinds.count("intent") == kinds.count("exposure") == len(all_reports)
    assert 4 == kinds.count("beam-on")
    assert "session-end" in kinds


def test_a_bridge_that_ends_leaves_no_beam_and_a_whole_log(tmp_path: Path) -> None:
    """Cancelled in the middle of an exposure: the beam is cut, the end of the session is in the log."""
    site = Site(tmp_path)

    async def story(site: Site) -> None:
        """Play it."""
        await site.arm()
        await site.scan_until("exposing")

    asyncio.run(site.play(story))
    (beam,) = site.beams
    assert beam["off_at_ns"] - beam["on_at_ns"] < 150 * MS
    kinds = [record["what"] for record in records(tmp_path / "audit.log")]
    assert "stop" in kinds
    assert verify(tmp_path / "audit.log").broken is None


def test_a_lost_broker_ends_the_session_and_another_can_be_armed(tmp_path: Path) -> None:
    """Inhibit, reconnect, arm again; what could not be sent is told."""
    site = Site(tmp_path)

    async def story(site: Site) -> None:
        """Play it."""
        await site.arm()
        site.wire.broken = True
        site.wire.link(False, "the broker is gone")
        await asyncio.sleep(0.05)
        site.wire.broken = False
        site.wire.link(True, "connected")
        await site.wire.until_state("ended")
        assert ("link-lost", "the broker is gone") == site.wire.status.reasons
        site.wire.ask("arm")
        await site.wire.until_state("armed")

    asyncio.run(site.play(story))
    assert "the broker is gone" in site.told
    assert any(text.startswith("not sent: ") for text in site.told)


def test_a_gantry_that_goes_away_is_a_fault_and_comes_back_disarmed(tmp_path: Path) -> None:
    """The driver reconnects by itself; nothing is armed by that."""
    site = Site(tmp_path)

    async def story(site: Site) -> None:
        """Play it."""
        await site.arm()
        await site.server.close()
        await site.wire.until_state("fault")
        again = GantryServer(Gantry(Scanner(), 0.0))
        await again.start("127.0.0.1", site.port)
        await site.wire.until_state("disarmed")
        await again.close()

    asyncio.run(site.play(story))
    assert [] == site.beams


def test_a_full_disk_ends_the_bridge_in_words(tmp_path: Path) -> None:
    """A log that cannot be written means no bridge."""
    site = Site(tmp_path)

    async def story(site: Site) -> None:
        """Play it."""
        await site.wire.until_state("disarmed")

        def full(*batch: dict[str, object]) -> None:
            """Fail like a full disk."""
            raise OSError(28, "No space left on device")

        site.audit.append = full  # type: ignore[method-assign]  # a disk that is full
        site.wire.ask("mark")
        await asyncio.sleep(10)

    with pytest.raises(SettingsError, match="No space left on device"):
        asyncio.run(site.play(story))


def test_no_gantry_is_told_with_the_cure(tmp_path: Path) -> None:
    """The bridge does not start without its scanner."""

    async def whole() -> None:
        """Run it."""
        settings = BridgeSettings(driver="gantry", driver_options={"port": 1})
        driver = create_from(settings)
        session = Session(plan_from(settings.plan), driver.capabilities, settings, KEYS, iter(map(str, range(100))))
        audit = AuditLog(tmp_path / "audit.log")
        try:
            loop = BridgeLoop(session, Wire(), driver, audit, command_deadline_s=1.0, tell=lambda *_: None)
            await loop.run(None)
        finally:
            audit.close()

    with pytest.raises(DeviceError, match="start it"):
        asyncio.run(whole())


def test_a_driver_that_hangs_is_a_fault(tmp_path: Path) -> None:
    """A command that takes longer than its deadline is given up, and the scanner counts as failed (B2)."""
    site = Site(tmp_path)

    async def story(site: Site) -> None:
        """Play it."""
        await site.arm()

        async def hang(command: object) -> None:
            """Never return."""
            await asyncio.sleep(60)

        site.loop._deadline_s = 0.05
        site.loop._driver.command = hang  # type: ignore[method-assign]  # a driver that hangs
        await site.scan_until("fault")

    asyncio.run(site.play(story))
    assert any("scanner" in one.reasons for one in site.wire.said if isinstance(one, ScannerStatus))


# --- the watchdog ---


def test_without_its_watchdog_the_scanner_is_not_ready_and_with_it_it_is(tmp_path: Path) -> None:
    """The real process: it says ready, the bridge can be armed; it is killed, and the bridge ends in words."""
    site = Site(tmp_path, guarded=True)

    async def story(site: Site) -> None:
        """Play it."""
        await site.wire.until(lambda: "watchdog: ready" in site.told, 40)
        await site.arm()
        await site.scan_until("exposing")
        assert site.guard is not None
        assert site.guard._process is not None
        site.guard._process.kill()
        await asyncio.sleep(10)

    with pytest.raises(DeviceError, match="watchdog"):
        asyncio.run(site.play(story))
    assert site.beams[0]["off_at_ns"] - site.beams[0]["on_at_ns"] < 196 * MS


@pytest.mark.processes
@pytest.mark.parametrize("how", ["silent", "gone"])
def test_the_watchdog_stops_the_beam_when_the_bridge_falls_silent_or_dies(tmp_path: Path, how: str) -> None:
    """A beam of 450 ms is on; the heartbeat ends: the watchdog's own line ends the beam (hazards.md B1)."""

    async def whole() -> list[BeamTruth]:
        """Run it."""
        gantry = Gantry(Scanner(table_move_ms=10.0), 0.0)
        server = GantryServer(gantry)
        port = await server.start("127.0.0.1", 0)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scanner_bridge.io.watchdog"), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdin is not None
        assert process.stdout is not None
        orders = {"driver": "gantry", "options": {"port": port}, "silence_ms": 100}
        process.stdin.write(json.dumps(orders).encode() + b"\n")
        assert b"ready\n" == await asyncio.wait_for(process.stdout.readline(), 40)
        driver = create_from(BridgeSettings(driver="gantry", driver_options={"port": port}))
        events: list[object] = []
        await driver.open(events.append)
        await asyncio.sleep(0.2)
        process.stdin.write(b".")
        await driver.command(MoveTable(0, -54.0))
        await asyncio.sleep(0.03)
        now = time.monotonic_ns()
        await driver.command(Expose(0, 1, now + 30 * MS, now + 480 * MS, now + 35 * MS))
        for _ in range(3):
            process.stdin.write(b".")
            await asyncio.sleep(0.02)
        if how == "gone":
            process.stdin.close()
        assert b"stopped\n" == await asyncio.wait_for(process.stdout.readline(), 5)
        await asyncio.sleep(0.03)
        process.stdin.close()
        await process.wait()
        await driver.close()
        truth = gantry.drain_truth()
        await server.close()
        assert not any(isinstance(event, DriverFault) for event in events)
        return truth

    (beam,) = asyncio.run(whole())
    assert beam.off_at_ns - beam.on_at_ns < 250 * MS


def test_refusals_of_the_bus_are_counted(tmp_path: Path) -> None:
    """What the bus does not believe reaches the session by its reason."""
    site = Site(tmp_path)

    async def story(site: Site) -> None:
        """Play it."""
        await site.wire.until_state("disarmed")
        site.wire._hear(Refused("bad-signature", "gating/x/gate/trigger", 0))
        await site.wire.until(lambda: site.wire.status.refused == {"bad-signature": 1})

    asyncio.run(site.play(story))


@pytest.mark.processes
def test_the_command_answers_wrong_settings_with_code_2_and_help_with_an_example(tmp_path: Path) -> None:
    """`diastole bridge` from outside."""
    config = tmp_path / "site.toml"
    config.write_text('site = "ward"\n[bridge]\ndrivr = "gantry"\n')
    environment = {**os.environ, "COLUMNS": "120"}
    wrong = subprocess.run(
        [sys.executable, "-m", "diastole", "bridge", "--config", str(config)],
        capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert (2, True) == (wrong.returncode, "drivr" in wrong.stderr), wrong.stderr
    shown = subprocess.run(
        [sys.executable, "-m", "diastole", "bridge", "--help"],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert "Example: diastole bridge --config site.toml" in shown.stdout


def test_the_teller_says_each_change_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Statuses repeat twice a second, the terminal does not; JSON lines carry the same words."""
    settings = BridgeSettings()
    driver = create_from(settings)
    session = Session(plan_from(settings.plan), driver.capabilities, settings, KEYS, iter(map(str, range(100))))
    for as_json in (False, True):
        teller = Teller(as_json=as_json)
        status = next(
            effect.message  # type: ignore[union-attr]  # the first effect that publishes a status
            for effect in session.wake(5 * 10**9 if as_json else 10**9)
            if isinstance(getattr(effect, "message", None), ScannerStatus)
        )
        teller(status)
        teller(status)
        teller("watchdog: ready")
    out = capsys.readouterr().out.splitlines()
    assert ["bridge: disarmed: restart", "bridge: watchdog: ready"] == out[:2]
    assert ["disarmed: restart", "watchdog: ready"] == [json.loads(line)["event"] for line in out[2:]]
