"""Hostile peers against a real receiver: refused by type, bounded, nothing outside the store, the good one served."""

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import generate_uid

from tests.scoring.attacks import HUGE, besieged, deflated_bomb, nested_sequences, peak_kib, pour
from tests.scoring.receiving import DEFLATED, Line, Node, associate_request, encoded, fragment, send, store_command

MIB = 2**20
MOST_EXTRA_KIB = 8 * 1024
ABORTED, ACCEPTED = 7, 2
LIMITS = """
[scoring.receiver.limits]
associate_s = 2.0
pdu_s = 2.0
object_mib = 16
associations = 40
faults_per_minute = 100000
[scoring.receiver.draft]
quiet_s = 0.4
ready = false
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One receiver for this file: what a test does to it, the next one would notice."""
    node = Node(tmp_path_factory.mktemp("hostile"), more=LIMITS)
    yield node
    assert 0 == node.stop()
    outside = {path.name for path in node.store.parent.iterdir()}
    assert {"site.toml", "store", "log.jsonl"} == outside
    allowed = ("series/", "results/", "quarantine/", "incoming/", "status.json", "lock")
    assert [] == [name for name in node.files() if not name.startswith(allowed)]


@pytest.fixture(scope="module")
def slices(ct_slice: Callable[..., Any]) -> Callable[..., list[pydicom.Dataset]]:
    """Make a small series of its own."""

    def make(count: int = 4, **attributes: Any) -> list[pydicom.Dataset]:
        own = {name: generate_uid() for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}
        hu = np.full((32, 32), 40.0)
        return [
            ct_slice(hu, 3.0 * index, index + 1, **{**own, "SOPInstanceUID": generate_uid(), **attributes})
            for index in range(count)
        ]

    return make


@pytest.mark.parametrize("kind", [1, 4, 2, 0xEE])
def test_a_pdu_of_600_mib_before_any_association_costs_no_memory(node: Node, kind: int) -> None:
    """Declared and streamed as any type of PDU: refused by its header."""

    def attack() -> None:
        with Line(node.port) as line:
            assert HUGE > pour(line, struct.pack(">BxL", kind, HUGE), HUGE)

    assert MOST_EXTRA_KIB >= peak_kib(node, attack)


@pytest.mark.parametrize("kind", [1, 4, 5])
def test_a_pdu_of_600_mib_inside_an_association_costs_no_memory(node: Node, kind: int) -> None:
    """The negotiated maximum holds: an A-ABORT or a cut line is the answer."""

    def attack() -> None:
        with Line(node.port) as line:
            assert ACCEPTED == line.associate()[0]
            assert HUGE > pour(line, struct.pack(">BxL", kind, HUGE), HUGE)

    assert MOST_EXTRA_KIB >= peak_kib(node, attack)


def test_an_object_without_end_stops_at_its_limit(node: Node) -> None:
    """Fragments that never end: no more than one object's limit is kept, and it is given back."""
    with Line(node.port) as line:
        line.associate()
        line.fragment(3, store_command("1.2.3"))
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 200 * MIB:
                line.fragment(0, bytes(100_000))
                sent += 100_000
    assert 40 * MIB > sent
    node.wait(lambda: "connection ended: object-too-large" in node.status()["counts"], "told")


@pytest.mark.parametrize("nested", [17, 199, 5000])
def test_nested_sequences_are_refused(node: Node, slices: Callable[..., Any], nested: int) -> None:
    """Depth 17 is one too many, 5000 is no danger: a typed refusal each."""
    one = slices(1)[0]
    with Line(node.port) as line:
        line.associate()
        assert 0xC001 == line.store(one.SOPInstanceUID, nested_sequences(nested) + encoded(one))


@pytest.mark.parametrize("nested", [40, 5000])
def test_sequences_of_undefined_length_are_refused(node: Node, slices: Callable[..., Any], nested: int) -> None:
    """The same with delimiters, which pydicom reads by recursion at once."""
    one = slices(1)[0]
    head = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack(
        "<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF
    )
    tail = struct.pack("<HHL", 0xFFFE, 0xE00D, 0) + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    with Line(node.port) as line:
        line.associate()
        assert 0xC001 == line.store(one.SOPInstanceUID, head * nested + tail * nested + encoded(one))


def test_a_deflated_bomb_is_refused(node: Node, slices: Callable[..., Any]) -> None:
    """Less than 2 MiB that inflate to 400 MiB: refused before they are inflated."""
    one = slices(1)[0]
    bomb = deflated_bomb(encoded(one))
    assert 2 * MIB > len(bomb)
    with Line(node.port) as line:
        line.associate(syntax=DEFLATED)
        assert 0xC002 == line.store(one.SOPInstanceUID, bomb)


@pytest.mark.parametrize(
    "lie", [{"Rows": 65535, "Columns": 65535}, {"NumberOfFrames": 2_000_000}, {"Rows": 33}, {"Rows": 0}]
)
def test_sizes_that_lie_are_refused(node: Node, slices: Callable[..., Any], lie: dict[str, int]) -> None:
    """Rows x Columns x frames are held against the pixel data before anything is decoded."""
    assert [0xC003] == send(node.port, slices(1, **lie))


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.99])
def test_truncated_objects_are_refused(node: Node, slices: Callable[..., Any], share: float) -> None:
    """Cut off anywhere: a typed refusal."""
    one = slices(1)[0]
    data = encoded(one)
    with Line(node.port) as line:
        line.associate()
        status = line.store(one.SOPInstanceUID, data[: int(share * len(data))])
        assert status in {0xC000, 0xC003, 0xA900}


@pytest.mark.parametrize(
    "name",
    [
        "../../x",
        "/etc/x",
        "1.2/../../3",
        "..",
        ".",
        "1.2.3\0/x",
        "x" * 65_000,
        "1" * 65,
        "1..2",
        "",
        "a.b",
        "1.2.\u00e9",
    ],
    ids=lambda name: repr(name[:12]),
)
def test_hostile_identifiers_lead_nowhere(node: Node, slices: Callable[..., Any], name: str) -> None:
    """In the request, the data set, or both: refused with a status or a cut line, and nothing is written outside."""
    one = slices(1)[0]
    data = encoded(one).replace(one.SOPInstanceUID.encode(), name.encode("utf-8")[: len(one.SOPInstanceUID)])
    for sent in (data, encoded(one)):
        with Line(node.port) as line:
            line.associate()
            assert line.store(name.encode("utf-8"), sent) in {0xA900, 0xC000, None}
    for attribute in ("SeriesInstanceUID", "StudyInstanceUID"):
        hostile = slices(1)[0]
        hostile[attribute]._value = name[:1000]
        assert send(node.port, [hostile])[0] in {0xA900, 0xC000}


STORE, FIND = b"\0\0\0\1\2\0\0\0\1\0", b"\0\0\0\1\2\0\0\0\x20\0"  # CommandField
BREACHES = {
    "empty fragment": struct.pack(">BxLLB", 4, 5, 1, 1),
    "fragment that declares more": struct.pack(">BxLLBB", 4, 6, 99999, 1, 3),
    "unknown context": fragment(3, store_command("1.2.3"), context=77),
    "data before a command": fragment(2, b"\0" * 100),
    "command of rubbish": fragment(3, b"\xff" * 400),
    "command without end": fragment(1, b"\0" * 10_000) * 20,
    "find request": fragment(3, store_command("1.2.3").replace(STORE, FIND)) + fragment(2, b"\0" * 9),
    "nameless object": fragment(3, store_command("")) + fragment(2, b"\0" * 9),
    "requests at once": (fragment(3, store_command("1.2.3")) + fragment(2, b"\0" * 9)) * 50,
    "second associate request": associate_request("SCANNER", "DIASTOLE"),
}


@pytest.mark.parametrize("what", BREACHES)
def test_a_peer_that_breaks_the_protocol_loses_its_association(node: Node, what: str) -> None:
    """Whatever it is: an A-ABORT or a cut line, soon."""
    with Line(node.port) as line:
        assert ACCEPTED == line.associate()[0]
        with contextlib.suppress(OSError):
            line.socket.sendall(BREACHES[what])
        line.socket.settimeout(20.0)
        kinds = [0]
        while kinds[-1:] not in ([ABORTED], []):
            kinds = [part[0] for part in [line.pdu()] if part]
    assert node.process.poll() is None


def test_a_slow_peer_is_cut_off(node: Node) -> None:
    """A byte now and then keeps no connection: the whole request has a deadline."""
    began = time.monotonic()
    with Line(node.port) as line, contextlib.suppress(OSError):
        for byte in associate_request("SCANNER", "DIASTOLE"):
            line.socket.sendall(bytes([byte]))
            time.sleep(0.1)
    assert 10.0 > time.monotonic() - began
    node.wait(lambda: "connection ended: too-slow" in node.status()["counts"], "told")


def test_among_19_hostile_peers_the_good_one_is_served(node: Node, slices: Callable[..., Any]) -> None:
    """Twenty peers at once, each from an address of its own: the good one's series is stored and scored."""
    with besieged(node.port, encoded(slices(1)[0])):
        sent = slices(12, ImagesInAcquisition=12)
        assert [0] * 12 == send(node.port, sent, source="127.0.0.200")
        assert 12 == node.wait_state(sent, "no-total")["images"]


def test_after_all_that_it_still_listens(node: Node, slices: Callable[..., Any]) -> None:
    """The last test of the file: the same process, a good series, all connections given back."""
    sent = slices(4)
    assert [0] * 4 == send(node.port, sent)
    node.wait_state(sent, "no-total")
    with socket.create_connection(("127.0.0.1", node.port)):
        assert node.process.poll() is None
