"""I11: what the gate said, with messages removed, delayed, doubled and turned round, never adds an exposure.

A whole virtual scan is recorded once; then its gate's messages are played to a fresh bridge and gantry again and again,
each time with other faults. The gate does not answer back here: in a closed loop a lost trigger rightly moves the scan
to a later beat, and no run would be comparable with another.

What is true, and what not: as long as Cancel and Inhibit arrive, the faulty run's exposures are among the clean run's.
If they are lost too, a beat that was withdrawn in the last 120 ms before its opening may be exposed, since its lease
was given before: that is what a lease is, and no more than that.
"""

import functools
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest

from gating.messages import (
    Armed,
    Cancel,
    ExposureReport,
    Inhibit,
    KeepAlive,
    OperatorRequest,
    Permission,
    Ping,
    Pong,
    ScannerStatus,
    Trigger,
)
from gating.units import NS_PER_MS, NS_PER_S
from scanner_bridge.drivers.gantry import CAPABILITIES
from scanner_bridge.drivers.gantry_wire import GantryClient
from scanner_bridge.session import Append, Command, Effect, Publish, Session
from scanner_bridge.settings import BridgeSettings
from simulators.gantry import Gantry
from simulators.io.scenarios import load_scenario
from simulators.scenario import Scanner
from simulators.stage import plan_settings
from simulators.virtual_scan import KEYS, START_NS, VirtualRun
from tests.system.virtual import run_scan

Spoken = tuple[int, Permission | OperatorRequest]
DURABLE_NS = 5 * NS_PER_MS
STORMS = 40


@dataclass(frozen=True)
class Speech:
    """All that a scan's gate and operator said, and the settings of its bridge."""

    run: VirtualRun
    settings: BridgeSettings
    spoken: tuple[Spoken, ...]

    @property
    def triggers(self) -> dict[int, Trigger]:
        """The triggers, by beat."""
        return {one.beat: one for _, one in self.spoken if isinstance(one, Trigger)}

    def leased_until_opening(self) -> set[int]:
        """Name the beats that were triggered and kept alive until their opening."""
        return {
            one.beat
            for _, one in self.spoken
            if isinstance(one, KeepAlive)
            and one.beat in self.triggers
            and one.good_until_ns >= self.triggers[one.beat].opens_at_ns
        }


class Replay:
    """A fresh bridge and gantry that hear a speech; a bus without delay of its own."""

    def __init__(self, speech: Speech, spoken: list[Spoken]) -> None:
        tokens = (f"token-{number}" for number in itertools.count())
        self._session = Session(speech.run.plan, CAPABILITIES, speech.settings, KEYS, tokens)
        self._gantry, self._client = Gantry(Scanner(), 30.0), GantryClient()
        self._events: list[tuple[int, int, Callable[[int], None]]] = []
        self._count = itertools.count()
        self._armed: Armed | None = None
        self._status: ScannerStatus | None = None
        self.reports: list[ExposureReport] = []
        for at_ns, message in spoken:
            self._at(at_ns, lambda now_ns, message=message: self._hear(message, now_ns))  # type: ignore[misc]  # bound now

    def run(self, end_ns: int) -> set[tuple[int, int, int]]:
        """Play until an instant; gives beat, step and attempt of every exposure, each backed by one true beam."""
        now_ns = START_NS
        self._to_gantry(self._client.hello(now_ns), now_ns)
        while now_ns <= end_ns:
            wakes: list[tuple[int | None, Callable[[int], None]]] = [
                (self._session.wake_at_ns, lambda at_ns: self._do(self._session.wake(at_ns), at_ns)),
                (self._client.wake_at_ns, lambda at_ns: self._to_gantry(self._client.wake(at_ns), at_ns)),
                (self._gantry.wake_at_ns, lambda at_ns: self._from_gantry(self._gantry.wake(at_ns), at_ns)),
            ]
            due_ns, act = min(((at, act) for at, act in wakes if at is not None), key=lambda one: one[0])
            if self._events and self._events[0][0] <= due_ns:
                due_ns, _, act = heapq.heappop(self._events)
            now_ns = max(now_ns, due_ns)
            act(now_ns)
        exposed = [(one.beat, one.step, one.attempt) for one in self.reports if one.outcome != "missed"]
        assert sorted(exposed[k][1:] for k in range(len(exposed))) == sorted(
            (beam.step, beam.attempt) for beam in self._gantry.drain_truth()
        )
        assert len(set(exposed)) == len(exposed)
        return set(exposed)

    def _at(self, at_ns: int, act: Callable[[int], None]) -> None:
        heapq.heappush(self._events, (at_ns, next(self._count), act))

    def _hear(self, message: Permission | OperatorRequest, now_ns: int) -> None:
        if isinstance(message, OperatorRequest):
            challenge = None if self._status is None else self._status.challenge
            asked = msgspec.structs.replace(message, challenge=challenge)
            self._do(self._session.hear(asked, "operator-key", now_ns), now_ns)
        elif self._armed is not None:
            mine = {"session": self._armed.session, "nonce": self._armed.nonce}
            self._do(self._session.hear(msgspec.structs.replace(message, **mine), "gate-key", now_ns), now_ns)

    def _do(self, effects: tuple[Effect, ...], now_ns: int) -> None:
        for effect in effects:
            match effect:
                case Publish(message=Armed() as armed):
                    self._armed = armed
                case Publish(message=ScannerStatus() as status):
                    self._status = status
                case Publish(message=ExposureReport() as report):
                    self.reports.append(report)
                case Publish(message=Ping() as ping):
                    pong = Pong(token=ping.token, ping_at_ns=ping.at_ns, gate_at_ns=now_ns + NS_PER_MS)
                    self._at(
                        now_ns + 2 * NS_PER_MS,
                        lambda at_ns, pong=pong: self._do(self._session.hear(pong, "gate-key", at_ns), at_ns),  # type: ignore[misc]  # bound now
                    )
                case Append(number=number):
                    self._at(
                        now_ns + DURABLE_NS,
                        lambda at_ns, number=number: self._do(self._session.durable(number, at_ns), at_ns),  # type: ignore[misc]  # bound now
                    )
                case Command(command=command):
                    self._to_gantry(self._client.command(command), now_ns)
                case _:
                    pass

    def _to_gantry(self, data: bytes, now_ns: int) -> None:
        self._from_gantry(self._gantry.receive(data, now_ns), now_ns)

    def _from_gantry(self, data: bytes, now_ns: int) -> None:
        if data:
            self._at(now_ns, lambda at_ns: self._sense(data, at_ns))

    def _sense(self, data: bytes, now_ns: int) -> None:
        for event in self._client.feed(data, now_ns):
            self._do(self._session.sense(event, now_ns), now_ns)


def damaged(speech: Speech, seed: int, *, spare: tuple[type[Permission], ...]) -> list[Spoken]:
    """Remove, delay, double and turn round the gate's messages; each storm draws its own chances."""
    rng = np.random.default_rng([11, seed])
    drop, double, late = rng.choice([0.0, 0.05, 0.3], 3)
    out: list[Spoken] = []
    for at_ns, message in speech.spoken:
        if isinstance(message, (OperatorRequest, *spare)):
            out.append((at_ns, message))
            continue
        for _ in range(int(rng.random() >= drop) + int(rng.random() < double)):
            held_ns = round(rng.uniform(0, 2) * NS_PER_S) if rng.random() < late else 0
            out.append((at_ns + held_ns, message))
    return out


def _spoken(seed: int) -> Speech:
    """Scan a heart whose premature beats come early enough to cancel a window well before its opening."""
    scenario = load_scenario("pvc")
    rhythm = msgspec.structs.replace(scenario.rhythm, pvc_every_beats=6.0, pvc_coupling=(0.42, 0.62))
    scenario = msgspec.structs.replace(scenario, rhythm=rhythm, seed=seed)
    run = run_scan(scenario)
    spoken = tuple(
        (p.at_ns, p.message)
        for p in run.passed
        if (p.place, p.verb) == ("bridge", "heard") and isinstance(p.message, Permission | OperatorRequest)
    )
    return Speech(run, BridgeSettings(driver="gantry", plan=plan_settings(scenario)), spoken)


@functools.cache
def _cancelled(count: int) -> tuple[Speech, ...]:
    """Scan seed after seed until so many scans have a beat withdrawn before its lease reached the opening.

    Which seeds have one depends on every room of the gate; written down, they would be wrong after each change of one.
    """
    found: list[Speech] = []
    for seed in range(1, 60):
        speech = _spoken(seed)
        cancelled = {message.beat for _, message in speech.spoken if isinstance(message, Cancel)}
        if cancelled - speech.leased_until_opening():
            found.append(speech)
        if len(found) == count:
            return tuple(found)
    raise AssertionError(f"{len(found)} of 59 scans have a beat that was cancelled in time; {count} are wanted")


@pytest.fixture(scope="module", params=["first", "second"])
def speech(request: pytest.FixtureRequest) -> Speech:
    """A scan with a beat that was cancelled well before its window opened."""
    return _cancelled(2)[["first", "second"].index(request.param)]


def play(speech: Speech, spoken: list[Spoken]) -> set[tuple[int, int, int]]:
    """Play a speech to its end."""
    return Replay(speech, spoken).run(speech.run.ended_at_ns + 3 * NS_PER_S)


def test_the_speech_undamaged_exposes_what_the_scan_did(speech: Speech) -> None:
    """The base case: the same beats in the same steps, and something was cancelled."""
    heard = [p.message for p in speech.run.passed if (p.place, p.verb) == ("bridge", "sent")]
    was = {(m.beat, m.step, m.attempt) for m in heard if isinstance(m, ExposureReport) and m.outcome != "missed"}
    assert was == play(speech, list(speech.spoken))
    assert len(was) >= 3
    assert any(isinstance(message, Cancel) for _, message in speech.spoken)


def test_a_bus_that_keeps_cancel_and_inhibit_adds_no_exposure(speech: Speech) -> None:
    """Triggers and leases removed, delayed, doubled, turned round: a subset of the clean run, by beat and step."""
    clean = play(speech, list(speech.spoken))
    found = [play(speech, damaged(speech, seed, spare=(Cancel, Inhibit))) for seed in range(STORMS)]
    assert [] == [sorted(one - clean) for one in found if not one <= clean]
    assert any(one < clean for one in found), "some storm must have cost an exposure"
    assert any(one for one in found), "and some beam must be left"


def test_a_bus_that_loses_even_cancels_adds_only_what_a_lease_had_covered(speech: Speech) -> None:
    """Everything damaged: a beat beyond the clean run was triggered, and kept alive until its very opening."""
    clean = play(speech, list(speech.spoken))
    covered = speech.leased_until_opening()
    found = [play(speech, damaged(speech, 1000 + seed, spare=())) for seed in range(STORMS)]
    assert [] == [beat for one in found for beat, *_ in one - clean if beat not in covered]


def test_without_any_cancel_a_beat_withdrawn_in_time_is_still_not_exposed(speech: Speech) -> None:
    """All Cancels lost, and all leases of later beats too: the lease of the beat ends before its opening."""
    clean = play(speech, list(speech.spoken))
    covered = speech.leased_until_opening()
    withdrawn = {message.beat for _, message in speech.spoken if isinstance(message, Cancel)} - covered
    assert withdrawn, "some window must have been cancelled well before its opening"
    only = [
        (at_ns, m)
        for at_ns, m in speech.spoken
        if not isinstance(m, Cancel) and not (isinstance(m, KeepAlive) and m.beat - 1 in withdrawn)
    ]
    assert [] == [one for one in play(speech, only) - clean if one[0] in withdrawn]
