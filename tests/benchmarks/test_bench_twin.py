"""How long the CT twin takes, printed; run by `make bench` only."""

import dataclasses
import functools
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from scanner_bridge.plan import plan_from
from scanner_bridge.settings import PlanSettings
from scoring.io.engines import on_processes
from simulators.anatomy import make_patient
from simulators.campaign import Campaign, ScannerChange, jobs
from simulators.exposure import Physics, Shot, view_angles_rad
from simulators.io.campaign_run import run_all
from simulators.motion import Breathing, MotionClock, RestOffsets
from simulators.phantom import moving_table
from simulators.projector import make_fan, project
from simulators.reconstruction import make_grid, make_method, reconstruct
from simulators.scenario import Respiration, Scenario
from simulators.study import StudyVolume, acquire, warm_up
from simulators.territories import territories
from tests.benchmarks.limits import at_least, at_most, hold, table

PLAN = plan_from(PlanSettings())
CLOCK = MotionClock(np.arange(60), RestOffsets())
PATIENT = make_patient(Scenario(name="bench", story=""), 1)
SHOTS = [Shot(step, z, 20.652 + 2 * step, 77.0 * step) for step, z in enumerate(PLAN.table_mm)]


def best_s(work: Callable[[], object], runs: int = 3) -> float:
    """Take the best of some runs: the machine's other work is not ours."""
    times = []
    for _ in range(runs):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return min(times)


def test_a_whole_study() -> None:
    """48 slices of 512 x 512, motion per view and noise: the ratio to the scan's own 7 s, one thread and two."""
    warm_up(PLAN, PATIENT)
    breath = Breathing(Respiration())
    taken_s: dict[int, float] = {1: math.inf, 2: math.inf}
    for _ in range(3):
        for threads in (1, 2):
            one_s = best_s(functools.partial(_study, threads, breath), 1)
            taken_s[threads] = min(taken_s[threads], one_s)
    for threads, seconds in taken_s.items():
        print(f"\nwhole study, {threads} thread(s): {seconds:.2f} s, {seconds / 7:.2f} x the scan itself", end="")
    same = all(np.array_equal(_study(1, breath).hu, _study(threads, breath).hu) for threads in (2, 3))
    volume = acquire(PATIENT, CLOCK, SHOTS, PLAN, noise_seed=1)
    print(f"\nterritories: {best_s(lambda: territories(PATIENT, CLOCK, volume)):.2f} s", end="")
    hold(
        [
            at_most("whole study on two cores, s", 5.0, taken_s[2]),
            at_least("one thread over two", 1.6, taken_s[1] / taken_s[2]),
            at_least("bit-identical for 1, 2 and 3 threads", 1.0, float(same)),
        ]
    )


def _study(threads: int, breath: Breathing) -> StudyVolume:
    return acquire(PATIENT, CLOCK, SHOTS, PLAN, noise_seed=1, breathing=breath, threads=threads)


COLD = """
import resource, time
begun = time.perf_counter()
from tests.benchmarks.test_bench_twin import CLOCK, PATIENT, PLAN, SHOTS
from simulators.study import acquire
imported = time.perf_counter()
acquire(PATIENT, CLOCK, SHOTS, PLAN, noise_seed=1)
cold = time.perf_counter()
acquire(PATIENT, CLOCK, SHOTS, PLAN, noise_seed=1)
warm = time.perf_counter()
print(imported - begun, cold - imported, warm - cold, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""


def test_a_cold_start() -> None:
    """A process of its own, the compiled kernels on the disk: what its first study takes more, and the memory."""
    warm_up(PLAN, PATIENT)
    run = subprocess.run([sys.executable, "-c", COLD], check=True, capture_output=True, text=True)
    imports_s, cold_s, warm_s, gib = (float(one) for one in run.stdout.split())
    print(
        f"\nimports {imports_s:.2f} s, first study {cold_s:.2f} s, second {warm_s:.2f} s, {gib:.2f} GiB at most", end=""
    )
    hold(
        [
            at_most("first study with its imports over the second, s more", 3.0, imports_s + cold_s - warm_s),
            at_most("memory, GiB", 1.5 / 1.0737, gib),
        ]
    )


def test_how_cost_grows() -> None:
    """Slabs, slices, views, objects, pixels: the time of a study over that of one slab of 12 slices of 256 x 256."""
    base = msgspec.structs.replace(PLAN, matrix=256, table_mm=PLAN.table_mm[:1])
    scenes = {
        "one slab, 12 slices of 256 x 256": (base, PATIENT, SHOTS[:1]),
        "two slabs": (base, PATIENT, SHOTS[:2]),
        "four slabs": (base, PATIENT, SHOTS),
        "24 slices in a slab": (
            msgspec.structs.replace(base, slices_per_step=24, slice_thickness_mm=1.5),
            PATIENT,
            SHOTS[:1],
        ),
        "two sources, 1.3 x the views": (msgspec.structs.replace(base, sources=2), PATIENT, SHOTS[:1]),
        "twice the plaques (10 more objects)": (
            base,
            dataclasses.replace(PATIENT, lesions=PATIENT.lesions * 2),
            SHOTS[:1],
        ),
        "512 x 512": (msgspec.structs.replace(base, matrix=512), PATIENT, SHOTS[:1]),
        "a spectrum": (base, PATIENT, SHOTS[:1]),
    }
    seconds = {}
    for name, (plan, patient, shots) in scenes.items():
        physics = Physics(polychromatic=name == "a spectrum")
        work = functools.partial(acquire, patient, CLOCK, shots, plan, noise_seed=1, physics=physics, threads=1)
        work()
        seconds[name] = best_s(work)
    first = next(iter(seconds.values()))
    rows = [(name, f"{one:.2f}", f"{one / first:.2f}") for name, one in seconds.items()]
    table("How cost grows, one thread", ("study", "s", "x the first"), rows)


def test_a_study_at_other_sizes() -> None:
    """The same study in fewer pixels."""
    for matrix in (256, 128):
        plan = msgspec.structs.replace(PLAN, matrix=matrix)
        taken = best_s(lambda plan=plan: acquire(PATIENT, CLOCK, SHOTS, plan, noise_seed=1))  # type: ignore[misc]  # as above
        print(f"\nwhole study at {matrix} x {matrix}: {taken:.2f} s", end="")


def test_one_slice() -> None:
    """The parts of one slice: objects, projection, reconstruction."""
    fan, angles = make_fan(PLAN.fan_deg), view_angles_rad(0.0, PLAN)[0]
    method = make_method(fan, PLAN.fan_deg, PLAN.feather_deg, PLAN.kernel_cutoff)
    grid = make_grid(PLAN.matrix, PLAN.fov_mm, 0.0, 0.0)
    phases = CLOCK.displacement(20.6 + np.arange(len(angles)) * 2.8e-4)
    still = np.zeros(len(angles))
    table = moving_table(PATIENT, phases, still)
    lines = project(table, angles, fan, 0.0, 3.0)
    parts = {
        "objects of a slab": lambda: moving_table(PATIENT, phases, still),
        f"projection of {table.shape[1]} moving objects": lambda: project(table, angles, fan, 0.0, 3.0),
        "reconstruction": lambda: reconstruct(lines, 0.0, method, grid),
    }
    for name, work in parts.items():
        print(f"\n{name}: {1e3 * best_s(work, 5):.1f} ms", end="")


def test_a_campaign(tmp_path: Path) -> None:
    """Whole studies a minute on two processes, start-up in it: 22 slices of 256 x 256, and 48 of 512 x 512."""
    a_minute: dict[int, float] = {}
    for matrix, steps, slices, seeds in ((256, 2, 11, 8), (512, 4, 12, 4)):
        scanner = ScannerChange(name="bench", matrix=matrix, steps=steps, slices_per_step=slices)
        asked = Campaign(name="bench", scenarios=("steady", "pvc"), seeds=seeds, scanners=(scanner,))
        (tmp_path / str(matrix)).mkdir()
        begun = time.perf_counter()
        with on_processes(2) as engine:
            done = list(run_all(jobs(asked), asked, tmp_path / str(matrix), engine))
        a_minute[matrix] = 60.0 * len(done) / (time.perf_counter() - begun)
        print(f"\n{steps * slices} slices of {matrix} x {matrix}: {a_minute[matrix]:.0f} studies a minute", end="")
    hold([at_least("22 slices of 256: studies a minute", 20.0, a_minute[256])])
