"""A whole archive -> one table: each folder that directly holds CT slices is a study, and has a row and a result.

OUT/studies.jsonl      a line for each study that was scored, written as it ends; it survives a kill
OUT/scores.csv         the table, and scores.parquet where pyarrow is installed
OUT/places.csv         which folder of the archive each study is: kept apart, readable by its owner only
OUT/<study>/revision-0001/score.json, report.html      a study that changed has the next revision

A run that was broken off goes on where it was; a study whose content, settings and version are those of its last row is
not scored again.
"""

import csv
import hashlib
import importlib.util
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import msgspec
import pydicom

from scoring.io.batch_study import Done, Job, Row, score_study
from scoring.io.engines import Engine, on_processes
from scoring.io.errors import SeriesError
from scoring.io.lines import whole_lines
from scoring.io.revisions import digest_of, next_number, number_of, revisions, write_revision
from scoring.settings import ScoreSettings

CT_CLASSES = {"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"}
LINES, TABLE, PLACES = "studies.jsonl", "scores.csv", "places.csv"
AHEAD = 4  # studies that wait for each process
MAX_DEPTH = 16
NO_IMAGE = {".json", ".jsonl", ".html", ".txt", ".csv", ".md", ".pdf", ".png", ".jpg", ".toml", ".xml", ".log", ".zip"}
Engines = Callable[[], AbstractContextManager[Engine]]
Tell = Callable[[str], None]


def find_studies(root: Path, out: Path) -> Iterator[Path]:
    """Find the folders that directly hold CT slices, in the order of their names; links are not followed.

    Raises
    ------
    SeriesError
        If the root is no folder, or folders lie too deep to be an archive.
    """
    if not root.is_dir():
        raise SeriesError(f"{root} is not a folder; give the root of an archive.")
    results = out.resolve()
    for here, below, names in os.walk(root):
        folder = Path(here)
        below[:] = sorted(n for n in below if not n.startswith(".") and (folder / n).resolve() != results)
        if below and len(folder.relative_to(root).parts) >= MAX_DEPTH:
            raise SeriesError(f"The archive has folders more than {MAX_DEPTH} deep; give a lower root.")
        if any(_is_ct(folder / name) for name in sorted(names) if not name.startswith(".")):
            yield folder


def _is_ct(path: Path) -> bool:
    """Tell by its header that a file is a CT image and no localizer."""
    if path.suffix.lower() in NO_IMAGE or path.name.upper() == "DICOMDIR" or not path.is_file():
        return False
    try:
        head = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID", "ImageType"])
        kinds = {str(one).upper() for one in head.get("ImageType") or ()}
        return str(head.get("SOPClassUID", "")) in CT_CLASSES and "LOCALIZER" not in kinds
    except Exception:  # pydicom raises what it meets; what is called an image must not vanish from the table
        return path.suffix.lower() in {".dcm", ".ima"}


def study_name(folder: Path, root: Path) -> str:
    """Pseudonym of a study: the first 16 hex digits of SHA-256 of its folder's place in the archive."""
    return hashlib.sha256(folder.relative_to(root).as_posix().encode()).hexdigest()[:16]


def score_archive(root: Path, out: Path, settings: ScoreSettings, engines: Engines, tell: Tell) -> list[Row]:
    """Score every study of an archive and write the table.

    Parameters
    ----------
    root, out
        The archive, which is only read, and the folder of the results.
    settings
        Of all studies.
    engines
        Opens where the studies run; called again when it broke down.
    tell
        Takes a line on the progress.

    Returns
    -------
    list of Row
        One for each study that is in the archive now, in the order of its folders.

    Raises
    ------
    SeriesError
        If the root is no archive, or the results cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        before = read_rows(out)
        folders = {study_name(folder, root): folder for folder in find_studies(root, out)}
        if not folders:
            raise SeriesError(f"{root} holds no folder with CT slices; give the root of an archive.")
        _write_places(out, folders, root)
        jobs = [
            Job(study=name, folder=str(folder), root=str(root), settings=settings, known=_known(before.get(name)))
            for name, folder in folders.items()
        ]
        rows = _run(jobs, before, out, engines, tell)
        table = [rows[name] for name in folders]
        _write_tables(out, table)
    except OSError as error:
        raise SeriesError(f"{out} cannot be written ({error.strerror}); choose another --out.") from error
    return table


def _known(row: Row | None) -> str:
    """Digest of a result that stands; one that failed by our fault is tried again."""
    return "" if row is None or row.status == "failed" else row.digest


def read_rows(out: Path) -> dict[str, Row]:
    """Read the last row of each study; a line that was cut off by a kill is cut away.

    Raises
    ------
    SeriesError
        If the file is another one's.
    """
    path = out / LINES
    try:
        return {row.study: row for row in (msgspec.json.decode(line, type=Row) for line in whole_lines(path))}
    except msgspec.DecodeError as error:
        raise SeriesError(f"{path} is no table of this version ({error}); choose another --out.") from error


def _run(jobs: Sequence[Job], before: dict[str, Row], out: Path, engines: Engines, tell: Tell) -> dict[str, Row]:
    """Run all jobs; each row is on disk before the next is asked for."""
    rows, began_s, unchanged = dict[str, Row](), time.monotonic(), 0
    with (out / LINES).open("ab") as file:
        for done in _every(jobs, engines):
            row = before[done.study] if done.row is None else _keep(done, out, file)
            rows[done.study] = row
            unchanged += done.row is None
            tell(_progress(rows, len(jobs), unchanged, time.monotonic() - began_s))
    return rows


def _keep(done: Done, out: Path, file: BinaryIO) -> Row:
    """Write a study's result, then its row."""
    row = done.row
    assert row is not None
    if done.files:
        folder = out / done.study
        there = revisions(folder)
        if there and digest_of(there[-1]) == hashlib.sha256(done.files["score.json"]).hexdigest():
            number = number_of(there[-1])  # a kill came between the result and its row
        else:
            number = number_of(write_revision(folder, next_number(folder), done.files))
        row = msgspec.structs.replace(row, revision=number)
    file.write(msgspec.json.encode(row) + b"\n")
    file.flush()
    os.fsync(file.fileno())
    return row


def _every(jobs: Sequence[Job], engines: Engines) -> Iterator[Done]:
    """Run jobs wherever they run; when workers die, those that were at work are run again, each alone."""
    left = list(reversed(jobs))
    while left:
        suspects: list[Job] = []
        with engines() as engine:
            at_work: dict[Future[Done], Job] = {}
            while at_work or (left and not suspects):
                while left and not suspects and len(at_work) < AHEAD * engine.workers():
                    try:
                        at_work[engine.pool.submit(score_study, left[-1])] = left[-1]
                        left.pop()
                    except engine.broken:
                        suspects.append(left.pop())
                for one in wait(at_work, return_when=FIRST_COMPLETED).done:
                    job = at_work.pop(one)
                    try:
                        yield one.result()
                    except engine.broken:
                        suspects.append(job)
        for job in suspects:
            yield _alone(job)


def _alone(job: Job) -> Done:
    """Run one study in a process of its own; that it dies is then its own doing."""
    with on_processes(1) as engine:
        try:
            return engine.pool.submit(score_study, job).result()
        except engine.broken:
            told = "The process that scored it died, for want of memory perhaps."
            return Done(job.study, Row(study=job.study, status="failed", reasons=told), {})


def _progress(rows: dict[str, Row], total: int, unchanged: int, seconds: float) -> str:
    """One line on how far it is."""
    counts = Counter(row.status for row in rows.values())
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    new = len(rows) - unchanged
    left_s = (total - len(rows)) * seconds / new if new else 0.0
    ending = f"; about {left_s / 60:.0f} min left" if left_s >= 60 else ""
    same = f"; {unchanged} unchanged" if unchanged else ""
    return f"{len(rows)} of {total} studies: {told}{same}{ending}"


def _write_places(out: Path, folders: dict[str, Path], root: Path) -> None:
    """Write which folder each study is, for its owner only."""
    passing = out / f".{PLACES}.{os.getpid()}"
    handle = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(("study", "folder"))
        writer.writerows((name, folder.relative_to(root).as_posix()) for name, folder in folders.items())
    passing.replace(out / PLACES)


def _write_tables(out: Path, rows: Sequence[Row]) -> None:
    """Write the table as CSV, and as Parquet where pyarrow is installed, each whole or not at all."""
    passing = out / f".{TABLE}.{os.getpid()}"
    with passing.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, Row.__struct_fields__)
        writer.writeheader()
        writer.writerows(msgspec.structs.asdict(row) for row in rows)
    passing.replace(out / TABLE)
    if importlib.util.find_spec("pyarrow") is None:
        return
    import pyarrow as pa
    from pyarrow import parquet

    parquet.write_table(pa.Table.from_pylist([msgspec.structs.asdict(row) for row in rows]), passing)
    passing.replace(out / "scores.parquet")
