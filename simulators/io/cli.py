"""`diastole simulate` and `diastole replay`: parts of the simulated chain, to plug any program into."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from gating.errors import SettingsError
from gating.frontends import FRONTENDS, Frontend
from simulators.ecg_box import EcgBox, patient_source
from simulators.heart import TrueBeat, true_beats
from simulators.inserts import PHANTOMS
from simulators.io.pty import Ended, serve
from simulators.io.scenarios import load_scenario, scenario_names
from simulators.io.waveforms import write_csv
from simulators.meter_tests import NAMES, meter_test
from simulators.scenario import Box, Scanner, reseeded
from simulators.stage import stream

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True)
simulate = typer.Typer(help="A simulated ECG box, gantry, or a whole study in virtual time.", no_args_is_help=True)
app.add_typer(simulate, name="simulate")

ONE_HOUR_S = 3600.0
ScenarioOption = Annotated[
    str, typer.Option(help=f"A TOML or JSON file, or one of: {', '.join(scenario_names())}.", metavar="S")
]
FrontendOption = Annotated[
    str | None, typer.Option(help=f"The ECG box: {', '.join(FRONTENDS)}. Default: the scenario's.", metavar="F")
]
SeedOption = Annotated[int | None, typer.Option(min=0, help="Another draw of the same story.", metavar="N")]
TruthOption = Annotated[
    Path | None, typer.Option(help="Write what truly happened into this folder, as it happens.", metavar="DIR")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON lines and nothing else.")]
BlockOption = Annotated[
    int | None, typer.Option(min=1, help="Samples a frame: what blocking costs can be seen.", metavar="N")
]


@app.callback()
def room() -> None:
    """Play a simulated patient, ECG box or scanner. No medical device."""


@simulate.command(epilog="Example: diastole simulate ecg --scenario pvc --frontend cyton --seed 7")
def ecg(
    scenario: ScenarioOption = "steady",
    frontend: FrontendOption = None,
    seed: SeedOption = None,
    block: BlockOption = None,
    truth: TruthOption = None,
    seconds: Annotated[float, typer.Option(min=0.0, help="Patient time to run.")] = ONE_HOUR_S,
    as_json: JsonOption = False,
) -> None:
    """Open a serial port with a simulated patient's ECG and print its name; Ctrl-C ends it.

    The patient's time begins when a program opens the port.
    """
    story = load_scenario(scenario)
    if seed is not None:
        story = reseeded(story, seed)
    box = _box(story.box, frontend, block)
    story = msgspec.structs.replace(story, box=box)
    device = _frontend(box.frontend)
    # the stream of the heart, as simulators.stage draws it for virtual time: a seed means the same beats in both
    beats = true_beats(story, seconds + 2.0, stream(story, 1))
    source = patient_source(story, device, beats)
    if not as_json:
        _say(story.story)
    _serve(
        lambda at_ns: EcgBox(source, device, box, story.faults, at_ns),
        device,
        beats=beats,
        about={"scenario": story.name, "seed": story.seed},
        seconds=seconds,
        truth=truth,
        as_json=as_json,
    )


@app.command(epilog="Example: diastole replay mitdb/101 --frontend healthypi6 --from 60")
def replay(
    record: Annotated[Path, typer.Argument(help="A WFDB record, or a .csv file with units in its header.")],
    frontend: FrontendOption = None,
    speed: Annotated[float, typer.Option(help="Recorded seconds a second; other than 1 is for looking only.")] = 1.0,
    from_s: Annotated[float, typer.Option("--from", metavar="S", help="Second of the record to begin at.")] = 0.0,
    block: BlockOption = None,
    truth: TruthOption = None,
    seconds: Annotated[float | None, typer.Option(min=0.0, help="Time to run; default: to the record's end.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Open a serial port that plays a recorded ECG and print its name and which lead is sent as which.

    The recording begins when a program opens the port.
    """
    from gating.io.records import read_record
    from simulators.io.replay import RecordSource

    box = _box(Box(), frontend, block)
    device = _frontend(box.frontend)
    source = RecordSource(read_record(record), device.declaration, from_s=from_s, speed=speed, drift_ppm=box.drift_ppm)
    if not as_json:
        for line in source.mapping.lines:
            _say(line)
        if speed != 1.0:
            _say(f"At {speed:g} times its speed this is for looking only: no scan may lean on it.")
    _serve(
        lambda at_ns: EcgBox(source, device, box, (), at_ns),
        device,
        beats=source.beats,
        about={
            "record": str(record),
            "mapping": list(source.mapping.lines),
            "annotated_beats": len(source.beats),
            "speed": speed,
        },
        seconds=source.duration_s if seconds is None else min(seconds, source.duration_s),
        truth=truth,
        as_json=as_json,
    )


@simulate.command(epilog="Example: diastole simulate gantry --port 7400 --truth out/truth")
def gantry(
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 takes a free one.")] = 0,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    seed_angle: Annotated[float, typer.Option(help="Angle of the tube at device time 0, in degrees.")] = 0.0,
    rotation_ms: Annotated[float, typer.Option(min=100.0, help="Time of one rotation.")] = 280.0,
    table_move_ms: Annotated[float, typer.Option(min=0.0, help="Time of one table move.")] = 700.0,
    truth: TruthOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a simulated CT gantry on TCP; prints {"port": N}. Ctrl-C ends it."""
    from simulators.gantry import Gantry
    from simulators.io import tcp

    scanner = Scanner(rotation_ms=rotation_ms, table_move_ms=table_move_ms)
    file = None if truth is None else truth / "beam.jsonl"
    if not as_json:
        _say(f"Gantry at {host}, {rotation_ms:g} ms a rotation; the bridge's driver `gantry` connects to this port:")

    async def run() -> None:
        """Serve until a signal comes."""
        task = asyncio.ensure_future(tcp.serve(Gantry(scanner, seed_angle), host=host, port=port, truth=file))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())


@simulate.command(epilog="Example: diastole simulate waveform 3a 3a.csv, then diastole replay 3a.csv")
def waveform(
    name: Annotated[str, typer.Argument(help="; ".join(f"{name}: {text}" for name, text in NAMES.items()))],
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Where to write it: times, lead II, and the beats.")],
    rate_hz: Annotated[float, typer.Option("--rate", metavar="HZ", min=100.0, max=2000.0)] = 500.0,
    size: Annotated[
        float, typer.Option(min=0.1, max=4.0, help="Of 4a, 4b: times their size; of tall-t: height of the T in mV.")
    ] = 1.0,
) -> None:
    """Write a waveform by which heart-rate meters are tested (IEC 60601-2-27, EC13), for a bench or for `replay`."""
    if name not in NAMES:
        raise SettingsError(f"There is no waveform {name!r}; take one of: {', '.join(NAMES)}.")
    test = meter_test(name, rate_hz, size)
    write_csv(file, test, rate_hz)
    _say(f"{file}: {NAMES[name]}; {len(test.qrs_at_s)} beats, and what is tested begins at {test.begins_s:.2f} s.")


@simulate.command(epilog="Example: diastole simulate phantom rods --speed 30 --out out/rods")
def phantom(
    name: Annotated[str, typer.Argument(help="; ".join(f"{name}: {text}" for name, text in PHANTOMS.items()))],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for slices/ and phantom.json.")],
    seed: Annotated[int, typer.Option(min=0, help="Of noise and start angle.")] = 1,
    speed: Annotated[float, typer.Option(metavar="MM/S", min=0.0, max=200.0, help="Of the rods.")] = 0.0,
    direction: Annotated[float, typer.Option(metavar="DEG", help="Of the rods: 0 to the left, 90 to the back.")] = 0.0,
    kvp: Annotated[int | None, typer.Option(help="Voltage of a spectrum; else one energy of 70 keV.")] = None,
    current: Annotated[float, typer.Option(metavar="MA", min=1.0, max=10_000.0)] = 290.0,
) -> None:
    """Scan a phantom whose calcium is known, and write its slices and what it holds."""
    from simulators.io.phantoms import write_phantom

    count = write_phantom(
        name, out, seed=seed, speed_mm_per_s=speed, direction_deg=direction, kvp=kvp, current_ma=current
    )
    _say(f"{out}/slices: {count} slices of {PHANTOMS[name]}; what it truly holds is in {out}/phantom.json.")


@simulate.command(epilog="Example: diastole simulate study --scenario pvc --seed 7 --out out/pvc")
def study(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for slices, score, report and truth.")],
    scenario: ScenarioOption = "steady",
    seed: SeedOption = None,
    enhanced: Annotated[bool, typer.Option("--enhanced", help="Write the slices as one Enhanced CT too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print report.json at the end and nothing else.")] = False,
) -> None:
    """Run one whole scan in virtual time, without sockets, as fast as the machine can.

    Exit code 0: scanned and scored; 1: not completed, with the reason.
    """
    from simulators.io import play_virtual
    from simulators.io.teller import summary

    story = load_scenario(scenario)
    report = play_virtual.study(
        story if seed is None else reseeded(story, seed),
        out,
        (lambda _: None) if as_json else _say,
        enhanced=enhanced,
    )
    if as_json:
        _say(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        for line in summary(report, out):
            _say(line)
    agatston = report["agatston"]
    scored = isinstance(agatston, dict) and agatston["total"] is not None
    raise typer.Exit(0 if report["complete"] and scored else 1)


def _box(box: Box, frontend: str | None, block: int | None) -> Box:
    """Put what the command line asks for into the box."""
    box = msgspec.structs.replace(box, frontend=frontend or box.frontend)
    allowed = _frontend(box.frontend).declaration.simulated_samples_per_block
    if block is not None and block not in allowed:
        raise SettingsError(f"The box {box.frontend} sends {allowed[0]} to {allowed[-1]} samples a frame, not {block}.")
    return box if block is None else msgspec.structs.replace(box, samples_per_block=block)


def _frontend(name: str) -> Frontend:
    """Find an ECG box by its name."""
    if name not in FRONTENDS:
        raise SettingsError(f"There is no ECG box {name!r}; take one of: {', '.join(FRONTENDS)}.")
    return FRONTENDS[name]


def _serve(
    make_box: Callable[[int], EcgBox],
    device: Frontend,
    *,
    beats: tuple[TrueBeat, ...],
    about: dict[str, object],
    seconds: float,
    truth: Path | None,
    as_json: bool,
) -> Ended:
    """Serve a box until its time is over or a signal comes."""
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: asked.append(number))
    declaration = device.declaration
    told = {"frontend": declaration.name, "leads": list(declaration.leads), "rate_hz": declaration.rate_hz, **about}
    return serve(
        make_box,
        beats,
        about=told,
        seconds=seconds,
        tell=_tell_json if as_json else _tell_person,
        truth=truth,
        stopped=lambda: bool(asked),
    )


def _say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _tell_json(said: dict[str, object]) -> None:
    """Print what the port tells as one JSON line."""
    _say(json.dumps(said))


def _tell_person(said: dict[str, object]) -> None:
    """Turn what the port tells into a sentence."""
    if "port" in said:
        leads = said["leads"] if isinstance(said["leads"], list) else []
        name = FRONTENDS[str(said["frontend"])].declaration.title
        _say(f"{name} ({said['frontend']}) at {said['port']}, {said['rate_hz']:g} Hz, leads {', '.join(leads)}.")
        _say(f"Plug in: set serial.port to {said['port']}. Waiting for a reader; Ctrl-C ends it.")
    elif "started_at_ns" in said:
        _say("A reader has opened the port: patient time 0.")
    elif "unplugged_at_ns" in said:
        _say("The plug has been pulled, as the scenario says; the port is gone.")
    else:
        lost = f" {said['lost_bytes']} bytes found no room and were lost." if said["lost_bytes"] else ""
        _say(f"Ended ({said['ended']}).{lost}")
