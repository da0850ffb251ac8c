"""`diastole rehearse`: a breath-hold rehearsed, and what it lets expect of the scan."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.table import Table

from gating.advice import Advised, advise, report_of
from gating.io.site import read_site
from gating.messages import AcquisitionPlan, Forecast, Span
from gating.rehearsal import NotRehearsed, Rehearsed
from gating.settings import GateSettings
from scanner_bridge.plan import plan_from
from scanner_bridge.settings import PlanSettings, parse_bridge
from simulators.io.compare_input import read_cases
from simulators.io.scenarios import scenario_names
from simulators.rehearse import rehearse as rehearse_case
from simulators.stage import plan_settings

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

WORDS = {"go": "GO", "wait": "WAIT", "change": "CHANGE", "no-go": "NO-GO"}
LEAST_WIDTH = 130


@app.callback()
def room() -> None:
    """Rehearse a breath-hold before the scan. No medical device."""


@app.command(epilog="Example: diastole rehearse rsa --seed 3")
def rehearse(
    target: Annotated[
        str,
        typer.Argument(
            metavar="RECORD|SCENARIO|JOURNAL",
            help=f"One of {', '.join(scenario_names())}; a scenario's file; an annotated record; a gate's journal.",
        ),
    ],
    seed: Annotated[int, typer.Option(min=0, help="Patient of a scenario; place in a record.")] = 1,
    config: Annotated[
        Path | None, typer.Option(metavar="SITE.toml", help="Take [bridge.plan] and [gate] from a site file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the gate's message and nothing else.")] = False,
) -> None:
    """Rehearse the breath-hold of a heart: its rate, what the scan will be like, and one advice.

    Exit code 0: GO or CHANGE; 1: WAIT, NO-GO, or the rehearsal told too little; 2: wrong input.
    """
    cases, scenario = read_cases(target, (seed,), 1.0)
    asked, settings = PlanSettings() if scenario is None else plan_settings(scenario), GateSettings()
    if config is not None:
        site = read_site(config)
        asked, settings = parse_bridge(site.bridge, str(config)).plan, site.gate
    plan = plan_from(asked)
    found = rehearse_case(cases[0], settings)
    advised = None if isinstance(found, NotRehearsed) else advise(found, plan, settings, seed)
    report = report_of(found, advised, 0)
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n")
    else:
        _say(cases[0].name if scenario is None else f"{target}, {cases[0].name}", found, advised, plan)
    raise typer.Exit(0 if report.advice in ("go", "change") else 1)


def _say(name: str, found: Rehearsed | NotRehearsed, advised: Advised | None, plan: AcquisitionPlan) -> None:
    """Print the rehearsal, the forecasts and the advice."""
    console = Console(highlight=False, width=max(Console().width, LEAST_WIDTH))
    if isinstance(found, NotRehearsed) or advised is None:
        console.print(f"{name}: the rehearsal told too little")
        for reason in found.reasons if isinstance(found, NotRehearsed) else ():
            console.print(f"  {reason}", soft_wrap=True)
        return
    console.print(
        f"{name}: held for {found.held_s:.0f} s; {found.rate_before_bpm:.0f} bpm before, {found.rate_held_bpm:.0f} in "
        f"the hold (settled after {found.settle_s:.0f} s, then {found.drift_bpm_per_10_s:+.1f} bpm in 10 s, RR within "
        f"{found.spread_ms:.0f} ms); {found.beats} beats, {found.ectopic} ectopic, {found.rejected} not trusted",
        soft_wrap=True,
    )
    console.print(_table(advised, plan))
    console.print(f"{WORDS[advised.advice]}: {'; '.join(advised.reasons)}", style="bold", soft_wrap=True)
    if advised.change_to is not None:
        console.print(f"  in the site file: {advised.change_to}", soft_wrap=True)


def _table(advised: Advised, plan: AcquisitionPlan) -> Table:
    """Make the table of forecasts: the site's policy first."""
    title = f"{len(plan.table_mm)} slabs, breath-hold of {plan.breath_hold_limit_s:.0f} s at most; median (90 %)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    heads = ("policy", "phase", "beats", "hold s", "not usable", "at rest %", "motion-free %", "completes %", "mSv")
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place > 1 else "left", no_wrap=True)
    if advised.own is not None:
        table.add_row("this site's", *_cells(advised.own))
    for one in advised.others:
        table.add_row(one.words, *_cells(one.forecast))
    return table


def _cells(found: Forecast) -> tuple[str, ...]:
    return (
        found.phase,
        _span(found.beats, 0),
        _span(found.breath_hold_s, 1),
        f"{found.rejected.median:.0f}",
        f"{100 * found.mean_at_rest:.0f}",
        f"{100 * found.motion_free:.0f}",
        f"{100 * found.complete:.0f}",
        f"{found.dose_msv.median:.2f}",
    )


def _span(span: Span | None, digits: int) -> str:
    if span is None:
        return "-"
    return f"{span.median:.{digits}f} ({span.low:.{digits}f}-{span.high:.{digits}f})"
