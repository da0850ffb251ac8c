"""Kinds of beats as the gate tells them, on recorded ECG: ventricular against the annotations, and when it was known.

The whole chain from samples to kinds, both leads, in blocks of 36 samples. `make bench BENCH="-k kinds"` prints the
table of docs/beats.md. Records: MIT-BIH Arrhythmia Database (Moody & Mark 2001, doi:10.1109/51.932724).
"""

from collections import Counter
from pathlib import Path

import numpy as np

from gating.beats import Beats
from gating.io.numbers import read_judge
from gating.io.records import read_record
from gating.messages import BeatKind
from gating.morphology import Shapes
from gating.r_peak import RPeakDetector
from gating.sample_clock import BlockTimes
from gating.settings import RhythmSettings, RPeakSettings
from tests.benchmarks.limits import Limit, at_least, at_most, hold, number, table

BLOCK = 36
LEARN_S = 300.0  # fed and not scored
WITHIN_S = 0.15
LEFT_OUT = frozenset("F/fQ")  # fusions and what nobody could tell
ODD = frozenset("VEaAJS")  # that a scan should not be hung on
KNOWN_BAD = ("108", "203", "207")  # noise; fibrillation with noise; a bundle branch block that comes and goes
LATEST_MS = 150.0


def _kinds(path: Path) -> list[tuple[float, BeatKind, float, str]]:
    """Run a record; give of each confirmed beat its time in s, its kind, its delay in ms, and the annotation."""
    record = read_record(path)
    assert record.beats is not None
    microvolts, rate = np.nan_to_num(np.asarray(record.microvolts, dtype=np.float64)), record.rate_hz
    leads = tuple(record.leads)
    detector = RPeakDetector(RPeakSettings(), leads, rate, read_judge())
    shapes, beats, trusted = Shapes(len(leads), rate), Beats(RhythmSettings()), (True,) * len(leads)
    truth, rows = record.beats.sample / rate, []
    for first in range(0, len(microvolts), BLOCK):
        piece = microvolts[first : first + BLOCK]
        newest_ns = round(1e9 * (first + len(piece) - 1) / rate)
        times = BlockTimes(round(1e9 * first / rate), 1e9 / rate, newest_ns, 0.0, 0.0, None)
        shapes.take(piece, times)
        for peak in detector.take(piece, trusted, times):
            if peak.stage != "confirmed":
                continue
            kind = beats.take(peak, shapes.compare(peak.r_at_ns, trusted)).beat_kind
            at_s = peak.r_at_ns / 1e9
            nearest = int(np.abs(truth - at_s).argmin())
            near = abs(truth[nearest] - at_s) <= WITHIN_S
            symbol = record.beats.symbols[nearest] if near else "none"
            rows.append((at_s, kind, (peak.decided_at_ns - peak.r_at_ns) / 1e6, symbol))
    return rows


def test_kinds_of_recorded_beats(recorded_ecg: Path) -> None:
    """Found among the annotated ventricular beats, wrong among the others, and known 150 ms after the R-peak."""
    rows: list[tuple[object, ...]] = []
    totals: dict[str, Counter[str]] = {"all": Counter(), "without 108, 203, 207": Counter()}
    delays: list[float] = []
    for path in sorted((recorded_ecg / "mitdb").glob("*.hea")):
        found = [row for row in _kinds(path.with_suffix("")) if row[0] >= LEARN_S and row[3] not in LEFT_OUT]
        delays += [delay for _, kind, delay, _ in found if kind == "ventricular"]
        counts = Counter(
            ("V" if symbol in "VE" else "odd" if symbol in ODD else "other")
            + (" told" if kind == "ventricular" else " held" if kind in ("premature", "artifact") else "")
            for _, kind, _, symbol in found
        )
        totals["all"] += counts
        if path.stem not in KNOWN_BAD:
            totals["without 108, 203, 207"] += counts
        rows.append((path.stem, *_cells(counts)))
    rows += [(name, *_cells(counts)) for name, counts in totals.items()]
    heads = ("record", "V annotated", "told V %", "told V or premature %", "other beats", "told V %", "told V, +P %")
    table("Ventricular beats, told by the gate", heads, rows)
    limits: list[Limit] = []
    limits.append(at_most("known after the R-peak, most, ms", LATEST_MS, max(delays)))
    good = totals["without 108, 203, 207"]
    limits.append(at_least("V told V or premature, without 108, 203, 207, %", 90.0, 100.0 * _kept_off(good)))
    hold(limits)


def _kept_off(counts: Counter[str]) -> float:
    """Give the share of ventricular beats that no window is hung on."""
    every = counts["V"] + counts["V told"] + counts["V held"]
    return (counts["V told"] + counts["V held"]) / every if every else float("nan")


def _cells(counts: Counter[str]) -> tuple[str, ...]:
    every = counts["V"] + counts["V told"] + counts["V held"]
    others = counts["other"] + counts["other told"] + counts["other held"]
    told = counts["V told"] + counts["other told"]
    return (
        str(every),
        number(100.0 * counts["V told"] / every) if every else "-",
        number(100.0 * _kept_off(counts)) if every else "-",
        str(others),
        number(100.0 * counts["other told"] / others, 2),
        number(100.0 * counts["V told"] / told) if told else "-",
    )
