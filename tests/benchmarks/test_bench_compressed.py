"""What the transfer syntaxes cost a series of 48 slices; `make bench BENCH="-k compressed"`."""

import time
from pathlib import Path

import numpy as np
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from scoring.io.scored_series import score_series
from scoring.settings import ScoreSettings
from tests.benchmarks.limits import at_most, hold, number, table
from tests.scoring.dicom_files import ct_slice

SIDE, SLICES, RUNS = 512, 48, 2
SYNTAXES = {"none": None, "JPEG-LS": JPEGLSLossless, "RLE": RLELossless, "JPEG 2000": JPEG2000Lossless}
TWELVE = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0}


def test_compressed_slices_cost_time_and_change_nothing(tmp_path: Path) -> None:
    """A round body in air with noise of 20 HU: the same score from each syntax, and what it takes to read."""
    y, x = np.ogrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    body, rng = np.where(x * x + y * y < 0.8, 40.0, -1000.0), np.random.default_rng(7)
    rows, totals = [], set()
    for index in range(SLICES):
        hu = np.maximum(body + rng.normal(0.0, 20.0, body.shape), -1024.0)
        hu[200:209, 150 + 4 * index : 159 + 4 * index] = 150.0 + 8.0 * index
        for name, syntax in SYNTAXES.items():
            one = ct_slice(hu, 100.0 + 3.0 * index, index + 1, **TWELVE)
            if syntax is not None:
                one.compress(syntax, generate_instance_uid=False)
            (tmp_path / name).mkdir(exist_ok=True)
            one.save_as(tmp_path / name / f"{index:03d}.dcm", enforce_file_format=True)
    for name in SYNTAXES:
        seconds = []
        for _ in range(RUNS):
            began = time.process_time()
            report = score_series(tmp_path / name, None, None, ScoreSettings(all_islands=True)).report
            seconds.append(time.process_time() - began)
        assert report.score.total is not None
        totals.add(report.score.total.pixel_weights)
        mib = sum(path.stat().st_size for path in (tmp_path / name).iterdir()) / 2**20
        rows.append((name, number(mib), number(min(seconds), 2)))
    table("48 slices of 512 x 512, read and scored", ("compressed as", "MiB on disk", "s"), rows)
    hold([at_most("different scores", 1, len(totals))])
