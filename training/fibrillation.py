"""Fit what tells atrial fibrillation (`gating.rhythm.ODDS_OF_AF`): `python -m training.fibrillation DATA`.

DATA holds `mitdb`. Every beat of each record becomes one figure, the irregularity of the intervals up to it
(`gating.rhythm`), and the rhythm that is annotated there: fibrillation or flutter against all else. Simulated hearts,
two seeds of each, join in. Every record weighs the same. The table is of hearts that the fit never saw, one by one; the
constants are of all.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gating.beats import Beats
from gating.morphology import Shape
from gating.r_peak import RPeak
from gating.rhythm import RhythmJudge, figure_of
from gating.settings import RhythmSettings
from simulators.heart import true_beats
from simulators.io.scenarios import load_scenario
from simulators.scenario import reseeded

Floats = NDArray[np.float64]
Heart = tuple[list[float], list[bool], Callable[[float], bool]]
BEATS = frozenset("NLRBAaJSVrFejnE/fQ")
FIBRILLATING = ("(AFIB", "(AFL")
SCENARIOS = ("steady", "rsa", "pvc", "af", "fast")
SECONDS = 900.0
USUAL = Shape(alike=0.99, unlike_ratio=1.0, width_ratio=1.0, size_ratio=1.0)
WIDE = Shape(alike=0.2, unlike_ratio=20.0, width_ratio=1.5, size_ratio=1.3)


def recorded(path: Path) -> Heart:
    """Give when the beats of a record were, in seconds, which are ventricular, and whether it fibrillates at a time."""
    import wfdb

    marks, rate = wfdb.rdann(str(path), "atr"), float(wfdb.rdheader(str(path)).fs)
    rows = list(zip((marks.sample / rate).tolist(), marks.symbol, marks.aux_note, strict=True))
    rhythm = [(at, note.strip("\x00")) for at, symbol, note in rows if symbol == "+"]
    beats = [(at, symbol) for at, symbol, _ in rows if symbol in BEATS]

    def fibrillates(at_s: float) -> bool:
        return ([note for at, note in rhythm if at <= at_s] or [""])[-1] in FIBRILLATING

    return [at for at, _ in beats], [symbol in "VEF" for _, symbol in beats], fibrillates


def simulated(name: str, seed: int) -> Heart:
    """Give the beats of a scenario."""
    beats = true_beats(reseeded(load_scenario(name), seed), SECONDS, np.random.default_rng(seed))
    return [beat.r_at_s for beat in beats], [beat.kind == "pvc" for beat in beats], lambda _: name == "af"


def rows_of(heart: Heart) -> Floats:
    """Give the figure and the truth, [beat, 2], wherever there is a figure."""
    at_s, wide, fibrillates = heart
    settings = RhythmSettings()
    beats, judge, rows = Beats(settings), RhythmJudge(settings), []
    for number, (at, odd) in enumerate(zip(at_s, wide, strict=True)):
        peak = RPeak(number, "confirmed", round(1e9 * at), 0, 1.0, "II", round(1e9 * at), 1.0, armed=True)
        judge.take(beats.take(peak, WIDE if odd else USUAL))
        irregularity = judge.irregularity()
        if irregularity is not None:
            rows.append((figure_of(irregularity), float(fibrillates(at))))
    return np.array(rows)


def fitted(hearts: list[Floats]) -> Floats:
    """Fit a logistic function of one figure; every heart weighs the same."""
    rows = np.vstack([np.stack([one[:, 0], np.ones(len(one))], axis=1) for one in hearts])
    truth = np.concatenate([one[:, 1] for one in hearts])
    weight = np.concatenate([np.full(len(one), 1000.0 / len(one)) for one in hearts])
    found = np.zeros(2)
    for _ in range(40):
        p = 1.0 / (1.0 + np.exp(-np.clip(rows @ found, -30.0, 30.0)))
        bend = (rows * (weight * p * (1.0 - p))[:, None]).T @ rows + np.eye(2)
        found = found + np.linalg.solve(bend, rows.T @ (weight * (truth - p)) - found)
    return found


def main() -> None:
    """Print what the fit is worth on hearts that it never saw, and the constants."""
    paths = sorted((Path(sys.argv[1]) / "mitdb").glob("*.hea"))
    hearts = {path.stem: rows_of(recorded(path.with_suffix(""))) for path in paths}
    hearts |= {f"{name} {seed}": rows_of(simulated(name, seed)) for name in SCENARIOS for seed in (1, 2)}
    total = np.zeros(4, dtype=int)
    print("heart      fibrillation: found missed  else: wrong right")
    for name, rows in hearts.items():
        odds = fitted([other for one, other in hearts.items() if one.split()[0] != name.split()[0]])
        found, truth = rows[:, 0] * odds[0] + odds[1] > 0.0, rows[:, 1] > 0.0
        counts = [(found & truth).sum(), (~found & truth).sum(), (found & ~truth).sum(), (~found & ~truth).sum()]
        total += np.array(counts, dtype=int)
        print(f"{name:<10} {counts[0]:>19} {counts[1]:>6} {counts[2]:>12} {counts[3]:>5}")
    hit, missed, wrong, right = total.tolist()
    print(f"all: sensitivity {100 * hit / (hit + missed):.1f} %, specificity {100 * right / (right + wrong):.1f} %")
    print("ODDS_OF_AF =", tuple(round(float(value), 2) for value in fitted(list(hearts.values()))))


if __name__ == "__main__":
    main()
