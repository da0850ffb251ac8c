"""A series on disk -> everything that a score rests on, held together; and the same series scored again."""

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import msgspec

from scoring.coronary_finder import Proposed, propose
from scoring.gating_quality import gating_of
from scoring.io.dicom_in import read_series
from scoring.io.errors import SeriesError
from scoring.io.journal_in import read_beats
from scoring.io.labels_in import read_labels
from scoring.io.published import read_published
from scoring.lesions import Labels
from scoring.mass_score import Calibration, PhantomReading, SizeClass, calibration_of
from scoring.person import Person
from scoring.quality import Quality, measured_in, quality_of
from scoring.report import Review, ScoreReport, make_report
from scoring.round_vessels import NotFound
from scoring.score import ScanFacts, Score, score_volume
from scoring.settings import ScoreSettings
from scoring.standing import PercentileSource, standing
from scoring.thorax import Thorax, find_thorax
from scoring.volume import Refusal, Volume


@dataclass(frozen=True, slots=True)
class Asked:
    """What a user adds to the images; all of it may be missing."""

    person: Person | None = None
    percentiles: PercentileSource = "mesa"
    phantom: PhantomReading | None = None  # calibrates the mass
    size: SizeClass | None = None  # of the patient, for the scanner's factors of the mass
    journal: Path | None = None  # of the gate, for the true phases
    propose: bool = False  # without a map: take what rules propose, as a draft
    series: int | None = None  # which one, where there are several


@dataclass(frozen=True, slots=True)
class Facts:
    """What a score rests on beside volume and map."""

    settings: ScoreSettings
    scan: ScanFacts | None
    calibration: Calibration | None
    quality: Quality


@dataclass(frozen=True, slots=True, eq=False)
class ScoredSeries:
    """One series, its map and its score; `volume` is None when none could be built."""

    report: ScoreReport  # the content of `score.json`
    outcome: Score | Refusal
    volume: Volume | None
    labels: Labels | None


def score_series(
    source: Path,
    labels_path: Path | None,
    scan_path: Path | None,
    settings: ScoreSettings,
    asked: Asked | None = None,
) -> ScoredSeries:
    """Read, measure and score one series.

    Raises
    ------
    SeriesError
        If a file or folder cannot be read as what it claims to be.
    """
    scan = None if scan_path is None else read_scan(scan_path)
    more = asked or Asked()
    missing_allowed = scan is not None and not scan.whole
    read = read_series(source, settings, missing_allowed=missing_allowed, series=more.series)
    if isinstance(read, Refusal):
        return ScoredSeries(
            make_report(read, None, None, scan, settings, version=version("diastole")), read, None, None
        )
    labels = None if labels_path is None else read_labels(labels_path, read)
    thorax = find_thorax(read)
    beats = None if more.journal is None else read_beats(more.journal)
    facts = Facts(
        settings=settings,
        scan=scan,
        calibration=calibration_of(read, more.phantom, more.size),
        quality=quality_of(read, measured_in(thorax), gating_of(read, beats), settings),
    )
    if labels is None and more.propose:
        return _told(_proposed(read, thorax, facts), more)
    return _told(_scored(read, labels, facts), more)


def _proposed(volume: Volume, thorax: Thorax | NotFound, facts: Facts) -> ScoredSeries:
    """Score a volume by what rules propose; where they cannot judge there is no total, and the report says why."""
    found = propose(volume, facts.settings, thorax)
    if isinstance(found, Proposed):
        scored = _scored(volume, found.labels, facts)
        return replace(scored, report=msgspec.structs.replace(scored.report, review=Review(state="draft")))
    scored = _scored(volume, None, facts)
    why = tuple(f"Nothing was proposed: {reason}" for reason in found.reasons)
    reasons = (*why, *scored.report.reasons)
    return replace(
        scored,
        outcome=replace(scored.outcome, reasons=reasons),
        report=msgspec.structs.replace(scored.report, reasons=reasons),
    )


def score_again(before: ScoredSeries, labels: Labels, review: Review | None) -> ScoredSeries:
    """Score the volume of a series again with another map, and say who answers for it; nothing is measured anew.

    Raises
    ------
    ValueError
        If there is no volume, or the map does not fit it.
    """
    report = before.report
    if before.volume is None or report.quality is None:
        raise ValueError("a series that has no volume cannot be scored again")
    facts = Facts(report.settings, report.acquisition, report.score.calibration, report.quality)
    again = _scored(before.volume, labels, facts)
    person = None if report.standing is None else report.standing.person
    told = _told(again, Asked(person=person, percentiles=report.percentiles))
    return replace(told, report=msgspec.structs.replace(told.report, review=review))


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


def _scored(volume: Volume, labels: Labels | None, facts: Facts) -> ScoredSeries:
    """Score a volume and write its report."""
    measured = facts.quality.measured
    outcome = score_volume(volume, labels, facts.settings, facts.scan, facts.calibration, measured)
    report = make_report(
        outcome, volume, labels, facts.scan, facts.settings, quality=facts.quality, version=version("diastole")
    )
    return ScoredSeries(report, outcome, volume, labels)


def _told(scored: ScoredSeries, asked: Asked) -> ScoredSeries:
    """Add what the score means for the person, when one was told of."""
    if asked.person is None:
        return scored
    report = msgspec.structs.replace(scored.report, percentiles=asked.percentiles)
    return replace(scored, report=told_of(report, asked.person))


def told_of(report: ScoreReport, person: Person) -> ScoreReport:
    """Say what a score means for a person, by the percentiles of its report; of a cut heart it means nothing."""
    total = report.score.total
    cut = total is not None and report.category is None
    means = standing(None if total is None else total.agatston, person, read_published(), report.percentiles, cut=cut)
    return msgspec.structs.replace(report, standing=means)
