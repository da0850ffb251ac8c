"""`diastole review`: the page on which a person gives lesions their vessels."""

import asyncio
import secrets
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from scoring.io.errors import SeriesError
from scoring.review.app import address_of, bind, make_app, review_server, serve
from scoring.review.desk import Desk
from scoring.review.opening import Opened, Told, open_review

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

DEFAULT = Path("out/demo")
EXAMPLE = "Example: diastole review out/demo"


@app.callback()
def callback() -> None:
    """Review a calcium score. Research software, no medical device; not for diagnosis."""


@app.command(epilog=EXAMPLE)
def review(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="DIR", help="Folder of one series, of a demo or study, or of a result. [default: out/demo]"
        ),
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Vessel map to begin with: a BINARY DICOM SEG.")] = None,
    scan: Annotated[Path | None, typer.Option(help="scan.json, what the acquisition says of itself.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the result; each save is a revision in it.")] = None,
    person: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Age, sex, group and more.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Serve here; 0 takes any free port.")] = 0,
) -> None:
    """Serve the review page on this computer and print its address; end with Ctrl-C. Exit code 2: wrong input."""
    try:
        opened = open_review(Told(_default() if folder is None else folder, labels, scan, out, person))
        listener = bind(port)
    except SeriesError as error:
        sys.stderr.write(f"diastole review: {error}\n")
        raise typer.Exit(2) from error
    token = secrets.token_urlsafe(24)
    typer.echo(f"Page: {address_of(listener, token)}")
    typer.echo(_in_words(opened))
    desk = Desk(opened, wall_time)
    try:
        asyncio.run(serve(review_server(make_app(desk, token)), listener))
    finally:
        desk.close()


def _default() -> Path:
    """Take the simulated study that `make demo` leaves.

    Raises
    ------
    SeriesError
        If there is none.
    """
    if not DEFAULT.is_dir():
        raise SeriesError(
            f"No folder was given and there is no {DEFAULT}; give one, or make a simulated study: "
            f"`diastole simulate study --out {DEFAULT}`."
        )
    return DEFAULT


def wall_time() -> str:
    """Say when it is, ISO 8601 with its offset."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _in_words(opened: Opened) -> str:
    """Say what is open and where it will go."""
    begins = f"revision {opened.base}" if opened.base else "no revision yet"
    return f"Result: {opened.out} ({begins}). The address opens once, in one browser. Ctrl-C ends."
