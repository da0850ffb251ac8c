"""What the receiver says of an object, in values that cross from the child processes as JSON."""

import hashlib
from typing import Literal

import msgspec

Kind = Literal["slice", "frames", "localizer", "map"]
Reason = Literal[
    "hostile-uid",  # an identifier that is none
    "damaged",  # no DICOM, truncated, or a value that cannot be read
    "too-deep",  # sequences nested beyond the limit
    "too-large",  # beyond a limit of size, before or after it is inflated
    "lying-size",  # Rows x Columns x Frames is not what the pixel data hold
    "mismatch",  # the object is not the one that the request announced
    "unfit",  # a CT image without a place in the patient, or a segmentation that is no vessel map
    "examiner-died",  # the child was killed by a limit or by the object
    "examiner-slow",
    "busy",  # no child was free in time
    "conflict",  # the same SOPInstanceUID with other content
    "identity",  # another patient's or study's object inside a series or study
    "series-full",
    "store-full",
    "disk",  # the disk did not take it
    "peer-quota",
    "stopping",
]

STATUS: dict[Reason, int] = {  # PS3.4 table GG.4-1; 0x0111 is Duplicate SOP Instance of PS3.7 annex C
    "hostile-uid": 0xA900,
    "damaged": 0xC000,
    "too-deep": 0xC001,
    "too-large": 0xC002,
    "lying-size": 0xC003,
    "mismatch": 0xA900,
    "unfit": 0xC004,
    "examiner-died": 0xC005,
    "examiner-slow": 0xC006,
    "busy": 0xA700,
    "conflict": 0x0111,
    "identity": 0xA900,
    "series-full": 0xA700,
    "store-full": 0xA700,
    "disk": 0xA700,
    "peer-quota": 0xA700,
    "stopping": 0xA700,
}

FAULTS: frozenset[Reason] = frozenset(  # of the sender, or of who forged it
    ["hostile-uid", "damaged", "too-deep", "too-large", "lying-size", "mismatch", "examiner-died", "examiner-slow"]
)


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """What all records share: frozen, tagged, no unknown fields."""


class Examined(Record, frozen=True):
    """An object that can be read. Identifiers are SHA-256, so that nothing of a peer's text enters a name or log."""

    kind: Kind
    instance: str
    series: str
    study: str
    patient: str  # of PatientID, its issuer, name and birth date together
    accession: str
    frame: str  # of reference
    positions_mm: tuple[float, ...] = ()  # along the slice normal, one for each frame
    thickness_mm: float | None = None
    acquisition: str = ""  # which acquisition the announced number counts
    announced: int | None = None  # images that the header tells of
    parts: int | None = None  # of a concatenation


class Rejected(Record, frozen=True):
    """An object that is not taken; `text` holds no word of the object."""

    reason: Reason
    text: str


class Job(Record, frozen=True):
    """What an examiner is asked: a file of the store, and what the request said of it."""

    path: str
    syntax: str
    sop_class: str
    instance_uid: str


class DraftJob(Record, frozen=True):
    """What a scorer is asked."""

    slices: str  # folder
    results: str  # folder
    vessel_map: str | None
    settings: bytes  # ScoreSettings as JSON
    notes: tuple[str, ...] = ()


class Draft(Record, frozen=True):
    """What became of a series that was complete."""

    state: Literal["scored", "no-total", "refused", "failed"]
    reasons: tuple[str, ...] = ()
    revision: int | None = None


def digest(*texts: str) -> str:
    """SHA-256 of texts, each ended so that two of them cannot run into each other."""
    if len(texts) == 1:
        return hashlib.sha256(texts[0].encode()).hexdigest()  # of one identifier: the number that `score.json` begins
    return hashlib.sha256(b"".join(text.encode() + b"\0" for text in texts)).hexdigest()
