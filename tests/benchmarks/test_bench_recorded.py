"""Whole scans of recorded ECG in virtual time: completed, held, and when the beam began after the annotated R-peaks.

`make bench` prints the tables of the READMEs. Records: MIT-BIH Arrhythmia Database (Moody & Mark 2001,
doi:10.1109/51.932724).
"""

import multiprocessing
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.system.recorded import CT_LIKE, ECTOPIC, FIBRILLATING, RecordedScan, histogram, scan_record

pytestmark = pytest.mark.recorded
STARTS = 20  # per record, evenly over the half hour
LAST_START_S = 1700.0


@pytest.fixture(scope="module")
def mitdb(recorded_ecg: Path, request: pytest.FixtureRequest) -> Path:
    """The folder of the records, if minutes may be taken."""
    if not any("benchmarks" in str(argument) for argument in request.config.args):
        pytest.skip("takes minutes: run by `make bench`")
    return recorded_ecg / "mitdb"


def _scans(mitdb: Path, records: Sequence[str]) -> list[RecordedScan]:
    """Run all scans on two processes and print a line per record, and one per scan that did not complete."""
    starts = [round(float(second), 1) for second in np.linspace(0.0, LAST_START_S, STARTS)]
    jobs = [(mitdb / record, from_s, seed) for record in records for seed, from_s in enumerate(starts)]
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        scans = list(pool.map(scan_record, jobs))
    print("\nrecord complete  beams  cut  broken  held: cancelled missed refused  inhibits")
    for record in records:
        mine = [scan for scan in scans if scan.record == record]
        gaps = [gap for scan in mine for gap in scan.gaps]
        held = Counter(why for scan in mine for why, _ in scan.why_held)
        cut = sum(gap.outcome != "exposed" for gap in gaps)
        broken = sum(len(scan.broken) for scan in mine)
        print(
            f"{record:<6} {sum(scan.complete for scan in mine):>3} of {len(mine)} {len(gaps):>6} {cut:>4} {broken:>7}"
            f" {held['cancelled']:>16} {held['missed']:>6} {held['refused']:>7}"
            f" {sum(len(scan.inhibits) for scan in mine):>9}"
        )
    for scan in scans:
        if not scan.complete:
            why = "; ".join(f"{n} x {reason}" for reason, n in Counter(scan.inhibits).most_common(3))
            print(f"  {scan.record} from {scan.from_s:.0f} s: {', '.join(scan.why_not)} ({why or 'never armed'})")
        for gap in scan.broken:
            print(f"  {scan.record} at {gap.opened_at_s:.2f} s: after {gap.known_symbol}, {gap.phase}")
    return scans


def _print_gaps(scans: Sequence[RecordedScan]) -> None:
    """Print when the beam began after the last annotated R."""
    print("from the last annotated R to the beam: after a normal beat, after a premature one")
    for line in histogram(gap for scan in scans for gap in scan.gaps):
        print(line)


def test_records_like_a_ct_patients(mitdb: Path) -> None:
    """Sinus rhythm with few ectopics: at least 97 % complete, the oracle is clean, nothing begins after an ectopic."""
    scans = _scans(mitdb, CT_LIKE)
    _print_gaps(scans)
    assert [] == [(scan.record, scan.from_s, scan.violations) for scan in scans if scan.violations]
    assert sum(scan.complete for scan in scans) >= 0.97 * len(scans)
    assert [] == [gap for scan in scans for gap in scan.broken]


@pytest.mark.parametrize(
    ("records", "complete"), [(ECTOPIC, 0.95), (FIBRILLATING, 0.7)], ids=["many PVCs", "fibrillation"]
)
def test_records_that_are_hard_to_gate(records: tuple[str, ...], complete: float, mitdb: Path) -> None:
    """Many PVCs, fibrillation: the oracle is clean, and nothing begins after an ectopic beat that can be known."""
    scans = _scans(mitdb, records)
    _print_gaps(scans)
    assert [] == [(scan.record, scan.from_s, scan.violations) for scan in scans if scan.violations]
    assert sum(scan.complete for scan in scans) >= complete * len(scans)
    assert [] == [gap for scan in scans for gap in scan.broken]
