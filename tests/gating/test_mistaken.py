"""Waves that were mistaken for beats: known after a few, and told by the QRS behind them."""

import numpy as np
import pytest

from gating.r_peak import RPeak
from tests.gating.stories import Story, confirmed_s, play

RATE_HZ = 360.0
BEATS, CHANGED = 80, 20  # the P waves grow with beat 20


def _grown_p_waves(p_uv: float, p_width_s: float, before_s: float) -> Story:
    """Draw lead II of a steady heart whose P waves become tall and steep as a QRS, so long before it."""
    truth_s = 0.7 + np.concatenate(([0.0], np.cumsum(1.0 + 0.03 * np.sin(np.arange(BEATS - 1)))))
    at_s = np.arange(round((truth_s[-1] + 1.0) * RATE_HZ)) / RATE_HZ
    signal = np.random.default_rng(4).normal(0.0, 15.0, len(at_s))
    for beat, r_s in enumerate(truth_s):
        p = (p_uv, -before_s, p_width_s) if beat >= CHANGED else (120.0, -0.16, 0.020)
        for height_uv, behind_s, width_s in (p, (-120.0, -0.03, 0.008), (1000.0, 0.0, 0.011), (-200.0, 0.03, 0.009)):
            signal += height_uv * np.exp(-0.5 * ((at_s - r_s - behind_s) / width_s) ** 2)
        signal += 300.0 * np.exp(-0.5 * ((at_s - r_s - 0.28) / 0.04) ** 2)
    return Story(signal[:, None], truth_s, RATE_HZ)


def _play(story: Story) -> tuple[np.ndarray, np.ndarray, list[RPeak]]:
    """Give the false beats and the missed ones (s), and all that was told."""
    peaks = play(story, 16, lambda _: (True,), ("II",))
    found_s = confirmed_s(peaks)
    false_s = found_s[np.abs(found_s[:, None] - story.truth_s).min(axis=1) > 0.020]
    true_s = story.truth_s[story.truth_s > found_s[0] - 0.1]
    return false_s, true_s[np.abs(true_s[:, None] - found_s).min(axis=1) > 0.020], peaks


@pytest.mark.parametrize("p_uv", [-900.0, 700.0, 1000.0])
def test_p_waves_like_a_qrs_are_believed_a_few_times_and_then_no_more(p_uv: float) -> None:
    """P waves of 0.7 to 1 mV, as steep as the QRS of 1 mV 200 ms behind: at most 10 of 60, none later; no beat lost."""
    story = _grown_p_waves(p_uv, 0.011, 0.200)
    false_s, missed_s, _ = _play(story)
    assert len(false_s) <= 10
    assert max(false_s, default=0.0) < story.truth_s[CHANGED + 12]
    assert [] == missed_s.tolist()


@pytest.mark.parametrize("before_s", [0.080, 0.110])
def test_a_qrs_right_behind_a_confirmed_p_wave_is_told(before_s: float) -> None:
    """P waves of 0.4 mV, 80 or 110 ms before: where one is confirmed its QRS is too, in all but 2 of 60 beats."""
    story = _grown_p_waves(400.0, 0.016, before_s)
    false_s, missed_s, peaks = _play(story)
    assert len(false_s) >= 3  # the case is met
    assert len(missed_s) <= 2
    found_s = confirmed_s(peaks)
    behind_s = np.array([(found_s[found_s > at_s][0] - at_s) for at_s in false_s])
    assert np.mean(np.abs(behind_s - before_s) <= 0.020) >= 0.9


def test_a_mistake_is_forgiven() -> None:
    """P waves that were mistaken and are small again: all beats after it are found, and nothing else."""
    story = _grown_p_waves(-900.0, 0.011, 0.200)
    small = _grown_p_waves(120.0, 0.020, 0.160)
    middle = round((story.truth_s[CHANGED + 15] + 0.5) * RATE_HZ)
    story.x[middle:] = small.x[middle:]
    false_s, missed_s, peaks = _play(story)
    assert max(false_s, default=0.0) < story.truth_s[CHANGED + 12]
    assert [] == missed_s.tolist()
    assert all(peak.armed for peak in peaks if peak.stage == "confirmed" and peak.r_at_ns > 60e9)
