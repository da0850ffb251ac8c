"""A waveform of the meter tests through the whole gate, and what it said at every instant."""

from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from gating.frontends.frontend import SampleBlock
from gating.gate import Gate
from gating.io.numbers import read_judge
from gating.messages import Beat, Inhibit, Message, Rhythm
from gating.settings import GateSettings
from gating.units import NS_PER_S, Nanoseconds
from scanner_bridge.plan import plan_from
from scanner_bridge.settings import PlanSettings
from simulators.beat_scan import armed_for
from simulators.meter_tests import Waveform, meter_test

RATE_HZ, BLOCK = 500.0, 8
LEADS, ELECTRODES = ("I", "II", "V1"), ("RA", "LA", "LL", "V1")
GAINS = np.array([0.6, 1.0, -0.8])
NOISE_UV = 10.0
ARRIVES_NS = 2_000_000
ARMED_AFTER_BLOCKS = 900  # 14.4 s


@dataclass(frozen=True)
class Run:
    """The waveform, and what the gate said, each with the second of the signal."""

    wave: Waveform
    said: tuple[tuple[float, Message], ...]

    def beats(self) -> list[tuple[float, Beat]]:
        """List the confirmed beats since the test began, by the second of their R."""
        found = [m for _, m in self.said if isinstance(m, Beat) and m.stage == "confirmed"]
        return [(m.r_at_ns / 1e9, m) for m in found if m.r_at_ns / 1e9 >= self.wave.begins_s - 0.05]

    def rhythms(self) -> list[tuple[float, Rhythm]]:
        """List what the rhythm was, by the second at which it was said."""
        return [(at, m) for at, m in self.said if isinstance(m, Rhythm)]

    def inhibited_after_s(self, reason: str) -> float | None:
        """Tell how long after the begin of the test the armed session was inhibited for a reason; None: it was not."""
        for at, m in self.said:
            if isinstance(m, Inhibit) and any(reason in one for one in m.reasons) and at >= self.wave.begins_s:
                return at - self.wave.begins_s
        return None


def run(name: str, size: float = 1.0, seconds: float | None = None) -> Run:
    """Feed a test, with a little noise, through a gate that is asked after every block and armed in the lead-in."""
    wave = meter_test(name, RATE_HZ, size)
    noise = np.random.default_rng(1).normal(0.0, NOISE_UV, (len(wave.microvolts), len(LEADS)))
    samples = wave.microvolts[:, None] * GAINS + noise
    until = len(samples) if seconds is None else round((wave.begins_s + seconds) * RATE_HZ)
    gate, flags = Gate(GateSettings(simulated=True), read_judge()), np.zeros((BLOCK, len(ELECTRODES)), dtype=bool)
    said: list[tuple[float, Message]] = []
    for first in range(0, until - BLOCK + 1, BLOCK):
        block = SampleBlock(LEADS, samples[first : first + BLOCK], RATE_HZ, first, ELECTRODES, flags, 0)
        at_s = (first + BLOCK - 1) / RATE_HZ
        now = Nanoseconds(round(at_s * NS_PER_S) + ARRIVES_NS)
        said += [(at_s, message) for message in gate.take(block, now)]
        if first == ARMED_AFTER_BLOCKS * BLOCK:
            gate.hear(replace(armed_for(plan_from(PlanSettings())), at_ns=now), now)
    return Run(wave, tuple(said))
