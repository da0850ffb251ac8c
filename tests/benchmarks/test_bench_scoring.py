"""What a score costs: in process, as a whole process, in memory, and as the slices become more; with a plain peer.

All times are of one core's work (user and system time), so that what else runs on the machine counts little; the best
of the runs is taken. Run by `make bench BENCH="-k scoring"`.
"""

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scoring.io.dicom_in import read_series
from scoring.score import Score, score_volume
from scoring.settings import ScoreSettings
from scoring.volume import Volume
from tests.benchmarks.limits import Limit, at_most, hold, number, table
from tests.references.plain_scorer import plain_agatston
from tests.scoring.dicom_files import ct_slice

SIDE, SLICES, RUNS = 512, 48, 7
MORE = (24, 48, 96, 192)
OURS = "import sys, diastole; assert 0 == diastole.main(sys.argv[1:])"
PEER = "import sys, pathlib, tests.references.plain_scorer as p; p.plain_agatston(pathlib.Path(sys.argv[1]))"
TELL = "; sys.stderr.write(open('/proc/self/status').read())"  # wait4 would tell this process's own peak, inherited
BAD_GROWTH = 1.25  # of the time for one slice, from the fewest to the most; a square law would make it 8


def _body(index: int, rng: np.random.Generator) -> np.ndarray:
    """A slice as a scan has it: air, a body with noise of 20 HU, ribs and spine, some calcium."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    hu = np.full((SIDE, SIDE), -1000.0)
    hu[(rows / 170) ** 2 + (columns / 230) ** 2 < 1] = 40.0
    hu[((rows + 10) / 120) ** 2 + (np.abs(columns) - 110) ** 2 / 80**2 < 1] = -850.0
    hu[(rows - 120) ** 2 + columns**2 < 30**2] = 300.0
    for side in (-1, 1):
        for place in range(4):
            hu[(rows - 100 + 60 * place) ** 2 + (columns - side * 215 + side * 8 * place) ** 2 < 6**2] = 450.0
    hu += rng.normal(0.0, 20.0, hu.shape)
    hu[200:206, 200 + index : 206 + index] = 150.0 + 7 * (index % 60)
    return hu


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The longest series, and shorter ones of its first slices."""
    root, rng = tmp_path_factory.mktemp("bench"), np.random.default_rng(7)
    for index in range(max(MORE)):
        dataset = ct_slice(_body(index, rng), 100.0 + 3.0 * index, index + 1, PixelSpacing=[0.4, 0.4])
        for count in MORE:
            if index < count:
                (root / str(count)).mkdir(exist_ok=True)
                dataset.save_as(root / str(count) / f"{index:03d}.dcm", enforce_file_format=True)
    return root


def _score(folder: Path) -> float:
    """Read and score in this process, everything that is bright."""
    volume = read_series(folder)
    assert isinstance(volume, Volume)
    score = score_volume(volume, None, ScoreSettings(all_islands=True))
    assert isinstance(score, Score)
    assert score.total is not None
    return score.total.agatston


def _best_s(work: Callable[[], object], runs: int = RUNS) -> float:
    """Least work of some runs."""
    times = []
    for _ in range(runs):
        gc.collect()
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def _process(cache: Path, code: str, *arguments: str) -> tuple[float, float]:
    """Work in s (the best) and peak memory in MiB (the worst) of a process that keeps its byte code."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(cache)}
    found = []
    for _ in range(RUNS):
        command = [sys.executable, "-c", code + TELL, *arguments]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment) as run:
            assert run.stderr is not None
            lines = run.stderr.read().decode().splitlines()
            _, status, usage = os.wait4(run.pid, 0)
            run.returncode = os.waitstatus_to_exitcode(status)
        assert 0 == run.returncode, lines
        peak_kib = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
        found.append((usage.ru_utime + usage.ru_stime, peak_kib / 1024))
    return min(one[0] for one in found), max(one[1] for one in found)


def test_what_a_score_costs(series: Path, tmp_path: Path) -> None:
    """Within the limits of the issue; the peer gives the same number in the same run."""
    folder = series / str(SLICES)
    ours, peers = _score(folder), plain_agatston(folder)
    ours_s, peers_s = _best_s(lambda: _score(folder)), _best_s(lambda: plain_agatston(folder))
    cache = tmp_path / "cache"
    command = ["score", str(folder), "--all-islands"]
    bare_s, bare_mib = _process(cache, OURS, *command)
    report_s, report_mib = _process(cache, OURS, *command, "--out", str(tmp_path / "out"))
    peer_s, peer_mib = _process(cache, PEER, str(folder))
    import_s, import_mib = _process(cache, OURS, "score", "--help")
    rows = [
        ("read and score, in process", number(ours_s, 2), number(peers_s, 2), "-", "-"),
        ("whole process", number(bare_s, 2), number(peer_s, 2), number(bare_mib), number(peer_mib)),
        ("... with report.html", number(report_s, 2), "-", number(report_mib), "-"),
        ("... of which to start (`--help`)", number(import_s, 2), "-", number(import_mib), "-"),
    ]
    table(f"{SLICES} slices of {SIDE} x {SIDE}", ("", "ours s", "plain peer s", "ours MiB", "peer MiB"), rows)
    hold(
        [
            Limit(
                "the same score as the peer", f"{peers:.6f}", f"{ours:.6f}", bool(np.isclose(ours, peers, rtol=1e-9))
            ),
            at_most("read and score in process", 0.5, ours_s, " s"),
            at_most("whole process", 1.5, bare_s, " s"),
            at_most("whole process with its report", 1.5, report_s, " s"),
            at_most("peak memory", 300.0, max(bare_mib, report_mib), " MiB"),
        ]
    )


def test_the_time_grows_as_the_slices(series: Path) -> None:
    """Each slice costs the same, however many there are."""
    times = {count: _best_s(lambda count=count: _score(series / str(count)), 5) for count in MORE}  # type: ignore[misc]
    per_slice = {count: 1e3 * spent / count for count, spent in times.items()}
    rows = [(count, number(times[count], 2), number(per_slice[count], 2)) for count in MORE]
    table("As the slices become more", ("slices", "s", "ms a slice"), rows)
    hold([at_most("a slice of the most against the fewest", BAD_GROWTH, per_slice[MORE[-1]] / per_slice[MORE[0]])])
