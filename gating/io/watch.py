"""Two watchmen over the gate's process: is its loop on time, and did the host sleep? And a quiet garbage collector."""

import asyncio
import gc
import sys
import time
from collections.abc import Callable

from gating.units import NS_PER_MS, NS_PER_S, ms_from_ns

LATE_NS = 20 * NS_PER_MS  # hazards.md T1
GAP_NS = 50 * NS_PER_MS  # hazards.md T4
WATCH_EVERY_S = 0.02
SWITCH_INTERVAL_S = 0.0005  # the reading thread's tail is the interpreter's switch interval (io.md section 3.3)


def slept_ns() -> int:
    """Tell how long this host has been suspended since it started."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()


async def watch(
    late: Callable[[float], None],
    slept: Callable[[], None],
    *,
    now_ns: Callable[[], int] = time.monotonic_ns,
    slept_ns: Callable[[], int] = slept_ns,
) -> None:
    """Tell each late turn of the event loop, in ms, and each time that the host was suspended; runs until cancelled."""
    slept_before_ns = slept_ns()
    while True:
        due_ns = now_ns() + round(WATCH_EVERY_S * NS_PER_S)
        await asyncio.sleep(WATCH_EVERY_S)
        late_ns = now_ns() - due_ns
        if late_ns > LATE_NS:
            late(ms_from_ns(late_ns))
        if slept_ns() - slept_before_ns > GAP_NS:
            slept_before_ns = slept_ns()
            slept()


def quiet_collector() -> None:
    """Freeze what start-up made, and collect rarely: a full collection over it would take 300 ms (hazards.md 0.5)."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
