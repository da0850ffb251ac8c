"""Scores worked out on paper. Unless a case says otherwise a pixel has 0.25 mm2 and a slice 3 mm: the factor is 1."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from scoring.agatston import agatston, cac_drs, category, pixel_weights, shown
from scoring.islands import find_islands, weight_of
from scoring.lesions import VESSELS, Labels
from scoring.score import Score, score_volume
from scoring.settings import ScoreSettings
from scoring.volume import Refusal, Volume

# name, blocks (slice, first row, rows, first column, columns, HU), how the volume differs, Agatston, volume mm3
CASES: list[tuple[str, list[tuple[int, int, int, int, int, float]], dict[str, float], float, float]] = [
    ("nothing", [], {}, 0.0, 0.0),
    ("129.9 HU does not count", [(1, 5, 2, 5, 2, 129.9)], {}, 0.0, 0.0),
    ("130 HU counts", [(1, 5, 2, 5, 2, 130.0)], {}, 1.0, 3.0),
    ("199 HU is weight 1", [(1, 5, 2, 5, 2, 199.0)], {}, 1.0, 3.0),
    ("199.5 HU is weight 1", [(1, 5, 2, 5, 2, 199.5)], {}, 1.0, 3.0),
    ("200 HU is weight 2", [(1, 5, 2, 5, 2, 200.0)], {}, 2.0, 3.0),
    ("299 HU is weight 2", [(1, 5, 2, 5, 2, 299.0)], {}, 2.0, 3.0),
    ("299.9 HU is weight 2", [(1, 5, 2, 5, 2, 299.9)], {}, 2.0, 3.0),
    ("300 HU is weight 3", [(1, 5, 2, 5, 2, 300.0)], {}, 3.0, 3.0),
    ("399.9 HU is weight 3", [(1, 5, 2, 5, 2, 399.9)], {}, 3.0, 3.0),
    ("400 HU is weight 4", [(1, 5, 2, 5, 2, 400.0)], {}, 4.0, 3.0),
    ("a saturated pixel is weight 4", [(1, 5, 2, 5, 2, 3071.0)], {}, 4.0, 3.0),
    ("three pixels, 0.75 mm2, are too few", [(1, 5, 1, 5, 3, 500.0)], {}, 0.0, 0.0),
    ("0.96 mm2 is too small", [(1, 5, 2, 5, 2, 500.0)], {"row_mm": 0.48}, 0.0, 0.0),
    ("one pixel of 1.0 mm2 counts", [(1, 5, 1, 5, 1, 130.0)], {"row_mm": 1.0, "column_mm": 1.0}, 1.0, 3.0),
    ("area rule in each slice", [(s, 5, 1, 5, 3, 500.0) for s in range(4)], {}, 0.0, 0.0),
    ("one peak lifts its island", [(1, 5, 2, 5, 3, 150.0), (1, 5, 1, 5, 1, 410.0)], {}, 6.0, 4.5),
    ("each island has its own weight", [(1, 5, 2, 5, 2, 150.0), (1, 5, 2, 12, 2, 410.0)], {}, 5.0, 6.0),
    ("each slice has its own weight", [(1, 5, 2, 5, 2, 150.0), (2, 5, 2, 5, 2, 410.0)], {}, 5.0, 6.0),
    ("corner contact: two islands", [(1, 5, 2, 5, 2, 150.0), (1, 7, 2, 7, 2, 410.0)], {}, 5.0, 6.0),
    ("corner contact of crumbs", [(1, 5, 1, 5, 2, 150.0), (1, 6, 1, 7, 2, 150.0)], {}, 0.0, 0.0),
    ("overlapping slices of 1.5 mm", [(s, 5, 2, 5, 2, 410.0) for s in (1, 2)], {"increment_mm": 1.5}, 4.0, 3.0),
    ("thin slices of 1 mm", [(s, 5, 2, 5, 2, 210.0) for s in range(3)], {"increment_mm": 1.0, "thickness_mm": 1}, 2, 3),
    ("pixels of 0.4 x 0.8 mm", [(1, 5, 2, 5, 3, 310.0)], {"row_mm": 0.4, "column_mm": 0.8}, 5.76, 5.76),
    ("first and last slice count", [(0, 0, 2, 0, 2, 130.0), (3, 22, 2, 22, 2, 130.0)], {}, 2.0, 6.0),
]


@pytest.mark.parametrize(
    ("blocks", "differs", "expected", "volume_mm3"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_score_equals_the_answer_on_paper(
    make_volume: Callable[..., Volume],
    whole_map: Callable[..., Labels],
    blocks: list[Any],
    differs: dict[str, float],
    expected: float,
    volume_mm3: float,
) -> None:
    """Agatston and voxel volume are those worked out on paper."""
    volume = make_volume(*blocks, **differs)
    score = score_volume(volume, whole_map(volume))
    assert isinstance(score, Score)
    assert score.total is not None
    assert pytest.approx(expected, rel=1e-12) == score.total.agatston
    assert pytest.approx(volume_mm3, rel=1e-12) == score.total.volume_mm3


def test_corner_contact_joins_with_eight_neighbours(
    make_volume: Callable[..., Volume], whole_map: Callable[..., Labels]
) -> None:
    """With 8 neighbours the two blocks are one island of 8 pixels with the larger peak: 2 mm2 x 4 = 8."""
    volume = make_volume((1, 5, 2, 5, 2, 150.0), (1, 7, 2, 7, 2, 410.0))
    score = score_volume(volume, whole_map(volume), ScoreSettings(connectivity=8))
    assert isinstance(score, Score)
    assert score.agatston["total"] == 8.0


def test_area_of_exactly_one_square_millimetre_survives_floating_point(make_volume: Callable[..., Volume]) -> None:
    """Ten pixels of 0.3 x 1/3 mm are 1 mm2 on paper and a little less in floating point; they count."""
    volume = make_volume((1, 5, 2, 5, 5, 130.0), row_mm=0.3, column_mm=1 / 3)
    assert 10 * volume.pixel_area_mm2 < 1.0
    assert len(find_islands(volume, ScoreSettings())) == 1


def test_weight_has_its_edges_at_200_300_and_400() -> None:
    """Each edge belongs to the higher weight."""
    settings = ScoreSettings()
    weights = [weight_of(hu, settings) for hu in (130, 199.999, 200, 299.999, 300, 399.999, 400, 3071)]
    assert weights == [1, 1, 2, 2, 3, 3, 4, 4]


def test_agatston_of_islands_is_pixel_weights_times_area_and_factor(make_volume: Callable[..., Volume]) -> None:
    """The public function and the integer inside it agree: 4 pixels x 2 + 6 pixels x 1 = 14, times 0.25 mm2."""
    volume = make_volume((1, 5, 2, 5, 2, 250.0), (2, 5, 2, 12, 3, 150.0))
    islands = find_islands(volume, ScoreSettings())
    assert pixel_weights(islands) == 14
    assert agatston(islands, volume, ScoreSettings()) == 3.5


@pytest.mark.parametrize(
    ("score", "text", "name", "grade"),
    [
        (0.0, "0", "0", "A0"),
        (0.3, "< 1", "1-10", "A1"),
        (0.99, "< 1", "1-10", "A1"),
        (1.0, "1", "1-10", "A1"),
        (10.49, "10", "1-10", "A1"),
        (10.5, "11", "11-100", "A1"),
        (99.49, "99", "11-100", "A1"),
        (99.5, "100", "11-100", "A2"),
        (100.49, "100", "11-100", "A2"),
        (100.5, "101", "101-400", "A2"),
        (299.49, "299", "101-400", "A2"),
        (299.5, "300", "101-400", "A3"),
        (400.49, "400", "101-400", "A3"),
        (400.5, "401", ">400", "A3"),
        (10.499999999999, "11", "11-100", "A1"),
    ],
)
def test_class_is_that_of_the_shown_integer(score: float, text: str, name: str, grade: str) -> None:
    """Rounded half up once; text, class and CAC-DRS can never contradict each other."""
    assert (text, name, f"CAC-DRS {grade}/N2") == (shown(score), category(score), cac_drs(score, 2))


def test_cac_drs_leaves_the_vessels_out_when_they_are_unknown() -> None:
    """Without a map the number of vessels is unknown, not zero."""
    assert cac_drs(120.0, None) == "CAC-DRS A2"


def test_each_island_belongs_to_one_vessel_and_is_never_cut(make_volume: Callable[..., Volume]) -> None:
    """An island of 8 pixels, 5 on LAD and 1 on LM, is LAD as a whole; one that touches no vessel is a candidate."""
    volume = make_volume((1, 5, 2, 5, 4, 150.0), (1, 15, 2, 15, 2, 500.0))
    labels = np.zeros(volume.hu.shape, dtype=np.uint8)
    labels[1, 5:7, 5:7] = VESSELS.index("LAD") + 1
    labels[1, 5, 7] = VESSELS.index("LAD") + 1
    labels[1, 5, 8] = VESSELS.index("LM") + 1
    score = score_volume(volume, Labels(labels))
    assert isinstance(score, Score)
    assert score.agatston == {"total": 2.0, "LM": 0.0, "LAD": 2.0, "LCX": 0.0, "RCA": 0.0}
    assert [lesion.vessel for lesion in score.lesions] == ["LAD"]
    assert [lesion.peak_hu for lesion in score.candidates] == [500.0]
    assert score.lesions[0].map_share == 5 / 8
    assert score.cac_drs == "CAC-DRS A1/N1"


def test_a_tie_between_vessels_goes_to_the_first_by_name_of_the_rule(make_volume: Callable[..., Volume]) -> None:
    """Two pixels each on RCA and LCX: LCX comes first in LM, LAD, LCX, RCA."""
    volume = make_volume((1, 5, 2, 5, 2, 150.0))
    labels = np.zeros(volume.hu.shape, dtype=np.uint8)
    labels[1, 5:7, 5] = VESSELS.index("RCA") + 1
    labels[1, 5:7, 6] = VESSELS.index("LCX") + 1
    score = score_volume(volume, Labels(labels))
    assert isinstance(score, Score)
    assert score.agatston["LCX"] == 1.0


def test_a_lesion_mostly_outside_the_map_is_flagged(make_volume: Callable[..., Volume]) -> None:
    """A rib that one map pixel touches is scored whole, and the reader is told to look."""
    volume = make_volume((1, 5, 4, 5, 4, 500.0))
    labels = np.zeros(volume.hu.shape, dtype=np.uint8)
    labels[1, 5, 5] = VESSELS.index("RCA") + 1
    score = score_volume(volume, Labels(labels))
    assert isinstance(score, Score)
    assert any("mostly outside the vessel map" in note for note in score.notes)


def test_islands_that_touch_across_slices_are_one_lesion(
    make_volume: Callable[..., Volume], whole_map: Callable[..., Labels]
) -> None:
    """Two slices that touch by a corner in space are one lesion with its centre between them; a third apart is two."""
    volume = make_volume((0, 4, 2, 4, 2, 150.0), (1, 6, 2, 6, 2, 450.0), (3, 4, 2, 4, 2, 150.0))
    score = score_volume(volume, whole_map(volume))
    assert isinstance(score, Score)
    assert [len(lesion.islands) for lesion in score.lesions] == [2, 1]
    first = score.lesions[0]
    # rows and columns 4 to 7, the mean is index 5.5, times 0.5 mm; slices at 10 and 13 mm
    assert pytest.approx((2.75, 2.75, 11.5)) == first.centre_mm
    assert (8, 450.0, 4) == (first.pixels, first.peak_hu, first.weight)


def test_lesions_of_two_vessels_stay_two_where_they_touch(make_volume: Callable[..., Volume]) -> None:
    """Lesions are joined inside a vessel only, so that each lesion has one."""
    volume = make_volume((0, 5, 2, 5, 2, 150.0), (1, 5, 2, 5, 2, 150.0))
    labels = np.zeros(volume.hu.shape, dtype=np.uint8)
    labels[0], labels[1] = 1, 2
    score = score_volume(volume, Labels(labels))
    assert isinstance(score, Score)
    assert [lesion.vessel for lesion in score.lesions] == ["LM", "LAD"]


def test_islands_at_the_edges_of_the_picture_do_not_touch_round_the_corner(
    make_volume: Callable[..., Volume], whole_map: Callable[..., Labels]
) -> None:
    """The last column and the first column of the next row are neighbours in memory only."""
    volume = make_volume((1, 4, 2, 22, 2, 150.0), (1, 6, 2, 0, 2, 150.0))
    score = score_volume(volume, whole_map(volume))
    assert isinstance(score, Score)
    assert len(score.lesions) == 2


def test_without_a_map_there_is_no_total_but_a_list_of_candidates(make_volume: Callable[..., Volume]) -> None:
    """No number is made up; the reason says what to give."""
    score = score_volume(make_volume((1, 5, 2, 5, 2, 410.0)), None)
    assert isinstance(score, Score)
    assert score.agatston == {"total": None, "LM": None, "LAD": None, "LCX": None, "RCA": None}
    assert (None, None, None) == (score.shown, score.category, score.cac_drs)
    assert len(score.candidates) == 1
    assert "--labels" in score.reasons[0]


def test_all_islands_scores_everything_and_says_so(make_volume: Callable[..., Volume]) -> None:
    """On request everything bright counts; the number of vessels stays unknown and a note says what this is."""
    score = score_volume(make_volume((1, 5, 2, 5, 2, 410.0)), None, ScoreSettings(all_islands=True))
    assert isinstance(score, Score)
    assert score.agatston["total"] == 4.0
    assert score.cac_drs == "CAC-DRS A1"
    assert any("--all-islands" in note for note in score.notes)


def test_all_islands_with_a_map_keeps_the_vessels_apart_from_the_rest(make_volume: Callable[..., Volume]) -> None:
    """What no vessel claims has its own row, and the rows still add up."""
    volume = make_volume((1, 5, 2, 5, 2, 410.0), (1, 15, 2, 15, 2, 150.0))
    labels = np.zeros(volume.hu.shape, dtype=np.uint8)
    labels[1, 5, 5] = 1
    score = score_volume(volume, Labels(labels), ScoreSettings(all_islands=True))
    assert isinstance(score, Score)
    assert {name: part.agatston for name, part in score.vessels.items()} == {
        "LM": 4.0, "LAD": 0.0, "LCX": 0.0, "RCA": 0.0, "unassigned": 1.0,
    }  # fmt: skip
    assert score.agatston["total"] == 5.0


def test_a_map_of_another_shape_is_the_callers_slip(make_volume: Callable[..., Volume]) -> None:
    """A map that does not fit is never stretched."""
    with pytest.raises(ValueError, match="different shapes"):
        score_volume(make_volume(), Labels(np.zeros((1, 2, 3), dtype=np.uint8)))


@pytest.mark.parametrize("kvp", [100.0, 80.0, 140.0, None])
def test_other_kv_is_refused_unless_declared(
    make_volume: Callable[..., Volume], whole_map: Callable[..., Labels], kvp: float | None
) -> None:
    """130 HU means calcium at 120 kV only; a declared mode scores and prints what was declared."""
    volume = make_volume((1, 5, 2, 5, 2, 410.0), kvp=kvp)
    refused = score_volume(volume, whole_map(volume))
    assert isinstance(refused, Refusal)
    assert "--kv-mode" in refused.reasons[0]
    score = score_volume(volume, whole_map(volume), ScoreSettings(kv_mode="not-comparable"))
    assert isinstance(score, Score)
    assert score.agatston["total"] == 4.0
    assert any("NOT COMPARABLE" in note for note in score.notes)


@pytest.mark.parametrize(
    ("thickness_mm", "flagged"), [(2.4, True), (2.5, False), (3.0, False), (1.0, True), (5.0, True)]
)
def test_a_thickness_that_is_not_standard_is_flagged_not_refused(
    make_volume: Callable[..., Volume], whole_map: Callable[..., Labels], thickness_mm: float, flagged: bool
) -> None:
    """The increment decides the factor; the thickness only earns a note."""
    volume = make_volume((1, 5, 2, 5, 2, 410.0), increment_mm=1.0, thickness_mm=thickness_mm)
    score = score_volume(volume, whole_map(volume))
    assert isinstance(score, Score)
    assert pytest.approx(4 / 3) == score.agatston["total"]
    assert flagged == any("Not a standard reconstruction" in note for note in score.notes)
