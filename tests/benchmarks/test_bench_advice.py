"""Forecast against scan: 500 simulated patients rehearse one breath-hold and are scanned in another.

A patient's rate, breathing, drop, scatter, ectopic beats and rest phases are drawn; a tenth fibrillates. `make bench
BENCH="-k advice"` prints the tables of docs/advice.md and draws its picture into `out/bench`.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gating.advice import advise
from gating.forecast import Draws, draw, window_of
from gating.messages import AcquisitionPlan
from gating.rehearsal import NotRehearsed, Rehearsed
from gating.settings import GateSettings
from gating.window import NoWindow
from scanner_bridge.plan import plan_from
from scanner_bridge.settings import PlanSettings
from simulators.beat_scan import BeatScan, scan_beats
from simulators.comparison import scenario_cases
from simulators.rehearse import rehearse
from tests.benchmarks.limits import Limit, at_least, at_most, hold, number, table
from tests.benchmarks.patients import ANOTHER_HOLD, drawn_patient

PATIENTS, DRAWS = 500, 1000
PLANS = {
    "two sources, rotation 250 ms": PlanSettings(sources=2, rotation_ms=250.0, tube_current_ma=200.0),
    "one source, rotation 280 ms": PlanSettings(),
}
BINS = (0.0, 0.1, 0.4, 0.7, 0.9, 1.01)
PICTURES = Path("out/bench")


@dataclass(frozen=True, slots=True)
class Pair:
    """One patient: what was foretold, what came."""

    rehearsed: Rehearsed
    draws: Draws
    scan: BeatScan

    @property
    def at_rest(self) -> float:
        """Share of the planned slabs that were at rest."""
        return sum(one.at_rest for one in self.scan.whole) / len(self.scan.plan.table_mm)


def _pairs(plan: AcquisitionPlan) -> tuple[list[Pair], int]:
    """Rehearse and scan all patients; gives the pairs, and how many rehearsals told too little."""
    settings, pairs, nothing = GateSettings(), [], 0
    for seed in range(PATIENTS):
        patient = drawn_patient(seed)
        found = rehearse(scenario_cases(patient, (seed,))[0], settings)
        if isinstance(found, NotRehearsed):
            nothing += 1
            continue
        booked = window_of(found, plan, settings.window, settings.rehearsal.af_above)
        assert not isinstance(booked, NoWindow)
        above = settings.rehearsal.af_above
        drawn = draw(found, plan, settings.window, booked, af_above=above, draws=DRAWS, seed=seed)
        case = scenario_cases(patient, (seed + ANOTHER_HOLD,))[0]
        scan = scan_beats(case.beats, case.motion, plan, settings, hold_begins_at_s=case.hold_begins_at_s)
        pairs.append(Pair(found, drawn, scan))
    return pairs, nothing


Figures = tuple[NDArray[np.float64], float]
FIGURES: dict[str, tuple[Callable[[Pair], Figures], float]] = {
    "beats": (lambda one: (one.draws.beats[one.draws.complete], float(one.scan.beats)), 1e-9),
    "breath-hold, s": (lambda one: (one.draws.breath_hold_s[one.draws.complete], one.scan.breath_hold_s), 1e-9),
    "slabs at rest, share": (lambda one: (one.draws.at_rest, one.at_rest), 1e-9),
}


def _places(pairs: Sequence[Pair], name: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """Give where what came lies in what was foretold, 0..1; among equals by chance, for beats are whole numbers."""
    of, same = FIGURES[name]
    places = []
    for one in pairs:
        if name != "slabs at rest, share" and (one.scan.ended is not None or not one.draws.complete.any()):
            continue
        drawn, came = of(one)
        ties = float((np.abs(drawn - came) <= same).mean())
        places.append(float((drawn < came - same).mean()) + float(rng.uniform()) * ties)
    return np.array(places)


@pytest.mark.parametrize("name", PLANS)
def test_what_was_foretold_comes(name: str) -> None:
    """The intervals of 90 % hold in 87 to 93 % for beats, breath-hold and slabs at rest; calibration by chance."""
    pairs, nothing = _pairs(plan_from(PLANS[name]))
    rng, limits, rows = np.random.default_rng(5), list[Limit](), []
    kept: dict[str, NDArray[np.float64]] = {}
    for what, (of, _) in FIGURES.items():
        kept[what] = places = _places(pairs, what, rng)
        held = 100.0 * float(((places > 0.05) & (places < 0.95)).mean())
        half = 100.0 * float(((places > 0.25) & (places < 0.75)).mean())
        off = float(np.mean([came - np.median(drawn) for drawn, came in map(of, pairs) if len(drawn)]))
        rows.append((what, len(places), number(held), number(half), number(off, 2)))
        limits += [at_least(f"{what}: held, %", 87.0, held), at_most(f"{what}: held, %", 93.0, held)]
    title = f"{name}: {len(pairs)} patients ({nothing} rehearsals told too little)"
    table(title, ("figure", "scans", "90 % held in %", "50 % held in %", "came less median foretold"), rows)
    foretold = np.array([float((one.draws.complete & (one.draws.at_rest >= 1.0)).mean()) for one in pairs])
    came = np.array([float(one.scan.ended is None and one.at_rest >= 1.0) for one in pairs])
    groups = [(low, (foretold >= low) & (foretold < high)) for low, high in pairwise(BINS)]
    table(
        f"{name}: chance of a motion-free scan",
        ("foretold from", "patients", "foretold, mean %", "came %"),
        [
            (low, int(m.sum()), number(100 * foretold[m].mean()), number(100 * came[m].mean()))
            for low, m in groups
            if m.any()
        ],
    )
    _draw(name, kept, [(float(foretold[m].mean()), float(came[m].mean()), int(m.sum())) for _, m in groups if m.any()])
    hold(limits)


def test_an_advice_takes_less_than_a_second() -> None:
    """The forecast of the plan, those of five other policies and the advice, of ten patients."""
    settings, plan, times = GateSettings(), plan_from(PlanSettings()), []
    for seed in range(10):
        found = rehearse(scenario_cases(drawn_patient(seed), (seed,))[0], settings)
        assert isinstance(found, Rehearsed)
        begun = time.perf_counter()
        advise(found, plan, settings)
        times.append(time.perf_counter() - begun)
    hold([at_most("advice, s, slowest of ten", 1.0, max(times))])


def _draw(name: str, places: dict[str, NDArray[np.float64]], points: list[tuple[float, float, int]]) -> None:
    """Draw the calibration: where what came lies in what was foretold, and chance against share."""
    mpl = pytest.importorskip("matplotlib", reason="the picture needs the extra `plots`")
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.8))
    for what, values in places.items():
        left.ecdf(values, label=what)
    left.plot([0, 1], [0, 1], color="#6e7781", linewidth=0.8)
    left.set(xlabel="place in the forecast, 0 to 1", ylabel="share of patients", title=name)
    left.legend(frameon=False)
    right.plot([0, 1], [0, 1], color="#6e7781", linewidth=0.8)
    right.scatter([p for p, _, _ in points], [q for _, q, _ in points], s=[2 * n for _, _, n in points])
    right.set(xlabel="chance of a motion-free scan, foretold", ylabel="share that came", xlim=(0, 1), ylim=(0, 1.02))
    figure.tight_layout()
    PICTURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURES / f"advice-{name.split(maxsplit=1)[0]}.png", dpi=110)
    pyplot.close(figure)
