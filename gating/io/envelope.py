"""The signed envelope: Ed25519 over the exact payload bytes, and the judgement of all that comes from a wire.

Whatever is heard and not believed becomes `Refused` with its reason, so that it can be counted and shown.
"""

from dataclasses import dataclass
from typing import Literal

import msgspec

from gating.io.keys import Keyring
from gating.messages import CHANNELS, MAX_PAYLOAD_BYTES, PAGE_TOPIC, Message, OperatorRequest, decode, encode, topic_of

RefusalReason = Literal["unsigned", "unknown-key", "bad-signature", "wrong-role", "malformed", "too-large", "retained"]

MAX_ENVELOPE_BYTES = 6144
"""A payload of MAX_PAYLOAD_BYTES is 5,464 bytes of base64; key id, signature and names add less than 200."""

PAGE_REQUESTS = frozenset({"rehearse", "mark", "hold"})
"""What may come unsigned from the page: it can tighten, never permit."""


class Signed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The envelope on the wire. `payload` is base64 in JSON, so the exact signed bytes survive any reader."""

    key_id: str
    payload: bytes
    signature: bytes


@dataclass(frozen=True)
class Heard:
    """A believed message. `key_id` is None for an unsigned request of the page."""

    message: Message
    key_id: str | None
    arrived_at_ns: int


@dataclass(frozen=True)
class Refused:
    """Something heard and not believed."""

    reason: RefusalReason
    topic: str
    arrived_at_ns: int


_envelope_decoder = msgspec.json.Decoder(Signed)


def seal(message: Message, keyring: Keyring) -> bytes:
    """Wrap and sign a message.

    Raises
    ------
    SettingsError
        If the keyring has no private key.
    ValueError
        If the message is larger than MAX_PAYLOAD_BYTES.
    """
    payload = encode(message)
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise ValueError(f"A {type(message).__name__} of {len(payload)} bytes is above {MAX_PAYLOAD_BYTES}.")
    signature = keyring.sign(payload)
    return msgspec.json.encode(Signed(key_id=keyring.key_id or "", payload=payload, signature=signature))


def unseal(site: str, topic: str, data: bytes, *, retained: bool, keyring: Keyring, now_ns: int) -> Heard | Refused:
    """Judge what came on a topic: cheap checks first, the signature before the content is looked at."""
    if retained:
        return Refused("retained", topic, now_ns)
    if len(data) > MAX_ENVELOPE_BYTES:
        return Refused("too-large", topic, now_ns)
    if topic == f"gating/{site}/{PAGE_TOPIC}":
        return _judge_page_request(topic, data, now_ns)
    try:
        envelope = _envelope_decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Refused("unsigned" if _is_message(data) else "malformed", topic, now_ns)
    role = keyring.roles.get(envelope.key_id)
    if role is None:
        return Refused("unknown-key", topic, now_ns)
    if not keyring.verify(envelope.key_id, envelope.payload, envelope.signature):
        return Refused("bad-signature", topic, now_ns)
    if len(envelope.payload) > MAX_PAYLOAD_BYTES:
        return Refused("too-large", topic, now_ns)
    try:
        message = decode(envelope.payload)
    except ValueError:
        return Refused("malformed", topic, now_ns)
    channel = CHANNELS.get(type(message))
    if channel is None or topic_of(site, message) != topic:
        return Refused("malformed", topic, now_ns)
    if channel.sender != role:
        return Refused("wrong-role", topic, now_ns)
    return Heard(message, envelope.key_id, now_ns)


def _judge_page_request(topic: str, data: bytes, now_ns: int) -> Heard | Refused:
    """Let an unsigned request of the page through only if it can do nothing but tighten."""
    try:
        message = decode(data)
    except ValueError:
        return Refused("malformed", topic, now_ns)
    if not isinstance(message, OperatorRequest):
        return Refused("unsigned", topic, now_ns)
    if message.request not in PAGE_REQUESTS:
        return Refused("unsigned", topic, now_ns)
    return Heard(message, None, now_ns)


def _is_message(data: bytes) -> bool:
    """Tell a well-formed message without an envelope from noise."""
    try:
        decode(data)
    except ValueError:
        return False
    return True
