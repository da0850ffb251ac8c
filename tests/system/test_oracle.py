"""The oracle itself: a clean run's record, tampered with; exactly the law that was broken complains.

A law that cannot fail proves nothing, so each has its mutations here (hazards.md G6).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from gating.messages import (
    Armed,
    Beat,
    BreathHold,
    Cancel,
    ExposureReport,
    Inhibit,
    KeepAlive,
    Message,
    OperatorRequest,
    ScannerStatus,
    Trigger,
    plan_hash,
)
from simulators.gantry import BeamTruth
from simulators.io.scenarios import load_scenario
from simulators.stage import hearts_beats, log_of
from simulators.virtual_scan import Passed
from tests.system.oracle import MS, Case, violations
from tests.system.virtual import run_scan

S = 1000 * MS


@dataclass
class Record:
    """The record of a run, to be tampered with; `at` is the beam that most mutations are about."""

    case: Case
    at: int = 1
    passed: list[Passed] = field(default_factory=list)
    beams: list[BeamTruth] = field(default_factory=list)
    true_r_ns: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.passed, self.beams = list(self.case.passed), list(self.case.beams)
        self.true_r_ns = list(self.case.true_r_ns)

    @property
    def beam(self) -> BeamTruth:
        """The beam in question."""
        return self.case.beams[self.at]

    @property
    def on_ns(self) -> int:
        """When it began."""
        return self.beam.on_at_ns

    @property
    def trigger(self) -> Trigger:
        """The trigger that permitted it."""
        heard = [p.message for p in self.case.passed if (p.place, p.verb) == ("bridge", "heard")]
        return next(m for m in heard if isinstance(m, Trigger) and (m.step, m.attempt) == (self.beam.step, 1))

    def change_beam(self, **fields: Any) -> None:
        """Let the beam have done something else."""
        self.beams[self.at] = replace(self.beam, **fields)

    def drop(self, kind: type[Message], where: Callable[[Passed], bool] = lambda _: True) -> None:
        """Let messages never have been."""
        self.passed = [p for p in self.passed if not (isinstance(p.message, kind) and where(p))]

    def change(self, kind: type[Message], where: Callable[[Passed], bool] = lambda _: True, **fields: Any) -> None:
        """Let messages have said something else."""
        self.passed = [
            replace(p, message=msgspec.structs.replace(p.message, **fields))
            if isinstance(p.message, kind) and where(p)
            else p
            for p in self.passed
        ]

    def add(self, at_ns: int, message: Message, *, place: str = "bridge", verb: str = "heard", key: str) -> None:
        """Let one more message have been."""
        self.passed = sorted([*self.passed, Passed(at_ns, place, verb, message, key)], key=lambda p: p.at_ns)

    def before(self, span_ms: float) -> Callable[[Passed], bool]:
        """Tell whether a message came to the bridge within this span before the beam, or after it."""
        return lambda p: p.at_ns > self.on_ns - span_ms * MS and (p.place, p.verb) == ("bridge", "heard")

    def broken(self, **fields: Any) -> set[str]:
        """Name the laws that the record breaks."""
        case = replace(self.case, passed=self.passed, beams=self.beams, true_r_ns=sorted(self.true_r_ns), **fields)
        return {one.split(":")[0] for one in violations(case)}


@pytest.fixture(scope="module")
def clean() -> Case:
    """A clean run of the steady story."""
    scenario = load_scenario("steady")
    run = run_scan(scenario)
    true_r_ns = [beat.r_at_ns for beat in log_of(run, hearts_beats(scenario)).beats]
    return Case(run.plan, tuple(run.passed), tuple(run.beams), tuple(true_r_ns))


@pytest.fixture
def record(clean: Case) -> Record:
    """The clean record, to be tampered with."""
    return Record(clean)


def _is_its_trigger(record: Record) -> Callable[[Passed], bool]:
    return lambda p: p.message.sequence == record.trigger.sequence  # type: ignore[attr-defined]  # only asked of triggers


def beam_earlier(record: Record) -> None:
    """It began 1 ms before its window."""
    record.change_beam(on_at_ns=record.trigger.opens_at_ns - MS)


def beam_late(record: Record) -> None:
    """It began after the latest instant."""
    record.change(Trigger, _is_its_trigger(record), latest_open_at_ns=record.on_ns - 1)


def no_trigger(record: Record) -> None:
    """The trigger never came to the bridge."""
    record.drop(Trigger, record.before(1000))


def late_trigger(record: Record) -> None:
    """The trigger came after its expiry."""
    expires = record.trigger.expires_at_ns
    wrong = _is_its_trigger(record)
    record.passed = [
        replace(p, at_ns=expires + 1) if isinstance(p.message, Trigger) and wrong(p) else p for p in record.passed
    ]


def forged_trigger(record: Record) -> None:
    """The trigger was a stranger's."""
    wrong = _is_its_trigger(record)
    record.passed = [
        replace(p, key_id="stranger-key") if isinstance(p.message, Trigger) and wrong(p) else p for p in record.passed
    ]


def old_nonce(record: Record) -> None:
    """The trigger was of another arming."""
    record.change(Trigger, _is_its_trigger(record), nonce="another")


def other_plan(record: Record) -> None:
    """The trigger was for another plan."""
    record.change(Trigger, _is_its_trigger(record), plan_hash="another")


def two_triggers(record: Record) -> None:
    """Two triggers permit the one beam."""
    twin = msgspec.structs.replace(record.trigger, sequence=record.trigger.sequence + 1)
    record.add(record.trigger.issued_at_ns, twin, key="gate-key")


def beam_twice(record: Record) -> None:
    """The same beat, step and attempt was exposed twice."""
    record.beams.append(record.beam)


def repeat_not_granted(record: Record) -> None:
    """A second attempt after a first that was neither cut nor to be done again."""
    record.change_beam(attempt=2)
    record.change(Trigger, _is_its_trigger(record), attempt=2)


def one_repeat_too_many(record: Record) -> None:
    """A third attempt, duly after a second that was cut, where the plan allows two."""
    report = next(p.message for p in record.passed if isinstance(p.message, ExposureReport))
    cut = msgspec.structs.replace(report, step=record.beam.step, attempt=2, outcome="cut")
    record.add(record.on_ns - 900 * MS, cut, verb="sent", key="bridge-key")
    record.change_beam(attempt=3)
    record.change(Trigger, _is_its_trigger(record), attempt=3)


def beam_long(record: Record) -> None:
    """It went on for 11 ms after its window had closed."""
    record.change_beam(off_at_ns=record.trigger.closes_at_ns + 11 * MS)


def no_lease(record: Record) -> None:
    """No keep-alive came for 150 ms."""
    record.drop(KeepAlive, record.before(150))


def lease_of_another_beat(record: Record) -> None:
    """All keep-alives named the beat after."""
    record.change(KeepAlive, record.before(1000), beat=record.trigger.beat + 1)


def lease_of_another_session(record: Record) -> None:
    """All keep-alives were of an earlier arming."""
    record.change(KeepAlive, record.before(1000), nonce="another")


def true_beat_in_between(record: Record) -> None:
    """The heart beat 300 ms before the beam and 200 ms after the trigger's R, and nobody told."""
    record.true_r_ns.append(record.on_ns - 201 * MS)


def _told_beat(record: Record, stage: str) -> None:
    beat = next(p.message for p in record.passed if isinstance(p.message, Beat))
    told = msgspec.structs.replace(
        beat, stage=stage, number=record.trigger.beat + 1, r_at_ns=record.on_ns - 90 * MS, decided_at_ns=record.on_ns
    )
    record.add(record.on_ns - 51 * MS, told, place="gate", verb="sent", key="gate-key")


def told_beat_in_between(record: Record) -> None:
    """The gate had told of a later beat 51 ms before the beam."""
    _told_beat(record, "confirmed")


def provisional_beat_in_between(record: Record) -> None:
    """The gate had seen a later R-peak, not confirmed yet, 51 ms before the beam."""
    _told_beat(record, "provisional")


def _permission(record: Record) -> dict[str, Any]:
    one = record.trigger
    return {"session": one.session, "nonce": one.nonce, "sequence": one.sequence + 1, "reasons": (), "at_ns": 0}


def cancelled(record: Record) -> None:
    """Its Cancel came 100 ms before the beam."""
    record.add(record.on_ns - 100 * MS, Cancel(beat=record.trigger.beat, **_permission(record)), key="gate-key")


def inhibited(record: Record) -> None:
    """An Inhibit came 100 ms before the beam."""
    record.add(record.on_ns - 100 * MS, Inhibit(latched=False, **_permission(record)), key="gate-key")


def disarmed(record: Record) -> None:
    """The operator disarmed 100 ms before the beam."""
    request = OperatorRequest(request="disarm", name="Ada")
    record.add(record.on_ns - 100 * MS, request, key="operator-key")


def not_booked(record: Record) -> None:
    """The bridge stood inhibited when the beam began."""
    record.change(ScannerStatus, lambda p: record.on_ns - S < p.at_ns < record.on_ns, state="inhibited")


def hold_over(record: Record) -> None:
    """The breath-hold had ended 10 ms before."""
    hold = next(p.message for p in record.passed if isinstance(p.message, BreathHold) and p.verb == "sent")
    over = msgspec.structs.replace(hold, ended_at_ns=record.on_ns - 10 * MS)
    record.add(record.on_ns - 10 * MS, over, verb="sent", key="bridge-key")


def not_settled(record: Record) -> None:
    """The breath-hold had begun 1 s before the first beam."""
    record.change(BreathHold, began_at_ns=record.case.beams[0].on_at_ns - S)


def hold_too_long(record: Record) -> None:
    """The breath had been held for more than 20 s when the last beam ended."""
    record.change(BreathHold, began_at_ns=record.case.beams[-1].off_at_ns - 20 * S - 11 * MS)


def armed_too_long(record: Record) -> None:
    """The arming had run out."""
    record.change(Armed, ends_at_ns=record.case.beams[-1].off_at_ns - 11 * MS)


def table_elsewhere(record: Record) -> None:
    """The table stood 1 mm off the step's place."""
    record.change_beam(table_mm=record.beam.table_mm + 1.0)


MUTATIONS: dict[Callable[[Record], None], str] = {
    beam_earlier: "I1",
    beam_late: "I1",
    no_trigger: "I1",
    late_trigger: "I1",
    forged_trigger: "I1",
    old_nonce: "I1",
    other_plan: "I1",
    two_triggers: "I1",
    beam_twice: "I2",
    repeat_not_granted: "I2",
    one_repeat_too_many: "I2",
    beam_long: "I3",
    no_lease: "I4",
    lease_of_another_beat: "I4",
    lease_of_another_session: "I4",
    true_beat_in_between: "I6",
    told_beat_in_between: "I6",
    provisional_beat_in_between: "I6",
    cancelled: "I7",
    inhibited: "I7",
    disarmed: "I7",
    not_booked: "I8",
    hold_over: "I9",
    not_settled: "I9",
    hold_too_long: "I9",
    armed_too_long: "I9",
    table_elsewhere: "B5",
}


def test_the_clean_record_breaks_no_law(record: Record) -> None:
    """The base case of the table above."""
    assert set() == record.broken()
    assert 4 == len(record.beams)


@pytest.mark.parametrize(("tamper", "law"), MUTATIONS.items(), ids=[tamper.__name__ for tamper in MUTATIONS])
def test_a_tampered_record_breaks_exactly_its_law(record: Record, tamper: Callable[[Record], None], law: str) -> None:
    """One thing that must not be, one law that says so, and no other."""
    tamper(record)
    assert {law} == record.broken()


@pytest.mark.parametrize(("lost_before_ms", "laws"), [(151, {"I5"}), (149, set())])
def test_a_beam_after_the_ecg_was_lost_breaks_i5(record: Record, lost_before_ms: int, laws: set[str]) -> None:
    """Where 150 ms are allowed to notice, and the ECG is back only after the beam."""
    lost = (record.on_ns - lost_before_ms * MS, record.on_ns + S, 150 * MS)
    assert laws == record.broken(ecg_lost_ns=(lost,))


def test_a_beam_without_any_arming_breaks_i1_and_i9(record: Record) -> None:
    """Nobody armed."""
    record.drop(Armed)
    assert {"I1", "I9"} == record.broken()


@pytest.mark.parametrize("changes", [{"beam_on_limit_ms": 500.0}, {"dose_ceiling_msv": 0.5}, {"max_repeats": -1}])
def test_more_beam_than_the_plan_breaks_i3(record: Record, changes: dict[str, Any]) -> None:
    """Four honest exposures under a plan that allows less beam, less dose, or fewer exposures."""
    plan = msgspec.structs.replace(record.case.plan, **changes)
    record.change(Trigger, plan_hash=plan_hash(plan))
    assert "I3" in record.broken(plan=plan)


def test_a_beam_as_long_as_no_plan_allows_breaks_i3(record: Record) -> None:
    """A window that is longer than the plan's cap, exactly kept, is too long all the same."""
    plan = msgspec.structs.replace(record.case.plan, max_exposure_ms=185.0)
    record.change(Trigger, plan_hash=plan_hash(plan))
    assert {"I3"} == record.broken(plan=plan)
