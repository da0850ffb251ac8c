"""`diastole score` as a user meets it: exit codes, sentences, score.json and report.html."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pydicom
import pytest

import diastole
from scoring.io.html import render
from scoring.io.schemas import FOLDER, schema_files
from scoring.lesions import VESSELS, Labels
from scoring.report import ScoreReport, make_report, to_json
from scoring.score import ScanFacts, Score, score_volume
from scoring.volume import Refusal, Volume

BLOCKS = [(1, 5, 2, 5, 2, 250.0), (2, 5, 2, 5, 3, 410.0), (4, 20, 2, 20, 2, 150.0)]  # 8 on LAD, 1 on RCA


@pytest.fixture(scope="module")
def study(
    tmp_path_factory: pytest.TempPathFactory,
    write_series: Callable[..., list[pydicom.Dataset]],
    write_map: Callable[..., Any],
) -> Path:
    """A folder as the demo leaves it: `slices`, `labels.seg.dcm`, `scan.json`, and an incomplete scan beside it."""
    folder = tmp_path_factory.mktemp("study")
    sources = write_series(folder / "slices", *BLOCKS)
    labels = np.zeros((6, 32, 32), dtype=np.uint8)
    labels[:, :16], labels[:, 16:] = VESSELS.index("LAD") + 1, VESSELS.index("RCA") + 1
    write_map(folder / "labels.seg.dcm", sources, labels)
    (folder / "scan.json").write_text('{"complete": true, "simulated": true, "notes": ["<script>alert(1)</script>"]}')
    (folder / "half.json").write_text('{"complete": false, "steps_exposed": [0], "steps_planned": 2}')
    (folder / "odd.json").write_text('{"complete": true, "colour": "blue"}')
    return folder


def test_a_scored_series_leaves_json_and_page(study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Exit 0; the file holds the numbers on paper, and so does the table on the terminal."""
    out = tmp_path / "out"
    arguments = ["score", str(study / "slices"), "--labels", str(study / "labels.seg.dcm"), "--out", str(out)]
    assert diastole.main([*arguments, "--scan", str(study / "scan.json")]) == 0
    found = json.loads((out / "score.json").read_bytes())
    assert (found["status"], found["category"], found["cac_drs"]) == ("scored", "1-10", "CAC-DRS A1/N2")
    assert {"LM": 0.0, "LAD": 8.0, "LCX": 0.0, "RCA": 1.0} == {
        name: part["agatston"] for name, part in found["score"]["by_vessel"].items()
    }
    assert (9.0, "9", 2) == (found["score"]["total"]["agatston"], found["score"]["shown"], len(found["lesions"]))
    assert found["settings"]["threshold_hu"] == 130.0
    assert "Not for diagnosis" in found["statement"]
    told = capfd.readouterr().out
    assert "Agatston 9, class 1-10, CAC-DRS A1/N2" in told
    assert "simulated" in told
    page = (out / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2, "one picture for each lesion"
    assert "SIMULATED" in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_the_same_input_gives_the_same_bytes(study: Path, tmp_path: Path) -> None:
    """Neither file knows the time or the folder it was written to."""
    for name in ("a", "b"):
        arguments = ["score", str(study / "slices"), "--labels", str(study / "labels.seg.dcm")]
        assert diastole.main([*arguments, "--out", str(tmp_path / name)]) == 0
    for file in ("score.json", "report.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_no_file_holds_a_name_a_path_or_an_identifier(study: Path, tmp_path: Path) -> None:
    """The series is known by a hash; patient, paths and UIDs stay outside."""
    arguments = ["score", str(study / "slices"), "--labels", str(study / "labels.seg.dcm"), "--out", str(tmp_path)]
    assert diastole.main(arguments) == 0
    uid = str(pydicom.dcmread(study / "slices" / "slice000.dcm").SeriesInstanceUID)
    for file in ("score.json", "report.html"):
        text = (tmp_path / file).read_text()
        for secret in ("Secret", "P-1", uid, str(study)):
            assert secret not in text


def test_json_goes_to_the_output_alone_or_to_a_file(
    study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """`--json -` prints nothing else, so that a program can read it; a file holds the same bytes."""
    arguments = ["score", str(study / "slices"), "--labels", str(study / "labels.seg.dcm"), "--json"]
    assert diastole.main([*arguments, "-"]) == 0
    printed = capfd.readouterr().out
    assert json.loads(printed)["score"]["total"]["agatston"] == 9.0
    assert diastole.main([*arguments, str(tmp_path / "x.json")]) == 0
    assert printed == (tmp_path / "x.json").read_text()


def test_without_a_map_the_exit_code_is_one_and_the_reason_is_told(
    study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """No number, but candidates in the file and on the page; --all-islands scores them."""
    arguments = ["score", str(study / "slices"), "--out", str(tmp_path)]
    assert diastole.main(arguments) == 1
    assert "No vessel map" in capfd.readouterr().err
    found = json.loads((tmp_path / "score.json").read_bytes())
    assert (found["status"], found["score"]["total"], len(found["candidates"])) == ("no-total", None, 2)
    page = (tmp_path / "report.html").read_text()
    assert "Candidates, not scored" in page
    assert page.count("data:image/png;base64,") == 2, "a reader needs to see the candidates"
    assert diastole.main([*arguments, "--all-islands"]) == 0
    assert json.loads((tmp_path / "score.json").read_bytes())["score"]["by_vessel"]["unassigned"]["agatston"] == 9.0


def test_an_incomplete_scan_has_no_total(study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What was scanned is listed with its vessels; the exit code says that the score did not complete."""
    arguments = ["score", str(study / "slices"), "--labels", str(study / "labels.seg.dcm"), "--out", str(tmp_path)]
    assert diastole.main([*arguments, "--scan", str(study / "half.json")]) == 1
    assert "Incomplete scan: slabs missing" in capfd.readouterr().err
    found = json.loads((tmp_path / "score.json").read_bytes())
    assert (None, ["LAD", "RCA"]) == (found["score"]["total"], [lesion["vessel"] for lesion in found["lesions"]])


def test_a_refused_series_is_exit_code_one_with_its_reasons(
    tmp_path: Path, write_series: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    """100 kV: the reasons are printed and stand in the file and on the page; there is no number anywhere."""
    write_series(tmp_path / "slices", *BLOCKS, KVP=100)
    assert diastole.main(["score", str(tmp_path / "slices"), "--out", str(tmp_path)]) == 1
    assert "100 kV" in capfd.readouterr().err
    found = json.loads((tmp_path / "score.json").read_bytes())
    assert (found["status"], found["score"]["total"]) == ("refused", None)
    assert "Not scored" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "is not there"),
        (["."], "holds no CT image"),
        (["slices", "--labels", "nothing.dcm"], "is not there"),
        (["slices", "--scan", "nothing.json"], "cannot be read"),
        (["slices", "--scan", "odd.json"], "colour"),
        (["slices", "--scan", "slices/slice000.dcm"], "is no scan.json"),
        (["slices", "--connectivity", "6"], "connectivity"),
        (["slices", "--kv-mode", "guess"], "kv_mode"),
        (["slices", "--all-islands", "--out", "scan.json/out"], "cannot be written"),
    ],
)
def test_wrong_input_is_exit_code_two_with_one_sentence(
    study: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    """The sentence names what is wrong; no traceback reaches the user."""
    monkeypatch.chdir(study)
    assert diastole.main(["score", *arguments]) == 2
    told = capfd.readouterr().err
    assert words in told
    assert "Traceback" not in told
    assert told.count("\n") == 1


def test_help_shows_an_example(capfd: pytest.CaptureFixture[str]) -> None:
    """`--help` ends with a command that can be typed."""
    assert diastole.main(["score", "--help"]) == 0
    assert "Example: diastole score" in capfd.readouterr().out


def test_the_published_schema_is_the_generated_one() -> None:
    """Drift between the classes and `scoring/schema/` fails; `python -m scoring.io.schemas` mends it."""
    for name, text in schema_files().items():
        assert text == (FOLDER / name).read_text(encoding="utf-8")


def test_score_json_reads_back_as_what_was_written(
    make_volume: Callable[..., Volume], whole_map: Callable[..., Labels]
) -> None:
    """The file is complete: decoding gives an equal report, and unknown fields are refused."""
    volume = make_volume(*BLOCKS, slices=6)
    labels = whole_map(volume)
    score = score_volume(volume, labels)
    scan = ScanFacts(complete=True, steps_exposed=(0, 1), steps_planned=2)
    report = make_report(score, volume, labels, scan, version="0")
    assert report == msgspec.json.decode(to_json(report), type=ScoreReport)
    keys = re.findall(r'^  "(\w+)"', to_json(report).decode(), re.MULTILINE)
    assert sorted(keys) == keys
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(to_json(report).replace(b'"notes"', b'"note"'), type=ScoreReport)


def test_a_picture_outlines_the_lesion_without_hiding_a_counted_pixel(
    make_volume: Callable[..., Volume], whole_map: Callable[..., Labels]
) -> None:
    """The centre of the picture stays the calcium's white; the vessel's colour lies round it."""
    import io

    from PIL import Image

    from scoring.io.png import VESSEL_COLOURS, lesion_picture

    volume = make_volume((1, 100, 10, 100, 10, 500.0), side=200)
    score = score_volume(volume, whole_map(volume, "RCA"))
    assert isinstance(score, Score)
    picture = np.asarray(Image.open(io.BytesIO(lesion_picture(volume, score.lesions[0]))).convert("RGB"))
    colour = [int(VESSEL_COLOURS["RCA"][i : i + 2], 16) for i in (1, 3, 5)]
    outline = np.argwhere((picture == colour).all(axis=2))
    assert (320, 320, 3) == picture.shape
    assert (255, 255, 255) == tuple(picture[160, 160])
    # 5 mm of 60 mm on 320 pixels are 27 pixels; two more on each side
    assert np.all(np.abs(np.ptp(outline, axis=0) - 30) <= 2)
    assert np.all(np.abs(outline.mean(axis=0) - 159.5) < 1)


def test_a_page_can_be_made_of_a_refusal_without_a_volume() -> None:
    """A series that never became a volume still gets its page with the reasons, escaped."""
    refusal = Refusal(("Bad <b>series</b>.",))
    report = make_report(refusal, None, version="0")
    page = render(report, refusal, None)
    assert "Bad &lt;b&gt;series&lt;/b&gt;." in page
    assert (report.status, report.provenance) == ("refused", None)


def test_padding_at_minus_infinity_does_not_spoil_a_picture(
    make_volume: Callable[..., Volume], whole_map: Callable[..., Labels]
) -> None:
    """Pixels outside the reconstructed field are black."""
    volume = make_volume((1, 5, 2, 5, 2, 500.0))
    volume.hu[:, :3] = -np.inf
    score = score_volume(volume, whole_map(volume))
    page = render(make_report(score, volume, version="0"), score, volume)
    assert "data:image/png" in page


def test_a_page_stays_bounded_whatever_the_noise(
    make_volume: Callable[..., Volume], whole_map: Callable[..., Labels]
) -> None:
    """Hundreds of islands: 60 pictures and 300 rows, the rest is counted; score.json holds all."""
    blocks = [(s, r, 2, c, 2, 200.0) for s in (0, 2) for r in range(0, 60, 4) for c in range(0, 60, 4)]
    volume = make_volume(*blocks, side=60)
    score = score_volume(volume, whole_map(volume))
    report = make_report(score, volume, version="0")
    page = render(report, score, volume)
    assert len(report.lesions) == 450
    assert page.count("data:image/png") == 60
    assert "390 more are listed." in page
    assert "150 more are listed in score.json" in page
