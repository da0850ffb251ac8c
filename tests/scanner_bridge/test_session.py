"""The exposure session as stories: what an operator and a gate do, and what comes of it."""

from collections.abc import Callable
from typing import Any

import pytest

from gating.messages import (
    BreathHold,
    ExposureReport,
    TriggerAnswer,
)
from scanner_bridge.driver import (
    DriverFault,
)
from scanner_bridge.drivers.null import CAPABILITIES as NULL

from .conftest import MS, Rig, replaced

S = 1_000_000_000


# --- a whole scan ---


def test_a_whole_scan_exposes_every_step_once_and_completes(armed_rig: Rig) -> None:
    """Four triggers, four exposures at their instants, three table moves between them, 0.9 mSv."""
    reports = [armed_rig.expose() for _ in range(4)]
    assert ["exposed"] * 4 == [report.outcome for report in reports]
    assert [(0, 1), (1, 1), (2, 1), (3, 1)] == [(report.step, report.attempt) for report in reports]
    assert all(report.opened_at_ns == report.planned_open_at_ns for report in reports)
    assert "complete" == armed_rig.state()
    assert (0, 1, 2, 3) == armed_rig.status.steps_exposed
    assert [-54.0, -18.0, 18.0, 54.0] == [beam.table_mm for beam in armed_rig.truth]
    assert 0.897 == pytest.approx(armed_rig.status.effective_msv, abs=0.001)
    assert {} == armed_rig.status.refused
    assert armed_rig.last(BreathHold).ended_at_ns is not None


def test_the_command_leaves_late_and_the_intent_is_durable_first(armed_rig: Rig) -> None:
    """The Expose leaves lead + margin before opening; its intent was in the log before."""
    armed_rig.expose()
    sent_at_ns, expose = next((at, command) for at, command in armed_rig.commands if command in armed_rig.exposes)
    assert 40 * MS == expose.opens_at_ns - sent_at_ns
    kinds = [record["what"] for record in armed_rig.records]
    assert kinds.index("intent") < kinds.index("command") < kinds.index("beam-on") < kinds.index("exposure")


def test_a_log_that_is_not_durable_in_time_means_no_beam(make_rig: Callable[..., Rig]) -> None:
    """Without a durable intent the beat is missed (hazards.md L1)."""
    rig = make_rig(fsync_ns=2 * S)
    rig.arm()
    rig.book()
    rig.run_for(600 * MS)
    report = rig.last(ExposureReport)
    assert ("missed", ("not-durable",)) == (report.outcome, report.reasons)
    assert [] == rig.exposes


def test_a_slow_log_that_is_durable_just_in_time_still_exposes(make_rig: Callable[..., Rig]) -> None:
    """Durable between the planned and the last instant of dispatch is early enough."""
    rig = make_rig(fsync_ns=375 * MS)
    rig.arm()
    assert "exposed" == rig.expose().outcome


def test_a_gate_on_another_clock_gets_the_same_scan(make_rig: Callable[..., Rig]) -> None:
    """An offset of 2 s between the hosts is measured and taken out; reports come back on the gate's clock."""
    rig = make_rig(gate_offset_ns=2 * S)
    rig.arm()
    report = rig.expose()
    assert "exposed" == report.outcome
    assert report.opened_at_ns is not None
    assert abs(report.opened_at_ns - report.planned_open_at_ns) <= 1 * MS
    assert abs(rig.truth[0].on_at_ns + 2 * S - report.planned_open_at_ns) <= 1 * MS


def test_one_host_has_one_clock(armed_rig: Rig) -> None:
    """An offset within its own doubt counts as zero, so no instant moves by the jitter of a measurement."""
    assert 0 == armed_rig.status.clock_offset_ns
    assert armed_rig.status.clock_uncertainty_ns is not None


# --- arming ---


def test_a_start_is_disarmed_whatever_was_before(rig: Rig) -> None:
    """A new bridge says `restart` and hears no trigger (hazards.md I9)."""
    assert ("disarmed", ("restart",)) == (rig.status.state, rig.status.reasons)


ARMING: dict[str, tuple[dict[str, Any], str]] = {
    "no key": ({"key": None}, "unsigned"),
    "the gate's key": ({"key": "gate-1"}, "wrong-role"),
    "a stranger's key": ({"key": "someone"}, "unknown-key"),
    "an old challenge": ({"challenge": "token-x"}, "wrong-challenge"),
    "no challenge": ({"challenge": None}, "wrong-challenge"),
    "another plan": ({"plan_hash": "0" * 64}, "wrong-plan"),
}


@pytest.mark.parametrize(("how", "reason"), ARMING.values(), ids=ARMING.keys())
def test_only_the_operators_word_for_this_plan_now_arms(rig: Rig, how: dict[str, Any], reason: str) -> None:
    """Key, challenge and plan hash must all be right; the refusal is shown and counted."""
    rig.make_ready()
    rig.ask("arm", **how)
    rig.run_for(200 * MS)
    assert ("disarmed", (reason,)) == (rig.status.state, rig.status.reasons)
    assert 1 == rig.status.refused[reason]


def test_a_recorded_arm_request_arms_only_once(armed_rig: Rig) -> None:
    """The challenge is spent by its first use (hazards.md M7)."""
    challenge = armed_rig.status.challenge
    armed_rig.ask("hold")
    armed_rig.ask("arm", challenge=challenge)
    assert "ended" == armed_rig.state()
    assert ("wrong-challenge",) == armed_rig.status.reasons


def test_arming_needs_a_scanner_a_gate_and_its_clock(make_rig: Callable[..., Rig]) -> None:
    """Each missing partner is named."""
    early = make_rig(pong_delay_ns=100 * S)
    early.run_for(1000 * MS)
    early.ask("arm")
    assert ("no-gate",) == early.status.reasons
    slow = make_rig(pong_delay_ns=30 * MS)
    slow.make_ready()
    slow.ask("arm")
    assert ("clock",) == slow.status.reasons
    nothing = make_rig(capabilities=NULL)
    nothing.make_ready()
    nothing.ask("arm")
    assert ("no-control",) == nothing.status.reasons
    broken = make_rig()
    broken.make_ready()
    broken.perform(broken.session.sense(DriverFault("unplugged", broken.now_ns), broken.now_ns))
    broken.ask("arm")
    assert ("not-ready",) == broken.status.reasons


def test_the_breath_hold_needs_the_operators_key_and_is_never_prolonged(rig: Rig) -> None:
    """An unsigned or replayed begin-hold begins nothing, and a second one does not restart the clock."""
    rig.make_ready()
    rig.ask("arm")
    rig.run_for(800 * MS)
    rig.ask("begin-hold", key=None)
    rig.ask("begin-hold", challenge="token-1")
    assert rig.status.hold_began_at_ns is None
    rig.ask("begin-hold")
    began = rig.status.hold_began_at_ns
    rig.run_for(5 * S)
    rig.ask("begin-hold")
    assert began == rig.status.hold_began_at_ns


# --- triggers refused, and the scan goes on ---


def test_a_refused_trigger_is_answered_counted_shown_and_the_scan_goes_on(armed_rig: Rig) -> None:
    """Late, doubled, for another plan, unsigned, foreign: all refused, then the next honest one is exposed."""
    armed_rig.beat += 1
    for message, key, reason in [
        (armed_rig.trigger(expires_at_ns=armed_rig.now_ns - 1), "gate-1", "expired"),
        (armed_rig.trigger(plan_hash="0" * 64), "gate-1", "wrong-plan"),
        (armed_rig.trigger(nonce="an older session's"), "gate-1", "wrong-nonce"),
        (armed_rig.trigger(), None, "unsigned"),
        (armed_rig.trigger(), "stranger", "unknown-key"),
    ]:
        armed_rig.hear(message, key)
        answer = armed_rig.last(TriggerAnswer)
        assert answer.accepted_at_ns is None
        assert reason in answer.reasons
    armed_rig.run_for(200 * MS)
    assert {
        "expired": 1,
        "wrong-plan": 1,
        "wrong-nonce": 1,
        "unsigned": 1,
        "unknown-key": 1,
    } == armed_rig.status.refused
    assert "exposed" == armed_rig.expose().outcome


def test_a_doubled_trigger_exposes_once(armed_rig: Rig) -> None:
    """QoS 1 delivers twice at times; the second copy is a duplicate, before and after the exposure (hazards.md M3)."""
    armed_rig.beat += 1
    trigger = armed_rig.trigger()
    armed_rig.hear(trigger)
    armed_rig.hear(trigger)
    assert "duplicate" in armed_rig.last(TriggerAnswer).reasons
    armed_rig.run_for(1500 * MS)
    armed_rig.hear(trigger)
    assert "duplicate" in armed_rig.last(TriggerAnswer).reasons
    armed_rig.run_for(1500 * MS)
    assert 1 == len(armed_rig.truth)


@pytest.mark.parametrize("reason", ["unsigned", "unknown-key", "bad-signature", "wrong-role"])
def test_three_forgeries_in_ten_seconds_end_the_session(armed_rig: Rig, reason: str) -> None:
    """Two are refused and counted, the third latches (hazards.md M6)."""
    for _ in range(2):
        armed_rig.perform(armed_rig.session.refuse(reason, armed_rig.now_ns))
        armed_rig.run_for(4 * S)
        assert "armed" == armed_rig.state()
    armed_rig.perform(armed_rig.session.refuse(reason, armed_rig.now_ns))
    assert ("ended", ("forged",)) == (armed_rig.state(), armed_rig.status.reasons)


def test_three_forgeries_in_a_longer_time_do_not(armed_rig: Rig) -> None:
    """Rare ones are counted only."""
    for _ in range(3):
        armed_rig.perform(armed_rig.session.refuse("unsigned", armed_rig.now_ns))
        armed_rig.run_for(5100 * MS)
    assert "armed" == armed_rig.state()


def test_a_second_gate_key_ends_the_session_for_both(armed_rig: Rig) -> None:
    """Two gates cannot both be right (hazards.md M9)."""
    armed_rig.hear(armed_rig.trigger(), "gate-2")
    assert ("ended", ("second-gate",)) == (armed_rig.state(), armed_rig.status.reasons)


def test_two_gates_with_one_key_end_the_session_and_cannot_be_armed(armed_rig: Rig) -> None:
    """A spare gate with a copy of the keys looks like ours in all but this: one ping gets two different answers."""
    armed_rig.run_for(600 * MS)
    pong = armed_rig.last_pong
    assert pong is not None
    armed_rig.hear(pong)
    assert "armed" == armed_rig.state(), "the same answer twice is a doubled message"
    armed_rig.hear(replaced(pong, gate_at_ns=pong.gate_at_ns + 1))
    assert ("ended", ("second-gate",)) == (armed_rig.state(), armed_rig.status.reasons)
    armed_rig.ask("arm")
    assert ("two-gates",) == armed_rig.status.reasons
    armed_rig.run_for(6 * S)
    armed_rig.ask("arm")
    assert "armed" == armed_rig.state(), "the spare has gone"


# --- the lease ---


def test_no_keep_alive_no_beam(armed_rig: Rig) -> None:
    """The gate dies after its trigger: the beat is missed."""
    armed_rig.book()
    armed_rig.alive = False
    armed_rig.run_for(600 * MS)
    report = armed_rig.last(ExposureReport)
    assert ("missed", ("lease",)) == (report.outcome, report.reasons)
    assert [] == armed_rig.exposes


def test_a_keep_alive_for_the_next_beat_is_no_permission_for_this_one(armed_rig: Rig) -> None:
    """The R-peak of the next beat came before the window: nothing begins, even if the Cancel was lost."""
    armed_rig.book()
    armed_rig.run_for(200 * MS)
    armed_rig.beat += 1
    armed_rig.run_for(400 * MS)
    assert "missed" == armed_rig.last(ExposureReport).outcome
    assert [] == armed_rig.exposes


def test_the_next_beat_between_command_and_opening_stops_the_scanner(armed_rig: Rig) -> None:
    """The command has left; a keep-alive for a later beat says that this one is over."""
    armed_rig.book()
    armed_rig.run_for(375 * MS)
    assert 1 == len(armed_rig.exposes)
    armed_rig.beat += 1
    armed_rig.keep_alive()
    armed_rig.run_for(300 * MS)
    assert "missed" == armed_rig.last(ExposureReport).outcome
    assert [] == armed_rig.truth


def test_the_lease_must_last_until_the_latest_opening(armed_rig: Rig) -> None:
    """Nothing begins after `good_until`, not even a beam that the scanner begins late but in time for its window."""
    armed_rig.book()
    armed_rig.alive = False
    armed_rig.run_for(370 * MS)
    opens_at_ns = armed_rig.last_trigger.opens_at_ns
    armed_rig.keep_alive(newest_sample_at_ns=armed_rig.now_ns, good_until_ns=opens_at_ns + 1 * MS)
    armed_rig.run_for(300 * MS)
    assert ("missed", ("lease",)) == (armed_rig.last(ExposureReport).outcome, armed_rig.last(ExposureReport).reasons)
    assert [] == armed_rig.exposes


def test_a_command_does_not_leave_after_the_gates_own_expiry(armed_rig: Rig) -> None:
    """The gate may expire its trigger earlier than the driver's lead would: the tighter limit counts."""
    gate_now = armed_rig.now_ns
    armed_rig.book(expires_at_ns=gate_now + 300 * MS)
    armed_rig.alive = False
    armed_rig.run_for(299 * MS)
    armed_rig.now_ns += 5 * MS  # the timer is late
    armed_rig.keep_alive()
    assert [] == armed_rig.exposes


def test_a_late_keep_alive_still_saves_the_beat(armed_rig: Rig) -> None:
    """The lease is judged until the last instant at which the command may leave."""
    armed_rig.book()
    armed_rig.alive = False
    armed_rig.run_for(372 * MS)
    assert [] == armed_rig.exposes
    armed_rig.keep_alive()
    assert 1 == len(armed_rig.exposes)
