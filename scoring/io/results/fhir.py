"""`fhir.json`: a FHIR R4 collection of one DiagnosticReport and its Observations, without a name.

Patient, order and study are references by identifier, so that a receiver joins them to its own records. JSON numbers
are Python's shortest floats: they read back bit-equal. No LOINC code is given, since none for this score was seen.
"""

import base64
import hashlib
import json
import uuid
from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from scoring.io.results import codes
from scoring.io.results.origin import Origin
from scoring.io.words import headline, standing_in_words, state_of
from scoring.report import ScoreReport

SYSTEMS = {
    codes.SCT: "http://snomed.info/sct",
    codes.DCM: "http://dicom.nema.org/resources/ontology/DCM",
    codes.UCUM: "http://unitsofmeasure.org",
}
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"
IDENTIFIER = "http://terminology.hl7.org/CodeSystem/v2-0203"

Json = dict[str, Any]


def make_fhir(report: ScoreReport, evidence: Sequence[Dataset], origin: Origin, pdf: bytes) -> bytes:
    """Make the bundle; sorted keys, the same bytes for the same result.

    Parameters
    ----------
    report
        The score; `preliminary` until confirmed, then `final`, and `corrected` when it supersedes a result.
    evidence
        Headers of the slices; identifiers come from them.
    origin
        Ids, and whether it corrects.
    pdf
        The page, as the report's presented form.
    """
    status = "preliminary" if report.draft else "corrected" if origin.supersedes else "final"
    common = {"status": status, **_context(evidence[0])}
    observations = _observations(report, origin, common)
    links = [{"reference": entry["fullUrl"]} for entry in observations]
    result = _report(report, evidence[0], origin, common, links, pdf)
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": _urn(origin, "bundle")},
        "entry": [{"fullUrl": _urn(origin, "diagnostic report"), "resource": result}, *observations],
    }
    return json.dumps(bundle, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"


def _report(report: ScoreReport, header: Dataset, origin: Origin, common: Json, links: list[Json], pdf: bytes) -> Json:
    """Make the DiagnosticReport."""
    person = [] if report.standing is None else standing_in_words(report.standing)
    words = [headline(report), *report.reasons, *person, *report.notes, state_of(report) + ".", report.statement]
    attachment = {
        "contentType": "application/pdf",
        "title": origin.title("Coronary calcium score"),
        "data": base64.b64encode(pdf).decode(),
        "size": len(pdf),
        "hash": base64.b64encode(hashlib.sha1(pdf, usedforsecurity=False).digest()).decode(),
    }
    made = {
        "resourceType": "DiagnosticReport",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{origin.uid('report')}"}],
        "code": _concept(codes.CALCIUM_SCAN),
        "category": [{"coding": [{"system": SECTION, "code": "RAD", "display": "Radiology"}]}],
        "result": links,
        "conclusion": " ".join(words),
        "presentedForm": [attachment],
        "imagingStudy": [{"identifier": {"system": "urn:dicom:uid", "value": f"urn:oid:{header.StudyInstanceUID}"}}],
        **common,
    }
    review = report.review
    if not report.draft and review is not None:
        made["issued"] = review.reviewed_at
        made["resultsInterpreter"] = [{"display": review.reviewer}]
    return made


def _observations(report: ScoreReport, origin: Origin, common: Json) -> list[Json]:
    """Make one Observation for each measure: the total as its value, the vessels as components."""
    total = report.score.total
    fixed = {
        "resourceType": "Observation",
        "category": [{"coding": [{"system": CATEGORY, "code": "imaging", "display": "Imaging"}]}],
        "bodySite": _concept(codes.whole_of(report.score)),
        **common,
    }
    if total is None:
        score = codes.MEASURES[0]
        absent = {"coding": [{"system": ABSENT, "code": "not-performed", "display": "Not Performed"}]}
        resource = {**fixed, **_kind(score), "dataAbsentReason": absent}
        resource["note"] = [{"text": reason} for reason in report.reasons]
        return [{"fullUrl": _urn(origin, score.field), "resource": resource}]
    parts = {name: dict(codes.measured(part)) for name, part in report.score.by_vessel.items()}
    entries = []
    for measure, value in codes.measured(total):
        components = [
            {"code": _concept(codes.site_of(name), name), "valueQuantity": _quantity(values[measure], measure.unit)}
            for name, values in parts.items()
            if measure in values
        ]
        resource = {**fixed, **_kind(measure), "valueQuantity": _quantity(value, measure.unit), "component": components}
        if measure.field == "agatston" and report.category:
            grades = [{"text": text} for text in (f"class {report.category}", report.cac_drs) if text]
            resource["interpretation"] = grades
        entries.append({"fullUrl": _urn(origin, measure.field), "resource": resource})
    return entries


def _kind(measure: codes.Measure) -> Json:
    """Say what an Observation measures and how."""
    method = {} if measure.method is None else {"method": _concept(measure.method)}
    return {"code": _concept(measure.name), **method}


def _context(header: Dataset) -> Json:
    """Name patient, order and time by the identifiers of the slices."""
    context: Json = {}
    if header.get("PatientID"):
        context["subject"] = {"type": "Patient", "identifier": _issued(header, "MR", "PatientID", "IssuerOfPatientID")}
    if header.get("AccessionNumber"):
        order = _issued(header, "ACSN", "AccessionNumber")
        context["basedOn"] = [{"type": "ServiceRequest", "identifier": order}]
    date = str(header.get("StudyDate") or "")
    if len(date) == 8:
        context["effectiveDateTime"] = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    return context


def _issued(header: Dataset, kind: str, name: str, issuer: str | None = None) -> Json:
    """Copy an identifier, with who issued it when the slices say so."""
    made: Json = {"type": {"coding": [{"system": IDENTIFIER, "code": kind}]}, "value": str(header.get(name))}
    if issuer is not None and header.get(issuer):
        made["assigner"] = {"display": str(header.get(issuer))}
    return made


def _concept(code: Code, text: str | None = None) -> Json:
    """Write a code."""
    concept = {"coding": [{"system": SYSTEMS[code.scheme_designator], "code": code.value, "display": code.meaning}]}
    return concept if text is None else {**concept, "text": text}


def _quantity(value: float, unit: Code) -> Json:
    """Write a number with its UCUM unit."""
    shown = unit.value if unit.value != "1" else unit.meaning
    return {"value": value, "unit": shown, "system": SYSTEMS[codes.UCUM], "code": unit.value}


def _urn(origin: Origin, what: str) -> str:
    """Make the address of a resource: the same result gives the same one."""
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, origin.uid(what))}"
