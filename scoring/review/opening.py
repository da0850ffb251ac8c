"""A folder on disk -> what the page opens: the series, the map to begin with, and where its revisions go."""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from scoring.coronary_finder import Proposed, propose
from scoring.io.dicom_in import read_series
from scoring.io.errors import SeriesError
from scoring.io.labels_in import read_labels
from scoring.io.published import read_person
from scoring.io.revisions import digest_of, number_of, read_report, revisions
from scoring.io.scored_series import Asked, ScoredSeries, score_series, told_of
from scoring.labelling import Pixel
from scoring.lesions import Labels
from scoring.quality import NOT_MEASURED
from scoring.report import pseudonym
from scoring.score import score_volume
from scoring.settings import ScoreSettings
from scoring.volume import Refusal

POINTER = "source.json"  # beside the revisions: where the slices of a result are, relative to it
MAP = "vessels.seg.dcm"  # in a revision: the map that its score was made from


DECISIONS = "review.json"  # in a revision: which islands its reader had decided on


@dataclass(frozen=True, slots=True)
class Told:
    """What the user named; all but the folder may be missing."""

    folder: Path
    labels: Path | None = None
    scan: Path | None = None
    out: Path | None = None
    person: Path | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """One series on the reader's table."""

    before: ScoredSeries  # as it stands on disk; its report holds all facts but the map
    slices: Path
    out: Path  # the folder of the result
    first: Proposed | None  # None: there is no volume to label
    as_written: bool  # the map to begin with is that of the revision
    decided: bool | frozenset[Pixel]  # what of it an earlier reader decided on; True: all
    base: int  # number of the revision that it begins from; 0: none
    supersedes: str  # SHA-256 of that revision's score.json
    notices: tuple[str, ...]


class Decided(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the file of decisions."""

    islands: tuple[Pixel, ...]  # each by its first pixel


class Pointer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the pointer file."""

    slices: str


def open_review(told: Told) -> Opened:
    """Find slices, map and result by the folder that was named, and read them.

    Raises
    ------
    SeriesError
        If something that is needed is not there, or not what it claims to be.
    """
    placed = _placed(told)
    if placed.out is None:
        raise SeriesError("The result has no folder; give one with --out.")
    if placed.out.exists() and not placed.out.is_dir():
        raise SeriesError(f"{placed.out} is no folder; give another one with --out.")
    there = revisions(placed.out)
    return _reopened(placed, placed.out, there[-1]) if there else _fresh(placed, placed.out)


def write_pointer(out: Path, slices: Path) -> None:
    """Say beside the revisions where the slices are, so that the result's folder opens by itself.

    Raises
    ------
    SeriesError
        If the disk does not take it.
    """
    where = os.path.relpath(slices.resolve(), out.resolve())
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / POINTER).write_bytes(msgspec.json.encode(Pointer(where)) + b"\n")
    except OSError as error:
        raise SeriesError(f"{out} cannot be written ({error.strerror}); choose another folder with --out.") from error


def _placed(told: Told) -> Told:
    """Fill in what a folder of a known shape tells by itself; `folder` is then that of the slices."""
    folder = told.folder
    if not folder.is_dir():
        raise SeriesError(f"{folder} is not a folder; give that of a series, of a demo or of a result.")
    if revisions(folder):
        slices = _pointed(folder)
        return replace(told, folder=slices, out=told.out or folder)
    if (folder / "slices").is_dir():
        out = told.out or folder / "review"
        if revisions(out):  # what a reader has written goes before the map that lies beside the slices
            return replace(told, folder=folder / "slices", out=out)
        labels, scan = folder / "labels.seg.dcm", folder / "scan.json"
        return Told(
            folder=folder / "slices",
            labels=told.labels or (labels if labels.is_file() else None),
            scan=told.scan or (scan if scan.is_file() else None),
            out=out,
            person=told.person,
        )
    beside = folder.resolve()
    return replace(told, out=told.out or beside.parent / f"{beside.name}-review")


def _pointed(result: Path) -> Path:
    """Find the slices of a result."""
    cure = "give the folder of the slices, and this one with --out."
    try:
        pointer = msgspec.json.decode((result / POINTER).read_bytes(), type=Pointer)
    except FileNotFoundError as error:
        raise SeriesError(f"{result} does not say where its slices are; {cure}") from error
    except (OSError, msgspec.MsgspecError) as error:
        raise SeriesError(f"{result / POINTER} cannot be read; {cure}") from error
    slices = (result / pointer.slices).resolve()
    if not slices.is_dir():
        raise SeriesError(f"The slices of {result} are not at {slices} any more; {cure}")
    return slices


def _fresh(placed: Told, out: Path) -> Opened:
    """Open a series that has no result yet."""
    asked = Asked(person=None if placed.person is None else read_person(placed.person))
    before = score_series(placed.folder, placed.labels, placed.scan, ScoreSettings(), asked)
    first, notices = _first(before, before.labels)
    return Opened(before, placed.folder, out, first, False, False, 0, "", notices)


def _reopened(placed: Told, out: Path, latest: Path) -> Opened:
    """Open a series by the newest revision of its result: its settings, its facts and its map."""
    report, number = read_report(latest), number_of(latest)
    missing = report.acquisition is not None and not report.acquisition.whole
    read = read_series(placed.folder, report.settings, missing_allowed=missing)
    if isinstance(read, Refusal):
        refused = msgspec.structs.replace(report, reasons=read.reasons)
        before = ScoredSeries(refused, read, None, None)
        return Opened(before, placed.folder, out, None, False, False, number, digest_of(latest), ())
    if report.provenance is not None and report.provenance.series != pseudonym(read.series_uid):
        raise SeriesError(f"{out} is the result of another series; give its own slices, or another --out.")
    notices = []
    if placed.scan is not None:
        notices.append(f"What the acquisition says of itself is that of revision {number}; the scan.json given is not.")
    labels, as_written = None, False
    if placed.labels is not None:
        labels = read_labels(placed.labels, read)
        notices.append(f"The map is the one given, not that of revision {number}.")
    elif (latest / MAP).is_file():
        labels, as_written = read_labels(latest / MAP, read), True
    else:
        notices.append(f"Revision {number} holds no vessel map, so every lesion waits for you again.")
    measured = NOT_MEASURED if report.quality is None else report.quality.measured
    outcome = score_volume(read, labels, report.settings, report.acquisition, report.score.calibration, measured)
    if placed.person is not None:
        report = told_of(report, read_person(placed.person))
    before = ScoredSeries(report, outcome, read, labels)
    first, why = _first(before, labels)
    notices += why
    decided = as_written and (not report.draft or _decided(latest))
    return Opened(before, placed.folder, out, first, as_written, decided, number, digest_of(latest), tuple(notices))


def decisions(pixels: tuple[Pixel, ...]) -> bytes:
    """Write what is decided, for whoever opens the revision again."""
    return msgspec.json.encode(Decided(pixels)) + b"\n"


def _decided(revision: Path) -> frozenset[Pixel]:
    """Read what the reader of a draft had decided; nothing where no page wrote it."""
    path = revision / DECISIONS
    if not path.is_file():
        return frozenset()
    try:
        return frozenset(msgspec.json.decode(path.read_bytes(), type=Decided).islands)
    except (OSError, msgspec.MsgspecError) as error:
        raise SeriesError(f"{revision.name}/{DECISIONS} cannot be read; give the map by --labels.") from error


def _first(before: ScoredSeries, labels: Labels | None) -> tuple[Proposed | None, tuple[str, ...]]:
    """Begin with the given map, else with what is proposed; with an empty one and the reason where nothing can be."""
    if before.volume is None:
        return None, ()
    if labels is not None:
        return Proposed(labels), ()
    found = propose(before.volume, before.report.settings)
    if isinstance(found, Proposed):
        return found, ()
    vessels = np.zeros(before.volume.hu.shape, dtype=np.uint8)
    vessels.setflags(write=False)
    return Proposed(Labels(vessels, "nothing proposed")), tuple(f"Nothing is proposed: {why}" for why in found.reasons)
