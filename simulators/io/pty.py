"""A simulated ECG box as a serial port: a pseudo-terminal that any program can open.

Patient time 0 is the moment the first reader opens the port. A reader may close and another one open: like a real box
it sends on, to nobody. What the reader is too slow to take is lost, as in a real line.
"""

import json
import os
import select
import time
import tty
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from gating.errors import SettingsError
from gating.units import NS_PER_S
from simulators.ecg_box import EcgBox
from simulators.heart import TrueBeat

WAIT_S = 0.005  # between two looks for the first reader: how late patient time 0 may be
LONGEST_WAIT_S = 0.05  # how soon a request to stop is noticed
READ_AT_MOST = 4096
AFTERWARDS_NS = 3 * NS_PER_S  # of true beats that are told beyond the end, as simulators.stage does in virtual time

Tell = Callable[[dict[str, object]], None]


class PtyPort:
    """The master side of a raw pseudo-terminal; `name` is what a reader opens."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        # both ends raw: no echo, no line ends changed, no byte taken for a signal
        tty.setraw(self._master)
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        self.name = os.ttyname(slave)
        self.lost_bytes = 0
        self._open = True
        # the reader's side stays with the reader alone, so that its coming and going can be seen
        os.close(slave)

    def __enter__(self) -> Self:
        """Give the port itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the port."""
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether the plug is still in."""
        return self._open

    def has_reader(self) -> bool:
        """Whether somebody holds the port open."""
        if not self._open:
            return False
        poll = select.poll()
        poll.register(self._master, 0)
        return not any(event & select.POLLHUP for _, event in poll.poll(0))

    def write(self, data: bytes) -> None:
        """Send; what finds no room, or no reader, is lost."""
        if not data or not self.has_reader():
            return
        try:
            self.lost_bytes += len(data) - os.write(self._master, data)
        except BlockingIOError:
            self.lost_bytes += len(data)
        except OSError:
            if self.has_reader():
                raise
            # the reader went between the look and the write: as if it had gone before

    def read(self, timeout_s: float) -> bytes:
        """Wait for bytes from the reader, at most `timeout_s`."""
        if not self.has_reader():
            time.sleep(timeout_s)
            return b""
        ready, _, _ = select.select([self._master], [], [], timeout_s)
        if not ready:
            return b""
        try:
            return os.read(self._master, READ_AT_MOST)
        except OSError:
            if self.has_reader():
                raise
            return b""  # the reader has closed: that is what woke us

    def close(self) -> None:
        """Pull the plug: the reader sees a hang-up."""
        if self._open:
            self._open = False
            os.close(self._master)


@dataclass(frozen=True)
class Ended:
    """How a serving ended."""

    why: str  # "duration" or "stopped"
    lost_bytes: int


def serve(
    make_box: Callable[[int], EcgBox],
    beats: Sequence[TrueBeat],
    *,
    about: dict[str, object],
    seconds: float,
    tell: Tell,
    truth: Path | None = None,
    stopped: Callable[[], bool] = lambda: False,
    now_ns: Callable[[], int] = time.monotonic_ns,
) -> Ended:
    """Serve a box on a new pseudo-terminal in real time.

    Parameters
    ----------
    make_box
        Makes the box when patient time 0 is known.
    beats
        The true beats in patient time, written to `truth/beats.jsonl` as they happen.
    about
        What to tell beside the port's name.
    seconds
        Patient time after which it ends.
    tell
        Gets `{"port": ...}` at once, `{"started_at_ns": ...}` with the first reader, `{"unplugged_at_ns": ...}` if the
        plug is pulled, `{"ended": ...}`.
    truth
        Folder of the truth; `None`: none is written.
    stopped
        Asked all the time whether to end.

    Raises
    ------
    SettingsError
        If the truth cannot be written.
    """
    with PtyPort() as port, _Truth(truth) as book:
        tell({"port": port.name, **about})
        while not port.has_reader():
            if stopped():
                return _end(port, "stopped", tell)
            time.sleep(WAIT_S)
        started_at_ns = now_ns()
        box = make_box(started_at_ns)
        tell({"started_at_ns": started_at_ns})
        end_ns = started_at_ns + round(seconds * NS_PER_S)
        waiting = list(reversed(beats))
        while (now := now_ns()) < end_ns and not stopped():
            port.write(box.wake(now))
            if box.unplugged_at_ns is not None and now >= box.unplugged_at_ns and port.is_open:
                port.close()
                tell({"unplugged_at_ns": now})
            while waiting and _r_at_ns(waiting[-1], started_at_ns) <= now:
                book.write(waiting.pop(), started_at_ns)
            # the heart goes on after the plug was pulled, and so does the book
            asked = port.read(_pause_s(box, waiting, started_at_ns, end_ns, now_ns()))
            if asked:
                port.write(box.receive(asked, now_ns()))
        # the beat after the last exposure is part of its truth, and the box may be stopped before it
        while waiting and _r_at_ns(waiting[-1], started_at_ns) <= now + AFTERWARDS_NS:
            book.write(waiting.pop(), started_at_ns)
        return _end(port, "duration" if now >= end_ns else "stopped", tell)


def _end(port: PtyPort, why: str, tell: Tell) -> Ended:
    """Tell that it is over."""
    tell({"ended": why, "lost_bytes": port.lost_bytes})
    return Ended(why, port.lost_bytes)


def _pause_s(box: EcgBox, waiting: list[TrueBeat], started_at_ns: int, end_ns: int, now_ns: int) -> float:
    """Tell how long nothing is due."""
    due = [end_ns]
    if box.wake_at_ns is not None:
        due.append(box.wake_at_ns)
    if box.unplugged_at_ns is not None and box.unplugged_at_ns > now_ns:
        due.append(box.unplugged_at_ns)
    if waiting:
        due.append(_r_at_ns(waiting[-1], started_at_ns))
    return min(max(min(due) - now_ns, 0) / NS_PER_S, LONGEST_WAIT_S)


def _r_at_ns(beat: TrueBeat, started_at_ns: int) -> int:
    """Turn a beat's patient time into host time."""
    return started_at_ns + round(beat.r_at_s * NS_PER_S)


class _Truth:
    """`beats.jsonl`: one line a beat, when it happens."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._file: TextIO | None = None

    def __enter__(self) -> Self:
        """Begin the file anew."""
        if self._folder is not None:
            path = self._folder / "beats.jsonl"
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = path.open("w", encoding="utf-8", buffering=1)
            except OSError as error:
                raise SettingsError(
                    f"The ECG box cannot write {path} ({error.strerror}); name a folder of yours with --truth."
                ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def write(self, beat: TrueBeat, started_at_ns: int) -> None:
        """Write one beat that has just happened."""
        if self._file is None:
            return
        row: dict[str, object] = {
            "number": beat.number,
            "patient_s": beat.r_at_s,
            "r_at_ns": _r_at_ns(beat, started_at_ns),
            "kind": beat.kind,
            "atria": beat.atria,
        }
        if beat.symbol is not None:
            row["symbol"] = beat.symbol
        self._file.write(json.dumps(row) + "\n")
