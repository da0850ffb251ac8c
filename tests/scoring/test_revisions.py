"""The folder of a result: revisions are written whole, stay as they are, and follow each other."""

import hashlib
from pathlib import Path

import pytest

from scoring.io.errors import SeriesError
from scoring.io.revisions import digest_of, next_number, number_of, revisions, write_revision


def test_a_correction_stands_beside_what_it_corrects(tmp_path: Path) -> None:
    """The second revision has the next number, and the first is still what it was."""
    assert next_number(tmp_path / "case") == 1
    first = write_revision(tmp_path / "case", 1, {"score.json": b"one"})
    assert next_number(tmp_path / "case") == 2
    second = write_revision(tmp_path / "case", 2, {"score.json": b"two"})
    assert revisions(tmp_path / "case") == (first, second)
    assert [number_of(one) for one in (first, second)] == [1, 2]
    assert (first / "score.json").read_bytes() == b"one"
    assert digest_of(first) == hashlib.sha256(b"one").hexdigest()


def test_a_revision_is_never_overwritten(tmp_path: Path) -> None:
    """A number that is taken is refused; what stood there stands, and nothing else is left behind."""
    write_revision(tmp_path, 1, {"score.json": b"one"})
    with pytest.raises(SeriesError, match="never overwritten"):
        write_revision(tmp_path, 1, {"score.json": b"other"})
    assert [path.name for path in tmp_path.iterdir()] == ["revision-0001"]
    assert (tmp_path / "revision-0001" / "score.json").read_bytes() == b"one"


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A file that the disk does not take takes the whole revision back."""
    with pytest.raises(SeriesError, match="nothing of it was kept"):
        write_revision(tmp_path, 1, {"score.json": b"one", "no/such/folder": b""})
    assert list(tmp_path.iterdir()) == []
