"""`diastole bridge`: hear triggers and control the scanner."""

import asyncio
import contextlib
import itertools
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import structlog
import typer

from gating.errors import SettingsError
from gating.io.bus import Bus
from gating.io.keys import Keyring
from gating.io.site import read_site
from gating.messages import (
    Armed,
    BreathHold,
    Cancel,
    ExposureReport,
    Inhibit,
    KeepAlive,
    Message,
    OperatorRequest,
    Ping,
    Pong,
    ScannerStatus,
    Trigger,
    TriggerAnswer,
)
from gating.settings import SiteSettings
from scanner_bridge.io.audit import AuditLog
from scanner_bridge.io.guard import Guard
from scanner_bridge.io.loop import BridgeLoop
from scanner_bridge.io.registry import create_from
from scanner_bridge.plan import plan_from
from scanner_bridge.session import Session
from scanner_bridge.settings import parse_bridge

app = typer.Typer(add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False)
LISTEN = (Trigger, KeepAlive, Cancel, Inhibit, Pong, OperatorRequest)
AUDIT_NAME = "audit.log"


@app.callback()
def main() -> None:
    """Hear triggers and control the scanner."""


def tokens() -> Iterator[str]:
    """Draw unguessable strings without end."""
    return (secrets.token_hex(12) for _ in itertools.count())


class Teller:
    """Says on the terminal what happens: each change once, no ping and no repeated status."""

    def __init__(self, *, as_json: bool) -> None:
        renderer = structlog.processors.JSONRenderer() if as_json else None
        self._log = None
        if renderer is not None:
            stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)  # wall time: a label only
            self._log = structlog.wrap_logger(structlog.PrintLogger(), processors=[stamp, renderer])
        self._last_state: object = None

    def __call__(self, what: Message | str) -> None:
        """Say one thing."""
        text = what if isinstance(what, str) else self._in_words(what)
        if text is None:
            return
        if self._log is not None:
            self._log.info(text, kind="text" if isinstance(what, str) else type(what).__name__)
        else:
            typer.echo(f"bridge: {text}")

    def _in_words(self, message: Message) -> str | None:
        """Put a message into words; None for one that says nothing new."""
        match message:
            case ScannerStatus():
                state = (message.state, message.reasons, message.next_step, message.next_attempt)
                if state == self._last_state:
                    return None
                self._last_state = state
                step = "" if message.next_step is None else f", step {message.next_step + 1}"
                why = f": {', '.join(message.reasons)}" if message.reasons else ""
                return f"{message.state}{step}{why}"
            case TriggerAnswer() if message.accepted_at_ns is None:
                return f"trigger for beat {message.beat} refused: {', '.join(message.reasons)}"
            case TriggerAnswer():
                return f"trigger for beat {message.beat} accepted for step {message.step + 1}"
            case ExposureReport():
                why = f": {', '.join(message.reasons)}" if message.reasons else ""
                return (
                    f"step {message.step + 1}, attempt {message.attempt}, beat {message.beat}: {message.outcome}{why}"
                )
            case Armed():
                return f"armed, session {message.session}"
            case BreathHold():
                return "breath-hold began" if message.ended_at_ns is None else "breath-hold ended"
            case Ping():
                return None
            case _:
                return type(message).__name__


@app.command(epilog="Example: diastole bridge --config site.toml")
def bridge(
    config: Annotated[Path, typer.Option(help="The site file.")],
    log: Annotated[str, typer.Option(help="text or json.")] = "text",
) -> None:
    """Hear triggers, check each limit again, and control the scanner that the site file names."""
    if log not in {"text", "json"}:
        raise SettingsError(f"--log takes text or json, not {log!r}.")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(read_site(config), config, Teller(as_json=log == "json")))


async def _serve(site: SiteSettings, config: Path, tell: Teller) -> None:
    """Put session, bus, driver, audit log and watchdog together and run them until a signal."""
    settings = parse_bridge(site.bridge, str(config))
    plan = plan_from(settings.plan)
    driver = create_from(settings)
    keyring = Keyring(Path(site.keys.folder), "bridge")
    audit = AuditLog(Path(site.out) / AUDIT_NAME)
    session = Session(plan, driver.capabilities, settings, dict(keyring.roles), tokens())
    bus = Bus(site.mqtt, site.site, keyring, role="bridge", listen=LISTEN, now_ns=time.monotonic_ns)
    deadline_s = settings.command_deadline_ms / 1000
    loop = BridgeLoop(session, bus, driver, audit, command_deadline_s=deadline_s, tell=tell)
    guard = None if driver.capabilities.control == "none" else Guard(settings, loop.guard_says)
    dose = plan.planned_dlp_mgycm * plan.msv_per_mgycm
    tell(f"driver {settings.driver}, {len(plan.table_mm)} steps, about {dose:.2f} mSv, audit in {audit.path}")
    running = asyncio.ensure_future(loop.run(guard))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        tell("ended")
    finally:
        audit.close()
