"""The tables of docs/ec13.md: conduct of a heart-rate meter under IEC 60601-2-27 / EC13, through the whole gate.

`make bench BENCH="-k ec13"` prints them. The waveforms are those of `simulators.meter_tests`; 500 Hz, 3 leads, 10 uV
of noise, blocks of 16 ms, the gate armed in the lead-in.
"""

from pathlib import Path

import numpy as np

from gating.fast_wave import FastWaves
from gating.io.records import read_record
from gating.messages import GateStatus
from tests.benchmarks.limits import Limit, at_most, hold, number, table
from tests.gating.ec13_runs import RATE_HZ, Run, run

RATES = {"3a": 80.0, "3b": 60.0, "3c": 120.0, "3d": 90.0}
STEPS = {"step-80-120": 120.0, "step-80-40": 40.0}
SIZES = (0.5, 1.0, 2.0)
TALL_MV = (0.3, 0.6, 0.9, 1.2, 1.5, 1.6, 2.0)
SAMPLES = 36  # a block of a recording
NEVER_S = 99.0
NEAR_S, NEAR_BPM = 0.05, 1.0


def _shown(done: Run) -> list[tuple[float, float]]:
    """List the averaged rate on the page, by the second of the test."""
    said = [(at - done.wave.begins_s, m) for at, m in done.said if isinstance(m, GateStatus)]
    return [(at, m.heart_rate_bpm) for at, m in said if m.heart_rate_bpm is not None and at >= 0.0]


def _false_beats(done: Run) -> int:
    true = done.wave.qrs_at_s
    return sum(1 for at, _ in done.beats() if not (np.abs(true - at) < NEAR_S).any())


def _missed_beats(done: Run) -> int:
    found = np.array([at for at, _ in done.beats()])
    until = len(done.wave.microvolts) / RATE_HZ - 0.2
    true = [at for at in done.wave.qrs_at_s if done.wave.begins_s - NEAR_S <= at < until]
    return sum(1 for at in true if not (np.abs(found - at) < NEAR_S).any())


def test_ec13() -> None:
    """Rates of irregular rhythms, steps, standstill, tachycardia and tall T against the limits of the issue."""
    rows: list[tuple[object, ...]] = []
    limits: list[Limit] = []
    for name, bpm in RATES.items():
        done = run(name)
        off = max(abs(rate - bpm) for at, rate in _shown(done) if at >= 20.0)
        rows.append((name, f"rate shown from 20 s on, {bpm:.0f} bpm", "+- 1", f"off by {number(off, 2)} at most"))
        rows.append((name, "beats missed, false", "", f"{_missed_beats(done)}, {_false_beats(done)}"))
        limits.append(at_most(f"{name}, off by bpm", NEAR_BPM, off))
    for name, bpm in STEPS.items():
        done = run(name, seconds=12.0)
        right = [k for k, (_, beat) in enumerate(done.beats()) if beat.rr_interval_ms is not None
                 and abs(60_000 / beat.rr_interval_ms - bpm) <= NEAR_BPM]  # fmt: skip
        wrong = [at for at, rate in _shown(done) if abs(rate - bpm) > NEAR_BPM]
        settled_s = max(wrong, default=0.0) + 0.25
        beats = right[0] if right else 99  # beat 0 stands at the begin of the test and ends an interval before it
        rows.append((name, "beats until the beat rate is right", "2", str(beats)))
        rows.append((name, "seconds until the averaged rate stays right", "6", number(settled_s, 2)))
        limits += [at_most(f"{name}, beats", 2, beats), at_most(f"{name}, s", 6.0, settled_s)]
    done = run("standstill", seconds=5.0)
    after_s = done.inhibited_after_s("no R-peak for")
    since_s = NEVER_S if after_s is None else after_s + done.wave.begins_s - float(done.wave.qrs_at_s[-1])
    rows.append(("standstill", "seconds from the last R to the inhibit", "2 to 3", number(since_s, 2)))
    limits.append(at_most("standstill, s", 3.0, since_s))
    for name in ("4a", "4b"):
        for size in SIZES:
            after_s = run(name, size, seconds=4.0).inhibited_after_s("a fast wave")
            after_s = NEVER_S if after_s is None else after_s
            rows.append((name, f"seconds to the inhibit at {size:g} of its size", "1", number(after_s, 2)))
            limits.append(at_most(f"{name} x {size:g}, s", 1.0, after_s))
    for size in TALL_MV:
        false = _false_beats(run("tall-t", size))
        rows.append(("tall-t", f"T waves of {size:g} mV counted", "0" if size <= 1.5 else "", str(false)))
        if size <= 1.5:
            limits.append(at_most(f"tall T of {size:g} mV", 0, false))
    table("Heart-rate-meter conduct", ("waveform", "what", "wanted", "measured"), rows)
    hold(limits)


def test_fast_wave_on_recorded_ecg(recorded_ecg: Path) -> None:
    """Flutter is seen; elsewhere a fast wave is seen in less than one second an hour."""
    rows: list[tuple[object, ...]] = []
    flutter_s = seen_s = false_s = hours = 0.0
    for path in sorted((recorded_ecg / "mitdb").glob("*.hea")):
        record = read_record(path.with_suffix(""))
        assert record.beats is not None
        microvolts, waves = np.nan_to_num(np.asarray(record.microvolts, dtype=np.float64)), FastWaves()
        trusted = (True,) * microvolts.shape[1]
        inside = outside = episodes = 0
        before = False
        for first in range(0, len(microvolts), SAMPLES):
            waves.take(microvolts[first : first + SAMPLES], record.rate_hz, trusted)
            seen = waves.seen is not None
            flutter = any(begins <= first <= ends for begins, ends in record.beats.flutter)
            inside, outside = inside + (seen and flutter), outside + (seen and not flutter)
            episodes += seen and not before and not flutter
            before = seen
        block_s = SAMPLES / record.rate_hz
        annotated_s = sum(ends - begins for begins, ends in record.beats.flutter) / record.rate_hz
        flutter_s, seen_s, false_s = flutter_s + annotated_s, seen_s + inside * block_s, false_s + outside * block_s
        hours += len(microvolts) / record.rate_hz / 3600.0
        if inside or outside or annotated_s:
            cells = (number(annotated_s), number(inside * block_s), episodes, number(outside * block_s))
            rows.append((path.stem, *cells))
    rows.append(("all", number(flutter_s), number(seen_s), "", number(false_s)))
    table(
        "Fast waves on records", ("record", "flutter, s", "seen in it, s", "episodes outside", "seen outside, s"), rows
    )
    hold([at_most("seen outside flutter, s an hour", 1.0, false_s / hours)])
