"""`diastole score`: a series in, a score on the table, `score.json`, `report.html`; or an archive in, a table out."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from scoring.io import options
from scoring.io.batch_cli import run_batch
from scoring.io.errors import SeriesError
from scoring.io.evidence import read_evidence
from scoring.io.given import opened
from scoring.io.html import render
from scoring.io.published import CalibrationTold, read_calibration, read_person
from scoring.io.revisions import digest_of, next_number, revisions, write_revision
from scoring.io.scored_series import Asked, ScoredSeries, score_series
from scoring.io.words import findings_in_words, standing_in_words, state_of, very_high_in_words
from scoring.presets import PresetName, with_rules_of
from scoring.report import Review, ScoreReport, SumEntry, to_json
from scoring.settings import ScoreSettings
from scoring.standing import PercentileSource

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

EXAMPLE = "Example: diastole score out/demo/slices --labels out/demo/labels.seg.dcm --out out/score"


@app.callback()
def callback() -> None:
    """Score the calcium in a CT series. Research software, no medical device; not for diagnosis."""


@app.command(epilog=EXAMPLE)
def score(
    source: options.Source = None,
    labels: options.LabelsFile = None,
    scan: options.ScanFile = None,
    out: options.OutFolder = None,
    results: options.Results = False,
    json: options.JsonFile = None,
    series: options.Series = None,
    all_islands: options.AllIslands = False,
    propose: options.Propose = False,
    kv_mode: options.KvMode = "120-only",
    connectivity: options.Connectivity = 4,
    preset: options.Preset = "agatston1990",
    volume: options.VolumeMode = "voxel",
    person: options.PersonFile = None,
    percentiles: options.Percentiles = "mesa",
    calibration: options.CalibrationFile = None,
    journal: options.JournalFile = None,
    very_high: options.VeryHigh = "400,1000",
    cardiologist: options.Cardiologist = "",
    batch: options.Batch = None,
    workers: options.Workers = 1,
    scheduler: options.Scheduler = None,
    dicomweb: options.Dicomweb = None,
    study: options.Study = None,
    token_file: options.TokenFile = None,
) -> None:
    """Score a series per vessel. Exit code 0: scored; 1: refused or no total, with the reasons; 2: wrong input."""
    try:
        chosen = {"kv_mode": kv_mode, "connectivity": connectivity, "all_islands": all_islands, "volume_mode": volume}
        more = {"very_high_from": _limits(very_high), "cardiologist": cardiologist}
        settings = _settings(chosen | more, preset)
        if batch is not None:
            of_one: dict[str, object] = {"PATH": source, "--labels": labels, "--scan": scan, "--json": json}
            of_one |= {"--person": person, "--calibration": calibration, "--journal": journal, "--series": series}
            of_one |= {"--dicomweb": dicomweb, "--results": results or None, "--propose": propose or None}
            raise typer.Exit(run_batch(batch, out, settings, workers, scheduler, of_one))
        _check_map(labels, all_islands, propose)
        asked = replace(_asked(person, percentiles, calibration), journal=journal, propose=propose)
        with opened(source, series, dicomweb, study, token_file) as (place, number):
            scored = score_series(place, labels, scan, settings, replace(asked, series=number))
            if results:
                _write_results(place, scored, out)
        report = scored.report
        if out is not None and not results:
            _write(out / "score.json", to_json(report))
            _write(out / "report.html", render(report, scored.outcome, scored.volume).encode())
        if json == "-":
            sys.stdout.buffer.write(to_json(report))
            sys.stdout.buffer.flush()
        elif json is not None:
            _write(Path(json), to_json(report))
    except SeriesError as error:
        sys.stderr.write(f"diastole score: {error}\n")
        raise typer.Exit(2) from error
    _tell(report, json)


def _tell(report: ScoreReport, json: str | None) -> None:
    """Print a report, unless the output is its JSON; without a number end with exit code 1 and the reasons."""
    if json != "-":
        _print(report)
    if report.status != "scored":
        for reason in report.reasons:
            sys.stderr.write(f"diastole score: {reason}\n")
        raise typer.Exit(1)


def _check_map(labels: Path | None, all_islands: bool, propose: bool) -> None:
    """Refuse a map and a proposal together."""
    if propose and (labels is not None or all_islands):
        raise SeriesError("--propose makes the map itself; leave out --labels and --all-islands, or --propose.")


def _write_results(source: Path, scored: ScoredSeries, out: Path | None) -> None:
    """Write all forms of a score as the next revision of a result, a draft; later ones say what they supersede."""
    from scoring.io.results.bundle import make_results  # half a second of imports that a plain score does not need

    if out is None:
        raise SeriesError("--results needs a folder; give one with --out.")
    number = next_number(out)
    if number > 1:
        review = Review(state="draft", revision=number, supersedes=digest_of(revisions(out)[-1]))
        scored = replace(scored, report=msgspec.structs.replace(scored.report, review=review))
    evidence = () if scored.volume is None else read_evidence(source, scored.volume)
    written = write_revision(out, number, make_results(scored, evidence))
    sys.stderr.write(f"diastole score: draft written to {written}\n")


def _settings(chosen: Mapping[str, object], preset: str) -> ScoreSettings:
    """Make settings of the options; a wrong value is refused by name."""
    try:
        return with_rules_of(msgspec.convert(preset, PresetName), msgspec.convert(chosen, ScoreSettings))
    except msgspec.ValidationError as error:
        raise SeriesError(f"Wrong option: {error}; `diastole score --help` lists the values.") from error


def _limits(text: str) -> tuple[float, ...]:
    """Read limits that are separated by commas."""
    try:
        limits = tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SeriesError(f"--very-high {text!r} is no list of numbers; write for example 400,1000.") from error
    if not all(limit > 0 for limit in limits):
        raise SeriesError(f"--very-high {text!r}: a limit is above 0; write for example 400,1000.")
    return limits


def _asked(person: Path | None, percentiles: str, calibration: Path | None) -> Asked:
    """Read what the user adds to the images."""
    told = CalibrationTold() if calibration is None else read_calibration(calibration)
    return Asked(
        person=None if person is None else read_person(person),
        percentiles=_percentile_source(percentiles),
        phantom=told.phantom,
        size=told.size,
    )


def _percentile_source(asked: str) -> PercentileSource:
    """Take the table of an option; a wrong one is refused by name."""
    try:
        source: PercentileSource = msgspec.convert(asked, PercentileSource)
    except msgspec.ValidationError as error:
        raise SeriesError(f"--percentiles {asked!r} is none; take mesa, hoff or none.") from error
    return source


def _write(path: Path, data: bytes) -> None:
    """Write a result, or name the folder that does not take it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise SeriesError(f"{path} cannot be written ({error.strerror}); choose another folder.") from error


def _print(report: ScoreReport) -> None:
    """Print the short table."""
    console = Console(highlight=False)
    total = report.score.total
    if total is not None:
        table = Table(title="Coronary calcium" + (" (simulated)" if report.simulated else ""))
        names = ("vessel", "Agatston", f"volume mm3, {report.score.volume_mode}", "mass mg", "lesions")
        for name in names:
            table.add_column(name, justify="left" if name == "vessel" else "right")
        for name, part in report.score.by_vessel.items():
            table.add_row(name, *_cells(part))
        table.add_section()
        table.add_row("total", *_cells(total))
        console.print(table)
        classed = "no class" if report.category is None else f"class {report.category}, {report.cac_drs}"
        console.print(f"Agatston {report.score.shown}, {classed}. {state_of(report)}", markup=False)
        for line in filter(None, (very_high_in_words(report), *findings_in_words(report))):
            console.print(line, markup=False)
    else:
        found = len(report.lesions) + len(report.candidates)
        console.print(f"No total. {found} lesion(s) and candidate(s) listed.", markup=False)
    if report.standing is not None:
        for line in standing_in_words(report.standing):
            console.print(line, markup=False)
    for note in report.notes:
        console.print(f"- {note}", markup=False)
    console.print(report.statement, markup=False)


def _cells(part: SumEntry) -> tuple[str, str, str, str]:
    """Write a sum into its columns."""
    mass = "-" if part.mass_mg is None else f"{part.mass_mg:.2f}"
    return f"{part.agatston:.1f}", f"{part.volume_mm3:.1f}", mass, str(part.lesions)
