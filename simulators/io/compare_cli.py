"""`diastole compare`: the same hearts under several gating policies, side by side."""

import importlib.util
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
from gating.io.site import read_site
from gating.messages import AcquisitionPlan
from gating.settings import GateSettings
from scanner_bridge.plan import plan_from
from scanner_bridge.settings import PlanSettings, parse_bridge
from simulators.beat_scan import BeatScan
from simulators.comparison import POLICY_HELP, Case, Policy, PolicyFigures, Spread, figures, parse_policy, scans
from simulators.io.compare_input import read_cases
from simulators.io.outcome import open_out, write_json, write_lines
from simulators.io.scenarios import scenario_names
from simulators.io.twin_scores import TwinScore, scored
from simulators.scenario import Scenario
from simulators.stage import plan_settings

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

LEAST_WIDTH = 150
DEFAULT_POLICIES = ("least_blur_dose", "percent_rr:75", "vendor_table", "absolute_ms:300")
Done = dict[str, list[tuple[Case, BeatScan]]]


@app.callback()
def room() -> None:
    """Compare gating policies on the same hearts. No medical device."""


@app.command(epilog="Example: diastole compare pvc --policy least_blur_dose --policy percent_rr:75+40 --out out/pvc")
def compare(
    target: Annotated[
        str,
        typer.Argument(
            metavar="RECORD|SCENARIO|JOURNAL",
            help=f"One of {', '.join(scenario_names())}; a scenario's file; an annotated record; a gate's journal.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the table, the plots and every exposure.")],
    policy: Annotated[
        list[str] | None, typer.Option(metavar="P", help=f"Give it several times: {POLICY_HELP}.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=10_000, help="Patients, or breath-holds of a record.")] = 20,
    spread: Annotated[
        float, typer.Option(min=0.0, max=4.0, help="How far patients' rest phases differ: 1 as published, 0 not.")
    ] = 1.0,
    config: Annotated[
        Path | None, typer.Option(metavar="SITE.toml", help="Take [bridge.plan] and [gate] from a site file.")
    ] = None,
    sources: Annotated[int | None, typer.Option(min=1, max=2, help="X-ray sources of the plan: 1 or 2.")] = None,
    rotation_ms: Annotated[float | None, typer.Option(min=100.0, help="Time of one rotation of the plan.")] = None,
    twin: Annotated[
        int, typer.Option(min=0, help="Scan so many patients of a scenario through the CT twin, for the score error.")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print comparison.json at the end and nothing else.")] = False,
) -> None:
    """Scan the same hearts under several gating policies: rest, phase error, blur, beats, breath-hold, dose, refusals.

    Exit code 0: compared; 2: wrong input.
    """
    _need_matplotlib()
    cases, scenario = read_cases(target, range(1, seeds + 1), spread)
    plan, settings = _site(config, scenario, sources, rotation_ms)
    policies = [parse_policy(text, settings.window) for text in policy or DEFAULT_POLICIES]
    if len({one.name for one in policies}) < len(policies):
        raise SettingsError("A policy is given twice; leave one of the two out.")
    if twin and scenario is None:
        raise SettingsError("--twin needs a scenario, whose body can be scanned.")
    folder = open_out(out)
    done, scores = _run(cases, policies, plan, settings, scenario, min(twin, len(cases)))
    found = [figures(one, [scan for _, scan in done[one.name]]) for one in policies]
    report = _report(target, spread, plan, found, scores)
    write_json(folder / "comparison.json", report)
    write_lines(folder / "exposures.jsonl", _rows(done))
    from simulators.io.compare_plots import draw

    pictures = draw(target, {name: [scan for _, scan in pairs] for name, pairs in done.items()}, scores, folder)
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n")
        return
    console = Console(highlight=False, width=max(Console().width, LEAST_WIDTH))
    console.print(_table(target, found, scores, len(cases)))
    for line in _refusals(found):
        console.print(line, soft_wrap=True)
    console.print(f"Written: {folder}/comparison.json, exposures.jsonl, {', '.join(one.name for one in pictures)}")


def _need_matplotlib() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise SettingsError("compare draws with the package matplotlib; pip install 'diastole[plots]'.")


def _site(
    config: Path | None, scenario: Scenario | None, sources: int | None, rotation_ms: float | None
) -> tuple[AcquisitionPlan, GateSettings]:
    """Take the plan and the gate of a site file; without one, the scenario's plan or the default, and all defaults."""
    asked, gate = PlanSettings() if scenario is None else plan_settings(scenario), GateSettings()
    if config is not None:
        site = read_site(config)
        asked, gate = parse_bridge(site.bridge, str(config)).plan, site.gate
    said = {"sources": sources, "rotation_ms": rotation_ms}
    return plan_from(msgspec.structs.replace(asked, **{key: one for key, one in said.items() if one is not None})), gate


def _run(
    cases: tuple[Case, ...],
    policies: list[Policy],
    plan: AcquisitionPlan,
    settings: GateSettings,
    scenario: Scenario | None,
    twins: int,
) -> tuple[Done, dict[str, list[TwinScore]]]:
    """Run all scans, with a bar on a terminal; the first cases through the twin too."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())
    done: Done = {policy.name: [] for policy in policies}
    scores: dict[str, list[TwinScore]] = {policy.name: [] for policy in policies}
    with bar:
        task = bar.add_task("scans", total=len(cases) * len(policies))
        for policy, case, scan in scans(cases, policies, plan, settings):
            done[policy.name].append((case, scan))
            bar.update(task, advance=1, description=case.name)
        if scenario is not None and twins:
            through = bar.add_task("twin", total=twins * len(policies))
            for name, pairs in done.items():
                for case, scan in pairs[:twins]:
                    if scan.ended is None:
                        scores[name].append(scored(scenario, case, scan))
                    bar.update(through, advance=1, description=f"{name}, {case.name}")
    return done, scores


# --- what is said ------------------------------------------------------------------------------------------------


def _report(
    target: str, spread: float, plan: AcquisitionPlan, found: list[PolicyFigures], scores: dict[str, list[TwinScore]]
) -> dict[str, object]:
    """Put everything into one object."""
    return {
        "target": target,
        "simulated": True,
        "rest_phase_spread": spread,
        "plan": plan,
        "policies": [
            {
                **msgspec.to_builtins(one),
                "rest_share": one.rest_share,
                "rest_share_exposed": one.rest_share_exposed,
                "twin": [msgspec.to_builtins(score) for score in scores[one.policy]],
            }
            for one in found
        ],
    }


def _rows(done: Done) -> list[dict[str, object]]:
    """List every exposure of every policy."""
    return [
        {
            "policy": name,
            "case": case.name,
            "step": one.step,
            "attempt": one.attempt,
            "outcome": one.outcome,
            "phase": one.trigger.phase,
            "opens_after_r_ms": (one.trigger.opens_at_ns - one.trigger.r_at_ns) / 1e6,
            "padding_ms": one.trigger.padding_ms,
            "beam_ms": one.beam_ms,
            "rr_ms": one.rr_ms,
            "predicted_rr_ms": one.trigger.predicted_rr_ms,
            "phase_error_ms": one.phase_error_ms,
            "movement_mm": one.movement_mm,
            "at_rest": one.at_rest,
            "at_rest_foretold": one.trigger.at_rest,
            "reasons": one.trigger.reasons,
        }
        for name, pairs in done.items()
        for case, scan in pairs
        for one in scan.exposures
    ]


def _table(target: str, found: list[PolicyFigures], scores: dict[str, list[TwinScore]], cases: int) -> Table:
    """Make the table: a row a policy."""
    title = f"{target}, {cases} scans; at rest: no artery moves 1 mm during the temporal resolution; median (p95)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    heads = ["policy", "at rest %", "whole", "motion-free", "phase err. ms", "blur mm", "beats", "hold s", "mSv"]
    heads += ["cut", "cancelled", "held"] + (["score err. %"] if any(scores.values()) else [])
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if place else "left", no_wrap=True)
    for one in found:
        cells = [
            one.policy,
            f"{100 * one.rest_share:.1f}",
            f"{one.completed}/{one.scans}",
            str(one.motion_free),
            _cell(one.phase_error_ms, 0),
            _cell(one.blur_mm, 2),
            _cell(one.beats, 0),
            _cell(one.breath_hold_s, 1),
            f"{one.mean_dose_msv:.3f}",
            str(one.cut),
            str(one.cancelled),
            str(sum(one.held.values())),
        ]
        errors = [score.error_percent for score in scores[one.policy] if score.error_percent is not None]
        if any(scores.values()):
            cells.append("-" if not errors else f"{sum(abs(e) for e in errors) / len(errors):.1f} (n {len(errors)})")
        table.add_row(*cells)
    return table


def _cell(spread: Spread, digits: int) -> str:
    """Write a median with its 95th percentile."""
    if spread.median is None or spread.p95 is None:
        return "-"
    return f"{spread.median:.{digits}f} ({spread.p95:.{digits}f})"


def _refusals(found: list[PolicyFigures]) -> list[str]:
    """Say what was refused, beside what was completed."""
    lines = []
    for one in found:
        why = [f"{count} x {reason}" for reason, count in [*one.ended.items(), *one.held.items()]]
        if why:
            lines.append(f"{one.policy}: " + "; ".join(why))
    return lines
