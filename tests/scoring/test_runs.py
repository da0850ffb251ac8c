"""Connected components by runs are those of a labelling that visits every pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from scoring.runs import components, runs_of, touching_pairs

IN_PLANE = {4: ((0, 1, 0),), 8: ((0, 1, 1),)}
IN_SPACE = ((0, 1, 1), (1, -1, 1), (1, 0, 1), (1, 1, 1))


def _by_runs(above: np.ndarray, steps: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """Label pixels by runs, from 1 in the order of first pixels."""
    runs = runs_of(np.flatnonzero(above), above.shape)
    label = components(len(runs), *touching_pairs(runs, steps)) + 1
    out = np.zeros(above.size, dtype=int)
    for start, pixels, number in zip(runs.starts, runs.pixels, label, strict=True):
        out[start : start + pixels] = number
    return out.reshape(above.shape)


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 10_000), share=st.floats(0.05, 0.95))
@pytest.mark.parametrize("neighbours", [4, 8, 26])
def test_runs_label_as_a_full_labelling_does(neighbours: int, seed: int, share: float) -> None:
    """Same components, and the same numbers, whatever lies at the borders of rows and slices."""
    above = np.random.default_rng(seed).random((4, 7, 6)) < share
    structure = np.ones((3, 3, 3), dtype=bool)
    if neighbours != 26:
        structure[[0, 2]] = False
    if neighbours == 4:
        structure[1] = [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    expected, _ = ndimage.label(above, structure)
    found = _by_runs(above, IN_SPACE if neighbours == 26 else IN_PLANE[neighbours])
    assert np.array_equal(expected, found)


def test_an_owner_parts_a_run() -> None:
    """Neighbours in one row that belong to two are two runs."""
    runs = runs_of(np.array([2, 3, 4, 5]), (1, 1, 8), np.array([0, 0, 1, 1]))
    assert [(2, 3), (4, 5)] == list(zip(runs.first, runs.last, strict=True))
