"""A recorded ECG as the source of a simulated box: its leads, its time, its beats."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gating.errors import SettingsError
from gating.frontends import FRONTENDS
from gating.io.records import Record, RecordedBeats, read_record
from simulators.ecg_box import EcgBox
from simulators.io.replay import RecordSource, map_leads
from simulators.scenario import Box

ROOT = Path(__file__).resolve().parents[2]
BOX = FRONTENDS["healthypi6"].declaration


def a_record(rate_hz: float = 360.0, seconds: float = 20.0, leads: tuple[str, ...] = ("MLII", "V5")) -> Record:
    """Make a record of a slow sine and of narrow peaks at each whole second."""
    times_s = np.arange(round(rate_hz * seconds)) / rate_hz
    from_peak_s = (times_s + 0.5) % 1.0 - 0.5
    peaks = 1000.0 * np.exp(-0.5 * (from_peak_s / 0.012) ** 2)
    marks = RecordedBeats(np.arange(1, round(seconds)) * round(rate_hz), ("N", "V", "A") * 6 + ("N",))
    columns = [peaks if n == 0 else 100.0 * np.sin(2 * np.pi * times_s) for n in range(len(leads))]
    return Record("made", leads, rate_hz, np.stack(columns, axis=1), marks)


@pytest.mark.parametrize(
    ("recorded", "lines"),
    [
        (("MLII", "V1"), ("I: no source, sent as lead-off (LA)", "MLII -> II", "V1 -> V1")),
        (("MLII", "V5"), ("I: no source, sent as lead-off (LA)", "MLII -> II", "V5 -> V1")),
        (("V4", "MLII", "V1"), ("I: no source, sent as lead-off (LA)", "MLII -> II", "V1 -> V1")),
        (("Lead I", "ECG II"[4:], "v2"), ("Lead I -> I", "II -> II", "v2 -> V1")),
        (("ECG",), ("I: no source, sent as lead-off (LA)", "ECG -> II", "V1: no source, sent as lead-off (V1)")),
        (("V5", "V2"), ("I: no source, sent as lead-off (LA)", "II: no source, sent as lead-off (LL)", "V5 -> V1")),
    ],
)
def test_leads_are_mapped_by_name_and_every_choice_is_said(recorded: tuple[str, ...], lines: tuple[str, ...]) -> None:
    """MLII goes out as II, a chest lead as V1, and what has no source as lead-off."""
    assert lines == map_leads(recorded, ("I", "II", "V1")).lines


def test_a_record_without_a_usable_lead_is_refused() -> None:
    """A record of respiration alone cannot be played."""
    with pytest.raises(SettingsError, match=r"RESP.*--frontend"):
        map_leads(("RESP",), ("I", "II", "V1"))


@pytest.mark.parametrize("frontend", ["healthypi6", "cyton", "ad8232"])
@pytest.mark.parametrize("rate_hz", [128.0, 360.0, 1000.0])
def test_resampling_delays_nothing(frontend: str, rate_hz: float) -> None:
    """A peak recorded at second 7 leaves as a peak at second 7, up or down in rate, to 0.3 ms."""
    source = RecordSource(a_record(rate_hz), FRONTENDS[frontend].declaration, drift_ppm=50.0)
    column = source.leads.index("II")
    ii = source.samples(0, round(10 * source.rate_hz))[0][:, column]
    low = round(6.95 * source.rate_hz)
    top = low + int(ii[low : round(7.05 * source.rate_hz)].argmax())
    before, at, after = ii[top - 1 : top + 2]
    peak_s = (top + 0.5 * (before - after) / (before - 2 * at + after)) / source.rate_hz
    assert 7.0 == pytest.approx(peak_s, abs=0.0003)


def test_missing_leads_are_flagged_and_flat() -> None:
    """Without a lead I the electrode LA is said to be off all the time, and the column is zero."""
    microvolts, off = RecordSource(a_record(), BOX).samples(100, 50)
    assert [name == "LA" for name in BOX.electrodes] == off[0].tolist()
    assert (off == off[0]).all()
    assert not microvolts[:, 0].any()


def test_beats_keep_their_symbols_and_move_with_the_start_and_the_speed() -> None:
    """Beats before `from_s` are gone; the others lie at (t - from) / speed; early ones are premature."""
    source = RecordSource(a_record(), BOX, from_s=2.5, speed=2.0)
    first, second, third = source.beats[:3]
    assert (1, "premature", "A") == (first.number, first.kind, first.symbol)
    assert (2, "normal", "N") == (second.number, second.kind, second.symbol)
    assert [0.25, 0.75] == pytest.approx([first.r_at_s, second.r_at_s])
    assert ("premature", "V") == (third.kind, third.symbol)
    assert 8.75 == pytest.approx(source.duration_s)


def test_after_the_record_all_electrodes_are_off() -> None:
    """Where the record ends the box sends lead-off and zeros, and never an extrapolation."""
    source = RecordSource(a_record(seconds=4.0), BOX)
    microvolts, off = source.samples(1990, 100)
    assert not off[:5, 0].any()
    assert off[15:].all()
    assert not microvolts[15:].any()
    assert np.abs(microvolts).max() < 1100.0


@pytest.mark.parametrize(("start_s", "speed"), [(-1.0, 1.0), (20.0, 1.0), (0.0, 0.0), (0.0, 50.0)])
def test_a_start_outside_the_record_or_a_senseless_speed_is_refused(start_s: float, speed: float) -> None:
    """`--from` must lie within the record and `--speed` within reason."""
    with pytest.raises(SettingsError, match=r"--from|--speed"):
        RecordSource(a_record(), BOX, from_s=start_s, speed=speed)


@pytest.mark.recorded
def test_a_real_record_passes_through_the_box_with_its_peaks_in_place(recorded_ecg: Path) -> None:
    """MIT-BIH 101 through bytes and decoder: around each annotated beat lead II shows the recorded peak."""
    record = read_record(recorded_ecg / "mitdb" / "101")
    source = RecordSource(record, BOX, from_s=60.0)
    box = EcgBox(source, FRONTENDS["healthypi6"], Box(), (), 0)
    blocks = FRONTENDS["healthypi6"].decoder().feed(box.wake(20_000_000_000))
    ii = np.concatenate([block.microvolts[:, 1] for block in blocks])
    beats = [beat for beat in source.beats if 0.2 < beat.r_at_s < 19.5]
    assert len(beats) > 15
    for beat in beats:
        recorded = round((beat.r_at_s + 60.0) * 360.0)
        want = int(record.microvolts[recorded - 30 : recorded + 30, 0].argmax()) + recorded - 30
        low = round((beat.r_at_s - 0.08) * 500.0)
        got = int(ii[low : low + 80].argmax()) + low
        assert want / 360.0 - 60.0 == pytest.approx(got / 500.0, abs=0.004)


@pytest.mark.processes
def test_the_command_plays_a_csv_file(tmp_path: Path) -> None:
    """`diastole replay FILE --json` says the mapping and serves the bytes; a missing file ends with 2 and a cure."""
    record = a_record(250.0, 10.0, ("II",))
    rows = [f"{n / 250:.3f},{value:.1f}" for n, value in enumerate(record.microvolts[:, 0])]
    path = tmp_path / "mine.csv"
    path.write_text("time_s,II_uV\n" + "\n".join(rows) + "\n")
    command = [sys.executable, "-m", "diastole", "replay"]
    with subprocess.Popen([*command, str(path), "--json"], stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        assert "II -> II" == first["mapping"][1]
        fd = os.open(first["port"], os.O_RDONLY | os.O_NOCTTY)
        assert "started_at_ns" in json.loads(process.stdout.readline())
        assert os.read(fd, 100)
        os.close(fd)
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(10.0)
    missing = subprocess.run([*command, str(tmp_path / "none")], capture_output=True, text=True, check=False, cwd=ROOT)
    assert 2 == missing.returncode
    assert "none.hea is missing" in missing.stderr
