"""The dose of a simulated scan as a DICOM Radiation Dose SR: PS3.16 TID 10011, with 10012 and 10013.

One step-and-shoot series is one irradiation event, sequenced acquisition, however many exposures it took; each scout is
an event of its own, constant angle acquisition. What was cut or repeated is in the doses.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from highdicom.sr import (
    CodeContentItem,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DateTimeContentItem,
    NumContentItem,
    RelationshipTypeValues,
    TextContentItem,
    UIDRefContentItem,
)
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.coding import Code
from pydicom.uid import XRayRadiationDoseSRStorage

from simulators.io.dicom.study import MANUFACTURER, MODEL, SERIAL, StudyIdentity, new_object

CONTAINS, HAS_CONCEPT_MOD = RelationshipTypeValues.CONTAINS, RelationshipTypeValues.HAS_CONCEPT_MOD
HAS_OBS_CONTEXT = RelationshipTypeValues.HAS_OBS_CONTEXT

MGY = Code("mGy", "UCUM", "mGy")
MGYCM = Code("mGy.cm", "UCUM", "mGy.cm")
MSV = Code("mSv", "UCUM", "mSv")
MSV_PER_MGYCM = Code("mSv/mGy.cm", "UCUM", "mSv/mGy.cm")
MM, SECOND = Code("mm", "UCUM", "mm"), Code("s", "UCUM", "s")
KV, MA, EVENTS = Code("kV", "UCUM", "kV"), Code("mA", "UCUM", "mA"), Code("{events}", "UCUM", "events")
ONE_SOURCE = Code("{X-Ray sources}", "UCUM", "X-Ray sources")


def _dcm(value: str, meaning: str) -> Code:
    return Code(value, "DCM", meaning)


@dataclass(frozen=True, slots=True)
class IrradiationEvent:
    """One irradiation event."""

    name: str  # of its protocol; with the study it is its UID
    kind: Code  # of acquisition
    beam_s: float
    per_rotation_s: float | None  # exposure time of a rotation; None: the tube did not turn
    length_mm: float
    single_mm: float
    total_mm: float
    sources: int
    kvp: float
    tube_current_ma: float
    ctdivol_mgy: float
    dlp_mgycm: float


SEQUENCED = _dcm("113804", "Sequenced Acquisition")
CONSTANT_ANGLE = _dcm("113805", "Constant Angle Acquisition")
_PLAIN_CT = Code("399331006", "SCT", "CT without contrast")


def write_dose(
    path: Path, identity: StudyIdentity, events: Sequence[IrradiationEvent], began: datetime, ended: datetime
) -> Dataset:
    """Write the dose report of a study.

    Parameters
    ----------
    path
        Of the file.
    identity
        The study; its plan holds the factor of the effective dose.
    events
        In the order in which they were.
    began, ended
        Of the irradiation.

    Returns
    -------
    Dataset
        What was written.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    title = "Dose report, simulated"
    dataset = new_object(
        identity, XRayRadiationDoseSRStorage, "dose", series="dose series", modality="SR", number=300, title=title
    )
    dataset.ReferencedPerformedProcedureStepSequence = DicomSequence()
    dataset.PerformedProcedureCodeSequence = DicomSequence()
    dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "UNVERIFIED"
    root = ContainerContentItem(_dcm("113701", "X-Ray Radiation Dose Report"), template_id="10011")
    root.ContentSequence = ContentSequence(_content(identity, events, began, ended))
    for element in root:
        dataset[element.tag] = element
    dataset.save_as(path, enforce_file_format=True)
    return dataset


def _content(
    identity: StudyIdentity, events: Sequence[IrradiationEvent], began: datetime, ended: datetime
) -> list[ContentItem]:
    """List what the report contains."""
    ct = Code("77477000", "SCT", "Computed Tomography X-Ray")
    procedure = _code("121058", "Procedure reported", ct, HAS_CONCEPT_MOD)
    intent = Code("261004008", "SCT", "Diagnostic Intent")
    procedure.ContentSequence = ContentSequence(
        [_code("363703001", "Has Intent", intent, HAS_CONCEPT_MOD, scheme="SCT")]
    )
    scope = _code("113705", "Scope of Accumulation", _dcm("113014", "Study"), HAS_OBS_CONTEXT)
    scope.ContentSequence = ContentSequence(
        [
            UIDRefContentItem(
                _dcm("110180", "Study Instance UID"), identity.uid("study"), RelationshipTypeValues.HAS_PROPERTIES
            )
        ]
    )
    return [
        procedure,
        _code("121005", "Observer Type", _dcm("121007", "Device"), HAS_OBS_CONTEXT),
        UIDRefContentItem(_dcm("121012", "Device Observer UID"), identity.uid("device"), HAS_OBS_CONTEXT),
        _text("121013", "Device Observer Name", "simulated", HAS_OBS_CONTEXT),
        _text("121014", "Device Observer Manufacturer", MANUFACTURER, HAS_OBS_CONTEXT),
        _text("121015", "Device Observer Model Name", f"{MODEL} {version('diastole')}", HAS_OBS_CONTEXT),
        _text("121016", "Device Observer Serial Number", SERIAL, HAS_OBS_CONTEXT),
        DateTimeContentItem(_dcm("113809", "Start of X-Ray Irradiation"), began, HAS_OBS_CONTEXT),
        DateTimeContentItem(_dcm("113810", "End of X-Ray Irradiation"), ended, HAS_OBS_CONTEXT),
        scope,
        _accumulated(identity, events),
        *(_event(identity, one) for one in events),
        _code("113854", "Source of Dose Information", _dcm("113856", "Automated Data Collection"), CONTAINS),
    ]


def _accumulated(identity: StudyIdentity, events: Sequence[IrradiationEvent]) -> ContainerContentItem:
    """Sum up: TID 10012. The effective dose stands with its factor and the factor's source."""
    plan = identity.plan
    total = sum(one.dlp_mgycm for one in events)
    effective = _number("113839", "Effective Dose", total * plan.msv_per_mgycm, MSV)
    effective.ContentSequence = ContentSequence(
        [
            _text("121406", "Reference Authority", plan.msv_factor_source, RelationshipTypeValues.HAS_PROPERTIES),
            NumContentItem(
                _dcm("113840", "Effective Dose Conversion Factor"),
                plan.msv_per_mgycm,
                MSV_PER_MGYCM,
                relationship_type=RelationshipTypeValues.INFERRED_FROM,
            ),
        ]
    )
    return _container(
        "113811",
        "CT Accumulated Dose Data",
        [
            _number("113812", "Total Number of Irradiation Events", len(events), EVENTS),
            _number("113813", "CT Dose Length Product Total", total, MGYCM),
            effective,
        ],
        template="10012",
    )


def _event(identity: StudyIdentity, event: IrradiationEvent) -> ContainerContentItem:
    """Describe one irradiation event: TID 10013."""
    source = [
        _text("113832", "Identification of the X-Ray Source", "A", CONTAINS),
        _number("113733", "KVP", event.kvp, KV),
        _number("113833", "Maximum X-Ray Tube Current", event.tube_current_ma, MA),
        _number("113734", "X-Ray Tube Current", event.tube_current_ma, MA),
    ]
    if event.per_rotation_s is not None:
        source.append(_number("113834", "Exposure Time per Rotation", event.per_rotation_s, SECOND))
    sources = []
    for letter in "AB"[: event.sources]:
        items = [_text("113832", "Identification of the X-Ray Source", letter, CONTAINS), *source[1:]]
        sources.append(_container("113831", "CT X-Ray Source Parameters", items))
    acquisition = [
        _number("113824", "Exposure Time", event.beam_s, SECOND),
        _number("113825", "Scanning Length", event.length_mm, MM),
        _number("113826", "Nominal Single Collimation Width", event.single_mm, MM),
        _number("113827", "Nominal Total Collimation Width", event.total_mm, MM),
        _number("113823", "Number of X-Ray Sources", event.sources, ONE_SOURCE),
        *sources,
    ]
    dose = [
        _number("113830", "Mean CTDIvol", event.ctdivol_mgy, MGY),
        _code("113835", "CTDIw Phantom Type", _dcm("113691", "IEC Body Dosimetry Phantom"), CONTAINS),
        _number("113838", "DLP", event.dlp_mgycm, MGYCM),
    ]
    return _container(
        "113819",
        "CT Acquisition",
        [
            _text("125203", "Acquisition Protocol", event.name, CONTAINS),
            _code("123014", "Target Region", Code("80891009", "SCT", "Heart"), CONTAINS),
            _code("113820", "CT Acquisition Type", event.kind, CONTAINS),
            _code("408730004", "Procedure Context", _PLAIN_CT, CONTAINS, scheme="SCT"),
            UIDRefContentItem(_dcm("113769", "Irradiation Event UID"), identity.uid(f"event {event.name}"), CONTAINS),
            _container("113822", "CT Acquisition Parameters", acquisition),
            _container("113829", "CT Dose", dose),
        ],
        template="10013",
    )


def _container(value: str, meaning: str, items: list[ContentItem], template: str | None = None) -> ContainerContentItem:
    one = ContainerContentItem(_dcm(value, meaning), relationship_type=CONTAINS, template_id=template)
    one.ContentSequence = ContentSequence(items)
    return one


def _number(value: str, meaning: str, number: float, unit: Code) -> NumContentItem:
    return NumContentItem(_dcm(value, meaning), float(f"{number:.8g}"), unit, relationship_type=CONTAINS)


def _text(value: str, meaning: str, text: str, relationship: RelationshipTypeValues) -> TextContentItem:
    return TextContentItem(_dcm(value, meaning), text, relationship)


def _code(
    value: str, meaning: str, code: Code, relationship: RelationshipTypeValues, scheme: str = "DCM"
) -> CodeContentItem:
    return CodeContentItem(Code(value, scheme, meaning), code, relationship)
