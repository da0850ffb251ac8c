"""Runs of the detector for the bench: records as they are, resampled, with noise; simulated hearts with exact truth.

Every job is a value and every answer small, so that two worker processes share the work.
"""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from gating.evaluation import Outcome, Truth, confirmed_words, first_words, outcome, pooled
from gating.fiducial import CREST_S
from gating.filters import lengths_for, parabola
from gating.io.evaluate import Job, Noise, RecordRun, decide, judge_for, prepared, read_noise, run_record
from gating.io.evaluate_input import find_noise, find_records
from gating.io.records import read_record
from gating.judge import Judge
from gating.noise_stress import at_rate, mixed
from simulators.ecg import LEADS, EcgSignal
from simulators.heart import true_beats
from simulators.io.scenarios import load_scenario
from simulators.scenario import Box, EcgStory, Scenario, reseeded
from training.beat_kinds import VENTRICULAR

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Work = TypeVar("Work")
Answer = TypeVar("Answer")

QUICK = "DIASTOLE_BENCH_QUICK" in os.environ  # a look whether the bench itself works; its figures mean nothing
QUICK_RECORDS = ("101", "118", "119")
PROCESSES = 2
# the folder that `python -m training --held-out` wrote: each record is judged by numbers that never saw it
HELD_OUT = os.environ.get("DIASTOLE_HELD_OUT")
RATE_HZ = 1000.0  # of simulated hearts
SIMULATED_S = 30.0 if QUICK else 120.0  # the noise of `noise_stress` stays on for so long
HALF_SHAPE, LAGS = 45, range(-20, 21)  # samples of a shape on either side of its R, and where it is laid
SETTLED_S = 15.0  # of a simulated heart, from which beats count
RHYTHMS = ("steady", "fast", "rsa", "af", "pvc")
SEEDS = (1,) if QUICK else (1, 2, 3)
SILENT = EcgStory(noise_uv=0.0, mains_uv=0.0)  # what is mixed in is all the noise there is; the baseline wanders
LEAD_SETS = {
    1: ("II",),
    2: ("II", "V1"),
    3: ("I", "II", "V1"),
    8: ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6"),
    12: LEADS,
}
CONDITIONS: tuple[tuple[str, float], ...] = (
    ("none", float("inf")),
    *((kind, ratio_db) for kind in ("white", "ma", "em") for ratio_db in (40.0, 30.0, 20.0)),
)


def on_two_processes(run: Callable[[Work], Answer], jobs: Sequence[Work]) -> list[Answer]:
    """Run the jobs in worker processes; gives the answers in the order of the jobs."""
    if not jobs:
        return []
    with ProcessPoolExecutor(min(PROCESSES, len(jobs)), mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(run, jobs))


# --- records --------------------------------------------------------------------------------------------


class Recorded:
    """The records, each run but once in one way however many tables want it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = find_records([folder], QUICK_RECORDS if QUICK else ())
        self._runs: dict[tuple[Path, str, Noise | None], RecordRun] = {}

    def runs(
        self,
        leads: str = "all",
        *,
        peers: tuple[str, ...] = (),
        noise: Noise | None = None,
        only: tuple[str, ...] = (),
    ) -> list[RecordRun]:
        """Run the records, or only some, on these leads, with these peers beside it (and maybe others)."""
        paths = [path for path in self.paths if not only or path.name in only]
        absent = [path for path in paths if not self._has(path, leads, noise, peers)]
        jobs = [Job(str(path), leads, noise=noise, peers=peers, numbers=HELD_OUT) for path in absent]
        for path, run in zip(absent, on_two_processes(run_record, jobs), strict=True):
            self._runs[path, leads, noise] = run
        return [self._runs[path, leads, noise] for path in paths]

    def _has(self, path: Path, leads: str, noise: Noise | None, peers: tuple[str, ...]) -> bool:
        """Tell whether this was run already, with all these peers."""
        run = self._runs.get((path, leads, noise))
        return run is not None and set(peers) <= set(run.peers)

    def electrode_motion(self, ratio_db: float) -> Noise:
        """Name the noise of the stress test at a ratio."""
        return Noise("em", self.noise_path("em"), ratio_db)

    def noise_path(self, kind: str) -> str:
        """Find the file of one kind of noise, beside the records."""
        return find_noise(kind, None, self.paths)


def first_words_of(runs: Sequence[RecordRun]) -> Outcome:
    """Put the first words on the beats of all records together."""
    return pooled(run.first_told for run in runs)


def confirmed_of(runs: Sequence[RecordRun]) -> Outcome:
    """Put the confirmed beats of all records together."""
    return pooled(run.confirmed for run in runs)


def armed_share_conducted(runs: Sequence[RecordRun]) -> float:
    """Give how many percent of the beats that count and are not ventricular were armed."""
    there = total = 0
    for run in runs:
        symbols = _symbols(run.job.path)
        conducted = np.array(
            [symbols[round(sample)] not in VENTRICULAR for sample in run.confirmed.beat_sample.tolist()]
        )
        there += int((run.confirmed.beat_armed & conducted).sum())
        total += int(conducted.sum())
    return 100.0 * there / total


@lru_cache
def _symbols(path: str) -> dict[int, str]:
    """Read what kind of beat is annotated at each sample of a record."""
    beats = read_record(path).beats
    assert beats is not None
    return dict(zip(beats.sample.tolist(), beats.symbols, strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What was told of one signal, beside its truth."""

    first_told: Outcome
    confirmed: Outcome


def score(
    microvolts: Floats, leads: tuple[str, ...], rate_hz: float, truth: Truth, judge: Judge | None = None
) -> Scored:
    """Feed a signal as the gate would, and match what was told."""
    decisions = tuple(decide(microvolts, leads, rate_hz, judge))
    return Scored(outcome(truth, first_words(decisions)), outcome(truth, confirmed_words(decisions)))


def signal_errors_ms(path: Path) -> tuple[Floats, Floats, float]:
    """Give where channel 0 is furthest from its level minus each annotation: as it is, and under a mean of 24 ms.

    By a parabola through three samples, within 40 ms of the annotation, of the beats that count; the level is the
    median of 200 ms around it. And a sample's length.
    """
    record, beats, first, _ = prepared(Job(str(path), "0"))
    signal, rate_hz = record.microvolts[:, 0], record.rate_hz
    near, around = round(0.040 * rate_hz), round(0.100 * rate_hz)
    half = 0.5 * (CREST_S * rate_hz - 1.0)
    window = np.concatenate([[half % 1.0], np.ones(2 * int(half) + 1), [half % 1.0]])
    meant = np.convolve(signal, window / window.sum(), "same")
    errors: tuple[list[float], list[float]] = ([], [])
    for sample in beats.sample[beats.sample >= first].tolist():
        if sample + around >= len(signal):
            continue
        for wave, told in zip((signal, meant), errors, strict=True):
            level = np.median(wave[sample - around : sample + around + 1])
            away = np.abs(wave[sample - around : sample + around + 1] - level)
            top = around - near + int(np.argmax(away[around - near : around + near + 1]))
            below = parabola(*away[top - 1 : top + 2]) if abs(top - around) < near else 0.0
            told.append(top + below - around)
    return 1e3 * np.array(errors[0]) / rate_hz, 1e3 * np.array(errors[1]) / rate_hz, 1e3 / rate_hz


@dataclass(frozen=True, slots=True)
class Resampled:
    """A record to be brought to another rate."""

    path: str
    rate_hz: float
    leads: str = "all"


def run_resampled(job: Resampled) -> Scored:
    """Bring a record to another rate without delay, and its annotations with it; the job of a worker process."""
    held_out = Job(job.path, job.leads, numbers=HELD_OUT)
    record, beats, first, _ = prepared(held_out)
    to_rate = job.rate_hz / record.rate_hz
    flutter = tuple((begin * to_rate, end * to_rate) for begin, end in beats.flutter)
    truth = Truth(beats.sample.astype(np.float64) * to_rate, job.rate_hz, first * to_rate, flutter)
    microvolts = at_rate(record.microvolts, record.rate_hz, job.rate_hz)
    return score(microvolts, record.leads, job.rate_hz, truth, judge_for(held_out))


# --- simulated hearts -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SimulatedJob:
    """One heart, to be seen in several lead sets under every condition."""

    rhythm: str  # a packaged scenario
    seed: int
    noise_paths: tuple[tuple[str, str], ...]  # kind and file
    lead_counts: tuple[int, ...] = (1, 2, 12)
    conditions: tuple[tuple[str, float], ...] = CONDITIONS


@dataclass(frozen=True, slots=True, eq=False)
class Simulated:
    """One heart in one lead set under one condition."""

    leads: int
    kind: str
    ratio_db: float
    rhythm: str
    scored: Scored
    ventricular: Booleans  # [beat that counts]
    known_shape_ms: Floats  # [beat that counts] error of lead II's true shape, laid where it agrees best


def simulated_heart(rhythm: str, seed: int, seconds: float, rate_hz: float) -> tuple[Floats, Floats, Booleans]:
    """Give 12 leads in microvolts without noise, when the R-peaks are in samples, and which are ventricular.

    One second is left after the last beat, for what has to be told of it.
    """
    story = load_scenario(rhythm)
    scenario: Scenario = msgspec.structs.replace(reseeded(story, seed), ecg=SILENT, box=Box(drift_ppm=0.0), faults=())
    beats = true_beats(scenario, seconds, np.random.default_rng([seed, 1]))
    signal = EcgSignal(scenario, beats, np.random.default_rng([seed, 2]), rate_hz, LEADS)
    microvolts, _ = signal.samples(0, round((seconds + 1.0) * rate_hz))
    r_sample = np.array([beat.r_at_s for beat in beats]) * rate_hz
    return microvolts, r_sample, np.array([beat.kind == "pvc" for beat in beats], dtype=np.bool_)


def run_simulated(job: SimulatedJob) -> list[Simulated]:
    """Score one heart in every lead set and under every condition; the job of a worker process."""
    microvolts, r_sample, ventricular = simulated_heart(job.rhythm, job.seed, SIMULATED_S, RATE_HZ)
    truth = Truth(r_sample, RATE_HZ, SETTLED_S * RATE_HZ)
    counting = ventricular[truth.counts(r_sample)]
    answers = []
    for count in job.lead_counts:
        columns = [LEADS.index(lead) for lead in LEAD_SETS[count]]
        clean = microvolts[:, columns]
        for kind, ratio_db in job.conditions:
            noisy = clean
            if kind != "none":
                noise = _noise(kind, dict(job.noise_paths).get(kind, ""), job.seed, len(clean), count)
                noisy = mixed(clean, np.rint(r_sample).astype(np.int64), RATE_HZ, noise, ratio_db, 0.0)
            scored = score(noisy, LEAD_SETS[count], RATE_HZ, truth)
            lead = LEAD_SETS[count].index("II")
            known_ms = known_shape_errors_ms(clean[:, lead], noisy[:, lead], r_sample[truth.counts(r_sample)])
            answers.append(Simulated(count, kind, ratio_db, job.rhythm, scored, counting, known_ms))
    return answers


def known_shape_errors_ms(clean: Floats, noisy: Floats, r_sample: Floats) -> Floats:
    """Lay each beat as it was without noise over itself in noise, by correlation; gives the errors.

    This is a matched filter that need not learn what it looks for: a measure of what this noise does to a beat's time.
    """
    smooth = lengths_for(RATE_HZ).smooth  # samples, as in the detector
    window = np.ones(smooth) / smooth
    clean, noisy = np.convolve(clean, window, "same"), np.convolve(noisy, window, "same")
    errors = []
    for centre in np.rint(r_sample).astype(np.int64).tolist():
        shape = clean[centre - HALF_SHAPE : centre + HALF_SHAPE + 1]
        agree = [
            np.corrcoef(shape, noisy[centre + lag - HALF_SHAPE : centre + lag + HALF_SHAPE + 1])[0, 1] for lag in LAGS
        ]
        best = int(np.clip(np.argmax(agree), 1, len(agree) - 2))
        errors.append(LAGS[best] + parabola(*agree[best - 1 : best + 2]))
    return 1e3 * np.array(errors) / RATE_HZ


def _noise(kind: str, path: str, seed: int, samples: int, leads: int) -> Floats:
    """Make noise [sample, lead]: white, or pieces of a recording; leads beyond its two channels have other pieces."""
    if kind == "white":
        return np.random.default_rng([seed, 3]).standard_normal((samples, leads))
    recorded = _recorded_noise(path)
    columns = []
    for lead in range(leads):
        begin = (seed * samples + lead // 2 * round(37.0 * RATE_HZ)) % len(recorded)
        columns.append(np.take(recorded[:, lead % 2], np.arange(begin, begin + samples), mode="wrap"))
    return np.stack(columns, axis=1)


@lru_cache(maxsize=2)
def _recorded_noise(path: str) -> Floats:
    """Read a recording of noise at the rate of simulated hearts, once a process."""
    return read_noise(path, RATE_HZ)
