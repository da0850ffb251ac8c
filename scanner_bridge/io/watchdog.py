"""The watchdog: a process of its own with a stop-only line to the scanner, fed by the bridge's heartbeat.

The bridge's event loop writes a byte to our standard input every 50 ms. Silence for longer than the limit, or the end
of the pipe, which is how the death of the bridge looks, says STOP over our own line. We tell the bridge by lines on
standard output: `ready`, `stopped`, `lost`. It imports nothing of the session: what failed there cannot fail here.

Run by the bridge: `python -m scanner_bridge.io.watchdog`, with one line of JSON first:
`{"driver": ..., "options": {...}, "silence_ms": 300}`.
"""

import json
import os
import select
import sys
import time

from gating.errors import DeviceError
from scanner_bridge.driver import StopLine
from scanner_bridge.io.registry import create

POLL_S = 0.05
CHECK_EVERY_S = 0.5
RETRY_S = 0.5


def say(word: str) -> None:
    """Tell the bridge; a bridge that is gone cannot be told, and needs not be."""
    try:
        os.write(1, f"{word}\n".encode())
    except BrokenPipeError:
        os.close(1)
        os.open(os.devnull, os.O_WRONLY)


class Watch:
    """One stop-only line, and the patience of the watchdog."""

    def __init__(self, line: StopLine, silence_s: float) -> None:
        self._line = line
        self._silence_s = silence_s
        self._heard_at_s = time.monotonic()
        self._checked_at_s = self._heard_at_s
        self._stopped = False
        self._lost = False

    def heartbeat(self) -> None:
        """Hear the bridge."""
        self._heard_at_s = time.monotonic()
        self._stopped = False

    def look(self) -> None:
        """Stop the scanner if the bridge has been silent for too long; check our own line now and then."""
        now_s = time.monotonic()
        if now_s - self._heard_at_s > self._silence_s and not self._stopped:
            self._stopped = self.stop("bridge-silent")
        if now_s - self._checked_at_s > CHECK_EVERY_S:
            self._checked_at_s = now_s
            self._check()

    def stop(self, reason: str) -> bool:
        """Say STOP; True when it was said."""
        try:
            self._line.stop(reason)
        except DeviceError:
            say("lost")
            return False
        say("stopped")
        return True

    def _check(self) -> None:
        """Look whether our own line lives, and tell each change."""
        try:
            self._line.check()
        except DeviceError:
            if not self._lost:
                say("lost")
            self._lost = True
            return
        if self._lost:
            self._lost = False
            say("ready")


def watch(line: StopLine, silence_s: float) -> None:
    """Watch until the pipe ends; its end is a stop."""
    guard = Watch(line, silence_s)
    say("ready")
    while True:
        readable, _, _ = select.select([0], [], [], POLL_S)
        if readable:
            if not os.read(0, 4096):
                guard.stop("bridge-gone")
                return
            guard.heartbeat()
        guard.look()


def _read_line() -> bytes:
    """Read the first line byte by byte, so that no heartbeat after it is swallowed by a buffer."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            break
        line += byte
    return line


def main() -> int:
    """Be the watchdog."""
    orders = json.loads(_read_line())
    driver = create(orders["driver"], orders["options"], real_scanner=True)  # the bridge has judged that already
    while True:
        try:
            line = driver.stop_line()
        except DeviceError:
            say("lost")
            readable, _, _ = select.select([0], [], [], RETRY_S)
            if readable and not os.read(0, 4096):
                return 1
            continue
        break
    try:
        watch(line, orders["silence_ms"] / 1000)
    finally:
        line.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
