"""How long the CT twin takes, printed; run by `make bench` only."""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from scanner_bridge.plan import plan_from
from scanner_bridge.settings import PlanSettings
from simulators.anatomy import make_patient
from simulators.campaign import Campaign, ScannerChange, jobs
from simulators.exposure import Shot, view_angles_rad
from simulators.io.campaign_run import run_all
from simulators.io.engines import on_processes
from simulators.motion import Breathing, MotionClock, RestOffsets
from simulators.phantom import moving_table
from simulators.projector import make_fan, project
from simulators.reconstruction import make_grid, make_method, reconstruct
from simulators.scenario import Respiration, Scenario
from simulators.study import acquire, warm_up
from simulators.territories import territories
from tests.benchmarks.limits import at_least, hold

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
    for threads in (1, 2):
        taken = best_s(
            lambda threads=threads: acquire(  # type: ignore[misc]  # mypy cannot type a lambda's default
                PATIENT, CLOCK, SHOTS, PLAN, noise_seed=1, breathing=breath, threads=threads
            )
        )
        print(f"\nwhole study, {threads} thread(s): {taken:.2f} s, {taken / 7:.2f} x the scan itself", end="")
    for matrix in (256, 128):
        plan = msgspec.structs.replace(PLAN, matrix=matrix)
        taken = best_s(lambda plan=plan: acquire(PATIENT, CLOCK, SHOTS, plan, noise_seed=1))  # type: ignore[misc]  # as above
        print(f"\nwhole study at {matrix} x {matrix}: {taken:.2f} s", end="")
    volume = acquire(PATIENT, CLOCK, SHOTS, PLAN, noise_seed=1)
    print(f"\nterritories: {best_s(lambda: territories(PATIENT, CLOCK, volume)):.2f} s", end="")


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
