"""The PDF as a DICOM object, so that an archive without a FHIR door holds the page too."""

from collections.abc import Sequence

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EncapsulatedPDFStorage, ExplicitVRLittleEndian

from scoring.io.results.origin import MANUFACTURER, MODEL, SERIAL, UNICODE, Origin, settle, software

# of patient and study, as the slices have them; other attributes of these modules go along where they are present
INHERITED = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "IssuerOfPatientID", "OtherPatientIDsSequence",
    "PatientAge", "PatientSize", "PatientWeight", "StudyInstanceUID", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "IssuerOfAccessionNumberSequence", "ReferringPhysicianName", "StudyDescription",
    "ProcedureCodeSequence", "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
)  # fmt: skip


def make_document(pdf: bytes, sources: Sequence[Dataset], origin: Origin) -> Dataset:
    """Wrap a PDF.

    Parameters
    ----------
    pdf
        The file's bytes; an odd number gets one zero byte behind it, and the length says so.
    sources
        Headers of the slices: patient and study come from the first, and all are named as sources.
    origin
        UIDs and times.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = UNICODE
    dataset.SOPClassUID, dataset.SOPInstanceUID = EncapsulatedPDFStorage, origin.uid("document")
    for name in INHERITED:
        if name in sources[0]:
            dataset[name] = sources[0][name]
    dataset.Modality, dataset.SeriesInstanceUID = "DOC", origin.uid("document series")
    dataset.SeriesNumber, dataset.InstanceNumber = 102, 1
    dataset.SeriesDescription = origin.title("Calcium score page")
    dataset.Manufacturer, dataset.ManufacturerModelName, dataset.DeviceSerialNumber = MANUFACTURER, MODEL, SERIAL
    dataset.SoftwareVersions = software()
    dataset.ConversionType = "SYN"
    dataset.AcquisitionDateTime = ""
    dataset.BurnedInAnnotation = "YES"  # patient ID and accession number stand on every page
    dataset.DocumentTitle = origin.title("Coronary calcium score")
    dataset.ConceptNameCodeSequence = []
    dataset.VerificationFlag = "VERIFIED" if origin.confirmed else "UNVERIFIED"
    dataset.SourceInstanceSequence = [_reference(source) for source in sources]
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocumentLength = len(pdf)
    dataset.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    settle(dataset, origin.date, origin.time)
    return dataset


def _reference(source: Dataset) -> Dataset:
    """Name one slice."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.SOPClassUID, source.SOPInstanceUID
    return item
