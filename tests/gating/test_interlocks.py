"""The vetoes: each alone, with its reason; and that one more never permits."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gating.beats import ClassifiedBeat
from gating.interlocks import NO_FIXED_RATE, BookingView, SignalView, booking_vetoes, signal_vetoes, standstill_after_s
from gating.leads import LeadsState, LeadState
from gating.messages import AcquisitionPlan, ScannerStatus, decode, encode, plan_hash
from gating.rhythm import RhythmJudge
from gating.sample_clock import BlockTimes
from gating.settings import InterlockSettings, RhythmSettings, SampleClockSettings
from gating.units import NS_PER_MS, NS_PER_S

NOW_NS = 100 * NS_PER_S
LIMITS, CLOCK = InterlockSettings(), SampleClockSettings()


def _leads(*untrusted: str, off: tuple[str, ...] = ()) -> LeadsState:
    names = ("I", "II", "V1")
    states = tuple(LeadState(name, name not in untrusted, "hum" if name in untrusted else None) for name in names)
    return LeadsState(leads=states, electrodes_off=off)


def _times(age_ms: float = 5.0, backlog_ms: float = 0.0, drift_ppm: float | None = 10.0) -> BlockTimes:
    newest = NOW_NS - round(age_ms * NS_PER_MS)
    return BlockTimes(
        first_at_ns=newest - 30 * NS_PER_MS,
        period_ns=2e6,
        newest_at_ns=newest,
        age_ms=age_ms,
        backlog_ms=backlog_ms,
        drift_ppm=drift_ppm,
    )


GOOD = SignalView(
    now_ns=NOW_NS,
    times=_times(),
    leads=_leads(),
    needed_leads=frozenset({"I", "II", "V1"}),
    lost_samples=0,
    rate_hz=500.0,
    crc_share=0.0,
    learned=True,
    last_r_at_ns=NOW_NS - NS_PER_S,
    running_rr_ms=1000.0,
    rhythm=RhythmJudge(RhythmSettings()),
    fast_wave=None,
    lost_reason=None,
)

SIGNAL_CASES = {
    "line lost": (replace(GOOD, lost_reason="serial line lost"), "serial line lost"),
    "no samples yet": (replace(GOOD, times=None), "no ECG samples yet"),
    "silent line": (replace(GOOD, times=_times(age_ms=400.0)), "no ECG samples for 0.4 s"),
    "old samples": (replace(GOOD, times=_times(age_ms=120.0)), "ECG samples arrive 120 ms late"),
    "backlog": (replace(GOOD, times=_times(backlog_ms=130.0)), "ECG samples arrive 130 ms late"),
    "electrode off": (replace(GOOD, leads=_leads("I", off=("LA",))), "electrode LA is off"),
    "a needed lead lost": (replace(GOOD, leads=_leads("V1")), "lead V1: hum"),
    "no lead at all": (
        replace(GOOD, leads=_leads("I", "II", "V1"), needed_leads=frozenset()),
        "no lead can be trusted: hum",
    ),
    "gap": (replace(GOOD, lost_samples=16), "32 ms of ECG were lost on the line"),
    "damage": (replace(GOOD, crc_share=0.05), "5 % of the frames are damaged: check baud rate and cable"),
    "wrong rate": (replace(GOOD, times=_times(drift_ppm=20_000.0)), "the box's rate is +2.0 % off what it declares"),
    "learning": (replace(GOOD, learned=False), "learning the QRS"),
    "a fast wave": (replace(GOOD, fast_wave="a fast wave of 206 per minute"), "a fast wave of 206 per minute"),
    "standstill": (replace(GOOD, last_r_at_ns=NOW_NS - 2500 * NS_PER_MS), "no R-peak for 2.5 s"),
}


def test_an_electrode_that_no_needed_lead_rests_on_is_not_waited_for() -> None:
    """A box armed on lead II alone, with LA off from the start, goes on; with LL off it does not."""
    view = replace(GOOD, needed_leads=frozenset({"II"}), leads=_leads("I", "V1", off=("LA", "V1")))
    assert () == signal_vetoes(view, LIMITS, CLOCK)
    lost = replace(view, leads=_leads("I", "V1", off=("LA", "LL")))
    assert ("electrode LL is off",) == signal_vetoes(lost, LIMITS, CLOCK)


def test_a_good_signal_has_no_veto() -> None:
    """Nothing is vetoed when all is well."""
    assert () == signal_vetoes(GOOD, LIMITS, CLOCK)


@pytest.mark.parametrize("name", SIGNAL_CASES)
def test_each_fault_of_the_signal_is_vetoed_in_words(name: str) -> None:
    """The first reason is the one that a radiographer needs."""
    view, expected = SIGNAL_CASES[name]
    assert expected == signal_vetoes(view, LIMITS, CLOCK)[0]


def test_a_lead_that_was_not_there_at_arming_is_not_needed() -> None:
    """A box with one lead unplugged from the start can be armed on the others."""
    view = replace(GOOD, leads=_leads("V1"), needed_leads=frozenset({"I", "II"}))
    assert () == signal_vetoes(view, LIMITS, CLOCK)


@pytest.mark.parametrize(("rr_ms", "expected_s"), [(None, 2.0), (1000.0, 2.0), (1600.0, 2.4), (2500.0, 3.0)])
def test_standstill_is_2_s_or_one_and_a_half_intervals_at_most_3(rr_ms: float | None, expected_s: float) -> None:
    """Standstill is max(2 s, 1.5 RR), at most 3 s."""
    assert expected_s == pytest.approx(standstill_after_s(rr_ms, LIMITS))


BEAT = ClassifiedBeat(
    number=20, r_at_ns=NOW_NS - 100 * NS_PER_MS, rr_interval_ms=1000.0, beat_kind="normal", follows_premature=False
)


@pytest.fixture
def bookable(make_status: Callable[..., ScannerStatus]) -> BookingView:
    """A beat for which everything permits a booking."""
    return BookingView(
        now_ns=NOW_NS,
        beat=BEAT,
        good_beats=10,
        doubt=None,
        patient_safe=False,
        rate_exact=True,
        scanner=make_status(),
        hold_began_at_ns=NOW_NS - 5 * NS_PER_S,
        expires_at_ns=NOW_NS + 200 * NS_PER_MS,
    )


def test_a_good_beat_has_no_veto(bookable: BookingView) -> None:
    """Nothing is vetoed when all is well."""
    assert () == booking_vetoes(bookable, LIMITS)


def test_each_fault_of_a_beat_is_vetoed_in_words(
    bookable: BookingView, make_status: Callable[..., ScannerStatus]
) -> None:
    """One change at a time, and its reason."""
    early = ClassifiedBeat(
        number=20, r_at_ns=BEAT.r_at_ns, rr_interval_ms=700.0, beat_kind="premature", follows_premature=False
    )
    cases: dict[str, BookingView] = {
        "the scanner bridge is silent": replace(bookable, scanner=None),
        "this ECG box is not fit for a person, and the scanner is real": replace(
            bookable, scanner=make_status(simulated=False)
        ),
        NO_FIXED_RATE: replace(bookable, rate_exact=False),
        "driver gantry controls nothing": replace(bookable, scanner=make_status(control="none")),
        "7 of 8 good beats seen": replace(bookable, good_beats=7),
        "the breath-hold has not begun": replace(bookable, hold_began_at_ns=None),
        "premature beat": replace(bookable, beat=early),
        "too late: 5 ms left to send the trigger": replace(bookable, expires_at_ns=NOW_NS + 5 * NS_PER_MS),
    }
    assert {reason: (reason,) for reason in cases} == {
        reason: booking_vetoes(view, LIMITS) for reason, view in cases.items()
    }


def test_a_box_fit_for_a_person_may_gate_a_real_scanner(
    bookable: BookingView, make_status: Callable[..., ScannerStatus]
) -> None:
    """`patient_safe` is what makes the difference."""
    view = replace(bookable, patient_safe=True, scanner=make_status(simulated=False))
    assert () == booking_vetoes(view, LIMITS)


@given(
    which=st.sets(st.sampled_from(["times", "leads", "lost_samples", "crc_share", "learned", "last_r_at_ns"])),
    more=st.sampled_from(["times", "leads", "lost_samples", "crc_share", "learned", "last_r_at_ns"]),
)
def test_adding_a_fault_never_takes_a_veto_away(which: set[str], more: str) -> None:
    """Vetoes only tighten."""
    bad = {
        "times": _times(age_ms=120.0),
        "leads": _leads("II"),
        "lost_samples": 100,
        "crc_share": 0.5,
        "learned": False,
        "last_r_at_ns": NOW_NS - 9 * NS_PER_S,
    }
    before = signal_vetoes(replace(GOOD, **{name: bad[name] for name in which}), LIMITS, CLOCK)  # type: ignore[arg-type]  # by name
    after = signal_vetoes(replace(GOOD, **{name: bad[name] for name in which | {more}}), LIMITS, CLOCK)  # type: ignore[arg-type]  # by name
    assert set(before) <= set(after)


def test_the_plan_of_the_fixture_is_what_its_hash_says(a_plan: AcquisitionPlan) -> None:
    """A changed plan has another hash."""
    assert plan_hash(a_plan) != plan_hash(msgspec.structs.replace(a_plan, kvp=100.0))


def test_a_plan_keeps_its_hash_on_the_wire(a_plan: AcquisitionPlan) -> None:
    """A whole number in a field of floats hashes like what comes out of the decoder at the other end."""
    whole = msgspec.structs.replace(a_plan, kvp=120)
    assert plan_hash(a_plan) == plan_hash(whole)
    assert plan_hash(whole) == plan_hash(decode(encode(whole)))  # type: ignore[arg-type]  # a plan comes back


def test_a_doubted_signal_holds_the_beat_with_its_reason(bookable: BookingView) -> None:
    """What the detector does not trust enough arms nothing, and the reason is the detector's."""
    doubted = replace(bookable, doubt="the ECG is 71 % to be trusted, 98 % are needed")
    assert ("the ECG is 71 % to be trusted, 98 % are needed",) == booking_vetoes(doubted, LIMITS)
