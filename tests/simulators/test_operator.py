"""The simulated operator."""

from collections.abc import Callable

import pytest

from gating.messages import Advice, GateState, GateStatus, OperatorRequest, ScannerStatus
from gating.units import NS_PER_S
from simulators.operator import Operator

HOLD_NS = 14 * NS_PER_S


def _gate(state: GateState, advice: Advice = "go") -> GateStatus:
    return GateStatus(
        at_ns=0,
        boot="b",
        state=state,
        advice=advice,
        reasons=(),
        leads=(),
        best_lead="II",
        source="healthypi6",
        simulated=True,
        patient_safe=False,
        sample_age_ms=1.0,
        heart_rate_bpm=60.0,
        rr_interval_ms=1000.0,
        steadiness="steady",
        crc_errors=0,
        lost_samples=0,
        session=None,
        hold_began_at_ns=None,
    )


@pytest.fixture
def operator(make_status: Callable[..., ScannerStatus]) -> Operator:
    """An operator who has heard of a scanner that is not armed."""
    one = Operator(HOLD_NS)
    one.hear(make_status(state="disarmed", session=None, challenge="c7"), 0)
    return one


def _asked(requests: tuple[OperatorRequest, ...]) -> list[str]:
    return [request.request for request in requests]


def test_arms_once_when_the_gate_is_ready(operator: Operator) -> None:
    """Not before; with the latest challenge; never twice."""
    assert [] == _asked(operator.hear(_gate("learning"), 1))
    requests = operator.hear(_gate("ready"), 2)
    assert [("arm", "c7")] == [(request.request, request.challenge) for request in requests]
    assert [] == _asked(operator.hear(_gate("ready"), 3))


def test_does_not_arm_before_the_bridge_knows_the_clock(make_status: Callable[..., ScannerStatus]) -> None:
    """A bridge without a clock measurement would refuse."""
    one = Operator(HOLD_NS)
    one.hear(make_status(state="disarmed", session=None, clock_uncertainty_ns=None), 0)
    assert [] == _asked(one.hear(_gate("ready"), 2))


def test_begins_the_hold_with_the_patient(operator: Operator, make_status: Callable[..., ScannerStatus]) -> None:
    """At the patient's instant, once, and only in a session."""
    operator.hear(_gate("ready"), 2)
    operator.hear(make_status(state="armed"), 3)
    assert HOLD_NS == operator.wake_at_ns
    assert [] == _asked(operator.wake(HOLD_NS - 1))
    assert ["begin-hold"] == _asked(operator.wake(HOLD_NS))
    assert [] == _asked(operator.wake(HOLD_NS + 1))


def test_asks_for_no_wakening_that_would_change_nothing(
    operator: Operator, make_status: Callable[..., ScannerStatus]
) -> None:
    """Asked to arm, and the answer comes after the patient began to hold: time alone does nothing until then."""
    operator.hear(_gate("ready"), HOLD_NS - 1)
    assert operator.wake_at_ns is None
    assert ["begin-hold"] == _asked(operator.hear(make_status(state="armed"), HOLD_NS + 2))
    assert operator.wake_at_ns is None


def test_is_done_after_the_last_words(operator: Operator, make_status: Callable[..., ScannerStatus]) -> None:
    """The session is over and 300 ms of reports have been heard; a fault before arming is no end."""
    operator.hear(make_status(state="fault", session=None), 1)
    assert not operator.is_done(2 * NS_PER_S)
    operator.hear(make_status(state="disarmed", session=None), 2 * NS_PER_S)
    operator.hear(_gate("ready"), 2 * NS_PER_S)
    operator.hear(make_status(state="complete", session=None), 20 * NS_PER_S)
    assert not operator.is_done(20 * NS_PER_S)
    assert operator.is_done(20 * NS_PER_S + NS_PER_S)


def test_gives_up_when_nothing_can_be_armed(operator: Operator) -> None:
    """15 s after the patient began to hold, nobody waits any longer."""
    assert not operator.is_done(HOLD_NS)
    assert operator.is_done(HOLD_NS + 16 * NS_PER_S)
