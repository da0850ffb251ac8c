"""The gantry's lines: a total codec, and a client that knows the device's clock."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gating.errors import DeviceError
from scanner_bridge.driver import (
    BeamOff,
    BeamOn,
    DeviceEvent,
    DriverFault,
    Expose,
    ExposureRefused,
    MoveTable,
    ScannerReady,
    Stop,
    TableSettled,
)
from scanner_bridge.drivers.gantry_wire import FIELDS, GantryClient, Line, LineDecoder, encode_line, word_from

MS = 1_000_000
S = 1_000_000_000


def lines() -> st.SearchStrategy[Line]:
    """Draw any line of the protocol."""

    def of(verb: str) -> st.SearchStrategy[Line]:
        word = st.from_regex(r"[a-z][a-z0-9-]{0,39}", fullmatch=True)
        fields = [st.integers(-(10**19), 10**19) if kind == "i" else word for kind in FIELDS[verb]]
        return st.tuples(*fields).map(lambda values: Line(verb, values))

    return st.sampled_from(sorted(FIELDS)).flatmap(of)


@settings(max_examples=60, deadline=None)
@given(st.lists(lines(), max_size=5), st.lists(st.integers(1, 40), max_size=30))
def test_lines_survive_any_chunking(sent: list[Line], cuts: list[int]) -> None:
    """What is encoded is decoded, however the bytes are cut."""
    data = b"".join(encode_line(line.verb, *line.fields) for line in sent)
    got: list[Line] = []
    decoder, at = LineDecoder(), 0
    for cut in cuts:
        got += decoder.feed(data[at : at + cut])
        at += cut
    got += decoder.feed(data[at:])
    assert sent == got
    assert 0 == decoder.bad_lines


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=6))
def test_any_bytes_are_survived_and_the_next_line_is_read(noise: list[bytes]) -> None:
    """Garbage raises nothing, is not kept, and the first line after a newline is understood."""
    decoder = LineDecoder()
    for chunk in noise:
        decoder.feed(chunk)
    assert (Line("PONG", (1, 2)),) == decoder.feed(b"\n" + encode_line("PONG", 1, 2))[-1:]


@settings(max_examples=100, deadline=None)
@given(lines(), st.integers(0, 10_000), st.integers(1, 255))
def test_a_flipped_byte_is_never_believed(line: Line, place: int, flip: int) -> None:
    """The check sum covers every byte of the line."""
    data = bytearray(encode_line(line.verb, *line.fields))
    data[place % (len(data) - 1)] ^= flip
    assert line not in LineDecoder().feed(bytes(data))


def test_nonsense_is_refused_when_encoded() -> None:
    """A line that the other side would skip is not sent."""
    nonsense: list[tuple[str, tuple[int | str, ...]]] = [
        ("FIRE", ()),
        ("MOVE", (1,)),
        ("STOP", ("two words",)),
        ("MOVE", (1, "x")),
    ]
    for verb, fields in nonsense:
        with pytest.raises(ValueError, match="no line"):
            encode_line(verb, *fields)


@pytest.mark.parametrize(
    ("text", "word"), [("bridge silent!", "bridge-silent"), ("", "unnamed"), ("9", "unnamed"), ("é" * 50, "unnamed")]
)
def test_any_reason_becomes_a_word(text: str, word: str) -> None:
    """A stop is never lost for its reason."""
    assert word == word_from(text)


def known(offset_ns: int = 3 * S) -> GantryClient:
    """Give a client that has just learnt the device's clock."""
    client, now = GantryClient(), 10 * S
    client.hello(now)
    events: list[DeviceEvent] = []
    for token in range(1, 5):
        events += client.feed(encode_line("PONG", token, now + offset_ns), now)
        now += 20 * MS
        client.wake(now)
    events += client.feed(encode_line("READY", now), now)
    assert [ScannerReady(now)] == events
    return client


def test_commands_speak_the_devices_clock() -> None:
    """What the host means and what the line says differ by the offset."""
    client = known()
    assert encode_line("EXPOSE", 1, 2, 23 * S, 24 * S, 23 * S) == client.command(Expose(1, 2, 20 * S, 21 * S, 20 * S))
    assert encode_line("MOVE", 1, -18000) == client.command(MoveTable(1, -18.0))
    assert encode_line("STOP", "premature-beat") == client.command(Stop("Premature beat"))


EVENTS: list[tuple[bytes, DeviceEvent]] = [
    (encode_line("SETTLED", 1, -18000, 23 * S), TableSettled(1, -18.0, 20 * S)),
    (encode_line("ON", 1, 2, 23 * S, 90500), BeamOn(1, 2, 20 * S, 90.5)),
    (encode_line("OFF", 1, 2, 23 * S), BeamOff(1, 2, 20 * S)),
    (encode_line("REFUSED", 1, 2, 23 * S, "late"), ExposureRefused(1, 2, "late", 20 * S)),
    (encode_line("FAULT", 23 * S, "door-open"), DriverFault("door-open", 20 * S)),
]


@pytest.mark.parametrize(("said", "event"), EVENTS)
def test_what_the_device_says_comes_back_on_the_hosts_clock(said: bytes, event: DeviceEvent) -> None:
    """The manual of the device, line by line."""
    assert (event,) == known().feed(said, 20 * S)


def test_an_exposure_needs_the_devices_clock() -> None:
    """Before the first answer, or with slow answers only, no exposure can be commanded; a stop can."""
    client = GantryClient()
    client.hello(0)
    with pytest.raises(DeviceError, match="too slowly"):
        client.command(Expose(0, 1, 20 * S, 21 * S, 20 * S))
    client.feed(encode_line("PONG", 1, 0), 11 * MS)
    with pytest.raises(DeviceError, match="too slowly"):
        client.command(Expose(0, 1, 20 * S, 21 * S, 20 * S))
    assert client.command(Stop("x"))


def test_the_quickest_answer_tells_the_clock() -> None:
    """A slow answer among quick ones changes nothing."""
    client = known()
    client.wake(20 * S)
    client.feed(encode_line("PONG", 6, 999 * S), 21 * S)
    assert encode_line("EXPOSE", 0, 1, 23 * S, 24 * S, 23 * S) == client.command(Expose(0, 1, 20 * S, 21 * S, 20 * S))


def test_silence_and_a_busy_gantry_are_noticed() -> None:
    """Two seconds without a word; or a word that says that somebody else commands."""
    client = GantryClient()
    client.hello(0)
    assert not client.silent(1999 * MS)
    assert client.silent(2001 * MS)
    assert "another bridge" in str(client.feed(encode_line("BUSY"), 0)[0])
