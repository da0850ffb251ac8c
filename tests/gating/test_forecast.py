"""What a scan will be like, forecast from a rehearsal; and the advice that follows."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gating.advice import Advised, advise, report_of
from gating.forecast import forecast, window_of
from gating.messages import AcquisitionPlan, Forecast, RehearsalReport, ScanAdvice, decode, encode
from gating.rehearsal import NotRehearsed, Rehearsed
from gating.settings import GateSettings, WindowSettings
from gating.window import NoWindow


def heart(
    rate_bpm: float = 60.0,
    *,
    spread_ms: float = 12.0,
    drift: float = 0.0,
    ectopic: int = 0,
    rejected: int = 0,
    af_probability: float = 0.0,
    intervals_ms: tuple[float, ...] | None = None,
) -> Rehearsed:
    """Make a rehearsed heart."""
    rr_ms = 60e3 / rate_bpm
    return Rehearsed(
        held_s=18.0,
        rate_before_bpm=rate_bpm + 4.0,
        rate_held_bpm=rate_bpm,
        settle_s=3.0,
        drift_bpm_per_10_s=drift,
        spread_ms=spread_ms,
        beats=round(18e3 / rr_ms),
        ectopic=ectopic,
        rejected=rejected,
        af_probability=af_probability,
        rr_before_ms=intervals_ms or (rr_ms,) * 8,
    )


@pytest.fixture(scope="module")
def dual_source(a_plan: AcquisitionPlan) -> AcquisitionPlan:
    """The plan of a dual-source scanner at 250 ms rotation."""
    return msgspec.structs.replace(
        a_plan, sources=2, rotation_ms=250.0, half_scan_ms=112.5, temporal_resolution_ms=62.5, max_exposure_ms=250.0
    )


def foretold(
    rehearsed: Rehearsed, plan: AcquisitionPlan, window: WindowSettings | None = None, seed: int = 1
) -> Forecast:
    """Forecast with 1000 draws."""
    found = forecast(rehearsed, plan, window or WindowSettings(), af_above=0.5, draws=1000, seed=seed)
    assert isinstance(found, Forecast)
    return found


def test_a_steady_heart_takes_seven_beats_and_rests(dual_source: AcquisitionPlan) -> None:
    """At 60 bpm: 7 beats in 9 to 12 s, complete, four half-scans of dose, and nearly all slabs at rest in diastole."""
    found = foretold(heart(), dual_source)
    assert found.beats is not None
    assert found.breath_hold_s is not None
    assert ("diastole", 7.0) == (found.phase, found.beats.median)
    assert 9.0 < found.breath_hold_s.low < found.breath_hold_s.high < 12.5
    assert found.complete > 0.98
    assert found.mean_at_rest > 0.9
    assert 4 * dual_source.half_scan_ms * dual_source.msv_per_ms == pytest.approx(found.dose_msv.median, rel=0.01)
    assert 60.0 == pytest.approx(found.rate_bpm.median, abs=0.5)


def test_the_same_seed_gives_the_same_forecast(dual_source: AcquisitionPlan) -> None:
    """And another one nearly the same."""
    one, same, other = (foretold(heart(), dual_source, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert one.mean_at_rest == pytest.approx(other.mean_at_rest, abs=0.03)


def test_a_short_limit_leaves_scans_incomplete(dual_source: AcquisitionPlan) -> None:
    """In 9 s hardly a scan of seven beats at 55 bpm completes; in 20 s all do."""
    short = msgspec.structs.replace(dual_source, breath_hold_limit_s=9.0)
    assert foretold(heart(55.0), short).complete < 0.2
    assert foretold(heart(55.0), dual_source).complete > 0.98


def test_ectopic_beats_cost_beats_time_and_dose(dual_source: AcquisitionPlan) -> None:
    """With 3 of 18 ectopic a scan takes more beats, longer, rejects some, and cuts cost dose."""
    quiet, odd = foretold(heart(), dual_source), foretold(heart(ectopic=3), dual_source)
    assert odd.beats is not None
    assert quiet.beats is not None
    assert odd.beats.high > quiet.beats.high
    assert odd.rejected.median >= 1.0 > quiet.rejected.median
    assert odd.dose_msv.high > quiet.dose_msv.high


def test_the_scout_is_in_the_dose_that_is_foretold(dual_source: AcquisitionPlan) -> None:
    """A scout of 5 mGy cm adds its 0.07 mSv to the foretold dose, and nothing else."""
    scouted = msgspec.structs.replace(dual_source, scout_dlp_mgycm=5.0)
    without, found = foretold(heart(), dual_source), foretold(heart(), scouted)
    assert 5.0 * 0.014 == pytest.approx(found.dose_msv.median - without.dose_msv.median)
    assert without.beats == found.beats


def test_fibrillation_is_forecast_from_the_rehearsed_intervals(dual_source: AcquisitionPlan) -> None:
    """A fixed time after R, and the rates of the intervals that were seen."""
    wild = heart(75.0, af_probability=0.95, intervals_ms=(500.0, 700.0, 900.0, 1100.0) * 4)
    found = foretold(wild, dual_source)
    assert "absolute-systole" == found.phase
    assert 80.0 == pytest.approx(found.rate_bpm.median, abs=6.0)
    assert found.rate_spread_bpm.median > 15.0


@given(
    rate_bpm=st.floats(40, 120),
    spread_ms=st.floats(0, 80),
    drift=st.floats(-8, 8),
    ectopic=st.integers(0, 5),
    policy=st.sampled_from(["least_blur_dose", "percent_rr", "absolute_ms", "vendor_table"]),
)
@settings(max_examples=30)
def test_every_forecast_is_in_order(
    a_plan: AcquisitionPlan, rate_bpm: float, spread_ms: float, drift: float, ectopic: int, policy: str
) -> None:
    """Spans rise, shares are shares, and what is motion-free is complete."""
    window = msgspec.convert({"policy": policy}, WindowSettings)
    rehearsed = heart(rate_bpm, spread_ms=spread_ms, drift=drift, ectopic=ectopic)
    found = forecast(rehearsed, a_plan, window, af_above=0.5, draws=60, seed=3)
    assert isinstance(found, Forecast)
    for span in (found.rate_bpm, found.beats, found.breath_hold_s, found.at_rest, found.rejected, found.dose_msv):
        assert span is None or span.low <= span.median <= span.high
    assert 0.0 <= found.motion_free <= found.complete <= 1.0
    assert 0.0 <= found.at_rest.low <= found.at_rest.high <= 1.0
    assert found.dose_msv.high <= a_plan.beam_on_limit_ms * a_plan.msv_per_ms * 2


def test_the_window_of_a_rehearsed_heart_is_the_gates(dual_source: AcquisitionPlan) -> None:
    """It is placed by the same room, from the same figures."""
    window = window_of(heart(), dual_source, WindowSettings(), 0.5)
    assert not isinstance(window, NoWindow)
    assert "diastole" == window.phase
    assert 750.0 == pytest.approx(window.centre_at_ns / 1e6, abs=21.0)


Story = tuple[Rehearsed, WindowSettings, ScanAdvice, str]
ADVICE: dict[str, Story] = {
    "steady at 58 bpm": (heart(58.0), WindowSettings(), "go", "7 beats in a breath-hold of 1"),
    "the rate still falls": (
        heart(drift=-7.0),
        WindowSettings(),
        "wait",
        "the heart rate still falls by 7 bpm in 10 s",
    ),
    "three of 18 ectopic": (heart(ectopic=3), WindowSettings(), "wait", "3 of 18 beats were ectopic"),
    "a bad electrode": (heart(rejected=5), WindowSettings(), "wait", "mend the electrodes"),
    "the site gates at 40 %": (
        heart(58.0),
        WindowSettings(policy="percent_rr", percent_rr=40.0),
        "change",
        "let the gate choose the phase: ",
    ),
    "150 bpm": (heart(150.0), WindowSettings(), "no-go", "150 bpm in the hold; above 140 nothing is gated"),
    "30 bpm": (heart(30.0), WindowSettings(), "no-go", "30 bpm in the hold; below 35 nothing is gated"),
    "fibrillation": (
        heart(75.0, af_probability=0.95, intervals_ms=(600.0, 700.0, 900.0, 1000.0) * 4),
        WindowSettings(),
        "go",
        "in a breath-hold of",
    ),
}


@pytest.mark.parametrize("name", ADVICE)
def test_one_advice_with_its_reason(name: str, dual_source: AcquisitionPlan) -> None:
    """Each named heart gets its advice, in words, and a change says to what."""
    rehearsed, window, expected, reason = ADVICE[name]
    found = advise(rehearsed, dual_source, GateSettings(window=window))
    assert expected == found.advice, found.reasons
    assert reason in found.reasons[0]
    assert (expected == "change") is (found.change_to is not None)


def test_a_fast_heart_on_a_slow_scanner_waits(a_plan: AcquisitionPlan) -> None:
    """At 80 bpm 140 ms find no rest: a lower rate is worth waiting for."""
    found = advise(heart(80.0), a_plan, GateSettings())
    assert "wait" == found.advice
    assert "at 80 bpm the heart hardly rests" in found.reasons[0]


def test_a_hold_that_cannot_be_long_enough_is_no_go(dual_source: AcquisitionPlan) -> None:
    """With 8 s no policy completes at 55 bpm: a longer hold, or fewer steps."""
    found = advise(heart(55.0), msgspec.structs.replace(dual_source, breath_hold_limit_s=7.0), GateSettings())
    assert "no-go" == found.advice
    assert "a longer hold, or fewer steps" in found.reasons[0]


def test_the_report_of_a_rehearsal_travels(dual_source: AcquisitionPlan) -> None:
    """It is a message like any other, whole or with nothing but its reasons; small enough for the bus."""
    rehearsed = heart()
    advised = advise(rehearsed, dual_source, GateSettings())
    assert isinstance(advised, Advised)
    report = report_of(rehearsed, advised, 5)
    assert report == decode(encode(report))
    assert len(encode(report)) < 2048
    assert 60.0 == report.rate_held_bpm
    assert "go" == report.advice
    nothing = report_of(NotRehearsed(("few beats",)), None, 6)
    assert RehearsalReport(at_ns=6, reasons=("few beats",)) == nothing
