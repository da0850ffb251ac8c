"""A series from its files to its score, in figures: time, memory, growth, and a second scorer beside it.

Run by `make bench BENCH="-k bench_scoring"`; the tables stand in docs/inputs.md. Each figure comes from a process
of its own that has one core; of several runs the quickest counts, for a shared machine only ever adds; a
whole process is measured by the processor's time as well, for the clock also counts those who wait for the core.
"""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.uid import UID, JPEG2000Lossless, JPEGLSLossless, RLELossless

from tests.benchmarks.limits import at_most, hold, number, table
from tests.scoring.dicom_files import ct_slice

SIDE = 512
DEPTHS = (24, 48, 96, 192)
ROUNDS = 5
CHILD = """
import json, sys, time
from pathlib import Path
{imports}
best, told = 1e9, None
for _ in range({rounds}):
    began = time.perf_counter()
    told = {call}
    best = min(best, time.perf_counter() - began)
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps([best, int(peak.split()[1]) / 1024, told]))
"""
OURS = (
    "from scoring.io.scored_series import score_series\nfrom scoring.settings import ScoreSettings",
    "(lambda r: [r.score.total.agatston, len([i for l in r.lesions for i in l.islands])])"
    "(score_series(Path(sys.argv[1]), None, None, ScoreSettings(all_islands=True)).report)",
)
PLAIN = ("from tests.references.plain_scorer import plain_score", "list(plain_score(Path(sys.argv[1])))")


def _series(folder: Path, slices: int, syntax: UID | None = None) -> Path:
    """Write a round body in air with noise and a lesion in each slice."""
    rng = np.random.default_rng(7)
    y, x = np.ogrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    body = np.where(x * x + y * y < 0.8, 40.0, -1000.0)
    folder.mkdir(parents=True)
    for index in range(slices):
        hu = body + rng.normal(0.0, 20.0, body.shape)
        at = 150 + index % 48 * 4
        hu[200:209, at : at + 9] = 150.0 + 8.0 * (index % 48)
        more = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0}
        one = ct_slice(np.maximum(hu, -1024.0), 100.0 + 3.0 * index, index + 1, **more)
        if syntax is not None:
            one.compress(syntax, generate_instance_uid=False)
        one.save_as(folder / f"{index:04d}.dcm", enforce_file_format=True)
    return folder


def _one_core() -> None:
    """Keep a child on one core."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _child(which: tuple[str, str], folder: Path, rounds: int = ROUNDS) -> tuple[float, float, Any]:
    """Give the seconds of the quickest run in a fresh process, its peak in MiB, and what it said."""
    code = CHILD.format(imports=which[0], call=which[1], rounds=rounds)
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, check=True, preexec_fn=_one_core
    )
    seconds, peak_mib, told = json.loads(done.stdout)
    return seconds, peak_mib, told


def _whole_process(folder: Path, out: Path) -> tuple[float, float]:
    """Give the processor's and the clock's seconds of the quickest whole command, from its start to its files."""
    found = []
    command = [sys.executable, "-m", "diastole", "score", str(folder), "--all-islands", "--out", str(out)]
    for _ in range(ROUNDS):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, capture_output=True, check=True, preexec_fn=_one_core)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        found.append((used, time.perf_counter() - began))
    return min(found)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Write the series once."""
    root = tmp_path_factory.mktemp("bench")
    return {depth: _series(root / f"{depth}", depth) for depth in DEPTHS}


def test_bench_scoring_48_slices(series: dict[int, Path], tmp_path: Path) -> None:
    """512 x 512 x 48 read and scored, beside a scorer that shares nothing with it: the same number."""
    ours, ours_mib, (total, islands) = _child(OURS, series[48])
    plain, plain_mib, (expected, expected_islands) = _child(PLAIN, series[48])
    whole, whole_clock = _whole_process(series[48], tmp_path)
    rows = [
        ("diastole: read, measured, scored, reported", number(ours, 3), number(ours_mib, 0), number(total, 3)),
        ("plain scipy: read, scored", number(plain, 3), number(plain_mib, 0), number(expected, 3)),
        ("`diastole score --out`, whole process, of the processor", number(whole, 2), "-", "-"),
        ("the same, of the clock", number(whole_clock, 2), "-", "-"),
    ]
    table("512 x 512 x 48, one core", ("what", "s", "peak MiB", "Agatston"), rows)
    hold(
        [
            at_most("read and scored", 0.5, ours, " s"),
            at_most("whole process, of the processor", 1.5, whole, " s"),
            at_most("peak memory", 300.0, ours_mib, " MiB"),
            at_most("relative difference from the plain scorer", 1e-9, abs(total - expected) / expected),
            at_most("difference in islands", 0, abs(islands - expected_islands)),
        ]
    )


def test_bench_scoring_growth(series: dict[int, Path]) -> None:
    """Twice the slices take twice the time: the exponent of the growth is one."""
    found = {depth: _child(OURS, folder, 3)[:2] for depth, folder in series.items()}
    rows = [
        (depth, number(seconds, 3), number(1e3 * seconds / depth, 2), number(mib, 0))
        for depth, (seconds, mib) in found.items()
    ]
    table("Growth with the number of slices", ("slices", "s", "ms a slice", "peak MiB"), rows)
    logs = np.log([[depth, seconds] for depth, (seconds, _) in found.items()])
    exponent = float(np.polyfit(logs[:, 0], logs[:, 1], 1)[0])
    hold([at_most("exponent of the growth", 1.15, exponent)])


def test_bench_scoring_compressed(tmp_path: Path) -> None:
    """What the transfer syntaxes cost; the score is the same."""
    syntaxes = {"none": None, "JPEG-LS": JPEGLSLossless, "JPEG 2000": JPEG2000Lossless, "RLE": RLELossless}
    rows, totals = [], set()
    for name, syntax in syntaxes.items():
        folder = _series(tmp_path / name, 48, syntax)
        mib = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
        seconds, peak_mib, (total, _) = _child(OURS, folder, 2)
        totals.add(total)
        rows.append((name, number(mib, 1), number(seconds, 2), number(peak_mib, 0)))
    table("512 x 512 x 48, compressed", ("syntax", "MiB on disk", "s", "peak MiB"), rows)
    hold([at_most("different scores", 1, len(totals))])
