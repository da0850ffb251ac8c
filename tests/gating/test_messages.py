"""The contract: frozen, tagged, versioned, strict, and small enough for the wire."""

import dataclasses
import json
import types
import typing
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gating.io.bus import MAX_ENVELOPE_BYTES, Signed, seal
from gating.io.keys import Keyring
from gating.messages import (
    CHANNELS,
    MAX_PAYLOAD_BYTES,
    MESSAGES,
    AcquisitionPlan,
    Armed,
    EcgBlock,
    GateStatus,
    LeadStatus,
    Message,
    ScannerStatus,
    decode,
    encode,
    plan_hash,
    topic_of,
)

TEXT = st.text(max_size=12)


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Build a strategy of small values for one annotation of the contract."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in {typing.Union, types.UnionType}:
        return st.one_of(*[values_of(argument) for argument in arguments])
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(TEXT, values_of(arguments[1]), max_size=3)
    simple: dict[Any, st.SearchStrategy[Any]] = {
        int: st.integers(-(2**62), 2**62),
        float: st.floats(allow_nan=False, allow_infinity=False),
        str: TEXT,
        bool: st.booleans(),
        type(None): st.none(),
    }
    return simple[hint] if hint in simple else messages_of(hint)


def messages_of(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Build a strategy of messages of one kind."""
    hints = typing.get_type_hints(kind)
    return st.fixed_dictionaries({name: values_of(hint) for name, hint in hints.items()}).map(
        lambda fields: kind(**fields)
    )


@pytest.fixture(scope="session")
def example() -> Callable[[type[Message]], dict[str, Any]]:
    """Give one encoded message of a kind as a dictionary, always the same."""

    def simplest(hint: Any) -> Any:
        """Give the simplest value of an annotation."""
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin is Literal:
            return arguments[0]
        if origin in {typing.Union, types.UnionType}:
            return simplest(arguments[0])
        if origin in {tuple, dict}:
            return origin()
        simple = {int: 0, float: 0.0, str: "", bool: False, type(None): None}
        return simple[hint] if hint in simple else build(hint)

    def build(kind: type[msgspec.Struct]) -> Any:
        """Build the simplest struct of a kind."""
        return kind(**{name: simplest(hint) for name, hint in typing.get_type_hints(kind).items()})

    return lambda kind: json.loads(encode(build(kind)))


every_kind = pytest.mark.parametrize("kind", MESSAGES, ids=lambda kind: kind.__name__)


@every_kind
def test_every_message_is_frozen_tagged_and_versioned(
    kind: type[Message], example: Callable[[type[Message]], dict[str, Any]]
) -> None:
    """The tag is the class's name in the wire's spelling; the version stands in every payload."""
    fields = example(kind)
    assert "".join(part.capitalize() for part in fields["kind"].split("-")) == kind.__name__
    assert 1 == fields["v"]
    message = decode(json.dumps(fields).encode())
    with pytest.raises(AttributeError):
        message.v = 2  # type: ignore[misc, assignment]  # it is the refusal that is tested
    assert not dataclasses.is_dataclass(kind)


@every_kind
def test_an_unknown_field_is_refused_by_name(
    kind: type[Message], example: Callable[[type[Message]], dict[str, Any]]
) -> None:
    """A typo or a newer peer never passes unseen."""
    with pytest.raises(ValueError, match="surprise"):
        decode(json.dumps(example(kind) | {"surprise": 1}).encode())


@every_kind
def test_a_missing_field_is_refused_by_name(
    kind: type[Message], example: Callable[[type[Message]], dict[str, Any]]
) -> None:
    """Each required field in turn."""
    fields = example(kind)
    required = [field.encode_name for field in msgspec.structs.fields(kind) if field.required]
    for name in required:
        with pytest.raises(ValueError, match=name):
            decode(json.dumps({key: value for key, value in fields.items() if key != name}).encode())


@every_kind
def test_another_version_and_a_wrong_type_are_refused(
    kind: type[Message], example: Callable[[type[Message]], dict[str, Any]]
) -> None:
    """Version 2 is not read as version 1, and no field takes an object for a value."""
    fields = example(kind)
    with pytest.raises(ValueError, match=r"\$\.v"):
        decode(json.dumps(fields | {"v": 2}).encode())
    wrong = next(field.encode_name for field in msgspec.structs.fields(kind) if field.required)
    with pytest.raises(ValueError, match=wrong):
        decode(json.dumps(fields | {wrong: {"of": "another type"}}).encode())


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"7", b'{"kind":"beam"}', b'{"v":1}', b"\xff", b"{}" * 2])
def test_what_is_no_message_is_refused(payload: bytes) -> None:
    """Always with a ValueError."""
    with pytest.raises(ValueError, match=r"."):
        decode(payload)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(MESSAGES).flatmap(messages_of))
def test_every_message_survives_the_wire(message: Message) -> None:
    """Decoding what was encoded gives the same message, and encoding is deterministic."""
    assert message == decode(encode(message))
    assert encode(message) == encode(decode(encode(message)))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_decode_is_total(payload: bytes) -> None:
    """Any bytes give a message or a ValueError."""
    try:
        assert isinstance(decode(payload), Message)
    except ValueError as error:
        assert str(error)


def test_every_kind_but_the_plan_has_one_topic_of_its_own() -> None:
    """The plan travels inside others; permission is never on the display connection."""
    assert set(MESSAGES) - {AcquisitionPlan} == set(CHANNELS)
    topics = [channel.topic for channel in CHANNELS.values()]
    assert len(topics) == len(set(topics))
    for kind, channel in CHANNELS.items():
        assert channel.topic.startswith(
            {"gate": "gate/", "bridge": "scanner/", "operator": "operator/"}[channel.sender]
        )
        assert channel.permission or kind.__name__ in {
            "Beat",
            "Rhythm",
            "GateStatus",
            "EcgBlock",
            "Held",
            "RehearsalReport",
        }


def test_a_topic_names_site_and_kind(an_armed: Armed) -> None:
    """Below gating/<site>/."""
    assert "gating/room-3/scanner/armed" == topic_of("room-3", an_armed)


def test_a_plan_is_named_by_its_content(a_plan: AcquisitionPlan) -> None:
    """Any change of the plan changes its hash."""
    assert plan_hash(a_plan) == plan_hash(msgspec.structs.replace(a_plan))
    assert plan_hash(a_plan) != plan_hash(msgspec.structs.replace(a_plan, kvp=100.0))
    assert 64 == len(plan_hash(a_plan))


REASON = "electrode LA is off: press it on again or change it; then wait for eight beats"
LONG_NS = 10**18


def largest_ecg_block() -> EcgBlock:
    """Make the biggest strip that a page is sent: 12 leads, 40 ms and one frame of 16 at 500 Hz, near the rail."""
    leads = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
    return EcgBlock(
        first_at_ns=LONG_NS,
        rate_hz=500.0,
        leads=leads,
        microvolts=((-19999,) * 36,) * len(leads),
        electrodes_off=("RA", "LA", "LL"),
        sequence=10**9,
    )


def largest_gate_status() -> GateStatus:
    """Make a status with a reason for everything."""
    return GateStatus(
        at_ns=LONG_NS,
        boot="f" * 16,
        state="no-signal",
        advice="no-go",
        reasons=(REASON,) * 10,
        leads=tuple(LeadStatus(lead=f"V{number}", trusted=False, reason=REASON) for number in range(12)),
        best_lead="II",
        source="healthypi6",
        simulated=True,
        patient_safe=False,
        sample_age_ms=123.456789,
        heart_rate_bpm=61.23456789,
        rr_interval_ms=987.654321,
        steadiness="irregular",
        crc_errors=10**9,
        lost_samples=10**9,
        session="f" * 32,
        hold_began_at_ns=LONG_NS,
    )


def largest_scanner_status(make_status: Callable[..., ScannerStatus], a_plan: AcquisitionPlan) -> ScannerStatus:
    """Make a status of a long plan in which much was refused."""
    plan = msgspec.structs.replace(
        a_plan,
        table_mm=tuple(-123.456789 + 36 * step for step in range(8)),
        msv_factor_source="ICRP 103, chest, adult: doi:10.0000/a-long-identifier-of-a-paper",
    )
    return make_status(
        at_ns=LONG_NS,
        plan=plan,
        reasons=(REASON,) * 8,
        challenge="f" * 32,
        session="f" * 32,
        steps_exposed=tuple(range(8)),
        hold_began_at_ns=LONG_NS,
        table_settled_at_ns=LONG_NS,
        refused={f"a reason of refusal {number}": 10**6 for number in range(16)},
        beam_on_ms=1234.56789,
        clock_offset_ns=LONG_NS,
        clock_uncertainty_ns=LONG_NS,
    )


def test_the_largest_realistic_messages_fit_with_their_envelope(
    make_status: Callable[..., ScannerStatus], a_plan: AcquisitionPlan, key_folder: Any
) -> None:
    """Payload at most 4,096 bytes, envelope at most 6,144."""
    largest: list[tuple[Message, Literal["gate", "bridge"]]] = [
        (largest_ecg_block(), "gate"),
        (largest_gate_status(), "gate"),
        (largest_scanner_status(make_status, a_plan), "bridge"),
    ]
    for message, role in largest:
        assert len(encode(message)) <= MAX_PAYLOAD_BYTES, type(message).__name__
        assert len(seal(message, Keyring(key_folder, role))) <= MAX_ENVELOPE_BYTES


def test_any_payload_within_its_cap_fits_into_an_envelope_within_its_own() -> None:
    """The envelope's cap follows from the payload's: base64, a key id, a signature."""
    envelope = Signed(key_id="f" * 16, payload=b"\xff" * MAX_PAYLOAD_BYTES, signature=b"\xff" * 64)
    assert len(msgspec.json.encode(envelope)) <= MAX_ENVELOPE_BYTES
