"""What `diastole review` opens: folders of each kind, journals that were left behind, results that are opened again."""

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import diastole
from scoring.candidates import Proposal, proposed_labels
from scoring.coronary_finder import Proposed
from scoring.io.errors import SeriesError
from scoring.io.revisions import revisions
from scoring.islands import find_islands
from scoring.labelling import Cut, Give, Keep, first_pixel
from scoring.lesions import find_lesions
from scoring.review import opening
from scoring.review.desk import Desk, DeskError
from scoring.review.journal import Redone, Undone
from scoring.review.opening import Told, open_review, write_pointer
from scoring.settings import ScoreSettings
from scoring.volume import Volume

NOW = "2026-03-04T10:11:12+01:00"
BAR, SPOT = (1, 4, 6, 4, 12, 250.0), (3, 20, 4, 20, 4, 420.0)
BAR_AT, SPOT_AT = (1, 4, 4), (3, 20, 20)


@pytest.fixture
def sources(tmp_path: Path, write_series: Callable[..., Any]) -> list[Any]:
    """A series with a bar and a spot in `slices`, and its data sets."""
    written: list[Any] = write_series(tmp_path / "slices", BAR, SPOT)
    return written


@pytest.fixture
def sit() -> Iterator[Callable[..., Desk]]:
    """Open a desk that is closed after the test."""
    desks: list[Desk] = []

    def sit(folder: Path, **told: Any) -> Desk:
        desks.append(Desk(open_review(Told(folder, **told)), lambda: NOW))
        return desks[-1]

    yield sit
    for desk in desks:
        desk.close()


def do(desk: Desk, *steps: Any) -> None:
    """Do steps, each on the newest state."""
    for one in steps:
        desk.step(desk.state().number, one)


# --- folders ----------------------------------------------------------------------------------------------


def test_a_study_brings_its_map_and_its_scan(
    tmp_path: Path, sources: list[Any], write_map: Callable[..., Any], sit: Callable[..., Desk]
) -> None:
    """A folder with slices/, labels.seg.dcm and scan.json needs no options; its result goes to review/."""
    vessels: NDArray[np.uint8] = np.zeros((6, 32, 32), dtype=np.uint8)
    vessels[1, 6, 6] = 4
    write_map(tmp_path / "labels.seg.dcm", sources, vessels)
    (tmp_path / "scan.json").write_text('{"complete": true, "simulated": true}')
    desk = sit(tmp_path)
    assert "36" == desk.state().totals.vessels["RCA"].shown
    assert desk.facts().simulated
    assert 2 == desk.state().undecided
    desk.save(desk.state().number, "draft", "", False)
    assert (tmp_path / "review" / "revision-0001" / "score.json").is_file()


def test_a_series_alone_begins_with_an_empty_map_and_a_result_beside_it(
    tmp_path: Path, sources: list[Any], sit: Callable[..., Desk]
) -> None:
    """Nothing is written into the folder of the slices."""
    desk = sit(tmp_path / "slices")
    assert "0" == desk.state().totals.vessels["LAD"].shown
    desk.save(desk.state().number, "draft", "", False)
    assert (tmp_path / "slices-review" / "revision-0001").is_dir()
    assert all(path.suffix == ".dcm" for path in (tmp_path / "slices").iterdir())


@pytest.mark.parametrize(
    ("make", "text"),
    [
        pytest.param(lambda path: path / "nothing", "is not a folder", id="no folder"),
        pytest.param(lambda path: path, "holds no CT image", id="no slices"),
    ],
)
def test_a_folder_that_is_none_is_named(tmp_path: Path, make: Callable[[Path], Path], text: str) -> None:
    """With the cure."""
    with pytest.raises(SeriesError, match=text):
        open_review(Told(make(tmp_path)))


def test_the_command_ends_with_2_and_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong folder is the user's to mend."""
    assert 2 == diastole.main(["review", str(tmp_path / "nothing")])
    assert 1 == capsys.readouterr().err.count("diastole review: ")


def test_a_proposal_is_shown_as_one_and_waits_for_the_reader(
    tmp_path: Path, sources: list[Any], sit: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a finder thinks is the map to begin with, with its confidence and why; nobody has decided it."""

    def propose(volume: Volume, settings: ScoreSettings) -> Proposed:
        bar, spot = find_lesions(volume, find_islands(volume, settings), None, settings)
        thought = (Proposal(bar, "LAD", 0.75, "in the groove"), Proposal(spot, None, 0.9, "bone"))
        return Proposed(proposed_labels(thought, volume, "test 1"), thought)

    monkeypatch.setattr(opening, "propose", propose)
    state = sit(tmp_path / "slices").state()
    told = [(one.vessel, one.proposed, one.confidence, one.why, one.decided) for one in state.lesions]
    assert [("LAD", "LAD", 0.75, "in the groove", False), (None, "none", 0.9, "bone", False)] == told
    assert "36" == state.totals.vessels["LAD"].shown


def test_without_a_folder_the_demo_is_opened_or_the_cure_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first thing that a newcomer types."""
    monkeypatch.chdir(tmp_path)
    assert 2 == diastole.main(["review"])
    assert "diastole simulate study --out out/demo" in capsys.readouterr().err
    (tmp_path / "out" / "demo").mkdir(parents=True)
    assert 2 == diastole.main(["review"])
    assert "out/demo holds no CT image" in capsys.readouterr().err


# --- journals ---------------------------------------------------------------------------------------------


def test_edits_of_a_page_that_died_are_offered_and_taken_over(
    tmp_path: Path, sources: list[Any], sit: Callable[..., Desk]
) -> None:
    """What was undone is not among them; taken over they make the same score, and are not offered again."""
    out = tmp_path / "out"
    died = sit(tmp_path / "slices", out=out)
    do(died, Give((BAR_AT,), "LAD"), Give((SPOT_AT,), "LM"), Undone(), Cut(1, ((2, 9), (12, 9))), Undone(), Redone())
    totals = died.state().totals
    died.close()
    desk = sit(tmp_path / "slices", out=out)
    left = desk.state().left
    assert left is not None
    assert (2, 0, NOW) == (left.edits, left.base, left.began_at)
    assert totals == desk.take_left(desk.state().number, True).totals
    desk.close()
    again = sit(tmp_path / "slices", out=out).state().left
    assert again is not None
    assert 2 == again.edits
    assert 2 == len(list(out.glob("*.jsonl")))


def test_edits_that_are_passed_over_are_not_offered_again(
    tmp_path: Path, sources: list[Any], sit: Callable[..., Desk]
) -> None:
    """Their journal stays on the disk."""
    died = sit(tmp_path / "slices", out=tmp_path / "out")
    do(died, Give((BAR_AT,), "LAD"))
    died.close()
    desk = sit(tmp_path / "slices", out=tmp_path / "out")
    assert desk.take_left(desk.state().number, False).left is None
    assert "0" == desk.state().totals.vessels["LAD"].shown
    assert sit(tmp_path / "slices", out=tmp_path / "out").state().left is None
    assert 1 == len(list((tmp_path / "out").glob("*.jsonl")))


def test_a_journal_that_a_page_still_writes_is_not_left_behind(
    tmp_path: Path, sources: list[Any], sit: Callable[..., Desk]
) -> None:
    """Two pages on one result each have their own."""
    live = sit(tmp_path / "slices", out=tmp_path / "out")
    do(live, Give((BAR_AT,), "LAD"))
    assert sit(tmp_path / "slices", out=tmp_path / "out").state().left is None


def test_a_journal_cut_off_in_a_line_gives_the_lines_before(
    tmp_path: Path, sources: list[Any], sit: Callable[..., Desk]
) -> None:
    """A crash in the middle of a write loses only what was never shown."""
    died = sit(tmp_path / "slices", out=tmp_path / "out")
    do(died, Give((BAR_AT,), "LAD"), Keep((SPOT_AT,)))
    died.close()
    journal = next((tmp_path / "out").glob("*.jsonl"))
    journal.write_bytes(journal.read_bytes()[:-9])
    left = sit(tmp_path / "slices", out=tmp_path / "out").state().left
    assert left is not None
    assert 1 == left.edits


def test_an_edit_that_the_disk_does_not_take_does_not_hold(
    tmp_path: Path, sources: list[Any], sit: Callable[..., Desk]
) -> None:
    """First the journal, then the page."""
    (tmp_path / "file").write_bytes(b"")
    desk = sit(tmp_path / "slices", out=tmp_path / "file" / "out")
    before = desk.state()
    with pytest.raises(SeriesError, match="takes no journal"):
        do(desk, Give((BAR_AT,), "LAD"))
    assert before == desk.state()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of a file's size are those of POSIX")
def test_an_edit_that_was_refused_does_not_come_back_from_the_journal(
    tmp_path: Path, sources: list[Any], sit: Callable[..., Desk]
) -> None:
    """The disk fills in the middle of a line, and is freed: the journal holds what the page holds, and no more."""
    desk, out = sit(tmp_path / "slices", out=tmp_path / "out"), tmp_path / "out"
    do(desk, Give((BAR_AT,), "LAD"))
    journal = next(out.glob("*.jsonl"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.stat().st_size + 20, hard))
    try:
        with pytest.raises(SeriesError, match="takes no journal"):
            do(desk, Give((SPOT_AT,), "LM"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    do(desk, Give((SPOT_AT,), "RCA"))
    held = desk.state().totals
    desk.close()
    again = sit(tmp_path / "slices", out=out)
    left = again.state().left
    assert left is not None
    assert 2 == left.edits
    assert held == again.take_left(again.state().number, True).totals


# --- results that are opened again ------------------------------------------------------------------------


def test_a_confirmed_result_opens_by_its_own_folder_with_the_same_score(
    tmp_path: Path, sources: list[Any], write_map: Callable[..., Any], sit: Callable[..., Desk]
) -> None:
    """Nothing waits in it; a change makes it a proposal again, and its next save supersedes it."""
    out = tmp_path / "out"
    first = sit(tmp_path / "slices", out=out)
    do(first, Give((BAR_AT,), "LAD"), Give((SPOT_AT,), "LCX"))
    first.save(first.state().number, "confirmed", "Dr Ada", False)
    again = sit(out)
    state = again.state()
    assert (first.state().totals, 0, 1, True) == (
        state.totals, state.undecided, state.standing.revision, state.standing.confirmed,
    )  # fmt: skip
    do(again, Give((SPOT_AT,), None))
    assert not again.state().standing.confirmed
    again.save(again.state().number, "confirmed", "Dr Bo", False)
    assert ["revision-0001", "revision-0002"] == [path.name for path in revisions(out)]


def test_a_draft_that_is_opened_again_knows_what_was_decided(
    tmp_path: Path, sources: list[Any], write_map: Callable[..., Any], sit: Callable[..., Desk]
) -> None:
    """Not coronary is a decision too; what nobody decided still waits."""
    first = sit(tmp_path / "slices", out=tmp_path / "out")
    do(first, Give((BAR_AT,), None))
    first.save(first.state().number, "draft", "", False)
    assert [True, False] == [lesion.decided for lesion in sit(tmp_path / "out").state().lesions]


def test_a_study_that_was_reviewed_opens_with_the_readers_map(
    tmp_path: Path, sources: list[Any], write_map: Callable[..., Any], sit: Callable[..., Desk]
) -> None:
    """Not with the map that lies beside the slices: the same command again must not undo a review."""
    vessels: NDArray[np.uint8] = np.zeros((6, 32, 32), dtype=np.uint8)
    vessels[1, 6, 6] = 4
    write_map(tmp_path / "labels.seg.dcm", sources, vessels)
    first = sit(tmp_path)
    do(first, Give((BAR_AT,), "LM"), Give((SPOT_AT,), None))
    first.save(first.state().number, "confirmed", "Dr Ada", False)
    state = sit(tmp_path).state()
    assert ("36", "0") == (state.totals.vessels["LM"].shown, state.totals.vessels["RCA"].shown)
    assert (True, 0, ()) == (state.standing.confirmed, state.undecided, state.notices)
    given = sit(tmp_path, labels=tmp_path / "labels.seg.dcm").state()
    assert "36" == given.totals.vessels["RCA"].shown
    assert "The map is the one given" in given.notices[0]


def test_a_result_without_its_map_says_so(tmp_path: Path, sources: list[Any], sit: Callable[..., Desk]) -> None:
    """Every lesion waits again, and a notice tells why."""
    out = tmp_path / "out"
    first = sit(tmp_path / "slices", out=out)
    first.save(first.state().number, "confirmed", "Dr Ada", True)
    (revisions(out)[0] / "vessels.seg.dcm").unlink(missing_ok=True)
    state = sit(out).state()
    assert 2 == state.undecided
    assert "holds no vessel map" in state.notices[0]
    assert not state.standing.confirmed


def test_a_result_of_another_series_is_refused(
    tmp_path: Path, sources: list[Any], write_series: Callable[..., Any], sit: Callable[..., Desk]
) -> None:
    """A map must not wander to other images."""
    first = sit(tmp_path / "slices", out=tmp_path / "out")
    first.save(first.state().number, "draft", "", False)
    write_series(tmp_path / "others", BAR, SeriesInstanceUID="1.2.3.4")
    with pytest.raises(SeriesError, match="another series"):
        open_review(Told(tmp_path / "others", out=tmp_path / "out"))


@pytest.mark.parametrize(
    ("pointer", "text"),
    [
        pytest.param(None, "does not say where its slices are", id="none"),
        pytest.param(b"{", "cannot be read", id="damaged"),
        pytest.param(b'{"slices": "../elsewhere"}', "any more", id="moved"),
    ],
)
def test_a_result_that_has_lost_its_slices_says_how_to_open_it(
    tmp_path: Path, sources: list[Any], sit: Callable[..., Desk], pointer: bytes | None, text: str
) -> None:
    """Give both folders; then it opens."""
    out = tmp_path / "out"
    first = sit(tmp_path / "slices", out=out)
    first.save(first.state().number, "draft", "", False)
    (out / "source.json").unlink()
    if pointer is not None:
        (out / "source.json").write_bytes(pointer)
    with pytest.raises(SeriesError, match=f"{text}.*--out"):
        open_review(Told(out))
    assert 1 == sit(tmp_path / "slices", out=out).state().standing.revision


def test_the_pointer_is_relative_so_that_both_folders_can_move_together(tmp_path: Path) -> None:
    """And it names no machine."""
    write_pointer(tmp_path / "case" / "out", tmp_path / "case" / "slices")
    assert b'{"slices":"../slices"}\n' == (tmp_path / "case" / "out" / "source.json").read_bytes()


def test_slices_that_are_gone_at_the_save_are_named_and_nothing_is_written(
    tmp_path: Path, sources: list[Any], sit: Callable[..., Desk]
) -> None:
    """Whose they are comes from the files, so without them there is no result."""
    desk = sit(tmp_path / "slices", out=tmp_path / "out")
    (tmp_path / "slices" / "slice003.dcm").unlink()
    with pytest.raises(SeriesError, match="has no file any more"):
        desk.save(desk.state().number, "draft", "", False)
    assert () == revisions(tmp_path / "out")


def test_edits_left_on_an_older_revision_are_done_on_the_new_one_where_they_fit(
    tmp_path: Path, sources: list[Any], write_map: Callable[..., Any], sit: Callable[..., Desk]
) -> None:
    """After a stale save: the reader takes the edits over; one whose island was cut meanwhile is told of."""
    out = tmp_path / "out"
    stale = sit(tmp_path / "slices", out=out)
    do(stale, Cut(1, ((2, 9), (12, 9))), Give(((1, 4, 10),), "LM"), Give((SPOT_AT,), "RCA"))
    other = sit(tmp_path / "slices", out=out)
    do(other, Cut(1, ((2, 9), (12, 9))), Cut(1, ((2, 10), (12, 10))))
    other.save(other.state().number, "draft", "", False)
    with pytest.raises(DeskError, match="Another page wrote"):
        stale.save(stale.state().number, "draft", "", False)
    stale.close()
    desk = sit(tmp_path / "slices", out=out)
    left = desk.state().left
    assert left is not None
    assert (3, 0, 1) == (left.edits, left.base, desk.state().standing.revision)
    state = desk.take_left(desk.state().number, True)
    assert "16" == state.totals.vessels["RCA"].shown
    assert desk._state is not None
    assert first_pixel(desk._state.now.islands[0]) == BAR_AT
