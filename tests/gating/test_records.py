"""Recorded ECG from files: what is read, in microvolts, and what is refused with a cure."""

from pathlib import Path

import numpy as np
import pytest

from gating.errors import RecordError
from gating.io.records import BEAT_SYMBOLS, read_csv, read_record, read_wfdb


def write_csv(path: Path, header: str, rows: list[str]) -> Path:
    """Write a CSV file."""
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_csv_with_units_is_read_in_microvolts(tmp_path: Path) -> None:
    """Millivolts, microvolts and volts all become microvolts; the rate comes from the times; beats keep symbols."""
    rows = [f"{n * 4},{n / 1000},{n},{n * 1e-6},{'V' if n == 7 else ''}" for n in range(20)]
    record = read_record(write_csv(tmp_path / "mine.csv", "time_ms,II_mV,V1_uV,I_V,beat", rows))
    assert ("mine", ("II", "V1", "I")) == (record.name, record.leads)
    assert 250.0 == pytest.approx(record.rate_hz)
    np.testing.assert_allclose(record.microvolts, np.repeat(np.arange(20.0)[:, None], 3, axis=1), atol=1e-9)
    assert record.beats is not None
    assert ([7], ("V",)) == (record.beats.sample.tolist(), record.beats.symbols)


def test_times_rounded_to_milliseconds_are_even_enough(tmp_path: Path) -> None:
    """360 Hz written in whole milliseconds is still 360 Hz."""
    rows = [f"{round(n * 1000 / 360)},{n}" for n in range(721)]
    assert 360.0 == pytest.approx(read_csv(write_csv(tmp_path / "a.csv", "time_ms,II_uV", rows)).rate_hz)


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        ("time,II_mV", "{n},1", "must be time_s"),
        ("time_s,II", "{n},1", "'II' .* names no unit"),
        ("time_s,II_mmHg", "{n},1", "names no unit"),
        ("time_s,beat", "{n},N", "has no lead"),
        ("time_s,II_mV", "{n},one", "Line 2 .* no row of numbers"),
        ("time_s,II_mV,beat", "{n},1", "Line 2 .* no row of numbers"),
        ("time_s,II_mV,beat", "{n},1,X", "no WFDB symbol"),
        ("time_s,II_mV", "{n}{n},1", "not evenly spaced"),
        ("time_s,II_mV", "1,1", "not evenly spaced"),
        ("time_s,II_mV", "{n},", "holds no value"),
    ],
)
def test_a_bad_csv_is_refused_with_the_place(tmp_path: Path, header: str, row: str, said: str) -> None:
    """Each fault is named, with the line or column."""
    path = write_csv(tmp_path / "bad.csv", header, [row.format(n=n) for n in range(30)])
    with pytest.raises(RecordError, match=said):
        read_csv(path)


def test_a_missing_short_or_unreadable_file_is_refused(tmp_path: Path) -> None:
    """No file, a file without samples, bytes that are no text."""
    with pytest.raises(RecordError, match="cannot be read"):
        read_csv(tmp_path / "none.csv")
    with pytest.raises(RecordError, match="holds 1 samples"):
        read_csv(write_csv(tmp_path / "short.csv", "time_s,II_mV", ["0,1"]))
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(RecordError, match="cannot be read"):
        read_csv(tmp_path / "bytes.csv")


def test_holes_hold_the_last_value(tmp_path: Path) -> None:
    """A missing value shows as a flat piece; before the first value there is zero."""
    rows = [f"{n},{'' if n in {0, 5, 6} else n}" for n in range(20)]
    record = read_csv(write_csv(tmp_path / "a.csv", "time_s,II_uV", rows))
    assert [0.0, 1.0, 2.0, 3.0, 4.0, 4.0, 4.0, 7.0] == record.microvolts[:8, 0].tolist()


def test_a_missing_or_damaged_wfdb_record_is_refused(tmp_path: Path) -> None:
    """No header, and a header without sense, are one sentence with the cure."""
    with pytest.raises(RecordError, match=r"nothing.hea is missing"):
        read_record(tmp_path / "nothing")
    (tmp_path / "bad.hea").write_text("bad 2 what\nbad.dat 212\n")
    with pytest.raises(RecordError, match="damaged"):
        read_record(tmp_path / "bad.hea")
    (tmp_path / "gone.hea").write_text("gone 1 360 1000\ngone.dat 16 200 11 1024 0 0 0 MLII\n")
    with pytest.raises(RecordError, match="damaged"):
        read_record(tmp_path / "gone")


def test_a_wfdb_record_is_read_in_microvolts_without_what_is_no_voltage(tmp_path: Path) -> None:
    """Format 16 with gain 200 per mV: 200 counts are 1000 uV; a pressure beside it is left out."""
    counts = np.stack((np.arange(100) * 2, np.full(100, 80)), axis=1).astype("<i2")
    (tmp_path / "r.dat").write_bytes(counts.tobytes())
    (tmp_path / "r.hea").write_text("r 2 250 100\nr.dat 16 200/mV 16 0 0 0 0 ECG II\nr.dat 16 1/mmHg 16 0 80 0 0 ABP\n")
    record = read_wfdb(tmp_path / "r")
    assert (("ECG II",), 250.0, None) == (record.leads, record.rate_hz, record.beats)
    np.testing.assert_allclose(record.microvolts[:, 0], np.arange(100) * 10.0)
    (tmp_path / "p.hea").write_text("p 1 250 100\nr.dat 16 1/mmHg 16 0 80 0 0 ABP\n")
    with pytest.raises(RecordError, match="holds no ECG"):
        read_wfdb(tmp_path / "p")


@pytest.mark.parametrize(
    ("symbols", "episodes"),
    [
        ("N[!]N", ((20, 40),)),
        ("[]N[]", ((10, 20), (40, 50))),
        ("N[!!N", ((20, 99),)),  # to the end
        ("N]NNN", ((0, 20),)),  # from the beginning
        ("NNNNN", ()),
    ],
)
def test_flutter_is_told_by_its_episodes(tmp_path: Path, symbols: str, episodes: tuple[tuple[int, int], ...]) -> None:
    """From `[` to `]`; its waves are no beats."""
    wfdb = pytest.importorskip("wfdb", reason="writing annotations needs the extra `records`")
    (tmp_path / "f.dat").write_bytes(np.zeros(100, dtype="<i2").tobytes())
    (tmp_path / "f.hea").write_text("f 1 250 100\nf.dat 16 200/mV 16 0 0 0 0 II\n")
    wfdb.wrann("f", "atr", np.array([10, 20, 30, 40, 50]), list(symbols), write_dir=str(tmp_path))
    beats = read_wfdb(tmp_path / "f").beats
    assert beats is not None
    assert (episodes, symbols.count("N")) == (beats.flutter, len(beats.symbols))


@pytest.mark.recorded
def test_a_recorded_ecg_is_read_with_its_beats(recorded_ecg: Path) -> None:
    """MIT-BIH 101: half an hour of MLII and V1 at 360 Hz, 1865 beats, each near a peak of MLII."""
    record = read_record(recorded_ecg / "mitdb" / "101")
    assert (("MLII", "V1"), 360.0, (650_000, 2)) == (record.leads, record.rate_hz, record.microvolts.shape)
    assert record.beats is not None
    assert 1865 == len(record.beats.symbols)
    assert set(record.beats.symbols) <= BEAT_SYMBOLS
    assert 500.0 < np.median(record.microvolts[record.beats.sample, 0]) < 2000.0
