"""`diastole campaign`: a grid of whole virtual studies, to one table and a report."""

import csv
import importlib.util
import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gating.errors import SettingsError
from scoring.io.engines import Engine, on_cluster, on_processes
from simulators.campaign import Campaign, Job, Row, jobs, summaries
from simulators.io.campaign_page import HEADS, cells, page
from simulators.io.campaign_run import STUDIES, load_campaign, read_rows, run_all, scenario_of
from simulators.io.outcome import open_out, write_json

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

LEAST_WIDTH = 130


@app.callback()
def room() -> None:
    """Run a campaign of virtual studies. No medical device."""


@app.command(epilog="Example: diastole campaign rates.toml --out out/rates; kill it, run it again: it goes on.")
def campaign(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="name, scenarios, seeds, policies, [[scanners]].")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the campaign; what is done in it stays.")],
    processes: Annotated[
        int, typer.Option(min=1, max=256, help="Studies at once; by default one for each core.")
    ] = os.cpu_count() or 1,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Run on a Dask cluster in place of this machine: tcp://HOST:8786."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summaries as JSON and nothing else.")] = False,
) -> None:
    """Run scenarios x policies x scanners x seeds as whole virtual studies: chain, twin and score.

    Exit code 0: all studies are done, whether or not each scan completed; 2: wrong input.
    """
    asked = load_campaign(file)
    try:
        every = jobs(asked)
    except ValueError as error:
        raise SettingsError(f"The campaign {file}: {error}.") from error
    for name in asked.scenarios:
        scenario_of(next(job for job in every if job.scenario == name), asked)
    folder = open_out(out)
    _same_campaign(asked, folder)
    rows = read_rows(folder)
    known = {str(row["key"]) for row in rows}
    todo = [job for job in every if job.key not in known]
    if todo:
        with on_processes(processes) if scheduler is None else on_cluster(scheduler) as engine:
            rows += _run(todo, asked, len(every), folder, engine)
    wanted = {job.key: place for place, job in enumerate(every)}
    rows = sorted((row for row in rows if row["key"] in wanted), key=lambda row: wanted[str(row["key"])])
    found = summaries(rows)
    tables = _write_tables(folder, rows)
    pictures = _draw(asked, rows, folder)
    (folder / "report.html").write_text(page(asked, found, rows, pictures), encoding="utf-8")
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
        return
    console = Console(highlight=False, width=max(Console().width, LEAST_WIDTH))
    table = Table(*HEADS, box=box.SIMPLE_HEAD, title=f"{asked.name}: {len(rows)} studies", title_justify="left")
    for one in found:
        table.add_row(*cells(one))
    console.print(table)
    console.print(f"Written: {folder}/{STUDIES}, {', '.join(tables)}, {', '.join((*pictures, 'report.html'))}")


def _same_campaign(asked: Campaign, folder: Path) -> None:
    """Keep two campaigns out of one folder; more seeds of the same one are welcome."""
    path = folder / "campaign.json"
    if path.exists():
        try:
            before = msgspec.json.decode(path.read_bytes(), type=Campaign)
        except msgspec.DecodeError as error:
            raise SettingsError(f"The file {path} is none of a campaign ({error}); choose another --out.") from error
        if msgspec.structs.replace(before, seeds=asked.seeds) != asked:
            text = f"The folder {folder} holds the campaign {before.name!r} with other scenarios, policies or scanners"
            raise SettingsError(f"{text}; choose another --out, or change nothing but its seeds.")
    write_json(path, asked)


def _run(todo: list[Job], asked: Campaign, count: int, folder: Path, engine: Engine) -> list[Row]:
    """Run what is left, with a bar on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("studies", total=count, completed=count - len(todo))
        done = []
        for row in run_all(todo, asked, folder, engine):
            done.append(row)
            bar.update(task, advance=1, description=str(row["key"]))
        return done


def _write_tables(folder: Path, rows: list[Row]) -> list[str]:
    """Write the table as CSV, and as Parquet where pyarrow is installed; gives the files' names."""
    with (folder / "studies.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["key"])
        writer.writeheader()
        writer.writerows(rows)
    if importlib.util.find_spec("pyarrow") is None:
        return ["studies.csv (and Parquet with the package pyarrow)"]
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist(rows), folder / "studies.parquet")
    return ["studies.csv", "studies.parquet"]


def _draw(asked: Campaign, rows: list[Row], folder: Path) -> list[str]:
    """Draw the pictures where matplotlib is installed; gives their names."""
    if importlib.util.find_spec("matplotlib") is None or not rows:
        return []
    from simulators.io.campaign_plots import draw

    return draw(asked, rows, folder)
