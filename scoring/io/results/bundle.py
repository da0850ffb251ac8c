"""A scored series -> all files of one revision."""

import io
from collections.abc import Mapping, Sequence

from pydicom.dataset import Dataset

from scoring.io.evidence import check_one_patient
from scoring.io.html import render
from scoring.io.results.document import make_document
from scoring.io.results.fhir import make_fhir
from scoring.io.results.manifest import make_manifest
from scoring.io.results.origin import origin_of, sources_of
from scoring.io.results.pdf import make_pdf
from scoring.io.results.segmentation import make_segmentation
from scoring.io.results.structured_report import make_structured_report
from scoring.io.scored_series import ScoredSeries
from scoring.report import ScoreReport, to_json


def make_results(
    scored: ScoredSeries,
    evidence: Sequence[Dataset],
    predecessor: ScoreReport | None = None,
    beside: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """Make every file of a result, by its name.

    Parameters
    ----------
    scored
        The score; a draft until its report's review is confirmed, and each form of it says so.
    evidence
        Headers of the scored images, one for each slice, in the volume's order: study, patient and order come from
        them, unchanged, and from nowhere else. Empty for a series that never became a volume: then there is no DICOM
        and no FHIR, for nobody knows whose it would be.
    predecessor
        The report that this one supersedes, when it is at hand: to confirm a draft that nobody ever got is not to
        correct it. Without it, whatever supersedes something corrects it.

    beside
        Further files of the revision, by name: the manifest lists them with the others.

    Raises
    ------
    ValueError
        If the evidence is not that of the volume.
    SeriesError
        If the evidence is not of one patient, study and order.
    """
    report = scored.report
    slices = 0 if scored.volume is None else len(scored.volume.positions_mm)
    if len(evidence) != slices:
        raise ValueError(f"{len(evidence)} headers for {slices} slices")
    page = render(report, scored.outcome, scored.volume)
    pdf = make_pdf(scored, evidence, page)
    files = {
        "score.json": to_json(report),
        "report.html": page.encode(),
        "report.pdf": pdf,
        **(beside or {}),
    }
    if scored.volume is not None:
        if any(str(header.SeriesInstanceUID) != scored.volume.series_uid for header in evidence):
            raise ValueError("the headers are of another series than the volume")
        check_one_patient(evidence)
        sources = sources_of(evidence)
        origin = origin_of(report, sources, corrects=predecessor is None or not predecessor.draft)
        segmentation = make_segmentation(scored, sources, origin)
        if segmentation is not None:
            files["vessels.seg.dcm"] = _written(segmentation)
        files["measurements.sr.dcm"] = _written(make_structured_report(scored, sources, origin, segmentation))
        files["report.pdf.dcm"] = _written(make_document(pdf, sources, origin))
        files["fhir.json"] = make_fhir(report, sources, origin, pdf)
    return {**files, "manifest.json": make_manifest(files, evidence)}


def _written(dataset: Dataset) -> bytes:
    """Write an object as a DICOM file."""
    target = io.BytesIO()
    dataset.save_as(target, enforce_file_format=True)
    return target.getvalue()
