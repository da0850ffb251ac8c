"""Campaigns: which studies there are, what they came to, and that a kill loses and doubles nothing."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

import diastole
from gating.errors import SettingsError
from simulators.campaign import Campaign, Job, ScannerChange, jobs, summaries
from simulators.io.campaign_run import STUDIES, load_campaign, read_rows, scenario_of
from simulators.scenario import Scanner

SMALL = """
name = "small"
seeds = 3
scenarios = ["steady", "pvc"]
policies = ["least_blur_dose", "percent_rr:75"]

[[scanners]]
name = "one slab"
steps = 1
slices_per_step = 2
matrix = 64
"""


def _file(tmp_path: Path, text: str = SMALL) -> Path:
    path = tmp_path / "campaign.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_grid() -> None:
    """Every scenario under every policy on every scanner with every seed, once; seeds come slowest."""
    two = (ScannerChange(name="a"), ScannerChange(name="b"))
    every = jobs(Campaign(name="x", scenarios=("steady", "af"), seeds=3, policies=("vendor_table",), scanners=two))
    assert 12 == len({job.key for job in every}) == len(every)
    assert [1] * 4 + [2] * 4 + [3] * 4 == [job.seed for job in every]
    assert "steady | vendor_table | a | 1" == every[0].key


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"scenarios": ("steady", "steady")}, "a scenario is named twice"),
        ({"policies": ("vendor_table", "vendor_table")}, "a policy is named twice"),
        ({"scanners": (ScannerChange(name="a"), ScannerChange(name="a"))}, "a scanner is named twice"),
        ({"policies": ("best",)}, "There is no policy 'best'"),
    ],
)
def test_a_grid_that_is_none(changed: dict[str, object], reason: str) -> None:
    """What would be two studies of one name, or none, is refused."""
    campaign = Campaign(name="x", scenarios=("steady",), seeds=1)
    with pytest.raises((ValueError, SettingsError), match=reason):
        jobs(msgspec.structs.replace(campaign, **changed))


def test_a_scanner_changes_what_it_names() -> None:
    """What is not said stays the scenario's."""
    changed = ScannerChange(name="fast", rotation_ms=250.0, sources=2).of(Scanner(steps=3))
    assert (250.0, 2, 3) == (changed.rotation_ms, changed.sources, changed.steps)
    story = scenario_of(Job("fast", "vendor_table", ScannerChange(name="a", matrix=64), 7))
    assert (7, 64) == (story.seed, story.scanner.matrix)


def test_summaries() -> None:
    """Mean, SD and the worst of the errors that there are; a scan that is not complete has none, and counts."""
    words = {"scenario": "s", "policy": "p", "scanner": "a"}
    rows: list[dict[str, object]] = [
        {**words, "complete": True, "score_error_percent": error, "dose_msv": 0.9, "breath_hold_s": 10.0}
        for error in (1.0, -3.0)
    ]
    rows.append({**words, "complete": False, "score_error_percent": None, "dose_msv": 0.5, "breath_hold_s": 20.0})
    (one,) = summaries(rows)
    assert (3, 2) == (one.studies, one.complete)
    assert (-1.0, 2.0, -3.0) == (one.error_mean, one.error_sd, one.error_worst)
    assert (0.9, 10.0) == (one.dose_msv, one.breath_hold_s)


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_line_that_was_cut_off_is_cut_away(cut: int, tmp_path: Path) -> None:
    """What a kill left of a line is no study; the file is whole again and can be gone on with."""
    whole = b'{"key":"a | b | c | 1","complete":true}\n'
    (tmp_path / STUDIES).write_bytes(whole + (whole * 2)[:cut] if cut < len(whole) else whole + whole + whole[:5])
    expected = 1 if cut < len(whole) else 2
    assert expected == len(read_rows(tmp_path))
    assert whole * expected == (tmp_path / STUDIES).read_bytes()


def test_a_campaign_runs_and_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twelve studies to one table; with more seeds only the new ones are run; the report names all."""
    out = tmp_path / "out"
    assert 0 == diastole.main(
        ["campaign", str(_file(tmp_path, SMALL.replace("seeds = 3", "seeds = 2"))), "--out", str(out)]
    )
    first = (out / STUDIES).read_bytes()
    assert 8 == first.count(b"\n")
    assert 0 == diastole.main(["campaign", str(_file(tmp_path)), "--out", str(out), "--json"])
    again = (out / STUDIES).read_bytes()
    assert again.startswith(first)
    assert 12 == again.count(b"\n")
    found = json.loads(capsys.readouterr().out.split("report.html\n", 1)[1])
    assert [(3, 3)] * 4 == [(one["studies"], one["complete"]) for one in found]
    with (out / "studies.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert 12 == len({row["key"] for row in rows})
    assert all(float(row["dose_msv"]) > 0.0 and row["complete"] == "True" for row in rows)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert sum(row["score_error_percent"] != "" for row in rows) == page.count("<circle")
    assert page.count("<circle") >= 6
    assert "no medical device" in page


def test_a_kill_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Killed in the middle and run again, a campaign holds what one that was left alone holds, bit for bit."""
    path = _file(tmp_path)
    killed, alone = tmp_path / "killed", tmp_path / "alone"
    command = [sys.executable, "-m", "diastole", "campaign", str(path), "--out"]
    process = subprocess.Popen([*command, str(killed)], stdout=subprocess.DEVNULL, start_new_session=True)
    until = time.monotonic() + 60.0
    while time.monotonic() < until and len(read_lines(killed)) < 2:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    begun = len(read_lines(killed))
    assert 2 <= begun < 12
    for folder in (killed, alone):
        subprocess.run([*command, str(folder)], check=True, stdout=subprocess.DEVNULL)
    rows = [{row.pop("key"): {**row, "wall_s": 0} for row in read_rows(folder)} for folder in (killed, alone)]
    assert rows[0] == rows[1]
    assert {1} == set(Counter(str(row["key"]) for row in read_rows(killed)).values())
    assert 12 == len(rows[0])


def read_lines(folder: Path) -> list[bytes]:
    """Read the whole lines of a campaign that runs."""
    path = folder / STUDIES
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


WRONG: dict[str, tuple[str, str]] = {
    "no such scenario": (SMALL.replace('"steady"', '"nobody"'), "no scenario 'nobody'"),
    "an unknown key": (SMALL.replace("seeds", "seed"), "simulators/README.md"),
    "no TOML": ("name = ", "simulators/README.md"),
    "a scenario twice": (SMALL.replace('"pvc"', '"steady"'), "named twice"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_exits_with_2_and_says_the_cure(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A campaign that is none runs nothing."""
    text, cure = WRONG[name]
    assert 2 == diastole.main(["campaign", str(_file(tmp_path, text)), "--out", str(tmp_path / "o")])
    assert cure in capsys.readouterr().err
    assert not (tmp_path / "o" / STUDIES).exists()


def test_two_campaigns_do_not_share_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another grid in a folder that holds one is refused, and nothing there is touched."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "campaign.json").write_bytes(msgspec.json.encode(load_campaign(_file(tmp_path))))
    other = _file(tmp_path, SMALL.replace('"pvc"', '"af"'))
    assert 2 == diastole.main(["campaign", str(other), "--out", str(out)])
    assert "choose another --out" in capsys.readouterr().err
