"""One slice beside other packages', the projector beside its numpy reference, in one run; run by `make bench` only."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from scanner_bridge.plan import plan_from
from scanner_bridge.settings import PlanSettings
from simulators.anatomy import make_patient
from simulators.exposure import view_angles_rad
from simulators.motion import MotionClock, RestOffsets
from simulators.phantom import moving_table, static_table
from simulators.projector import make_fan, project
from simulators.scenario import Scenario
from tests.benchmarks.limits import Limit, at_least, at_most, hold, table
from tests.benchmarks.reconstruction_peers import GEOMETRIES, OURS
from tests.benchmarks.test_bench_twin import best_s
from tests.references.projector import reference

WANTED = {"algotom, CPU": 8.0, "ASTRA, CPU, linear": 8.0, "scikit-image, iradon": 20.0, "itk-rtk, FDK": 50.0}
PACKAGES = ("algotom", "astra", "skimage", "itk")


def test_a_slice_beside_its_peers() -> None:
    """The disc phantom on 512 x 512 with the bare ramp: ms on one core, bias and RMSE away from the edges."""
    missing = [one for one in PACKAGES if find_spec(one) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed; `make setup-peers` installs what is compared (2.6 GB)")
    rows: list[tuple[str, ...]] = []
    limits: list[Limit] = []
    for name, wanted in WANTED.items():
        command = [sys.executable, "-m", "tests.benchmarks.reconstruction_peers", name]
        one_core = os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
        run = subprocess.run(command, check=True, capture_output=True, text=True, env=one_core)
        found = json.loads(run.stdout.splitlines()[-1])
        own = found[OURS]
        if not rows:
            rows.append((OURS, GEOMETRIES[OURS], f"{1e3 * own['s']:.0f}", "1", *_errors(own)))
            limits += [at_most("bias, HU", 0.2, abs(own["bias"])), at_most("RMSE in the flat, HU", 3.0, own["rmse"])]
        ratio = found[name]["s"] / own["s"]
        rows.append((name, GEOMETRIES[name], f"{1e3 * found[name]['s']:.0f}", f"{ratio:.1f}", *_errors(found[name])))
        limits.append(at_least(f"{name}, x ours", wanted, ratio))
    table(
        "One slice of 512 x 512, one core",
        ("package", "rays", "ms", "x ours", "bias, HU", "RMSE in the flat, HU"),
        rows,
    )
    hold(limits)


def _errors(found: dict[str, float]) -> tuple[str, str]:
    return f"{found['bias']:.3f}", f"{found['rmse']:.2f}"


def test_the_projector_beside_numpy() -> None:
    """A whole patient in one slice: how much faster than its plain reference, and how far from it."""
    plan = plan_from(PlanSettings())
    patient, clock = make_patient(Scenario(name="bench", story=""), 1), MotionClock(np.arange(60), RestOffsets())
    fan, angles = make_fan(plan.fan_deg), view_angles_rad(0.0, plan)[0]
    still = static_table(patient)
    moving = moving_table(patient, clock.displacement(20.6 + np.arange(len(angles)) * 2.8e-4), np.zeros(len(angles)))
    table_all = np.concatenate((np.repeat(still, len(angles), axis=0), moving), axis=1)
    own = project(table_all, angles, fan, 0.0, 3.0)
    expected = reference(table_all, angles, fan, 0.0, 3.0)
    fast_s = best_s(lambda: project(table_all, angles, fan, 0.0, 3.0), 5)
    slow_s = best_s(lambda: reference(table_all, angles, fan, 0.0, 3.0), 2)
    off = float(np.abs(own - expected).max() / np.abs(expected).max())
    shape = f"{own.shape[0]} x {own.shape[1]}"
    figures = (f"{1e3 * fast_s:.1f}", f"{1e3 * slow_s:.0f}", f"{slow_s / fast_s:.0f}", f"{off:.1e}")
    heads = ("objects", "views x channels", "ours, ms", "numpy, ms", "numpy over ours", "off at most, of the largest")
    table("One slice's views", heads, [(table_all.shape[1], shape, *figures)])
    hold([at_least("numpy over ours", 50.0, slow_s / fast_s), at_most("off, of the largest", 1e-4, off)])
