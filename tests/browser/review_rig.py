"""A small series on the disk and a served review of it, for tests and benchmarks that look at the page."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from scoring.review.app import address_of, bind, make_app, review_server
from scoring.review.cli import wall_time
from scoring.review.desk import Desk
from scoring.review.opening import Told, open_review

SLICES, SIDE, PIXEL_MM = 8, 96, 0.5
# first slice, slices, first row, rows, first column, columns, HU: a spine, three deposits, and one over two slices
BLOCKS = (
    (0, 8, 70, 14, 40, 16, 350),
    (1, 1, 20, 4, 30, 4, 250),
    (3, 2, 30, 3, 50, 12, 420),
    (5, 1, 40, 5, 20, 5, 310),
    (6, 1, 24, 4, 60, 4, 150),
)
VESSEL_CODES = {"LM": "3227004", "LAD": "59438005", "LCX": "57396003", "RCA": "13647002"}


def write_series(folder: Path, **attributes: Any) -> list[FileDataset]:
    """Write the blocks as eight slices of 3 mm; attributes are set on each."""
    folder.mkdir(parents=True)
    hu = np.full((SLICES, SIDE, SIDE), 40.0)
    for first, slices, row, rows, column, columns, value in BLOCKS:
        hu[first : first + slices, row : row + rows, column : column + columns] = value
    return [_write(folder / f"slice{index}.dcm", hu[index], index, attributes) for index in range(SLICES)]


def _write(path: Path, hu: Any, index: int, attributes: dict[str, Any]) -> FileDataset:
    """Write one slice."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["review", str(index)])
    one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = (
        generate_uid(entropy_srcs=["review", name]) for name in ("study", "series", "frame")
    )
    one.PatientName, one.PatientID = "Secret^Name", "P-1"
    one.PatientBirthDate = one.PatientSex = one.StudyDate = one.StudyTime = one.StudyID = one.AccessionNumber = ""
    one.ReferringPhysicianName = one.PositionReferenceIndicator = ""
    one.Modality, one.Manufacturer, one.ImageType = "CT", "Simulated", ["ORIGINAL", "PRIMARY", "AXIAL"]
    one.SeriesNumber, one.InstanceNumber, one.KVP, one.SliceThickness = 1, index + 1, 120, 3
    one.ImageOrientationPatient, one.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-20, -20, 100 + 3 * index]
    one.PixelSpacing, (one.Rows, one.Columns) = [PIXEL_MM, PIXEL_MM], hu.shape
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
    one.RescaleSlope, one.RescaleIntercept, one.RescaleType = 1, -1024, "HU"
    one.PixelData = np.rint(hu + 1024).astype("<i2").tobytes()
    for name, value in attributes.items():
        setattr(one, name, value)
    one.save_as(path, enforce_file_format=True)
    return one


@dataclass
class Rig:
    """A served review."""

    address: str
    desk: Desk
    out: Path


@contextlib.contextmanager
def served(folder: Path, out: Path | None = None, **told: Any) -> Iterator[Rig]:
    """Serve a review on a free port of this computer, in a thread of its own."""
    opened = open_review(Told(folder, out=out, **told))
    desk = Desk(opened, wall_time)
    token = "a-token-that-is-good-once"
    listener, server = bind(0), review_server(make_app(desk, token))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), name="review")
    thread.start()
    try:
        yield Rig(address_of(listener, token), desk, opened.out)
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
        desk.close()
    assert not thread.is_alive()
