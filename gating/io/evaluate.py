"""The run of one record: leads and detector fed as the gate feeds them, noise mixed in, peers beside it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gating.errors import RecordError, SettingsError
from gating.evaluation import (
    Decision,
    Outcome,
    Truth,
    confirmed_words,
    first_words,
    outcome,
    scored_from,
    told_offline,
)
from gating.frontends import FRONTENDS, SampleBlock
from gating.io.numbers import read_judge
from gating.io.peers import run_peer
from gating.io.records import ANNOTATOR, Record, RecordedBeats, read_record
from gating.judge import Judge
from gating.leads import Leads
from gating.noise_stress import at_rate, mixed
from gating.r_peak import RPeak, RPeakDetector
from gating.sample_clock import BlockTimes
from gating.settings import LeadSettings, RPeakSettings
from gating.units import NS_PER_S

Floats = NDArray[np.float64]

BLOCK_S = 0.020
LONGEST_PIECE_S = 1.0  # the detector is handed blocks of the same trusted leads together
LEAST_NOISE_S = 10.0


@dataclass(frozen=True, slots=True)
class Noise:
    """Recorded noise to be mixed in."""

    kind: str
    path: str
    snr_db: float


@dataclass(frozen=True, slots=True)
class Job:
    """One record to be run, in whichever process."""

    path: str
    leads: str = "all"
    learning_s: float = 300.0
    noise: Noise | None = None
    peers: tuple[str, ...] = ()
    numbers: str | None = None  # another file of the judge's numbers, or a folder with one for each record


@dataclass(frozen=True, slots=True, eq=False)
class RecordRun:
    """What one record came to."""

    job: Job
    name: str
    leads: tuple[str, ...]
    rate_hz: float
    samples: int
    scored_from_s: float
    notes: tuple[str, ...]
    decisions: tuple[Decision, ...]
    first_told: Outcome
    confirmed: Outcome
    peers: dict[str, Outcome]


def run_record(job: Job) -> RecordRun:
    """Read one record, mix noise in, run the detector once and every peer, and match what they told.

    Raises
    ------
    RecordError
        If the record cannot be read or has no annotated beats to score.
    SettingsError
        If it has no such lead.
    """
    record, beats, first, short = prepared(job)
    truth = Truth(beats.sample.astype(np.float64), record.rate_hz, first, beats.flutter)
    decisions = tuple(decide(record.microvolts, record.leads, record.rate_hz, judge_for(job)))
    peers, notes = {}, []
    if short:
        notes.append(f"{job.path} is shorter than two learning periods: scored after {first / record.rate_hz:g} s.")
    for name in job.peers:
        found, fault = run_peer(name, record.microvolts[:, 0], record.rate_hz)
        peers[name] = outcome(truth, told_offline(found))
        if fault is not None:
            notes.append(f"{job.path}: {fault}; all its beats there count as missed.")
    return RecordRun(
        job=job,
        name=record.name,
        leads=record.leads,
        rate_hz=record.rate_hz,
        samples=len(record.microvolts),
        scored_from_s=first / record.rate_hz,
        notes=tuple(notes),
        decisions=decisions,
        first_told=outcome(truth, first_words(decisions)),
        confirmed=outcome(truth, confirmed_words(decisions)),
        peers=peers,
    )


def judge_for(job: Job) -> Judge:
    """Give the judge of a job: the shipped one, another, or of a folder the one that bears the record's name.

    Raises
    ------
    SettingsError
        If the file is missing or was made for another version.
    """
    if job.numbers is None:
        return read_judge()
    numbers = Path(job.numbers)
    return read_judge(numbers / f"{Path(job.path).stem}.toml" if numbers.is_dir() else numbers)


def prepared(job: Job) -> tuple[Record, RecordedBeats, float, bool]:
    """Give the record as the detectors see it, its annotations, the first sample scored, and whether it is short."""
    record = read_record(job.path)
    beats = record.beats
    if beats is None or not len(beats.sample):
        raise RecordError(
            f"The record {job.path} has no annotated beats; evaluate needs the reference beats "
            f"({record.name}.{ANNOTATOR} beside it, or a column `beat`)."
        )
    chosen = chosen_leads(job.leads, record.leads, job.path)
    first, short = scored_from(len(record.microvolts), record.rate_hz, job.learning_s)
    if not (beats.sample >= first).any():
        raise RecordError(
            f"The record {job.path} has no annotated beat after its first {first / record.rate_hz:g} s, "
            "which are not scored; give a longer one or lower --learning-s."
        )
    microvolts = record.microvolts[:, chosen]
    if job.noise is not None:
        noise = read_noise(job.noise.path, record.rate_hz)
        microvolts = mixed(microvolts, beats.sample, record.rate_hz, noise, job.noise.snr_db, first)
    leads = tuple(record.leads[k] for k in chosen)
    return replace(record, leads=leads, microvolts=microvolts), beats, first, short


def chosen_leads(wanted: str, there: tuple[str, ...], path: str) -> list[int]:
    """Read `all`, or names and numbers such as `0`, `MLII` or `0,V1`; gives the columns in the order asked for.

    Raises
    ------
    SettingsError
        If the record has no such lead.
    """
    if wanted.strip().lower() == "all":
        return list(range(len(there)))
    columns: list[int] = []
    for one in (part.strip() for part in wanted.split(",")):
        if one in there:
            columns.append(there.index(one))
        elif one.isdecimal() and int(one) < len(there):
            columns.append(int(one))
        else:
            listed = ", ".join(f"{k} = {name}" for k, name in enumerate(there))
            raise SettingsError(f"The record {path} has no lead {one!r}; --leads takes all, or of {listed}.")
    return list(dict.fromkeys(columns))


def read_noise(path: str, rate_hz: float) -> Floats:
    """Read recorded noise [sample, channel] at the rate asked for.

    Raises
    ------
    RecordError
        If it is too short, or a channel of it is flat.
    """
    noise = read_record(path)
    if len(noise.microvolts) < LEAST_NOISE_S * noise.rate_hz or not (noise.microvolts.std(axis=0) > 0.0).all():
        raise RecordError(f"The noise {path} is flat or shorter than {LEAST_NOISE_S:g} s; copy it again.")
    return at_rate(noise.microvolts, noise.rate_hz, rate_hz)


def decide(
    microvolts: Floats, leads: tuple[str, ...], rate_hz: float, judge: Judge | None = None
) -> Iterator[Decision]:
    """Feed one recording in blocks of 20 ms, as the gate would, and give every decision in its order.

    A recorded file does not say where its converter's rail lay, so no value is taken for it.
    """
    detector = RPeakDetector(RPeakSettings(), leads, rate_hz, judge or read_judge())
    for begin, end, mask in _pieces(microvolts, leads, rate_hz):
        times = BlockTimes(_at_ns(begin, rate_hz), NS_PER_S / rate_hz, _at_ns(end - 1, rate_hz), 0.0, 0.0, None)
        for peak in detector.take(microvolts[begin:end], mask, times):
            yield _decision(peak, rate_hz)


def _pieces(microvolts: Floats, leads: tuple[str, ...], rate_hz: float) -> Iterator[tuple[int, int, tuple[bool, ...]]]:
    """Cut a recording into blocks of 20 ms, ask of each which leads are trusted, and join those of the same answer.

    The detector is the same for every cut, so a longer piece only saves calls.
    """
    watch = Leads(LeadSettings(), replace(FRONTENDS["cyton"].declaration, rail_uv=float("inf")))
    block, longest = max(1, round(BLOCK_S * rate_hz)), round(LONGEST_PIECE_S * rate_hz)
    none_off = np.zeros((block, 0), dtype=np.bool_)
    period_ns = NS_PER_S / rate_hz
    begin, mask = 0, (False,) * len(leads)
    for first in range(0, len(microvolts), block):
        rows = microvolts[first : first + block]
        samples = SampleBlock(leads, rows, rate_hz, first, (), none_off[: len(rows)], 0)
        at_ns = _at_ns(first, rate_hz)
        now = watch.take(samples, BlockTimes(at_ns, period_ns, at_ns, 0.0, 0.0, None)).mask
        if first > begin and (now != mask or first + len(rows) - begin > longest):
            yield begin, first, mask
            begin = first
        mask = now
    yield begin, len(microvolts), mask


def _at_ns(sample: int, rate_hz: float) -> int:
    return round(sample * NS_PER_S / rate_hz)


def _decision(peak: RPeak, rate_hz: float) -> Decision:
    """Turn times back into sample numbers, to 1e-4: whole nanoseconds leave less than that open."""
    to_sample = rate_hz / NS_PER_S
    return Decision(
        number=peak.number,
        kind=peak.stage,
        r_sample=round(peak.r_at_ns * to_sample, 4),
        emitted_sample=round(peak.decided_at_ns * to_sample, 4),
        trust=peak.trust,
        armed=peak.armed,
    )
