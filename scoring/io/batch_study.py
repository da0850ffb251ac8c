"""One study of an archive, wherever it runs: from its folder to a row and the files of its result. It writes nothing.

What decides a result is its digest: the bytes of the images, the map and the scan's own word, whatever they are called,
and the settings and the version. A study whose digest is known is not scored again.
"""

import hashlib
import time
from importlib.metadata import version
from pathlib import Path

import msgspec

from scoring.io.errors import SeriesError
from scoring.io.html import render
from scoring.io.scored_series import ScoredSeries, score_series
from scoring.report import to_json
from scoring.settings import ScoreSettings

MAP_NAME, SCAN_NAME = "labels.seg.dcm", "scan.json"
SEGMENTATION = b"UI\x1c\x001.2.840.10008.5.1.4.1.1.66.4"  # as it stands in the file meta information
HEADER_BYTES = 2048
MAX_REASONS = 20


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A study to be scored."""

    study: str  # its pseudonym in the table
    folder: str  # that directly holds its slices
    root: str  # of the archive: nothing outside it is looked at
    settings: ScoreSettings
    known: str = ""  # digest of the result that is there already


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line of the table; without a name or an identifier that leads to a person."""

    study: str  # the first 16 hex digits of SHA-256 of its folder's place in the archive
    status: str  # scored, no-total, refused; wrong: a file or folder is; failed: the program is, it is tried again
    shown: str = ""
    category: str = ""
    cac_drs: str = ""
    agatston: float | None = None
    LM: float | None = None
    LAD: float | None = None
    LCX: float | None = None
    RCA: float | None = None
    volume_mm3: float | None = None
    lesions: int | None = None
    series: str = ""
    slices: int | None = None
    increment_mm: float | None = None
    thickness_mm: float | None = None
    kvp: float | None = None
    vessel_map: bool = False
    reasons: str = ""
    seconds: float = 0.0
    revision: int | None = None
    digest: str = ""


class Done(msgspec.Struct, frozen=True):
    """What a worker gives back; no row when the study is unchanged."""

    study: str
    row: Row | None
    files: dict[str, bytes]


def score_study(job: Job) -> Done:
    """Score one study; whatever happens to it is its row, so that a bad study never stops a run."""
    began_s = time.perf_counter()
    digest = ""
    try:
        folder, root = Path(job.folder), Path(job.root)
        images = _images(folder)
        labels, scan = _map_of(folder, root, images), _beside(SCAN_NAME, folder, root)
        digest = digest_of(images, labels, scan, job.settings)
        if digest == job.known:
            return Done(job.study, None, {})
        scored = score_series(folder, labels, scan, job.settings)
        row = _row(job.study, scored, labels is not None)
        files = {
            "score.json": to_json(scored.report),
            "report.html": render(scored.report, scored.outcome, scored.volume).encode(),
        }
    except SeriesError as error:
        row, files = Row(study=job.study, status="wrong", reasons=_without(str(error), job)), {}
    except Exception as error:  # a fault of ours in one study must not end a night's run; its class names it
        row, files = Row(study=job.study, status="failed", reasons=f"Not scored ({type(error).__name__})."), {}
    seconds = round(time.perf_counter() - began_s, 3)
    return Done(job.study, msgspec.structs.replace(row, seconds=seconds, digest=digest), files)


def digest_of(images: dict[Path, str], labels: Path | None, scan: Path | None, settings: ScoreSettings) -> str:
    """Digest of everything that decides a result; the names and the order of the files do not."""
    whole = hashlib.sha256()
    for one in (*sorted(images.values()), "map", _digest(labels), "scan", _digest(scan)):
        whole.update(one.encode())
    whole.update(msgspec.json.encode(settings, order="deterministic"))
    whole.update(version("diastole").encode())
    return whole.hexdigest()


def _images(folder: Path) -> dict[Path, str]:
    """Digest of each file of a folder, hidden ones left out."""
    try:
        paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
        return {path: _digest(path) for path in paths}
    except OSError as error:
        raise SeriesError(f"The study cannot be read ({error.strerror}); mend its folder, and run again.") from error


def _digest(path: Path | None) -> str:
    """SHA-256 of a file; empty when there is none."""
    if path is None:
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _beside(name: str, folder: Path, root: Path) -> Path | None:
    """Find a file of this name in the folder or, inside the archive, beside it."""
    for place in (folder, folder.parent) if folder != root else (folder,):
        if (place / name).is_file():
            return place / name
    return None


def _map_of(folder: Path, root: Path, images: dict[Path, str]) -> Path | None:
    """Find the vessel map of a study: by its name, else the one segmentation among the images."""
    named = _beside(MAP_NAME, folder, root)
    if named is not None:
        return named
    found = []
    for path in images:
        with path.open("rb") as file:
            if SEGMENTATION in file.read(HEADER_BYTES):
                found.append(path)
    if len(found) > 1:
        raise SeriesError(f"There are {len(found)} segmentations; call the one that is meant {MAP_NAME}.")
    return found[0] if found else None


def _row(study: str, scored: ScoredSeries, mapped: bool) -> Row:
    """Make the row of a score or refusal."""
    report = scored.report
    total, series = report.score.total, report.provenance
    parts = {
        name: part.agatston for name, part in report.score.by_vessel.items() if name in {"LM", "LAD", "LCX", "RCA"}
    }
    return Row(
        study=study,
        status=report.status,
        shown=report.score.shown or "",
        category=report.category or "",
        cac_drs=report.cac_drs or "",
        agatston=None if total is None else total.agatston,
        volume_mm3=None if total is None else total.volume_mm3,
        lesions=None if total is None else total.lesions,
        series="" if series is None else series.series,
        slices=None if series is None else series.slices,
        increment_mm=None if series is None else series.increment_mm,
        thickness_mm=None if series is None else series.thickness_mm,
        kvp=None if series is None else series.kvp,
        vessel_map=mapped,
        reasons=" ".join(report.reasons[:MAX_REASONS]),
        LM=parts.get("LM"),
        LAD=parts.get("LAD"),
        LCX=parts.get("LCX"),
        RCA=parts.get("RCA"),
    )


def _without(told: str, job: Job) -> str:
    """Take the places of a study out of a sentence: in archives a folder is often called like its patient."""
    for place in (job.folder, job.root):
        told = told.replace(place, "the study")
    return told
