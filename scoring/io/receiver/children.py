"""Child processes that read what strangers sent: asked by a line, answered by a line, killed when they do not answer.

A child that dies or is killed takes one object with it; the receiver lives on and starts another.
"""

import contextlib
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec

import scoring
from scoring.io.receiver.records import Examined, Job, Rejected
from scoring.io.receiver.settings import ExamineSettings

MOST_ANSWER_BYTES = 4 * 2**20  # the places of 4000 frames are 0.1
TREE = Path(scoring.__file__).resolve().parents[1]


class Child:
    """One process of a module of this package."""

    def __init__(self, module: str, argument: str) -> None:
        path = os.pathsep.join([str(TREE), *filter(None, [os.environ.get("PYTHONPATH")])])
        threads = {f"{name}_NUM_THREADS": "1" for name in ("OPENBLAS", "OMP", "MKL", "NUMEXPR")}  # their memory counts
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", module, argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # a traceback could repeat a patient's name
            env={**os.environ, **threads, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for the receiver, which ends its children itself
        )

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def ask(self, line: bytes, wall_s: float) -> bytes | None:
        """Give one line and wait for the answer; None when the child died or had to be killed."""
        deadline = time.monotonic() + wall_s
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(line + b"\n")
            stdin.flush()
        except OSError:
            self.end()
            return None
        answer = bytearray()
        while not answer.endswith(b"\n"):
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([stdout], [], [], left)[0]
            piece = os.read(stdout.fileno(), 65536) if ready else b""
            if not piece or len(answer) > MOST_ANSWER_BYTES:
                self.end()
                return None
            answer += piece
        return bytes(answer)

    def end(self) -> None:
        """Kill it and wait for its end."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class Examiners:
    """A few children, one of them always left to peers that never hurt one."""

    def __init__(self, settings: ExamineSettings) -> None:
        self._settings = settings
        self._argument = msgspec.json.encode(settings).decode()
        self._free = [self._new() for _ in range(settings.processes)]
        self._changed = threading.Condition()
        self._ended = False
        self.deaths = 0

    def examine(self, job: Job, *, struck: bool) -> Examined | Rejected:
        """Have one object examined; `struck` when its peer has hurt a child before."""
        child = self._take(struck)
        if child is None:
            return Rejected(reason="busy", text="no examiner was free in time; send it again later")
        began = time.monotonic()
        answer = child.ask(msgspec.json.encode(job), self._settings.wall_s)
        slow = time.monotonic() - began >= self._settings.wall_s
        try:
            if answer is not None:
                return msgspec.json.decode(answer, type=Examined | Rejected)
        except msgspec.MsgspecError:
            child.end()
            answer = None
        finally:
            self._give(child if answer is not None else None)
        if slow:
            return Rejected(reason="examiner-slow", text=f"it took more than {self._settings.wall_s:g} s to read")
        return Rejected(reason="examiner-died", text="the process that read it was killed by a limit or by the object")

    def end(self) -> None:
        """End all children that are free; one that is asked ends when its asker gives it back."""
        with self._changed:
            self._ended = True
            for child in self._free:
                child.end()
            self._free.clear()
            self._changed.notify_all()

    def _new(self) -> Child:
        return Child("scoring.io.receiver.examiner", self._argument)

    def _take(self, struck: bool) -> Child | None:
        """Wait for a child: the last free one only for a peer without a strike."""
        with self._changed:
            wanted = 2 if struck else 1
            found = self._changed.wait_for(
                lambda: self._ended or len(self._free) >= wanted, timeout=4 * self._settings.wall_s
            )
            return self._free.pop() if found and not self._ended else None

    def _give(self, child: Child | None) -> None:
        """Put a child back, or a new one in the place of one that died."""
        with self._changed:
            if self._ended:
                if child is not None:
                    child.end()
                return
            if child is None:
                self.deaths += 1
                child = self._new()
            self._free.append(child)
            self._changed.notify_all()
