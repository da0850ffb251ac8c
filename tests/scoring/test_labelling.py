"""What a reader's edits do to the islands, as examples and as rules that hold for any order of edits."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.islands import find_islands
from scoring.labelling import (
    Cut,
    Edit,
    EditError,
    Give,
    Keep,
    Labelling,
    begin,
    edited,
    first_pixel,
    labels_of,
    lesions_of,
    line_pixels,
    redo,
    undo,
)
from scoring.lesions import VESSELS, Labels, Lesion, find_lesions
from scoring.score import Score, score_volume
from scoring.settings import ScoreSettings
from scoring.sums import total_of
from scoring.volume import Volume, axial_volume

SIDE, SLICES = 24, 3
BAR = (1, 4, 6, 4, 12, 250.0)  # 6 x 12 pixels in slice 1
SPOT = (2, 15, 4, 15, 4, 420.0)  # 4 x 4 pixels in slice 2
BAR_AT, SPOT_AT = (1, 4, 4), (2, 15, 15)


def nothing(volume: Volume) -> Labels:
    """An empty map."""
    return Labels(np.zeros(volume.hu.shape, dtype=np.uint8))


@pytest.fixture
def state(make_volume: Callable[..., Volume]) -> Labelling:
    """A bar and a spot that nobody has looked at."""
    volume = make_volume(BAR, SPOT)
    return begin(volume, nothing(volume), ScoreSettings())


def test_a_vessel_is_painted_on_the_whole_island_and_nowhere_else(state: Labelling) -> None:
    """The bar given to RCA is 4 on its 72 pixels; the spot stays 0 and undecided."""
    after = edited(state, Give((BAR_AT,), "RCA"))
    painted = labels_of(after, "test").vessels
    assert 72 == np.count_nonzero(painted)
    assert np.all(painted[1, 4:10, 4:16] == 4)
    assert (True, False) == after.now.decided


def test_a_given_map_that_holds_part_of_an_island_holds_all_of_it(make_volume: Callable[..., Volume]) -> None:
    """One map pixel inside gives the island its vessel; a map pixel outside every island is not kept."""
    volume = make_volume(BAR)
    vessels = np.zeros(volume.hu.shape, dtype=np.uint8)
    vessels[1, 5, 5] = vessels[0, 0, 0] = 2
    painted = labels_of(begin(volume, Labels(vessels), ScoreSettings()), "test").vessels
    assert 72 == np.count_nonzero(painted == 2)
    assert 0 == painted[0, 0, 0]


def test_a_cut_parts_a_bar_and_each_piece_can_have_its_own_vessel(state: Labelling) -> None:
    """A line from top to bottom makes two islands of one; the pixels under it belong to neither."""
    given_ = edited(state, Give((BAR_AT,), "LAD"))
    parted = edited(given_, Cut(1, ((2, 9), (12, 9))))
    pieces = [island for island in parted.now.islands if island.slice == 1]
    assert [(1, 4, 4), (1, 4, 10)] == [first_pixel(piece) for piece in pieces]
    assert [30, 36] == [piece.pixels for piece in pieces]
    assert ("LAD", "LAD", None) == parted.now.vessels
    labels = labels_of(edited(parted, Give(((1, 4, 10),), None)), "test")
    assert 30 == np.count_nonzero(labels.vessels)
    assert labels.cut is not None
    assert 6 == np.count_nonzero(labels.cut)


def test_a_cut_is_found_again_from_its_map(state: Labelling) -> None:
    """A map with a cut begins where the edits ended."""
    parted = edited(edited(state, Cut(1, ((2, 9), (12, 9)))), Give(((1, 4, 10),), "LM"))
    again = begin(state.volume, labels_of(parted, "test"), state.settings)
    assert parted.now.vessels == again.now.vessels
    assert parted.now.cut == again.now.cut


def test_a_slanting_line_fills_its_corners_only_among_8_neighbours() -> None:
    """A diagonal of 3 steps has 4 pixels, or 7 where islands hang together over corners."""
    assert [(0, 0), (1, 1), (2, 2), (3, 3)] == line_pixels([(0, 0), (3, 3)], 4)
    assert 7 == len(line_pixels([(0, 0), (3, 3)], 8))


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("line", [((2, 4), (12, 15)), ((12, 5), (2, 12)), ((2, 8), (6, 9), (12, 11))])
def test_a_line_right_across_always_parts(
    make_volume: Callable[..., Volume], connectivity: int, line: tuple[tuple[int, int], ...]
) -> None:
    """However it slants, a line from one side of the bar to the other leaves two pieces or more."""
    volume = make_volume(BAR)
    rules = ScoreSettings(connectivity=connectivity)  # type: ignore[arg-type]  # 4 or 8, from the table above
    parted = edited(begin(volume, nothing(volume), rules), Cut(1, line))
    assert 2 <= len(parted.now.islands)


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        pytest.param(Give(((1, 5, 5),), "LAD"), "not there any more", id="not a first pixel"),
        pytest.param(Give((), "LAD"), "not there any more", id="no island"),
        pytest.param(Keep(((0, 0, 0),)), "not there any more", id="no island there"),
        pytest.param(Cut(0, ((0, 0), (9, 9))), "crosses no lesion", id="an empty slice"),
        pytest.param(Cut(4, ((0, 0),)), "cannot be drawn", id="no such slice"),
        pytest.param(Cut(1, ()), "cannot be drawn", id="no points"),
        pytest.param(Cut(1, ((0, 0), (0, 24))), "leaves the image", id="outside"),
    ],
)
def test_an_edit_that_cannot_be_done_says_why(state: Labelling, edit: Edit, text: str) -> None:
    """Each is refused with a sentence."""
    with pytest.raises(EditError, match=text):
        edited(state, edit)


def test_a_map_of_another_shape_is_the_callers_slip(state: Labelling) -> None:
    """The map must fit the volume."""
    with pytest.raises(ValueError, match="different shapes"):
        begin(state.volume, Labels(np.zeros((1, 2, 3), dtype=np.uint8)), state.settings)


# --- rules for any order of edits -------------------------------------------------------------------------


def noisy(seed: int) -> Volume:
    """A volume of many irregular islands."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(60.0, 110.0, (SLICES, SIDE // 3, SIDE // 3))
    hu = np.kron(coarse, np.ones((1, 3, 3))) + rng.normal(0.0, 40.0, (SLICES, SIDE, SIDE))
    return axial_volume(hu, row_mm=0.6, column_mm=0.6, z_mm=[0.0, 3.0, 6.0])


Choice = tuple[str, int, int, int, int, int]
CHOICES = st.lists(
    st.tuples(
        st.sampled_from(["give", "give", "keep", "cut", "undo", "redo"]),
        st.integers(0, 10**6), st.integers(0, len(VESSELS)),
        st.integers(0, SIDE - 1), st.integers(0, SIDE - 1), st.integers(0, SLICES - 1),
    ),
    max_size=14,
)  # fmt: skip


def edit_of(state: Labelling, choice: Choice) -> Edit:
    """Make an edit that fits the state of the numbers of a choice."""
    kind, which, value, row, column, where = choice
    if kind == "cut":
        return Cut(where, ((row, 0), (column, SIDE - 1)) if which % 2 else ((0, row), (SIDE - 1, column)))
    at = (first_pixel(state.now.islands[which % len(state.now.islands)]),) if state.now.islands else ()
    return Keep(at) if kind == "keep" else Give(at, ([*VESSELS, None])[value])


def step(state: Labelling, choice: Choice) -> Labelling:
    """Do one choice; an edit that cannot be done leaves the state as it was."""
    if choice[0] in ("undo", "redo"):
        return undo(state) if choice[0] == "undo" else redo(state)
    try:
        return edited(state, edit_of(state, choice))
    except EditError:
        return state


def walk(seed: int, choices: list[Choice]) -> Labelling:
    """Begin with an empty map and do all choices."""
    volume = noisy(seed)
    state = begin(volume, nothing(volume), ScoreSettings())
    for choice in choices:
        state = step(state, choice)
    return state


def told(lesion: Lesion) -> tuple[object, ...]:
    """All that a lesion says."""
    return lesion.vessel, [first_pixel(one) for one in lesion.islands], lesion.centre_mm, lesion.map_share


def same(one: Labels, other: Labels) -> bool:
    """Whether two maps are equal, pixel by pixel."""
    cuts = [labels.cut if labels.cut is not None else np.zeros(0, dtype=np.bool_) for labels in (one, other)]
    return bool(np.array_equal(one.vessels, other.vessels) and np.array_equal(cuts[0], cuts[1]))


@given(st.integers(0, 50), CHOICES)
@settings(max_examples=40, deadline=None)
def test_undo_gives_the_identical_labels_and_redo_the_later_ones(seed: int, choices: list[Choice]) -> None:
    """All the way back is the beginning, all the way forth is the end, each step on the way the same map."""
    state = walk(seed, choices)
    maps = [labels_of(state, "")]
    while state.done:
        state = undo(state)
        maps.append(labels_of(state, ""))
    assert not maps[-1].vessels.any()
    assert maps[-1].cut is None
    for expected in maps[-2::-1]:
        state = redo(state)
        assert same(expected, labels_of(state, ""))


@given(st.integers(0, 50), CHOICES)
@settings(max_examples=40, deadline=None)
def test_the_edits_that_hold_make_the_same_map_again(seed: int, choices: list[Choice]) -> None:
    """What the journal keeps is enough: its edits on the first map give the last one."""
    state = walk(seed, choices)
    again = begin(state.volume, nothing(state.volume), state.settings)
    for edit in state.edits:
        again = edited(again, edit)
    assert same(labels_of(state, ""), labels_of(again, ""))


@given(st.integers(0, 50), CHOICES)
@settings(max_examples=40, deadline=None)
def test_islands_are_those_of_the_scorer_and_the_vessels_add_up(seed: int, choices: list[Choice]) -> None:
    """The scorer finds the same islands and vessels in the painted map, and its total is the sum of the vessels."""
    state = walk(seed, choices)
    labels = labels_of(state, "")
    found = find_islands(state.volume, state.settings, labels.cut)
    assert [first_pixel(one) for one in found] == [first_pixel(one) for one in state.now.islands]
    score = score_volume(state.volume, labels, state.settings)
    lesions = find_lesions(state.volume, found, labels, state.settings)
    assert [told(one) for one in lesions] == [told(one) for one in lesions_of(state)]
    quick = score_volume(state.volume, labels, state.settings, known=lesions_of(state))
    assert isinstance(score, Score)
    assert isinstance(quick, Score)
    assert score.total == total_of(score.vessels) == quick.total
    weights = sum(
        island.pixels * island.weight
        for island, vessel in zip(state.now.islands, state.now.vessels, strict=True)
        if vessel is not None
    )
    assert score.total is not None
    assert weights == score.total.pixel_weights


@given(st.integers(0, 50), CHOICES, st.integers(0, 10**6), st.integers(0, len(VESSELS)))
@settings(max_examples=40, deadline=None)
def test_an_edit_changes_no_other_island(seed: int, choices: list[Choice], which: int, value: int) -> None:
    """Outside of the island that is named, and of the slice that is cut, the map stays."""
    state = walk(seed, choices)
    if not state.now.islands:
        return
    island = state.now.islands[which % len(state.now.islands)]
    after = edited(state, Give((first_pixel(island),), ([*VESSELS, None])[value]))
    changed = labels_of(state, "").vessels != labels_of(after, "").vessels
    changed[island.slice, island.rows, island.columns] = False
    assert not changed.any()


@given(st.integers(0, 50), CHOICES, st.integers(0, SIDE - 1), st.integers(0, SLICES - 1))
@settings(max_examples=40, deadline=None)
def test_a_cut_never_merges_and_never_moves_a_vessel(seed: int, choices: list[Choice], row: int, where: int) -> None:
    """Each island after a cut lies in one island before it, and has its vessel; other slices are untouched."""
    state = walk(seed, choices)
    try:
        after = edited(state, Cut(where, ((row, 0), (row, SIDE - 1))))
    except EditError:
        return
    before = {
        (island.slice, int(r), int(c)): place
        for place, island in enumerate(state.now.islands)
        for r, c in zip(island.rows, island.columns, strict=True)
    }
    for island, vessel in zip(after.now.islands, after.now.vessels, strict=True):
        owners = {before[(island.slice, int(r), int(c))] for r, c in zip(island.rows, island.columns, strict=True)}
        assert 1 == len(owners)
        assert state.now.vessels[owners.pop()] == vessel
    assert [one for one in state.now.islands if one.slice != where] == [
        one for one in after.now.islands if one.slice != where
    ]
