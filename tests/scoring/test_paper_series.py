"""The published set of series, each written as DICOM and scored the way the command does it."""

import dataclasses
import json
from pathlib import Path

import msgspec
import pytest

from scoring.io.scored_series import Asked, score_series
from scoring.mass_score import PhantomReading
from scoring.presets import with_rules_of
from scoring.report import ScoreReport
from scoring.settings import ScoreSettings
from tests.scoring.paper_case import Case, datasets, save
from tests.scoring.paper_refusals import PLAIN
from tests.scoring.paper_series import CASES, main, write_case

SLICES = 14


def near(paper: float) -> object:
    """Allow 0.01 or 0.05 %, whichever is more."""
    return pytest.approx(paper, abs=0.01, rel=5e-4)


def scored(case: Case, folder: Path) -> ScoreReport:
    """Write a case and score it."""
    labels = write_case(case, folder)
    settings = with_rules_of(case.preset, msgspec.convert(dict(case.settings), ScoreSettings))
    rods = None if case.rods is None else PhantomReading(rod_hu=case.rods[0], water_hu=case.rods[1])
    return score_series(folder / "slices", labels, None, settings, Asked(phantom=rods)).report


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_answer_is_that_on_paper(case: Case, tmp_path: Path) -> None:
    """Total, vessels, volume, mass, class and CAC-DRS, or the words of the refusal."""
    report, paper = scored(case, tmp_path), case.answer
    if paper.refused:
        assert report.score.total is None
        assert any(paper.refused in reason for reason in report.reasons), report.reasons
        return
    assert report.score.total is not None, report.reasons
    assert paper.total is not None
    assert near(paper.total) == report.score.total.agatston
    found = {name: part.agatston for name, part in report.score.by_vessel.items() if part.agatston}
    assert {name: near(value) for name, value in paper.vessels.items()} == found
    assert report.score.total.pixel_weights == sum(part.pixel_weights for part in report.score.by_vessel.values())
    for told, value in ((paper.volume_mm3, report.score.total.volume_mm3), (paper.mass_mg, report.score.total.mass_mg)):
        assert told is None or near(told) == value
    shown = (report.score.shown, report.category, report.cac_drs)
    asked = (paper.shown, paper.category, paper.cac_drs)
    assert tuple(one if one is None else two for one, two in zip(asked, shown, strict=True)) == asked
    assert any(paper.note in note for note in ("", *report.notes)), report.notes


def test_the_set_is_large_and_every_name_is_its_own() -> None:
    """At least forty series, each with a sentence that says how its answer is worked out."""
    assert len(CASES) >= 40
    assert len({case.name for case in CASES}) == len(CASES)
    assert all(case.why.endswith(".") for case in CASES)


def test_the_whole_set_is_written_with_its_answers(tmp_path: Path) -> None:
    """Another program finds each series in a folder and each answer by its name."""
    main(tmp_path)
    answers = json.loads((tmp_path / "answers.json").read_bytes())
    assert {case.name for case in CASES} == set(answers) == {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert all(list((tmp_path / name / "slices").iterdir()) for name in answers)


@pytest.mark.parametrize("how", ["removed", "doubled", "swapped"])
@pytest.mark.parametrize("where", range(SLICES))
def test_no_slice_can_be_lost_doubled_or_swapped_unseen(how: str, where: int, tmp_path: Path) -> None:
    """Whichever slice of fourteen it is: refused, or noted.

    Nothing lies beyond the outermost: without them it is a regular series, too, and the headers' numbers must tell.
    """
    case = dataclasses.replace(PLAIN, slices=SLICES, header={**PLAIN.header, "ImagesInAcquisition": SLICES})
    files = datasets(case)
    if how == "removed":
        files.pop(where)
    elif how == "doubled":
        files.append(("again.dcm", files[where][1]))
    else:
        other = datasets(dataclasses.replace(case, name="another"))
        other[where][1].FrameOfReferenceUID = files[where][1].FrameOfReferenceUID
        files[where] = other[where]
    (tmp_path / "slices").mkdir()
    for name, one in files:
        save(one, tmp_path / "slices" / name)
    report = score_series(tmp_path / "slices", None, None, ScoreSettings(all_islands=True)).report
    if how == "removed" and where in {0, SLICES - 1}:
        assert ("scored", SLICES - 1) == (report.status, report.provenance and report.provenance.slices)
        assert any(f"the headers tell of {SLICES} images" in note for note in report.notes)
    elif how == "doubled":
        assert ("scored", True) == (report.status, any("byte-identical" in note for note in report.notes))
    else:
        assert report.status == "refused"
