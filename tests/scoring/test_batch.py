"""`diastole score --batch`: an archive in, one row a study out, whatever the studies are like."""

import csv
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

import diastole
from scoring.io.batch import LINES, PLACES, TABLE, score_archive, study_name
from scoring.io.batch_study import Done, Job
from scoring.io.engines import Engine, on_processes
from scoring.settings import ScoreSettings
from tests.scoring.dicom_files import write_map

BLOCKS = [(1, 5, 2, 5, 2, 250.0), (2, 5, 2, 5, 3, 410.0), (4, 20, 2, 20, 2, 150.0)]  # 9 in all
Write = Callable[..., list[pydicom.Dataset]]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, write_series: Write) -> Path:
    """Two good studies, one without a map, one with a missing slice, one damaged, one of another kind, and dirt."""
    root = tmp_path_factory.mktemp("archive")
    sources = write_series(root / "Doe^John" / "slices", *BLOCKS, SeriesInstanceUID="1.2.1")
    labels = np.full((6, 32, 32), 2, dtype=np.uint8)
    write_map(root / "Doe^John" / "labels.seg.dcm", sources, labels)
    sources = write_series(root / "b" / "DICOM" / "S1", *BLOCKS[:1], SeriesInstanceUID="1.2.2")
    write_map(root / "b" / "DICOM" / "S1" / "IM999", sources, labels)
    write_series(root / "c", *BLOCKS, SeriesInstanceUID="1.2.3")
    write_series(root / "d", *BLOCKS, SeriesInstanceUID="1.2.4")
    (root / "d" / "slice003.dcm").unlink()
    write_series(root / "e", *BLOCKS, SeriesInstanceUID="1.2.5")
    (root / "e" / "slice003.dcm").write_bytes(b"garbage")
    (root / "f").mkdir()
    (root / "f" / "notes.txt").write_text("no study")
    (root / "README").write_text("an archive")
    return root


def _quiet(text: str) -> None:
    """Hear nothing."""


def _table(out: Path) -> dict[str, dict[str, str]]:
    """Rows of the table by the folder they are of."""
    with (out / PLACES).open(newline="") as file:
        places = {row["study"]: row["folder"] for row in csv.DictReader(file)}
    with (out / TABLE).open(newline="") as file:
        return {places[row["study"]]: row for row in csv.DictReader(file)}


@contextmanager
def _here() -> Iterator[Engine]:
    """Run studies in this process, one after the other."""

    class Now:
        def submit(self, work: Callable[[Job], Done], job: Job) -> Any:
            from concurrent.futures import Future

            future: Future[Done] = Future()
            future.set_result(work(job))
            return future

    yield Engine(Now(), lambda: 1, (KeyboardInterrupt,))  # type: ignore[arg-type]  # all that is used of an executor


@pytest.fixture(scope="module")
def scored(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive scored once by the command, in a process of its own."""
    out = tmp_path_factory.mktemp("out")
    assert 1 == diastole.main(["score", "--batch", str(archive), "--out", str(out)])
    return out


def test_each_study_has_one_row_and_its_result(scored: Path) -> None:
    """Scores, refusals and damaged files stand in one table; a bad study stopped nothing."""
    rows = _table(scored)
    assert {"Doe^John/slices": "scored", "b/DICOM/S1": "scored", "c": "no-total", "d": "refused", "e": "wrong"} == {
        folder: row["status"] for folder, row in rows.items()
    }
    assert ("9", "9.0", "9.0", "1-10") == tuple(
        rows["Doe^John/slices"][key] for key in ("shown", "agatston", "LAD", "category")
    )
    assert "2.0" == rows["b/DICOM/S1"]["agatston"], "the one segmentation among the images is its map"
    assert "Slices are missing" in rows["d"]["reasons"]
    assert "slice003.dcm is not DICOM" in rows["e"]["reasons"]
    for row in rows.values():
        result = scored / row["study"] / "revision-0001"
        assert (row["status"] != "wrong") == (result / "report.html").is_file()
        if row["agatston"]:
            assert (
                float(row["agatston"]) == json.loads((result / "score.json").read_text())["score"]["total"]["agatston"]
            )


def test_no_name_leaves_the_file_of_places(scored: Path) -> None:
    """A folder called like its patient is named in one file, which only its owner reads."""
    for path in scored.rglob("*"):
        assert "Doe" not in path.name
        if path.is_file() and path.name != PLACES:
            assert b"Doe" not in path.read_bytes()
    assert 0o600 == stat.S_IMODE((scored / PLACES).stat().st_mode)


def test_the_table_is_there_as_parquet_too(scored: Path) -> None:
    """The same rows."""
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(scored / "scores.parquet").to_pylist()
    assert [9.0, 2.0, None, None, None] == [row["agatston"] for row in table]


def test_what_is_unchanged_is_not_scored_again(archive: Path, scored: Path, tmp_path: Path) -> None:
    """A second run adds no line; a changed study, other settings and a renamed file do what they should."""
    root, out = tmp_path / "root", tmp_path / "out"
    shutil.copytree(archive, root)
    told: list[str] = []
    score_archive(root, out, ScoreSettings(), _here, told.append)
    lines = (out / LINES).read_bytes()
    score_archive(root, out, ScoreSettings(), _here, told.append)
    assert lines == (out / LINES).read_bytes()
    assert told[-1].endswith("; 5 unchanged")
    (root / "c" / "slice001.dcm").rename(root / "c" / "other name.dcm")
    score_archive(root, out, ScoreSettings(), _here, told.append)
    assert lines == (out / LINES).read_bytes(), "names decide nothing"
    (root / "c" / "slice000.dcm").write_bytes((root / "c" / "slice000.dcm").read_bytes() + b"\0\0")
    shutil.rmtree(root / "e")
    rows = score_archive(root, out, ScoreSettings(), _here, told.append)
    assert 1 == len((out / LINES).read_bytes().splitlines()) - len(lines.splitlines())
    assert [1, 1, 1, 1] == [row.revision for row in rows], "its result is the same bytes: no new revision"
    rows = score_archive(root, out, ScoreSettings(connectivity=8), _here, told.append)
    assert [2, 2, 2, 2] == [row.revision for row in rows]


def test_a_line_cut_off_by_a_kill_is_scored_again(archive: Path, tmp_path: Path) -> None:
    """Half a line is cut away; its study is run again, its result is not doubled, and the table is the same."""
    out = tmp_path / "out"
    rows = score_archive(archive, out, ScoreSettings(), _here, _quiet)
    whole = (out / LINES).read_bytes()
    (out / LINES).write_bytes(whole[:-20])
    again = score_archive(archive, out, ScoreSettings(), _here, _quiet)
    without = [{**_plain(row), "seconds": 0} for row in rows]
    assert without == [{**_plain(row), "seconds": 0} for row in again]
    assert 1 == len(list((out / rows[3].study).iterdir()))


def _plain(row: object) -> dict[str, object]:
    """Fields of a row."""
    import msgspec

    return msgspec.structs.asdict(row)  # type: ignore[arg-type]  # a row is a struct


def _dies(job: Job) -> Done:
    """Score, but die in the study without a map: for want of memory, say."""
    from scoring.io.batch_study import score_study

    if Path(job.folder).name == "c":
        os._exit(9)
    return score_study(job)


def test_a_study_that_kills_its_process_costs_its_row_only(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who was at work with it is run again alone; it is told, and tried again the next time."""
    monkeypatch.setattr("scoring.io.batch.score_study", _dies)
    out = tmp_path / "out"
    rows = score_archive(archive, out, ScoreSettings(), lambda: on_processes(2), _quiet)
    assert ["scored", "scored", "failed", "refused", "wrong"] == [row.status for row in rows]
    assert "died" in rows[2].reasons
    monkeypatch.undo()
    rows = score_archive(archive, out, ScoreSettings(), _here, _quiet)
    assert "no-total" == rows[2].status


def test_a_cluster_gives_the_same_table(archive: Path, scored: Path, tmp_path: Path) -> None:
    """Two Dask workers, joined and left: the rows are those of one process."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        arguments = ["score", "--batch", str(archive), "--out", str(tmp_path), "--scheduler", cluster.scheduler_address]
        assert 1 == diastole.main(arguments)
        assert 2 == len(cluster.scheduler_info["workers"])
    alone, many = ({k: {**r, "seconds": ""} for k, r in _table(out).items()} for out in (scored, tmp_path))
    assert alone == many


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--batch", "nowhere", "--out", "o"], "is not a folder"),
        (["--batch", ".", "--out", "o"], "no folder with CT slices"),
        (["--batch", "."], "needs --out"),
        (["slices", "--batch", ".", "--out", "o"], "PATH is of one"),
        (["--batch", ".", "--out", "o", "--person", "p.toml"], "--person is of one"),
        (["--batch", ".", "--out", "o", "--workers", "0"], "out of bounds"),
        (["--batch", ".", "--out", "file"], "cannot be written"),
        ([], "Say what to score"),
    ],
)
def test_wrong_options_are_named(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and one sentence."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    assert 2 == diastole.main(["score", *arguments])
    told = capfd.readouterr().err
    assert words in told
    assert 1 == told.count("\n")


def test_the_results_inside_the_archive_are_no_studies(archive: Path, tmp_path: Path) -> None:
    """OUT may lie below ROOT, and a study's name follows from its place alone."""
    root = tmp_path / "root"
    shutil.copytree(archive / "c", root / "c")
    rows = score_archive(root, root / "out", ScoreSettings(), _here, _quiet)
    rows = score_archive(root, root / "out", ScoreSettings(), _here, _quiet)
    assert [study_name(root / "c", root)] == [row.study for row in rows]
