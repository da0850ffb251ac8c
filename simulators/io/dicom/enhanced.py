"""A simulated study as one Enhanced CT object, with the Cardiac Synchronization of each frame (PS3.3 A.38.1)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.coding import Code
from pydicom.uid import EnhancedCTImageStorage

from simulators.exposure import DETECTOR_RADIUS_MM, view_count
from simulators.io.dicom.slices import INTERCEPT_HU, SERIES_EVENT, CardiacTags, shot_of, stored_values
from simulators.io.dicom.study import (
    COMMENT,
    StudyIdentity,
    date_time,
    describe_frame_of_reference,
    describe_synchronization,
    new_object,
)
from simulators.io.dicom.waveform import coded
from simulators.projector import SOURCE_RADIUS_MM, VIEWS_PER_ROTATION
from simulators.study import StudyVolume

IMAGE_TYPE = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
_BODY_PHANTOM = Code("113691", "DCM", "IEC Body Dosimetry Phantom")
_HEART = Code("80891009", "SCT", "Heart")
_STACK_ID, _POSITION = 0x00209056, 0x00209057
_FRAME_CONTENT = 0x00209111


def write_enhanced(
    path: Path, identity: StudyIdentity, volume: StudyVolume, cardiac: Sequence[CardiacTags], rejected: int
) -> Dataset:
    """Write all slices as frames of one object, the lowest first.

    Parameters
    ----------
    path
        Of the file.
    identity
        The study; its series is another one than that of the single slices.
    volume, cardiac
        As of `slices.write_series`.
    rejected
        Beats of the scan that were held and not exposed.

    Returns
    -------
    Dataset
        What was written.

    Raises
    ------
    ValueError
        If there is not one `cardiac` for each slice.
    OSError
        If the file cannot be written.
    """
    title = f"CaScore {volume.plan.slice_thickness_mm:.1f} mm, enhanced, simulated"
    dataset = new_object(
        identity, EnhancedCTImageStorage, "enhanced", series="enhanced series", modality="CT", number=2, title=title
    )
    dataset.ImageComments = COMMENT
    describe_frame_of_reference(dataset, identity)
    describe_synchronization(dataset, identity, "EXTERNAL")
    _describe_image(dataset, volume, identity)
    _describe_rhythm(dataset, cardiac, len(volume.shots), rejected)
    _describe_dimensions(dataset, identity)
    dataset.SharedFunctionalGroupsSequence = DicomSequence([_shared(volume, identity)])
    frames = enumerate(zip(volume.z_mm, cardiac, strict=True))
    dataset.PerFrameFunctionalGroupsSequence = DicomSequence(
        [_frame(volume, index, tags, identity) for index, (_, tags) in frames]
    )
    stored = stored_values(volume.hu)
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = stored.tobytes()
    dataset.save_as(path, enforce_file_format=True)
    return dataset


def _describe_image(dataset: Dataset, volume: StudyVolume, identity: StudyIdentity) -> None:
    opened = [shot.opened_at_s for shot in volume.shots]
    exposed_s = view_count(volume.plan) * volume.plan.rotation_ms * 1e-3 / VIEWS_PER_ROTATION
    dataset.ImageType = IMAGE_TYPE
    dataset.PixelPresentation, dataset.VolumetricProperties = "MONOCHROME", "VOLUME"
    dataset.VolumeBasedCalculationTechnique = "NONE"
    dataset.AcquisitionNumber = 1
    dataset.AcquisitionDateTime = date_time(identity.at(min(opened)))
    dataset.AcquisitionDuration = 1e3 * (max(opened) - min(opened) + exposed_s)
    dataset.ContentQualification = "RESEARCH"
    dataset.BurnedInAnnotation, dataset.LossyImageCompression, dataset.PresentationLUTShape = "NO", "00", "IDENTITY"
    dataset.AcquisitionContextSequence = DicomSequence()


def _describe_rhythm(dataset: Dataset, cardiac: Sequence[CardiacTags], acquired: int, rejected: int) -> None:
    """Fill the Cardiac Synchronization module (C.7.6.18.1): prospective, on the ECG; other beats are not exposed."""
    intervals = [round(one.nominal_interval_ms) for one in cardiac]
    dataset.CardiacSynchronizationTechnique = "PROSPECTIVE"
    dataset.CardiacSignalSource = "ECG"
    dataset.CardiacRRIntervalSpecified = float(np.mean(intervals))
    dataset.CardiacBeatRejectionTechnique = "PVC"
    dataset.IntervalsAcquired, dataset.IntervalsRejected = acquired, rejected
    dataset.LowRRValue, dataset.HighRRValue = min(intervals), max(intervals)
    dataset.CardiacFramingType = "FORW"  # times after the R before


def _describe_dimensions(dataset: Dataset, identity: StudyIdentity) -> None:
    """Index the frames by their place in the one stack."""
    organization, indices = Dataset(), []
    organization.DimensionOrganizationUID = identity.uid("enhanced dimensions")
    dataset.DimensionOrganizationSequence = DicomSequence([organization])
    dataset.DimensionOrganizationType = "3D"
    for pointer, label in ((_STACK_ID, "Stack ID"), (_POSITION, "In-Stack Position Number")):
        index = Dataset()
        index.DimensionIndexPointer, index.FunctionalGroupPointer = pointer, _FRAME_CONTENT
        index.DimensionOrganizationUID = organization.DimensionOrganizationUID
        index.DimensionDescriptionLabel = label
        indices.append(index)
    dataset.DimensionIndexSequence = DicomSequence(indices)


def _group(**attributes: object) -> DicomSequence:
    """Make a functional group: a sequence of one item."""
    item = Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    return DicomSequence([item])


def _shared(volume: StudyVolume, identity: StudyIdentity) -> Dataset:
    """Say what is the same for all frames."""
    plan, shared = volume.plan, Dataset()
    shared.PixelMeasuresSequence = _group(
        PixelSpacing=[volume.pixel_mm, volume.pixel_mm], SliceThickness=plan.slice_thickness_mm
    )
    shared.PlaneOrientationSequence = _group(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    shared.FrameAnatomySequence = _group(AnatomicRegionSequence=DicomSequence([coded(_HEART)]), FrameLaterality="U")
    shared.CTImageFrameTypeSequence = _group(
        FrameType=IMAGE_TYPE,
        PixelPresentation="MONOCHROME",
        VolumetricProperties="VOLUME",
        VolumeBasedCalculationTechnique="NONE",
    )
    shared.CTAcquisitionTypeSequence = _group(
        AcquisitionType="SEQUENCED", ConstantVolumeFlag="NO", FluoroscopyFlag="NO"
    )
    shared.CTAcquisitionDetailsSequence = _group(
        RotationDirection="CW",
        RevolutionTime=plan.rotation_ms * 1e-3,
        SingleCollimationWidth=plan.collimation_mm / plan.slices_per_step,
        TotalCollimationWidth=plan.collimation_mm,
        TableHeight=0.0,
        GantryDetectorTilt=0.0,
        DataCollectionDiameter=round(2.0 * SOURCE_RADIUS_MM * float(np.sin(np.deg2rad(plan.fan_deg / 2))), 1),
    )
    shared.CTTableDynamicsSequence = _group()  # the table stands still in each exposure: no speed, no feed, no pitch
    shared.CTGeometrySequence = _group(
        DistanceSourceToDetector=DETECTOR_RADIUS_MM,
        DistanceSourceToDataCollectionCenter=SOURCE_RADIUS_MM,
    )
    shared.CTReconstructionSequence = _group(
        ReconstructionAlgorithm="FILTER_BACK_PROJ",
        ConvolutionKernel=f"Gauss{plan.kernel_cutoff:g}",
        ConvolutionKernelGroup="SOFT_TISSUE",
        ReconstructionDiameter=plan.fov_mm,
        ReconstructionPixelSpacing=[volume.pixel_mm, volume.pixel_mm],
        ReconstructionAngle=180.0,
        ImageFilter="NONE",
    )
    shared.CTExposureSequence = _group(
        ExposureTimeInms=plan.half_scan_ms,
        XRayTubeCurrentInmA=plan.tube_current_ma,
        ExposureInmAs=plan.tube_current_ma * plan.sources * plan.half_scan_ms * 1e-3,
        ExposureModulationType=["NONE"],
        CTDIvol=plan.ctdivol_mgy_per_ms * plan.half_scan_ms,
        CTDIPhantomTypeCodeSequence=DicomSequence([coded(_BODY_PHANTOM)]),
    )
    shared.CTXRayDetailsSequence = _group(
        KVP=plan.kvp, FocalSpots=[1.0], FilterType="NONE", FilterMaterial=["ALUMINUM"]
    )
    shared.PixelValueTransformationSequence = _group(RescaleIntercept=INTERCEPT_HU, RescaleSlope=1, RescaleType="HU")
    shared.FrameVOILUTSequence = _group(WindowCenter=130, WindowWidth=700)
    shared.IrradiationEventIdentificationSequence = _group(IrradiationEventUID=identity.uid(f"event {SERIES_EVENT}"))
    return shared


def _frame(volume: StudyVolume, index: int, tags: CardiacTags, identity: StudyIdentity) -> Dataset:
    """Say what is this frame's own: where it lies, when it was, and in which phase."""
    frame, shot, plan = Dataset(), shot_of(volume, index), volume.plan
    exposed_ms = view_count(plan) * plan.rotation_ms / VIEWS_PER_ROTATION
    frame.FrameContentSequence = _group(
        FrameAcquisitionNumber=int(volume.step_of_slice[index]) + 1,
        FrameAcquisitionDateTime=date_time(identity.at(shot.opened_at_s)),
        FrameReferenceDateTime=date_time(identity.at(shot.opened_at_s + 0.5e-3 * exposed_ms)),
        FrameAcquisitionDuration=exposed_ms,
        StackID="1",
        InStackPositionNumber=index + 1,
        DimensionIndexValues=[1, index + 1],
    )
    z = round(float(volume.z_mm[index]), 4)
    frame.PlanePositionSequence = _group(ImagePositionPatient=[round(volume.x0_mm, 5), round(volume.y0_mm, 5), z])
    frame.CTPositionSequence = _group(
        TablePosition=shot.table_mm,
        DataCollectionCenterPatient=[0.0, 0.0, z],
        ReconstructionTargetCenterPatient=[plan.centre_x_mm, plan.centre_y_mm, z],
    )
    middle_ms = 0.5 * exposed_ms
    frame.CardiacSynchronizationSequence = _group(
        NominalPercentageOfCardiacPhase=round(tags.phase_percent, 3),
        NominalCardiacTriggerDelayTime=round(tags.trigger_time_ms + middle_ms, 3),
        ActualCardiacTriggerDelayTime=round(1e3 * (shot.opened_at_s - tags.r_at_s) + middle_ms, 3),
        IntervalsAcquired=1,
        IntervalsRejected=0,
        HeartRate=round(tags.heart_rate_bpm),
        RRIntervalTimeNominal=round(tags.nominal_interval_ms, 3),
    )
    return frame
