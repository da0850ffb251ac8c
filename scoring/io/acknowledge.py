"""Who has seen a very high score: `diastole acknowledge`. One line for each time, added and never changed."""

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from scoring.io.errors import SeriesError
from scoring.io.revisions import digest_of, number_of, read_report, revisions

FILE = "acknowledged.jsonl"
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One person saw one revision of a result."""

    by: str  # as they named themselves
    at: str  # wall time, ISO 8601 with its offset
    revision: int
    score_sha256: str  # of the `score.json` that was seen
    very_high_from: float
    shown: str


def acknowledgements(folder: Path) -> tuple[Acknowledgement, ...]:
    """Read who has seen a result; nobody, when there is no such file.

    Raises
    ------
    SeriesError
        If the file is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return ()
    try:
        return tuple(msgspec.json.decode(line, type=Acknowledgement) for line in path.read_bytes().splitlines())
    except (OSError, msgspec.MsgspecError) as error:
        raise SeriesError(f"{path} is damaged; nothing more can be recorded in it until it is mended.") from error


def waiting(folder: Path) -> str | None:
    """Say what of a result still waits to be seen; None when nothing does.

    Raises
    ------
    SeriesError
        If the folder holds no result.
    """
    report = read_report(_latest(folder))
    if report.very_high_from is None:
        return None
    digest = digest_of(_latest(folder))
    if any(one.score_sha256 == digest for one in acknowledgements(folder)):
        return None
    named = report.settings.cardiologist or "the cardiologist who answers for this site"
    return f"Agatston {report.score.shown}, {report.very_high_from:g} or more, has not been seen by {named}."


def acknowledge(folder: Path, by: str, at: str) -> Acknowledgement:
    """Record that a person saw the latest revision of a very high score.

    Raises
    ------
    SeriesError
        If there is no result, it is not very high, nobody is named, or the disk does not take the line.
    """
    revision = _latest(folder)
    report = read_report(revision)
    if not by.strip():
        raise SeriesError("Nobody is named; say who has seen it with --by.")
    if report.very_high_from is None:
        raise SeriesError("The latest revision is not flagged as very high, so there is nothing to acknowledge.")
    acknowledgements(folder)  # a damaged file takes no further line
    one = Acknowledgement(
        by=by.strip(),
        at=at,
        revision=number_of(revision),
        score_sha256=digest_of(revision),
        very_high_from=report.very_high_from,
        shown=report.score.shown or "",
    )
    try:
        with (folder / FILE).open("ab") as file:
            file.write(msgspec.json.encode(one) + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise SeriesError(f"{folder / FILE} cannot be written ({error.strerror}); nothing was recorded.") from error
    return one


def _latest(folder: Path) -> Path:
    """Give the latest revision of a result."""
    there = revisions(folder)
    if not there:
        raise SeriesError(f"{folder} holds no result (no revision-0001 in it); give the folder of one.")
    return there[-1]


@app.callback()
def callback() -> None:
    """Record who has seen a very high score. Research software, no medical device; not for diagnosis."""


@app.command("acknowledge", epilog='Example: diastole acknowledge out/score --by "A. Example, cardiology"')
def command(
    folder: Annotated[Path, typer.Argument(metavar="RESULT", help="Folder of a result: it holds revision-0001.")],
    by: Annotated[str, typer.Option(help="Who has seen it; without it: say whether it waits.")] = "",
) -> None:
    """Record that a very high score was seen. Exit code 0: seen, or not flagged; 1: it waits; 2: wrong input."""
    try:
        if by:
            one = acknowledge(folder, by, datetime.now().astimezone().isoformat(timespec="seconds"))
            sys.stdout.write(f"Recorded: {one.by} has seen Agatston {one.shown}, revision {one.revision}, {one.at}.\n")
            return
        waits = waiting(folder)
    except SeriesError as error:
        sys.stderr.write(f"diastole acknowledge: {error}\n")
        raise typer.Exit(2) from error
    sys.stdout.write((waits or "Nothing waits to be seen.") + "\n")
    if waits is not None:
        raise typer.Exit(1)
