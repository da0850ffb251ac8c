"""The meter tests: rates, sizes and lengths as the standard describes them, at any sample rate."""

from pathlib import Path

import numpy as np
import pytest

import diastole
from gating.io.records import read_record
from simulators.meter_tests import LASTS_S, NAMES, meter_test

MEAN_RATES = {"3a": 80.0, "3b": 60.0, "3c": 120.0, "3d": 90.0, "step-80-120": 120.0, "step-80-40": 40.0}
RATES_HZ = [125.0, 250.0, 500.0, 1000.0]


@pytest.mark.parametrize("name", MEAN_RATES)
def test_mean_rate(name: str) -> None:
    """Over the 30 s of the test the beats come at the rate that its name says."""
    wave = meter_test(name, 500.0)
    tested = wave.qrs_at_s[wave.qrs_at_s >= wave.begins_s - 1e-9]
    whole = tested[: (len(tested) - 1) // 4 * 4 + 1]  # whole groups of four
    assert 60.0 / np.diff(whole).mean() == pytest.approx(MEAN_RATES[name], abs=0.01)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("name", NAMES)
def test_same_signal_at_any_rate(name: str, rate_hz: float) -> None:
    """A test is the same function of time, whatever the rate at which it is sampled."""
    fine, coarse = meter_test(name, 2000.0), meter_test(name, rate_hz)
    every = round(2000.0 / rate_hz)
    np.testing.assert_allclose(coarse.microvolts, fine.microvolts[::every][: len(coarse.microvolts)], atol=1e-9)
    assert coarse.begins_s == fine.begins_s


@pytest.mark.parametrize("size", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("name", "peak_to_valley_uv"), [("4a", 1000.0), ("4b", 2000.0)])
def test_tachycardia_has_its_size_and_rate(name: str, peak_to_valley_uv: float, size: float) -> None:
    """The wave has the size that was asked for, swings by a fifth, and crosses zero twice a beat."""
    wave = meter_test(name, 1000.0, size)
    tested = wave.microvolts[round(wave.begins_s * 1000) + 600 :]  # after the last T wave
    assert np.ptp(tested) == pytest.approx(1.2 * size * peak_to_valley_uv, rel=0.02)
    crossings = np.count_nonzero(np.diff(np.signbit(tested)))
    assert 30.0 * crossings / (len(tested) / 1000.0) == pytest.approx({"4a": 206.0, "4b": 195.0}[name], abs=1.5)


@pytest.mark.parametrize("size", [0.3, 1.2, 1.5])
def test_tall_t(size: float) -> None:
    """The T wave is as high as asked for, lasts 180 ms and ends 350 ms after the begin of QRS."""
    wave = meter_test("tall-t", 1000.0, size)
    first = round(wave.qrs_at_s[0] * 1000) - 50
    t_wave = wave.microvolts[first + 170 : first + 350]
    assert t_wave.max() == pytest.approx(1000.0 * size, rel=0.01)
    assert abs(wave.microvolts[first + 352]) < 1.0


def test_standstill_is_flat() -> None:
    """After its lead-in no beat comes and the line is still, but for the last T wave."""
    wave = meter_test("standstill", 500.0)
    assert wave.qrs_at_s.max() < wave.begins_s
    assert np.abs(wave.microvolts[-round((LASTS_S - 1.0) * 500) :]).max() < 1e-6


def test_unknown_name() -> None:
    """A test that is not there is an error."""
    with pytest.raises(KeyError):
        meter_test("5a", 500.0)


def test_command_writes_what_replay_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`diastole simulate waveform` writes a recording with its beats, wide ones as V."""
    file = tmp_path / "3a.csv"
    assert diastole.main(["simulate", "waveform", "3a", str(file), "--rate", "250"]) == 0
    assert "ventricular bigeminy, 80 bpm" in capsys.readouterr().out
    record, wave = read_record(file), meter_test("3a", 250.0)
    assert record.leads == ("II",)
    assert record.rate_hz == pytest.approx(250.0)
    np.testing.assert_allclose(record.microvolts[:, 0], wave.microvolts, atol=0.06)
    assert record.beats is not None
    assert record.beats.symbols == wave.symbols
    np.testing.assert_array_equal(record.beats.sample, np.rint(wave.qrs_at_s * 250.0))


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [(["5a", "x.csv"], "take one of: 3a"), (["3a", "missing/x.csv"], "name one in a folder that is there")],
)
def test_command_refuses_with_a_cure(
    arguments: list[str], cure: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong name and a folder that is not there are told with what to do, and end with code 2."""
    monkeypatch.chdir(tmp_path)
    assert diastole.main(["simulate", "waveform", *arguments]) == 2
    assert cure in capsys.readouterr().err.replace("\n", " ")
