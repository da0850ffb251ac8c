"""All files of a result: one identity, one set of numbers, the same bytes again, and no complaint by foreign tools."""

import base64
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pydicom
import pytest
from fhirclient.models.bundle import Bundle
from fhirclient.models.fhirabstractbase import FHIRValidationError
from pydicom.dataset import Dataset

from scoring.io.errors import SeriesError
from scoring.io.html import render
from scoring.io.results.blocks import read_page
from scoring.io.results.bundle import make_results
from scoring.io.results.letters import lacks, printable, register_fonts
from scoring.io.results.pdf import make_pdf
from scoring.io.scored_series import ScoredSeries, score_again
from scoring.lesions import VESSELS, Labels
from scoring.report import Review, ScoreReport, make_report
from scoring.score import ScanFacts, score_volume
from scoring.volume import Refusal
from tests.scoring.result_cases import BLOCKS, MakeCase

CONFIRMED = Review(state="confirmed", reviewer="Žižka 山田", reviewed_at="2026-03-04T10:20:30+01:00", revision=1)
ORDER = {
    "AccessionNumber": "ACC-77",
    "PatientID": "P-1",
    "PatientName": "Müller^Åsa",
    "SpecificCharacterSet": "ISO_IR 100",
    "StudyID": "S-5",
    "StudyDate": "20260302",
    "StudyTime": "101112",
    "ReferringPhysicianName": "Ärztin^Eva",
    "PatientBirthDate": "19500102",
    "PatientSex": "F",
}
DICOM = ("measurements.sr.dcm", "report.pdf.dcm", "vessels.seg.dcm")


def _labels() -> Labels:
    """Give LAD the upper half and RCA the lower, with a cut in a corner."""
    labels, cut = np.zeros((6, 32, 32), dtype=np.uint8), np.zeros((6, 32, 32), dtype=np.bool_)
    labels[:, :16], labels[:, 16:] = VESSELS.index("LAD") + 1, VESSELS.index("RCA") + 1
    cut[0, 0:2, 0:2] = True
    return Labels(labels, "", (), cut)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory, make_case: MakeCase) -> Any:
    """A scored series with a map, a cut and a full order, and its evidence."""
    folder = tmp_path_factory.mktemp("case") / "slices"
    return make_case(folder, *BLOCKS, labels=_labels(), **ORDER)


@pytest.fixture(scope="module")
def kinds(case: Any) -> dict[str, tuple[ScoredSeries, tuple[Dataset, ...]]]:
    """Every kind of result: draft, confirmed, corrected, zero, without a map, incomplete, refused."""
    scored, evidence = case
    volume, labels = scored.volume, scored.labels
    corrected = msgspec.structs.replace(CONFIRMED, revision=2, supersedes="ab" * 32)

    def made(outcome: Any, map_: Labels | None, scan: ScanFacts | None = None) -> ScoredSeries:
        return ScoredSeries(make_report(outcome, volume, map_, scan, version="1"), outcome, volume, map_)

    half = ScanFacts(complete=False, simulated=True)
    return {
        "draft": (scored, evidence),
        "confirmed": (score_again(scored, labels, CONFIRMED), evidence),
        "corrected": (score_again(scored, labels, corrected), evidence),
        "zero": (score_again(scored, Labels(np.zeros((6, 32, 32), dtype=np.uint8)), CONFIRMED), evidence),
        "no map": (made(score_volume(volume, None), None), evidence),
        "incomplete": (made(score_volume(volume, labels, None, half), labels, half), evidence),
        "refused": (made(Refusal(("100 kV: no & <no>.",)), None), evidence),
    }


@pytest.fixture(scope="module")
def made(kinds: Any) -> dict[str, dict[str, bytes]]:
    """All files of every kind of result."""
    return {kind: make_results(*case) for kind, case in kinds.items()}


KINDS = ("draft", "confirmed", "corrected", "zero", "no map", "incomplete", "refused")


def _pages(pdf: bytes, folder: Path) -> list[str]:
    """Read the text of each page with ghostscript: its ASCII without white space, the rest it does not map back."""
    (folder / "x.pdf").write_bytes(pdf)
    command = ["gs", "-q", "-dNOPAUSE", "-dBATCH", "-sDEVICE=txtwrite", "-o", "page-%03d.txt", "x.pdf"]
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    return [_ascii(path.read_text()) for path in sorted(folder.glob("page-*.txt"))]


def _ascii(text: str) -> str:
    """Keep visible ASCII."""
    return re.sub(r"[^\x21-\x7e]", "", text)


needs_gs = pytest.mark.skipif(shutil.which("gs") is None, reason="ghostscript is not installed")


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_dciodvfy_finds_no_error_in_any_object(made: Any, tmp_path: Path, kind: str) -> None:
    """Every object of every kind of result is what its class demands."""
    files = made[kind]
    named = [name for name in files if name.endswith(".dcm")]
    assert {"measurements.sr.dcm", "report.pdf.dcm"} <= set(named)
    for name in named:
        (tmp_path / name).write_bytes(files[name])
        told = subprocess.run(["dciodvfy", str(tmp_path / name)], capture_output=True, text=True)
        assert [] == [line for line in told.stderr.splitlines() if line.startswith("Error")], name


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dcmtk is not installed")
@pytest.mark.parametrize("kind", KINDS)
def test_dsrdump_reads_every_report(made: Any, tmp_path: Path, kind: str) -> None:
    """Also those without a number."""
    (tmp_path / "sr.dcm").write_bytes(made[kind]["measurements.sr.dcm"])
    told = subprocess.run(["dsrdump", str(tmp_path / "sr.dcm")], capture_output=True, text=True)
    assert 0 == told.returncode, told.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_result_has_the_same_bytes(kinds: Any, made: Any, kind: str) -> None:
    """No clock and no chance in any file."""
    assert made[kind] == make_results(*kinds[kind])


def test_patient_study_and_order_go_unchanged_into_every_object(case: Any) -> None:
    """In any character set; each object has its own UIDs, and the study's."""
    scored, evidence = case
    objects = {
        name: pydicom.dcmread(io.BytesIO(data))
        for name, data in make_results(scored, evidence).items()
        if name in DICOM
    }
    assert set(DICOM) == set(objects)
    for dataset in objects.values():
        for name in (*ORDER, "StudyInstanceUID"):
            if name != "SpecificCharacterSet":
                assert str(evidence[0].get(name)) == str(dataset.get(name)), name
    uids = {one.SOPInstanceUID for one in objects.values()} | {one.SeriesInstanceUID for one in objects.values()}
    assert 6 == len(uids - {evidence[0].SeriesInstanceUID})


def test_another_result_never_takes_the_uids_of_one(made: Any) -> None:
    """Draft, confirmed, corrected and other scores of one series: every object is another object."""
    reports = [pydicom.dcmread(io.BytesIO(files["measurements.sr.dcm"])) for files in made.values()]
    assert len(KINDS) == len({report.SOPInstanceUID for report in reports})


def test_evidence_of_two_patients_or_of_another_series_is_refused(case: Any) -> None:
    """Nobody could say whose the result is; the sentence names the attribute, not the value."""
    scored, evidence = case
    for name in ("PatientID", "PatientName", "StudyInstanceUID", "AccessionNumber"):
        other = pydicom.dcmread(io.BytesIO(_bytes(evidence[2])))
        setattr(other, name, "1.2.3.4")
        with pytest.raises(SeriesError, match=name) as caught:
            make_results(scored, (*evidence[:2], other, *evidence[3:]))
        assert "1.2.3.4" not in str(caught.value)
    with pytest.raises(ValueError, match="5 headers for 6 slices"):
        make_results(scored, evidence[:5])
    other = pydicom.dcmread(io.BytesIO(_bytes(evidence[0])))
    other.SeriesInstanceUID = "1.2.3.4"
    with pytest.raises(ValueError, match="another series"):
        make_results(scored, (other, *evidence[1:]))


def _bytes(dataset: Dataset) -> bytes:
    """Write a header as a file."""
    target = io.BytesIO()
    dataset.save_as(target, enforce_file_format=True)
    return target.getvalue()


@pytest.mark.parametrize(
    ("kind", "flags", "fhir"),
    [
        ("draft", ("PARTIAL", "PRELIMINARY", "UNVERIFIED"), "preliminary"),
        ("confirmed", ("COMPLETE", "FINAL", "VERIFIED"), "final"),
        ("corrected", ("COMPLETE", "FINAL", "VERIFIED"), "corrected"),
        ("zero", ("COMPLETE", "FINAL", "VERIFIED"), "final"),
        ("no map", ("PARTIAL", "PRELIMINARY", "UNVERIFIED"), "preliminary"),
        ("incomplete", ("PARTIAL", "PRELIMINARY", "UNVERIFIED"), "preliminary"),
        ("refused", ("PARTIAL", "PRELIMINARY", "UNVERIFIED"), "preliminary"),
    ],
)
def test_every_form_says_whether_it_is_confirmed(made: Any, kind: str, flags: tuple[str, ...], fhir: str) -> None:
    """Page, report, PDF object and FHIR agree, and none is silent."""
    files = made[kind]
    report = pydicom.dcmread(io.BytesIO(files["measurements.sr.dcm"]))
    assert flags == (report.CompletionFlag, report.PreliminaryFlag, report.VerificationFlag)
    document = pydicom.dcmread(io.BytesIO(files["report.pdf.dcm"]))
    assert flags[2] == document.VerificationFlag
    assert ("proposed" in document.DocumentTitle) == (flags[2] == "UNVERIFIED")
    bundle = json.loads(files["fhir.json"])
    assert {fhir} == {entry["resource"]["status"] for entry in bundle["entry"]}
    assert ("PROPOSED - NOT REVIEWED" in files["report.html"].decode()) == (flags[2] == "UNVERIFIED")
    assert ("Žižka 山田" in files["report.html"].decode()) == (flags[2] == "VERIFIED")


def test_to_confirm_a_draft_that_nobody_got_is_not_to_correct_it(kinds: Any) -> None:
    """With the superseded report at hand: a draft before it leaves FHIR `final` and no predecessor document."""
    scored, evidence = kinds["corrected"]
    draft = make_results(scored, evidence, predecessor=kinds["draft"][0].report)
    assert "final" == json.loads(draft["fhir.json"])["entry"][0]["resource"]["status"]
    assert "PredecessorDocumentsSequence" not in pydicom.dcmread(io.BytesIO(draft["measurements.sr.dcm"]))
    confirmed = make_results(scored, evidence, predecessor=kinds["confirmed"][0].report)
    assert confirmed == make_results(scored, evidence)


@needs_gs
@pytest.mark.parametrize("kind", KINDS)
def test_every_page_of_the_pdf_says_what_it_is(kinds: Any, tmp_path: Path, kind: str) -> None:
    """Whose, which page of how many, draft or by whom confirmed, simulated, and that it is no medical device."""
    scored, evidence = kinds[kind]
    pages = _pages(make_pdf(scored, evidence), tmp_path)
    for number, page in enumerate(pages, 1):
        assert f"Page{number}of{len(pages)}" in page
        assert "PatientIDP-1AccessionACC-77Studydate2026-03-02" in page
        assert "Researchsoftware,nomedicaldevice.Notfordiagnosis." in page
        assert ("PROPOSED-NOTREVIEWED" in page) == scored.report.draft
        assert ("Confirmedbyika[U+5C71][U+7530],2026-03-04T10:20:30+01:00" in page) == (not scored.report.draft)
        assert ("SIMULATED" in page) == (kind == "incomplete")
        assert "Mller" not in page


@needs_gs
@pytest.mark.parametrize("kind", KINDS)
def test_what_the_page_says_the_pdf_says(kinds: Any, tmp_path: Path, kind: str) -> None:
    """Every word of report.html stands in the PDF."""
    scored, evidence = kinds[kind]
    told = "".join(_pages(make_pdf(scored, evidence), tmp_path))
    for node in read_page(render(scored.report, scored.outcome, scored.volume)).nodes(
        "td", "th", "li", "b", "small", "h2"
    ):
        for word in node.text.split():
            assert _ascii(word) in told, (node.tag, word)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("Žižka, Łukasz, Müller, İlker", "Žižka, Łukasz, Müller, İlker"),
        ("Őry", "Ory"),
        ("山田 Anna", "[U+5C71][U+7530] Anna"),
        ("Чехов", "[U+0427][U+0435][U+0445][U+043E][U+0432]"),
        ("3 mm³ · ≥ 130 HU – µ", "3 mm³ · ≥ 130 HU – µ"),
        ("", ""),
    ],
)
def test_no_name_crashes_the_pdf_and_none_becomes_empty(text: str, printed: str) -> None:
    """The font has Latin letters; a letter it lacks is written plain or as its code point, never as a black box."""
    register_fonts()
    assert printed == printable(text)
    assert lacks(text) == (text != printed)


def test_a_pdf_of_noise_stays_bounded_and_of_no_volume_is_made(
    tmp_path: Path, make_volume: Any, whole_map: Any
) -> None:
    """450 islands are set on some pages; a series that never became a volume gets its page with the reasons."""
    blocks = [(s, r, 2, c, 2, 200.0) for s in (0, 2) for r in range(0, 60, 4) for c in range(0, 60, 4)]
    volume = make_volume(*blocks, side=60)
    outcome = score_volume(volume, whole_map(volume))
    pdf = make_pdf(ScoredSeries(make_report(outcome, volume, version="1"), outcome, volume, None), ())
    assert 5 <= pdf.count(b"/Type /Page\n") <= 20
    refusal = Refusal(("Bad <b>series</b> & more.",))
    files = make_results(ScoredSeries(make_report(refusal, None, version="1"), refusal, None, None), ())
    assert {"score.json", "report.html", "report.pdf", "manifest.json"} == set(files)


def test_the_encapsulated_pdf_is_the_pdf(case: Any) -> None:
    """Byte for byte; the slices are named as its sources."""
    files = make_results(*case)
    document = pydicom.dcmread(io.BytesIO(files["report.pdf.dcm"]))
    assert files["report.pdf"] == document.EncapsulatedDocument[: document.EncapsulatedDocumentLength]
    assert 6 == len(document.SourceInstanceSequence)


def test_headers_that_went_through_a_de_identifier_still_make_objects(tmp_path: Path, make_case: MakeCase) -> None:
    """Attributes that may be empty may be missing; what is type 1 is not invented."""
    missing = dict.fromkeys(("AccessionNumber", "StudyID", "StudyDate", "ReferringPhysicianName", "PatientSex"))
    scored, evidence = make_case(tmp_path / "slices", *BLOCKS, labels=_labels(), **missing)
    for name in DICOM:
        dataset = pydicom.dcmread(io.BytesIO(make_results(scored, evidence)[name]))
        assert "" == str(dataset.AccessionNumber or "")


def _check(resource: Any, path: str = "") -> None:
    """Check what R4 demands of every element: no null, no empty list or object; codes with a system; numbers finite."""
    if isinstance(resource, dict):
        assert resource, path
        for key, value in resource.items():
            assert re.fullmatch(r"[a-z][A-Za-z]+", key), f"{path}.{key}"
            _check(value, f"{path}.{key}")
        if "code" in resource and "display" in resource:
            assert resource["system"].startswith("http"), path
    elif isinstance(resource, list):
        assert resource, path
        for index, value in enumerate(resource):
            _check(value, f"{path}[{index}]")
    else:
        assert resource is not None, path
        assert resource != "", path


@pytest.mark.parametrize("kind", KINDS)
def test_fhir_has_the_structure_of_r4(made: Any, kind: str) -> None:
    """The models of R4 read it strictly and lose nothing; references lead somewhere, units are UCUM."""
    bundle = json.loads(made[kind]["fhir.json"])
    _check(bundle)
    assert bundle == Bundle(bundle, strict=True).as_json()
    assert ("Bundle", "collection") == (bundle["resourceType"], bundle["type"])
    addresses = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(addresses) == len(set(addresses))
    first = bundle["entry"][0]["resource"]
    assert set(addresses[1:]) == {one["reference"] for one in first["result"]}
    for entry in bundle["entry"]:
        resource = entry["resource"]
        assert {"status", "code", "subject"} <= set(resource)
        assert not ("valueQuantity" in resource and "dataAbsentReason" in resource), "obs-6"
        for quantity in (resource.get("valueQuantity"), *(c["valueQuantity"] for c in resource.get("component", ()))):
            assert quantity is None or ("http://unitsofmeasure.org" == quantity["system"] and quantity["code"])


def test_the_models_of_r4_would_see_a_fault(made: Any) -> None:
    """An element that R4 has not, one of another type, and one that is required and missing."""
    good = made[KINDS[0]]["fhir.json"]
    for change in ({"valuQuantity": 1}, {"status": 7}, {"status": None}):
        bundle = json.loads(good)
        bundle["entry"][1]["resource"].update(change)
        if change.get("status", 0) is None:
            del bundle["entry"][1]["resource"]["status"]
        with pytest.raises(FHIRValidationError):
            Bundle(bundle, strict=True)


def test_fhir_carries_the_numbers_and_the_identifiers_and_no_name(case: Any) -> None:
    """Bit-equal numbers, vessels as components, identifiers as in the slices, the PDF itself."""
    scored, evidence = case
    files = make_results(scored, evidence)
    bundle = json.loads(files["fhir.json"])
    resources = [entry["resource"] for entry in bundle["entry"]]
    report, score = resources[0], resources[1]
    total = scored.report.score.total
    assert [total.agatston, total.volume_mm3, total.lesions] == [one["valueQuantity"]["value"] for one in resources[1:]]
    assert {"LM": 0.0, "LAD": 8.0, "LCX": 0.0, "RCA": 1.0} == {
        one["code"]["text"]: one["valueQuantity"]["value"] for one in score["component"]
    }
    assert ("P-1", "ACC-77", f"urn:oid:{evidence[0].StudyInstanceUID}") == (
        score["subject"]["identifier"]["value"],
        score["basedOn"][0]["identifier"]["value"],
        report["imagingStudy"][0]["identifier"]["value"],
    )
    assert files["report.pdf"] == base64.b64decode(report["presentedForm"][0]["data"])
    assert "Müller" not in files["fhir.json"].decode()


def test_the_manifest_names_every_file_by_its_digest_alone(case: Any) -> None:
    """Nothing in it leads to a person."""
    files = make_results(*case)
    manifest = json.loads(files["manifest.json"])
    assert set(files) - {"manifest.json"} == set(manifest["files"])
    assert not {"P-1", "ACC-77"} & set(re.findall(r"[\w-]+", files["manifest.json"].decode()))


def test_score_json_is_the_one_of_the_score(case: Any) -> None:
    """The files of a result add forms, not numbers."""
    scored, evidence = case
    assert scored.report == msgspec.json.decode(make_results(scored, evidence)["score.json"], type=ScoreReport)
