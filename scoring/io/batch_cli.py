"""`diastole score --batch ROOT --out DIR`: an archive in, a table out, with a line on the progress."""

import sys
from collections.abc import Mapping
from pathlib import Path

from scoring.io.errors import SeriesError
from scoring.settings import ScoreSettings

MAX_WORKERS = 256


def run_batch(
    root: Path,
    out: Path | None,
    settings: ScoreSettings,
    workers: int,
    scheduler: str | None,
    of_one: Mapping[str, object],
) -> int:
    """Score an archive; the exit code is 0 when every study has a score, else 1.

    Parameters
    ----------
    root, out, settings, workers, scheduler
        What the options say.
    of_one
        Options that belong to a single study, with their values, None where they were not given.

    Raises
    ------
    SeriesError
        If an option is wrong, the root is no archive, or the results cannot be written.
    """
    given = [name for name, value in of_one.items() if value is not None]
    if given:
        raise SeriesError(f"--batch scores many studies, and {given[0]} is of one; leave one of the two out.")
    if out is None:
        raise SeriesError("--batch needs --out, the folder of the table and the results.")
    if not 1 <= workers <= MAX_WORKERS:
        raise SeriesError(f"--workers {workers} is out of bounds; take 1 to {MAX_WORKERS}.")
    from scoring.io.batch import TABLE, score_archive  # a single score need not wait for what runs many
    from scoring.io.engines import on_cluster, on_processes

    line = _Line()
    rows = score_archive(
        root.absolute(),
        out,
        settings,
        lambda: on_processes(workers) if scheduler is None else on_cluster(scheduler),
        line.tell,
    )
    line.end()
    scored = sum(row.status == "scored" for row in rows)
    sys.stdout.write(f"{scored} of {len(rows)} studies have a score: {out / TABLE}\n")
    for row in [row for row in rows if row.status in {"wrong", "failed"}][:10]:
        sys.stderr.write(f"diastole score: {row.study}: {row.reasons}\n")
    return 0 if scored == len(rows) else 1


class _Line:
    """One line that is written over on a terminal; elsewhere a line for each tenth of the way."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._last, self._tenth = "", -1

    def tell(self, text: str) -> None:
        """Take the newest word."""
        if self._live:
            sys.stderr.write(f"\r{text}\x1b[K")
            sys.stderr.flush()
            return
        done, _, rest = text.partition(" of ")
        tenth = 10 * int(done) // max(int(rest.split()[0]), 1)
        if tenth > self._tenth:
            self._tenth = tenth
            sys.stderr.write(f"{text}\n")

    def end(self) -> None:
        """Leave the line."""
        if self._live:
            sys.stderr.write("\n")
