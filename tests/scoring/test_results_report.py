"""The structured report: bit-equal numbers, honest flags, references, and what foreign tools read in it."""

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from scoring.io.results import codes
from scoring.io.results.origin import origin_of, sources_of
from scoring.io.results.segmentation import make_segmentation
from scoring.io.results.structured_report import _measurements, make_structured_report
from scoring.io.scored_series import ScoredSeries, score_again
from scoring.report import Review, SumEntry, make_report
from scoring.score import score_volume
from scoring.settings import ScoreSettings
from tests.scoring.result_cases import BLOCKS, CONFIRMED, MakeCase, two_vessels


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory, make_case: MakeCase) -> Any:
    """A scored series with a map, and its evidence."""
    return make_case(tmp_path_factory.mktemp("case") / "slices", *BLOCKS, labels=two_vessels(), AccessionNumber="A-7")


def _made(scored: ScoredSeries, evidence: Any, *, corrects: bool = True) -> Dataset:
    """Make the report with its segmentation."""
    sources, origin = sources_of(evidence), origin_of(scored.report, evidence, corrects=corrects)
    return make_structured_report(scored, sources, origin, make_segmentation(scored, sources, origin))


def _items(dataset: Dataset) -> Iterator[Dataset]:
    """Go through the content tree."""
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from _items(item)


def _numbers(document: Dataset) -> dict[tuple[str, str], Any]:
    """Collect site and concept of every number, and its floating point value, or its decimal string if it is whole."""
    found = {}
    for group in _items(document):
        if group.get("ConceptNameCodeSequence") and group.ConceptNameCodeSequence[0].CodeValue == "125007":
            site = next(i for i in group.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "363698007")
            for item in group.ContentSequence:
                if item.ValueType == "NUM" and item.MeasuredValueSequence:
                    value = item.MeasuredValueSequence[0]
                    number = value.FloatingPointValue if "FloatingPointValue" in value else int(value.NumericValue)
                    found[site.ConceptCodeSequence[0].CodeValue, item.ConceptNameCodeSequence[0].CodeValue] = number
    return found


def test_every_number_comes_back_bit_equal(case: Any, tmp_path: Path) -> None:
    """Total and four vessels, score, volume and lesions: what is read from the file is what `score.json` holds."""
    scored, evidence = case
    _made(scored, evidence).save_as(tmp_path / "sr.dcm")
    numbers = _numbers(pydicom.dcmread(tmp_path / "sr.dcm"))
    score = scored.report.score
    parts = {"41801008": score.total, **{codes.site_of(name).value: part for name, part in score.by_vessel.items()}}
    expected = {
        (site, measure.name.value): value for site, part in parts.items() for measure, value in codes.measured(part)
    }
    assert 15 == len(expected)
    assert expected == numbers
    assert (9.0, 8.0) == (numbers["41801008", "450360000"], numbers["59438005", "450360000"])


@given(value=st.floats(0.0, 1e7))
def test_a_number_too_long_for_a_decimal_string_keeps_every_bit(value: float) -> None:
    """Any score survives: the decimal string is rounded to 16 characters, the floating point value is not."""
    part = SumEntry(agatston=value, volume_mm3=1.0, mass_mg=None, lesions=1, pixels=4, pixel_weights=4, volume_parts=4)
    item = _measurements(part)[0][0].MeasuredValueSequence[0]
    assert struct.pack("<d", value) == struct.pack("<d", item.FloatingPointValue)
    assert len(str(item["NumericValue"].value)) <= 16


def test_a_draft_says_that_it_is_one(case: Any) -> None:
    """PARTIAL, PRELIMINARY, UNVERIFIED, nobody who answers for it, and words to the same effect."""
    document = _made(*case)
    assert ("PARTIAL", "PRELIMINARY", "UNVERIFIED") == (
        document.CompletionFlag,
        document.PreliminaryFlag,
        document.VerificationFlag,
    )
    assert "VerifyingObserverSequence" not in document
    texts = [item.TextValue for item in _items(document) if item.ValueType == "TEXT"]
    assert {"PROPOSED - NOT REVIEWED", "Agatston 9, class 1-10, CAC-DRS A1/N2."} <= set(texts)


@pytest.mark.parametrize("name", ["Jane Roe", "Žižka", "山田 太郎", "O'Neil\\Test=X"])
def test_a_confirmed_report_names_who_answers_for_it(case: Any, tmp_path: Path, name: str) -> None:
    """COMPLETE, FINAL, VERIFIED, with the reviewer and the time with its offset, in any script."""
    scored, evidence = case
    review = Review(state="confirmed", reviewer=name, reviewed_at="2026-03-04T10:20:30+01:00")
    _made(score_again(scored, scored.labels, review), evidence).save_as(tmp_path / "sr.dcm")
    document = pydicom.dcmread(tmp_path / "sr.dcm")
    assert ("COMPLETE", "FINAL", "VERIFIED") == (
        document.CompletionFlag,
        document.PreliminaryFlag,
        document.VerificationFlag,
    )
    observer = document.VerifyingObserverSequence[0]
    assert (name.replace("\\", "/").replace("=", "-"), "20260304102030+0100") == (
        str(observer.VerifyingObserverName),
        observer.VerificationDateTime,
    )
    assert ("20260304", "102030") == (document.ContentDate, document.ContentTime)


def test_a_correction_points_at_the_very_report_that_it_supersedes(case: Any) -> None:
    """The predecessor's UID is the one that the first report has; the new report has its own."""
    scored, evidence = case
    first = score_again(scored, scored.labels, CONFIRMED)
    before = _made(first, evidence)
    digest = origin_of(first.report, evidence, corrects=False).digest
    review = msgspec.structs.replace(CONFIRMED, revision=2, supersedes=digest, reviewed_at="2026-03-05T08:00:00+01:00")
    after = _made(score_again(scored, scored.labels, review), evidence)
    series = after.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert before.SOPInstanceUID == series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert before.SeriesInstanceUID == series.SeriesInstanceUID
    assert before.SOPInstanceUID != after.SOPInstanceUID
    assert "PredecessorDocumentsSequence" not in before


def test_it_points_at_the_slices_and_at_the_segments(case: Any) -> None:
    """All slices and the segmentation are evidence; LAD and RCA point at their segments."""
    scored, evidence = case
    document = _made(scored, evidence)
    evidence_items = document.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
    instances = {one.ReferencedSOPInstanceUID for series in evidence_items for one in series.ReferencedSOPSequence}
    assert {header.SOPInstanceUID for header in evidence} <= instances
    assert 7 == len(instances)
    pointed = [i.ReferencedSOPSequence[0] for i in _items(document) if i.ValueType == "IMAGE"]
    assert [2, 4] == [int(one.ReferencedSegmentNumber) for one in pointed if "ReferencedSegmentNumber" in one]


def test_without_a_total_there_is_no_number_but_a_code_and_the_reason(case: Any) -> None:
    """A series without a map: the score is "not attempted" in code, and a sentence says why."""
    scored, evidence = case
    outcome = score_volume(scored.volume, None)
    report = make_report(outcome, scored.volume, version="1")
    document = _made(ScoredSeries(report, outcome, scored.volume, None), evidence)
    assert {} == _numbers(document)
    scores = [i for i in _items(document) if i.ConceptNameCodeSequence[0].CodeValue == "450360000"]
    score = scores[0]
    assert (1, 0) == (len(scores), len(score.MeasuredValueSequence))
    assert "114007" == score.NumericValueQualifierCodeSequence[0].CodeValue
    texts = [item.TextValue for item in _items(document) if item.ValueType == "TEXT"]
    assert any(text.startswith("No vessel map") for text in texts)


def test_a_total_with_islands_of_no_vessel_does_not_lie_in_the_coronary_arteries(case: Any) -> None:
    """All islands scored, bone and valves too: total and rest have the heart as their site."""
    scored, evidence = case
    rules = ScoreSettings(all_islands=True)
    outcome = score_volume(scored.volume, None, rules)
    report = make_report(outcome, scored.volume, settings=rules, version="1")
    numbers = _numbers(_made(ScoredSeries(report, outcome, scored.volume, None), evidence))
    assert {"80891009"} == {site for site, _ in numbers}
    assert 9.0 == numbers["80891009", "450360000"]


@pytest.mark.skipif(shutil.which("dsrdump") is None, reason="dcmtk is not installed")
@pytest.mark.parametrize("review", [None, CONFIRMED])
def test_dsrdump_reads_it(case: Any, tmp_path: Path, review: Review | None) -> None:
    """The reader of dcmtk finds document type, flags and numbers, and complains of nothing."""
    scored, evidence = case
    again = scored if review is None else score_again(scored, scored.labels, review)
    _made(again, evidence).save_as(tmp_path / "sr.dcm")
    told = subprocess.run(["dsrdump", str(tmp_path / "sr.dcm")], capture_output=True, text=True)
    worth = [line for line in told.stderr.splitlines() if "ISO_IR 192" not in line]  # its VR checker knows no UTF-8
    assert (0, []) == (told.returncode, worth)
    assert '"Coronary artery calcium score"' in told.stdout
    assert ("PRELIMINARY" if review is None else "VERIFIED") in told.stdout.upper()
