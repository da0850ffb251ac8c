"""The published series score as was worked out on paper; and what is taken out, doubled or swapped is seen."""

from pathlib import Path

import pytest

from scoring.io.scored_series import Asked, ScoredSeries, score_series
from scoring.mass_score import PhantomReading
from scoring.settings import ScoreSettings
from tests.scoring.paper_series import ALL, LESION, Paper, write

ABSOLUTE, RELATIVE = 0.01, 0.0005  # what the issue allows


def _scored(case: Paper, folder: Path) -> ScoredSeries:
    """Write a case and score it as the command does."""
    labels = write(case, folder)
    phantom = None if case.rods is None else PhantomReading(rod_hu=case.rods[0], water_hu=case.rods[1])
    settings = ScoreSettings(**case.options)  # type: ignore[arg-type]  # the cases name real fields
    return score_series(folder / "slices", labels, None, settings, Asked(phantom=phantom))


def test_there_are_as_many_as_were_promised() -> None:
    """At least forty series, each with a name of its own and a reason."""
    assert 40 <= len({case.name + case.why + str(case.header) for case in ALL}) == len(ALL)
    assert all(case.why for case in ALL)


@pytest.mark.parametrize("case", ALL, ids=[f"{number:02d} {case.name}" for number, case in enumerate(ALL, 1)])
def test_a_series_scores_as_on_paper(case: Paper, tmp_path: Path) -> None:
    """Total, vessels, volume, mass, text and classes are those on paper; without a number there is the reason."""
    report = _scored(case, tmp_path).report
    if case.words:
        assert case.words in " ".join((*report.reasons, *report.notes))
    if case.total is None:
        assert report.score.total is None
        assert report.reasons
        return
    total = report.score.total
    assert total is not None, report.reasons
    assert total.agatston == pytest.approx(case.total, abs=ABSOLUTE, rel=RELATIVE)
    expected = case.vessels or {"LAD": case.total}
    for vessel, part in report.score.by_vessel.items():
        assert part.agatston == pytest.approx(expected.get(vessel, 0.0), abs=ABSOLUTE, rel=RELATIVE)
    assert sum(part.agatston for part in report.score.by_vessel.values()) == total.agatston
    for name, wanted, found in [
        ("volume", case.volume_mm3, total.volume_mm3),
        ("mass", case.mass_mg, total.mass_mg),
        ("text", case.shown, report.score.shown),
        ("class", case.category, report.category),
        ("CAC-DRS", case.cac_drs, report.cac_drs),
    ]:
        if isinstance(wanted, float):
            assert found == pytest.approx(wanted, abs=ABSOLUTE, rel=RELATIVE), name
        elif wanted is not None:
            assert wanted == found, name


MANY = 14


@pytest.mark.parametrize("place", range(1, MANY - 1))
def test_any_slice_that_is_missing_inside_is_seen(place: int, tmp_path: Path) -> None:
    """The outermost slices cannot be missed: a series does not say how long it was meant to be."""
    case = Paper("x", "x", LESION, slices=MANY, files=lambda files: _left(files, place))
    assert any("missing" in reason for reason in _scored(case, tmp_path).report.reasons)


@pytest.mark.parametrize("place", range(MANY))
def test_any_slice_that_is_doubled_is_seen(place: int, tmp_path: Path) -> None:
    """The same bytes twice are noted; the score is that of the series."""
    case = Paper("x", "x", LESION, 1.0, slices=MANY, files=lambda files: _doubled(files, place))
    report = _scored(case, tmp_path).report
    assert any("duplicate" in note for note in report.notes)
    assert report.score.total is not None
    assert report.score.total.agatston == 1.0


@pytest.mark.parametrize("place", range(MANY))
def test_any_slice_of_another_series_is_seen(place: int, tmp_path: Path) -> None:
    """A slice of the same place from another series is refused, wherever it lies."""

    def swap(index: int, dataset: object) -> None:
        if index == place:
            dataset.SeriesInstanceUID = "1.2.3"  # type: ignore[attr-defined]  # a pydicom data set

    case = Paper("x", "x", LESION, slices=MANY, each=swap)
    assert any("second series" in reason for reason in _scored(case, tmp_path).report.reasons)


def _left(files: dict, place: int) -> dict:  # type: ignore[type-arg]  # names and data sets
    return {name: one for index, (name, one) in enumerate(files.items()) if index != place}


def _doubled(files: dict, place: int) -> dict:  # type: ignore[type-arg]  # names and data sets
    return {**files, "again.dcm": list(files.values())[place]}
