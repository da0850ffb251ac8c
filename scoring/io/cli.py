"""`diastole score`: a folder of slices in, a score on the table, `score.json` and `report.html`."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from scoring.io.errors import SeriesError
from scoring.io.html import in_words, render
from scoring.io.published import read_person, read_published
from scoring.io.scored_series import score_series
from scoring.person import Person
from scoring.report import ScoreReport, to_json
from scoring.settings import ScoreSettings
from scoring.standing import PercentileSource, standing

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

EXAMPLE = "Example: diastole score out/demo/slices --labels out/demo/labels.seg.dcm --out out/score"


@app.callback()
def callback() -> None:
    """Score the calcium in a CT series. Research software, no medical device; not for diagnosis."""


@app.command(epilog=EXAMPLE)
def score(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with the slices of one axial CT series.")],
    labels: Annotated[Path | None, typer.Option(help="Vessel map: a BINARY DICOM SEG of LM, LAD, LCX, RCA.")] = None,
    scan: Annotated[Path | None, typer.Option(help="scan.json, what the acquisition says of itself.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write score.json and report.html into this folder.")] = None,
    json: Annotated[str | None, typer.Option(metavar="FILE|-", help="Write score.json here; - is the output.")] = None,
    all_islands: Annotated[
        bool, typer.Option("--all-islands", help="Score every island, bone and valves too.")
    ] = False,
    propose: Annotated[
        bool, typer.Option("--propose", help="Without a map: score what rules propose as coronary, as a draft.")
    ] = False,
    kv_mode: Annotated[str, typer.Option(help="120-only, kv-independent or not-comparable.")] = "120-only",
    connectivity: Annotated[int, typer.Option(help="4 or 8 neighbours inside a slice.")] = 4,
    person: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Age, sex, group and more: percentile and risk.")
    ] = None,
    percentiles: Annotated[str, typer.Option(help="mesa, hoff or none.")] = "mesa",
) -> None:
    """Score a series per vessel. Exit code 0: scored; 1: refused or no total, with the reasons; 2: wrong input."""
    try:
        if propose and (labels is not None or all_islands):
            raise SeriesError("--propose makes the map itself; leave out --labels and --all-islands, or --propose.")
        settings = _settings(kv_mode, connectivity, all_islands)
        told = None if person is None else read_person(person)
        source = _percentile_source(percentiles)
        scored = score_series(folder, labels, scan, settings, propose=propose)
        report = scored.report
        if told is not None:
            report = with_standing(report, told, source)
        if out is not None:
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
    if json != "-":
        _print(report)
    if report.status != "scored":
        for reason in report.reasons:
            sys.stderr.write(f"diastole score: {reason}\n")
        raise typer.Exit(1)


def with_standing(report: ScoreReport, person: Person, source: PercentileSource) -> ScoreReport:
    """Give a report with what its score means for a person."""
    total = None if report.score.total is None else report.score.total.agatston
    return msgspec.structs.replace(report, standing=standing(total, person, read_published(), source))


def _settings(kv_mode: str, connectivity: int, all_islands: bool) -> ScoreSettings:
    """Make settings of the options; a wrong value is refused by name."""
    values = {"kv_mode": kv_mode, "connectivity": connectivity, "all_islands": all_islands}
    try:
        return msgspec.convert(values, ScoreSettings)
    except msgspec.ValidationError as error:
        raise SeriesError(f"Wrong option: {error}; `diastole score --help` lists the values.") from error


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
        for name in ("vessel", "Agatston", "volume mm3", "lesions"):
            table.add_column(name, justify="left" if name == "vessel" else "right")
        for name, part in report.score.by_vessel.items():
            table.add_row(name, f"{part.agatston:.1f}", f"{part.volume_mm3:.1f}", str(part.lesions))
        table.add_section()
        table.add_row("total", f"{total.agatston:.1f}", f"{total.volume_mm3:.1f}", str(total.lesions))
        console.print(table)
        console.print(f"Agatston {report.score.shown}, class {report.category}, {report.cac_drs}", markup=False)
    else:
        found = len(report.lesions) + len(report.candidates)
        console.print(f"No total. {found} lesion(s) and candidate(s) listed.", markup=False)
    if report.standing is not None:
        for line in in_words(report.standing):
            console.print(line, markup=False)
    for note in report.notes:
        console.print(f"- {note}", markup=False)
    console.print(report.statement, markup=False)
