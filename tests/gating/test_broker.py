"""The embedded broker: ready when it says so, closed to strangers, and never anonymous on a network."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from gating.errors import PeerError, SettingsError
from gating.io.broker import add_user_to, check_exposure, serve
from gating.messages import Ping, Pong

PING = Ping(token="t", at_ns=1)
PONG = Pong(token="t", ping_at_ns=1, gate_at_ns=2)


@pytest.mark.processes
def test_it_says_in_one_json_line_that_it_is_ready_and_ends_when_told() -> None:
    """Port 0 takes a free port; SIGTERM ends it with exit code 0."""
    process = subprocess.Popen(
        [sys.executable, "-m", "diastole", "broker", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["ready"] is True
        with socket.create_connection(("127.0.0.1", ready["port"]), timeout=2):
            pass
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(10)
    finally:
        process.kill()
        out, errors = process.communicate()
    assert (b"", b"") == (out, errors)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.7", "scanner-room", "::"])
def test_without_passwords_it_listens_on_loopback_only(host: str) -> None:
    """Anything that other machines could reach is refused with the cure."""
    with pytest.raises(SettingsError, match=r"127\.0\.0\.1 only.*--password-file"):
        check_exposure(host, None)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_needs_no_passwords(host: str) -> None:
    """The demo runs without any."""
    check_exposure(host, None)


def test_a_missing_password_file_is_named(tmp_path: Path) -> None:
    """With the way to make it."""
    with pytest.raises(SettingsError, match="--add-user"):
        check_exposure("0.0.0.0", tmp_path / "none")


def test_a_taken_port_is_named(embedded: Any) -> None:
    """The sentence says which port."""
    with pytest.raises(PeerError, match=f"Port {embedded.port} on 127.0.0.1 is taken"):
        asyncio.run(serve("127.0.0.1", embedded.port, ready=lambda _: None))


@pytest.mark.parametrize(("user", "password"), [("admin", "x"), ("stranger", "x"), ("gate", "")])
def test_only_the_four_users_get_a_password(tmp_path: Path, user: str, password: str) -> None:
    """`admin` least of all: to this broker it may do everything."""
    with pytest.raises(SettingsError):
        add_user_to(tmp_path / "users", user, password)
    assert not (tmp_path / "users").exists()


def test_users_are_added_and_replaced_and_only_hashes_are_kept(tmp_path: Path) -> None:
    """One line each, mode 0600."""
    users = tmp_path / "users"
    for user, password in (("gate", "first"), ("bridge", "other"), ("gate", "second")):
        add_user_to(users, user, password)
    text = users.read_text()
    assert ["bridge", "gate"] == sorted(line.split(":")[0] for line in text.splitlines())
    assert not any(password in text for password in ("first", "other", "second"))
    assert 0o600 == users.stat().st_mode & 0o777
    with pytest.raises(SettingsError, match="--password-file"):
        add_user_to(None, "gate", "x")


@pytest.mark.processes
def test_users_get_in_with_their_password_and_say_only_what_is_theirs(
    tmp_path: Path, make_bus: Callable[..., Any], run_bus: Callable[..., Any], until: Callable[..., Any]
) -> None:
    """A wrong password and an anonymous client are refused; the bridge's user cannot say the gate's messages."""
    users = tmp_path / "users"
    for user in ("gate", "bridge"):
        add_user_to(users, user, f"{user}-secret")
        (tmp_path / f"{user}.password").write_text(f"{user}-secret\n")
    (tmp_path / "wrong").write_text("wrong")
    right = {"username": "{role}", "password_file": str(tmp_path / "{role}.password")}

    async def scenario() -> None:
        """Play it, the broker in the same loop."""
        ports: list[int] = []
        broker = asyncio.ensure_future(serve("127.0.0.1", 0, password_file=users, ready=ports.append))
        await until(lambda: ports or broker.done())
        port = ports[0]
        async with (
            run_bus(make_bus("gate", port, Ping, **right)) as gate,
            run_bus(make_bus("bridge", port, Pong, **right)) as bridge,
        ):
            await bridge.bus.publish(PING)
            await until(lambda: gate.heard)
            async with aiomqtt.Client("127.0.0.1", port, username="bridge", password="bridge-secret") as rogue:
                await rogue.publish("gating/test/gate/pong", b"forged", qos=1)
            await gate.bus.publish(PONG)
            await until(lambda: bridge.heard)
            assert ([], [PONG]) == (bridge.refused, bridge.messages), "the forged one was dropped by the broker"
        for settings in ({"username": "gate", "password_file": str(tmp_path / "wrong")}, {}):
            async with run_bus(make_bus("gate", port, Ping, **settings), wait=False) as gate:
                await until(lambda gate=gate: gate.links)
                assert (False, True) == (gate.links[0][0], "refuses" in gate.links[0][1])
        broker.cancel()
        await asyncio.gather(broker, return_exceptions=True)

    asyncio.run(scenario())
