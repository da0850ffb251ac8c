"""What all objects of one result share: patient and study from the evidence, UIDs and times that repeat.

A UID comes from the source series, the revision, the kind of object and the `score.json`: the same result gives the
same objects, so that a second sending is no second object; another result never takes a UID that is in use. Of a
correction, revision and digest of its predecessor are known, hence also the UID of what it supersedes.
"""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from scoring.io.errors import SeriesError
from scoring.report import ScoreReport, to_json

MANUFACTURER = MODEL = "Diastole"
SERIAL = "software"
UNICODE = "ISO_IR 192"  # of every object: a reviewer's name need not fit the scanner's character set
UNDATED = ("20000101", "000000")  # of a series that has no date at all; plainly not the date of anything
# type 2 in every object that inherits them; headers that went through a de-identifier lack some
MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "PositionReferenceIndicator",
)
DATES = (("ContentDate", "ContentTime"), ("AcquisitionDate", "AcquisitionTime"), ("StudyDate", "StudyTime"))


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the objects of one revision come from."""

    series_uid: str  # of the scored images
    revision: int
    digest: str  # SHA-256 of `score.json`
    supersedes: str  # SHA-256 of the `score.json` of the revision before; empty when it corrects nothing
    date: str  # DA and TM: of the confirmation, else of the images; never of this machine's clock
    time: str
    confirmed: bool
    simulated: bool

    def uid(self, kind: str, *more: str) -> str:
        """Derive a UID of an object, a series or a part of one."""
        return str(generate_uid(entropy_srcs=[self.series_uid, str(self.revision), self.digest, kind, *more]))

    def predecessor_uid(self, kind: str) -> str:
        """Give the UID that the same kind of object has in the revision that this one supersedes."""
        return str(generate_uid(entropy_srcs=[self.series_uid, str(self.revision - 1), self.supersedes, kind]))

    def title(self, what: str) -> str:
        """Name an object for a list of series: what it is, and that it is a draft or simulated."""
        marks = ("" if self.confirmed else ", proposed") + (", simulated" if self.simulated else "")
        return f"{what}{marks}"


def origin_of(report: ScoreReport, evidence: Sequence[Dataset], *, corrects: bool) -> Origin:
    """Say where the objects of a report come from."""
    date, time = _when(report, evidence[0])
    review = report.review
    return Origin(
        series_uid=str(evidence[0].SeriesInstanceUID),
        revision=1 if review is None else review.revision,
        digest=hashlib.sha256(to_json(report)).hexdigest(),
        supersedes=review.supersedes if review is not None and corrects else "",
        date=date,
        time=time,
        confirmed=not report.draft,
        simulated=report.simulated,
    )


def sources_of(evidence: Sequence[Dataset]) -> tuple[Dataset, ...]:
    """Copy the headers for objects to inherit from: identity as it stands, attributes that may be empty present.

    Raises
    ------
    SeriesError
        If a header does not say which study and which instance it is.
    """
    sources: list[Dataset] = []
    for header in evidence:
        # objects inherit from the first alone; of the others a copy of the list of elements is enough
        source = copy.deepcopy(header) if not sources else Dataset(header)
        for name in ("StudyInstanceUID", "SOPInstanceUID"):
            if not source.get(name):
                raise SeriesError(f"A slice has no {name}, so no result can name it; export the series again.")
        for name in MAY_BE_EMPTY:
            if source.get(name) is None:
                setattr(source, name, "")
        sources.append(source)
    if sources:
        sources[0].decode()
        sources[0].SpecificCharacterSet = UNICODE
    return tuple(sources)


def settle(dataset: Dataset, date: str, time: str, organization_uid: str | None = None) -> None:
    """Replace what highdicom takes from the clock and from chance, so that one result has the same bytes always.

    Parameters
    ----------
    dataset
        The object; changed in place.
    date, time
        DA and TM that it gets.
    organization_uid
        UID of the dimension organization of a multi-frame object.
    """
    for name in ("Content", "Series", "InstanceCreation"):
        setattr(dataset, f"{name}Date", date)
        setattr(dataset, f"{name}Time", time)
    for item in dataset.get("ContributingEquipmentSequence", ()):
        item.ContributionDateTime = f"{date}{time}"
    if organization_uid is not None:
        dataset.DimensionOrganizationSequence[0].DimensionOrganizationUID = organization_uid
        for item in dataset.DimensionIndexSequence:
            item.DimensionOrganizationUID = organization_uid


def software() -> str:
    """Version of this software, as every object names it."""
    return version("diastole")


def date_time(reviewed_at: str) -> str:
    """Write ISO 8601 with its offset as a DT value.

    Raises
    ------
    ValueError
        If it is none, or has no offset: a time without one is no instant.
    """
    at = datetime.fromisoformat(reviewed_at)
    if at.utcoffset() is None:
        raise ValueError("a time of review has its offset from UTC")
    return at.strftime("%Y%m%d%H%M%S") + (f".{at.microsecond:06d}" if at.microsecond else "") + at.strftime("%z")


def person_name(name: str) -> str:
    """Write a person's name, given as one text, as a PN value: what PN reserves is replaced, 64 characters are kept."""
    return " ".join(name.replace("\\", "/").replace("=", "-").split())[:64]


def _when(report: ScoreReport, header: Dataset) -> tuple[str, str]:
    """Date and time of the objects."""
    if not report.draft and report.review is not None:
        at = date_time(report.review.reviewed_at)
        return at[:8], at[8:14]
    for date, time in DATES:
        if header.get(date):
            return str(header.get(date)), str(header.get(time) or "000000")
    return UNDATED
