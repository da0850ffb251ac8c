"""Campaigns: which studies there are, what they came to, and that a kill loses and doubles nothing."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean, pstdev

import msgspec
import pytest
from distributed import LocalCluster
from pyarrow import parquet

import diastole
from gating.errors import DeviceError, SettingsError
from scoring.io.engines import on_processes
from simulators.campaign import Campaign, Cohort, Job, ScannerChange, jobs, person_of, summaries
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
        ({"cohort": Cohort(groups=("martian M",))}, "there is no group 'martian M'"),
        ({"cohort": Cohort(groups=("white M",), age=(30.0, 60.0))}, "lie between 45 and 84"),
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
    campaign = Campaign(name="x", scenarios=("fast",), seeds=7)
    story = scenario_of(Job("fast", "vendor_table", ScannerChange(name="a", matrix=64), 7), campaign)
    assert (7, 64) == (story.seed, story.scanner.matrix)


def test_a_cohort_is_the_same_people_under_every_policy_and_scanner() -> None:
    """A seed is one person, whose group, age, body and rate are the cohort's; 200 of them fill its ranges."""
    cohort = Cohort(groups=("white F", "black M"), age=(50.0, 70.0), bodies=("small", "large"), rate_bpm=(65.0, 8.0))
    campaign = Campaign(
        name="x", scenarios=("steady",), seeds=1, policies=("vendor_table", "percent_rr:75"), cohort=cohort
    )
    one, other = (scenario_of(job, campaign) for job in jobs(campaign))
    assert one == other
    assert one.anatomy.heart_drawn
    assert one.rest_phase.drawn
    people = [person_of(cohort, seed) for seed in range(200)]
    assert {("white F", "small"), ("white F", "large"), ("black M", "small"), ("black M", "large")} == {
        (one.group, one.body) for one in people
    }
    assert 50.0 <= min(one.age for one in people) < 52.0
    assert 68.0 < max(one.age for one in people) <= 70.0
    assert (2.4, 8.0) == (min(one.caudal_mm for one in people), max(one.caudal_mm for one in people))
    assert 4.9 == pytest.approx(fmean(one.caudal_mm for one in people), abs=0.4)
    rates = [one.rate_bpm for one in people if one.rate_bpm is not None]
    assert (65.0, 8.0) == pytest.approx((fmean(rates), pstdev(rates)), abs=1.2)


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
    """Eight studies to one table; with more seeds only the new ones are run; the report names all."""
    out = tmp_path / "out"
    assert 0 == diastole.main(
        ["campaign", str(_file(tmp_path, SMALL.replace("seeds = 3", "seeds = 1"))), "--out", str(out)]
    )
    first = (out / STUDIES).read_bytes()
    assert 4 == first.count(b"\n")
    assert 0 == diastole.main(
        ["campaign", str(_file(tmp_path, SMALL.replace("seeds = 3", "seeds = 2"))), "--out", str(out), "--json"]
    )
    again = (out / STUDIES).read_bytes()
    assert again.startswith(first)
    assert 8 == again.count(b"\n")
    found = json.loads(capsys.readouterr().out.split("report.html\n", 1)[1])
    assert [(2, 2)] * 4 == [(one["studies"], one["complete"]) for one in found]
    with (out / "studies.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert 8 == len({row["key"] for row in rows})
    assert all(float(row["dose_msv"]) > 0.0 and row["complete"] == "True" for row in rows)
    table = parquet.read_table(out / "studies.parquet").to_pylist()
    assert [row["key"] for row in rows] == [row["key"] for row in table]
    assert [float(row["dose_msv"]) for row in rows] == [row["dose_msv"] for row in table]
    assert all((out / name).read_bytes().startswith(b"\x89PNG") for name in ("scores.png", "errors.png"))
    page = (out / "report.html").read_text(encoding="utf-8")
    assert sum(row["score_error_percent"] != "" for row in rows) == page.count("<circle")
    assert page.count("<circle") >= 4
    assert all(f'src="{name}.png"' in page for name in ("scores", "errors"))
    assert "no medical device" in page


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """Run the small campaign on this machine, undisturbed; give its rows by key."""
    folder = tmp_path_factory.mktemp("alone")
    assert 0 == diastole.main(["campaign", str(_file(folder)), "--out", str(folder / "out")])
    return _by_key(folder / "out")


def _by_key(folder: Path) -> dict[str, dict[str, object]]:
    """Read the rows of a campaign, each of which stands there once, without what the wall clock said."""
    rows = read_rows(folder)
    assert len({str(row["key"]) for row in rows}) == len(rows)
    return {str(row["key"]): {**row, "wall_s": 0} for row in rows}


def test_a_kill_loses_and_doubles_nothing(tmp_path: Path, alone: dict[str, dict[str, object]]) -> None:
    """Killed in the middle and run again, a campaign holds what one that was left alone holds, bit for bit."""
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "diastole", "campaign", str(_file(tmp_path)), "--out", str(killed)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    until = time.monotonic() + 60.0
    while time.monotonic() < until and len(read_lines(killed)) < 2:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 2 <= len(read_lines(killed)) < 12
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert alone == _by_key(killed)
    assert 12 == len(alone)


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


# --- on a cluster --------------------------------------------------------------------------------------------------


def test_no_scheduler_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address where nobody answers exits with 2 and says what to start."""
    monkeypatch.setattr("scoring.io.engines.CONNECT_S", 0.5)
    wrong = ["--scheduler", "tcp://127.0.0.1:9"]
    assert 2 == diastole.main(["campaign", str(_file(tmp_path)), "--out", str(tmp_path / "o"), *wrong])
    assert "dask scheduler" in capsys.readouterr().err


def test_a_scheduler_without_workers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says how to start one, and does not wait for ever."""
    with LocalCluster(n_workers=0, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0") as empty:
        address = ["--scheduler", empty.scheduler_address]
        assert 2 == diastole.main(["campaign", str(_file(tmp_path)), "--out", str(tmp_path / "o"), *address])
    assert "has no worker" in capsys.readouterr().err


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Run a scheduler and two workers, each a process of its own."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as running:
        yield running


def test_a_cluster_gives_what_one_machine_gives(
    cluster: LocalCluster, tmp_path: Path, alone: dict[str, dict[str, object]]
) -> None:
    """The same file on two workers of a cluster holds the same rows, bit for bit, and the cluster runs on after it."""
    address = cluster.scheduler_address
    assert 0 == diastole.main(["campaign", str(_file(tmp_path)), "--out", str(tmp_path / "o"), "--scheduler", address])
    assert alone == _by_key(tmp_path / "o")
    assert 2 == len(cluster.scheduler_info["workers"])


def test_a_worker_that_dies_loses_and_doubles_nothing(
    cluster: LocalCluster, tmp_path: Path, alone: dict[str, dict[str, object]]
) -> None:
    """One of two workers is killed in the middle: its studies are run again, and the rows are those of one machine."""
    out, command = tmp_path / "out", [sys.executable, "-m", "diastole", "campaign", str(_file(tmp_path))]
    pids = [worker.process.pid for worker in cluster.workers.values()]
    process = subprocess.Popen([*command, "--out", str(out), "--scheduler", cluster.scheduler_address])
    until = time.monotonic() + 120.0
    while time.monotonic() < until and len(read_lines(out)) < 2:
        time.sleep(0.05)
    os.kill(pids[0], signal.SIGKILL)
    assert 0 == process.wait(240.0)
    assert alone == _by_key(out)


def test_workers_of_another_version_are_refused(
    cluster: LocalCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their studies would not be those of this process: the sentence names both versions and the cure."""
    monkeypatch.setattr("scoring.io.engines.version", lambda _: "9.9")
    address = ["--scheduler", cluster.scheduler_address]
    assert 2 == diastole.main(["campaign", str(_file(tmp_path)), "--out", str(tmp_path / "o"), *address])
    said = capsys.readouterr().err
    assert "this process 9.9; install the same one there" in said


def test_a_worker_process_that_dies_is_told_with_the_cure() -> None:
    """Killed by the system for want of memory, say: the error says that what is done is kept."""
    with on_processes(1) as engine, pytest.raises(DeviceError, match="what is done is kept"), engine.failing_clearly():
        engine.pool.submit(os._exit, 1).result(60.0)
