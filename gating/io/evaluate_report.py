"""What an evaluation writes: the figures as data for JSON, and the decisions as CSV."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gating.errors import SettingsError
from gating.evaluation import (
    Armed,
    Calibration,
    Figures,
    Outcome,
    Premature,
    armed,
    average,
    calibration,
    figures,
    pooled,
    premature,
)
from gating.io.evaluate import RecordRun

COLUMNS = ("r_sample", "kind", "emitted_sample", "trust", "armed")


@dataclass(frozen=True, slots=True)
class Scores:
    """The figures of one record, or of all beats together."""

    provisional: Figures  # the first word on each beat, also of those withdrawn later
    confirmed: Figures
    armed: Armed
    premature: Premature
    trust: Calibration
    peers: dict[str, Figures]


@dataclass(frozen=True, slots=True)
class RecordReport:
    """One record."""

    name: str
    path: str
    leads: tuple[str, ...]
    rate_hz: float
    length_s: float
    scored_from_s: float
    notes: tuple[str, ...]
    scores: Scores


@dataclass(frozen=True, slots=True)
class Average:
    """Se and +P averaged over the records, each of the same weight."""

    se_percent: float
    ppv_percent: float


@dataclass(frozen=True, slots=True)
class RunReport:
    """All records under one condition."""

    noise: str | None
    snr_db: float | None
    records: tuple[RecordReport, ...]
    gross: Scores
    average: dict[str, Average]  # of `provisional`, `confirmed` and the peers


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """The content of the JSON file."""

    version: str
    leads: str
    learning_s: float
    runs: tuple[RunReport, ...]


def report_run(runs: Sequence[RecordRun]) -> RunReport:
    """Put the records of one condition together."""
    records = tuple(_record(run) for run in runs)
    first, confirmed = pooled(run.first_told for run in runs), pooled(run.confirmed for run in runs)
    peers = {name: pooled(run.peers[name] for run in runs) for name in runs[0].peers}
    heaps = {
        "provisional": [one.scores.provisional for one in records],
        "confirmed": [one.scores.confirmed for one in records],
        **{name: [one.scores.peers[name] for one in records] for name in peers},
    }
    noise = runs[0].job.noise
    return RunReport(
        noise=None if noise is None else noise.kind,
        snr_db=None if noise is None else noise.snr_db,
        records=records,
        gross=_scores(first, confirmed, peers),
        average={name: Average(*average(each)) for name, each in heaps.items()},
    )


def _record(run: RecordRun) -> RecordReport:
    return RecordReport(
        name=run.name,
        path=run.job.path,
        leads=run.leads,
        rate_hz=run.rate_hz,
        length_s=run.samples / run.rate_hz,
        scored_from_s=run.scored_from_s,
        notes=run.notes,
        scores=_scores(run.first_told, run.confirmed, run.peers),
    )


def _scores(first: Outcome, confirmed: Outcome, peers: dict[str, Outcome]) -> Scores:
    return Scores(
        provisional=figures(first),
        confirmed=figures(confirmed),
        armed=armed(confirmed),
        premature=premature(first, confirmed),
        trust=calibration(confirmed),
        peers={name: figures(one) for name, one in peers.items()},
    )


def to_json(report: EvaluationReport) -> bytes:
    """Encode the report; what is not a number becomes null."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def write_events(path: Path, runs: Iterable[RecordRun]) -> None:
    """Write one row a decision, in their order; `record` and `snr_db` follow where there are several of them.

    Raises
    ------
    SettingsError
        If the file cannot be written.
    """
    listed = list(runs)
    more: tuple[str, ...] = ("record",) if len({run.job.path for run in listed}) > 1 else ()
    more += ("snr_db",) if len({run.job.noise for run in listed}) > 1 else ()
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(COLUMNS + more)
            for run in listed:
                snr_db = "" if run.job.noise is None else f"{run.job.noise.snr_db:g}"
                last = tuple({"record": run.name, "snr_db": snr_db}[name] for name in more)
                for one in run.decisions:
                    numbers = f"{one.r_sample:.10g}", one.kind, f"{one.emitted_sample:.10g}", f"{one.trust:.4f}"
                    rows.writerow((*numbers, str(one.armed).lower(), *last))
    except OSError as error:
        raise SettingsError(f"The file {path} cannot be written ({error.strerror}); name another --events.") from error


def write_json(path: Path, report: EvaluationReport) -> None:
    """Write the report.

    Raises
    ------
    SettingsError
        If the file cannot be written.
    """
    try:
        path.write_bytes(to_json(report))
    except OSError as error:
        raise SettingsError(f"The file {path} cannot be written ({error.strerror}); name another --json.") from error
