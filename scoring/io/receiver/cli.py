"""`diastole receive`: a storage SCP that scores a complete series by itself, as a draft."""

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from scoring.io.receiver.errors import ReceiverError
from scoring.io.receiver.settings import read_receiver

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

EXAMPLE = "Example: diastole receive --site site.toml --store /var/lib/diastole/store"
WORDS = {
    "receiving": "is coming",
    "waiting": "incomplete, waits",
    "settling": "complete, waits for silence",
    "scoring": "is scored",
    "scored": "draft",
    "no-total": "draft without a total",
    "refused": "refused",
    "failed": "failed",
    "identity-conflict": "conflict of identity",
    "no-slices": "no slices",
}


@app.callback()
def callback() -> None:
    """Receive a scanner's slices. Research software, no medical device; not for diagnosis."""


@app.command(epilog=EXAMPLE)
def receive(
    store: Annotated[Path, typer.Option(metavar="DIR", help="Folder of what is received and of the drafts.")],
    site: Annotated[Path, typer.Option(help="The site file; its [scoring.receiver] is read.")] = Path("site.toml"),
    check: Annotated[bool, typer.Option("--check", help="Say what would stop it, and do not run.")] = False,
    status: Annotated[bool, typer.Option("--status", help="Say what has come, what is missing, and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --status: print status.json.")] = False,
) -> None:
    """Receive until Ctrl-C. Exit code 0: ended as told; 1: --check found something in the way; 2: wrong input."""
    from scoring.io.receiver.running import obstacles, run

    try:
        if status:
            _print_status(store, as_json=as_json)
            return
        settings = read_receiver(site)
        if not check:
            run(settings, store)
            return
        found = obstacles(settings, store)
    except ReceiverError as error:
        sys.stderr.write(f"diastole receive: {error}\n")
        raise typer.Exit(2) from error
    for text in found:
        sys.stdout.write(f"{text}\n")
    if found:
        raise typer.Exit(1)
    tls = "TLS" if settings.tls is not None else "no TLS"
    sys.stdout.write(
        f"Ready: {settings.ae_title} on {settings.host}:{settings.port}, {len(settings.peers)} peer(s), {tls}.\n"
    )


def _print_status(store: Path, *, as_json: bool) -> None:
    """Print what a receiver said last."""
    from scoring.io.receiver.running import is_running, read_status

    told = read_status(store)
    if as_json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")
        sys.stdout.buffer.flush()
        return
    console = Console(highlight=False)
    state = "running" if is_running(told) else "not running"
    console.print(f"{told.ae_title} on {told.host}:{told.port}, {told.peers} peer(s): {state}")
    refused = {**{name: count for name, count in told.counts.items() if "rejected:" in name}, **told.denied}
    if refused:
        console.print("refused: " + ", ".join(f"{name.split(': ')[-1]} {n}" for name, n in sorted(refused.items())))
    if not told.series:
        console.print("No series has come yet.")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("series", "images", "state", "what is missing, or where the draft is"):
        table.add_column(name, justify="right" if name == "images" else "left", overflow="fold")
    for one in told.series:
        more = "; ".join((*one.missing, *one.reasons)) or one.result or ""
        if one.reasons and one.result:
            more += f" ({one.result})"
        if one.refused_objects:
            more += f" [{one.refused_objects} object(s) refused]"
        table.add_row(one.series, str(one.images), WORDS[one.state], more)
    console.print(table)
