"""The exposure window: by expected blur and dose, or as a scanner places it."""

from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gating.beats import ClassifiedBeat
from gating.messages import AcquisitionPlan, Armed, CardiacPhase, Rhythm, Steadiness
from gating.prediction import COVERAGES, Prediction
from gating.settings import WindowSettings
from gating.trigger import Permit
from gating.units import NS_PER_MS
from gating.window import Heart, NoWindow, Window, heart_of, place, recon_centre_at_ns

R_AT_NS = 7_000_000_000
OF_NORMAL = (0.674, 1.282, 1.645, 1.960, 2.576)  # half-widths of COVERAGES over the SD


def _foretold(rr_ms: float, sd_ms: float = 10.0) -> Prediction:
    halves = tuple(sd_ms * one for one in OF_NORMAL)
    assert len(halves) == len(COVERAGES)
    return Prediction(rr_ms, rr_ms - halves[3], rr_ms + halves[3], 0.95, 8, halves)


def _rhythm(steadiness: Steadiness = "steady", mean_rr_ms: float | None = 1000.0, premature: int = 0) -> Rhythm:
    return Rhythm(
        at_ns=R_AT_NS,
        steadiness=steadiness,
        beats=8,
        heart_rate_bpm=None if mean_rr_ms is None else 60e3 / mean_rr_ms,
        mean_rr_ms=mean_rr_ms,
        sd_rr_ms=10.0,
        range_bpm=2.0,
        premature=premature,
        advice="go",
        reasons=(),
    )


def _heart(
    rr_ms: float | None,
    sd_ms: float = 10.0,
    *,
    before_ms: float | None = None,
    steadiness: Steadiness = "steady",
    fibrillating: bool = False,
    premature: int = 0,
) -> Heart:
    return Heart(
        r_at_ns=R_AT_NS,
        rr_before_ms=before_ms or rr_ms,
        prediction=None if rr_ms is None else _foretold(rr_ms, sd_ms),
        rhythm=_rhythm(steadiness, rr_ms or before_ms, premature),
        fibrillating=fibrillating,
    )


def _after_r_ms(window: Window | NoWindow) -> tuple[str, float, float, float]:
    assert isinstance(window, Window)
    instants = (window.opens_at_ns, window.centre_at_ns, window.closes_at_ns)
    opens, centre, closes = ((at - R_AT_NS) / NS_PER_MS for at in instants)
    return window.phase, opens, centre, closes


@pytest.fixture(scope="module")
def dual_source(a_plan: AcquisitionPlan) -> AcquisitionPlan:
    """The plan of a dual-source scanner at 250 ms rotation: 112.5 ms of beam, 62.5 ms of it in the middle."""
    return msgspec.structs.replace(
        a_plan, sources=2, rotation_ms=250.0, half_scan_ms=112.5, temporal_resolution_ms=62.5, max_exposure_ms=250.0
    )


Case = tuple[Heart, CardiacPhase | None, tuple[str, float, float, float]]
CASES: dict[str, Case] = {
    "60 bpm: mid-diastole, 652 to 848 ms": (_heart(1000.0), None, ("diastole", 652.0, 750.0, 848.0)),
    "75 bpm at the first beat, and the rate will fall yet: mid-diastole": (
        _heart(800.0),
        None,
        ("diastole", 520.0, 618.0, 716.0),
    ),
    "80 bpm: systole": (_heart(750.0), None, ("systole", 247.0, 345.0, 443.0)),
    "70 bpm, and a scan that began in systole stays there": (
        _heart(870.0),
        "systole",
        ("systole", 261.4, 359.4, 457.4),
    ),
    "no room before the next R: systole": (_heart(1000.0, 90.0), None, ("systole", 277.0, 375.0, 473.0)),
    "after a longer beat systole lies later": (
        _heart(750.0, before_ms=1200.0),
        None,
        ("systole", 301.0, 399.0, 497.0),
    ),
    "fibrillation: 300 ms after R": (
        _heart(700.0, fibrillating=True, steadiness="irregular"),
        "diastole",
        ("absolute-systole", 202.0, 300.0, 398.0),
    ),
    "fibrillation needs no prediction": (
        _heart(None, before_ms=900.0, fibrillating=True, steadiness="irregular"),
        None,
        ("absolute-systole", 202.0, 300.0, 398.0),
    ),
    "bigeminy, any next beat may be premature: systole by the interval before": (
        _heart(1000.0, before_ms=1300.0, premature=5),
        "diastole",
        ("systole", 313.0, 411.0, 509.0),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_phase_and_place(name: str, a_plan: AcquisitionPlan) -> None:
    """Each named case gets its phase, opening, centre and closing after R."""
    heart, preferred, expected = CASES[name]
    assert expected == pytest.approx(_after_r_ms(place(heart, a_plan, WindowSettings(), preferred)))


FIXED: dict[str, tuple[WindowSettings, float, tuple[str, float, float, float]]] = {
    "75 % of the mean RR": (WindowSettings(policy="percent_rr"), 1000.0, ("diastole", 652.0, 750.0, 848.0)),
    "40 % is called systole": (
        WindowSettings(policy="percent_rr", percent_rr=40.0),
        1000.0,
        ("systole", 302.0, 400.0, 498.0),
    ),
    "300 ms, whatever the rate": (
        WindowSettings(policy="absolute_ms"),
        600.0,
        ("absolute-systole", 202.0, 300.0, 398.0),
    ),
    "the table below 70 bpm": (WindowSettings(policy="vendor_table"), 1000.0, ("diastole", 652.0, 750.0, 848.0)),
    "the table from 70 bpm on": (WindowSettings(policy="vendor_table"), 800.0, ("systole", 222.0, 320.0, 418.0)),
    "with the site's padding": (
        WindowSettings(policy="percent_rr", padding_ms=40.0),
        1000.0,
        ("diastole", 632.0, 750.0, 868.0),
    ),
}


@pytest.mark.parametrize("name", FIXED)
def test_a_fixed_policy_places_it_as_the_scanner_would(name: str, a_plan: AcquisitionPlan) -> None:
    """Each policy of a scanner is followed to the millisecond, and named in the window."""
    settings, mean_rr_ms, expected = FIXED[name]
    window = place(_heart(mean_rr_ms), a_plan, settings, None)
    assert expected == pytest.approx(_after_r_ms(window))
    assert isinstance(window, Window)
    assert settings.policy == window.policy


def test_a_fixed_policy_knows_no_mean_before_it_has_beats(a_plan: AcquisitionPlan) -> None:
    """It says so, and places nothing."""
    heart = Heart(
        r_at_ns=R_AT_NS, rr_before_ms=None, prediction=None, rhythm=_rhythm("unknown", None), fibrillating=False
    )
    window = place(heart, a_plan, WindowSettings(policy="percent_rr"), None)
    assert NoWindow(("the mean RR is not known yet",)) == window


def test_without_any_interval_there_is_no_window(a_plan: AcquisitionPlan) -> None:
    """It says so, and why."""
    heart = Heart(
        r_at_ns=R_AT_NS, rr_before_ms=None, prediction=None, rhythm=_rhythm("unknown", None), fibrillating=False
    )
    assert NoWindow(("the next RR is not known yet",)) == place(heart, a_plan, WindowSettings(), None)


def test_the_phase_of_the_scan_is_left_only_for_a_far_better_one(
    a_plan: AcquisitionPlan, dual_source: AcquisitionPlan
) -> None:
    """At 60 bpm and 140 ms it goes over to diastole, and says why; at 71 bpm and 62.5 ms it stays in systole."""
    changed = place(_heart(1000.0), a_plan, WindowSettings(), "systole")
    kept = place(_heart(850.0), dual_source, WindowSettings(), "systole")
    assert isinstance(changed, Window)
    assert isinstance(kept, Window)
    assert ("diastole", "systole") == (changed.phase, kept.phase)
    assert "changed from systole, which would move" in changed.reasons[-1]
    assert "the phase this scan began with" == kept.reasons[-1]


FIBRILLATING: dict[str, tuple[Steadiness, float | None, bool]] = {
    "irregular, fibrillation is probable": ("irregular", 0.9, True),
    "irregular, it is not: the beats can be foretold": ("irregular", 0.3, False),
    "irregular, and too few intervals to say": ("irregular", None, False),
    "not irregular yet": ("variable", 0.9, False),
}


@pytest.mark.parametrize("name", FIBRILLATING)
def test_fibrillation_is_irregular_and_probable(name: str) -> None:
    """Irregular alone is not enough: breathing makes a young heart irregular, and its beats can be foretold."""
    steadiness, probability, expected = FIBRILLATING[name]
    beat = ClassifiedBeat(9, R_AT_NS, 1000.0, "normal", follows_premature=False)
    rhythm = msgspec.structs.replace(_rhythm(steadiness), af_probability=probability)
    assert expected is heart_of(beat, _foretold(1000.0), rhythm).fibrillating


def test_a_window_that_would_open_too_early_is_moved(a_plan: AcquisitionPlan) -> None:
    """A slow rotation would open before R + 190 ms: the centre moves, the reason says so."""
    slow = msgspec.structs.replace(a_plan, half_scan_ms=350.0)
    window = place(_heart(700.0, fibrillating=True), slow, WindowSettings(), None)
    assert ("absolute-systole", 190.0, 365.0, 540.0) == _after_r_ms(window)
    assert isinstance(window, Window)
    assert "moved" in window.reasons[-1]


def test_padding_is_bought_only_where_it_covers(dual_source: AcquisitionPlan) -> None:
    """A steady heart needs none; a restless one pays for as much as reaches 90 %, and is told the price."""
    steady = place(_heart(1000.0, 10.0), dual_source, WindowSettings(), None)
    restless = place(_heart(1000.0, 80.0), dual_source, WindowSettings(), None)
    assert isinstance(steady, Window)
    assert isinstance(restless, Window)
    assert 0.0 == steady.padding_ms
    assert restless.padding_ms > 0.0
    assert restless.at_rest is not None
    assert restless.at_rest >= 0.9
    assert restless.padding_msv == pytest.approx(restless.padding_ms * dual_source.msv_per_ms)
    assert any("of padding cost" in reason for reason in restless.reasons)


def test_a_better_resolution_is_more_at_rest(a_plan: AcquisitionPlan, dual_source: AcquisitionPlan) -> None:
    """The same heart moves less, and rests more surely, in 62.5 ms than in 140 ms."""
    single = place(_heart(1000.0), a_plan, WindowSettings(), None)
    double = place(_heart(1000.0), dual_source, WindowSettings(), None)
    assert isinstance(single, Window)
    assert isinstance(double, Window)
    assert (double.blur_mm or 9.0) < (single.blur_mm or 0.0)
    assert (double.at_rest or 0.0) > 0.9 > (single.at_rest or 0.0)


def test_where_no_window_reaches_the_coverage_it_says_so(a_plan: AcquisitionPlan) -> None:
    """At 80 bpm and 140 ms nothing rests: the least blur x dose is taken, without padding."""
    window = place(_heart(750.0), a_plan, WindowSettings(), None)
    assert isinstance(window, Window)
    assert 0.0 == window.padding_ms
    assert any("no window reaches 90 %" in reason for reason in window.reasons)


@given(
    rr_ms=st.floats(400, 1800),
    sd_ms=st.floats(0, 200),
    phase=st.sampled_from(["auto", "systole", "diastole"]),
    irregular=st.booleans(),
)
def test_every_window_is_a_padded_half_scan_about_its_centre(
    a_plan: AcquisitionPlan,
    rr_ms: float,
    sd_ms: float,
    phase: Literal["auto", "systole", "diastole"],
    irregular: bool,
) -> None:
    """Whatever is foretold: half-scan and padding, the centre in the middle, within the plan, R + 190 ms or later."""
    heart = _heart(rr_ms, sd_ms, steadiness="irregular" if irregular else "steady")
    window = place(heart, a_plan, WindowSettings(phase=phase), None)
    _, opens, centre, closes = _after_r_ms(window)
    assert isinstance(window, Window)
    assert 196.0 + window.padding_ms == pytest.approx(closes - opens)
    assert centre == pytest.approx((opens + closes) / 2)
    assert opens >= 190.0 - 1e-6
    assert closes - opens <= a_plan.max_exposure_ms + 1e-6
    assert window.dose_msv == pytest.approx((closes - opens) * a_plan.msv_per_ms)


def _booked(heart: Heart, plan: AcquisitionPlan, armed: Armed) -> tuple[Permit, Window]:
    window = place(heart, plan, WindowSettings(), None)
    assert isinstance(window, Window)
    return Permit(armed, 0), window


@given(sd_ms=st.floats(0, 150), longer_ms=st.floats(-300, 300))
def test_the_reconstruction_follows_the_measured_beat_inside_the_exposure(
    dual_source: AcquisitionPlan, an_armed: Armed, sd_ms: float, longer_ms: float
) -> None:
    """It moves by half of what the beat was longer, and a whole half-scan always fits into the beam."""
    heart = _heart(1000.0, sd_ms)
    permit, window = _booked(heart, dual_source, an_armed)
    trigger = permit.trigger(
        window,
        beat=1,
        r_at_ns=R_AT_NS,
        step=0,
        attempt=1,
        prediction=heart.prediction,
        settings=WindowSettings(),
        sample_arrived_at_ns=0,
        now_ns=0,
    )
    centre = recon_centre_at_ns(trigger, R_AT_NS + round((1000.0 + longer_ms) * NS_PER_MS))
    moved_ms = (centre - trigger.centre_at_ns) / NS_PER_MS
    reach_ms = window.padding_ms / 2
    slope = 0.5025 if window.phase == "diastole" else 0.0
    assert min(max(slope * longer_ms, -reach_ms), reach_ms) == pytest.approx(moved_ms, abs=1e-5)
    half_ns = round(dual_source.half_scan_ms * NS_PER_MS / 2)
    assert trigger.opens_at_ns - 2 <= centre - half_ns
    assert centre + half_ns <= trigger.closes_at_ns + 2
    assert trigger.centre_at_ns == recon_centre_at_ns(trigger, None)
