"""`diastole campaign`: a grid of whole virtual studies, to one table and a report."""

import csv
import html
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
from simulators.campaign import Campaign, Job, Row, Summary, jobs, summaries
from simulators.io.campaign_run import STUDIES, load_campaign, read_rows, run_all, scenario_of
from simulators.io.outcome import open_out, write_json

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

LEAST_WIDTH = 130
HEADS = ("scenario", "policy", "scanner", "complete", "score error %, mean (SD)", "worst %", "mSv", "hold s")
NOTICE = "Simulated patients and scanners. Research and engineering software, no medical device."


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
        scenario_of(next(job for job in every if job.scenario == name))
    folder = open_out(out)
    _same_campaign(asked, folder)
    rows = read_rows(folder)
    known = {str(row["key"]) for row in rows}
    rows += _run([job for job in every if job.key not in known], len(every), folder, processes)
    wanted = {job.key: place for place, job in enumerate(every)}
    rows = sorted((row for row in rows if row["key"] in wanted), key=lambda row: wanted[str(row["key"])])
    found = summaries(rows)
    _write_table(folder / "studies.csv", rows)
    (folder / "report.html").write_text(_page(asked, found, rows), encoding="utf-8")
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() + "\n")
        return
    console = Console(highlight=False, width=max(Console().width, LEAST_WIDTH))
    table = Table(*HEADS, box=box.SIMPLE_HEAD, title=f"{asked.name}: {len(rows)} studies", title_justify="left")
    for one in found:
        table.add_row(*_cells(one))
    console.print(table)
    console.print(f"Written: {folder}/{STUDIES}, studies.csv, report.html")


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


def _run(todo: list[Job], count: int, folder: Path, processes: int) -> list[Row]:
    """Run what is left, with a bar on a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("studies", total=count, completed=count - len(todo))
        done = []
        for row in run_all(todo, folder, processes) if todo else ():
            done.append(row)
            bar.update(task, advance=1, description=str(row["key"]))
        return done


def _write_table(path: Path, rows: list[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["key"])
        writer.writeheader()
        writer.writerows(rows)


def _cells(one: Summary) -> tuple[str, ...]:
    mean, sd = one.error_mean, one.error_sd
    error = "-" if mean is None or sd is None else f"{mean:+.1f} ({sd:.1f})"
    return (
        one.scenario,
        one.policy,
        one.scanner,
        f"{one.complete}/{one.studies}",
        error,
        "-" if one.error_worst is None else f"{one.error_worst:+.1f}",
        "-" if one.dose_msv is None else f"{one.dose_msv:.2f}",
        "-" if one.breath_hold_s is None else f"{one.breath_hold_s:.1f}",
    )


# --- the page ----------------------------------------------------------------------------------------------------

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:84rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "table{border-collapse:collapse}td,th{padding:.3rem .7rem;border-bottom:1px solid #d0d7de;text-align:left}"
    "td{white-space:nowrap}svg{display:block}small{color:#57606a}"
)
WIDTH, ROW, MOST_PERCENT = 420, 18, 50.0


def _page(asked: Campaign, found: list[Summary], rows: list[Row]) -> str:
    """Write the report: the table, and every study's score error as a dot."""
    heads = "".join(f"<th>{html.escape(one)}</th>" for one in (*HEADS, "each study: score error, -50 to +50 %"))
    lines = []
    for one in found:
        mine = [
            row["score_error_percent"]
            for row in rows
            if (row["scenario"], row["policy"], row["scanner"]) == (one.scenario, one.policy, one.scanner)
        ]
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in _cells(one))
        lines.append(f"<tr>{cells}<td>{_dots([float(x) for x in mine if isinstance(x, int | float)])}</td></tr>")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(asked.name)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{html.escape(asked.name)}</h1><p>{len(rows)} whole virtual studies. "
        f"Score error: Agatston of the slices against the same heart held still.</p><table><tr>{heads}</tr>"
        f"{''.join(lines)}</table><p><small>{NOTICE}</small></p></body></html>\n"
    )


def _dots(errors: list[float]) -> str:
    """Draw each error as a dot on one line; the middle is none, what lies beyond the ends stands at them."""
    middle, half = WIDTH / 2, WIDTH / 2 - 6
    spots = (middle + half * min(max(one / MOST_PERCENT, -1.0), 1.0) for one in errors)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{ROW / 2}" r="3.5" fill="#0a7d4f" fill-opacity=".45"/>' for x in spots)
    line = f'<line x1="{middle}" x2="{middle}" y1="0" y2="{ROW}" stroke="#8c959f"/>'
    return f'<svg width="{WIDTH}" height="{ROW}" role="img" aria-label="score errors">{line}{dots}</svg>'
