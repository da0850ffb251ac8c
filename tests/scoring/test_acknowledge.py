"""A very high score waits until a named person has seen it, and each correction of it waits anew."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

import diastole
from scoring.io.acknowledge import acknowledge, acknowledgements, waiting
from scoring.io.errors import SeriesError
from scoring.io.revisions import write_revision
from scoring.lesions import Labels
from scoring.report import ScoreReport, make_report, to_json
from scoring.score import score_volume
from scoring.settings import ScoreSettings
from scoring.volume import Volume

AT = "2026-11-28T10:00:00+01:00"


@pytest.fixture
def high(make_volume: Callable[..., Volume]) -> ScoreReport:
    """Give a report of 400 Agatston."""
    volume = make_volume((1, 0, 100, 0, 4, 500.0), side=120)
    labels = Labels(np.full(volume.hu.shape, 2, dtype=np.uint8))
    settings = ScoreSettings(cardiologist="Dr. Example")
    return make_report(score_volume(volume, labels, settings), volume, labels, version="test")


def test_it_waits_until_it_was_seen(tmp_path: Path, high: ScoreReport) -> None:
    """It waits for the named cardiologist; once seen by somebody it does not, and the record says by whom."""
    write_revision(tmp_path, 1, {"score.json": to_json(high)})
    told = waiting(tmp_path)
    assert told is not None
    assert "Agatston 400, 400 or more, has not been seen by Dr. Example" in told
    acknowledge(tmp_path, " Dr. Other ", AT)
    assert waiting(tmp_path) is None
    (one,) = acknowledgements(tmp_path)
    assert ("Dr. Other", AT, 1, 400.0, "400") == (one.by, one.at, one.revision, one.very_high_from, one.shown)


def test_a_correction_waits_anew(tmp_path: Path, high: ScoreReport) -> None:
    """What was seen is one revision; the next one was not, and the first record stays."""
    write_revision(tmp_path, 1, {"score.json": to_json(high)})
    acknowledge(tmp_path, "Dr. Other", AT)
    write_revision(tmp_path, 2, {"score.json": to_json(msgspec.structs.replace(high, notes=("corrected",)))})
    assert waiting(tmp_path) is not None
    acknowledge(tmp_path, "Dr. Other", AT)
    assert [1, 2] == [one.revision for one in acknowledgements(tmp_path)]


def test_what_is_not_flagged_does_not_wait(tmp_path: Path, high: ScoreReport) -> None:
    """A score below every limit needs no acknowledgement, and gets none."""
    write_revision(tmp_path, 1, {"score.json": to_json(msgspec.structs.replace(high, very_high_from=None))})
    assert waiting(tmp_path) is None
    with pytest.raises(SeriesError, match="nothing to acknowledge"):
        acknowledge(tmp_path, "Dr. Other", AT)


def test_nobody_cannot_have_seen_it(tmp_path: Path, high: ScoreReport) -> None:
    """A name is needed, a result too, and a damaged record takes no further line."""
    with pytest.raises(SeriesError, match="holds no result"):
        waiting(tmp_path)
    write_revision(tmp_path, 1, {"score.json": to_json(high)})
    with pytest.raises(SeriesError, match="Nobody is named"):
        acknowledge(tmp_path, "  ", AT)
    (tmp_path / "acknowledged.jsonl").write_text("{")
    with pytest.raises(SeriesError, match="damaged"):
        acknowledge(tmp_path, "Dr. Other", AT)
    assert (tmp_path / "acknowledged.jsonl").read_text() == "{"


def test_the_command_says_what_waits_and_records(
    tmp_path: Path, high: ScoreReport, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1 while it waits, 0 once it was seen, 2 for a folder without a result."""
    assert diastole.main(["acknowledge", str(tmp_path)]) == 2
    write_revision(tmp_path, 1, {"score.json": to_json(high)})
    assert diastole.main(["acknowledge", str(tmp_path)]) == 1
    assert diastole.main(["acknowledge", str(tmp_path), "--by", "Dr. Other"]) == 0
    assert diastole.main(["acknowledge", str(tmp_path)]) == 0
    assert "Dr. Other has seen Agatston 400" in capsys.readouterr().out
