"""`diastole simulate study`: the demo's chain in virtual time, without sockets, as fast as the machine can."""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from gating.io.numbers import read_judge
from scanner_bridge.drivers.gantry import CAPABILITIES
from simulators.io.outcome import Story, finish, open_out, write_lines
from simulators.scenario import Scenario
from simulators.stage import ecg_of, hearts_beats, log_of, set_up
from simulators.virtual_scan import VirtualRun


def study(scenario: Scenario, out: Path, say: Callable[[str], None], *, enhanced: bool = False) -> dict[str, object]:
    """Run one scan in virtual time and write everything that the demo writes; gives what `report.json` holds.

    Raises
    ------
    SettingsError
        If the folder cannot be written.
    """
    truth = open_out(open_out(out) / "truth")
    beats = hearts_beats(scenario)
    stage = set_up(scenario, CAPABILITIES, read_judge())
    began_s = time.perf_counter()
    run = stage.run()
    wall_s = time.perf_counter() - began_s
    simulated_s = (run.ended_at_ns - run.started_at_ns) / 1e9
    say(f"{simulated_s:.1f} simulated s in {wall_s:.1f} s: {simulated_s / wall_s:.0f} x real time")
    log = log_of(run, beats)
    write_lines(truth / "beats.jsonl", [msgspec.to_builtins(beat) for beat in log.beats])
    write_lines(truth / "beam.jsonl", [msgspec.to_builtins(beam) for beam in log.beams])
    _write_records(run, out)
    settings = {"scenario": msgspec.to_builtins(scenario)}
    story = Story(
        scenario,
        run.started_at_ns,
        "scenario, virtual time",
        settings=settings,
        ecg=ecg_of(scenario),
        enhanced=enhanced,
    )
    return finish(log, story, out, say)


def _write_records(run: VirtualRun, out: Path) -> None:
    """Write what the bus carried and the audit of the bridge."""
    sent = [one for one in run.passed if one.verb == "sent"]
    write_lines(out / "bus.jsonl", [{"at_ns": one.at_ns, "by": one.place, "message": one.message} for one in sent])
    write_lines(out / "audit.jsonl", run.audit)
