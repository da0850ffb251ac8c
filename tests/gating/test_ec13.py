"""Conduct of a heart-rate meter under IEC 60601-2-27 / EC13, through the whole gate (hazards.md section 1.1)."""

import numpy as np
import pytest

from gating.messages import GateStatus
from tests.gating.ec13_runs import Run, run

FOUND_WITHIN_S = 0.05


def _missed_and_extra(done: Run) -> tuple[int, int]:
    """Count the QRS of the test that were not found and the beats that are none, less the last, not yet confirmed."""
    found = np.array([at for at, _ in done.beats()])
    true = done.wave.qrs_at_s[done.wave.qrs_at_s >= done.wave.begins_s - FOUND_WITHIN_S]
    ended = len(done.wave.microvolts) / 500.0 - 0.2
    missed = sum(1 for at in true if at < ended and not (np.abs(found - at) < FOUND_WITHIN_S).any())
    extra = sum(1 for at in found if not (np.abs(true - at) < FOUND_WITHIN_S).any())
    return missed, extra


def _shown_at(done: Run, after_s: float) -> float | None:
    """Give the rate on the page so many seconds after the test began."""
    said = [m for at, m in done.said if isinstance(m, GateStatus) and at <= done.wave.begins_s + after_s]
    return said[-1].heart_rate_bpm


@pytest.mark.parametrize(("name", "rate_bpm"), [("3a", 80.0), ("3b", 60.0), ("3c", 120.0), ("3d", 90.0)])
def test_irregular_rhythms(name: str, rate_bpm: float) -> None:
    """Bigeminy, alternation and bidirectional systoles show their mean rate within 1 bpm after 20 s."""
    done = run(name, seconds=21.0)
    assert _shown_at(done, 20.0) == pytest.approx(rate_bpm, abs=1.0)
    missed, extra = _missed_and_extra(run(name))
    assert (missed, extra) == (0, 0)


@pytest.mark.parametrize(("name", "rate_bpm"), [("step-80-120", 120.0), ("step-80-40", 40.0)])
def test_steps(name: str, rate_bpm: float) -> None:
    """After a step the beat rate is right at the second beat, and the averaged one within 6 s."""
    done = run(name, seconds=8.0)
    second = done.beats()[2][1]  # the first beat of the test ends the last interval of the lead-in
    assert second.rr_interval_ms is not None
    assert 60_000 / second.rr_interval_ms == pytest.approx(rate_bpm, abs=1.0)
    assert _shown_at(done, 6.0) == pytest.approx(rate_bpm, abs=1.0)


def test_standstill() -> None:
    """Standstill inhibits 2 s after the last R-peak, and 3 s after it at the latest."""
    done = run("standstill", seconds=4.0)
    after_s = done.inhibited_after_s("no R-peak for")
    assert after_s is not None
    since_last_r_s = after_s + done.wave.begins_s - done.wave.qrs_at_s[-1]
    assert 2.0 <= since_last_r_s <= 3.0


@pytest.mark.parametrize("size", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("name", ["4a", "4b"])
def test_ventricular_tachycardia(name: str, size: float) -> None:
    """A wave of 206 or 195 bpm inhibits within a second, at half, full and double size."""
    after_s = run(name, size, seconds=2.0).inhibited_after_s("a fast wave")
    assert after_s is not None
    assert after_s <= 1.0


@pytest.mark.parametrize("size", [0.3, 0.6, 0.9, 1.2, 1.5])
def test_tall_t_is_not_counted(size: float) -> None:
    """A T wave of up to 1.5 mV is no beat, and no fast wave."""
    done = run("tall-t", size, seconds=15.0)
    assert _missed_and_extra(done)[1] == 0
    assert done.inhibited_after_s("a fast wave") is None


@pytest.mark.parametrize("name", ["3a", "3b", "3c", "3d", "step-80-120"])
def test_beats_in_time_are_no_fast_wave(name: str) -> None:
    """What inhibits a tachycardia leaves the other rhythms alone."""
    assert run(name, seconds=10.0).inhibited_after_s("a fast wave") is None
