"""`diastole compare` as a person types it: scenario, record and journal; the files it leaves; what it refuses."""

import json
from pathlib import Path

import pytest

from diastole import main

pytest.importorskip("matplotlib", reason="the pictures need the extra `plots`")


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["compare", *arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A record as a .csv file: 90 s at 100 Hz with beats every 0.9 s."""
    path = tmp_path / "heart.csv"
    rows = ["time_s,II_mV,beat"]
    for sample in range(9000):
        beat = "N" if sample >= 50 and (sample - 50) % 90 == 0 else ""
        rows.append(f"{sample / 100:.2f},{1.0 if beat else 0.0},{beat}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_two_policies_on_a_scenario(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A row for each policy, the refusals below, and four files."""
    out = tmp_path / "out"
    asked = ("--policy", "least_blur_dose", "--policy", "percent_rr:75+40", "--seeds", "3", "--sources", "2")
    code, said, _ = _run(capsys, "pvc", *asked, "--rotation-ms", "250", "--out", str(out))
    assert 0 == code
    assert [1, 1] == [sum(line.startswith(f" {name} ") for line in said.splitlines()) for name in asked[1:4:2]]
    assert "x ventricular beat" in said
    assert ["comparison.json", "cost.png", "exposures.jsonl", "rest.png"] == sorted(one.name for one in out.iterdir())
    report = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert ("pvc", True, 2) == (report["target"], report["simulated"], report["plan"]["sources"])
    assert [3, 3] == [one["scans"] for one in report["policies"]]
    rows = [json.loads(line) for line in (out / "exposures.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sum(one["exposures"] for one in report["policies"]) == len(rows)
    assert {40.0} == {one["padding_ms"] for one in rows if one["policy"] == "percent_rr:75+40"}
    assert all((out / name).stat().st_size > 20_000 for name in ("rest.png", "cost.png"))


def test_json_is_the_file_and_nothing_else(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`--json` prints what stands in comparison.json, and four policies unless others are said."""
    code, said, _ = _run(capsys, "steady", "--seeds", "1", "--json", "--out", str(tmp_path))
    assert 0 == code
    assert json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8")) == json.loads(said)
    names = [one["policy"] for one in json.loads(said)["policies"]]
    assert ["least_blur_dose", "percent_rr:75", "vendor_table", "absolute_ms:300"] == names


def test_a_record_is_compared(capsys: pytest.CaptureFixture[str], tmp_path: Path, record: Path) -> None:
    """Its annotated beats are the heart; every breath-hold lies elsewhere in it."""
    code, said, _ = _run(capsys, str(record), "--seeds", "2", "--policy", "percent_rr:75", "--out", str(tmp_path / "o"))
    assert 0 == code, said
    rows = [json.loads(line) for line in (tmp_path / "o/exposures.jsonl").read_text(encoding="utf-8").splitlines()]
    assert 2 == len({one["case"] for one in rows})
    assert [900.0] * len(rows) == pytest.approx([one["rr_ms"] for one in rows])


@pytest.mark.parametrize("sources", ["1", "2"])
def test_with_the_twin_the_score_error_stands_beside(
    sources: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One patient through the CT twin: a score of the moving and of the still heart, and the share in the table."""
    asked = ("--policy", "percent_rr:75", "--seeds", "1", "--twin", "1", "--spread", "0", "--sources", sources)
    code, said, _ = _run(capsys, "steady", *asked, "--out", str(tmp_path))
    assert 0 == code
    assert "score err. %" in said
    (score,) = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))["policies"][0]["twin"]
    assert "seed 1" == score["case"]
    assert score["agatston_frozen"] > 0.0
    assert 0.8 < score["agatston"] / score["agatston_frozen"] < 1.2


WRONG: dict[str, tuple[tuple[str, ...], str]] = {
    "no such target": (("nobody",), "no scenario, record or journal 'nobody'"),
    "no such policy": (("steady", "--policy", "best"), "no policy 'best'"),
    "a policy twice": (("steady", "--policy", "vendor_table", "--policy", "vendor_table"), "given twice"),
    "no seeds": (("steady", "--seeds", "0"), "--seeds"),
    "no such journal": (("gone.journal.jsonl",), "gone.journal.jsonl"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_exits_with_2_and_says_the_cure(
    name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The error names what was wrong."""
    arguments, expected = WRONG[name]
    code, _, said = _run(capsys, *arguments, "--out", str(tmp_path / "o"))
    assert 2 == code
    assert expected in said


def test_the_twin_of_a_record_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path, record: Path) -> None:
    """A record has no body that could be scanned."""
    code, _, said = _run(capsys, str(record), "--twin", "1", "--out", str(tmp_path / "o"))
    assert 2 == code
    assert "--twin needs a scenario" in said
