"""Drawn ECG of three leads with known R-peaks, and the playing of it to a detector."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gating.io.numbers import read_judge
from gating.r_peak import RPeak, RPeakDetector
from gating.sample_clock import BlockTimes
from gating.settings import RPeakSettings

LEADS = ("I", "II", "V1")
GAINS = np.array([0.6, 1.0, -0.8])
LATE_S = np.array([0.004, 0.0, -0.007])  # the R extremum of each lead against lead II
MS = 1_000_000


@dataclass
class Story:
    """A signal [sample, lead] and the true R-peaks of lead II (s)."""

    x: np.ndarray
    truth_s: np.ndarray
    rate_hz: float


def draw(
    rr_s: np.ndarray, rate_hz: float = 500.0, t_uv: float = 300.0, noise_uv: float = 15.0, gain: float = 1.0
) -> Story:
    """Draw three leads from sums of Gaussians with the given RR intervals."""
    truth = 0.7 + np.concatenate(([0.0], np.cumsum(rr_s)))
    t = np.arange(round((truth[-1] + 1.0) * rate_hz)) / rate_hz
    rng = np.random.default_rng(4)
    x = rng.normal(0.0, noise_uv, (len(t), 3)) + 80.0 * np.sin(2 * np.pi * 0.25 * t)[:, None]
    waves = (
        (120.0, -0.16, 0.020),
        (-120.0, -0.03, 0.008),
        (1100.0, 0.0, 0.011),
        (-200.0, 0.03, 0.009),
        (t_uv, 0.28, 0.04),
    )
    for r in truth:
        near = slice(max(0, int((r - 0.4) * rate_hz)), int((r + 0.6) * rate_hz))
        for lead in range(3):
            for height, at, width in waves:
                shape = np.exp(-0.5 * ((t[near] - r - LATE_S[lead] - at) / width) ** 2)
                x[near, lead] += gain * GAINS[lead] * height * shape
    return Story(x, truth, rate_hz)


def play(
    story: Story,
    samples: int = 16,
    trusted: Callable[[float], tuple[bool, ...]] = lambda _: (True, True, True),
    leads: tuple[str, ...] = LEADS,
    detector: RPeakDetector | None = None,
) -> list[RPeak]:
    """Feed the story in blocks; sample k is at exactly k periods."""
    period_ns = round(1e9 / story.rate_hz)
    detector = detector or RPeakDetector(RPeakSettings(), leads, story.rate_hz, read_judge())
    peaks: list[RPeak] = []
    for first in range(0, len(story.x), samples):
        rows = story.x[first : first + samples]
        times = BlockTimes(first * period_ns, float(period_ns), (first + len(rows) - 1) * period_ns, 1.0, 0.0, None)
        peaks += detector.take(rows, trusted(first / story.rate_hz), times)
    return peaks


def confirmed_s(peaks: list[RPeak]) -> np.ndarray:
    """Give the times of the confirmed ones (s)."""
    return np.array([peak.r_at_ns / 1e9 for peak in peaks if peak.stage == "confirmed"])


def all_errors_ms(story: Story, peaks: list[RPeak]) -> np.ndarray:
    """Give found minus true time of every beat after the learning; each must be found once, and nothing else."""
    found = confirmed_s(peaks)
    truth = story.truth_s[(story.truth_s > found[0] - 0.1)]
    assert len(truth) == len(found)
    assert found[0] < 3.2
    errors_ms: np.ndarray = 1e3 * (found - truth)
    return errors_ms


STEADY = np.full(28, 1.0)
