"""The audit log: fsynced, hash-chained, length-prefixed JSON lines. What is in it happened; what happened is in it.

One record is one line: the length of the JSON in 8 digits, a space, the JSON, a newline. The JSON holds `number`,
`previous` (SHA-256 of the line before, or of nothing) and `record`. A line that was changed, removed or inserted breaks
the chain at its place. A line that a crash tore is found when the log is opened again: its bytes are kept beside the
log in `<name>.torn`, and the next record says so.
"""

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gating.errors import RecordError, SettingsError

GENESIS = hashlib.sha256(b"").hexdigest()
PREFIX = 9  # eight digits and a space
LONGEST = 1 << 20  # of one record


@dataclass(frozen=True, slots=True)
class Verdict:
    """What `verify` found."""

    records: int
    last_hash: str
    sound_bytes: int  # from the start of the file
    torn_bytes: int  # after them: an unfinished last line
    broken: str | None  # why the chain does not hold, at record `records` + 1


def _lines(data: bytes) -> Iterator[bytes | None]:
    """Split into lines by their lengths; None for one that is no line."""
    at = 0
    while at < len(data):
        head = data[at : at + PREFIX]
        if len(head) < PREFIX:
            return
        if not head[:8].isdigit() or head[8:] != b" " or int(head) > LONGEST:
            yield None
            return
        end = at + PREFIX + int(head) + 1
        if end > len(data):
            return
        if data[end - 1 : end] != b"\n":
            yield None
            return
        yield data[at:end]
        at = end


def check(data: bytes) -> Verdict:
    """Check the bytes of a log: lengths, numbers, chain."""
    records, last, sound = 0, GENESIS, 0
    for line in _lines(data):
        broken = "a line without its length" if line is None else _broken(line, records + 1, last)
        if line is None or broken is not None:
            return Verdict(records, last, sound, 0, broken)
        records, last, sound = records + 1, hashlib.sha256(line).hexdigest(), sound + len(line)
    return Verdict(records, last, sound, len(data) - sound, None)


def _broken(line: bytes, number: int, previous: str) -> str | None:
    """Say why a line does not continue the chain; None if it does."""
    try:
        entry = json.loads(line[PREFIX:])
    except ValueError:
        return "a line that is no JSON"
    if not isinstance(entry, dict) or set(entry) != {"number", "previous", "record"}:
        return "a line that is no record"
    if entry["number"] != number:
        return f"record {entry['number']} where {number} belongs"
    return None if entry["previous"] == previous else "a record that does not follow the one before it"


def verify(path: Path) -> Verdict:
    """Check a whole log.

    Raises
    ------
    RecordError
        If the file cannot be read.
    """
    try:
        return check(path.read_bytes())
    except OSError as error:
        raise RecordError(f"Audit log {path} cannot be read ({error.strerror}); is it the right file?") from error


def records(path: Path) -> list[dict[str, object]]:
    """Give the records of the sound part of a log."""
    data = path.read_bytes()
    sound = data[: check(data).sound_bytes]
    return [json.loads(line[PREFIX:])["record"] for line in _lines(sound) if line is not None]


class AuditLog:
    """The log, open for appending. `append` returns when the record is safe on disk: call it in a thread."""

    def __init__(self, path: Path) -> None:
        """Open or create the log.

        Raises
        ------
        SettingsError
            If the folder cannot be written.
        RecordError
            If a log is there whose chain is broken: it is evidence, and nothing is appended to it.
        """
        self.path = path
        self._lock = threading.Lock()  # the last records of a bridge that ends may meet a write under way
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            data = path.read_bytes() if path.exists() else b""
            verdict = check(data)
            if verdict.broken is not None:
                raise RecordError(
                    f"Audit log {path} is broken after record {verdict.records}: {verdict.broken}; "
                    "keep it aside as evidence and name another folder."
                )
            if verdict.torn_bytes:
                _keep_torn(path, data[verdict.sound_bytes :])
            self._file: BinaryIO = path.open("r+b" if path.exists() else "w+b")
            self._file.truncate(verdict.sound_bytes)
            self._file.seek(verdict.sound_bytes)
            _sync_folder(path.parent)
        except OSError as error:
            raise SettingsError(
                f"Audit log {path} cannot be written ({error.strerror}); name a folder of yours."
            ) from error
        self._number, self._last = verdict.records, verdict.last_hash
        if verdict.torn_bytes:
            self.append({"what": "torn-tail", "bytes": verdict.torn_bytes, "kept_in": f"{path.name}.torn"})

    def append(self, *batch: dict[str, object]) -> None:
        """Write records in order and wait until they are safe on disk.

        Raises
        ------
        OSError
            If the disk is full or gone; nothing after the last sound line counts.
        """
        with self._lock:
            self._file.write(b"".join(self._line(record) for record in batch))
            self._file.flush()
            os.fsync(self._file.fileno())

    def _line(self, record: dict[str, object]) -> bytes:
        """Make the next line of the chain."""
        self._number += 1
        entry = {"number": self._number, "previous": self._last, "record": record}
        text = json.dumps(entry, separators=(",", ":")).encode()
        line = b"%08d %s\n" % (len(text), text)
        self._last = hashlib.sha256(line).hexdigest()
        return line

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _keep_torn(path: Path, tail: bytes) -> None:
    """Keep the bytes of a torn line beside the log, after those of earlier ones."""
    with path.with_name(f"{path.name}.torn").open("ab") as file:
        file.write(tail + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the file's name itself durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
