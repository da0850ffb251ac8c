"""A series on disk -> everything that a score rests on, held together; and the same series scored again."""

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import msgspec

from scoring.coronary_finder import draft_labels
from scoring.io.dicom_in import read_labels, read_series
from scoring.io.errors import SeriesError
from scoring.lesions import Labels
from scoring.report import Review, ScoreReport, make_report
from scoring.score import ScanFacts, Score, score_volume
from scoring.settings import ScoreSettings
from scoring.volume import Refusal, Volume


@dataclass(frozen=True, slots=True, eq=False)
class ScoredSeries:
    """One series, its map and its score; `volume` is None when none could be built."""

    report: ScoreReport  # the content of `score.json`
    outcome: Score | Refusal
    volume: Volume | None
    labels: Labels | None


def score_series(
    source: Path, labels_path: Path | None, scan_path: Path | None, settings: ScoreSettings, *, propose: bool = False
) -> ScoredSeries:
    """Read and score one series; with `propose` and no map, by what rules propose, as a draft.

    Raises
    ------
    SeriesError
        If a file or folder cannot be read as what it claims to be.
    """
    scan = None if scan_path is None else read_scan(scan_path)
    read = read_series(source, settings, missing_allowed=scan is not None and not scan.whole)
    if isinstance(read, Refusal):
        return ScoredSeries(
            make_report(read, None, None, scan, settings, version=version("diastole")), read, None, None
        )
    if labels_path is not None:
        return _scored(read, read_labels(labels_path, read), settings, scan)
    return _proposed(read, settings, scan) if propose else _scored(read, None, settings, scan)


def _proposed(volume: Volume, settings: ScoreSettings, scan: ScanFacts | None) -> ScoredSeries:
    """Score a volume by what rules propose; where they cannot judge there is no total, and the report says why."""
    labels = draft_labels(volume, settings)
    if isinstance(labels, Labels):
        scored = _scored(volume, labels, settings, scan)
        return replace(scored, report=msgspec.structs.replace(scored.report, review=Review(state="draft")))
    scored = _scored(volume, None, settings, scan)
    why = tuple(f"Nothing was proposed: {reason}" for reason in labels.reasons)
    return replace(
        scored,
        outcome=replace(scored.outcome, reasons=(*why, *scored.outcome.reasons)),
        report=msgspec.structs.replace(scored.report, reasons=(*why, *scored.report.reasons)),
    )


def score_again(before: ScoredSeries, labels: Labels, review: Review | None) -> ScoredSeries:
    """Score the volume of a series again with another map, and say who answers for it.

    Raises
    ------
    ValueError
        If there is no volume, or the map does not fit it.
    """
    if before.volume is None:
        raise ValueError("a series that has no volume cannot be scored again")
    again = _scored(before.volume, labels, before.report.settings, before.report.acquisition)
    return replace(again, report=msgspec.structs.replace(again.report, review=review))


def read_scan(path: Path) -> ScanFacts:
    """Read `scan.json`; an unknown field is refused by name."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ScanFacts)
    except OSError as error:
        raise SeriesError(
            f"{path} cannot be read ({error.strerror}); give the path of an existing scan.json."
        ) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SeriesError(f"{path} is no scan.json ({error}); mend that field or leave --scan out.") from error


def _scored(volume: Volume, labels: Labels | None, settings: ScoreSettings, scan: ScanFacts | None) -> ScoredSeries:
    """Score a volume and write its report."""
    outcome = score_volume(volume, labels, settings, scan)
    report = make_report(outcome, volume, labels, scan, settings, version=version("diastole"))
    return ScoredSeries(report, outcome, volume, labels)
