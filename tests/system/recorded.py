"""One virtual scan of a recorded ECG with its verdict, and the gaps from annotated R-peaks to the beam."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import msgspec

from gating.frontends import FRONTENDS
from gating.io.numbers import read_judge
from gating.io.records import Record, RecordedBeats, read_record
from gating.units import NS_PER_MS
from scanner_bridge.drivers.gantry import CAPABILITIES
from simulators.io.replay import RecordSource
from simulators.io.scenarios import load_scenario
from simulators.report import BeatAt, ScanLog, exposures, gating_report
from simulators.scenario import Scenario, reseeded
from simulators.stage import LONGEST_S, log_of, set_up_record
from simulators.virtual_scan import VirtualRun
from tests.system.oracle import Case, violations

CT_LIKE = ("101", "112", "115", "122", "205", "209", "220", "230")
ECTOPIC = ("106", "119", "208", "215", "223")
FIBRILLATING = ("201", "203")
KNOWABLE_NS = 90 * NS_PER_MS  # a beat so long before the opening can have been told and its cancel have arrived


@dataclass(frozen=True)
class Gap:
    """One exposure and the annotated beats before it."""

    step: int
    opened_at_s: float  # of the record
    after_r_ms: float  # since the last annotated R
    last_kind: str  # of that one
    known_kind: str  # of the last one that lies >= 90 ms before the opening
    known_symbol: str
    phase: str
    outcome: str


@dataclass(frozen=True)
class RecordedScan:
    """What one scan from one second of a record came to; small enough to come back from a worker process."""

    record: str
    from_s: float
    complete: bool
    why_not: tuple[str, ...]
    violations: tuple[str, ...]
    gaps: tuple[Gap, ...]
    why_held: tuple[tuple[str, str], ...]  # per beat: cancelled, missed or refused, and the first reason
    inhibits: tuple[str, ...]
    seconds: float

    @property
    def broken(self) -> tuple[Gap, ...]:
        """The exposures that began after an annotated premature R which lay >= 90 ms before."""
        return tuple(gap for gap in self.gaps if gap.known_kind == "premature")


@lru_cache(maxsize=4)
def _record(path: Path) -> Record:
    return read_record(path)


def _piece(path: Path, from_s: float) -> Record:
    """Cut what one scan can need out of a record: a spline through half an hour of it would be for nothing."""
    whole = _record(path)
    first, last = (round(second * whole.rate_hz) for second in (from_s, from_s + LONGEST_S + 5))
    if whole.beats is None:
        raise ValueError(f"the record {path} has no annotations")
    kept = [k for k, at in enumerate(whole.beats.sample) if first <= at < last]
    beats = RecordedBeats(whole.beats.sample[kept] - first, tuple(whole.beats.symbols[k] for k in kept))
    return Record(whole.name, whole.leads, whole.rate_hz, whole.microvolts[first:last], beats)


def run_record(path: Path, from_s: float, scenario: Scenario) -> tuple[VirtualRun, ScanLog, dict[int, str]]:
    """Run one scan on a record; gives the run, its log, and the WFDB symbol of each annotated beat by its number."""
    declaration = FRONTENDS[scenario.box.frontend].declaration
    source = RecordSource(_piece(path, from_s), declaration, drift_ppm=scenario.box.drift_ppm)
    run = set_up_record(source, path.name, scenario, CAPABILITIES, read_judge()).run(LONGEST_S)
    return run, log_of(run, source.beats), {beat.number: beat.symbol or "?" for beat in source.beats}


def scan_record(job: tuple[Path, float, int]) -> RecordedScan:
    """Run one scan from a second of a record under one seed, and judge it; the job of a worker process."""
    path, from_s, seed = job
    run, log, symbols = run_record(path, from_s, reseeded(load_scenario("steady"), seed))
    report = msgspec.to_builtins(gating_report(log))
    start_ns = run.started_at_ns
    gaps = tuple(
        _gap(log.beats, symbols, one.opens_at_ns["actual"], from_s, start_ns, (one.step, one.phase, one.outcome))
        for one in exposures(log)
    )
    return RecordedScan(
        record=path.name,
        from_s=from_s,
        complete=report["complete"],
        why_not=tuple(report["ended"]["reasons"]) if report["ended"] else ("no status",),
        violations=tuple(violations(Case(run.plan, run.passed, run.beams, [beat.r_at_ns for beat in log.beats]))),
        gaps=gaps,
        why_held=tuple((row["why"], row["reasons"][0]) for row in report["held"]),
        inhibits=tuple(row["reasons"][0] for row in report["inhibits"]),
        seconds=(run.ended_at_ns - start_ns) / 1e9,
    )


def _gap(
    beats: tuple[BeatAt, ...],
    symbols: dict[int, str],
    on_ns: int,
    from_s: float,
    start_ns: int,
    exposure: tuple[int, str, str],
) -> Gap:
    """Find the annotated beats that a beam began after."""
    step, phase, outcome = exposure
    last = max((beat for beat in beats if beat.r_at_ns <= on_ns), key=lambda beat: beat.r_at_ns)
    known = max((beat for beat in beats if beat.r_at_ns <= on_ns - KNOWABLE_NS), key=lambda beat: beat.r_at_ns)
    return Gap(
        step=step,
        opened_at_s=from_s + (on_ns - start_ns) / 1e9,
        after_r_ms=(on_ns - last.r_at_ns) / 1e6,
        last_kind=last.kind,
        known_kind=known.kind,
        known_symbol=symbols[known.number],
        phase=phase,
        outcome=outcome,
    )


def histogram(gaps: Iterable[Gap], width_ms: int = 20) -> list[str]:
    """Give the lines of a histogram of R-to-beam gaps: after a normal R, after a premature one."""
    normal, premature = Counter[int](), Counter[int]()
    for gap in gaps:
        (premature if gap.last_kind == "premature" else normal)[int(gap.after_r_ms // width_ms)] += 1
    bins = range(min([*normal, *premature], default=0), max([*normal, *premature], default=-1) + 1)
    return [
        f"{width_ms * k:>5} ms {normal[k]:>4} {premature[k]:>3}  {'#' * ((normal[k] + 1) // 2)}{'!' * premature[k]}"
        for k in bins
    ]
