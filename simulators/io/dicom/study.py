"""What all objects of one simulated study share: patient, study, equipment, and UIDs and times that repeat.

Everything is the same for the same study, bytes and UIDs: they are derived from the seed, and dates come from the
caller. Every object says that it is simulated.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import version

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from gating.messages import AcquisitionPlan

MANUFACTURER = "Diastole"
MODEL = "Diastole simulated scanner"
SERIAL = "simulated"
COMMENT = "SIMULATED by the Diastole CT twin. Not a patient."
UNDATED = datetime(2000, 1, 1)  # DICOM dates carry no zone; plainly not the date of anything


@dataclass(frozen=True, slots=True)
class StudyIdentity:
    """Whose study it is, and when patient time 0 was."""

    plan: AcquisitionPlan
    seed: int
    began: datetime = UNDATED

    def uid(self, what: str) -> str:
        """Derive a UID: the same study gives the same one."""
        sources = ["diastole", str(self.seed), self.plan.patient, self.plan.plan_id, what]
        return str(generate_uid(entropy_srcs=sources))

    def at(self, patient_s: float) -> datetime:
        """Give the date and time of an instant of patient time, to the microsecond."""
        return self.began + timedelta(microseconds=round(patient_s * 1e6))


def date_time(at: datetime) -> str:
    """Write a DT value."""
    return at.strftime("%Y%m%d%H%M%S.%f")


def new_object(
    identity: StudyIdentity, sop_class: str, instance: str, *, series: str, modality: str, number: int, title: str
) -> Dataset:
    """Begin an object: file meta, SOP common, patient, study, series and equipment.

    `instance` and `series` are what the UIDs are derived from; the series has a number and a title.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, identity.uid(instance)
    date, time = identity.began.strftime("%Y%m%d"), identity.began.strftime("%H%M%S")
    plan = identity.plan
    dataset.PatientID = plan.patient  # a pseudonym: no name gets this far
    dataset.PatientName = f"{plan.patient}^Simulated"
    dataset.PatientBirthDate = dataset.PatientSex = dataset.ReferringPhysicianName = dataset.AccessionNumber = ""
    dataset.StudyInstanceUID = identity.uid("study")
    dataset.StudyID = "1"
    dataset.StudyDate = dataset.SeriesDate = dataset.ContentDate = date
    dataset.StudyTime = dataset.SeriesTime = dataset.ContentTime = time
    dataset.StudyDescription = "Calcium scan (simulated)"
    dataset.Modality, dataset.SeriesNumber, dataset.SeriesDescription = modality, number, title
    dataset.SeriesInstanceUID = identity.uid(series)
    dataset.InstanceNumber = 1
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MODEL
    dataset.DeviceSerialNumber = SERIAL
    dataset.SoftwareVersions = version("diastole")
    return dataset


def describe_frame_of_reference(dataset: Dataset, identity: StudyIdentity) -> None:
    """Add the frame of reference in space."""
    dataset.PatientPosition = "HFS"
    dataset.FrameOfReferenceUID = identity.uid("frame of reference")
    dataset.PositionReferenceIndicator = ""


def describe_synchronization(dataset: Dataset, identity: StudyIdentity, trigger: str) -> None:
    """Add the frame of reference in time: one clock for slices and ECG. `trigger`: SOURCE, EXTERNAL or NO TRIGGER."""
    dataset.SynchronizationFrameOfReferenceUID = identity.uid("synchronization")
    dataset.SynchronizationTrigger = trigger
    dataset.AcquisitionTimeSynchronized = "Y"
