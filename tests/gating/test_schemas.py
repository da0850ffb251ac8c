"""The published schemas: generated, never edited, and never behind the contract."""

import json
from typing import Any

import pytest

from gating.io.schemas import FOLDER, asyncapi, main, message_schema, rendered
from gating.messages import CHANNELS, MESSAGES


@pytest.mark.parametrize("name", sorted(rendered()))
def test_the_published_file_is_what_the_contract_says_now(name: str) -> None:
    """Run `make schema` after a change of messages.py."""
    assert rendered()[name] == (FOLDER / name).read_text(encoding="utf-8")


def test_the_command_writes_what_is_compared(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both files, into the folder of schemas."""
    monkeypatch.setattr("gating.io.schemas.FOLDER", tmp_path / "schema")
    main()
    assert sorted(rendered()) == sorted(path.name for path in (tmp_path / "schema").iterdir())


def test_every_message_has_a_schema_that_refuses_unknown_fields() -> None:
    """As the decoder does."""
    schema = message_schema()
    for kind in MESSAGES:
        definition = schema["$defs"][kind.__name__]
        assert definition["additionalProperties"] is False
        assert "kind" in definition["required"]


def test_every_channel_is_described_with_its_topic_and_quality() -> None:
    """Address, QoS, retain False, and the page's own channel."""
    document = asyncapi()
    assert "3.0.0" == document["asyncapi"]
    for kind, channel in CHANNELS.items():
        name = kind.__name__
        operation = document["operations"][f"{channel.sender}Sends{name}"]
        assert f"gating/{{site}}/{channel.topic}" == document["channels"][name]["address"]
        binding = {"qos": channel.qos, "retain": False, "bindingVersion": "0.2.0"}
        assert binding == operation["bindings"]["mqtt"]
    assert "gating/{site}/page/request" == document["channels"]["PageRequest"]["address"]


def test_every_reference_leads_somewhere() -> None:
    """Inside the documents and from one to the other."""
    documents = {name: json.loads(text) for name, text in rendered().items()}

    def follow(document: str, reference: str) -> None:
        """Walk one pointer."""
        file, _, pointer = reference.partition("#")
        node = documents[file or document]
        for part in pointer.strip("/").split("/"):
            node = node[part]

    def walk(document: str, node: Any) -> int:
        """Follow all references below a node and count them."""
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                follow(document, node["$ref"])
            return ("$ref" in node) + sum(walk(document, child) for child in node.values())
        return sum(walk(document, child) for child in node) if isinstance(node, list) else 0

    for name, document in documents.items():
        assert walk(name, document) > len(MESSAGES) - 2
