"""The bus under strain: a broker that dies or refuses, the order of messages, and more of them than it can take."""

import asyncio
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gating.errors import PeerError
from gating.io.bus import MAX_ENVELOPE_BYTES, Heard, Refused, seal
from gating.io.keys import Keyring
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

PING = Ping(token="t", at_ns=1)
PONG = Pong(token="t", ping_at_ns=1, gate_at_ns=2)
ARM = OperatorRequest(request="arm", name="a person")
HOLD = OperatorRequest(request="hold", name="the page")
PAGE = "gating/test/page/request"


async def outage(broker: Any, make_bus: Any, run_bus: Any, until: Any) -> None:
    """Kill the broker under a running bus and bring it back."""
    async with run_bus(make_bus("gate", broker.port, Ping)) as gate, run_bus(make_bus("bridge", broker.port)) as bridge:
        await gate.bus.publish(PONG)
        broker.stop(signal.SIGKILL)
        killed = time.monotonic()
        await until(lambda: not gate.bus.connected and not bridge.bus.connected)
        assert time.monotonic() - killed < 0.5
        tried = time.monotonic()
        with pytest.raises(PeerError):
            await gate.bus.publish(PONG)
        assert time.monotonic() - tried < 0.05
        await until(lambda: len(gate.links) >= 2)
        assert [True, False] == [up for up, _ in gate.links[:2]]
        await asyncio.sleep(0.5)
        broker.start()
        await until(lambda: gate.bus.connected and bridge.bus.connected)
        assert True is gate.links[-1][0]
        assert len(gate.links) <= 4, "the same failure is told once, not at every try"
        await bridge.bus.publish(PING)
        await until(lambda: gate.heard)
        assert [PING] == gate.messages, "nothing of the time before the outage comes late"


@pytest.mark.processes
def test_a_killed_embedded_broker_is_told_at_once_and_found_again(
    own_embedded: Any, make_bus: Callable[..., Any], run_bus: Callable[..., Any], until: Callable[..., Any]
) -> None:
    """link(False), publish raises, link(True), subscriptions are back."""
    asyncio.run(outage(own_embedded, make_bus, run_bus, until))


@pytest.mark.mosquitto
def test_a_killed_mosquitto_is_told_at_once_and_found_again(
    mosquitto: Any, make_bus: Callable[..., Any], run_bus: Callable[..., Any], until: Callable[..., Any]
) -> None:
    """The same on a real broker."""
    asyncio.run(outage(mosquitto("allow_anonymous true\n"), make_bus, run_bus, until))


def test_an_absent_broker_is_named_once_with_the_cure(
    make_bus: Callable[..., Any], run_bus: Callable[..., Any], until: Callable[..., Any]
) -> None:
    """The bus goes on trying in silence."""

    async def scenario() -> None:
        """Play it."""
        async with run_bus(make_bus("gate", 1, Ping), wait=False) as gate:
            await until(lambda: gate.links)
            await asyncio.sleep(0.5)
            assert 1 == len(gate.links)
            assert "No MQTT broker answers at 127.0.0.1:1; start it (`diastole broker`)" in gate.links[0][1]

    asyncio.run(scenario())


@pytest.mark.mosquitto
def test_wrong_password_and_missing_rights_are_told_with_the_cure(
    mosquitto: Any,
    make_bus: Callable[..., Any],
    run_bus: Callable[..., Any],
    until: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """The right user talks; a wrong password is refused; a forged trigger is dropped by the broker's access list."""
    passwords, acl = tmp_path / "pw", tmp_path / "acl"
    passwords.touch()
    for user in ("gate", "bridge"):
        (tmp_path / f"{user}.password").write_text(f"{user}-secret\n")
        subprocess.run(["mosquitto_passwd", "-b", str(passwords), user, f"{user}-secret"], check=True)
    (tmp_path / "wrong").write_text("wrong\n")
    acl.write_text(
        "user gate\ntopic readwrite gating/+/gate/#\ntopic read gating/#\n"
        "user bridge\ntopic readwrite gating/+/scanner/#\ntopic read gating/#\n"
    )
    passwords.chmod(0o600)
    acl.chmod(0o600)
    broker = mosquitto(f"allow_anonymous false\npassword_file {passwords}\nacl_file {acl}\n")
    right = {"username": "{role}", "password_file": str(tmp_path / "{role}.password")}

    async def scenario() -> None:
        """Play it."""
        async with (
            run_bus(make_bus("gate", broker.port, Ping, **right)) as gate,
            run_bus(make_bus("bridge", broker.port, Pong, **right)) as bridge,
        ):
            await bridge.bus.publish(PING)
            await gate.bus.publish(PONG)
            await until(lambda: gate.heard and bridge.heard)
        wrong = {"username": "gate", "password_file": str(tmp_path / "wrong")}
        async with run_bus(make_bus("gate", broker.port, Ping, **wrong), wait=False) as gate:
            await until(lambda: gate.links)
            assert (False, True) == (gate.links[0][0], "refuses user 'gate'" in gate.links[0][1])
            assert "check username and password_file" in gate.links[0][1]
        async with run_bus(make_bus("gate", broker.port, Ping), wait=False) as gate:
            await until(lambda: gate.links)
            assert "refuses anonymous users" in gate.links[0][1]

    asyncio.run(scenario())


def test_an_error_of_the_receiver_is_raised_and_not_taken_for_the_brokers(
    embedded: Any, make_bus: Callable[..., Any], until: Callable[..., Any]
) -> None:
    """A bug in a callback ends the process instead of looking like a bad line."""

    async def scenario() -> None:
        """Play it."""
        gate, bridge = make_bus("gate", embedded.port, Ping, site="bug"), make_bus("bridge", embedded.port, site="bug")

        def ignore(*_: object) -> None:
            """Do nothing."""

        def stumble(_: Heard | Refused) -> None:
            """Fail."""
            raise ZeroDivisionError

        tasks = [
            asyncio.ensure_future(gate.run(stumble, ignore)),
            asyncio.ensure_future(bridge.run(ignore, ignore)),
        ]
        await until(lambda: gate.connected and bridge.connected)
        await bridge.publish(PING)
        with pytest.raises(ZeroDivisionError):
            await tasks[0]
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(scenario())


def test_messages_keep_their_order_without_being_awaited(
    embedded: Any, make_bus: Callable[..., Any], run_bus: Callable[..., Any], until: Callable[..., Any]
) -> None:
    """A burst of both qualities of service arrives in the order of the calls, also when no ack is awaited."""
    burst: list[Message] = []
    for number in range(10):
        burst.append(
            KeepAlive(
                session="s", nonce="n", sequence=2 * number, beat=1, newest_sample_at_ns=number, good_until_ns=number
            )
        )
        burst.append(a_trigger(2 * number + 1))

    async def scenario() -> None:
        """Play it."""
        async with (
            run_bus(make_bus("gate", embedded.port, site="order")) as gate,
            run_bus(make_bus("bridge", embedded.port, KeepAlive, Trigger, site="order")) as bridge,
        ):
            await asyncio.gather(*[asyncio.ensure_future(gate.bus.publish(message)) for message in burst])
            await until(lambda: len(bridge.heard) == 20)
            assert burst == bridge.messages

    asyncio.run(scenario())


def test_more_than_the_broker_can_take_is_refused_not_queued(
    embedded: Any, make_bus: Callable[..., Any], run_bus: Callable[..., Any]
) -> None:
    """Beyond 32 publishes under way the next one fails at once."""

    async def scenario() -> None:
        """Play it."""
        async with run_bus(make_bus("gate", embedded.port, site="flood")) as gate:
            sends = [asyncio.ensure_future(gate.bus.publish(a_trigger(number))) for number in range(40)]
            ends = await asyncio.gather(*sends, return_exceptions=True)
            assert [None] * 32 == ends[:32]
            assert all(isinstance(end, PeerError) and "does not keep up" in str(end) for end in ends[32:])

    asyncio.run(scenario())


def a_trigger(sequence: int) -> Trigger:
    """Make a trigger of ordinary size."""
    return Trigger(
        session="s",
        nonce="n" * 32,
        sequence=sequence,
        plan_hash="f" * 64,
        beat=sequence,
        step=0,
        attempt=1,
        r_at_ns=10**15,
        opens_at_ns=10**15,
        closes_at_ns=10**15,
        centre_at_ns=10**15,
        latest_open_at_ns=10**15,
        expires_at_ns=10**15,
        phase="diastole",
        predicted_rr_ms=1000.0,
        predicted_rr_low_ms=950.0,
        predicted_rr_high_ms=1050.0,
        padding_ms=0.0,
        reasons=("steady",),
        sample_arrived_at_ns=10**15,
        issued_at_ns=10**15,
    )


def test_the_largest_messages_fit(key_folder: Path, an_armed: Armed, make_status: Callable[..., ScannerStatus]) -> None:
    """Armed and a long ScannerStatus stay below the payload's and the envelope's caps."""
    ring = Keyring(key_folder, "bridge")
    refusals = dict.fromkeys(("unsigned", "unknown-key", "bad-signature", "wrong-role", "malformed"), 10**6)
    status = make_status(
        reasons=tuple("a reason of ordinary length, in words for the page" for _ in range(8)),
        refused=refusals,
        steps_exposed=tuple(range(16)),
        at_ns=10**18,
        hold_began_at_ns=10**18,
    )
    for message in (an_armed, status):
        assert len(seal(message, ring)) <= MAX_ENVELOPE_BYTES
