"""`diastole evaluate`: annotated recordings in, the detector's figures out, beside other people's detectors."""

import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gating.errors import SettingsError
from gating.io.evaluate import Job, RecordRun, judge_for, run_record
from gating.io.evaluate_input import check_leads, find_records, noises
from gating.io.evaluate_report import EvaluationReport, report_run, to_json, write_events, write_json
from gating.io.evaluate_tables import console, show
from gating.io.peers import peers_named

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

EXAMPLE = "Example: diastole evaluate ecg/mitdb --leads all --against sleepecg,gqrs --json evaluation.json"


@app.callback()
def callback() -> None:
    """Measure the R-peak detector on annotated recordings."""


@app.command(epilog=EXAMPLE)
def evaluate(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Records (WFDB, CSV) or folders of them.")],
    leads: Annotated[str, typer.Option(help="all, or names or numbers: 0, MLII, 0,V1. Peers get the first.")] = "all",
    records: Annotated[str | None, typer.Option(help="Only these records of the folders: 101,112.")] = None,
    noise: Annotated[
        str | None, typer.Option(help="Mix in noise: em, ma or bw, after 5 min, 2 min on and off.")
    ] = None,
    snr: Annotated[str | None, typer.Option(help="At this signal-to-noise ratio in dB, or a list: 24,18,12.")] = None,
    noise_dir: Annotated[Path | None, typer.Option(help="Where the noise lies (PhysioNet's nstdb).")] = None,
    against: Annotated[
        str | None, typer.Option(help="Peers: sleepecg, xqrs, gqrs, biosppy, neurokit, khamis2016 ...")
    ] = None,
    json: Annotated[str | None, typer.Option(metavar="FILE|-", help="Write all figures; - is the output.")] = None,
    events: Annotated[Path | None, typer.Option(metavar="FILE", help="Write one CSV row a decision.")] = None,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Draw errors, delays, trust, tolerances.")] = None,
    learning_s: Annotated[float, typer.Option(min=0.0, help="Fed, not scored, in seconds.")] = 300.0,
    numbers: Annotated[
        Path | None, typer.Option(help="Another file of the judge's numbers, or a folder: RECORD.toml for each.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=0, help="Processes; 0: one for each processor.")] = 0,
) -> None:
    """Score the detector as EC57 does, per record, gross and average. Exit code 0: scored; 2: wrong input."""
    peers = () if against is None else peers_named(against)
    found = find_records(paths, tuple(one.strip() for one in (records or "").split(",") if one.strip()))
    check_leads(leads, found)
    conditions = noises(noise, snr, noise_dir, found)
    _check_outputs(json, events, plots)
    work = [
        Job(str(path), leads, learning_s, condition, peers, None if numbers is None else str(numbers))
        for condition in conditions
        for path in found
    ]
    for one in work:
        judge_for(one)  # says at once what is missing
    runs = _run_all(work, min(jobs or os.cpu_count() or 1, len(work)))
    by_condition = [[run for run in runs if run.job.noise == condition] for condition in conditions]
    report = EvaluationReport(version("diastole"), leads, learning_s, tuple(map(report_run, by_condition)))
    if events is not None:
        write_events(events, runs)
    if plots is not None:
        from gating.io.evaluate_plots import draw

        for condition, each in zip(conditions, by_condition, strict=True):
            prefix = "" if condition is None else f"{condition.kind}-{condition.snr_db:g}dB-"
            draw(each, plots, prefix)
    if json == "-":
        sys.stdout.write(to_json(report).decode())
        return
    if json is not None:
        write_json(Path(json), report)
    show(report, console())


def _check_outputs(json: str | None, events: Path | None, plots: Path | None) -> None:
    """Say at once what could not be written at the end."""
    files = {"--json": None if json in {None, "-"} else Path(str(json)), "--events": events}
    for option, file in files.items():
        if file is not None and (file.is_dir() or not file.absolute().parent.is_dir()):
            raise SettingsError(f"{option} {file} cannot be written: there is no such folder; make it first.")
    if plots is None:
        return
    if importlib.util.find_spec("matplotlib") is None:
        raise SettingsError("--plots needs the package matplotlib; pip install 'diastole[plots]'.")
    try:
        plots.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"The folder {plots} cannot be made ({error.strerror}); name another --plots.") from error


def _run_all(work: list[Job], processes: int) -> list[RecordRun]:
    """Run all records, with a bar on a terminal; gives them in the order of the work."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    done: dict[int, RecordRun] = {}
    with bar:
        task = bar.add_task("records", total=len(work))
        for place, run in _each(work, processes, run_record):
            done[place] = run
            bar.update(task, advance=1, description=run.name)
    return [done[place] for place in range(len(work))]


def _each(work: list[Job], processes: int, run: Callable[[Job], RecordRun]) -> Iterator[tuple[int, RecordRun]]:
    """Run the jobs here or in several processes; gives each with its place as it ends."""
    if processes == 1:
        yield from ((place, run(job)) for place, job in enumerate(work))
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(run, job): place for place, job in enumerate(work)}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
