"""What a scoring process does while it waits: it scores a series whose answer is known, and makes every result of it.

A process that gets it wrong takes no patient's series. What it loads on the way (tables of the DICOM standard, fonts)
is then loaded before the first slice comes.
"""

from importlib.metadata import version

import msgspec
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from scoring.coronary_finder import Proposed, propose
from scoring.io.results.bundle import make_results
from scoring.io.scored_series import ScoredSeries
from scoring.lesions import Labels
from scoring.quality import NOT_MEASURED, quality_of
from scoring.report import Review, make_report
from scoring.score import score_volume
from scoring.settings import ScoreSettings
from scoring.volume import Volume, axial_volume

ANSWER = 12.0  # 4 pixels of 1 mm2 with 300 HU, weight 3, in one slice of 3 mm
BLOCK = (1, slice(4, 6), slice(4, 6))  # slice, rows, columns


def self_check(settings: ScoreSettings | None = None) -> str:
    """Score the known series and make its results; empty when all is well, else what is wrong.

    Parameters
    ----------
    settings
        The definition; the answer holds for the reference one, when None.
    """
    rules = settings or ScoreSettings()
    headers = [_header(index) for index in range(4)]
    volume = _volume(headers)
    vessels = np.zeros(volume.hu.shape, dtype=np.uint8)
    vessels[BLOCK] = 2
    labels = Labels(vessels, "self-check")
    if isinstance(propose(volume, rules), Proposed):
        return "it proposes arteries where there is no chest"
    outcome = score_volume(volume, labels, rules)
    quality = quality_of(volume, NOT_MEASURED, None, rules)
    report = make_report(outcome, volume, labels, None, rules, quality=quality, version=version("diastole"))
    report = msgspec.structs.replace(report, review=Review(state="draft"))
    total = report.score.total
    if total is None or total.agatston != ANSWER:
        return f"a series of {ANSWER:g} scores {None if total is None else total.agatston}"
    made = make_results(ScoredSeries(report, outcome, volume, labels), headers)
    empty = [name for name, data in made.items() if not data]
    return f"{', '.join(empty)} of a series of {ANSWER:g} is empty" if empty else ""


def _volume(headers: list[Dataset]) -> Volume:
    """Four slices of 16 x 16 pixels of 1 mm, a block of 300 HU in tissue."""
    hu = np.full((len(headers), 16, 16), 40.0)
    hu[BLOCK] = 300.0
    plain = axial_volume(hu, row_mm=1.0, column_mm=1.0, z_mm=[3.0 * index for index in range(len(headers))])
    fields = {name: getattr(plain, name) for name in Volume.__slots__}
    first = headers[0]
    return Volume(**{**fields, "series_uid": first.SeriesInstanceUID, "frame_uid": first.FrameOfReferenceUID})


def _header(index: int) -> Dataset:
    """Header of one slice; nobody's."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["diastole self-check", str(index)])
    header = Dataset()
    header.file_meta = meta
    header.SOPClassUID, header.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(header, name, generate_uid(entropy_srcs=["diastole self-check", name]))
    header.PatientID, header.PatientName, header.PatientBirthDate, header.PatientSex = "SELF-CHECK", "", "", ""
    header.StudyID = header.StudyDate = header.StudyTime = header.AccessionNumber = header.ReferringPhysicianName = ""
    header.Modality, header.SeriesNumber, header.InstanceNumber = "CT", 1, index + 1
    header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    header.ImageOrientationPatient, header.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 3 * index]
    header.PixelSpacing, header.SliceThickness, header.PositionReferenceIndicator = [1, 1], 3, ""
    header.Rows, header.Columns, header.SamplesPerPixel, header.PhotometricInterpretation = 16, 16, 1, "MONOCHROME2"
    header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 16, 16, 15, 1
    return header
