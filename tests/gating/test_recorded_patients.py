"""Leads and detector on real ECG: six minutes of a few records, one causal pass over both leads."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gating.frontends import FRONTENDS, SampleBlock
from gating.io.numbers import read_judge
from gating.leads import Leads
from gating.r_peak import RPeak, RPeakDetector
from gating.sample_clock import BlockTimes
from gating.settings import LeadSettings, RPeakSettings

pytestmark = pytest.mark.recorded
RATE_HZ = 360.0
MINUTES = 6
BEATS = frozenset("NLRBAaJSVrFejnE/fQ?")  # annotations that are beats
Record = tuple[np.ndarray, tuple[str, ...], np.ndarray]


@pytest.fixture(scope="session")
def mitdb(recorded_ecg: Path) -> Callable[[str], Record]:
    """Read (microvolts [sample, lead], leads, sample numbers of the beats) of the first minutes of a record."""
    wfdb = pytest.importorskip("wfdb", reason="reading records needs the extra `records`")

    def read(name: str) -> Record:
        path, last = str(recorded_ecg / "mitdb" / name), round(MINUTES * 60 * RATE_HZ)
        record = wfdb.rdrecord(path, sampto=last)
        marks = wfdb.rdann(path, "atr", sampto=last)
        beats = [at for at, symbol in zip(marks.sample, marks.symbol, strict=True) if symbol in BEATS]
        return np.nan_to_num(1000.0 * record.p_signal), tuple(record.sig_name), np.array(beats)

    return read


@pytest.mark.parametrize("record", ["101", "119", "208", "230"])
def test_their_leads_keep_the_trust(record: str, mitdb: Callable[[str], Record]) -> None:
    """PVCs and all, lead MLII is taken down for at most 1 % of the time, the first second left out."""
    x, names, _ = mitdb(record)
    leads = Leads(LeadSettings(), FRONTENDS["cyton"].declaration)
    times = BlockTimes(0, 1e9 / RATE_HZ, 0, 0.0, 0.0, None)
    trusted = []
    for first in range(0, len(x) - 71, 72):
        block = SampleBlock(names, x[first : first + 72], RATE_HZ, first, (), np.zeros((72, 0), dtype=np.bool_), 0)
        trusted.append(leads.take(block, times).mask[names.index("MLII")])
    assert np.mean(trusted[6:]) >= 0.99


@pytest.mark.parametrize(("record", "most_missed", "most_extra"), [("122", 0, 0), ("119", 0, 1), ("220", 0, 0)])
def test_their_beats_are_found(record: str, most_missed: int, most_extra: int, mitdb: Callable[[str], Record]) -> None:
    """Beats within 150 ms from 4 s on; their times spread by 3 ms at most against the annotations."""
    x, names, beats = mitdb(record)
    detector = RPeakDetector(RPeakSettings(), names, RATE_HZ, read_judge())
    period_ns = 1e9 / RATE_HZ
    peaks: list[RPeak] = []
    for first in range(0, len(x), 36):
        rows = x[first : first + 36]
        times = BlockTimes(round(first * period_ns), period_ns, 0, 0.0, 0.0, None)
        peaks += detector.take(rows, (True,) * len(names), times)
    found_s = np.array([peak.r_at_ns / 1e9 for peak in peaks if peak.stage == "confirmed"])
    true_s = beats[beats > 4 * RATE_HZ] / RATE_HZ
    found_s = found_s[found_s > true_s[0] - 0.15]
    apart_s = found_s[None, :] - true_s[:, None]
    assert (np.abs(apart_s).min(axis=1) > 0.15).sum() <= most_missed
    assert (np.abs(apart_s).min(axis=0) > 0.15).sum() <= most_extra
    errors_ms = 1e3 * apart_s[np.arange(len(true_s)), np.abs(apart_s).argmin(axis=1)]
    hits_ms = errors_ms[np.abs(errors_ms) <= 150.0]
    assert np.std(hits_ms) <= 3.0
    assert np.abs(np.median(hits_ms)) <= 4.0
