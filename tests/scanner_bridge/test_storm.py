"""Random storms of everything that can happen to a bridge, watched by an oracle that uses none of its guards.

The oracle sees the beam as the gantry records it, and what was sent to the bridge and when. Each seed draws its own mix
of faults, so that some runs are nearly clean and some are not; the runs are counted, so a storm that exposes nothing
does not look green.
"""

import functools
from collections import Counter

import numpy as np
import pytest

from gating.messages import Cancel, ExposureReport, Inhibit, KeepAlive, Message, Trigger, TriggerAnswer
from scanner_bridge.driver import Expose
from simulators.gantry import BeamTruth

from .conftest import MS, Rig

SEEDS = range(40)
BEATS = 22
RR_NS = 950 * MS


class Storm(Rig):
    """A rig whose messages are lost, delayed, doubled and forged by chance, and recorded as they are delivered."""

    def __init__(self, seed: int, *, faults: bool) -> None:
        self.rng = np.random.default_rng(seed)
        self.rates = self.rng.choice([0.0, 0.02, 0.1], size=6) if faults else np.zeros(6)
        self.heard: list[tuple[int, Message]] = []
        self.faults: Counter[str] = Counter()
        super().__init__()

    def hear(self, message: Message, key: str | None = "gate-1"):  # type: ignore[no-untyped-def]  # as the base class
        """Deliver by chance: never, late, twice, with a wrong key, or as an old copy."""
        loss, delay, double, forge, replay, _ = self.rates
        if self._strikes("lost", loss):
            return ()
        if self._strikes("forged", forge / 20):
            return self._deliver_now(message, None)
        if self._strikes("replayed", replay) and self.heard:
            old = self.heard[int(self.rng.integers(len(self.heard)))][1]
            self._deliver_now(old, key)
        if self._strikes("doubled", double):
            self.after(int(self.rng.integers(0, 300)) * MS, lambda: self._deliver_now(message, key))
        if self._strikes("delayed", delay):
            self.after(int(self.rng.integers(1, 600)) * MS, lambda: self._deliver_now(message, key))
            return ()
        return self._deliver_now(message, key)

    def _deliver_now(self, message: Message, key: str | None):  # type: ignore[no-untyped-def]  # effects, as above
        """Deliver and remember."""
        if key == "gate-1":
            self.heard.append((self.now_ns, message))
        return super().hear(message, key)

    def _strikes(self, name: str, rate: float) -> bool:
        """Throw the dice for one fault, and count it."""
        struck = bool(self.rng.random() < rate)
        self.faults[name] += struck
        return struck


@functools.cache
def stormed(seed: int) -> Storm:
    """Give the storm of a seed, run once."""
    return run(seed)


def run(seed: int, *, faults: bool = True) -> Storm:
    """Scan once in a storm: the gate triggers each settled beat; it cancels and inhibits by chance."""
    storm = Storm(seed, faults=faults)
    storm.make_ready()
    for request in ("arm", "begin-hold"):
        for _ in range(3 if faults else 1):
            storm.ask(request)
        storm.run_for(900 * MS)
    storm.run_for(3000 * MS)
    trouble = storm.rates[5]
    for _ in range(BEATS):
        storm.beat += 1
        storm.run_for(int(storm.rng.integers(80, 120)) * MS)
        if storm.armed is not None and storm.status.state == "armed":
            storm.hear(storm.trigger(opens_at_ns=storm.now_ns + int(storm.rng.integers(60, 500)) * MS))
        part = int(storm.rng.integers(0, 800))
        storm.run_for(part * MS)
        if storm.armed is not None and storm.rng.random() < trouble:
            storm.faults["cancel"] += 1
            storm.cancel()
        if storm.armed is not None and storm.rng.random() < trouble / 2:
            storm.faults["inhibit"] += 1
            storm.inhibit(latched=False)
        storm.run_for(RR_NS - part * MS)
    storm.close()
    return storm


def judge_beams(storm: Storm) -> list[str]:
    """List what no beam may do; invariants I1-I7 of hazards.md, from deliveries and truth alone."""
    wrong: list[str] = []
    triggers = {(m.opens_at_ns, m.closes_at_ns): m for _, m in storm.heard if isinstance(m, Trigger)}
    beats: Counter[int] = Counter()
    places: Counter[tuple[int, int]] = Counter()
    for beam in storm.truth:
        trigger = triggers.get(beam.commanded)
        if trigger is None:
            wrong.append(f"I1 no trigger for {beam}")
            continue
        beats[trigger.beat] += 1
        places[beam.step, beam.attempt] += 1
        wrong += _judge_one(storm, beam, trigger)
    wrong += [f"I2 {count} beams in beat {beat}" for beat, count in beats.items() if count > 1]
    wrong += [f"I2 {count} beams at {place}" for place, count in places.items() if count > 1]
    return wrong


def _judge_one(storm: Storm, beam: BeamTruth, trigger: Trigger) -> list[str]:
    """Judge one beam against its trigger and all deliveries."""
    wrong = []
    if not trigger.opens_at_ns <= beam.on_at_ns <= trigger.latest_open_at_ns:
        wrong.append(f"I3 began outside its window {beam}")
    if beam.off_at_ns > trigger.closes_at_ns + 10 * MS:
        wrong.append(f"I3 ended late {beam}")
    leases = [m for at, m in storm.heard if isinstance(m, KeepAlive) and at <= beam.on_at_ns and m.beat == trigger.beat]
    if not any(m.good_until_ns >= beam.on_at_ns for m in leases):
        wrong.append(f"I4 no lease {beam}")
    for at, message in storm.heard:
        ends = isinstance(message, Cancel | Inhibit) and message.sequence >= trigger.sequence
        if ends and at < beam.on_at_ns:
            wrong.append(f"I7 withdrawn before it began {beam}")
        if ends and beam.on_at_ns <= at and beam.off_at_ns > at + 10 * MS and at < beam.off_at_ns:
            wrong.append(f"I7 went on after a withdrawal {beam}")
    return wrong


@pytest.mark.parametrize("seed", SEEDS)
def test_no_storm_makes_a_wrong_beam(seed: int) -> None:
    """Loss, delay, doubling, reordering, replay, forgery, cancels and inhibits: the oracle finds nothing."""
    storm = stormed(seed)
    assert [] == judge_beams(storm)
    reports = [m for m in storm.messages if isinstance(m, ExposureReport)]
    accepted = [m for m in storm.messages if isinstance(m, TriggerAnswer) and m.accepted_at_ns is not None]
    assert len(accepted) == len(reports)
    assert len(storm.truth) == sum(report.outcome != "missed" for report in reports)
    commanded = [(at, command) for at, command in storm.commands if isinstance(command, Expose)]
    assert len(commanded) <= len(accepted)
    kinds = [record["what"] for record in storm.records]
    assert kinds.count("intent") == len(accepted)
    assert kinds.count("command") == len(commanded)


def test_the_storms_expose_and_their_faults_strike() -> None:
    """Safe is not enough: over the seeds exposures happen, and every fault was there."""
    exposed, faults = 0, Counter[str]()
    for seed in SEEDS:
        storm = stormed(seed)
        exposed += len(storm.truth)
        faults += storm.faults
    assert exposed > 60
    assert {"lost", "forged", "replayed", "doubled", "delayed", "cancel", "inhibit"} == {
        n for n, c in faults.items() if c
    }


def test_without_faults_every_seed_completes_without_a_refusal() -> None:
    """The same gate in fair weather: four exposures, complete, nothing refused (I20)."""
    for seed in range(5):
        storm = run(seed, faults=False)
        assert "complete" == storm.session.state
        assert 4 == len(storm.truth)
        assert {} == storm.status.refused


def test_a_storm_replays_to_the_same_words() -> None:
    """The session depends on nothing but its calls: the same seed says the same messages."""
    assert stormed(3).messages == run(3).messages
