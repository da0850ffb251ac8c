"""Single slices -> one multi-frame Enhanced CT object, frame for frame; what belongs to a frame stays with it."""

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

ENHANCED_CT = "1.2.840.10008.5.1.4.1.1.2.1"
Files = list[tuple[str, Dataset]]
OF_FRAME = {
    "PlanePositionSequence": ("ImagePositionPatient",),
    "PlaneOrientationSequence": ("ImageOrientationPatient",),
    "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
    "CTXRayDetailsSequence": ("KVP",),
}
OF_IMAGE = (
    "StudyInstanceUID",
    "FrameOfReferenceUID",
    "SeriesInstanceUID",
    "PatientName",
    "PatientID",
    "Modality",
    "Manufacturer",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)


def enhanced_copy(files: Files, order: tuple[int, ...] = (3, 0, 5, 1, 4, 2)) -> Files:
    """Put slices into one object, in a given order of frames; each frame says for itself where it lies."""
    slices = [files[index][1] for index in order]
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, ENHANCED_CT
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["diastole", "enhanced copy"])
    one = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    one.SOPClassUID, one.SOPInstanceUID = ENHANCED_CT, meta.MediaStorageSOPInstanceUID
    one.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    for name in OF_IMAGE:
        setattr(one, name, slices[0][name].value)
    one.NumberOfFrames = len(slices)
    one.SharedFunctionalGroupsSequence = Sequence([Dataset()])
    one.PerFrameFunctionalGroupsSequence = Sequence([_frame(each) for each in slices])
    one.PixelData = b"".join(each.PixelData for each in slices)
    return [("enhanced.dcm", one)]


def converted_copy(files: Files) -> Files:
    """Let another library put the slices together, as an archive does: Legacy Converted Enhanced CT."""
    from highdicom.legacy import LegacyConvertedEnhancedCTImage

    slices = [one for _, one in files]
    uids = [generate_uid(entropy_srcs=["diastole", word]) for word in ("converted series", "converted")]
    return [("converted.dcm", LegacyConvertedEnhancedCTImage(slices, uids[0], 3, uids[1], 1))]


def _frame(one: Dataset) -> Dataset:
    """Put what a frame says into its functional groups."""
    frame = Dataset()
    for group, names in OF_FRAME.items():
        item = Dataset()
        for name in names:
            if name in one:
                setattr(item, name, one[name].value)
        setattr(frame, group, Sequence([item]))
    return frame
