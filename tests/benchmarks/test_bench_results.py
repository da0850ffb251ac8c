"""What the forms of a result cost: CPU time and bytes of 48 slices of 512 x 512, lesion by lesion."""

import time
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from scoring.io.dicom_in import read_series
from scoring.io.evidence import read_evidence
from scoring.io.results.bundle import make_results
from scoring.io.scored_series import ScoredSeries
from scoring.lesions import Labels
from scoring.report import make_report
from scoring.score import score_volume
from scoring.settings import ScoreSettings
from scoring.volume import Volume
from tests.benchmarks.limits import at_most, hold, table

SLICES, SIDE = 48, 512
REPEATS = 2


def _write(folder: Path, lesions: int) -> None:
    """Write a series of noise with lesions of 4 x 4 pixels in a row."""
    rng = np.random.default_rng(1)
    for index in range(SLICES):
        hu = rng.normal(40.0, 15.0, (SIDE, SIDE))
        if index == SLICES // 2:
            for lesion in range(lesions):
                hu[250:254, 20 + 12 * lesion : 24 + 12 * lesion] = 400.0
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, f"1.2.3.{index + 1}"
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = "1.2.4", "1.2.5", "1.2.6"
        dataset.PatientID, dataset.Modality, dataset.KVP, dataset.SliceThickness = "BENCH", "CT", 120, 3
        dataset.ImageOrientationPatient, dataset.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.4, 0.4]
        dataset.ImagePositionPatient = [0, 0, 3 * index]
        dataset.Rows = dataset.Columns = SIDE
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
        dataset.PixelData = np.rint(hu + 1024).astype("<u2").tobytes()
        dataset.save_as(folder / f"{index:03d}.dcm", enforce_file_format=True)


def _cost(folder: Path, lesions: int) -> tuple[float, dict[str, int]]:
    """Give the least CPU time in s of some runs, and the size of every file in bytes."""
    folder.mkdir()
    _write(folder, lesions)
    volume = read_series(folder)
    assert isinstance(volume, Volume)
    labels = Labels((volume.hu >= 300).astype(np.uint8) * 2)
    outcome = score_volume(volume, labels)
    report = make_report(outcome, volume, labels, settings=ScoreSettings(), version="bench")
    assert len(report.lesions) == lesions
    scored, evidence = ScoredSeries(report, outcome, volume, labels), read_evidence(folder, volume)
    spent = []
    files: dict[str, bytes] = {}
    for _ in range(REPEATS):
        began = time.process_time()
        files = make_results(scored, evidence)
        spent.append(time.process_time() - began)
    return min(spent), {name: len(data) for name, data in files.items()}


def test_bench_all_files_of_a_result(tmp_path: Path) -> None:
    """With 10 lesions and with 40, beside one another: files that grow with the lesions, and time that follows."""
    costs = {lesions: _cost(tmp_path / str(lesions), lesions) for lesions in (10, 40)}
    names = sorted(costs[10][1])
    rows = [(name, *(f"{costs[lesions][1][name] / 1e3:.0f}" for lesions in costs)) for name in names]
    table("Files of a result, kB", ("file", "10 lesions", "40 lesions"), rows)
    table("CPU time of all files, s", ("lesions", "s"), [(str(n), f"{cost[0]:.2f}") for n, cost in costs.items()])
    hold(
        [
            at_most("CPU time of all files, 10 lesions", 2.5, costs[10][0], " s"),
            at_most("CPU time, 40 lesions by 10", 4.0, costs[40][0] / costs[10][0]),
        ]
    )
