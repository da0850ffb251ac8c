"""Slices missing at an end leave no gap: what the numbers in the headers tell of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.ends import Numbering, ends_of
from scoring.io.dicom_in import read_series
from scoring.io.words import quality_rows
from scoring.quality import NOT_MEASURED, quality_of
from scoring.settings import ScoreSettings
from scoring.volume import Volume
from tests.scoring.dicom_files import ct_slice, painted


def _plain(instances: Sequence[int | None], **told: Any) -> list[Numbering]:
    return [Numbering(instance=one, **told) for one in instances]


def _exposures(*counts: int) -> list[Numbering]:
    """Exposures of four announced images each, of which so many are here."""
    return [
        Numbering(acquisition=number, in_acquisition=4) for number, count in enumerate(counts, 1) for _ in range(count)
    ]


CASES = {
    "no number at all": (_plain([None] * 3), "unknown", "cannot be seen"),
    "numbered from 1, no count": (_plain([1, 2, 3]), "unknown", "cannot be seen"),
    "numbered from 0": (_plain([0, 1, 2]), "unknown", "cannot be seen"),
    "numbered from 2": (_plain([2, 3, 4]), "short", "numbered from 2, not from 1"),
    "numbered from 4, in any order": (_plain([6, 4, 5]), "short", "numbered from 4, not from 1"),
    "numbers with holes tell nothing": (_plain([5, 9, 13]), "unknown", "cannot be seen"),
    "one number for all tells nothing": (_plain([7, 7, 7]), "unknown", "cannot be seen"),
    "some without a number tell nothing": (_plain([2, None, 4]), "unknown", "cannot be seen"),
    "all of the acquisition": (_plain([1, 2, 3], in_acquisition=3), "counted", "so many are here"),
    "all of the series": (_plain([1, 2, 3], in_series=3), "counted", "so many are here"),
    "more than counted": (_plain([1, 2, 3], in_acquisition=2), "counted", "so many are here"),
    "one of the series is missing": (_plain([1, 2, 3], in_series=4), "short", "tell of 4 images, 3 are here"),
    "the series' count goes before": (_plain([1, 2], in_series=2, in_acquisition=9), "counted", "so many are here"),
    "every exposure whole": (_exposures(4, 4, 4), "counted", "so many are here"),
    "the last exposure short": (_exposures(4, 4, 3), "short", "4 images of exposure 3, 3 are here"),
    "a count in some images only": ([*_plain([1, 2]), Numbering(in_acquisition=3)], "unknown", "cannot be seen"),
    "a whole multi-frame object": ([Numbering(in_object=3)] * 3, "counted", "so many are here"),
    "two multi-frame objects": ([Numbering(in_object=3)] * 6, "unknown", "cannot be seen"),
}


@pytest.mark.parametrize("name", CASES)
def test_what_the_numbers_tell(name: str) -> None:
    """Counted, short or unknown, and one sentence that says why."""
    numbers, state, words = CASES[name]
    ends = ends_of(numbers, believe_count=True)
    assert (state, True) == (ends.state, words in ends.told)


def test_a_count_that_is_known_to_be_of_no_use_is_not_believed() -> None:
    """The site says so; a numbering that begins late is told all the same."""
    assert "unknown" == ends_of(_plain([1, 2], in_acquisition=9), believe_count=False).state
    assert "short" == ends_of(_plain([3, 4], in_acquisition=9), believe_count=False).state


@given(st.integers(3, 60), st.data())
def test_whichever_slice_is_lost_is_told_by_a_count(slices: int, data: st.DataObject) -> None:
    """For any series with a count, any slices removed and any order of the files."""
    whole = _plain(range(1, slices + 1), in_acquisition=slices)
    kept = data.draw(st.lists(st.sampled_from(whole), min_size=1, max_size=slices - 1, unique_by=lambda n: n.instance))
    assert "counted" == ends_of(whole, believe_count=True).state
    assert "short" == ends_of(kept, believe_count=True).state


@pytest.mark.parametrize(
    ("gone", "count", "state"),
    [(None, 6, "counted"), (0, None, "short"), (0, 6, "short"), (5, 6, "short"), (5, None, "unknown")],
)
def test_a_report_tells_of_the_first_and_the_last_slice(
    gone: int | None, count: int | None, state: str, tmp_path: Path
) -> None:
    """The quality block says whether the ends are known; what may be missing is a note, too."""
    hu = painted((), (6, 8, 8), 40.0)
    told = {} if count is None else {"ImagesInAcquisition": count}
    for index in range(6):
        if index != gone:
            ct_slice(hu[index], 3.0 * index, index + 1, **told).save_as(
                tmp_path / f"{index}.dcm", enforce_file_format=True
            )
    volume = read_series(tmp_path)
    assert isinstance(volume, Volume)
    assert volume.ends is not None
    assert state == volume.ends.state
    assert (state == "short") == (volume.ends.told in volume.notes)
    rows = dict(quality_rows(quality_of(volume, NOT_MEASURED, None, ScoreSettings())))
    assert volume.ends.told == rows["First and last slice"]
