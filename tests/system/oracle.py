"""The invariants I1-I9 (and the table of B5) of hazards.md section 3, judged from the outside.

The rest are not laws about one run: I10 stands in the tests of authority, I11 in `test_bad_bus.py`, I12 in those of the
session and the gantry's drivers, I13 in `test_virtual_scan.py`.

The oracle sees what crossed the bus and what the gantry's beam really did, beside the true beats and the true moments
at which ECG was lost. It shares no guard with the product: it knows the messages, and nothing else.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from gating.messages import (
    AcquisitionPlan,
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
from simulators.virtual_scan import Passed

MS = 1_000_000
END_SLACK_NS = 10 * MS  # I3
DEVICE_LINK_NS = 5 * MS  # a Stop is still on its way to the gantry


@dataclass(frozen=True)
class Case:
    """What the oracle judges."""

    plan: AcquisitionPlan
    passed: Sequence[Passed]
    beams: Sequence[BeamTruth]
    true_r_ns: Sequence[int]
    ecg_lost_ns: tuple[tuple[int, int | None, int], ...] = ()  # from, until, and the time allowed to notice
    clock_doubt_ns: int = 0  # two hosts: what the bridge may be wrong about the gate's clock, at most 10 ms


@dataclass(frozen=True)
class Told:
    """What honest messages of one kind came to, or left, one place."""

    at_ns: tuple[int, ...]
    messages: tuple[Message, ...]

    def until(self, at_ns: int) -> tuple[Message, ...]:
        """List those up to an instant."""
        return self.messages[: bisect_right(self.at_ns, at_ns)]


def _told(case: Case, place: str, verb: str, kind: type[Message], keys: set[str]) -> Told:
    rows = [(p.at_ns, p.message) for p in case.passed if p.place == place and p.verb == verb and p.key_id in keys]
    rows = [(at_ns, message) for at_ns, message in rows if isinstance(message, kind)]
    return Told(tuple(at_ns for at_ns, _ in rows), tuple(message for _, message in rows))


def violations(case: Case) -> list[str]:
    """List every violation in words; an empty list is a clean run."""
    found: list[str] = []
    gate = {"gate-key"}
    triggers = _told(case, "bridge", "heard", Trigger, gate)
    alive = _told(case, "bridge", "heard", KeepAlive, gate)
    stops = [
        (at, message)
        for kind in (Cancel, Inhibit)
        for at, message in zip(*_pair(_told(case, "bridge", "heard", kind, gate)), strict=True)
    ]
    armed = _told(case, "bridge", "sent", Armed, {"bridge-key"})
    status = _told(case, "bridge", "sent", ScannerStatus, {"bridge-key"})
    holds = _told(case, "bridge", "sent", BreathHold, {"bridge-key"})
    aborts = _told(case, "bridge", "heard", OperatorRequest, {"operator-key"})
    reports = _told(case, "bridge", "sent", ExposureReport, {"bridge-key"})
    used: Counter[int] = Counter()
    for beam in case.beams:
        name = f"beam of step {beam.step}, attempt {beam.attempt} at {beam.on_at_ns / MS:.1f} ms"
        permits = _permits(beam, triggers, armed, case)
        if len(permits) != 1:
            found.append(f"I1: {name}: {len(permits)} triggers permit it")
            continue
        trigger = permits[0]
        used[trigger.beat] += 1
        found += [f"{law}: {name}" for law in _judge_beam(case, beam, trigger, alive, stops, status)]
        found += [f"{law}: {name}" for law in _judge_session(case, beam, armed, holds, aborts)]
        found += [f"I2: {name}: no repeat was granted" for _ in range(_ungranted(beam, reports, case.plan.max_repeats))]
    found += [f"I2: beat {beat} has {count} exposures" for beat, count in used.items() if count > 1]
    found += _judge_sum(case, armed)
    return found


def _pair(told: Told) -> tuple[tuple[int, ...], tuple[Message, ...]]:
    return told.at_ns, told.messages


def _permits(beam: BeamTruth, triggers: Told, armed: Told, case: Case) -> list[Trigger]:
    """List the distinct triggers that permit this beam: its session, plan, step and attempt, open at that instant."""
    sessions = [one for one in armed.until(beam.on_at_ns) if isinstance(one, Armed)]
    if not sessions:
        return []
    current = sessions[-1]
    permits: dict[int, Trigger] = {}
    for at_ns, one in zip(*_pair(triggers), strict=True):
        if not isinstance(one, Trigger) or at_ns > one.expires_at_ns:
            continue
        mine = (one.session, one.nonce, one.plan_hash) == (current.session, current.nonce, plan_hash(case.plan))
        here = (one.step, one.attempt) == (beam.step, beam.attempt)
        if mine and here and one.opens_at_ns - case.clock_doubt_ns <= beam.on_at_ns < one.closes_at_ns:
            permits[one.sequence] = one
    return list(permits.values())


def _judge_beam(
    case: Case,
    beam: BeamTruth,
    trigger: Trigger,
    alive: Told,
    stops: list[tuple[int, Message]],
    status: Told,
) -> list[str]:
    """List the laws that one beam breaks."""
    broken = []
    on_ns, off_ns = beam.on_at_ns, beam.off_at_ns
    if on_ns > trigger.latest_open_at_ns + case.clock_doubt_ns:
        broken.append("I1: began after its latest instant")
    if off_ns > trigger.closes_at_ns + END_SLACK_NS or off_ns - on_ns > case.plan.max_exposure_ms * MS + END_SLACK_NS:
        broken.append("I3: too long")
    leases = [
        one
        for one in alive.until(on_ns)
        if isinstance(one, KeepAlive) and (one.nonce, one.beat) == (trigger.nonce, trigger.beat)
    ]
    good_until = max((one.good_until_ns for one in leases), default=0)
    newest = max((one.newest_sample_at_ns for one in leases), default=0)
    if good_until < on_ns or on_ns - newest > 120 * MS:
        broken.append("I4: no fresh lease for this beat")
    for lost_ns, back_ns, notice_ns in case.ecg_lost_ns:
        if lost_ns + notice_ns < on_ns < (back_ns or on_ns + 1):
            broken.append(f"I5: {(on_ns - lost_ns) / MS:.0f} ms after the ECG was lost")
    if _beat_is_over(case, trigger, on_ns):
        broken.append("I6: after the R-peak of another beat that was known")
    for at_ns, stop in stops:
        of_it = not isinstance(stop, Cancel) or stop.beat == trigger.beat
        sequence = getattr(stop, "sequence", 0)
        if of_it and sequence >= trigger.sequence and at_ns + DEVICE_LINK_NS < on_ns:
            broken.append("I7: after its cancel or inhibit was accepted")
    states = [one.state for one in status.until(on_ns) if isinstance(one, ScannerStatus)]
    if not states or states[-1] != "booked":
        broken.append(f"I8: in state {states[-1] if states else 'none'}")
    return broken


def _judge_session(case: Case, beam: BeamTruth, armed: Told, holds: Told, aborts: Told) -> list[str]:
    """List what one beam breaks of arming, breath-hold, operator's word and table."""
    broken = []
    sessions = [(at_ns, one) for at_ns, one in zip(*_pair(armed), strict=True) if at_ns <= beam.on_at_ns]
    armed_at_ns, session = sessions[-1]
    if isinstance(session, Armed) and beam.off_at_ns > session.ends_at_ns + END_SLACK_NS:
        broken.append("I9: after the arming had run out")
    began = [one for one in holds.until(beam.on_at_ns) if isinstance(one, BreathHold)]
    if not began or began[-1].ended_at_ns is not None:
        broken.append("I9: outside a breath-hold")
    elif beam.on_at_ns < began[-1].began_at_ns + case.plan.settle_s * 1000 * MS - case.clock_doubt_ns:
        broken.append("I9: before the heart rate settled")
    elif beam.off_at_ns > began[-1].began_at_ns + case.plan.breath_hold_limit_s * 1000 * MS + END_SLACK_NS:
        broken.append("I9: after the breath was held as long as it may be")
    for at_ns, one in zip(*_pair(aborts), strict=True):
        ends = isinstance(one, OperatorRequest) and one.request in {"disarm", "end-hold", "hold"}
        if ends and armed_at_ns < at_ns < beam.on_at_ns - DEVICE_LINK_NS:
            broken.append("I7: after the operator's word against it")
    if not 0 <= beam.step < len(case.plan.table_mm) or abs(beam.table_mm - case.plan.table_mm[beam.step]) > 0.5:
        broken.append("B5: with the table at another place")
    return broken


def _beat_is_over(case: Case, trigger: Trigger, on_ns: int) -> bool:
    """Tell whether a later R-peak was told of (be it provisional) for 50 ms, or a true one is 200 ms old."""
    index = bisect_left(case.true_r_ns, trigger.r_at_ns + 60 * MS)
    if index < len(case.true_r_ns) and case.true_r_ns[index] <= on_ns - 200 * MS:
        return True
    return any(
        isinstance(one.message, Beat)
        and one.message.stage != "withdrawn"
        and one.message.number > trigger.beat
        and one.at_ns <= on_ns - 50 * MS
        for one in case.passed
        if one.place == "gate" and one.verb == "sent"
    )


def _ungranted(beam: BeamTruth, reports: Told, max_repeats: int) -> int:
    """Count a repeat that no report of a cut or a redo came before, or one more than the plan allows."""
    if beam.attempt == 1:
        return 0
    if beam.attempt > 1 + max_repeats:
        return 1
    before = [
        one
        for one in reports.until(beam.on_at_ns)
        if isinstance(one, ExposureReport) and (one.step, one.attempt) == (beam.step, beam.attempt - 1)
    ]
    return 0 if any(one.outcome in {"cut", "redo"} for one in before) else 1


def _judge_sum(case: Case, armed: Told) -> list[str]:
    """List what all beams together break."""
    found = []
    places = Counter((beam.step, beam.attempt) for beam in case.beams)
    found += [f"I2: step {step}, attempt {attempt}: {n} beams" for (step, attempt), n in places.items() if n > 1]
    total_ms = sum(beam.off_at_ns - beam.on_at_ns for beam in case.beams) / MS
    if total_ms > 1.01 * case.plan.beam_on_limit_ms:
        found.append(f"I3: {total_ms:.0f} ms of beam in all")
    if total_ms * case.plan.msv_per_ms > 1.01 * case.plan.dose_ceiling_msv:
        found.append(f"I3: {total_ms * case.plan.msv_per_ms:.2f} mSv in all")
    if len(case.beams) > len(case.plan.table_mm) * (1 + case.plan.max_repeats):
        found.append(f"I3: {len(case.beams)} exposures")
    if case.beams and not armed.messages:
        found.append("I9: beam without arming")
    return found
