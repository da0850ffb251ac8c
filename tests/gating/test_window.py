"""The exposure window."""

from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gating.messages import AcquisitionPlan, CardiacPhase, Steadiness
from gating.prediction import COVERAGES, Prediction
from gating.settings import WindowSettings
from gating.units import NS_PER_MS
from gating.window import NoWindow, Window, diastole_centre_ms, place, systole_centre_ms

R_AT_NS = 7_000_000_000


def _foretold(rr_ms: float, spread_ms: float = 20.0) -> Prediction:
    return Prediction(
        rr_ms=rr_ms,
        low_ms=rr_ms - spread_ms,
        high_ms=rr_ms + spread_ms,
        coverage=0.95,
        beats=8,
        half_widths_ms=(spread_ms,) * len(COVERAGES),
    )


def _after_r_ms(window: Window | NoWindow) -> tuple[str, float, float, float]:
    assert isinstance(window, Window)
    instants = (window.opens_at_ns, window.centre_at_ns, window.closes_at_ns)
    opens, centre, closes = ((at - R_AT_NS) / NS_PER_MS for at in instants)
    return window.phase, opens, centre, closes


def test_the_rest_phase_formulas_give_the_published_points() -> None:
    """Mid-diastole lies at 74 % at 55 bpm and 77 % at 75 bpm within a point; systole at 375, 351, 335 ms."""
    assert [0.74, 0.77] == pytest.approx([diastole_centre_ms(60e3 / hr) / (60e3 / hr) for hr in (55, 75)], abs=0.01)
    assert [375, 351, 335] == pytest.approx([systole_centre_ms(60e3 / hr) for hr in (60, 75, 90)], abs=0.5)


Case = tuple[Prediction | None, Steadiness, CardiacPhase | None, tuple[str, float, float, float]]
CASES: dict[str, Case] = {
    "60 bpm: mid-diastole, 652 to 848 ms": (_foretold(1000.0), "steady", None, ("diastole", 652.0, 750.0, 848.0)),
    "75 bpm: systole": (_foretold(800.0), "steady", None, ("systole", 253.0, 351.0, 449.0)),
    "a scan that began in systole stays there": (
        _foretold(1000.0),
        "steady",
        "systole",
        ("systole", 277.0, 375.0, 473.0),
    ),
    "no room before the next R: systole": (_foretold(1000.0, 150.0), "steady", None, ("systole", 277.0, 375.0, 473.0)),
    "irregular: 300 ms after R": (_foretold(700.0), "irregular", "diastole", ("absolute-systole", 202.0, 300.0, 398.0)),
    "irregular needs no prediction": (None, "irregular", None, ("absolute-systole", 202.0, 300.0, 398.0)),
}


@pytest.mark.parametrize("name", CASES)
def test_phase_and_place(name: str, a_plan: AcquisitionPlan) -> None:
    """Each named case gets its phase, opening, centre and closing after R."""
    prediction, steadiness, preferred, expected = CASES[name]
    window = place(R_AT_NS, prediction, steadiness, a_plan, WindowSettings(), preferred)
    assert expected == _after_r_ms(window)


def test_without_a_prediction_a_regular_rhythm_gets_no_window(a_plan: AcquisitionPlan) -> None:
    """It says so, and why."""
    assert NoWindow(("the next RR is not known yet",)) == place(R_AT_NS, None, "steady", a_plan, WindowSettings(), None)


def test_a_window_that_would_open_too_early_is_moved(a_plan: AcquisitionPlan) -> None:
    """A slow rotation would open before R + 190 ms: the centre moves, the reason says so."""
    slow = msgspec.structs.replace(a_plan, half_scan_ms=350.0)
    window = place(R_AT_NS, None, "irregular", slow, WindowSettings(), None)
    assert ("absolute-systole", 190.0, 365.0, 540.0) == _after_r_ms(window)
    assert isinstance(window, Window)
    assert "moved" in window.reasons[-1]


@given(rr_ms=st.floats(400, 1800), spread_ms=st.floats(0, 400), phase=st.sampled_from(["auto", "systole", "diastole"]))
def test_every_window_is_a_half_scan_about_its_centre(
    a_plan: AcquisitionPlan, rr_ms: float, spread_ms: float, phase: Literal["auto", "systole", "diastole"]
) -> None:
    """Whatever is foretold: the length is the half-scan, the centre its midpoint, it opens at R + 190 ms or later."""
    settings = WindowSettings(phase=phase)
    window = place(R_AT_NS, _foretold(rr_ms, spread_ms), "steady", a_plan, settings, None)
    _, opens, centre, closes = _after_r_ms(window)
    assert 196.0 == pytest.approx(closes - opens)
    assert centre == pytest.approx((opens + closes) / 2)
    assert opens >= 190.0
