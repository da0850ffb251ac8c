"""Said beside true: the gating part of the report."""

import dataclasses
from collections.abc import Callable

import msgspec
import pytest

from gating.messages import (
    AcquisitionPlan,
    Cancel,
    ExposureReport,
    Forecast,
    Held,
    Message,
    OperatorRequest,
    RehearsalReport,
    ScannerStatus,
    Span,
    Trigger,
    TriggerAnswer,
    plan_hash,
)
from gating.units import NS_PER_MS
from simulators.io.page import appendix
from simulators.report import BeamAt, BeatAt, ScanLog, exposures, gating_report, held

R_NS = [1_000 * NS_PER_MS * k for k in range(1, 9)]
BEATS = tuple(BeatAt(k, r / 1e9, r, "sinus") for k, r in enumerate(R_NS))


def _trigger(plan: AcquisitionPlan, beat: int, step: int, sequence: int) -> Trigger:
    r_at = R_NS[beat] + 2 * NS_PER_MS  # found 2 ms late
    return Trigger(
        session="s1",
        nonce="n1",
        sequence=sequence,
        plan_hash=plan_hash(plan),
        beat=100 + beat,
        step=step,
        attempt=1,
        r_at_ns=r_at,
        opens_at_ns=r_at + 652 * NS_PER_MS,
        closes_at_ns=r_at + 848 * NS_PER_MS,
        centre_at_ns=r_at + 750 * NS_PER_MS,
        latest_open_at_ns=r_at + 657 * NS_PER_MS,
        expires_at_ns=r_at + 632 * NS_PER_MS,
        phase="diastole",
        predicted_rr_ms=990.0,
        predicted_rr_low_ms=960.0,
        predicted_rr_high_ms=1020.0,
        padding_ms=0.0,
        reasons=("60 bpm is below 70",),
        sample_arrived_at_ns=r_at + 80 * NS_PER_MS,
        issued_at_ns=r_at + 81 * NS_PER_MS,
    )


def _answer(trigger: Trigger, reasons: tuple[str, ...] = ()) -> TriggerAnswer:
    accepted = None if reasons else trigger.sample_arrived_at_ns + 4 * NS_PER_MS
    return TriggerAnswer(
        session="s1",
        sequence=trigger.sequence,
        beat=trigger.beat,
        step=trigger.step,
        attempt=1,
        accepted_at_ns=accepted,
        reasons=reasons,
        at_ns=0,
    )


def _told(trigger: Trigger, outcome: str, reasons: tuple[str, ...] = ()) -> ExposureReport:
    opened = None if outcome == "missed" else trigger.opens_at_ns
    return msgspec.convert(
        {
            "kind": "exposure-report",
            "session": "s1",
            "sequence": trigger.sequence,
            "beat": trigger.beat,
            "step": trigger.step,
            "attempt": 1,
            "outcome": outcome,
            "reasons": reasons,
            "planned_open_at_ns": trigger.opens_at_ns,
            "planned_close_at_ns": trigger.closes_at_ns,
            "opened_at_ns": opened,
            "closed_at_ns": None if opened is None else trigger.closes_at_ns,
            "table_mm": -54.0,
            "start_angle_deg": 10.0,
            "at_ns": 0,
        },
        ExposureReport,
    )


@pytest.fixture
def log(a_plan: AcquisitionPlan, make_status: Callable[..., ScannerStatus]) -> ScanLog:
    """Step 0 exposed in beat 1; beat 2 cancelled, 3 refused, 4 missed, 5 held; step 1 exposed in beat 6."""
    first, last = _trigger(a_plan, 1, 0, 10), _trigger(a_plan, 6, 1, 50)
    cancelled, refused, missed = (_trigger(a_plan, beat, 1, 10 * beat) for beat in (2, 3, 4))
    heard: list[Message] = [
        *(first, _answer(first), _told(first, "exposed")),
        *(cancelled, _answer(cancelled)),
        Cancel(session="s1", nonce="n1", sequence=21, beat=102, reasons=("R-peak too soon",), at_ns=0),
        _told(cancelled, "missed", ("cancelled",)),
        *(refused, _answer(refused, ("expired",))),
        *(missed, _answer(missed), _told(missed, "missed", ("lease",))),
        Held(session="s1", beat=105, reasons=("premature beat",), at_ns=0),
        *(last, _answer(last), _told(last, "exposed")),
        make_status(state="ended", reasons=("hold limit",), refused={"expired": 1}),
    ]
    beams = tuple(
        BeamAt(one.step, 1, one.opens_at_ns + NS_PER_MS, one.closes_at_ns + NS_PER_MS, -54.0 + 36 * one.step, 10.0)
        for one in (first, last)
    )
    return ScanLog(a_plan, tuple(enumerate(heard)), BEATS, beams)


def test_an_exposure_stands_beside_its_true_beat(log: ScanLog) -> None:
    """Found 2 ms late and begun 1 ms late: the true centre lies 753 ms after the true R."""
    one = exposures(log)[0]
    assert (101, 1, 0, "exposed") == (one.beat, one.true_beat, one.step, one.outcome)
    assert {"planned": 750.0, "true": 753.0} == one.centre_after_r_ms
    assert {"predicted": 990.0, "true": 1000.0} == one.rr_ms
    assert NS_PER_MS == one.opens_at_ns["actual"] - one.opens_at_ns["planned"]


def test_every_beat_that_the_scan_waited_for_says_why(log: ScanLog) -> None:
    """One row a beat; a cancelled trigger is cancelled, though the bridge then reports it as missed."""
    assert [
        (102, "cancelled", ["R-peak too soon"]),
        (103, "refused", ["expired"]),
        (104, "missed", ["lease"]),
        (105, "refused", ["premature beat"]),
    ] == [(row["beat"], row["why"], row["reasons"]) for row in held(log)]


def test_an_incomplete_scan_says_what_is_missing_and_what_it_cost(log: ScanLog) -> None:
    """Two of four steps: not complete, and every beam counted."""
    report = gating_report(log)
    assert (False, [2, 3]) == (report["complete"], report["steps_missing"])
    dose = report["dose"]
    assert isinstance(dose, dict)
    assert 392.0 == pytest.approx(dose["beam_on_ms"])
    assert 392.0 * 0.08 == pytest.approx(dose["dlp_mgycm"])
    assert 392.0 * 0.08 * 0.014 == pytest.approx(dose["effective_msv"])
    assert 0.392 * 290 == pytest.approx(dose["mas"])
    assert 392.0 * 0.08 / 8.0 == pytest.approx(dose["ctdivol_mgy"]), "the mean over the two slabs that got beam"


def test_two_sources_cost_the_current_of_both(log: ScanLog) -> None:
    """The plan's current is that of each tube: the mAs are those of both."""
    two = dataclasses.replace(log, plan=msgspec.structs.replace(log.plan, sources=2))
    dose = gating_report(two)["dose"]
    assert isinstance(dose, dict)
    assert 2 * 0.392 * 290 == pytest.approx(dose["mas"])


def test_latency_counts_from_the_confirming_sample(log: ScanLog) -> None:
    """Four accepted triggers, 4 ms each; 84 ms from the R-peak."""
    report = gating_report(log)
    assert {"n": 4, "median": 4.0, "max": 4.0} == report["trigger_latency_ms"]
    assert {"n": 4, "median": 84.0, "max": 84.0} == report["r_to_accept_ms"]


def test_a_rehearsal_stands_beside_the_scan(log: ScanLog) -> None:
    """Six beats came where 7 (5 to 9) were foretold; the dose was less than foretold; who overrode it, and why."""
    forecast = Forecast(
        policy="least_blur_dose",
        phase="diastole",
        draws=1000,
        complete=0.9,
        motion_free=0.5,
        rate_bpm=Span(median=60.0, low=58.0, high=62.0),
        rate_spread_bpm=Span(median=1.0, low=0.5, high=1.5),
        beats=Span(median=7.0, low=5.0, high=9.0),
        breath_hold_s=Span(median=11.0, low=10.0, high=12.0),
        at_rest=Span(median=1.0, low=0.5, high=1.0),
        mean_at_rest=0.9,
        rejected=Span(median=0.0, low=0.0, high=1.0),
        dose_msv=Span(median=0.9, low=0.85, high=0.95),
        padding_ms=0.0,
    )
    told = RehearsalReport(at_ns=0, advice="wait", reasons=("three were ectopic",), forecast=forecast)
    arm = OperatorRequest(request="arm", name="AB", text="the patient <cannot> wait")
    report = gating_report(ScanLog(log.plan, ((0, told), (1, arm), *log.heard), log.beats, log.beams))
    rehearsed = report["rehearsal"]
    assert isinstance(rehearsed, dict)
    assert {"predicted": 7.0, "low": 5.0, "high": 9.0, "actual": 6.0, "held": True} == rehearsed["beats"]
    assert rehearsed["dose_msv"]["actual"] == pytest.approx(392.0 * log.plan.msv_per_ms)
    assert rehearsed["dose_msv"]["held"] is False
    assert [{"name": "AB", "reason": "the patient <cannot> wait"}] == report["overrides"]
    none = dict.fromkeys(("total", "LM", "LAD", "LCX", "RCA"))
    extra = {"scenario": "s", "seed": 1, "agatston": none, "truth": {"agatston_frozen": none}}
    page = appendix({**report, **extra, "score_error_percent": None})
    assert "Rehearsal beside the scan" in page
    assert "<td>5 to 9</td><td>6</td><td>yes</td>" in page
    assert "the patient &lt;cannot&gt; wait" in page


def test_without_a_rehearsal_nothing_is_said_of_one(log: ScanLog) -> None:
    """No figures, no heading."""
    report = gating_report(log)
    assert (None, []) == (report["rehearsal"], report["overrides"])


def test_the_page_escapes_what_it_shows(log: ScanLog) -> None:
    """A reason with markup in it is text on the page."""
    evil = ScanLog(log.plan, (*log.heard, (99, Held(session="s", beat=7, reasons=("<b>x",), at_ns=0))), log.beats, ())
    none = dict.fromkeys(("total", "LM", "LAD", "LCX", "RCA"))
    extra = {"scenario": "<i>", "seed": 1, "agatston": none, "truth": {"agatston_frozen": none}}
    page = appendix({**gating_report(evil), **extra, "score_error_percent": None})
    assert "&lt;b&gt;x" in page
    assert "<b>x" not in page
    assert "<i>" not in page
