"""DICOM files of small series whose answers can be worked out on paper."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from scoring.lesions import VESSELS

Block = tuple[int, int, int, int, int, float]  # slice, first row, rows, first column, columns, HU
SERIES = generate_uid(entropy_srcs=["diastole", "series"])
FRAME = generate_uid(entropy_srcs=["diastole", "frame"])
STUDY = generate_uid(entropy_srcs=["diastole", "study"])
VESSEL_CODES = {"LM": "3227004", "LAD": "59438005", "LCX": "57396003", "RCA": "13647002"}


def painted(blocks: Sequence[Block], shape: tuple[int, int, int], background: float) -> NDArray[np.float64]:
    """Background with blocks of one value, [slice, row, column]."""
    hu = np.full(shape, background)
    for where, row, rows, column, columns, value in blocks:
        hu[where, row : row + rows, column : column + columns] = value
    return hu


def ct_slice(hu: NDArray[np.floating[Any]], z_mm: float, number: int, **attributes: Any) -> FileDataset:
    """Make one CT image as pydicom data; any attribute can be set by keyword, None removes it."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["diastole", "slice", str(number)])
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = STUDY, SERIES, FRAME
    dataset.PatientName, dataset.PatientID = "Secret^Name", "P-1"
    dataset.PatientBirthDate = dataset.PatientSex = dataset.StudyDate = dataset.StudyTime = ""
    dataset.StudyID = dataset.AccessionNumber = dataset.ReferringPhysicianName = dataset.PositionReferenceIndicator = ""
    dataset.Modality, dataset.Manufacturer = "CT", "Test"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SeriesNumber, dataset.InstanceNumber = 1, number
    dataset.KVP, dataset.SliceThickness = 120, 3
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.ImagePositionPatient = [-50, -60, z_mm]
    dataset.PixelSpacing = [0.5, 0.5]
    dataset.Rows, dataset.Columns = hu.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, -1024, "HU"
    for name, value in attributes.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    slope, intercept = attributes.get("RescaleSlope") or 1, attributes.get("RescaleIntercept") or -1024
    stored = np.rint((hu - float(intercept)) / float(slope)).astype("<i2" if dataset.PixelRepresentation else "<u2")
    if "PixelData" not in attributes:
        dataset.PixelData = stored.tobytes()
    return dataset


def write_map(
    path: Path,
    sources: list[pydicom.Dataset],
    labels: NDArray[np.uint8],
    *,
    coded: bool = True,
    cut: NDArray[np.bool_] | None = None,
) -> Any:
    """Write a vessel map [slice, row, column] of 0 to 4 as a BINARY DICOM SEG, coded or only labelled."""
    import highdicom as hd
    from pydicom.sr.codedict import codes

    descriptions = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=f"Segment {number}" if coded else vessel,
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=hd.sr.CodedConcept(VESSEL_CODES[vessel], "SCT", vessel)
            if coded
            else codes.SCT.Artery,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, vessel in enumerate(VESSELS, 1)
    ]
    pixels: NDArray[Any] = labels
    if cut is not None:
        pixels = np.stack([*(labels == number for number in range(1, len(VESSELS) + 1)), cut], axis=-1)
        descriptions.append(
            hd.seg.SegmentDescription(
                segment_number=len(VESSELS) + 1,
                segment_label="CUT",
                segmented_property_category=codes.SCT.SpatialAndRelationalConcept,
                segmented_property_type=codes.DCM.Background,
                algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
            )
        )
    segmentation = hd.seg.Segmentation(
        source_images=sources,
        pixel_array=pixels,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=descriptions,
        series_instance_uid=generate_uid(),
        series_number=2,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="Test",
        manufacturer_model_name="Test",
        software_versions="1",
        device_serial_number="1",
    )
    segmentation.save_as(path)
    return segmentation
