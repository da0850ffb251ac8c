"""Whole scans of recorded ECG in virtual time: no beam after a premature beat, and the scans complete."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gating.frontends import FRONTENDS
from gating.io.records import read_record
from simulators.io.replay import RecordSource
from simulators.io.scenarios import load_scenario
from simulators.report import gating_report
from tests.system.recorded import RecordedScan, histogram, run_record, scan_record

pytestmark = pytest.mark.recorded
STARTS_S = (0.0, 700.0, 1400.0)


@pytest.fixture(scope="module")
def scans(recorded_ecg: Path) -> Callable[[str], list[RecordedScan]]:
    """Run the scans of one record."""

    def run(record: str) -> list[RecordedScan]:
        return [scan_record((recorded_ecg / "mitdb" / record, from_s, 1)) for from_s in STARTS_S]

    return run


@pytest.mark.parametrize("record", ["119", "122"])
def test_no_exposure_begins_after_a_premature_beat(record: str, scans: Callable[[str], list[RecordedScan]]) -> None:
    """Every fourth beat a PVC (119), and none (122): none that lies >= 200 ms before an opening, and all complete."""
    found = scans(record)
    print("", *histogram(gap for scan in found for gap in scan.gaps), sep="\n")
    assert [(record, from_s, ()) for from_s in STARTS_S] == [(one.record, one.from_s, one.broken) for one in found]
    assert [()] * len(found) == [one.violations for one in found]
    assert all(one.complete for one in found), [one.why_not for one in found]


def test_the_report_holds_the_annotated_beats(recorded_ecg: Path) -> None:
    """True beats are the record's: normal and premature ones, counted up to the end of the scan."""
    run, log, symbols = run_record(recorded_ecg / "mitdb" / "119", 700.0, load_scenario("steady"))
    true = gating_report(log)["beats"]
    assert isinstance(true, dict)
    assert {"normal", "premature"} == set(true["true"])
    assert len(log.beats) == sum(true["true"].values())
    assert "V" in symbols.values()
    assert log.beats[-1].r_at_ns <= run.ended_at_ns + 3_000_000_000


def test_a_record_without_lead_i_is_sent_with_la_off(recorded_ecg: Path) -> None:
    """The mapping says so, and the gate is armed on lead II alone."""
    source = RecordSource(read_record(recorded_ecg / "mitdb" / "122"), FRONTENDS["healthypi6"].declaration)
    assert ("I: no source, sent as lead-off (LA)", "MLII -> II", "V1 -> V1") == source.mapping.lines
