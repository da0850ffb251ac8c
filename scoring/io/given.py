"""Where the images of one score come from, as the options say: a path, or a DICOMweb archive."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scoring.io.errors import SeriesError


@contextmanager
def opened(
    source: Path | None, series: str | None, dicomweb: str | None, study: str | None, token_file: Path | None
) -> Iterator[tuple[Path, int | None]]:
    """Give the path of the images and, where they are several series, the number of the one that is meant.

    Raises
    ------
    SeriesError
        If the options do not name one place, or the archive does not give the series.
    """
    if dicomweb is None:
        if source is None or study is not None or token_file is not None:
            raise SeriesError("Say what to score: a PATH, --batch ROOT, or --dicomweb URL with --study and --series.")
        if series is not None and not (series.isdecimal() and len(series) < 5):
            raise SeriesError(f"--series {series[:70]!r} is no number; without it, a list of the series is given.")
        yield source, None if series is None else int(series)
        return
    if source is not None or study is None or series is None:
        raise SeriesError("--dicomweb needs --study UID and --series UID, and no PATH.")
    from scoring.io.dicomweb import retrieved  # its libraries load for long, and few need them

    with retrieved(dicomweb, study, series, token_file) as folder:
        yield folder, None
