"""Compile the detector's kernels: `python -m gating.io.kernels`, run by the set-up so that nobody waits later.

Numba keeps what it compiled beside the sources and asks only whether the file of the outermost function has changed,
not those that it calls. So whatever was kept is thrown away first.
"""

from pathlib import Path

import numpy as np

from gating.io.numbers import read_judge
from gating.r_peak import RPeakDetector
from gating.sample_clock import BlockTimes
from gating.settings import RPeakSettings

PACKAGE = Path(__file__).resolve().parents[1]
RATE_HZ, SPAN_S = 500.0, 8.0


def compile_kernels() -> int:
    """Run made-up ECG through a detector, with a lead that comes and goes; gives the number of R-peaks it told."""
    seconds = np.arange(round(SPAN_S * RATE_HZ)) / RATE_HZ
    spikes = 1000.0 * np.exp(-0.5 * ((seconds % 0.8 - 0.4) / 0.01) ** 2)
    detector = RPeakDetector(RPeakSettings(), ("I", "II"), RATE_HZ, read_judge())
    told = 0
    for number, trusted in enumerate(((True, True), (True, False), (True, True))):
        at_ns = round(number * SPAN_S * 1e9)
        times = BlockTimes(at_ns, 1e9 / RATE_HZ, at_ns, 0.0, 0.0, None)
        told += len(detector.take(np.stack((spikes, 0.7 * spikes), axis=1), trusted, times))
    detector.relearn()
    return told


def main() -> None:
    """Throw away what was kept, and compile anew."""
    for kept in PACKAGE.rglob("*.nb[ci]"):
        kept.unlink()
    compile_kernels()


if __name__ == "__main__":
    main()
