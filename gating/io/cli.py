"""The commands of the gate's room: gate, broker, keys, arm, disarm, check."""

import asyncio
import contextlib
import json
import signal
from collections.abc import Coroutine
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from gating.errors import PeerError, SettingsError
from gating.io.keys import make_keys
from gating.io.site import read_site
from gating.messages import BreathHold, ExposureReport, ScannerStatus

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

Config = Annotated[Path, typer.Option("--config", help="The site file.")]
Name = Annotated[str, typer.Option(help="Who asks: a name or initials, for the bridge's audit.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
SITE = Path("site.toml")


@app.callback()
def room() -> None:
    """Gating: keys, the embedded broker, the gate itself, and the operator's word."""


@app.command()
def keys(folder: Annotated[Path, typer.Argument(help="A new folder for the key files.")]) -> None:
    """Make the key pairs of gate, bridge and operator.

    Example: diastole keys site/keys
    """
    for role, key_id in make_keys(folder).items():
        typer.echo(f"{role:<9} {key_id}")
    typer.echo(f"Give each host its own .key and all .pub files of {folder}; a .key never leaves its host.")


@app.command()
def broker(
    config: Annotated[Path | None, typer.Option(help="The site file; its [mqtt] names host, port and users.")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes a free one.")] = None,
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="Users and their hashes; see --add-user.")] = None,
    add_user: Annotated[str | None, typer.Option(help="Add gate, bridge, operator or monitor, then end.")] = None,
) -> None:
    """Run the embedded MQTT broker (MQTT 3.1.1) until interrupted; prints one JSON line when it is ready.

    Example: diastole broker --port 1883
    """
    from gating.io.broker import add_user_to, serve_until_told
    from gating.settings import MqttSettings

    mqtt = MqttSettings() if config is None else read_site(config).mqtt
    users = password_file or (None if mqtt.users_file is None else Path(mqtt.users_file))
    if add_user is not None:
        add_user_to(users, add_user, typer.prompt("Password", hide_input=True, confirmation_prompt=True))
        return
    address = host or mqtt.host

    def ready(port: int) -> None:
        """Say that clients may come."""
        typer.echo(json.dumps({"ready": True, "host": address, "port": port}))

    asyncio.run(serve_until_told(address, mqtt.port if port is None else port, password_file=users, ready=ready))


@app.command()
def gate(config: Config = SITE) -> None:
    """Read the ECG box and publish triggers, until interrupted.

    Example: diastole gate --config site.toml
    """
    import structlog

    from gating.io.process import run_gate

    structlog.configure(
        processors=[structlog.processors.TimeStamper(fmt="iso"), structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(typer.get_text_stream("stderr")),
    )
    log = structlog.get_logger()
    _until_told(run_gate(read_site(config), log.info))


@app.command()
def arm(
    config: Config = SITE,
    name: Name = "operator",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted scan.")] = False,
    begin_hold: Annotated[bool, typer.Option("--begin-hold", help="Begin the breath-hold at once.")] = False,
    hold_after: Annotated[float | None, typer.Option(help="Begin the breath-hold after so many seconds.")] = None,
    override: Annotated[
        str | None,
        typer.Option(metavar="REASON", help="Arm against a rehearsal's advice; needs --name. Interlocks stay."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Arm the bridge as the operator; with a breath-hold, follow the scan to its end (exit 0 when it is complete).

    Example: diastole arm --config site.toml --name AB --hold-after 5
    """
    wait_s = 0.0 if begin_hold else hold_after
    if override is not None and (name == "operator" or not override.strip()):
        raise SettingsError("An advice is overridden by a person with a reason: give --name AB --override 'why'.")
    code = asyncio.run(_arm(config, name, resume=resume, wait_s=wait_s, override=override, as_json=as_json))
    raise typer.Exit(code)


@app.command()
def disarm(config: Config = SITE, name: Name = "operator", as_json: AsJson = False) -> None:
    """End the session as the operator.

    Example: diastole disarm --config site.toml
    """
    raise typer.Exit(asyncio.run(_disarm(config, name, as_json=as_json)))


@app.command()
def check(config: Config = SITE, as_json: AsJson = False) -> None:
    """Say what would stop a scan today: port, rate, adapter, broker, rights, keys, clocks, driver. Takes 5 s.

    Example: diastole check --config site.toml
    """
    from gating.io.check import check_site

    site = read_site(config)
    if not as_json:
        typer.echo("Listening to the ECG box for 3 s, then asking the broker ...", err=True)
    findings = check_site(site, {one.name for one in entry_points(group="diastole.scanner_drivers")})
    stops = any(finding.verdict == "stop" for finding in findings)
    if as_json:
        typer.echo(msgspec.json.encode({"stops": stops, "findings": findings}).decode())
    else:
        marks = {"ok": "ok  ", "warn": "warn", "stop": "STOP"}
        for finding in findings:
            typer.echo(f"{marks[finding.verdict]}  {finding.name:<19} {finding.text}")
        typer.echo("This would stop a scan." if stops else "Nothing would stop a scan.")
    raise typer.Exit(int(stops))


async def _arm(
    config: Path, name: str, *, resume: bool, wait_s: float | None, override: str | None, as_json: bool
) -> int:
    """Arm, tell plan and dose, begin the breath-hold if asked to, and follow the scan; gives the exit code."""
    from gating.io.operator import Declined, Operator, dose_sentence, plan_sentence

    async with Operator(read_site(config), name=name, override=override) as operator:
        armed = await operator.arm(resume=resume)
        if isinstance(armed, Declined):
            return _tell_declined(armed.reasons, f"Not armed: {armed.text}.", as_json=as_json)
        _tell(f"Armed. {plan_sentence(armed.plan)}", as_json=as_json)
        if wait_s is None:
            if as_json:
                typer.echo(json.dumps({"armed": True, "session": armed.session, "plan_hash": armed.plan_hash}))
            return 0
        await asyncio.sleep(wait_s)
        hold = await operator.begin_hold()
        if isinstance(hold, Declined):
            await operator.disarm()
            return _tell_declined(hold.reasons, f"No breath-hold: {hold.text}; disarmed.", as_json=as_json)
        _tell(f"Breath-hold of at most {hold.limit_s:g} s.", as_json=as_json)
        last: ScannerStatus | None = None
        exposures: list[ExposureReport] = []
        async for message in operator.follow():
            match message:
                case ExposureReport():
                    exposures.append(message)
                    why = f" ({', '.join(message.reasons)})" if message.reasons else ""
                    _tell(f"Step {message.step + 1}, beat {message.beat}: {message.outcome}{why}.", as_json=as_json)
                case BreathHold(ended_at_ns=int()):
                    _tell("The breath-hold is over: breathe.", as_json=as_json)
                case ScannerStatus():
                    last = message
                case _:
                    continue
    if last is None:
        raise PeerError("The bridge ended without a word; see its log.")
    why = "" if last.state == "complete" or not last.reasons else f" ({', '.join(last.reasons)})"
    _tell(f"The scan is {last.state}{why}: {dose_sentence(last)}", as_json=as_json)
    if as_json:
        typer.echo(msgspec.json.encode({"state": last.state, "exposures": exposures, "status": last}).decode())
    return int(last.state != "complete")


async def _disarm(config: Path, name: str, *, as_json: bool) -> int:
    """Disarm; gives the exit code."""
    from gating.io.operator import Declined, Operator, dose_sentence

    async with Operator(read_site(config), name=name) as operator:
        end = await operator.disarm()
    if isinstance(end, Declined):
        return _tell_declined(end.reasons, f"Not disarmed: {end.text}.", as_json=as_json)
    _tell(f"The bridge is {end.state}: {dose_sentence(end)}", as_json=as_json)
    if as_json:
        typer.echo(json.dumps({"state": end.state, "session": end.session}))
    return 0


def _tell(text: str, *, as_json: bool) -> None:
    """Print a line for people; beside JSON it goes to the error stream."""
    typer.echo(text, err=as_json)


def _tell_declined(reasons: tuple[str, ...], text: str, *, as_json: bool) -> int:
    """Print a refusal and give its exit code."""
    _tell(text, as_json=as_json)
    if as_json:
        typer.echo(json.dumps({"declined": reasons}))
    return 1


def _until_told(work: Coroutine[Any, Any, None]) -> None:
    """Run something until it ends or SIGINT or SIGTERM comes; what it began, it ends."""

    async def run() -> None:
        """Let a signal cancel the work."""
        task = asyncio.ensure_future(work)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(run())
