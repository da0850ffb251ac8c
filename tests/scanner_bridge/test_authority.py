"""Each guard against a trigger, alone: one honest trigger, one thing changed, one reason."""

import dataclasses
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gating.messages import KeepAlive, Trigger, plan_hash
from gating.reasons import WORDS
from scanner_bridge.authority import (
    Bound,
    Lease,
    Reason,
    Standing,
    beam_reasons,
    judge,
    lease_of,
    whose,
    window_of,
)
from scanner_bridge.drivers.gantry import CAPABILITIES
from scanner_bridge.plan import plan_from
from scanner_bridge.settings import LimitSettings, PlanSettings

MS = 1_000_000
NOW = 100_000 * MS
PLAN = plan_from(PlanSettings())
BOUND = Bound("session", "nonce", "gate-1", PLAN, plan_hash(PLAN), NOW + 60_000 * MS)
ROLES = {"gate-1": "gate", "gate-2": "gate", "operator-1": "operator"}
STANDING: dict[str, Any] = {
    "bound": BOUND,
    "capabilities": CAPABILITIES,
    "limits": LimitSettings(),
    "clock_offset_ns": 0,
    "clock_uncertainty_ns": 1 * MS,
    "next_step": 1,
    "next_attempt": 1,
    "table_settled_at_ns": NOW - 500 * MS,
    "hold_began_at_ns": NOW - 5000 * MS,
    "last_trigger_sequence": 40,
    "dominated_sequence": 30,
    "last_beat": 70,
    "beam_on_ms": 196.0,
    "effective_msv": 0.22,
}
OPENS = NOW + 400 * MS
TRIGGER = Trigger(
    session="session",
    nonce="nonce",
    sequence=50,
    plan_hash=BOUND.plan_hash,
    beat=72,
    step=1,
    attempt=1,
    r_at_ns=NOW - 100 * MS,
    opens_at_ns=OPENS,
    closes_at_ns=OPENS + 196 * MS,
    centre_at_ns=OPENS + 98 * MS,
    latest_open_at_ns=OPENS + 5 * MS,
    expires_at_ns=OPENS - 20 * MS,
    phase="diastole",
    predicted_rr_ms=1000.0,
    predicted_rr_low_ms=950.0,
    predicted_rr_high_ms=1050.0,
    padding_ms=0.0,
    reasons=(),
    sample_arrived_at_ns=NOW - 1 * MS,
    issued_at_ns=NOW - 1 * MS,
)


def standing(**changes: Any) -> Standing:
    """Give an armed, settled, healthy session with some things changed."""
    return Standing(**{**STANDING, **changes})


def shifted(by_ns: int, **changes: Any) -> Trigger:
    """Give the trigger with its whole window moved."""
    names = ("opens_at_ns", "closes_at_ns", "centre_at_ns", "latest_open_at_ns", "expires_at_ns")
    return msgspec.structs.replace(TRIGGER, **{name: getattr(TRIGGER, name) + by_ns for name in names}, **changes)


def changed(**changes: Any) -> Trigger:
    """Give the trigger with some fields changed."""
    return msgspec.structs.replace(TRIGGER, **changes)


def test_an_honest_trigger_has_no_reason_against_it() -> None:
    """The base case of every other test here is accepted."""
    assert () == judge(TRIGGER, standing(), NOW)


GUARDS: dict[str, tuple[Trigger, dict[str, Any], str]] = {
    "no session": (TRIGGER, {"bound": None}, "not-armed"),
    "the same again": (changed(sequence=40), {}, "duplicate"),
    "an older one": (changed(sequence=39), {}, "replayed"),
    "a cancel with the same sequence": (TRIGGER, {"dominated_sequence": 50}, "cancelled"),
    "a second for one beat": (TRIGGER, {"last_beat": 72}, "same-beat"),
    "an earlier beat": (TRIGGER, {"last_beat": 73}, "same-beat"),
    "another plan": (changed(plan_hash="0" * 64), {}, "wrong-plan"),
    "another step": (changed(step=2), {}, "wrong-step"),
    "another attempt": (changed(attempt=2), {}, "wrong-attempt"),
    "clock not measured": (TRIGGER, {"clock_uncertainty_ns": None}, "clock"),
    "clock known to 11 ms": (TRIGGER, {"clock_uncertainty_ns": 11 * MS}, "clock"),
    "expired": (changed(expires_at_ns=NOW - 1), {}, "expired"),
    "too late for the driver": (shifted(-385 * MS), {}, "late"),
    "four seconds ahead": (shifted(3600 * MS), {}, "too-early"),
    "issued in the future": (changed(issued_at_ns=NOW + 11 * MS), {}, "future"),
    "longer than half-scan and padding": (changed(closes_at_ns=OPENS + 230 * MS), {}, "window"),
    "shorter than the half-scan": (changed(closes_at_ns=OPENS + 150 * MS), {}, "window"),
    "centre outside": (changed(centre_at_ns=OPENS + 20 * MS), {}, "window"),
    "may open 50 ms late": (changed(latest_open_at_ns=OPENS + 50 * MS), {}, "window"),
    "latest before earliest": (changed(latest_open_at_ns=OPENS - 2 * MS), {}, "window"),
    "never expires": (changed(expires_at_ns=OPENS + 100 * MS), {}, "window"),
    "opens before its own R-peak": (changed(r_at_ns=OPENS + 1), {}, "window"),
    "negative padding": (changed(padding_ms=-20.0, closes_at_ns=OPENS + 176 * MS), {}, "padding"),
    "too much padding": (changed(padding_ms=150.0, closes_at_ns=OPENS + 346 * MS), {}, "padding"),
    "above the plan's cap": (changed(padding_ms=150.0, closes_at_ns=OPENS + 346 * MS), {}, "too-long"),
    "table moving": (TRIGGER, {"table_settled_at_ns": None}, "table"),
    "no breath-hold": (TRIGGER, {"hold_began_at_ns": None}, "no-hold"),
    "hold just begun": (TRIGGER, {"hold_began_at_ns": NOW - 2000 * MS}, "not-settled"),
    "hold nearly over": (TRIGGER, {"hold_began_at_ns": NOW - 19_600 * MS}, "hold-limit"),
    "past the arm limit": (TRIGGER, {"bound": dataclasses.replace(BOUND, ends_at_ns=NOW)}, "arm-limit"),
    "beam time used up": (TRIGGER, {"beam_on_ms": PLAN.beam_on_limit_ms - 100}, "beam-limit"),
    "dose used up": (TRIGGER, {"effective_msv": PLAN.dose_ceiling_msv - 0.1}, "dose"),
}  # fmt: skip


@pytest.mark.parametrize(("trigger", "changes", "reason"), GUARDS.values(), ids=GUARDS.keys())
def test_each_guard_refuses_with_its_own_reason(trigger: Trigger, changes: dict[str, Any], reason: str) -> None:
    """One thing is wrong, and its reason is given."""
    assert reason in judge(trigger, standing(**changes), NOW)


WHOSE: list[tuple[str | None, dict[str, str], Bound | None, str | None]] = [
    ("gate-1", {}, BOUND, None),
    (None, {}, BOUND, "unsigned"),
    ("stranger", {}, BOUND, "unknown-key"),
    ("operator-1", {}, BOUND, "wrong-role"),
    ("gate-1", {}, None, "not-armed"),
    ("gate-2", {}, BOUND, "foreign-key"),
    ("gate-1", {"session": "old"}, BOUND, "wrong-session"),
    ("gate-1", {"nonce": "old"}, BOUND, "wrong-nonce"),
]


@pytest.mark.parametrize(("key", "changes", "bound", "reason"), WHOSE)
def test_only_the_bound_gate_in_this_session_is_heard(
    key: str | None, changes: dict[str, str], bound: Bound | None, reason: str | None
) -> None:
    """Key, role, session and nonce are each looked at."""
    assert reason == whose(changed(**changes), key, ROLES, bound)


def test_all_instants_are_judged_on_the_bridges_clock() -> None:
    """A gate whose clock is 3 s ahead sends the same trigger 3 s later in its own words."""
    ahead = shifted(3000 * MS, r_at_ns=TRIGGER.r_at_ns + 3000 * MS, issued_at_ns=TRIGGER.issued_at_ns + 3000 * MS)
    assert () == judge(ahead, standing(clock_offset_ns=3000 * MS), NOW)
    assert OPENS == window_of(ahead, 3000 * MS).opens_at_ns


@settings(max_examples=150, deadline=None)
@given(
    st.integers(-500, 4000),
    st.integers(-100, 300),
    st.sampled_from(sorted(GUARDS)),
)
def test_a_further_reason_never_makes_a_yes(shift_ms: int, longer_ms: int, name: str) -> None:
    """Limits only tighten: whatever is refused stays refused when one more thing is wrong (hazards.md I10)."""
    base = shifted(shift_ms * MS)
    base = msgspec.structs.replace(base, closes_at_ns=base.closes_at_ns + longer_ms * MS)
    _, changes, _ = GUARDS[name]
    refused = judge(base, standing(), NOW)
    worse = judge(base, standing(**changes), NOW)
    assert not refused or worse


# --- the lease ---


def keep_alive(newest_ms: int, good_until_ms: int) -> KeepAlive:
    """Give a keep-alive by its instants relative to now."""
    return KeepAlive(
        session="session",
        nonce="nonce",
        sequence=60,
        beat=72,
        newest_sample_at_ns=NOW + newest_ms * MS,
        good_until_ns=NOW + good_until_ms * MS,
    )


def test_a_lease_is_never_longer_than_the_bridge_allows() -> None:
    """A gate that promises an hour gets 120 ms from its newest sample."""
    lease = lease_of(keep_alive(-20, 3_600_000), standing(), NOW)
    assert isinstance(lease, Lease)
    assert NOW + 100 * MS == lease.good_until_ns


def test_a_sample_from_the_future_gives_no_lease() -> None:
    """A newest sample ahead of our clock means that one of the clocks lies."""
    assert "future" == lease_of(keep_alive(15, 135), standing(), NOW)


BEAM: dict[str, tuple[dict[str, Any], Lease | None, int, str]] = {
    "no lease": ({}, None, 0, "lease"),
    "lease ends before the latest opening": ({}, Lease(60, 72, OPENS - 115 * MS, OPENS + 5 * MS - 1), 0, "lease"),
    "lease of the next beat": ({}, Lease(60, 73, OPENS - 50 * MS, OPENS + 70 * MS), 0, "other-beat"),
    "samples 101 ms old": ({}, Lease(60, 72, OPENS - 131 * MS, OPENS + 5 * MS), 0, "old-samples"),
    "command would be late": ({}, Lease(60, 72, OPENS - 50 * MS, OPENS + 70 * MS), 11, "late"),
    "table moved": ({"table_settled_at_ns": None}, Lease(60, 72, OPENS - 50 * MS, OPENS), 0, "table"),
    "hold over": ({"hold_began_at_ns": None}, Lease(60, 72, OPENS - 50 * MS, OPENS), 0, "no-hold"),
    "clock lost": ({"clock_uncertainty_ns": None}, Lease(60, 72, OPENS - 50 * MS, OPENS), 0, "clock"),
}


@pytest.mark.parametrize(("changes", "lease", "late_ms", "reason"), BEAM.values(), ids=BEAM.keys())
def test_the_last_check_before_the_beam(
    changes: dict[str, Any], lease: Lease | None, late_ms: int, reason: str
) -> None:
    """Each thing that must hold when the command leaves is looked at, 30 ms before opening."""
    now = OPENS - 30 * MS + late_ms * MS
    assert reason in beam_reasons(72, window_of(TRIGGER, 0), lease, standing(**changes), now)


def test_a_fresh_lease_for_this_beat_lets_the_command_leave() -> None:
    """The base case of the table above."""
    lease = Lease(60, 72, OPENS - 50 * MS, OPENS + 70 * MS)
    assert () == beam_reasons(72, window_of(TRIGGER, 0), lease, standing(), OPENS - 30 * MS)


def test_every_reason_has_words_for_people() -> None:
    """The page, the terminal and the report show words; no code is without them, and no words without a code."""
    assert set(get_args(Reason)) == set(WORDS)
