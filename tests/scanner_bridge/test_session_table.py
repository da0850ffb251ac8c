"""Every event in every state: the rule that the table names, and the state that it leads to."""

from collections.abc import Callable

import pytest

from gating.messages import Beat, OperatorRequest, Pong, SessionState
from scanner_bridge.driver import BeamOff, BeamOn, DriverFault, ExposureRefused, ScannerReady, TableSettled
from scanner_bridge.session import Effect
from scanner_bridge.session_table import EVENTS, IN_SESSION, STATES, TABLE, EventKind

from .conftest import MS, Rig

# The states after one event, by state before: same order as STATES. "=" stays. The gantry obeys a Stop at once, so what
# withdraws permission in `exposing` is seen with the scanner's word already in.
AFTER: dict[EventKind, str] = {
    #                   disarmed moving    armed     booked    exposing  inhibited complete  ended     fault
    "arm":              "moving  =         =         =         =         =         moving    moving    moving",
    "resume":           "=       =         =         =         =         =         =         moving    moving",
    "begin-hold":       "=       =         =         =         =         =         =         =         =",
    "end-hold":         "=         ended     ended     ended     ended     ended     =         =         =",
    "hold":             "=         ended     ended     ended     ended     ended     =         =         =",
    "disarm":           "=         disarmed  disarmed  disarmed  disarmed  disarmed  disarmed  disarmed  =",
    "note":             "=       =         =         =         =         =         =         =         =",
    "trigger":          "=       =         booked    =         =         =         =         =         =",
    "keep-alive":       "=       =         =         =         =         armed     =         =         =",
    "cancel":           "=         =         =         armed     armed     =         =         =         =",
    "inhibit":          "=         inhibited inhibited inhibited inhibited =         =         =         =",
    "pong":             "=       =         =         =         =         =         =         =         =",
    "stranger":         "=         ended     ended     ended     ended     ended     =         =         =",
    "refused":          "=       =         =         =         =         =         =         =         =",
    "unknown":          "=         ended     ended     ended     ended     ended     =         =         =",
    "link-lost":        "=         ended     ended     ended     ended     ended     =         =         =",
    "ready":            "=       ended     ended     ended     ended     ended     =         =         disarmed",
    "table-settled":    "=       armed     =         =         =         =         =         =         =",
    "beam-on":          "fault   fault     fault     fault     fault     fault     fault     fault     =",
    "beam-off":         "=       fault     fault     fault     moving    fault     =         =         =",
    "exposure-refused": "=       =         =         armed     fault     =         =         =         =",
    "driver-fault":     "fault   fault     fault     fault     fault     fault     fault     fault     =",
    "durable":          "=       =         =         =         =         =         =         =         =",
    "tick":             "=       =         =         =         =         =         =         =         =",
}  # fmt: skip


def _armed() -> Rig:
    """Be armed, settled, in a hold."""
    rig = Rig()
    rig.arm()
    return rig


def _moving() -> Rig:
    """Let the table move after one exposure."""
    rig = _armed()
    rig.expose_without_move()
    return rig


def _booked() -> Rig:
    """Have one accepted trigger."""
    rig = _armed()
    rig.book()
    return rig


def _exposing() -> Rig:
    """Have the beam on."""
    rig = _booked()
    rig.run_for(450 * MS)
    return rig


def _inhibited() -> Rig:
    """Be inhibited, not latched."""
    rig = _armed()
    rig.inhibit(latched=False)
    return rig


def _complete() -> Rig:
    """Have exposed every step."""
    rig = _armed()
    for _ in rig.plan.table_mm:
        rig.expose()
    return rig


def _ended() -> Rig:
    """Be ended after one step."""
    rig = _armed()
    rig.expose()
    rig.ask("hold")
    return rig


def _fault() -> Rig:
    """Be at fault after one step."""
    rig = _armed()
    rig.expose()
    rig.perform(rig.session.sense(BeamOn(3, 1, rig.now_ns, 0.0), rig.now_ns))
    return rig


def _disarmed() -> Rig:
    """Be ready and not armed."""
    rig = Rig()
    rig.make_ready()
    return rig


REACH: dict[SessionState, Callable[[], Rig]] = {
    "disarmed": _disarmed,
    "moving": _moving,
    "armed": _armed,
    "booked": _booked,
    "exposing": _exposing,
    "inhibited": _inhibited,
    "complete": _complete,
    "ended": _ended,
    "fault": _fault,
}


def _happen(rig: Rig, event: EventKind) -> tuple[Effect, ...]:
    """Let one event happen to a session."""
    session, now = rig.session, rig.now_ns
    step = rig.status.next_step or 0
    if event in {"arm", "resume", "begin-hold", "end-hold", "hold", "disarm"}:
        return rig.ask(event)
    if event in {"trigger", "stranger"}:
        if rig.armed is None:
            return session.refuse("unsigned", now)
        rig.beat += 1
        return rig.hear(rig.trigger(), "gate-1" if event == "trigger" else "gate-2")
    if event == "beam-off" and session.state == "exposing":
        rig.run_for(rig.exposes[-1].closes_at_ns - now)  # the gantry's own word
        return ()
    permissions: dict[str, Callable[[], tuple[Effect, ...]]] = {
        "keep-alive": rig.keep_alive,
        "cancel": rig.cancel,
        "inhibit": lambda: rig.inhibit(latched=False),
    }
    if event in permissions:
        return () if rig.armed is None else permissions[event]()
    calls: dict[str, Callable[[], tuple[Effect, ...]]] = {
        "note": lambda: session.hear(OperatorRequest(request="mark", name="page"), None, now),
        "pong": lambda: session.hear(Pong(token="never sent", ping_at_ns=0, gate_at_ns=0), "gate-1", now),
        "refused": lambda: session.refuse("malformed", now),
        "unknown": lambda: session.hear(_beat(), "gate-1", now),
        "link-lost": lambda: session.disconnect("no broker", now),
        "ready": lambda: session.sense(ScannerReady(now), now),
        "table-settled": lambda: session.sense(TableSettled(step, rig.plan.table_mm[step], now), now),
        "beam-on": lambda: session.sense(BeamOn(step, 1, now, 0.0), now),
        "beam-off": lambda: session.sense(BeamOff(step, 1, now), now),
        "exposure-refused": lambda: session.sense(ExposureRefused(step, 1, "late", now), now),
        "driver-fault": lambda: session.sense(DriverFault("unplugged", now), now),
        "durable": lambda: session.durable(0, now),
        "tick": lambda: session.wake(now),
    }
    return rig.perform(calls[event]())


def _beat() -> Beat:
    """Make a message that the bridge does not listen to."""
    return Beat(
        number=1,
        stage="confirmed",
        r_at_ns=0,
        uncertainty_ns=0,
        beat_kind="normal",
        confidence=1.0,
        lead="II",
        rr_interval_ms=None,
        sample_arrived_at_ns=0,
        decided_at_ns=0,
    )


def test_the_table_defines_every_pair() -> None:
    """9 states, 24 events, no hole."""
    assert {(state, event) for state in STATES for event in EVENTS} == set(TABLE)
    assert set(EVENTS) == set(AFTER)


@pytest.mark.parametrize("state", STATES)
def test_every_state_can_be_reached(state: SessionState) -> None:
    """The states of the table are those that a session really enters."""
    assert state == REACH[state]().session.state


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("state", STATES)
def test_every_pair_leads_where_the_table_says(state: SessionState, event: EventKind) -> None:
    """One event in one state: the expected state, no defect inside, and no exposure commanded by it."""
    rig = REACH[state]()
    before = len(rig.exposes)
    _happen(rig, event)
    expected = AFTER[event].split()[STATES.index(state)]
    assert (state if expected == "=" else expected) == rig.session.state
    assert "internal" not in rig.status.reasons or event == "unknown"
    assert before == len(rig.exposes)


@pytest.mark.parametrize("event", EVENTS)
def test_outside_a_session_no_event_but_arming_lets_a_trigger_in(event: EventKind) -> None:
    """After any single event in `ended`, an honest trigger of the old session exposes nothing."""
    rig = _ended()
    exposed = len(rig.truth)
    _happen(rig, event)
    if rig.session.state in IN_SESSION:
        assert event in {"arm", "resume"}
        return
    rig.hear(rig.trigger())
    rig.run_for(1500 * MS)
    assert exposed == len(rig.truth)
