"""Simulated slices as DICOM: CT Image Storage with its cardiac tags, and the vessel territories as a DICOM SEG."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import highdicom as hd
import numpy as np
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import CTImageStorage, generate_uid

from scoring.io.results.codes import ANATOMY, VESSEL_CONCEPTS
from scoring.io.results.origin import settle
from simulators.exposure import Shot
from simulators.io.dicom.study import (
    COMMENT,
    MANUFACTURER,
    MODEL,
    SERIAL,
    UNDATED,
    StudyIdentity,
    date_time,
    describe_frame_of_reference,
    describe_synchronization,
    new_object,
)
from simulators.motion import VESSELS
from simulators.projector import SOURCE_RADIUS_MM
from simulators.study import StudyVolume
from simulators.territories import Labels

INTERCEPT_HU = -1024  # stored value 0
SERIES_EVENT = "calcium series"  # the one irradiation event of all slices

_COLOURS = {"LM": "magenta", "LAD": "red", "LCX": "yellow", "RCA": "cyan"}


@dataclass(frozen=True, slots=True)
class CardiacTags:
    """What one slice says about its beat."""

    r_at_s: float  # patient time of its R, as the gate found it
    trigger_time_ms: float  # from that R to the first view, as planned
    nominal_interval_ms: float  # RR
    heart_rate_bpm: float
    phase_percent: float  # of RR, at the middle of the views


def write_series(
    folder: Path, volume: StudyVolume, cardiac: Sequence[CardiacTags] | None, *, seed: int, began: datetime = UNDATED
) -> list[Dataset]:
    """Write one file per slice, `slice-0001.dcm` the lowest.

    Parameters
    ----------
    folder
        An existing folder.
    volume
        The study.
    cardiac
        One for each slice of the volume; None: a phantom, which has no heart.
    seed
        All UIDs come from it, the plan and the patient.
    began
        Local date and time of patient time 0.

    Returns
    -------
    list of Dataset
        What was written, in the order of the slices: the sources of `write_labels`.

    Raises
    ------
    ValueError
        If there is not one `cardiac` for each slice.
    OSError
        If the folder cannot be written.
    """
    identity = StudyIdentity(volume.plan, seed, began)
    beats = [None] * len(volume.z_mm) if cardiac is None else cardiac
    datasets = [
        _slice(volume, index, beat, identity) for index, (_, beat) in enumerate(zip(volume.z_mm, beats, strict=True))
    ]
    for index, dataset in enumerate(datasets):
        dataset.save_as(folder / f"slice-{index + 1:04d}.dcm", enforce_file_format=True)
    return datasets


def _slice(volume: StudyVolume, index: int, cardiac: CardiacTags | None, identity: StudyIdentity) -> Dataset:
    """Make the dataset of one slice."""
    title = f"CaScore {volume.plan.slice_thickness_mm:.1f} mm, simulated"
    dataset = new_object(
        identity, CTImageStorage, f"slice {index}", series="series", modality="CT", number=1, title=title
    )
    dataset.ImageComments = COMMENT
    dataset.BodyPartExamined = "HEART"
    describe_frame_of_reference(dataset, identity)
    describe_synchronization(dataset, identity, "EXTERNAL")
    at = identity.at(shot_of(volume, index).opened_at_s)
    dataset.AcquisitionDateTime = date_time(at)
    dataset.AcquisitionDate, dataset.AcquisitionTime = at.strftime("%Y%m%d"), at.strftime("%H%M%S.%f")
    dataset.IrradiationEventUID = identity.uid(f"event {SERIES_EVENT}")
    _describe_acquisition(dataset, volume, index)
    if cardiac is not None:
        _describe_beat(dataset, cardiac)
    _put_pixels(dataset, volume, index)
    return dataset


def shot_of(volume: StudyVolume, index: int) -> Shot:
    """Give the exposure that a slice is reconstructed from."""
    step = int(volume.step_of_slice[index])
    return next(shot for shot in volume.shots if shot.step == step)


def _describe_acquisition(dataset: Dataset, volume: StudyVolume, index: int) -> None:
    """Say how one slice was acquired."""
    plan = volume.plan
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.InstanceNumber = index + 1
    dataset.AcquisitionNumber = int(volume.step_of_slice[index]) + 1
    dataset.ImagesInAcquisition = int(np.count_nonzero(volume.step_of_slice == volume.step_of_slice[index]))
    dataset.KVP = plan.kvp
    dataset.XRayTubeCurrent = round(plan.tube_current_ma)
    dataset.ExposureTime = round(plan.half_scan_ms)
    dataset.Exposure = round(plan.tube_current_ma * plan.sources * plan.half_scan_ms * 1e-3)
    dataset.DataCollectionDiameter = round(2.0 * SOURCE_RADIUS_MM * np.sin(np.deg2rad(plan.fan_deg / 2)), 1)
    dataset.ReconstructionDiameter = plan.fov_mm
    dataset.DistanceSourceToPatient = SOURCE_RADIUS_MM
    dataset.GantryDetectorTilt = 0.0
    dataset.TableHeight = 0.0
    dataset.RotationDirection = "CW"
    dataset.RevolutionTime = plan.rotation_ms * 1e-3
    dataset.TotalCollimationWidth = plan.collimation_mm
    dataset.ConvolutionKernel = f"Gauss{plan.kernel_cutoff:g}"
    dataset.ProtocolName = plan.plan_id[:64]
    dataset.ContrastBolusAgent = ""
    dataset.ScanOptions = "ECG_STEP"
    dataset.SliceThickness = plan.slice_thickness_mm
    z = round(float(volume.z_mm[index]), 4)
    dataset.ImagePositionPatient = [round(volume.x0_mm, 5), round(volume.y0_mm, 5), z]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]  # columns run to the patient's left: image left is right
    dataset.PixelSpacing = [volume.pixel_mm, volume.pixel_mm]
    dataset.SliceLocation = z


def _describe_beat(dataset: Dataset, cardiac: CardiacTags) -> None:
    """Add the beat as standard extended attributes: not of the CT Image IOD, and read by everybody."""
    dataset.TriggerTime = round(cardiac.trigger_time_ms, 3)
    dataset.NominalInterval = round(cardiac.nominal_interval_ms)
    dataset.HeartRate = round(cardiac.heart_rate_bpm)
    dataset.NominalPercentageOfCardiacPhase = round(cardiac.phase_percent, 3)


def _put_pixels(dataset: Dataset, volume: StudyVolume, index: int) -> None:
    """Store the HU of a slice as 12 bit in 16, and as whole numbers, as scanners do."""
    stored = stored_values(volume.hu[index])
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = INTERCEPT_HU, 1, "HU"
    dataset.WindowCenter, dataset.WindowWidth = 130, 700
    dataset.PixelData = stored.tobytes()


def stored_values(hu: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Give HU as they are stored: whole numbers in 12 bit."""
    return np.asarray(np.clip(np.rint(hu) - INTERCEPT_HU, 0, 4095), dtype="<u2")


def write_labels(path: Path, labels: Labels, sources: Sequence[Dataset]) -> Dataset:
    """Write the vessel territories as a BINARY segmentation of four segments.

    Parameters
    ----------
    path
        Of the file.
    labels
        uint8 [slice, row, column] as `study.territories` gives them.
    sources
        The slices, in the same order, as `write_series` returns them.

    Returns
    -------
    Dataset
        What was written. An artery without a pixel still has its segment.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    algorithm = hd.AlgorithmIdentificationSequence(
        name=MODEL, version=version("diastole"), family=Code("123104", "DCM", "Morphological Operations")
    )
    segments = [
        SegmentDescription(
            segment_number=number,
            segment_label=vessel,
            segmented_property_category=ANATOMY,
            segmented_property_type=VESSEL_CONCEPTS[vessel],
            algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            display_color=hd.color.CIELabColor.from_string(_COLOURS[vessel]),
        )
        for number, vessel in enumerate(VESSELS, start=1)
    ]
    series = str(sources[0].SeriesInstanceUID)
    segmentation = Segmentation(
        source_images=list(sources),
        pixel_array=labels,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=generate_uid(entropy_srcs=[series, "territories"]),
        series_number=100,
        sop_instance_uid=generate_uid(entropy_srcs=[series, "territories of", str(len(sources))]),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=version("diastole"),
        device_serial_number=SERIAL,
        content_label="TERRITORIES",
        content_description="Simulated vessel territories, no calcium",
        series_description="Vessel territories (simulated)",
    )
    # highdicom dates by the wall clock and draws a UID: both would make two runs of one seed differ
    organization = generate_uid(entropy_srcs=[series, "dimensions"])
    settle(segmentation, sources[0].ContentDate, sources[0].ContentTime, organization)
    segmentation.save_as(path)
    return segmentation
