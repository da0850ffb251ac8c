"""The exposure session as stories: what stops it, what ends it, and what it never exceeds."""

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
from scanner_bridge.settings import BridgeSettings, LimitSettings, PlanSettings

from .conftest import MS, Rig, replaced

S = 1_000_000_000


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
