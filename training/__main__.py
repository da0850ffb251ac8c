"""Train the detector's judge and write `gating/numbers/r_peak.toml`: `python -m training DATA`.

DATA holds `mitdb` and `nstdb`. Round by round every recording is run through the detector with the networks as they
are, each candidate becomes a row of figures, and the networks are fitted to the rows of the last rounds: so they learn
from what their own decisions lead to (Ross et al. 2011, arXiv:1011.0686). The records are dealt into folds; each is
run with networks that never saw it, and the tables printed are of these. Then it is chosen how much more than fitted a
candidate is believed (`BIASES`), and the trust is fitted to what the networks tell, so chosen, of records that they
never saw. At the end one more fit of all records is written. The first round's judge is a plain logistic function set
by hand.
"""

import argparse
import os
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gating.evaluation import Outcome, Told, Truth, counts_at, match, outcome, pooled
from gating.figures import COUNT, FIGURES, TRUST_COUNT, TRUST_FIGURES
from gating.io.numbers import write_numbers
from gating.io.records import read_record
from gating.judge import Judge, Network
from gating.r_peak import RPeakDetector
from gating.sample_clock import BlockTimes
from gating.settings import RPeakSettings
from gating.track import CONFIRMED, ROW_KIND, ROW_ODDS, ROW_OPENED, ROW_R
from training.fit import Singles, Size, fit, linear, numbers_of
from training.variants import SIMULATED, Variant, recorded, simulated

FOLDS = 6
ROUNDS = 6
KEPT_ROUNDS = 3
LABEL_S = 0.080  # a mark further off is no beat: EC57 forgives 150 ms, and a P wave lies 100 ms before its QRS
MOST_ROWS = 60_000  # of one recording
KEPT_SHARE = 0.35  # of the rows of what weighs little
SIZES = {"confirm": Size(16, 8, 3, 7), "provisional": Size(16, 8, 1, 7), "trust": Size(16, 8, 3, 6)}
QUICK_EPOCHS = 4  # of all rounds but the last, with one network of each kind
BIASES = (0.0, 0.4, 0.8, 1.0, 1.2, 1.4, 1.6)
CHOSEN_ON = tuple(f"{name}{leads}" for name in ("", "em18 ") for leads in ("both", "first"))  # the bias
SLOPES = {
    "energy": 1.9, "likeness": 0.95, "rise": 0.6, "fall": 0.6, "swing": 2.3, "quiet_before": -1.5, "early": 4.48,
    "late": 0.5,
}  # fmt: skip
CT_LIKE = ("101", "112", "115", "122", "205", "209", "220", "230")


@dataclass(frozen=True, eq=False)
class Rows:
    """What one run gave to learn from."""

    figures: Singles  # [row, figure], of the trust network's
    kind: NDArray[np.int64]  # [row]
    label: Singles  # [row]: whether the candidate is a beat
    right: Singles  # [row]: whether a candidate told as confirmed is the partner of a beat; what the trust foretells


@dataclass(frozen=True, eq=False)
class Run:
    """One recording through the detector."""

    key: tuple[str, str]
    rows: Rows
    confirmed: Outcome
    provisional: Outcome


VARIANTS: dict[tuple[str, str], Variant] = {}
BANK: dict[tuple[str, str], list[Rows]] = {}


def start_judge() -> Judge:
    """Give the judge of the first round."""
    return Judge(
        linear(FIGURES, SLOPES, -4.0), linear(FIGURES, SLOPES, -4.0), linear(TRUST_FIGURES, {"odds": 1.0}, 0.0), "start"
    )


def run(job: tuple[tuple[str, str], Judge]) -> Run:
    """Run one recording and label its candidates; the job of a worker."""
    key, judge = job
    variant = VARIANTS[key]
    rate_hz, to_sample = variant.rate_hz, variant.rate_hz * 1e-9
    detector = RPeakDetector(RPeakSettings(), variant.leads, rate_hz, judge, rows=MOST_ROWS)
    every = BlockTimes(0, 1e9 / rate_hz, 0, 0.0, 0.0, None)
    peaks = detector.take(variant.microvolts.astype(np.float64), (True,) * len(variant.leads), every)
    truth = Truth(
        variant.beats.astype(np.float64),
        rate_hz,
        variant.scored_from_s * rate_hz,
        tuple((float(a), float(b)) for a, b in variant.flutter),
    )
    outcomes = []
    for stage in ("confirmed", "provisional"):
        told = sorted(
            (p.r_at_ns * to_sample, p.decided_at_ns * to_sample, p.trust, p.armed) for p in peaks if p.stage == stage
        )
        table = np.array(told, dtype=np.float64).reshape(-1, 4)
        outcomes.append(outcome(truth, Told(table[:, 0], table[:, 1], table[:, 2], table[:, 3] > 0.5)))
    rows = _labelled(detector.rows, truth)
    if variant.weight < 0.35:
        keep = np.random.default_rng(len(rows.kind)).random(len(rows.kind)) < KEPT_SHARE
        rows = Rows(rows.figures[keep], rows.kind[keep], rows.label[keep], rows.right[keep])
    return Run(key, rows, *outcomes)


def _labelled(rows: NDArray[np.float64], truth: Truth) -> Rows:
    """Label each row by whether its candidate becomes the partner of an annotated beat: among all, and among the told.

    A wide beat may have two candidates; the one that is told is right even where the other lies nearer.
    """
    counted = replace(truth, first=4.0 * truth.rate_hz).counts(rows[:, ROW_R])
    rows = rows[counted]
    judged = rows[rows[:, ROW_KIND] == CONFIRMED]
    last = {opened: place for place, opened in enumerate(judged[:, ROW_OPENED].tolist())}
    final = judged[sorted(last.values())]
    labels = []
    for those in (final, final[final[:, ROW_ODDS] > 0.0]):
        order = np.argsort(those[:, ROW_R], kind="stable")
        partner = match(truth.beats, those[order, ROW_R], LABEL_S * truth.rate_hz)
        hits = set(those[order, ROW_OPENED][partner[partner >= 0]].tolist())
        labels.append(np.array([opened in hits for opened in rows[:, ROW_OPENED].tolist()], dtype=np.float32))
    return Rows(rows[:, :TRUST_COUNT].astype(np.float32), rows[:, ROW_KIND].astype(np.int64), *labels)


def fit_judges(job: tuple[int, tuple[str, ...], bool]) -> tuple[Network, Network]:
    """Fit what confirms and what tells early to all rows but those of some records; the job of a worker."""
    seed, left_out, quick = job
    figures, label, _, judged, weight = banked(left_out)
    fitted = []
    for name, those in (("confirm", judged), ("provisional", ~judged)):
        size = replace(SIZES[name], networks=1, epochs=QUICK_EPOCHS) if quick else SIZES[name]
        fitted.append(fit(np.ascontiguousarray(figures[those, :COUNT]), label[those], weight[those], size, seed))
    return fitted[0], fitted[1]


def fit_trust(job: tuple[int, tuple[str, ...]]) -> Network:
    """Fit the trust to what was told as confirmed in all records but some; the job of a worker."""
    seed, left_out = job
    figures, _, right, judged, weight = banked(left_out)
    told = judged & (figures[:, COUNT] > 0.0)
    return fit(np.ascontiguousarray(figures[told]), right[told], 0.5 + 0.5 * weight[told], SIZES["trust"], seed)


def banked(left_out: tuple[str, ...]) -> tuple[Singles, Singles, Singles, NDArray[np.bool_], Singles]:
    """Give the figures, labels, rights, whether judged, and weights of all rows but those of some records."""
    those = [(rows, VARIANTS[key].weight) for key in BANK if key[0] not in left_out for rows in BANK[key]]
    return (
        np.concatenate([rows.figures for rows, _ in those]),
        np.concatenate([rows.label for rows, _ in those]),
        np.concatenate([rows.right for rows, _ in those]),
        np.concatenate([rows.kind for rows, _ in those]) == CONFIRMED,
        np.concatenate([np.full(len(rows.kind), weight, dtype=np.float32) for rows, weight in those]),
    )


def biased(judge: Judge, bias: float) -> Judge:
    """Believe a little more or less."""
    confirm = judge.confirm._replace(last_bias=np.round(judge.confirm.last_bias + bias, 5))
    return Judge(confirm, judge.provisional, judge.trust, judge.fingerprint)


def table(runs: list[Run], title: str) -> None:
    """Print what the held-out runs of a round came to, by variant."""
    print(title, flush=True)
    by_name: dict[str, list[Run]] = defaultdict(list)
    for one in runs:
        by_name[one.key[1]].append(one)
    for name, those in by_name.items():
        confirmed, provisional = pooled(one.confirmed for one in those), pooled(one.provisional for one in those)
        sure, early = counts_at(confirmed, 150.0), counts_at(provisional, 150.0)
        delay = np.nanpercentile(confirmed.beat_delay_ms, [50, 99])
        soon = np.nanpercentile(provisional.beat_delay_ms, [50, 99])
        false = np.isnan(confirmed.told_error_ms)
        armed = confirmed.told_armed
        print(
            f"{name:<17} {sure.fn:>6} + {sure.fp:>5} Se {sure.se_percent:6.2f} +P {sure.ppv_percent:6.2f}"
            f" delay {delay[0]:.0f}/{delay[1]:.0f}; first word {early.se_percent:.2f} {early.ppv_percent:.2f}"
            f" {soon[0]:.0f}/{soon[1]:.0f}; armed +P {100 - 100 * (armed & false).sum() / max(armed.sum(), 1):.2f}"
            f" of {100 * confirmed.beat_armed.mean():.1f} %"
        )
        if name in ("both", "first"):
            worst = [(one.key[0], counts_at(one.confirmed, 150.0)) for one in those]
            print("    ", {record: (c.fn, c.fp) for record, c in worst if c.fn + c.fp > 3})
            near = [c.fn + c.fp for record, c in worst if record in CT_LIKE]
            print("      CT-like errors", sum(near), flush=True)


def pool() -> ProcessPoolExecutor:
    """Give workers that see the recordings and the rows as they are now."""
    return ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("fork"))


def run_all(judges: dict[str, Judge], names: tuple[str, ...] = ()) -> list[Run]:
    """Run every recording, or the variants of these names, with the judge of its record."""
    jobs = [(key, judges[key[0]]) for key in VARIANTS if not names or key[1] in names]
    with pool() as workers:
        return list(workers.map(run, jobs, chunksize=2))


def in_rounds(folds: list[tuple[str, ...]], count: int) -> dict[str, Judge]:
    """Run and fit, round by round; gives for each record a judge that never saw it. All its trust is in the odds."""
    start = start_judge()
    judges = {name: start for fold in folds for name in fold}
    for number in range(count):
        began, runs = time.monotonic(), run_all(judges)
        table(runs, f"round {number}")
        for one in runs:
            BANK.setdefault(one.key, []).append(one.rows)
            del BANK[one.key][:-KEPT_ROUNDS]
        with pool() as workers:
            quick = number < count - 1
            fitted = list(workers.map(fit_judges, [(place + 1, fold, quick) for place, fold in enumerate(folds)]))
        for fold, two in zip(folds, fitted, strict=True):
            judges |= dict.fromkeys(fold, Judge(*two, start.trust, "fold"))
        print(f"fitted after {time.monotonic() - began:.0f} s", flush=True)
    return judges


def best_bias(judges: dict[str, Judge]) -> float:
    """Choose how much more than fitted a candidate is believed: what makes the fewest errors, held out."""
    errors: dict[float, int] = {}
    for bias in BIASES:
        runs = run_all({name: biased(judge, bias) for name, judge in judges.items()}, CHOSEN_ON)
        table(runs, f"held out, bias {bias}")
        counts = [counts_at(one.confirmed, 150.0) for one in runs]
        errors[bias] = sum(count.fn + count.fp for count in counts)
    print(f"errors by bias: {errors}", flush=True)
    return min(errors, key=lambda bias: errors[bias])


def with_trust(judges: dict[str, Judge], folds: list[tuple[str, ...]]) -> tuple[dict[str, Judge], Network]:
    """Fit the trust to what these judges tell of records that they never saw; gives them with it, and that of all."""
    BANK.clear()
    BANK.update({one.key: [one.rows] for one in run_all(judges)})
    with pool() as workers:
        jobs = [(place + 1, fold) for place, fold in enumerate(folds)]
        *fitted, of_all = workers.map(fit_trust, [*jobs, (0, ())])
    trust_of = {name: trust for fold, trust in zip(folds, fitted, strict=True) for name in fold}
    return {
        name: Judge(judge.confirm, judge.provisional, trust_of[name], judge.fingerprint)
        for name, judge in judges.items()
    }, of_all


def write(judge: Judge, path: Path | None) -> None:
    """Write a judge as a file of numbers; None: the one that is shipped."""
    networks = {
        "confirm": numbers_of(judge.confirm, FIGURES),
        "provisional": numbers_of(judge.provisional, FIGURES),
        "trust": numbers_of(judge.trust, TRUST_FIGURES),
    }
    write_numbers(networks, path)


def main() -> None:
    """Train, print the tables, write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--held-out", type=Path, default=None, help="folder: for each record a judge that never saw it")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--clean", action="store_true", help="only the records as they are: a quick look")
    options = parser.parse_args()
    began = time.monotonic()
    noises = {
        kind: read_record(options.data / "nstdb" / name).microvolts
        for kind, name in (("em", "em118"), ("ma", "ma"), ("bw", "bw"))
    }
    records = sorted({path.stem for path in (options.data / "mitdb").glob("*.hea")})
    for name in records:
        for variant in recorded(options.data / "mitdb" / name, noises, 0):
            if not options.clean or variant.name in ("both", "first", "second"):
                VARIANTS[name, variant.name] = variant
    for number in range(SIMULATED):
        for variant in simulated(number, noises):
            VARIANTS[variant.record, variant.name] = variant
    names = [*records, *(f"s{number}" for number in range(SIMULATED))]
    folds = [tuple(names[place::FOLDS]) for place in range(FOLDS)]
    print(f"{len(VARIANTS)} recordings, {time.monotonic() - began:.0f} s", flush=True)
    judges = in_rounds(folds, options.rounds)
    bias = best_bias(judges)
    of_all = fit_judges((0, (), False))
    judges, trust = with_trust({name: biased(judge, bias) for name, judge in judges.items()}, folds)
    write(biased(Judge(*of_all, trust, "all"), bias), options.out)
    table(run_all(judges), f"held out, bias {bias}, with the trust")
    print(f"written after {time.monotonic() - began:.0f} s")
    if options.held_out is not None:
        options.held_out.mkdir(parents=True, exist_ok=True)
        for name in records:
            write(judges[name], options.held_out / f"{name}.toml")


if __name__ == "__main__":
    main()
