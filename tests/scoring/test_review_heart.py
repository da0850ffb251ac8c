"""A heart that the images show cut: what the reader of a review may say of it, and what stands then."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from scoring.io.revisions import read_report, revisions
from scoring.labelling import Give
from scoring.quality import Measured
from scoring.review.desk import Desk
from scoring.review.opening import Told, open_review
from scoring.review.view import Heart

BAR, BAR_AT = (1, 4, 6, 4, 12, 250.0), (1, 4, 4)  # 36
CUT = Measured(aorta=None, blood_pool=None, coverage="incomplete", reasons=("It goes on above.",))


def sit(folder: Path) -> closing[Desk]:
    """Open a desk for the length of a block."""
    return closing(Desk(open_review(Told(folder)), lambda: "2026-03-04T10:11:12+01:00"))


def labelled(desk: Desk) -> int:
    """Give the one lesion its vessel; gives the number of the state."""
    return desk.step(desk.state().number, Give(islands=(BAR_AT,), vessel="LAD")).number


def test_a_reader_says_that_a_heart_is_whole_and_can_take_it_back(
    tmp_path: Path, write_series: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The images show it cut: no class. The reader's word is in the revision, and in those after it, until changed."""
    write_series(tmp_path / "slices", BAR)
    monkeypatch.setattr("scoring.io.scored_series.measured_in", lambda _: CUT)
    with sit(tmp_path / "slices") as desk:
        number = labelled(desk)
        state = desk.state()
        assert Heart(("It goes on above.",), False) == state.heart
        assert ("36", None) == (state.totals.total and state.totals.total.shown, state.totals.category)
        state = desk.save(number, "draft", "", False)
        assert state.totals.category is None, "nobody has said anything"
        state = desk.save(state.number, "confirmed", "Dr Ada", True, whole_heart=True)
        assert ("11-100", True) == (state.totals.category, state.heart and state.heart.said_whole)
    with sit(tmp_path / "slices-review") as again:
        assert "11-100" == again.state().totals.category
        state = again.save(again.state().number, "confirmed", "Dr Bo", False, whole_heart=False)
        assert (None, False) == (state.totals.category, state.heart and state.heart.said_whole)
    kept = [read_report(path) for path in revisions(tmp_path / "slices-review")]
    assert ["images", "person", "images"] == [one.settings.coverage_check for one in kept]
    assert [None, "11-100", None] == [one.category for one in kept]


def test_of_a_heart_that_was_not_found_cut_nothing_is_asked(tmp_path: Path, write_series: Callable[..., Any]) -> None:
    """And a word on it changes nothing."""
    write_series(tmp_path / "slices", BAR)
    with sit(tmp_path / "slices") as desk:
        state = desk.save(labelled(desk), "confirmed", "Dr Ada", True, whole_heart=True)
    assert state.heart is None
    assert "images" == read_report(tmp_path / "slices-review" / "revision-0001").settings.coverage_check
