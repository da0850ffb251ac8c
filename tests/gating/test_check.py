"""What would stop a scan: each finding alone, with its verdict and its cure."""

import asyncio
import os
import subprocess
import threading
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from gating.frontends import FRONTENDS
from gating.io import check
from gating.io.check import (
    Finding,
    check_broker,
    check_clocks,
    check_driver,
    check_keys,
    check_latency_timer,
    check_serial,
)
from gating.io.keys import make_keys
from gating.settings import GateSettings, KeySettings, MqttSettings, SerialSettings, SiteSettings


def verdicts(findings: list[Finding]) -> dict[str, str]:
    """Give the verdict by name."""
    return {finding.name: finding.verdict for finding in findings}


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """Give a pseudo-terminal: the far end and the near end's name."""
    master, slave = os.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    os.close(master)
    os.close(slave)


def send(master: int, frontend: str, speed: float, seconds: float) -> threading.Thread:
    """Send the samples of a box, in real time, `speed` times as many as it declares."""

    def run() -> None:
        """Send a frame whenever it is full."""
        declared = FRONTENDS[frontend].declaration
        encoder = FRONTENDS[frontend].encoder()
        size = max(declared.block_fill_samples)
        silence = np.zeros((size, len(declared.leads)))
        on = np.zeros((size, len(declared.electrodes)), dtype=bool)
        began, sent = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            sent += size
            time.sleep(max(0.0, began + sent / (declared.rate_hz * speed) - time.monotonic()))
            os.write(master, encoder.encode(silence, on))

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def a_site(port: str, frontend: str = "healthypi6") -> SiteSettings:
    """Make a site with a serial port."""
    return SiteSettings(site="x", serial=SerialSettings(port=port), gate=GateSettings(frontend=frontend))


@pytest.mark.parametrize(("speed", "verdict"), [(1.0, "ok"), (0.5, "stop")])
def test_the_rate_is_measured_against_the_declared_one(terminal: tuple[int, str], speed: float, verdict: str) -> None:
    """A box at its rate passes; one at half of it, a 250 Hz box called 500 Hz, would stop a scan."""
    thread = send(terminal[0], "healthypi6", speed, 1.6)
    found = check_serial(a_site(terminal[1]), 1.2)
    thread.join()
    assert ("ok", verdict) == (verdicts(found)["serial port"], verdicts(found)["sampling rate"])
    assert "warn" == verdicts(found)["patient safety"]


def test_a_silent_port_and_another_box_are_told_apart(terminal: tuple[int, str]) -> None:
    """Nothing came; or something came that is no frame of this box."""
    silent = check_serial(a_site(terminal[1]), 0.2)
    assert "The port is silent" in silent[1].text
    os.write(terminal[0], b"hello" * 100)
    thread = threading.Timer(0.1, os.write, (terminal[0], b"hello" * 100))
    thread.start()
    other = check_serial(a_site(terminal[1]), 0.4)
    thread.join()
    assert "no healthypi6 frames" in other[1].text
    assert {"stop"} == {silent[1].verdict, other[1].verdict}


def test_a_missing_port_a_missing_section_and_an_unknown_frontend_stop(tmp_path: Path) -> None:
    """Each with the words of its error."""
    site = SiteSettings(site="x")
    cases = {
        "There is no serial port": a_site(str(tmp_path / "none")),
        "no \\[serial\\] section": site,
        "no frontend 'teapot'": a_site("/dev/null", "teapot"),
    }
    for text, one in cases.items():
        (found,) = check_serial(one, 0.1)
        assert ("stop", True) == (found.verdict, text.replace("\\", "") in found.text)


@pytest.mark.parametrize(("value", "verdict"), [("16\n", "warn"), ("1\n", "ok"), (None, "ok")])
def test_the_latency_timer_of_an_adapter_is_read(tmp_path: Path, value: str | None, verdict: str) -> None:
    """16 ms as shipped is warned of with the command that mends it."""
    folder = tmp_path / "bus" / "usb-serial" / "devices" / "ttyUSB0"
    folder.mkdir(parents=True)
    if value is not None:
        (folder / "latency_timer").write_text(value)
    (found,) = check_latency_timer(a_site("/dev/ttyUSB0"), tmp_path)
    assert (verdict, verdict == "warn") == (found.verdict, "echo 1 | sudo tee" in found.text)


def test_keys_are_checked_for_presence_modes_and_peers(tmp_path: Path) -> None:
    """All there; one readable by others; a peer missing; none private; none at all."""
    make_keys(tmp_path)
    site = SiteSettings(site="x", keys=KeySettings(folder=str(tmp_path)))
    assert ["ok"] == [finding.verdict for finding in check_keys(site)]
    (tmp_path / "gate.key").chmod(0o644)
    assert "chmod 600" in check_keys(site)[0].text
    (tmp_path / "gate.key").chmod(0o600)
    (tmp_path / "bridge.key").unlink()
    (tmp_path / "bridge.pub").unlink()
    assert "public keys of bridge" in check_keys(site)[0].text
    for name in ("gate", "operator"):
        (tmp_path / f"{name}.key").unlink()
    make_keys(tmp_path / "other")
    (tmp_path / "other" / "bridge.pub").rename(tmp_path / "bridge.pub")
    assert "warn" == check_keys(site)[0].verdict
    nothing = msgspec.structs.replace(site, keys=KeySettings(folder=str(tmp_path / "none")))
    assert "stop" == check_keys(nothing)[0].verdict


def test_the_clock_is_checked_for_steps_and_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that was suspended is warned of."""
    monkeypatch.setattr(check, "slept_ns", lambda: 0)
    assert "ok" == check_clocks()[0].verdict
    monkeypatch.setattr(check, "slept_ns", lambda: 7_000_000_000)
    assert ("warn", True) == (check_clocks()[0].verdict, "7.0 s" in check_clocks()[0].text)


@pytest.mark.parametrize(("driver", "verdict"), [("gantry", "ok"), ("null", "stop"), ("teapot", "stop")])
def test_the_drivers_name_is_known_and_one_that_can_expose(driver: str, verdict: str) -> None:
    """`null` refuses all, so it stops a scan too."""
    site = SiteSettings(site="x", bridge={"driver": driver})
    assert verdict == check_driver(site, {"null", "gantry"})[0].verdict


def a_broker_site(port: int, keys: Path, **settings: str) -> SiteSettings:
    """Make a site with a broker."""
    mqtt = MqttSettings(port=port, **settings)
    return SiteSettings(site="check", mqtt=mqtt, keys=KeySettings(folder=str(keys)))


@pytest.mark.processes
def test_a_good_broker_passes_for_each_role(embedded: Any, key_folder: Path) -> None:
    """Each is let in, heard and measured."""
    found = asyncio.run(check_broker(a_broker_site(embedded.port, key_folder)))
    assert ["broker as gate", "broker as bridge", "broker as operator"] == [finding.name for finding in found]
    assert "stop" not in verdicts(found).values()
    assert all("round trip" in finding.text for finding in found)


def test_an_absent_broker_stops_and_is_told_once(key_folder: Path) -> None:
    """The other roles would find the same."""
    (found,) = asyncio.run(check_broker(a_broker_site(1, key_folder)))
    assert ("stop", True) == (found.verdict, "No MQTT broker answers" in found.text)


@pytest.mark.mosquitto
def test_a_broker_without_nodelay_is_told_by_its_cause(mosquitto: Callable[..., Any], key_folder: Path) -> None:
    """The round trip is about 40 ms, and the finding names the line that mends it."""
    broker = mosquitto("set_tcp_nodelay false\nallow_anonymous true\n")
    found = asyncio.run(check_broker(a_broker_site(broker.port, key_folder)))
    assert {"warn"} == set(verdicts(found).values())
    assert all("set_tcp_nodelay true" in finding.text for finding in found)


@pytest.mark.mosquitto
def test_missing_rights_are_found_by_publishing_and_waiting(
    mosquitto: Callable[..., Any], key_folder: Path, tmp_path: Path
) -> None:
    """A gate that may read but not write is let in, acknowledged, and silently dropped."""
    passwords, acl, secret = tmp_path / "pw", tmp_path / "acl", tmp_path / "secret"
    passwords.touch()
    subprocess.run(["mosquitto_passwd", "-b", str(passwords), "gate", "secret"], check=True)
    secret.write_text("secret")
    acl.write_text("user gate\ntopic read gating/#\n")
    for path in (passwords, acl):
        path.chmod(0o600)
    broker = mosquitto(f"allow_anonymous false\npassword_file {passwords}\nacl_file {acl}\n")
    site = a_broker_site(broker.port, key_folder, username="gate", password_file=str(secret))
    (found,) = asyncio.run(check_broker(site))
    assert ("stop", True) == (found.verdict, "does not pass on what the gate says" in found.text)
