"""Named phantoms as a series: what is written, and what is refused."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest

import diastole
from scoring.io.dicom_in import read_series
from scoring.volume import Volume


def test_the_insert_is_a_series_with_its_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twelve slices that the scorer reads; the densest large rod is as bright as its density says, within noise."""
    assert 0 == diastole.main(["simulate", "phantom", "insert", "--out", str(tmp_path), "--current", "2000"])
    assert "12 slices" in capsys.readouterr().out
    truth = json.loads((tmp_path / "phantom.json").read_bytes())
    assert 10 == len(truth["rods"])
    rod = max(truth["rods"], key=lambda one: one["diameter_mm"])
    assert 1.31 * 200.0 == pytest.approx(_hu_at(tmp_path, rod), abs=12.0)
    assert 20.0**2 * np.pi / 4 * 30.0 * 0.2 == pytest.approx(rod["mass_mg"])
    read = read_series(tmp_path / "slices")
    assert isinstance(read, Volume)
    assert 12 == len(read.hu)
    slices = [pydicom.dcmread(path) for path in (tmp_path / "slices").iterdir()]
    assert not any("TriggerTime" in one for one in slices)


def _hu_at(folder: Path, rod: dict[str, float]) -> float:
    """Give the mean HU in the middle of a rod."""
    slices = [pydicom.dcmread(path) for path in sorted((folder / "slices").glob("*.dcm"))]
    one = min(slices, key=lambda each: abs(float(each.ImagePositionPatient[2]) - rod["z_mm"]))
    x0, y0 = (float(at) for at in one.ImagePositionPatient[:2])
    pixel = float(one.PixelSpacing[0])
    row, column = round((rod["y_mm"] - y0) / pixel), round((rod["x_mm"] - x0) / pixel)
    return float(one.pixel_array[row - 5 : row + 6, column - 5 : column + 6].mean()) - 1024.0


MOVED: dict[str, list[str]] = {
    "rest": [],
    "60 mm/s": ["--speed", "60"],
    "80 kV": ["--kvp", "80"],
    "120 kV": ["--kvp", "120"],
}


def test_rods_that_move_are_smeared(tmp_path: Path) -> None:
    """The densest rod is darker at 60 mm/s than at rest; at 80 kV it is brighter than at 120."""
    found = {}
    for name, options in MOVED.items():
        out = tmp_path / name.replace("/", "")
        command = ["simulate", "phantom", "rods", "--out", str(out), "--current", "2000", *options]
        assert 0 == diastole.main(command)
        rods = json.loads((out / "phantom.json").read_bytes())["rods"]
        found[name] = _hu_at(out, max(rods, key=lambda one: one["density_mg_per_cc"]))
    assert found["60 mm/s"] < 0.9 * found["rest"]
    assert found["80 kV"] > 1.2 * found["120 kV"]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
def test_dciodvfy_finds_no_error_in_a_phantom(tmp_path: Path) -> None:
    """A series without a heart is whole too."""
    assert 0 == diastole.main(["simulate", "phantom", "insert", "--out", str(tmp_path)])
    run = subprocess.run(
        ["dciodvfy", str(tmp_path / "slices" / "slice-0001.dcm")], capture_output=True, text=True, check=False
    )
    assert "Error" not in run.stdout + run.stderr


WRONG: dict[str, tuple[list[str], str]] = {
    "no such phantom": (["head"], "There is no phantom 'head'; take one of: insert, rods"),
    "a voltage without a spectrum": (["insert", "--kvp", "65"], "no spectrum of 65 kV"),
    "an insert that moves": (["insert", "--speed", "10"], "The insert stands still"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_exits_with_2_and_writes_nothing(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what there is."""
    asked, cure = WRONG[name]
    assert 2 == diastole.main(["simulate", "phantom", *asked, "--out", str(tmp_path / "o")])
    assert cure in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
