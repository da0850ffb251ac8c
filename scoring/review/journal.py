"""The journal of a review: each edit goes to the disk before it is shown, so that a crash loses none.

One JSON line for each: the series and the revision that the edits begin from, then all that was done, undone and
redone. A journal whose last line says that its edits are written into a revision is over, and is not offered again.
"""

import contextlib
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec

from scoring.io.errors import SeriesError
from scoring.labelling import Cut, Edit, Give, Keep

Why = Literal["revision", "taken over", "passed over"]
PREFIX, SUFFIX = "review-", ".journal.jsonl"
MAX_BYTES = 16 * 2**20


class Head(msgspec.Struct, frozen=True, tag="head", tag_field="kind", forbid_unknown_fields=True):
    """What the edits belong to."""

    series: str  # pseudonym
    base: int  # number of the revision that they begin from; 0: none
    began_at: str  # wall time, for the reader


class Undone(msgspec.Struct, frozen=True, tag="undo", tag_field="kind", forbid_unknown_fields=True):
    """The last edit was taken back."""


class Redone(msgspec.Struct, frozen=True, tag="redo", tag_field="kind", forbid_unknown_fields=True):
    """The last one taken back was done again."""


class Written(msgspec.Struct, frozen=True, tag="written", tag_field="kind", forbid_unknown_fields=True):
    """All edits so far stand in a revision, or are passed over because the reader said so."""

    why: Why


Step = Give | Keep | Cut | Undone | Redone
Line = Head | Step | Written
_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


@dataclass(frozen=True, slots=True)
class Left:
    """Edits that an earlier page left behind."""

    path: Path
    head: Head
    steps: tuple[Step, ...]


class Journal:
    """One page's own file, locked while the page is served; it is made with the first edit."""

    def __init__(self, folder: Path, head: Head) -> None:
        self._folder = folder
        self._head = head
        self._file: BinaryIO | None = None

    def add(self, line: Step | Written) -> None:
        """Write one line through to the disk.

        Raises
        ------
        SeriesError
            If the disk does not take it.
        """
        try:
            if self._file is None:
                self._file = self._begun()
            self._put_whole(self._file, line)
        except OSError as error:
            raise _unwritable(self._folder, error) from error

    def _put_whole(self, file: BinaryIO, line: Step | Written) -> None:
        """Add one line or nothing of it: what was refused must not come back with the next line."""
        before = file.tell()
        try:
            _put(file, line)
        except OSError:
            self._file = None  # its buffer holds the rest of the line; the file is opened anew
            with contextlib.suppress(OSError):
                file.close()
            os.truncate(file.name, before)
            self._file = _locked(Path(file.name), "ab")
            raise

    def close(self, base: int) -> None:
        """End this file, for its edits stand in a revision; what follows begins another one from there."""
        if self._file is not None:
            self.add(Written("revision"))
        self.leave()
        self._head = msgspec.structs.replace(self._head, base=base)

    def leave(self) -> None:
        """Let go of the file as it is."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _begun(self) -> BinaryIO:
        """Make the file, under a name that no other page has."""
        self._folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while (self._folder / f"{PREFIX}{number:04d}{SUFFIX}").exists():
            number += 1
        file = _locked(self._folder / f"{PREFIX}{number:04d}{SUFFIX}", "xb")
        _put(file, self._head)
        return file


def left_behind(folder: Path, series: str) -> tuple[Left, ...]:
    """Find the journals of a series that are not over, the newest last.

    One that a page still writes to is not left behind; one that cannot be read is passed over.
    """
    found = []
    for path in sorted(folder.glob(f"{PREFIX}*{SUFFIX}")) if folder.is_dir() else ():
        lines = _lines(path)
        head, steps = (lines[0], lines[1:]) if lines else (None, [])
        if not isinstance(head, Head) or head.series != series or any(isinstance(one, Written) for one in steps):
            continue
        kept = tuple(one for one in steps if not isinstance(one, Head | Written))
        if kept:
            found.append(Left(path, head, kept))
    return tuple(found)


def end(left: Left, why: Why) -> None:
    """Mark a journal that was left behind as over."""
    try:
        with left.path.open("ab") as file:
            _put(file, Written(why))
    except OSError as error:
        raise _unwritable(left.path.parent, error) from error


def edits_of(steps: tuple[Step, ...]) -> list[Edit]:
    """Give the edits that hold after all steps."""
    done: list[Edit] = []
    undone: list[Edit] = []
    for step in steps:
        if isinstance(step, Undone):
            undone += [done.pop()] if done else []
        elif isinstance(step, Redone):
            done += [undone.pop()] if undone else []
        else:
            done.append(step)
            undone = []
    return done


def _lines(path: Path) -> list[Line]:
    """Read the whole lines of a journal; what a crash cut off in the middle of a line was never shown."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return []
        data = file.read(MAX_BYTES)
    lines: list[Line] = []
    for raw in data.splitlines():
        try:
            lines.append(_decoder.decode(raw))
        except msgspec.MsgspecError:
            break
    return lines


def _locked(path: Path, mode: Literal["xb", "ab"]) -> BinaryIO:
    """Open a journal as its one writer."""
    file = path.open(mode)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


def _put(file: BinaryIO, line: Line) -> None:
    """Add one line, and make it last."""
    file.write(msgspec.json.encode(line) + b"\n")
    file.flush()
    os.fsync(file.fileno())


def _unwritable(folder: Path, error: OSError) -> SeriesError:
    """Name the folder that takes no journal."""
    return SeriesError(
        f"{folder} takes no journal ({error.strerror}), so nothing was changed; free the disk or choose another --out."
    )
