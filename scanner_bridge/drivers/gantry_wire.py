"""What the simulated gantry and its driver say to each other, written once; and the pure client.

One line per word: `VERB field field ... *CRC32`, ended by a newline, ASCII, at most 120 bytes, integers only (ns of the
device's clock, micrometres, millidegrees) besides short words of letters and hyphens. A person can read it on the wire.
A line with a wrong check sum, an unknown verb or a wrong number of fields is skipped and counted; the next newline is
the next chance.

::

    to the gantry     HELLO control|stop          who I am: the one that commands, or one that may only stop
                      PING token
                      EXPOSE step attempt opens closes latest
                      MOVE step um
                      STOP reason
    from the gantry   READY now                   yours to command
                      BUSY                        somebody else commands already
                      PONG token now
                      SETTLED step um at
                      ON step attempt at mdeg
                      OFF step attempt at
                      REFUSED step attempt at reason
                      FAULT at reason
"""

import re
import zlib
from collections import OrderedDict, deque
from dataclasses import dataclass

from gating.errors import DeviceError
from gating.units import ns_from_ms
from scanner_bridge.driver import (
    BeamOff,
    BeamOn,
    DeviceEvent,
    DriverFault,
    Expose,
    ExposureRefused,
    MoveTable,
    ScannerCommand,
    ScannerReady,
    TableSettled,
)

LONGEST_LINE = 120
UM_PER_MM = 1000
FIELDS: dict[str, str] = {  # i: integer, w: word
    "HELLO": "w",
    "PING": "i",
    "EXPOSE": "iiiii",
    "MOVE": "ii",
    "STOP": "w",
    "READY": "i",
    "BUSY": "",
    "PONG": "ii",
    "SETTLED": "iii",
    "ON": "iiii",
    "OFF": "iii",
    "REFUSED": "iiiw",
    "FAULT": "iw",
}
WORD = re.compile(r"[a-z][a-z0-9-]{0,39}\Z")
INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,19})\Z")


@dataclass(frozen=True, slots=True)
class Line:
    """One line, decoded: integers as `int`, words as `str`."""

    verb: str
    fields: tuple[int | str, ...]

    def integers(self) -> tuple[int, ...]:
        """Give the integer fields, in order."""
        return tuple(field for field in self.fields if isinstance(field, int))

    def word(self) -> str:
        """Give the word, empty if the verb has none."""
        return next((field for field in self.fields if isinstance(field, str)), "")


def word_from(text: str) -> str:
    """Make any text a word that a line can carry."""
    word = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40]
    return word if WORD.match(word) else "unnamed"


def encode_line(verb: str, *fields: int | str) -> bytes:
    """Encode one line.

    Raises
    ------
    ValueError
        If the verb is unknown or a field is not what the verb takes.
    """
    text = " ".join([verb, *(str(field) for field in fields)])
    if _parse(text) is None:
        raise ValueError(f"{text!r} is no line of the gantry's protocol.")
    return f"{text} *{zlib.crc32(text.encode()):08X}\n".encode()


def _parse(text: str) -> Line | None:
    """Read the text of a line; None if it is none."""
    verb, *words = text.split(" ")
    kinds = FIELDS.get(verb)
    if kinds is None or len(words) != len(kinds):
        return None
    fields: list[int | str] = []
    for kind, word in zip(kinds, words, strict=True):
        if not (INTEGER if kind == "i" else WORD).match(word):
            return None
        fields.append(int(word) if kind == "i" else word)
    return Line(verb, tuple(fields))


class LineDecoder:
    """Bytes to lines: any bytes, in any pieces; never raises, never keeps more than one line."""

    def __init__(self) -> None:
        self._rest = b""
        self._skipping = False
        self.bad_lines = 0

    def feed(self, data: bytes) -> tuple[Line, ...]:
        """Take bytes as they came; give the lines that they complete."""
        *ends, rest = (self._rest + data).split(b"\n")
        lines = [line for end in ends for line in self._end(end)]
        self._rest = rest
        if len(rest) > LONGEST_LINE:
            self._rest, self._skipping = b"", True
        return tuple(lines)

    def _end(self, raw: bytes) -> tuple[Line, ...]:
        """Take the bytes before a newline."""
        skipping, self._skipping = self._skipping, False
        line = None if skipping or len(raw) > LONGEST_LINE else _check(raw)
        if line is None:
            self.bad_lines += 1
            return ()
        return (line,)


def _check(raw: bytes) -> Line | None:
    """Check the sum of a line and read it; None if it is not sound."""
    body, mark, check = raw.rpartition(b" *")
    if not mark or check != b"%08X" % zlib.crc32(body) or not body.isascii():
        return None
    return _parse(body.decode("ascii"))


# --- the client ----------------------------------------------------------------------------------------------

PINGS_AT_FIRST = 4
PING_AT_FIRST_NS = ns_from_ms(10)
PING_EVERY_NS = ns_from_ms(500)
REMEMBERED = 8  # pongs; the one with the shortest round trip counts
MAX_DOUBT_NS = ns_from_ms(5)  # half a round trip; more would move a window visibly (goal: centre within 5 ms)
SILENT_NS = ns_from_ms(2000)  # four pings unanswered: the device is gone


class GantryClient:
    """The driver's side without its socket: commands and time in, bytes and events out, on the host's clock."""

    def __init__(self) -> None:
        self._decoder = LineDecoder()
        self._pings: OrderedDict[int, int] = OrderedDict()
        self._measured: deque[tuple[int, int]] = deque(maxlen=REMEMBERED)  # (half round trip, device minus host)
        self._token = 0
        self._answered = 0
        self._device_ready = False
        self._announced = False
        self._busy = False
        self._wake_at_ns: int | None = None
        self._heard_at_ns: int | None = None

    @property
    def wake_at_ns(self) -> int | None:
        """When `wake` wants to be called; None before `hello`."""
        return self._wake_at_ns

    @property
    def bad_lines(self) -> int:
        """How many lines could not be understood."""
        return self._decoder.bad_lines

    def hello(self, now_ns: int) -> bytes:
        """Begin a connection as the one that commands."""
        self._heard_at_ns = now_ns
        return encode_line("HELLO", "control") + self.wake(now_ns)

    def wake(self, now_ns: int) -> bytes:
        """Ask the device for its clock when it is due: quickly at first, then twice a second."""
        if self._wake_at_ns is not None and now_ns < self._wake_at_ns:
            return b""
        self._token += 1
        self._pings[self._token] = now_ns
        if len(self._pings) > REMEMBERED:
            self._pings.popitem(last=False)
        self._wake_at_ns = now_ns + (PING_AT_FIRST_NS if self._answered < PINGS_AT_FIRST else PING_EVERY_NS)
        return encode_line("PING", self._token)

    def silent(self, now_ns: int) -> bool:
        """Tell whether the device has said nothing for too long."""
        return self._heard_at_ns is not None and now_ns - self._heard_at_ns > SILENT_NS

    def command(self, command: ScannerCommand) -> bytes:
        """Encode one command, its instants on the device's clock.

        Raises
        ------
        DeviceError
            If the device's clock is not known well enough for an exposure.
        """
        if isinstance(command, MoveTable):
            return encode_line("MOVE", command.step, round(command.table_mm * UM_PER_MM))
        if not isinstance(command, Expose):
            return encode_line("STOP", word_from(command.reason))
        doubt_ns, offset_ns = min(self._measured, default=(MAX_DOUBT_NS + 1, 0))
        if doubt_ns > MAX_DOUBT_NS:
            raise DeviceError("The gantry answers too slowly to know its clock; look at its load and its network.")
        # later by what the clock may be wrong: the beam begins at the opening or after it, never before
        later_ns = offset_ns + doubt_ns
        instants = (
            command.opens_at_ns + later_ns,
            command.closes_at_ns + later_ns,
            command.latest_open_at_ns + offset_ns,
        )
        return encode_line("EXPOSE", command.step, command.attempt, *instants)

    def feed(self, data: bytes, now_ns: int) -> tuple[DeviceEvent, ...]:
        """Take bytes from the device; give what they say, on the host's clock."""
        events = [event for line in self._decoder.feed(data) for event in self._hear(line, now_ns)]
        return tuple(events)

    def _hear(self, line: Line, now_ns: int) -> tuple[DeviceEvent, ...]:
        """Translate one line of the device."""
        self._heard_at_ns = now_ns
        numbers = line.integers()
        match line.verb:
            case "PONG":
                self._pong(numbers[0], numbers[1], now_ns)
                return self._ready_if_known(now_ns)
            case "READY":
                self._device_ready = True
                return self._ready_if_known(now_ns)
            case "BUSY":
                return (DriverFault("another bridge commands this gantry; end it first", now_ns),)
            case "SETTLED":
                return (TableSettled(numbers[0], numbers[1] / UM_PER_MM, self._host(numbers[2])),)
            case "ON":
                return (BeamOn(numbers[0], numbers[1], self._host(numbers[2]), numbers[3] / 1000),)
            case "OFF":
                return (BeamOff(numbers[0], numbers[1], self._host(numbers[2])),)
            case "REFUSED":
                return (ExposureRefused(numbers[0], numbers[1], line.word(), self._host(numbers[2])),)
            case "FAULT":
                return (DriverFault(line.word(), self._host(numbers[0])),)
            case _:
                return ()  # a verb of our own side, reflected: it says nothing about the device

    def _pong(self, token: int, device_ns: int, now_ns: int) -> None:
        """Measure the device's clock."""
        sent_ns = self._pings.pop(token, None)
        if sent_ns is not None:
            self._answered += 1
            self._measured.append(((now_ns - sent_ns + 1) // 2, device_ns - (sent_ns + now_ns) // 2))

    def _ready_if_known(self, now_ns: int) -> tuple[DeviceEvent, ...]:
        """Announce the device once, when it is ours and its clock is known."""
        if self._announced or not self._device_ready or self._answered < PINGS_AT_FIRST:
            return ()
        self._announced = True
        return (ScannerReady(now_ns),)

    def _host(self, device_ns: int) -> int:
        """Translate an instant to the host's clock."""
        return device_ns - min(self._measured, default=(0, 0))[1]
