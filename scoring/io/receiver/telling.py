"""What the receiver says: JSON lines with a bounded rate, counts, and no word of an object or of a stranger."""

import sys
import threading
import time
from collections import Counter
from typing import Any

import structlog

LINES_PER_S = 20  # a flood of refusals is a count, not a full disk


class Teller:
    """Log lines of this process; many threads speak, one line at a time."""

    def __init__(self) -> None:
        stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)  # wall time: a label only
        render = structlog.processors.JSONRenderer()
        self._log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr), processors=[stamp, render])
        self._lock = threading.Lock()
        self._second, self._lines, self._left_out = 0, 0, 0
        self.counts: Counter[str] = Counter()

    def count(self, event: str, reason: str) -> None:
        """Count what is too frequent for a line each."""
        with self._lock:
            self.counts[f"{event}: {reason}"] += 1

    def __call__(self, event: str, **fields: Any) -> None:
        """Say that something happened; its event, and its reason where it has one, is counted."""
        with self._lock:
            reason = fields.get("reason")
            self.counts[event if reason is None else f"{event}: {reason}"] += 1
            second = int(time.monotonic())
            if second != self._second:
                if self._left_out:
                    self._log.info("lines left out", count=self._left_out)
                self._second, self._lines, self._left_out = second, 0, 0
            self._lines += 1
            if self._lines > LINES_PER_S:
                self._left_out += 1
                return
            self._log.info(event, **fields)
