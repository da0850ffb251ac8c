"""The journal: every call of the Gate with its stamp and what came back, as JSON lines; a bug report is a test.

The first line is the head: format, versions, settings. Each further line is one call (`receive`, `hear`, `wake`,
`lost`) or a note (the link, a late loop), which a replay skips. A thread writes from a bounded queue; the gate never
waits for a disk. When the queue overflows or the disk fails, the journal says so once and the loop inhibits.
"""

import base64
import os
import platform
import queue
import threading
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from gating.errors import RecordError, SettingsError
from gating.messages import VERSION, AnyMessage, Message
from gating.settings import GateSettings
from gating.units import Nanoseconds

FORMAT = "diastole-journal/1"
QUEUE_CALLS = 4096  # 8 s of one-sample blocks at 500 Hz, more than any pause of a disk that lets a scan go on
FLUSH_EVERY_S = 0.25
PACKAGES = ("diastole", "numpy", "scipy", "numba", "msgspec")


class GateLike(Protocol):
    """The calls of the Gate that are journalled and replayed."""

    def receive(self, data: bytes, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Take bytes from the box."""

    def hear(self, message: Message, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Take a message from the bus."""

    def wake(self, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Let time pass."""

    def lost(self, reason: str, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Hear that the line, the journal, the broker or the clock failed."""

    @property
    def wake_at_ns(self) -> int | None:
        """When the gate wants to be woken."""


class Head(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The journal's first line."""

    format: str
    message_version: int
    versions: dict[str, str]
    settings: GateSettings
    started_at_ns: int
    started_wall: str  # a label, never used in a decision


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One call and what came back, or a note."""

    call: Literal["receive", "hear", "wake", "lost", "note"]
    now_ns: int
    data: bytes | None = None  # of receive, base64
    message: AnyMessage | None = None  # of hear
    text: str | None = None  # of lost and note
    out: tuple[AnyMessage, ...] = ()


Call = Literal["receive", "hear", "wake", "lost"]
Argument = bytes | Message | str | None


def versions() -> dict[str, str]:
    """Name the versions that a replay depends on, the detector's numbers too."""
    from gating.io.numbers import read_judge

    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    found["judge"] = read_judge().fingerprint
    return found


class Journal:
    """Writes calls to a file from a thread of its own.

    Parameters
    ----------
    path
        A new file; an existing one is never overwritten.
    head
        The first line.

    Raises
    ------
    SettingsError
        If the file cannot be made.
    """

    def __init__(self, path: Path, head: Head) -> None:
        self.path = path
        self._queue: queue.Queue[tuple[str, int, Argument, tuple[Message, ...]] | None] = queue.Queue(QUEUE_CALLS)
        self._failure: str | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb", buffering=1 << 16)
        except OSError as error:
            raise SettingsError(
                f"The journal {path} cannot be made ({error.strerror}); set `out` to a folder that can be written."
            ) from error
        self._write(msgspec.json.encode(head))
        self._file.flush()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> str | None:
        """Say why the journal is not complete any more; None while it is."""
        return self._failure

    def record(self, call: Call, now_ns: int, argument: Argument, out: tuple[Message, ...]) -> bool:
        """Hand one call to the writer, without ever waiting; False when the journal is not complete."""
        return self._put((call, now_ns, argument, out))

    def note(self, now_ns: int, text: str) -> bool:
        """Hand a note to the writer: something that is no call of the gate, but that a reader should know."""
        return self._put(("note", now_ns, text, ()))

    def close(self) -> None:
        """Write what is left, sync and close."""
        while self._thread.is_alive():
            try:
                self._queue.put(None, timeout=FLUSH_EVERY_S)
            except queue.Full:
                continue  # the writer is behind, or has just failed: look again whether it lives
            self._thread.join()
        try:
            self._file.close()
        except OSError as error:
            self._failure = f"journal failed ({error.strerror})"

    def _put(self, item: tuple[str, int, Argument, tuple[Message, ...]]) -> bool:
        """Queue one item unless the journal has failed; a replay of a journal with a hole would mislead."""
        if self._failure is not None:
            return False
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self._failure = "journal overflow"
        return self._failure is None

    def _run(self) -> None:
        """Write until told to end: encode here, not in the gate's loop; flush in pauses and at least every 250 ms."""
        try:
            while True:
                try:
                    item = self._queue.get(timeout=FLUSH_EVERY_S)
                except queue.Empty:
                    self._file.flush()
                    continue
                if item is None:
                    break
                self._write(msgspec.json.encode(_line(*item)))
                if self._queue.empty():
                    self._file.flush()
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            self._failure = f"journal failed ({error.strerror})"

    def _write(self, line: bytes) -> None:
        """Write one line."""
        self._file.write(line + b"\n")


def _line(call: str, now_ns: int, argument: Argument, out: tuple[Message, ...]) -> dict[str, object]:
    """Give one call the shape of `Line`; what is default is left out."""
    line: dict[str, object] = {"call": call, "now_ns": now_ns}
    if isinstance(argument, bytes):
        line["data"] = base64.b64encode(argument).decode()
    elif isinstance(argument, str):
        line["text"] = argument
    elif argument is not None:
        line["message"] = argument
    if out:
        line["out"] = out
    return line


_head_decoder = msgspec.json.Decoder(Head)
_line_decoder = msgspec.json.Decoder(Line)


def read_journal(path: Path) -> tuple[Head, Iterator[Line]]:
    """Read a journal: its head, and its lines one by one. A torn last line (a crash) is left out.

    Raises
    ------
    RecordError
        If the file is missing or its head is not a journal's; while iterating, if a line in the middle is damaged.
    """
    try:
        with path.open("rb") as file:
            first = file.readline()
    except OSError as error:
        raise RecordError(f"The journal {path} cannot be read ({error.strerror}); name another file.") from error
    try:
        head = _head_decoder.decode(first)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RecordError(f"{path} does not begin as a journal ({error}); name a *.journal.jsonl file.") from error
    if head.format != FORMAT:
        raise RecordError(f"{path} has the format {head.format}, this Diastole reads {FORMAT}; use that version.")
    return head, _lines(path)


def _lines(path: Path) -> Iterator[Line]:
    """Yield the lines below the head."""
    with path.open("rb") as file:
        next(file)
        for number, raw in enumerate(file, start=2):
            if not raw.endswith(b"\n"):
                return
            try:
                yield _line_decoder.decode(raw)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise RecordError(
                    f"{path}, line {number}, is damaged ({error}); all lines before it can still be replayed."
                ) from error


def fresh_gate(settings: GateSettings) -> GateLike:
    """Make the Gate that a journal's settings describe."""
    from gating.gate import Gate
    from gating.io.numbers import read_judge

    return Gate(settings, read_judge())


def replay(
    path: Path, make_gate: Callable[[GateSettings], GateLike] = fresh_gate
) -> Iterator[tuple[tuple[Message, ...], tuple[Message, ...]]]:
    """Run a fresh Gate through a journal and yield, for each call, (recorded, replayed) messages.

    Raises
    ------
    RecordError
        As `read_journal`.
    """
    head, lines = read_journal(path)
    gate = make_gate(head.settings)
    for line in lines:
        now_ns = Nanoseconds(line.now_ns)
        match line.call:
            case "receive":
                yield line.out, gate.receive(line.data or b"", now_ns)
            case "hear" if line.message is not None:
                yield line.out, gate.hear(line.message, now_ns)
            case "wake":
                yield line.out, gate.wake(now_ns)
            case "lost":
                yield line.out, gate.lost(line.text or "", now_ns)
            case _:
                continue


def head_for(settings: GateSettings, started_at_ns: int, started_wall: str) -> Head:
    """Make the head of a journal that begins now."""
    return Head(
        format=FORMAT,
        message_version=VERSION,
        versions=versions(),
        settings=settings,
        started_at_ns=started_at_ns,
        started_wall=started_wall,
    )


class JournalledGate:
    """A Gate whose every call is journalled. Without a complete journal there is no scan: it stays lost."""

    def __init__(self, gate: GateLike, journal: Journal, *, tell: Callable[[str], None]) -> None:
        self._gate = gate
        self._journal = journal
        self._tell = tell
        self._broken = False

    def receive(self, data: bytes, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Take bytes from the box."""
        return self._keep("receive", data, now_ns, lambda: self._gate.receive(data, now_ns))

    def hear(self, message: Message, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Take a message from the bus."""
        return self._keep("hear", message, now_ns, lambda: self._gate.hear(message, now_ns))

    def wake(self, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Let time pass."""
        return self._keep("wake", None, now_ns, lambda: self._gate.wake(now_ns))

    def lost(self, reason: str, now_ns: Nanoseconds) -> tuple[Message, ...]:
        """Hear that the line, the broker or the clock failed."""
        return self._keep("lost", reason, now_ns, lambda: self._gate.lost(reason, now_ns))

    @property
    def wake_at_ns(self) -> int | None:
        """When the gate wants to be woken."""
        return self._gate.wake_at_ns

    def _keep(
        self, call: Call, argument: Argument, now_ns: Nanoseconds, ask: Callable[[], tuple[Message, ...]]
    ) -> tuple[Message, ...]:
        """Ask the gate and journal question and answer; on the first failure the gate is told, and for ever after."""
        if self._broken:
            return self._gate.lost(self._journal.failure or "journal failed", now_ns) if call == "wake" else ()
        out = ask()
        if self._journal.record(call, now_ns, argument, out):
            return out
        self._broken = True
        reason = self._journal.failure or "journal failed"
        self._tell(f"{reason}: no scan without a journal; free the disk and start the gate again.")
        return (*out, *self._gate.lost(reason, now_ns))
