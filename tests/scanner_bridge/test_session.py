"""The exposure session as stories: what an operator, a gate and a scanner do, and what comes of it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from gating.messages import (
    MAX_PAYLOAD_BYTES,
    BreathHold,
    ExposureReport,
    KeepAlive,
    ScannerStatus,
    TriggerAnswer,
    encode,
)
from scanner_bridge.driver import (
    BeamOn,
    DriverFault,
    Expose,
    MoveTable,
    ScannerCommand,
    ScannerReady,
    Stop,
    TableSettled,
)
from scanner_bridge.drivers.gantry import CAPABILITIES
from scanner_bridge.drivers.null import CAPABILITIES as NULL
from scanner_bridge.settings import BridgeSettings, LimitSettings, PlanSettings

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


# --- cancel, inhibit ---


@pytest.mark.parametrize(("after_ms", "outcome", "beams"), [(100, "missed", 0), (385, "missed", 0), (480, "cut", 1)])
def test_a_cancel_wins_at_any_time(armed_rig: Rig, after_ms: int, outcome: str, beams: int) -> None:
    """Before the command, between command and opening, and with the beam on."""
    armed_rig.book()
    armed_rig.run_for(after_ms * MS)
    armed_rig.cancel()
    armed_rig.run_for(600 * MS)
    report = armed_rig.last(ExposureReport)
    assert outcome == report.outcome
    assert "cancelled" in report.reasons
    assert beams == len(armed_rig.truth)
    assert "armed" == armed_rig.state()


def test_a_cancel_that_overtook_its_trigger_still_wins(armed_rig: Rig) -> None:
    """Reordered delivery: the trigger comes after the Cancel of a higher sequence (hazards.md M4)."""
    armed_rig.beat += 1
    trigger = armed_rig.trigger()
    armed_rig.cancel()
    armed_rig.hear(trigger)
    assert "cancelled" in armed_rig.last(TriggerAnswer).reasons


def test_a_cut_step_is_repeated_once_and_then_the_session_ends(armed_rig: Rig) -> None:
    """Attempt 2 exists only after attempt 1 was cut, attempt 3 never (max_repeats 1)."""
    for attempt in (1, 2):
        assert attempt == armed_rig.status.next_attempt
        armed_rig.book()
        armed_rig.run_for(480 * MS)
        armed_rig.cancel()
        armed_rig.run_for(500 * MS)
        assert ("cut", attempt) == (armed_rig.last(ExposureReport).outcome, armed_rig.last(ExposureReport).attempt)
    assert ("ended", ("repeats",)) == (armed_rig.state(), armed_rig.status.reasons)


def test_a_cancel_that_the_scanner_could_not_follow_is_a_redo(armed_rig: Rig) -> None:
    """The beam ran to its end although it was withdrawn: the slab is exposed again (hazards.md E7)."""
    armed_rig.book()
    armed_rig.run_for(500 * MS)
    armed_rig.gantry.stop = lambda *_: b""  # type: ignore[method-assign]  # a scanner that is deaf to stops
    armed_rig.client.command = lambda *_: b""  # type: ignore[method-assign]
    armed_rig.cancel()
    armed_rig.run_for(120 * MS)
    report = armed_rig.last(ExposureReport)
    assert ("redo", 196 * MS) == (report.outcome, report.closed_at_ns - report.opened_at_ns)
    assert 2 == armed_rig.status.next_attempt


def test_an_inhibit_pauses_and_a_fresh_lease_goes_on_at_the_first_step_not_exposed(armed_rig: Rig) -> None:
    """Lead off and on again in the same breath-hold: the scan goes on where it was."""
    armed_rig.expose()
    armed_rig.alive = False
    armed_rig.inhibit(latched=False)
    assert ("inhibited", ("electrode LL is off",)) == (armed_rig.state(), armed_rig.status.reasons)
    armed_rig.run_for(1000 * MS)
    armed_rig.beat += 1
    armed_rig.hear(armed_rig.trigger())
    assert "inhibited" in armed_rig.last(TriggerAnswer).reasons
    armed_rig.alive = True
    armed_rig.run_for(100 * MS)
    assert "armed" == armed_rig.state()
    assert [1, 2, 3] == [armed_rig.expose().step for _ in range(3)]
    assert "complete" == armed_rig.state()


def test_an_old_keep_alive_does_not_lift_an_inhibit(armed_rig: Rig) -> None:
    """Only a sequence above the inhibit's counts."""
    armed_rig.alive = False
    held_back = armed_rig.permission()
    armed_rig.inhibit(latched=False)
    newest = armed_rig.now_ns - 10 * MS
    armed_rig.hear(KeepAlive(**held_back, beat=10, newest_sample_at_ns=newest, good_until_ns=newest + 120 * MS))
    assert "inhibited" == armed_rig.state()


def test_an_old_inhibit_does_not_weaken_the_one_that_stands(armed_rig: Rig) -> None:
    """Delivered in any order, the highest inhibit counts: no lease between the two lifts it."""
    armed_rig.alive = False
    first, held_back = armed_rig.permission(), armed_rig.permission()
    armed_rig.inhibit(latched=False)
    armed_rig.inhibit(latched=False, **first)
    newest = armed_rig.now_ns - 10 * MS
    armed_rig.hear(KeepAlive(**held_back, beat=10, newest_sample_at_ns=newest, good_until_ns=newest + 120 * MS))
    assert "inhibited" == armed_rig.state()


def test_a_latched_inhibit_ends_the_session(armed_rig: Rig) -> None:
    """Only an operator begins again."""
    armed_rig.expose()
    armed_rig.inhibit(latched=True)
    armed_rig.run_for(500 * MS)
    assert "ended" == armed_rig.state()
    assert "latched-inhibit" == armed_rig.status.reasons[0]
    armed_rig.hear(armed_rig.trigger())
    armed_rig.run_for(1000 * MS)
    assert 1 == len(armed_rig.truth)


# --- the ends of a session ---


def test_the_breath_hold_limit_ends_the_session(armed_rig: Rig) -> None:
    """20 s after the hold began it is over, whatever is missing."""
    armed_rig.expose()
    armed_rig.run_for(20 * S)
    assert ("ended", ("hold-limit",)) == (armed_rig.state(), armed_rig.status.reasons)
    hold = armed_rig.last(BreathHold)
    assert 20 * S == hold.ended_at_ns - hold.began_at_ns


def test_the_arm_limit_ends_the_session(rig: Rig) -> None:
    """120 s after arming without a hold it is over."""
    rig.make_ready()
    rig.ask("arm")
    rig.run_for(121 * S)
    assert ("ended", ("arm-limit",)) == (rig.state(), rig.status.reasons)


@pytest.mark.parametrize(("request_", "state"), [("disarm", "disarmed"), ("end-hold", "ended"), ("hold", "ended")])
def test_whoever_may_speak_can_end_a_session_even_unsigned(armed_rig: Rig, request_: str, state: str) -> None:
    """Tightening needs no key; a beam that is on goes off and its report comes first."""
    armed_rig.book()
    armed_rig.run_for(480 * MS)
    assert "exposing" == armed_rig.state()
    armed_rig.ask(request_, key=None, challenge=None, plan_hash=None)
    armed_rig.run_for(50 * MS)
    assert state == armed_rig.state()
    assert "cut" == armed_rig.last(ExposureReport).outcome
    assert armed_rig.truth[0].off_at_ns - armed_rig.truth[0].on_at_ns < 100 * MS


def test_a_lost_broker_ends_the_session(armed_rig: Rig) -> None:
    """No cancel could reach us any more: inhibit, reconnect, arm again."""
    armed_rig.book()
    armed_rig.run_for(480 * MS)
    armed_rig.perform(armed_rig.session.disconnect("broker gone", armed_rig.now_ns))
    armed_rig.run_for(50 * MS)
    assert ("ended", ("link-lost", "broker gone")) == (armed_rig.state(), armed_rig.status.reasons)
    armed_rig.run_for(1 * S)
    armed_rig.ask("arm")
    assert armed_rig.state() in {"moving", "armed"}  # the table may stand there already


def test_resume_takes_one_overlapping_slab_and_arm_repeats_all(armed_rig: Rig) -> None:
    """After steps 0 and 1 a resume begins at step 1 in a new session; the dose of both breath-holds counts."""
    armed_rig.expose()
    armed_rig.expose()
    armed_rig.ask("end-hold")
    armed_rig.run_for(1 * S)
    before = armed_rig.status.effective_msv
    armed_rig.ask("resume")
    armed_rig.run_for(800 * MS)
    armed_rig.ask("begin-hold")
    armed_rig.run_for(3 * S)
    assert [1, 2, 3] == [armed_rig.expose().step for _ in range(3)]
    assert "complete" == armed_rig.state()
    assert 2.5 * before == pytest.approx(armed_rig.status.effective_msv)
    assert 2 == sum(record["what"] == "breath-hold" for record in armed_rig.records)
    armed_rig.ask("arm")
    assert ((), 0, 1) == (armed_rig.status.steps_exposed, armed_rig.status.next_step, armed_rig.status.next_attempt)


def test_there_is_nothing_to_resume_before_a_step_or_after_all(armed_rig: Rig) -> None:
    """Resume is the rest of a scan, never its beginning."""
    armed_rig.ask("hold")
    armed_rig.ask("resume")
    assert ("nothing-to-resume",) == armed_rig.status.reasons


def test_the_dose_ceiling_holds_over_sessions(make_rig: Callable[..., Rig]) -> None:
    """A ceiling of one and a half scans lets the second scan expose two steps."""
    rig = make_rig(settings=BridgeSettings(plan=PlanSettings(dose_ceiling_msv=0.9 * 1.5)))
    rig.arm()
    for _ in range(4):
        rig.expose()
    rig.ask("arm")
    rig.run_for(800 * MS)
    rig.ask("begin-hold")
    rig.run_for(3 * S)
    assert ["exposed", "exposed"] == [rig.expose().outcome for _ in range(2)]
    assert ("dose",) == rig.book().reasons


# --- the scanner misbehaves ---


def test_a_beam_that_nobody_commanded_is_a_fault(armed_rig: Rig) -> None:
    """Stop, latched fault; an operator may begin again."""
    armed_rig.perform(armed_rig.session.sense(BeamOn(0, 1, armed_rig.now_ns, 0.0), armed_rig.now_ns))
    assert "fault" == armed_rig.state()
    assert isinstance(armed_rig.commands[-1][1], Stop)


def test_a_scanner_that_owes_its_word_is_stopped_and_at_fault(armed_rig: Rig) -> None:
    """Commanded, and silence after the latest opening: stop, and the dose of the whole window is booked (I15)."""
    armed_rig.book()
    armed_rig.forgotten_acks = True
    armed_rig.run_for(500 * MS)
    assert ("fault", ("no-read-back",)) == (armed_rig.state(), armed_rig.status.reasons)
    assert isinstance(armed_rig.commands[-1][1], Stop)
    assert 196.0 == pytest.approx(armed_rig.status.beam_on_ms)
    assert "cut" == armed_rig.last(ExposureReport).outcome


def test_a_scanner_that_comes_back_is_disarmed(armed_rig: Rig) -> None:
    """A lost connection is a fault; its return is a restart, not a permission."""
    armed_rig.perform(armed_rig.session.sense(DriverFault("unplugged", armed_rig.now_ns), armed_rig.now_ns))
    assert "fault" == armed_rig.state()
    armed_rig.perform(armed_rig.session.sense(ScannerReady(armed_rig.now_ns), armed_rig.now_ns))
    assert "disarmed" == armed_rig.state()


def test_a_table_that_does_not_settle_is_a_fault(make_rig: Callable[..., Rig]) -> None:
    """Ten seconds are enough for 36 mm."""
    rig = make_rig()
    rig.make_ready()
    rig.forgotten_acks = True
    rig.ask("arm")
    rig.run_for(11 * S)
    assert ("fault", "table") == (rig.state(), rig.status.reasons[0])


def test_the_acknowledgement_of_an_earlier_move_settles_nothing(armed_rig: Rig) -> None:
    """The table must be settled for this step, after the command to go there (hazards.md B5)."""
    armed_rig.expose_without_move()
    assert "moving" == armed_rig.state()
    for stale in (TableSettled(0, -54.0, armed_rig.now_ns), TableSettled(1, -18.0, armed_rig.now_ns - 2 * S)):
        armed_rig.perform(armed_rig.session.sense(stale, armed_rig.now_ns))
        assert "moving" == armed_rig.state()


def test_a_driver_without_a_hard_end_is_stopped_at_the_end(make_rig: Callable[..., Rig]) -> None:
    """Where the device does not end the beam itself, the bridge's timer does."""
    rig = make_rig(capabilities=replace_capabilities(CAPABILITIES, ends_beam_itself=False))
    rig.arm()
    send = rig.client.command

    def longer(command: ScannerCommand) -> bytes:
        """Let the device's own end lie 100 ms later, as if it had none."""
        if isinstance(command, Expose):
            command = dataclasses.replace(command, closes_at_ns=command.closes_at_ns + 100 * MS)
        return send(command)

    rig.client.command = longer  # type: ignore[method-assign]  # a device without a hard end
    rig.book()
    rig.run_for(700 * MS)
    stop_at_ns = next(at for at, command in rig.commands if command == Stop("window-end"))
    assert rig.exposes[0].closes_at_ns == stop_at_ns
    assert "exposed" == rig.last(ExposureReport).outcome


def replace_capabilities(capabilities: Any, **changes: Any) -> Any:
    """Give other capabilities."""
    return dataclasses.replace(capabilities, **changes)


def test_a_defect_inside_ends_without_beam(armed_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any exception of our own becomes a stop and a fault, and is told (hazards.md I8)."""
    armed_rig.book()
    monkeypatch.setattr(armed_rig.session, "_try_dispatch", lambda *_: 1 / 0)
    armed_rig.run_for(500 * MS)
    assert "fault" == armed_rig.state()
    assert "ZeroDivisionError: division by zero" in armed_rig.status.reasons
    assert isinstance(armed_rig.commands[-1][1], Stop)
    assert [] == armed_rig.truth


# --- bounds ---


def test_a_flood_is_dropped_but_cancel_and_inhibit_pass(armed_rig: Rig) -> None:
    """Above 100 messages per second permission is not heard, its withdrawal always is (hazards.md M8)."""
    armed_rig.book()
    for _ in range(300):
        armed_rig.keep_alive()
    armed_rig.cancel()
    assert "missed" == armed_rig.last(ExposureReport).outcome
    armed_rig.run_for(1 * S)
    assert armed_rig.status.refused["flood"] > 150


def test_a_flood_of_forgeries_bounds_what_we_say_and_write(rig: Rig) -> None:
    """A thousand forgeries a second: some statuses, a bounded log, exact counts (hazards.md I16)."""
    rig.make_ready()
    said, written = len(rig.messages), len(rig.records)
    for _ in range(1000):
        rig.perform(rig.session.refuse("bad-signature", rig.now_ns))
        rig.run_for(1 * MS)
    rig.run_for(200 * MS)
    assert len(rig.messages) - said < 30
    assert len(rig.records) - written <= 220
    assert 1000 == rig.status.refused["bad-signature"]


def test_unheard_of_reasons_cannot_grow_the_status(rig: Rig) -> None:
    """The counts have at most 33 names, and the status stays below the size of a payload."""
    for number in range(500):
        rig.perform(rig.session.refuse(f"strange-reason-number-{number:03d}", rig.now_ns))
    rig.run_for(1 * S)
    assert 33 == len(rig.status.refused)
    assert len(encode(rig.status)) < MAX_PAYLOAD_BYTES


def test_status_and_ping_come_twice_a_second(rig: Rig) -> None:
    """Silence of the bridge is noticed."""
    rig.make_ready()
    before = rig.count(ScannerStatus)
    rig.run_for(5 * S)
    assert 10 <= rig.count(ScannerStatus) - before <= 11


def test_shifting_all_clocks_shifts_all_instants(make_rig: Callable[..., Rig]) -> None:
    """No instant is absolute: the same story a year later gives the same story (hazards.md I13)."""
    early, late = make_rig(), make_rig(now_ns=50 * S + 365 * 86_400 * S)
    shift = late.now_ns - early.now_ns
    for rig in (early, late):
        rig.arm()
        rig.expose()
    assert early.last(ExposureReport) == replaced(
        late.last(ExposureReport),
        start_angle_deg=early.last(ExposureReport).start_angle_deg,
        **{
            name: getattr(late.last(ExposureReport), name) - shift
            for name in ("planned_open_at_ns", "planned_close_at_ns", "opened_at_ns", "closed_at_ns", "at_ns")
        },
    )


def test_new_limits_can_be_tighter(make_rig: Callable[..., Rig]) -> None:
    """A site may ask for a longer lead; the gate is told."""
    rig = make_rig(settings=BridgeSettings(limits=LimitSettings(min_lead_ms=50.0)))
    rig.arm()
    assert 50.0 == rig.status.lead_ms
    assert "exposed" == rig.expose().outcome
    assert isinstance(rig.commands[0][1], MoveTable)
