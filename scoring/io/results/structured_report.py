"""The score as a DICOM structured report: TID 1500, total and vessels by score, volume, mass, method and site.

Numbers are written twice, as DICOM has it: a decimal string of at most 16 characters, and the floating point value
itself (0040,A161), which is read back bit-equal. TID 3905 is not written: its rows could not be read (docs/results.md).
"""

from collections.abc import Sequence

import highdicom as hd
import msgspec
from highdicom.sr import (
    CodedConcept,
    EnhancedSR,
    FindingSite,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    ReferencedSegment,
    SourceImageForMeasurementGroup,
    SourceSeriesForSegmentation,
    TextContentItem,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.codedict import codes as dictionary

from scoring.io.results import codes
from scoring.io.results.origin import MANUFACTURER, MODEL, UNICODE, Origin, date_time, person_name, settle, software
from scoring.io.results.segmentation import segment_numbers
from scoring.io.scored_series import ScoredSeries
from scoring.io.words import headline, standing_in_words, state_of
from scoring.report import ScoreReport, SumEntry

KIND = "report"
TOTAL = "Total"


def make_structured_report(
    scored: ScoredSeries, sources: Sequence[Dataset], origin: Origin, segmentation: Dataset | None
) -> Dataset:
    """Make the report of a score, of a series without a total, or of a refusal.

    Parameters
    ----------
    scored
        The score; where there is no number the report says so in code and its reasons in words.
    sources
        Headers of the slices: all are referenced.
    origin
        UIDs and times; a confirmed result is COMPLETE, FINAL and VERIFIED, any other PARTIAL, PRELIMINARY, UNVERIFIED.
    segmentation
        What `make_segmentation` gave: a vessel with pixels points at its segment.
    """
    report = scored.report
    content = MeasurementReport(
        observation_context=_observers(report, origin),
        procedure_reported=codes.CALCIUM_SCAN,
        imaging_measurements=_groups(scored, sources, origin, segmentation),
    )
    document = EnhancedSR(
        evidence=[*sources, *([] if segmentation is None else [segmentation])],
        content=content,
        series_instance_uid=origin.uid("report series"),
        series_number=101,
        sop_instance_uid=origin.uid(KIND),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=software(),
        is_complete=origin.confirmed,
        is_final=origin.confirmed,
        specific_character_set=UNICODE,
        series_description=origin.title("Calcium score report"),
    )
    if origin.confirmed:
        _verify(document, report)
    if origin.supersedes:
        document.PredecessorDocumentsSequence = [_predecessor(document, origin)]
    _empty(document)
    settle(document, origin.date, origin.time)
    return document


def _observers(report: ScoreReport, origin: Origin) -> ObservationContext:
    """Name the software, and the person who confirmed what it made."""
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=origin.uid("observer"), name=MODEL, manufacturer_name=MANUFACTURER, model_name=MODEL
    )
    observer = ObserverContext(dictionary.DCM.Device, device)
    if report.draft or report.review is None:
        return ObservationContext(observer_device_context=observer)
    person = PersonObserverIdentifyingAttributes(name=_caret(person_name(report.review.reviewer)))
    return ObservationContext(
        observer_person_context=ObserverContext(dictionary.DCM.Person, person), observer_device_context=observer
    )


def _groups(
    scored: ScoredSeries, sources: Sequence[Dataset], origin: Origin, segmentation: Dataset | None
) -> list[Dataset]:
    """Make a group of measurements for the whole and one for each part.

    The whole points at every slice. An image library would repeat the geometry of each (900 items of 48 slices, and
    seconds of work) and add nothing that the slices do not say themselves.
    """
    report = scored.report
    numbers = {} if segmentation is None or scored.labels is None else segment_numbers(scored.labels)
    whole = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(TOTAL, origin),
        finding_sites=[FindingSite(codes.whole_of(report.score))],
        measurements=_measurements(report.score.total),
        source_images=[SourceImageForMeasurementGroup.from_source_image(source) for source in sources],
    )
    whole[0].ContentSequence.extend(
        TextContentItem(codes.COMMENT, text, relationship_type="CONTAINS") for text in _comments(report)
    )
    groups = [whole]
    for name, part in report.score.by_vessel.items():
        common = {
            "tracking_identifier": _tracking(name, origin),
            "finding_sites": [FindingSite(codes.site_of(name))],
            "measurements": _measurements(part),
        }
        if segmentation is None or name not in numbers:
            groups.append(MeasurementsAndQualitativeEvaluations(**common))
            continue
        segment = ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=numbers[name],
            source_series=SourceSeriesForSegmentation(origin.series_uid),
        )
        groups.append(VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **common))
    return groups


def _measurements(part: SumEntry | None) -> list[Measurement]:
    """Give the numbers of a sum; without one, the score alone, without a value and with the reason in code."""
    if part is not None:
        return [_measurement(measure, value) for measure, value in codes.measured(part)]
    missing = _measurement(codes.MEASURES[0], 0.0)  # `_empty` takes the value out
    missing[0].NumericValueQualifierCodeSequence = [CodedConcept.from_code(codes.NOT_ATTEMPTED)]
    return [missing]


def _empty(item: Dataset) -> None:
    """Take the value out of each number that is qualified as none: highdicom cannot write one without a value."""
    if item.get("NumericValueQualifierCodeSequence"):
        item.MeasuredValueSequence = DicomSequence([])
    for child in item.get("ContentSequence", ()):
        _empty(child)


def _measurement(measure: codes.Measure, value: float) -> Measurement:
    """Make one number with its unit and method."""
    return Measurement(name=measure.name, value=value, unit=measure.unit, method=measure.method)


def _tracking(name: str, origin: Origin) -> TrackingIdentifier:
    """Name a thing that a later report of the same series can be compared by."""
    return TrackingIdentifier(uid=origin.uid("tracking", name), identifier=name)


def _comments(report: ScoreReport) -> list[str]:
    """Say what a reader must know beside the numbers, as the page does; then the settings, to score again by."""
    settings = ", ".join(f"{key}={value}" for key, value in msgspec.to_builtins(report.settings).items())
    person = [] if report.standing is None else standing_in_words(report.standing)
    words = [state_of(report), headline(report), *report.reasons, *person, *report.notes]
    return [*words, f"Settings: {settings}", report.statement]


def _verify(document: Dataset, report: ScoreReport) -> None:
    """Say who answers for the document, and since when."""
    review = report.review
    assert review is not None, "a confirmed report has a review"
    observer = Dataset()
    observer.VerifyingObserverName = person_name(review.reviewer)
    observer.VerifyingOrganization = "Not stated"  # type 1, and nobody asked the reviewer
    observer.VerificationDateTime = date_time(review.reviewed_at)
    observer.VerifyingObserverIdentificationCodeSequence = []
    document.VerifyingObserverSequence = [observer]
    document.VerificationFlag = "VERIFIED"


def _predecessor(document: Dataset, origin: Origin) -> Dataset:
    """Point at the report of the revision that this one supersedes."""
    instance, series, study = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID = document.SOPClassUID
    instance.ReferencedSOPInstanceUID = origin.predecessor_uid(KIND)
    series.SeriesInstanceUID = origin.predecessor_uid("report series")
    series.ReferencedSOPSequence = [instance]
    study.StudyInstanceUID = document.StudyInstanceUID
    study.ReferencedSeriesSequence = [series]
    return study


def _caret(name: str) -> str:
    """Mark a whole name as the family name: highdicom warns of names that do not say their parts."""
    return name if "^" in name else f"{name}^"
