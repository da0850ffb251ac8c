"""A multi-frame Enhanced CT object -> a plain header for each frame: all that follows knows one kind of image."""

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag

from scoring.io.errors import SeriesError

# Enhanced CT, and Legacy Converted Enhanced CT: single slices that an archive has put together
ENHANCED_CT = frozenset({"1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"})
OF_THE_WHOLE = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "NumberOfFrames", "PixelData")
# attribute of a plain image: functional groups that may hold it, and its name there
PLACED = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
MOVED: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("ImagePositionPatient", ("PlanePositionSequence",), "ImagePositionPatient"),
    ("ImageOrientationPatient", ("PlaneOrientationSequence",), "ImageOrientationPatient"),
    ("PixelSpacing", ("PixelMeasuresSequence",), "PixelSpacing"),
    ("SliceThickness", ("PixelMeasuresSequence",), "SliceThickness"),
    ("RescaleSlope", ("PixelValueTransformationSequence",), "RescaleSlope"),
    ("RescaleIntercept", ("PixelValueTransformationSequence",), "RescaleIntercept"),
    ("RescaleType", ("PixelValueTransformationSequence",), "RescaleType"),
    (
        "KVP",
        (
            "CTXRayDetailsSequence",
            # a converted object keeps it among the attributes that the conversion had no place for
            "UnassignedPerFrameConvertedAttributesSequence",
            "UnassignedSharedConvertedAttributesSequence",
        ),
        "KVP",
    ),
    ("TriggerTime", ("CardiacSynchronizationSequence",), "NominalCardiacTriggerDelayTime"),
    ("NominalInterval", ("CardiacSynchronizationSequence",), "RRIntervalTimeNominal"),
    ("NominalPercentageOfCardiacPhase", ("CardiacSynchronizationSequence",), "NominalPercentageOfCardiacPhase"),
    ("AcquisitionNumber", ("FrameContentSequence",), "FrameAcquisitionNumber"),
)


def frames_of(name: str, header: Dataset) -> list[Dataset]:
    """Write the header of a multi-frame object once for each frame, as that of a plain image at its place.

    Each frame takes what is its own, and else what the object says of all. A reference to such a slice names the
    object, and not the frame in it.

    References
    ----------
    DICOM PS3.3 A.38.1 (Enhanced CT), A.70 (legacy converted), C.7.6.16 (functional groups).

    Raises
    ------
    SeriesError
        If a frame has no place in the patient.
    """
    shared = header.get("SharedFunctionalGroupsSequence")
    common = shared[0] if shared else Dataset()
    plain = {element.tag: element for element in header if element.keyword not in OF_THE_WHOLE}
    return [_frame(name, plain, header.file_meta, own, common) for own in header.PerFrameFunctionalGroupsSequence]


def _frame(
    name: str, plain: dict[BaseTag, DataElement], meta: FileMetaDataset, own: Dataset, common: Dataset
) -> Dataset:
    """Move what stands in functional groups to where a plain image has it."""
    for group in PLACED:
        if not (own.get(group) or common.get(group)):
            raise SeriesError(f"{name} has frames without a {group}; they have no place, export it again.")
    frame = Dataset(dict(plain))  # of its own: a data set made of another one shares its elements
    frame.file_meta = meta
    for attribute, groups, there in MOVED:
        held = (items[0] for group in groups if (items := own.get(group) or common.get(group)))
        found = next((item[there] for item in held if there in item), None)
        if found is not None:
            # in its own VR: a plain image would round what an enhanced one has in full, such as RR
            frame.add_new(attribute, found.VR, found.value)
        elif attribute in frame:
            delattr(frame, attribute)
    return frame
