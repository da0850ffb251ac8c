"""The folder of one result: a revision for each version of it, written whole or not at all, and never changed after.

DIR/revision-0001/score.json, report.html, ...      a correction is DIR/revision-0002, beside it and never over it
"""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import msgspec

from scoring.io.errors import SeriesError
from scoring.report import ScoreReport

PATTERN = re.compile(r"revision-(\d{4})")
MOST = 9999


def revisions(folder: Path) -> tuple[Path, ...]:
    """List the revisions of a result, the oldest first; none when there is no such folder."""
    if not folder.is_dir():
        return ()
    return tuple(sorted(path for path in folder.iterdir() if PATTERN.fullmatch(path.name) and path.is_dir()))


def number_of(revision: Path) -> int:
    """Give the number of a revision by its folder's name."""
    return int(revision.name.removeprefix("revision-"))


def next_number(folder: Path) -> int:
    """Give the number that the next revision of a result will have, from 1."""
    there = revisions(folder)
    return number_of(there[-1]) + 1 if there else 1


def digest_of(revision: Path) -> str:
    """SHA-256 of a revision's `score.json`: what a correction names as superseded."""
    return hashlib.sha256(_read(revision / "score.json")).hexdigest()


def read_report(revision: Path) -> ScoreReport:
    """Read the `score.json` of a revision.

    Raises
    ------
    SeriesError
        If it is missing or not one.
    """
    try:
        return msgspec.json.decode(_read(revision / "score.json"), type=ScoreReport)
    except msgspec.MsgspecError as error:
        raise SeriesError(f"{revision.name}/score.json is no score of this version ({error}); score anew.") from error


def write_revision(folder: Path, number: int, files: Mapping[str, bytes]) -> Path:
    """Write one revision: all files to the disk under a name of passage, then one rename.

    Raises
    ------
    SeriesError
        If the number is taken, or the disk does not take it; then nothing of the revision is left.
    """
    if not 1 <= number <= MOST:
        raise SeriesError(f"A result has at most {MOST} revisions; begin a new folder.")
    target = folder / f"revision-{number:04d}"
    passing = folder / f".{target.name}.{os.getpid()}"
    try:
        passing.mkdir(parents=True)
        for name, data in files.items():
            with (passing / name).open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        if target.exists():
            raise FileExistsError(17, "it is there already and never overwritten", str(target))
        passing.rename(target)
        _sync(folder)
    except OSError as error:
        with contextlib.suppress(OSError):
            shutil.rmtree(passing)
        raise SeriesError(f"{target} cannot be written ({error.strerror}); nothing of it was kept.") from error
    return target


def _sync(folder: Path) -> None:
    """Make a rename last."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: Path) -> bytes:
    """Read a file of a revision, or name it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise SeriesError(f"{path} cannot be read ({error.strerror}); give the folder of a result.") from error
