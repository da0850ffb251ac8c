"""The published schemas of the contract, generated from `gating/messages.py`: `python -m gating.io.schemas`.

`messages.schema.json` holds the JSON Schema of every message and of the signed envelope; `asyncapi.json` says on which
topic each travels, at which quality of service, and who sends it. A test regenerates both and compares.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from gating.io.bus import MAX_ENVELOPE_BYTES, Signed
from gating.messages import CHANNELS, MAX_PAYLOAD_BYTES, MESSAGES, PAGE_TOPIC, VERSION, Message, OperatorRequest

FOLDER = Path(__file__).resolve().parent.parent / "schema"
MQTT_BINDING = "0.2.0"


def message_schema() -> dict[str, Any]:
    """Give the JSON Schema (2020-12) of all messages and of the envelope around them."""
    _, components = msgspec.json.schema_components([*MESSAGES, Signed], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Diastole messages",
        "description": "Every payload is one of these; on the wire it is base64 inside Signed, page requests excepted.",
        "version": VERSION,
        "oneOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in MESSAGES],
        "$defs": components,
    }


def asyncapi() -> dict[str, Any]:
    """Give the AsyncAPI 3.0 document of all channels, with the MQTT binding."""
    channels, operations = {}, {}
    for kind, channel in CHANNELS.items():
        name = kind.__name__
        channels[name] = _channel(f"gating/{{site}}/{channel.topic}", name, f"{channel.sender} to all who listen.")
        operations[f"{channel.sender}Sends{name}"] = _operation(name, channel.qos, _summary(kind))
    page_qos = CHANNELS[OperatorRequest].qos
    channels["PageRequest"] = _channel(
        f"gating/{{site}}/{PAGE_TOPIC}", "PageRequest", "The page, which holds no key: unsigned, and it only tightens."
    )
    operations["monitorSendsPageRequest"] = _operation("PageRequest", page_qos, "Only rehearse, mark and hold.")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Diastole",
            "version": str(VERSION),
            "description": (
                "Prospective ECG gating over MQTT 3.1.1. Nothing is retained. A payload is the envelope Signed around "
                f"at most {MAX_PAYLOAD_BYTES} bytes of a message, {MAX_ENVELOPE_BYTES} bytes in all; the signature is "
                "Ed25519 over the exact payload bytes."
            ),
        },
        "defaultContentType": "application/json",
        "servers": {
            "site": {
                "host": "{host}:{port}",
                "protocol": "mqtt",
                "protocolVersion": "3.1.1",
                "variables": {"host": {"default": "127.0.0.1"}, "port": {"default": "1883"}},
                "bindings": {"mqtt": {"cleanSession": True, "bindingVersion": MQTT_BINDING}},
            }
        },
        "channels": channels,
        "operations": operations,
        "components": {"messages": _messages()},
    }


def _summary(kind: type[Message]) -> str:
    """Take the first line of a message's docstring."""
    return (kind.__doc__ or "").strip().partition("\n")[0]


def _channel(address: str, message: str, description: str) -> dict[str, Any]:
    """Describe one topic, which carries one kind."""
    return {
        "address": address,
        "description": description,
        "parameters": {"site": {"description": "The name of the site, from the site file."}},
        "messages": {message: {"$ref": f"#/components/messages/{message}"}},
    }


def _operation(channel: str, qos: int, summary: str) -> dict[str, Any]:
    """Describe one publish."""
    return {
        "action": "send",
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/{channel}/messages/{channel}"}],
        "bindings": {"mqtt": {"qos": qos, "retain": False, "bindingVersion": MQTT_BINDING}},
    }


def _messages() -> dict[str, Any]:
    """Describe each kind as it travels: the envelope, and beside it the schema of what is inside."""
    found = {
        kind.__name__: {
            "name": kind.__name__,
            "summary": _summary(kind),
            "contentType": "application/json",
            "payload": {"$ref": "messages.schema.json#/$defs/Signed"},
            "x-signed-payload": {"$ref": f"messages.schema.json#/$defs/{kind.__name__}"},
        }
        for kind in CHANNELS
    }
    found["PageRequest"] = {
        "name": "PageRequest",
        "summary": "An OperatorRequest without a signature.",
        "contentType": "application/json",
        "payload": {"$ref": "messages.schema.json#/$defs/OperatorRequest"},
    }
    return found


def rendered() -> dict[str, str]:
    """Give the text of each generated file by its name."""
    documents = {"messages.schema.json": message_schema(), "asyncapi.json": asyncapi()}
    return {name: json.dumps(document, indent=2, sort_keys=True) + "\n" for name, document in documents.items()}


def main() -> None:
    """Write both files."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in rendered().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
