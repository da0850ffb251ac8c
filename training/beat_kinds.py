"""Fit what tells a ventricular beat (`gating.beats.ODDS`): `python -m training.beat_kinds DATA`, DATA holds `mitdb`.

Every annotated beat of each record is compared with the patient's usual one (`gating.morphology`) as the gate would, at
its annotated R-peak. Fusion beats, pacer fusions, escape beats of the ventricles' junction and aberrated atrial beats
are left out: they are neither. No record weighs more than `MOST_VENTRICULAR` ventricular and `MOST_OTHERS` other beats,
and beats that the fit is sure of and wrong about count a tenth (records 108 and 203 are noise and fibrillation). The
tables are of records that the fit never saw, 6 folds; the constants printed are of all.
"""

import sys
from collections import deque
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from gating.beats import ODDS, figures_of
from gating.io.records import Record, read_record
from gating.morphology import Shapes
from gating.sample_clock import BlockTimes

Floats = NDArray[np.float64]
VENTRICULAR, LEFT_OUT = frozenset("VE"), frozenset("F/fQea")
FOLDS = 6
MOST_VENTRICULAR, MOST_OTHERS = 150.0, 1500.0
VENTRICULAR_WEIGHT = 3.0
DOUBTFUL, DOUBTFUL_WEIGHT, ROUNDS = 0.9, 0.1, 6
AFTER_R_MS = 66.0  # a beat is compared when it is confirmed


def rows_of(record: Record) -> tuple[Floats, Floats]:
    """Give the figures of all beats of a record, [beat, figure], and which are ventricular, [beat]."""
    if record.beats is None:
        raise ValueError(f"{record.name} has no annotations")
    microvolts, rate = np.nan_to_num(np.asarray(record.microvolts, dtype=np.float64)), record.rate_hz
    shapes, done = Shapes(len(record.leads), rate), 0
    last: int | None = None
    running: deque[float] = deque(maxlen=8)
    rows, labels = [], []
    for sample, symbol in zip(record.beats.sample.tolist(), record.beats.symbols, strict=True):
        until = min(sample + int(1e-3 * AFTER_R_MS * rate), len(microvolts))
        if until > done:
            at = [round(1e9 * k / rate) for k in (done, until - 1)]
            shapes.take(microvolts[done:until], BlockTimes(at[0], 1e9 / rate, at[1], 0.0, 0.0, None))
            done = until
        shape = shapes.compare(round(1e9 * sample / rate), (True,) * len(record.leads))
        interval = None if last is None else 1e3 * (sample - last) / rate
        if shape is not None and interval is not None and len(running) >= 3 and symbol not in LEFT_OUT:
            rows.append(list(figures_of(shape, 1.0 - interval / median(running)).values()))
            labels.append(float(symbol in VENTRICULAR))
        if interval is not None:
            running.append(interval)
        last = sample
    return np.array(rows), np.array(labels)


def fitted(rows: Floats, labels: Floats, weights: Floats) -> Floats:
    """Fit a logistic function; what it is sure of and wrong about counts less in the next round."""
    found, weight = np.zeros(rows.shape[1]), weights
    for _ in range(ROUNDS):
        for _ in range(40):
            p = 1.0 / (1.0 + np.exp(-np.clip(rows @ found, -30.0, 30.0)))
            slope = rows.T @ (weight * (labels - p)) - found
            bend = (rows * (weight * p * (1.0 - p))[:, None]).T @ rows + np.eye(len(found))
            found = found + np.linalg.solve(bend, slope)
        wrong = np.abs(labels - 1.0 / (1.0 + np.exp(-np.clip(rows @ found, -30.0, 30.0)))) > DOUBTFUL
        weight = weights * np.where(wrong, DOUBTFUL_WEIGHT, 1.0)
    return found


def _weights(labels: Floats) -> Floats:
    ventricular = max(labels.sum(), 1.0)
    of_them = VENTRICULAR_WEIGHT * min(1.0, MOST_VENTRICULAR / ventricular)
    return np.where(labels > 0.0, of_them, min(1.0, MOST_OTHERS / len(labels)))


def main() -> None:
    """Print what the fit is worth on records that it never saw, and the constants."""
    paths = sorted((Path(sys.argv[1]) / "mitdb").glob("*.hea"))
    data = {path.stem: rows_of(read_record(path.with_suffix(""))) for path in paths}
    names, total = sorted(data), np.zeros(4, dtype=int)
    print("record  ventricular: found missed  others: wrong right")
    for fold in range(FOLDS):
        held_out = names[fold::FOLDS]
        seen = [data[name] for name in names if name not in held_out]
        weights = np.concatenate([_weights(labels) for _, labels in seen])
        odds = fitted(np.vstack([rows for rows, _ in seen]), np.concatenate([labels for _, labels in seen]), weights)
        for name in held_out:
            rows, labels = data[name]
            found, truth = rows @ odds > 0.0, labels > 0.0
            counts = np.array([(found & truth).sum(), (~found & truth).sum(), (found & ~truth).sum(), 0], dtype=int)
            counts[3] = len(labels) - counts.sum()
            total += counts
            print(f"{name:<8} {counts[0]:>17} {counts[1]:>6} {counts[2]:>14} {counts[3]:>5}")
    hit, missed, wrong, _ = total.tolist()
    print(f"all: Se {100 * hit / (hit + missed):.1f} %, +P {100 * hit / (hit + wrong):.1f} %")
    every = [data[name] for name in names]
    weights = np.concatenate([_weights(labels) for _, labels in every])
    odds = fitted(np.vstack([rows for rows, _ in every]), np.concatenate([labels for _, labels in every]), weights)
    print("ODDS =", {name: round(float(value), 2) for name, value in zip(ODDS, odds, strict=True)})


if __name__ == "__main__":
    main()
