"""The units that the rooms exchange, as types.

A name ends in its unit (`r_at_ns`, `rr_interval_ms`). The verbs of the sans-IO objects take `Nanoseconds`; fields of
messages are plain numbers whose names carry the unit, since a `NewType` is gone after the first sum.
"""

from typing import NewType

Nanoseconds = NewType("Nanoseconds", int)
"""An instant on, or a span of, the monotonic clock of the gating host. Integer: rounding is never a question."""

Milliseconds = NewType("Milliseconds", float)
"""A span for people and formulas."""

Microvolts = NewType("Microvolts", float)
"""The ECG's unit throughout: every frontend scales to it."""

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


def ns_from_ms(span_ms: float) -> Nanoseconds:
    """Round a span in milliseconds to integer nanoseconds."""
    return Nanoseconds(round(span_ms * NS_PER_MS))


def ms_from_ns(span_ns: int) -> float:
    """Turn a span in nanoseconds into milliseconds."""
    return span_ns / NS_PER_MS
