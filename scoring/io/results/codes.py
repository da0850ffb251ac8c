"""Coded meanings of a score, once for DICOM and FHIR: what is measured, how, in what unit, and where.

Sources: DICOM PS3.16 CID 6140 (scoring methods), CID 3015 and 3016 (coronary arteries), as pydicom carries them; UCUM.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
from pydicom.sr.coding import Code

from scoring.report import ScoreEntry, SumEntry

SCT, DCM, UCUM = "SCT", "DCM", "UCUM"

VESSEL_CONCEPTS: dict[str, Code] = {
    "LM": Code("3227004", SCT, "Left main coronary artery"),
    "LAD": Code("59438005", SCT, "Left anterior descending coronary artery"),
    "LCX": Code("57396003", SCT, "Circumflex coronary artery"),
    "RCA": Code("13647002", SCT, "Right coronary artery"),
}
CORONARY_ARTERY = Code("41801008", SCT, "Coronary artery")
HEART = Code("80891009", SCT, "Heart")
CALCIUM_SCAN = Code("426005005", SCT, "Cardiac CT for calcium scoring")
PLAQUE = Code("29483008", SCT, "Calcified atheromatous plaque")
ABNORMALITY = Code("49755003", SCT, "Morphologically Abnormal Structure")
ANATOMY = Code("91723000", SCT, "Anatomical Structure")
RELATION = Code("309825002", SCT, "Spatial and Relational Concept")
REGION = Code("111030", DCM, "Image Region")
COMMENT = Code("121106", DCM, "Comment")
NOT_ATTEMPTED = Code("114007", DCM, "Measurement not attempted")
NO_UNITS = Code("1", UCUM, "no units")


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of a sum: its field in `SumEntry`, and what it means."""

    field: str
    name: Code
    unit: Code
    method: Code | None


# A new number of a sum needs one line here. A field that `SumEntry` does not have (yet), or that is null, is left out.
MEASURES = (
    Measure(
        "agatston",
        Code("450360000", SCT, "Coronary artery calcium score"),
        NO_UNITS,
        Code("112055", DCM, "Agatston scoring method"),
    ),
    Measure(
        "volume_mm3",
        Code("122660", DCM, "Calcium Volume"),
        Code("mm3", UCUM, "cubic millimeter"),
        Code("112056", DCM, "Volume scoring method"),
    ),
    Measure(
        "mass_mg",
        Code("122661", DCM, "Calcium Mass"),
        Code("mg", UCUM, "milligram"),
        Code("112057", DCM, "Mass scoring method"),
    ),
    Measure("lesions", Code("246206008", SCT, "Number of lesions"), NO_UNITS, None),
)


def measured(part: SumEntry) -> Iterator[tuple[Measure, float | int]]:
    """Go through the numbers that a sum has."""
    values = msgspec.structs.asdict(part)
    for measure in MEASURES:
        value = values.get(measure.field)
        if value is not None:
            yield measure, value


def whole_of(score: ScoreEntry) -> Code:
    """Where the total lies: in the coronary arteries, unless islands without a vessel are in it."""
    return HEART if any(name not in VESSEL_CONCEPTS for name in score.by_vessel) else CORONARY_ARTERY


def site_of(name: str) -> Code:
    """Where a part of the score lies; what has no vessel lies in the heart."""
    return VESSEL_CONCEPTS.get(name, HEART)
