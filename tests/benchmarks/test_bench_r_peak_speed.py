"""The R-peak detector's speed and memory, as ratios to other detectors in the same run, and its delay on a half-sine.

Run by `make bench BENCH="-k r_peak"`, on one core; what is compared runs in turns. The lead rooms are not in it: the
detector is handed trusted leads. The other tables stand in `test_bench_r_peak.py`.
"""

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from gating.evaluation import Decision, Truth, confirmed_words, figures, first_words, outcome
from gating.io.evaluate import decide
from gating.io.records import Record, read_record
from simulators.bench_signals import half_sine, half_sine_peaks_s
from simulators.ecg import LEADS
from tests.benchmarks.limits import Limit, at_least, at_most, below, delayed, hold, number, table
from tests.benchmarks.r_peak_runs import LEAD_SETS, QUICK, RATE_HZ, simulated_heart
from tests.benchmarks.r_peak_speed import block_times_ms, in_turns, one_core, ours, peer, sizes_over

RECORDS = ("101", "203")  # quiet sinus rhythm; fast fibrillation with noise
TURNS = 2 if QUICK else 7
PART_S = 120.0 if QUICK else 600.0  # of a record, for the peers that take seconds
RATES_HZ = (100.0, 128.0, 250.0, 360.0, 500.0, 1000.0, 2000.0)
HALF_SINES_S = 60.0
LEARNT_S = 10.0
DAY_S = 24 * 3600.0
LOOKS_S = (60.0, 120.0, 300.0) if QUICK else (3600.0, 6 * 3600.0, 12 * 3600.0, DAY_S)
GROWS_KIB = 64.0  # between the first look and the last: what a day may add, of traced memory
RESIDENT_GROWS_KIB = 4096.0  # of the whole process, whose allocator rounds


@pytest.fixture(scope="module")
def measured(request: pytest.FixtureRequest) -> None:
    """Only if minutes may be taken."""
    if not any("benchmarks" in str(argument) for argument in request.config.args):
        pytest.skip("takes minutes: run by `make bench`")


def _records(folder: Path) -> list[Record]:
    """Read the records that are timed."""
    return [read_record(folder / "mitdb" / name) for name in RECORDS]


@pytest.mark.recorded
def test_r_peak_speed_fed_whole(measured: None, recorded_ecg: Path) -> None:
    """Fed a whole record at once, a lead takes no longer than in sleepecg's C, which sees all of it before it tells."""
    rows: list[list[str]] = []
    limits: list[Limit] = []
    for record in _records(recorded_ecg):
        count, rate_hz = record.microvolts.shape[0], record.rate_hz
        works = {
            f"ours, {leads} lead{'s' * (leads > 1)}": ours(record.microvolts[:, :leads], record.leads[:leads], rate_hz)
            for leads in (1, 2)
        }
        with one_core():
            times = in_turns({**works, "sleepecg": peer("sleepecg", record.microvolts[:, 0], rate_hz)}, TURNS)
        for (name, seconds), leads in zip(times.items(), (1, 2, 1), strict=True):
            speed = count * leads / seconds / 1e6
            ratio = times["sleepecg"] * leads / seconds
            rows.append([name, record.name, number(1e3 * seconds), number(speed, 2), number(ratio, 2)])
            if name != "sleepecg":
                limits.append(at_least(f"{name}, record {record.name}: per lead, to sleepecg", 1.0, ratio, " x"))
    heads = ("record", "ms for the record", "Msamples/s per lead", "times sleepecg per lead")
    table(f"Fed whole, one core, median of {TURNS} turns", ("detector", *heads), rows)
    hold(limits)


@pytest.mark.recorded
def test_r_peak_speed_in_chunks_of_a_second(measured: None, recorded_ecg: Path) -> None:
    """Fed second by second, a lead is found four times as fast as by xqrs and by gqrs, fed whole."""
    rows: list[list[str]] = []
    limits: list[Limit] = []
    for record in _records(recorded_ecg):
        rate_hz = record.rate_hz
        part = record.microvolts[: round(PART_S * rate_hz)]
        works: dict[str, Callable[[], int]] = {
            f"ours, {leads} lead{'s' * (leads > 1)}": ours(
                part[:, :leads], record.leads[:leads], rate_hz, round(rate_hz)
            )
            for leads in (1, 2)
        }
        works |= {name: peer(name, part[:, 0], rate_hz) for name in ("xqrs", "gqrs")}
        with one_core():
            times = in_turns(works, TURNS)
        for (name, seconds), leads in zip(times.items(), (1, 2, 1, 1), strict=True):
            ratios = [times[other] * leads / seconds for other in ("xqrs", "gqrs")]
            speed = number(len(part) * leads / seconds / 1e6, 2)
            cells = [number(1e3 * seconds), speed, *(number(ratio, 2) for ratio in ratios)]
            rows.append([name, record.name, *cells])
            if name.startswith("ours"):
                limits += [
                    at_least(f"{name}, record {record.name}: per lead, to {other}", 4.0, ratio, " x")
                    for other, ratio in zip(("xqrs", "gqrs"), ratios, strict=True)
                ]
    heads = ("record", f"ms for {PART_S:g} s", "Msamples/s per lead", "times xqrs", "times gqrs")
    table(f"Fed in chunks of 1 s (peers: whole), one core, median of {TURNS} turns", ("detector", *heads), rows)
    hold(limits)


def test_r_peak_time_of_a_chunk(measured: None) -> None:
    """A chunk of 10 ms of 12 leads at 1000 Hz takes 0.2 ms in the median and less than 1 ms in 99.9 %."""
    microvolts, _, _ = simulated_heart("steady", 1, 20.0 if QUICK else 180.0, RATE_HZ)
    with one_core():
        wall_ms, own_ms = block_times_ms(microvolts, LEADS, RATE_HZ, rows=10)
    rows = []
    for name, times_ms in (("by the wall", wall_ms), ("of the processor", own_ms)):
        marks = np.percentile(times_ms, (50, 99, 99.9, 100)).tolist()
        rows.append([name, str(len(times_ms)), *(number(mark, 3) for mark in marks)])
    table("A 10 ms chunk of 12 leads at 1000 Hz, ms", ("time", "chunks", "median", "p99", "p99.9", "max"), rows)
    hold(
        [
            at_most("median", 0.2, float(np.percentile(wall_ms, 50)), " ms"),
            below("p99.9", 1.0, float(np.percentile(wall_ms, 99.9)), " ms"),
        ]
    )


def test_r_peak_cost_against_leads_and_rate(measured: None) -> None:
    """How cost grows with leads and rate: ms of one core for a second of ECG, fed second by second; only printed."""
    seconds, turns = (15.0, 1) if QUICK else (60.0, 5)
    costs: dict[tuple[float, int], float] = {}
    for rate_hz in RATES_HZ:
        microvolts, _, _ = simulated_heart("steady", 1, seconds, rate_hz)
        works = {}
        for count, leads in LEAD_SETS.items():
            columns = [LEADS.index(lead) for lead in leads]
            works[str(count)] = ours(microvolts[:, columns], leads, rate_hz, round(rate_hz))
        with one_core():
            times = in_turns(works, turns)
        fed_s = len(microvolts) / rate_hz
        costs |= {(rate_hz, int(count)): 1e3 * taken / fed_s for count, taken in times.items()}
    rows = [[f"{rate_hz:g} Hz", *(number(costs[rate_hz, count], 3) for count in LEAD_SETS)] for rate_hz in RATES_HZ]
    heads = tuple(f"{count} lead{'s' * (count > 1)}" for count in LEAD_SETS)
    table("Cost: ms of one core for a second of ECG, in chunks of 1 s", ("rate", *heads), rows)
    assert [] == [key for key in product(RATES_HZ, LEAD_SETS) if not costs[key] > 0.0]


def test_r_peak_memory_over_a_day(measured: None) -> None:
    """A day of signal leaves no more behind than its first hour: constant memory."""
    leads = LEAD_SETS[2]
    tile, _, _ = simulated_heart("steady", 1, 59.0, RATE_HZ)
    columns = [LEADS.index(lead) for lead in leads]
    tile = np.ascontiguousarray(tile[:, columns])
    with one_core():
        sizes = sizes_over(tile, leads, RATE_HZ, looks_s=LOOKS_S, rows=round(RATE_HZ))
    rows = [
        [f"{one.fed_s / 3600.0:.2f} h", *(number(kib) for kib in (one.traced_kib, one.peak_kib, one.resident_kib))]
        for one in sizes
    ]
    heads = ("held, KiB", "peak, KiB", "process, KiB")
    table("Memory, 2 leads at 1000 Hz in chunks of 1 s", ("signal fed", *heads), rows)
    first, last = sizes[0], sizes[-1]
    hold(
        [
            at_most("held: last look less the first", GROWS_KIB, last.traced_kib - first.traced_kib, " KiB"),
            at_most("peak: last look less the first", GROWS_KIB, last.peak_kib - first.peak_kib, " KiB"),
            at_most(
                "process: last look less the first", RESIDENT_GROWS_KIB, last.resident_kib - first.resident_kib, " KiB"
            ),
        ]
    )


def test_r_peak_delay_on_the_half_sine_of_trigger_monitors(measured: None) -> None:
    """1 mV, 60 ms, 1 Hz at 1000 Hz, clean: each pulse is told, provisionally, at most 6 ms after its peak."""
    signal = half_sine(RATE_HZ, HALF_SINES_S)
    truth = Truth(half_sine_peaks_s(HALF_SINES_S) * RATE_HZ, RATE_HZ, LEARNT_S * RATE_HZ)
    decisions: list[Decision] = list(decide(signal[:, None], ("II",), RATE_HZ))
    told = {
        "first word": outcome(truth, first_words(decisions)),
        "confirmed": outcome(truth, confirmed_words(decisions)),
    }
    rows = []
    for name, result in told.items():
        one = figures(result)
        errors = result.beat_error_ms[np.isfinite(result.beat_error_ms)]
        jitter_us = 1e3 * float(np.abs(np.diff(errors)).max()) if len(errors) > 1 else float("nan")
        counts = [str(one.beats), str(one.counts.fn), str(one.counts.fp)]
        rows.append([name, *counts, *delayed(one.delay), number(one.error.bias_ms, 3), number(jitter_us)])
    heads = ("pulses", "FN", "FP", "delay median", "p95", "p99", "max ms", "bias of R ms", "R to R, worst, µs")
    table("Half-sine of the trigger monitors (Ivy: < 6 ms, R to R +-75 µs)", ("word", *heads), rows)
    first = figures(told["first word"])
    hold(
        [
            at_most("pulses missed", 0, first.counts.fn),
            at_most("false beats", 0, first.counts.fp),
            at_most("provisional: delay after the peak, greatest", 6.0, first.delay.max_ms, " ms"),
        ]
    )
