"""A rehearsal asked for at the gate: told when it begins, recorded, answered once, never in a session."""

from collections.abc import Iterable

import pytest

from gating.beats import ClassifiedBeat
from gating.messages import AcquisitionPlan, RehearsalReport
from gating.rehearsal_desk import RehearsalDesk
from gating.settings import GateSettings
from gating.units import NS_PER_S

S = NS_PER_S
ASKED_S = 20


def run(
    desk: RehearsalDesk,
    plan: AcquisitionPlan | None,
    *,
    seconds: Iterable[int] = range(40),
    ask_at: tuple[int, ...] = (ASKED_S,),
    spoilt_at: int | None = None,
    armed_from: int = 999,
) -> list[RehearsalReport]:
    """Let a beat come every second; ask at some seconds; gives everything that was told."""
    told: list[RehearsalReport] = []
    for second in seconds:
        armed = second >= armed_from
        beat = ClassifiedBeat(second, second * S, 1000.0, "normal", follows_premature=False)
        desk.take(beat, armed=True, af_probability=0.0)
        if second in ask_at:
            desk.ask(second * S, armed=armed)
        spoilt = ("electrode LL is off",) if second == spoilt_at else ()
        told += desk.answers(second * S, spoilt=spoilt, plan=plan, armed=armed)
    return told


def test_it_says_until_when_and_then_answers_once(a_plan: AcquisitionPlan) -> None:
    """18 s from the wish on; then figures, a forecast for the plan, and one advice."""
    begun, answer = run(RehearsalDesk(GateSettings()), a_plan)
    assert (ASKED_S * S, (ASKED_S + 18) * S, None) == (begun.at_ns, begun.running_until_ns, begun.advice)
    assert (None, 18.0, 18) == (answer.running_until_ns, answer.held_s, answer.beats)
    assert "go" == answer.advice
    assert answer.forecast is not None
    assert 60.0 == pytest.approx(answer.rate_held_bpm)


def test_asked_again_it_ends_early(a_plan: AcquisitionPlan) -> None:
    """After 14 s it is long enough; after 5 s it tells too little, and how long it should have been."""
    _, answer = run(RehearsalDesk(GateSettings()), a_plan, ask_at=(20, 34))
    assert (14.0, "go") == (answer.held_s, answer.advice)
    _, short = run(RehearsalDesk(GateSettings()), a_plan, ask_at=(20, 25))
    assert short.advice is None
    assert "held for 5 s; 12 s are needed" in short.reasons[0]


def test_a_signal_that_is_lost_spoils_it(a_plan: AcquisitionPlan) -> None:
    """The answer is the first reason of the veto, and no advice."""
    _, answer = run(RehearsalDesk(GateSettings()), a_plan, spoilt_at=25)
    assert (None, "electrode LL is off") == (answer.advice, answer.reasons[0])


def test_in_a_session_nothing_is_rehearsed(a_plan: AcquisitionPlan) -> None:
    """A wish while armed is refused in words; an arming ends the rehearsal that runs."""
    (refused,) = run(RehearsalDesk(GateSettings()), a_plan, armed_from=0)
    assert ("a session is armed: disarm to rehearse",) == refused.reasons
    desk = RehearsalDesk(GateSettings())
    _, ended = run(desk, a_plan, armed_from=30)
    assert "a session was armed during the rehearsal" == ended.reasons[0]
    assert desk.ends_at_ns is None


def test_without_a_scanner_there_is_no_advice() -> None:
    """Nothing is known of the plan: it says so."""
    _, answer = run(RehearsalDesk(GateSettings()), None)
    assert (None, ("no plan is known yet",)) == (answer.advice, answer.reasons)


def test_after_a_gap_the_beats_before_it_are_not_those_before_the_hold(a_plan: AcquisitionPlan) -> None:
    """Three beats since the gap are too few."""
    desk = RehearsalDesk(GateSettings())
    run(desk, a_plan, seconds=range(17), ask_at=())
    desk.forget()
    _, answer = run(desk, a_plan, seconds=range(18, 40), ask_at=(20,))
    assert "usable beats before the hold; 4 are needed" in answer.reasons[0]
