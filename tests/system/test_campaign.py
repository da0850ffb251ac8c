"""The longer campaign over virtual scans: `make campaign`; DIASTOLE_CAMPAIGN_SEEDS sets the seeds of each story."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from itertools import product

import pytest

from simulators.virtual_scan import BusFaults
from tests.system.virtual import judge_named

STORIES = ("steady", "rsa", "pvc", "af", "fast", "drawn", "lead-off", "lead-off-returns", "no-flags-hum")
BUSES = {
    "good bus": None,
    "bad bus": BusFaults(drop=0.02, duplicate=0.1, late=0.02, forge=0.02, replay=0.1),
}


@pytest.mark.campaign
@pytest.mark.parametrize("bus", BUSES)
def test_the_oracle_stays_clean_over_many_scans(bus: str) -> None:
    """Every story, many seeds, on a good and on a bad bus: no violation; what was completed stands beside it."""
    seeds = range(1000, 1000 + int(os.environ.get("DIASTOLE_CAMPAIGN_SEEDS", "100")))
    jobs = [(name, seed, BUSES[bus]) for name, seed in product(STORIES, seeds)]
    with ProcessPoolExecutor(os.cpu_count() or 1, mp_context=multiprocessing.get_context("spawn")) as pool:
        verdicts = list(pool.map(judge_named, jobs))
    print(f"\n{bus}: {len(verdicts)} scans, {sum(one.simulated_s for one in verdicts):.0f} simulated s")
    for name in STORIES:
        mine = [one for one in verdicts if one.scenario == name]
        complete, beams = sum(one.complete for one in mine), sum(len(one.exposures) for one in mine)
        print(f"{name:<17} complete {complete:>4} of {len(mine)}, exposures {beams}, held {sum(o.held for o in mine)}")
    assert [] == [(one.scenario, one.seed, one.violations) for one in verdicts if one.violations]
    assert sum(len(one.exposures) for one in verdicts) > len(verdicts)
