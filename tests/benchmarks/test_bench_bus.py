"""Latency of 1,000 triggers over each broker, from issued to accepted by a bridge whose driver is a dry run.

Signed and published by one process; verified, judged and accepted by another.

Publisher and receiver each run in a loop of their own, in two processes as gate and bridge do; both stamp the same
monotonic clock. Run by `make bench`.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gating.io.bus import Bus, Heard, Refused
from gating.io.keys import Keyring, make_keys
from gating.messages import Trigger, encode, plan_hash
from gating.settings import MqttSettings
from scanner_bridge.authority import Bound, Standing, judge
from scanner_bridge.drivers.gantry import CAPABILITIES
from scanner_bridge.plan import plan_from
from scanner_bridge.settings import LimitSettings, PlanSettings

MS = 1_000_000
TRIGGERS = 1000
PAUSE_S = 0.02
WORST_MEDIAN_MS = 10.0  # two orders below a heart cycle; Nagle's 40 ms would break it
PUBLISHER = """
import asyncio, sys, time
from pathlib import Path
import msgspec
from gating.io.bus import Bus
from gating.io.keys import Keyring
from gating.messages import decode
from gating.settings import MqttSettings

async def main(port, folder, count, pause, text):
    trigger = decode(text.encode())
    ring = Keyring(Path(folder), "gate")
    bus = Bus(MqttSettings(port=port), "bench", ring, role="gate", listen=(), now_ns=time.monotonic_ns)
    task = asyncio.ensure_future(bus.run(print, lambda *_: None))
    while not bus.connected:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    for sequence in range(count):
        now = time.monotonic_ns()
        times = {name: getattr(trigger, name) + now for name in trigger.__struct_fields__ if name.endswith("_ns")}
        await bus.publish(msgspec.structs.replace(trigger, sequence=sequence + 1, beat=sequence + 1, **times))
        await asyncio.sleep(pause)
    await asyncio.sleep(0.3)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), sys.argv[5]))
"""


PLAN = plan_from(PlanSettings())
BOUND = Bound("session-1", "n" * 32, "gate", PLAN, plan_hash(PLAN), 2**62)


def a_trigger() -> Trigger:
    """Make a trigger of ordinary size whose instants count from its issue: it opens 400 ms later."""
    return Trigger(
        session=BOUND.session,
        nonce=BOUND.nonce,
        sequence=0,
        plan_hash=BOUND.plan_hash,
        beat=0,
        step=0,
        attempt=1,
        r_at_ns=-90 * MS,
        opens_at_ns=400 * MS,
        closes_at_ns=596 * MS,
        centre_at_ns=498 * MS,
        latest_open_at_ns=405 * MS,
        expires_at_ns=380 * MS,
        phase="diastole",
        predicted_rr_ms=1000.0,
        predicted_rr_low_ms=950.0,
        predicted_rr_high_ms=1050.0,
        padding_ms=0.0,
        reasons=("60 bpm is below 70",),
        sample_arrived_at_ns=0,
        issued_at_ns=0,
    )


def standing(trigger: Trigger, now_ns: int) -> Standing:
    """Make what a bridge knows in mid-scan: armed, settled in the hold, this trigger newer than all before."""
    return Standing(
        bound=BOUND,
        capabilities=CAPABILITIES,
        limits=LimitSettings(),
        clock_offset_ns=0,
        clock_uncertainty_ns=0,
        next_step=0,
        next_attempt=1,
        table_settled_at_ns=now_ns - 500 * MS,
        hold_began_at_ns=now_ns - 5000 * MS,
        last_trigger_sequence=trigger.sequence - 1,
        dominated_sequence=0,
        last_beat=trigger.beat - 1,
        beam_on_ms=0.0,
        effective_msv=0.0,
    )


@contextlib.contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """Run a broker in its own process."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(500):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait(10)


def command_of(broker: str, port: int, folder: Path) -> list[str]:
    """Say how a broker is started; skips where it is not installed."""
    if broker == "embedded":
        return [sys.executable, "-m", "diastole", "broker", "--port", str(port)]
    binary = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        pytest.skip("mosquitto is not installed (Debian: apt-get install mosquitto)")
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nset_tcp_nodelay true\npersistence false\nuser root\nallow_anonymous true\n"
    )
    return [binary, "-c", str(config)]


async def receive(port: int, keys: Path) -> list[float]:
    """Run the publisher and note each trigger's way in ms, until all have come."""
    latencies_ms: list[float] = []

    def hear(one: Heard | Refused) -> None:
        """Note the way of one trigger."""
        assert isinstance(one, Heard) and isinstance(one.message, Trigger)
        # stamped when the signature was checked and every guard has passed: the bridge's `accepted_at_ns`
        assert () == judge(one.message, standing(one.message, one.arrived_at_ns), one.arrived_at_ns)
        latencies_ms.append((time.monotonic_ns() - one.message.issued_at_ns) / 1e6)

    ring = Keyring(keys, "bridge")
    bus = Bus(MqttSettings(port=port), "bench", ring, role="bridge", listen=(Trigger,), now_ns=time.monotonic_ns)
    task = asyncio.ensure_future(bus.run(hear, lambda *_: None))
    while not bus.connected:
        await asyncio.sleep(0.01)
    text = encode(a_trigger()).decode()
    publisher = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PUBLISHER, str(port), str(keys), str(TRIGGERS), str(PAUSE_S), text, env=os.environ
    )
    assert 0 == await publisher.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return latencies_ms


@pytest.mark.processes
@pytest.mark.parametrize("broker", ["embedded", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def test_a_thousand_triggers_arrive_in_a_few_milliseconds(
    broker: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """From before signing to accepted: median, p99 and p99.9 are printed; the median is far below Nagle."""
    if not any("benchmarks" in argument for argument in request.config.args):
        pytest.skip("a measurement of half a minute, run by `make bench`")
    keys = tmp_path / "keys"
    make_keys(keys)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    with running(command_of(broker, port, tmp_path), port):
        latencies_ms = asyncio.run(receive(port, keys))
    median, p99, p999 = np.percentile(latencies_ms, [50, 99, 99.9])
    figures = f"median {median:.2f} ms, p99 {p99:.2f} ms, p99.9 {p999:.2f} ms, max {max(latencies_ms):.2f} ms"
    print(f"\n{TRIGGERS} triggers, issued to accepted, over {broker}: {figures}")
    assert TRIGGERS == len(latencies_ms)
    assert median < WORST_MEDIAN_MS
