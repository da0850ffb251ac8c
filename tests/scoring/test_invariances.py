"""What a score may not depend on, for any volume: found by random search."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from scoring.lesions import VESSELS, Labels
from scoring.score import Score, score_volume
from scoring.settings import ScoreSettings
from scoring.volume import SliceRecord, Volume, build_volume

SPACING = st.floats(0.2, 1.3, allow_nan=False)


def _scene(seed: int, smooth: bool) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Random HU around the threshold and a random vessel map, [5, 14, 14]."""
    rng = np.random.default_rng(seed)
    hu = rng.integers(0, 460, (5, 14, 14))
    if smooth:  # larger islands
        hu = (hu + np.roll(hu, 1, axis=1) + np.roll(hu, 1, axis=2)) // 3
    labels = rng.integers(0, len(VESSELS) + 1, (5, 14, 14)).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.7] = 0
    return hu.astype(np.int16), labels


def _volume(
    hu: NDArray[np.int16], row_mm: float, column_mm: float, orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0)
) -> Volume:
    """Build a volume from records with the given orientation, through the sorting and rescaling."""
    records = [
        SliceRecord(
            name=f"{index}",
            digest=f"{index}",
            series_uid="1",
            stored=hu[index],
            slope=1.0,
            intercept=0.0,
            row_mm=row_mm,
            column_mm=column_mm,
            orientation=orientation,  # type: ignore[arg-type]  # always six
            position_mm=(0.0, 0.0, 3.0 * index),
        )
        for index in range(len(hu))
    ]
    volume = build_volume(records)
    assert isinstance(volume, Volume)
    return volume


def _score(volume: Volume, labels: NDArray[Any], **more: Any) -> Score:
    """Score that must not be a refusal."""
    score = score_volume(volume, Labels(labels), ScoreSettings(**more))
    assert isinstance(score, Score)
    return score


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    row_mm=SPACING,
    column_mm=SPACING,
    smooth=st.booleans(),
    connectivity=st.sampled_from([4, 8]),
    everything=st.booleans(),
)
def test_the_vessels_sum_to_the_total_exactly(
    seed: int, row_mm: float, column_mm: float, smooth: bool, connectivity: int, everything: bool
) -> None:
    """Not nearly: the integers and the floating-point values both add up to the last bit."""
    hu, labels = _scene(seed, smooth)
    score = _score(_volume(hu, row_mm, column_mm), labels, connectivity=connectivity, all_islands=everything)
    assert score.total is not None
    parts = list(score.vessels.values())
    assert score.total.pixel_weights == sum(part.pixel_weights for part in parts)
    assert score.total.pixels == sum(part.pixels for part in parts)
    assert score.total.lesions == sum(part.lesions for part in parts) == len(score.lesions)
    assert score.total.agatston - sum(part.agatston for part in parts) == 0.0
    assert score.total.volume_mm3 - sum(part.volume_mm3 for part in parts) == 0.0
    islands = [island for lesion in score.lesions for island in lesion.islands]
    assert score.total.pixel_weights == sum(island.pixels * island.weight for island in islands)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), row_mm=SPACING, column_mm=SPACING, smooth=st.booleans())
def test_turning_or_reversing_the_stack_changes_nothing(
    seed: int, row_mm: float, column_mm: float, smooth: bool
) -> None:
    """A quarter turn of the pictures, or the slices in the other direction, gives the same table."""
    hu, labels = _scene(seed, smooth)
    plain = _score(_volume(hu, row_mm, column_mm), labels)
    turned_hu, turned_labels = np.rot90(hu, axes=(1, 2)).copy(), np.rot90(labels, axes=(1, 2)).copy()
    turned = _score(_volume(turned_hu, column_mm, row_mm, (0, 1, 0, -1, 0, 0)), turned_labels)
    upside = _score(_volume(hu[::-1].copy(), row_mm, column_mm), labels[::-1].copy())
    for other in (turned, upside):
        assert plain.agatston == other.agatston
        assert plain.vessels == other.vessels
        assert (plain.shown, plain.category, plain.cac_drs) == (other.shown, other.category, other.cac_drs)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), smooth=st.booleans())
def test_a_quarter_turn_keeps_every_lesion_where_it_is_in_the_patient(seed: int, smooth: bool) -> None:
    """With the orientation turned too, the list of lesions is the same in patient coordinates."""
    hu, labels = _scene(seed, smooth)
    plain = _score(_volume(hu, 0.5, 0.5), labels)
    # np.rot90 puts the last column first: rows now run against x, columns along y, from the far corner
    turned = _volume(np.rot90(hu, axes=(1, 2)).copy(), 0.5, 0.5, (0, 1, 0, -1, 0, 0))
    score = _score(turned, np.rot90(labels, axes=(1, 2)).copy())
    shift = np.array([13 * 0.5, 0.0, 0.0])  # the first pixel now lies at the last column

    def where(found: Score, move: NDArray[np.float64]) -> list[tuple[Any, ...]]:
        return sorted(
            (lesion.vessel, lesion.pixels, *np.round(np.array(lesion.centre_mm) + move, 6)) for lesion in found.lesions
        )

    assert where(plain, np.zeros(3)) == where(score, shift)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), smooth=st.booleans())
def test_lesions_share_no_pixel_and_lose_none(seed: int, smooth: bool) -> None:
    """Every counted pixel stands in one lesion, scored or candidate, and each lies at or above the threshold."""
    hu, labels = _scene(seed, smooth)
    score = _score(_volume(hu, 0.5, 0.6), labels)
    seen = np.zeros(hu.shape, dtype=int)
    for lesion in (*score.lesions, *score.candidates):
        for island in lesion.islands:
            seen[island.slice, island.rows, island.columns] += 1
    assert seen.max() <= 1
    assert np.all(hu[seen == 1] >= 130)
    everything = _score(_volume(hu, 0.5, 0.6), labels, all_islands=True)
    assert everything.total is not None
    assert int(seen.sum()) == everything.total.pixels
