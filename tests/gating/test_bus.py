"""The bus: what is believed, what is refused and why."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest

from gating.errors import PeerError, SettingsError
from gating.io.bus import MAX_ENVELOPE_BYTES, Heard, Refused, seal, unseal
from gating.io.keys import Keyring, make_keys
from gating.messages import (
    OperatorRequest,
    Ping,
    Pong,
    encode,
    topic_of,
)

PING = Ping(token="t", at_ns=1)
PONG = Pong(token="t", ping_at_ns=1, gate_at_ns=2)
ARM = OperatorRequest(request="arm", name="a person")
HOLD = OperatorRequest(request="hold", name="the page")
PAGE = "gating/test/page/request"


def judge(data: bytes, folder: Path, topic: str = "gating/test/scanner/ping", *, retained: bool = False) -> Any:
    """Unseal as the gate would, at the instant 7."""
    return unseal("test", topic, data, retained=retained, keyring=Keyring(folder, "gate"), now_ns=7)


def test_a_signed_message_is_believed_and_names_its_key(key_folder: Path) -> None:
    """Message, key id and arrival come back."""
    ring = Keyring(key_folder, "bridge")
    assert Heard(PING, ring.key_id, 7) == judge(seal(PING, ring), key_folder)


def test_the_envelope_carries_the_exact_signed_bytes(key_folder: Path) -> None:
    """Any JSON reader and any Ed25519 library can check it: key_id, base64 payload, base64 signature."""
    import base64

    ring = Keyring(key_folder, "bridge")
    envelope = json.loads(seal(PING, ring))
    assert {"key_id", "payload", "signature"} == set(envelope)
    assert encode(PING) == base64.b64decode(envelope["payload"])


def refused_cases(folder: Path, other: Path) -> dict[str, tuple[str, bytes, str, bool]]:
    """Everything that is not believed: name -> reason, data, topic, retained."""
    gate, bridge, foreign = Keyring(folder, "gate"), Keyring(folder, "bridge"), Keyring(other, "bridge")
    ping, pong = "gating/test/scanner/ping", "gating/test/gate/pong"
    good = seal(PING, bridge)
    envelope = json.loads(good)
    tampered = json.dumps(envelope | {"payload": json.loads(seal(Ping(token="t", at_ns=2), bridge))["payload"]})
    unknown_field = json.dumps(envelope | {"comment": "hello"})
    payload = b'{"kind":"ping","v":1,"token":"t","at_ns":1,"more":1}'
    signed_nonsense = msgspec.json.encode(
        {"key_id": bridge.key_id, "payload": payload, "signature": bridge.sign(payload)}
    )
    return {
        "no envelope": ("unsigned", encode(PING), ping, False),
        "noise": ("malformed", b"\xff\x00{", ping, False),
        "nothing": ("malformed", b"", ping, False),
        "a field more in the envelope": ("malformed", unknown_field.encode(), ping, False),
        "a field more in the message": ("malformed", signed_nonsense, ping, False),
        "foreign key": ("unknown-key", seal(PING, foreign), ping, False),
        "tampered": ("bad-signature", tampered.encode(), ping, False),
        "the gate's key on the bridge's message": ("wrong-role", seal(PING, gate), ping, False),
        "another topic": ("malformed", good, pong, False),
        "retained": ("retained", good, ping, True),
        "too large": ("too-large", b"x" * (MAX_ENVELOPE_BYTES + 1), ping, False),
        "arm from the page": ("unsigned", encode(ARM), PAGE, False),
        "ping from the page": ("unsigned", encode(PING), PAGE, False),
        "noise from the page": ("malformed", b"{", PAGE, False),
    }


@pytest.fixture(scope="session")
def cases(key_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, bytes, str, bool]]:
    """The table above, with a foreign key set."""
    other = tmp_path_factory.mktemp("foreign")
    make_keys(other)
    return refused_cases(key_folder, other)


@pytest.mark.parametrize(
    "name",
    [
        "no envelope",
        "noise",
        "nothing",
        "a field more in the envelope",
        "a field more in the message",
        "foreign key",
        "tampered",
        "the gate's key on the bridge's message",
        "another topic",
        "retained",
        "too large",
        "arm from the page",
        "ping from the page",
        "noise from the page",
    ],
)
def test_what_is_not_believed_is_refused_with_its_reason(
    name: str, cases: dict[str, tuple[str, bytes, str, bool]], key_folder: Path
) -> None:
    """One reason each, and never an exception."""
    reason, data, topic, retained = cases[name]
    assert Refused(reason, topic, 7) == judge(data, key_folder, topic, retained=retained)  # type: ignore[arg-type]


def test_every_refused_case_is_tried(cases: dict[str, tuple[str, bytes, str, bool]]) -> None:
    """The table and the list above hold the same 14 names."""
    assert 14 == len(cases)


@pytest.mark.parametrize("request_name", ["rehearse", "mark", "hold"])
def test_the_page_may_tighten_unsigned(request_name: Any, key_folder: Path) -> None:
    """Such a request carries no key id."""
    message = OperatorRequest(request=request_name, name="page")
    assert Heard(message, None, 7) == judge(encode(message), key_folder, PAGE)


def test_a_message_too_large_is_not_sent(key_folder: Path) -> None:
    """The sender notices before the wire does."""
    with pytest.raises(ValueError, match="4096"):
        seal(OperatorRequest(request="mark", name="x" * 5000), Keyring(key_folder, "operator"))


def test_nobody_publishes_for_another(make_bus: Callable[..., Any]) -> None:
    """The gate sends no Ping, the monitor nothing but the page's requests."""
    with pytest.raises(ValueError, match="not the gate's"):
        asyncio.run(make_bus("gate", 1).publish(PING))
    for message in (ARM, PONG):
        with pytest.raises(ValueError, match="may send only"):
            asyncio.run(make_bus("monitor", 1).publish(message))


def test_a_publish_without_a_connection_fails_at_once(make_bus: Callable[..., Any]) -> None:
    """Nothing is queued for later."""
    began = time.monotonic()
    with pytest.raises(PeerError, match="nothing was sent"):
        asyncio.run(make_bus("gate", 1).publish(PONG))
    assert time.monotonic() - began < 0.1


def test_a_missing_password_file_is_named(make_bus: Callable[..., Any], tmp_path: Path) -> None:
    """Before any connection is tried."""
    with pytest.raises(SettingsError, match="cannot be read"):
        make_bus("gate", 1, username="gate", password_file=str(tmp_path / "none"))
    with pytest.raises(SettingsError, match="no username"):
        make_bus("gate", 1, password_file=str(tmp_path / "none"))


async def talk(port: int, make_bus: Callable[..., Any], run_bus: Callable[..., Any], until: Callable[..., Any]) -> None:
    """Let a bridge ping and a gate answer, over the broker at a port."""
    async with (
        run_bus(make_bus("gate", port, Ping, OperatorRequest)) as gate,
        run_bus(make_bus("bridge", port, Pong, OperatorRequest)) as bridge,
        run_bus(make_bus("operator", port)) as operator,
        run_bus(make_bus("monitor", port, Ping, Pong)) as monitor,
    ):
        await bridge.bus.publish(PING)
        await until(lambda: gate.heard)
        await gate.bus.publish(PONG)
        await operator.bus.publish(ARM)
        await monitor.bus.publish(HOLD)
        await until(lambda: len(bridge.heard) == 3 and len(monitor.heard) == 2 and len(gate.heard) == 3)
        assert {PONG, ARM, HOLD} == set(bridge.messages)
        assert {PING, PONG} == set(monitor.messages)
        assert [None] == [one.key_id for one in bridge.heard if one.message == HOLD]
        assert [] == gate.refused + bridge.refused + monitor.refused
        assert [True] == [up for up, _ in gate.links]


@pytest.mark.processes
def test_all_roles_talk_over_the_embedded_broker(
    embedded: Any, make_bus: Callable[..., Any], run_bus: Callable[..., Any], until: Callable[..., Any]
) -> None:
    """Signed both ways, the page's request unsigned, nothing refused."""
    asyncio.run(talk(embedded.port, make_bus, run_bus, until))


@pytest.mark.mosquitto
def test_all_roles_talk_over_mosquitto(
    mosquitto: Any, make_bus: Callable[..., Any], run_bus: Callable[..., Any], until: Callable[..., Any]
) -> None:
    """The same on a real broker."""
    asyncio.run(talk(mosquitto("allow_anonymous true\n").port, make_bus, run_bus, until))


@pytest.mark.processes
def test_forged_messages_on_the_wire_are_told_and_the_true_ones_still_come(
    embedded: Any,
    make_bus: Callable[..., Any],
    run_bus: Callable[..., Any],
    until: Callable[..., Any],
    cases: dict[str, tuple[str, bytes, str, bool]],
    key_folder: Path,
) -> None:
    """A rogue client on the broker adds refusals, never a message; a replay arrives as it is (the bridge counts)."""

    async def scenario() -> None:
        """Play it."""
        async with (
            run_bus(make_bus("gate", embedded.port, Ping, OperatorRequest, site="forged")) as gate,
            aiomqtt.Client("127.0.0.1", embedded.port) as rogue,
        ):
            expected = []
            for reason, data, topic, retained in cases.values():
                if not retained and topic != "gating/test/gate/pong":
                    await rogue.publish(topic.replace("test", "forged"), data, qos=1)
                    expected.append(reason)
            true = seal(PING, Keyring(key_folder, "bridge"))
            await rogue.publish(topic_of("forged", PING), true, qos=1)
            await rogue.publish(topic_of("forged", PING), true, qos=1)
            await until(lambda: len(gate.heard) == 2)
            assert expected == [one.reason for one in gate.refused]
            assert [PING, PING] == gate.messages

    asyncio.run(scenario())


@pytest.mark.processes
def test_a_retained_message_is_dropped_at_subscription(
    embedded: Any,
    make_bus: Callable[..., Any],
    run_bus: Callable[..., Any],
    until: Callable[..., Any],
    key_folder: Path,
) -> None:
    """An old signed trigger that the broker kept is no trigger."""

    async def scenario() -> None:
        """Play it."""
        topic = topic_of("retained", PING)
        async with aiomqtt.Client("127.0.0.1", embedded.port) as rogue:
            await rogue.publish(topic, seal(PING, Keyring(key_folder, "bridge")), qos=1, retain=True)
            async with run_bus(make_bus("gate", embedded.port, Ping, site="retained")) as gate:
                await until(lambda: gate.refused)
                assert [] == gate.heard
                assert ["retained"] == [one.reason for one in gate.refused]
            await rogue.publish(topic, b"", qos=1, retain=True)

    asyncio.run(scenario())
