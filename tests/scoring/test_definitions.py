"""The definitions in use side by side, the way to the next class, the extent, and what is very high."""

from collections.abc import Callable

import numpy as np
import pytest

from scoring.comparison import by_definition
from scoring.extent import extent_of
from scoring.lesions import VESSELS, Labels
from scoring.margin import margin_of
from scoring.presets import OWN, PRESET_NAMES, name_of, preset, with_rules_of
from scoring.report import ScoreReport, make_report
from scoring.score import score_volume
from scoring.settings import ScoreSettings
from scoring.sums import Sum
from scoring.volume import Volume

# three islands of 0.25 mm2 pixels: 4 pixels (1 mm2), 3 pixels (0.75 mm2), 1 pixel (0.25 mm2), all of weight 1
CRUMBS = [(1, 2, 2, 2, 2, 150.0), (1, 8, 1, 2, 3, 150.0), (1, 14, 1, 2, 1, 150.0)]
EXPECTED = {"agatston1990": 1.0, "ge": 1.0, "siemens": 2.0, "philips": 1.75, "canon": 1.75}


def _report(volume: Volume, labels: Labels, settings: ScoreSettings | None = None) -> ScoreReport:
    return make_report(score_volume(volume, labels, settings), volume, labels, settings=settings, version="test")


def test_each_definition_counts_what_it_counts(
    make_volume: Callable[..., Volume], whole_map: Callable[..., Labels]
) -> None:
    """1990 and GE: 1 mm2; Siemens: everything; Philips: 0.5 mm2; Canon: three pixels."""
    volume = make_volume(*CRUMBS)
    rows = by_definition(volume, whole_map(volume), ScoreSettings())
    assert tuple(row.definition for row in rows) == PRESET_NAMES
    assert {row.definition: row.agatston for row in rows} == EXPECTED


def test_volume_and_mass_of_philips_have_their_own_threshold(
    make_volume: Callable[..., Volume], whole_map: Callable[..., Labels]
) -> None:
    """A block of 120 HU scores nothing and has a volume from 112.5 HU: 4 pixels x 0.25 mm2 x 3 mm."""
    volume = make_volume((1, 2, 2, 2, 2, 120.0))
    rows = {row.definition: row for row in by_definition(volume, whole_map(volume), ScoreSettings())}
    assert (0.0, 3.0) == (rows["philips"].agatston, rows["philips"].volume_mm3)
    assert (0.0, 0.0) == (rows["agatston1990"].agatston, rows["agatston1990"].volume_mm3)


def test_a_preset_is_chosen_and_named(make_volume: Callable[..., Volume], whole_map: Callable[..., Labels]) -> None:
    """A report by a preset has that preset's number and says its name; a changed one says `own settings`."""
    volume = make_volume(*CRUMBS)
    report = _report(volume, whole_map(volume), with_rules_of("canon", ScoreSettings()))
    assert report.score.total is not None
    assert ("canon", 1.75) == (report.score.definition, report.score.total.agatston)
    assert name_of(preset("siemens")) == "siemens"
    assert name_of(ScoreSettings(kv_mode="not-comparable")) == "agatston1990"
    assert name_of(ScoreSettings(connectivity=8)) == OWN


def test_the_row_of_the_reports_own_definition_equals_the_report(
    make_volume: Callable[..., Volume], whole_map: Callable[..., Labels]
) -> None:
    """Table and total cannot disagree."""
    volume = make_volume(*CRUMBS, (2, 2, 5, 9, 5, 420.0))
    report = _report(volume, whole_map(volume))
    assert report.score.total is not None
    row = next(one for one in report.by_definition if one.definition == report.score.definition)
    assert (report.score.total.agatston, report.score.total.volume_mm3) == (row.agatston, row.volume_mm3)


@pytest.mark.parametrize(
    ("agatston", "to_lower", "lower", "to_higher", "higher"),
    [
        (0.0, None, None, 0.0, "1-10"),
        (0.4, 0.4, "0", 10.1, "11-100"),
        (10.4, 10.4, "0", 0.1, "11-100"),
        (10.5, 0.0, "1-10", 90.0, "101-400"),
        (100.0, 89.5, "1-10", 0.5, "101-400"),
        (100.5, 0.0, "11-100", 300.0, ">400"),
        (400.4, 299.9, "11-100", 0.1, ">400"),
        (400.5, 0.0, "101-400", None, None),
    ],
)
def test_the_way_to_the_next_class(
    agatston: float, to_lower: float | None, lower: str | None, to_higher: float | None, higher: str | None
) -> None:
    """Classes are those of the shown integer, so a class begins half a point below its first one."""
    margin = margin_of(agatston)
    assert (lower, higher) == (margin.lower, margin.higher)
    assert to_lower == (None if margin.to_lower is None else pytest.approx(margin.to_lower, abs=1e-9))
    assert to_higher == (None if margin.to_higher is None else pytest.approx(margin.to_higher, abs=1e-9))


def _sum(agatston: float) -> Sum:
    return Sum(0, 0, 0, agatston, 0.0, int(agatston > 0))


def test_extent_counts_vessels_and_how_evenly() -> None:
    """LAD 60, RCA 20: two vessels, no left main, diffusivity 1 - 60/80."""
    extent = extent_of({"LM": _sum(0), "LAD": _sum(60), "LCX": _sum(0), "RCA": _sum(20)})
    assert (2, 2, False, 0.25) == (extent.lesions, extent.vessels, extent.left_main, extent.diffusivity)
    nothing = extent_of({name: _sum(0) for name in VESSELS})
    assert (0, 0, False, None) == (nothing.lesions, nothing.vessels, nothing.left_main, nothing.diffusivity)
    unknown = extent_of({"unassigned": _sum(7)})
    assert (1, None, None, None) == (unknown.lesions, unknown.vessels, unknown.left_main, unknown.diffusivity)


@pytest.mark.parametrize(
    ("rows", "expected"), [(99, None), (100, 400.0), (249, 400.0), (250, 1000.0)], ids=["396", "400", "996", "1000"]
)
def test_a_very_high_score_is_flagged_with_the_limit_that_it_reaches(
    make_volume: Callable[..., Volume], rows: int, expected: float | None
) -> None:
    """Rows of four pixels of 0.25 mm2 and weight 4 score 4 each."""
    volume = make_volume((1, 0, rows, 0, 4, 500.0), side=260)
    report = _report(volume, Labels(np.full(volume.hu.shape, 2, dtype=np.uint8)))
    assert report.score.total is not None
    assert 4.0 * rows == report.score.total.agatston
    assert expected == report.very_high_from
