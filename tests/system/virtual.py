"""One virtual scan with its verdict, small enough to come back from a worker process."""

from dataclasses import dataclass

import msgspec

from gating.io.numbers import read_judge
from gating.units import NS_PER_MS
from scanner_bridge.drivers.gantry import CAPABILITIES
from simulators.io.scenarios import load_scenario
from simulators.report import Exposure, exposures, gating_report
from simulators.scenario import Box, Fault, Scenario, reseeded
from simulators.stage import hearts_beats, log_of, set_up
from simulators.virtual_scan import START_NS, BusFaults, VirtualRun
from tests.system.oracle import Case, violations

NOTICE_NS = {"flagged": 150 * NS_PER_MS, "flat": 1100 * NS_PER_MS, "other": 300 * NS_PER_MS}


@dataclass(frozen=True)
class Verdict:
    """What one seed of one scenario came to."""

    scenario: str
    seed: int
    complete: bool
    why_not: tuple[str, ...]
    violations: tuple[str, ...]
    exposures: tuple[Exposure, ...]
    held: int
    inhibits: tuple[str, ...]
    refused: int
    simulated_s: float


def notice_ns(scenario: Scenario, fault: Fault) -> int:
    """Give the time that the issue allows between a lost electrode and the last possible begin of a beam."""
    if scenario.box.frontend != "cyton":
        return NOTICE_NS["flagged"]
    return NOTICE_NS["flat" if fault.shows_as == "flat" else "other"]


def run_scan(scenario: Scenario, faults: BusFaults | None = None, started_at_ns: int = START_NS) -> VirtualRun:
    """Run a scenario in virtual time."""
    return set_up(scenario, CAPABILITIES, read_judge(), faults=faults, started_at_ns=started_at_ns).run()


def judge(scenario: Scenario, faults: BusFaults | None = None) -> Verdict:
    """Run a scenario and let the oracle judge it."""
    run = run_scan(scenario, faults)
    log = log_of(run, hearts_beats(scenario))
    at = run.started_at_ns
    lost = tuple(
        (
            at + round(fault.at_s * 1e9),
            None if fault.until_s is None else at + round(fault.until_s * 1e9),
            notice_ns(scenario, fault),
        )
        for fault in scenario.faults
        if fault.kind in {"electrode-off", "unplug"}
    )
    report = gating_report(log)
    status = report["ended"]
    return Verdict(
        scenario=scenario.name,
        seed=scenario.seed,
        complete=bool(report["complete"]),
        why_not=tuple(status["reasons"]) if isinstance(status, dict) else ("no status",),
        violations=tuple(violations(Case(run.plan, run.passed, run.beams, [beat.r_at_ns for beat in log.beats], lost))),
        exposures=tuple(exposures(log)),
        held=len(report["held"]) if isinstance(report["held"], list) else 0,
        inhibits=tuple(row["reasons"][0] for row in report["inhibits"]) if isinstance(report["inhibits"], list) else (),
        refused=sum(report["refused_messages"].values()) if isinstance(report["refused_messages"], dict) else 0,
        simulated_s=(run.ended_at_ns - run.started_at_ns) / 1e9,
    )


def judge_named(job: tuple[str, int, BusFaults | None]) -> Verdict:
    """Judge one seed of a packaged scenario; the job of a worker process."""
    name, seed, faults = job
    return judge(reseeded(load_scenario(name), seed), faults)


def without_flags(scenario: Scenario, electrode: str, shows_as: str, at_s: float) -> Scenario:
    """Give the story on a box without lead-off flags, with one electrode that opens."""
    fault = msgspec.convert(
        {"kind": "electrode-off", "at_s": at_s, "electrode": electrode, "shows_as": shows_as}, Fault
    )
    return msgspec.structs.replace(scenario, box=Box(frontend="cyton"), faults=(fault,))
