"""A score or a refusal -> the content of `score.json`: sorted, without wall time, the same bytes for the same input.

`scoring/schema/score.schema.json` is generated from the classes here (`python -m scoring.io.schemas`); a drift test
compares. The pages in `scoring/io/html.py` print the same structure, so page and file cannot disagree.
"""

import hashlib
from collections.abc import Mapping
from typing import Literal

import msgspec

from scoring.lesions import Labels, Lesion
from scoring.score import ScanFacts, Score, Sum, sum_of
from scoring.settings import ScoreSettings
from scoring.standing import Standing
from scoring.volume import Refusal, Volume

STATEMENT = "Research software, no medical device. Not for diagnosis."
SCHEMA_NAME: Literal["diastole.score/1"] = "diastole.score/1"
Status = Literal["scored", "no-total", "refused"]


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all parts of the file share: frozen, no unknown fields."""


class SumEntry(Entry, frozen=True):
    """What some islands add up to; the two integers add up exactly over the vessels."""

    agatston: float
    volume_mm3: float
    lesions: int
    pixels: int
    pixel_weights: int  # sum of pixels x weight


class ScoreEntry(Entry, frozen=True):
    """The number; null where there must be none, `reasons` then says why."""

    total: SumEntry | None
    shown: str | None  # rounded half up; "< 1" for a positive score below one
    by_vessel: dict[str, SumEntry]  # LM, LAD, LCX, RCA; `unassigned` with all_islands; empty without a total
    volume_mode: Literal["voxel"]


class IslandEntry(Entry, frozen=True):
    """One lesion in one slice."""

    slice: int  # 0 is the first along the slice normal
    position_mm: float
    pixels: int
    area_mm2: float
    peak_hu: float
    weight: int


class LesionEntry(Entry, frozen=True):
    """One lesion; `number` is what the page calls it."""

    number: int
    vessel: str | None
    agatston: float  # of a candidate: what it would add, were it coronary
    volume_mm3: float
    peak_hu: float
    weight: int  # largest; each island is scored with its own
    centre_mm: tuple[float, float, float]  # patient coordinates: left, posterior, head
    map_share: float
    islands: tuple[IslandEntry, ...]


class Provenance(Entry, frozen=True):
    """Where the number comes from, without a name or an identifier that leads to a person."""

    series: str  # first 16 hex digits of SHA-256 of the SeriesInstanceUID
    frame_of_reference: str  # likewise
    slices: int
    rows: int
    columns: int
    row_mm: float
    column_mm: float
    increment_mm: float
    thickness_mm: float | None
    first_position_mm: float
    last_position_mm: float
    kvp: float | None
    vessel_map: str | None


class Review(Entry, frozen=True):
    """Who answers for a result. A result without a review, or not confirmed, is a draft and goes to nobody."""

    state: Literal["draft", "confirmed"]
    reviewer: str = ""  # the person who confirmed it, as they named themselves; empty in a draft
    reviewed_at: str = ""  # wall time, ISO 8601 with its offset: a label, never part of a decision
    revision: int = 1  # of this result; a correction has the next number
    supersedes: str = ""  # SHA-256 of the `score.json` that it corrects

    def __post_init__(self) -> None:
        """Refuse a confirmation by nobody."""
        if self.state == "confirmed" and not (self.reviewer.strip() and self.reviewed_at):
            raise ValueError("a result is confirmed by a named person at a time")


class ScoreReport(Entry, frozen=True):
    """The whole of `score.json`."""

    schema: Literal["diastole.score/1"]
    diastole_version: str
    statement: str
    status: Status
    simulated: bool
    reasons: tuple[str, ...]
    score: ScoreEntry
    category: str | None
    cac_drs: str | None
    lesions: tuple[LesionEntry, ...]
    candidates: tuple[LesionEntry, ...]
    notes: tuple[str, ...]
    settings: ScoreSettings
    provenance: Provenance | None  # null when no volume could be built
    acquisition: ScanFacts | None
    standing: Standing | None = None  # what the score means for this person; null when nobody was told of
    review: Review | None = None  # null: never reviewed

    @property
    def draft(self) -> bool:
        """True until a named person has confirmed it."""
        return self.review is None or self.review.state != "confirmed"


def make_report(
    outcome: Score | Refusal,
    volume: Volume | None,
    labels: Labels | None = None,
    scan: ScanFacts | None = None,
    settings: ScoreSettings | None = None,
    *,
    version: str,
) -> ScoreReport:
    """Put everything that a reader needs into one frozen value; `volume` is None when none could be built."""
    simulated = bool((scan is not None and scan.simulated) or (volume is not None and volume.simulated))
    provenance = None if volume is None else _provenance(volume, labels)
    if isinstance(outcome, Refusal) or volume is None:
        return ScoreReport(
            schema=SCHEMA_NAME,
            diastole_version=version,
            statement=STATEMENT,
            status="refused",
            simulated=simulated,
            reasons=outcome.reasons,
            score=ScoreEntry(total=None, shown=None, by_vessel={}, volume_mode="voxel"),
            category=None,
            cac_drs=None,
            lesions=(),
            candidates=(),
            notes=volume.notes if volume is not None else (),
            settings=settings or ScoreSettings(),
            provenance=provenance,
            acquisition=scan,
        )
    total = None if outcome.total is None else _sum_entry(outcome.total)
    parts = {name: _sum_entry(part) for name, part in outcome.vessels.items()}
    return ScoreReport(
        schema=SCHEMA_NAME,
        diastole_version=version,
        statement=STATEMENT,
        status="no-total" if total is None else "scored",
        simulated=simulated,
        reasons=outcome.reasons,
        score=ScoreEntry(total=total, shown=outcome.shown, by_vessel=parts, volume_mode=outcome.settings.volume_mode),
        category=outcome.category,
        cac_drs=outcome.cac_drs,
        lesions=_lesion_entries(outcome.lesions, volume, outcome.settings, 1),
        candidates=_lesion_entries(outcome.candidates, volume, outcome.settings, len(outcome.lesions) + 1),
        notes=outcome.notes,
        settings=outcome.settings,
        provenance=provenance,
        acquisition=scan,
    )


def to_json(report: ScoreReport) -> bytes:
    """Encode with sorted keys, two-space indent and a final newline: the same report gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(report, order="sorted"), indent=2) + b"\n"


def to_dict(report: ScoreReport) -> Mapping[str, object]:
    """Turn the report into plain dicts, lists, numbers and texts, for embedding in another report."""
    plain: dict[str, object] = msgspec.to_builtins(report)
    return plain


def score_schema() -> dict[str, object]:
    """Build the JSON Schema of `score.json`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(ScoreReport)}


def _sum_entry(part: Sum) -> SumEntry:
    """Copy a sum."""
    return SumEntry(
        agatston=part.agatston,
        volume_mm3=part.volume_mm3,
        lesions=part.lesions,
        pixels=part.pixels,
        pixel_weights=part.pixel_weights,
    )


def _lesion_entries(
    lesions: tuple[Lesion, ...], volume: Volume, settings: ScoreSettings, first_number: int
) -> tuple[LesionEntry, ...]:
    """Give the lesions numbers and write their islands out."""
    entries = []
    for number, lesion in enumerate(lesions, first_number):
        summed = sum_of([lesion], volume, settings)
        x, y, z = (round(value, 3) + 0.0 for value in lesion.centre_mm)  # + 0.0: never minus zero
        entries.append(
            LesionEntry(
                number=number,
                vessel=lesion.vessel,
                agatston=summed.agatston,
                volume_mm3=summed.volume_mm3,
                peak_hu=lesion.peak_hu,
                weight=lesion.weight,
                centre_mm=(x, y, z),
                map_share=round(lesion.map_share, 4),
                islands=tuple(
                    IslandEntry(
                        slice=island.slice,
                        position_mm=float(volume.positions_mm[island.slice]),
                        pixels=island.pixels,
                        area_mm2=island.pixels * volume.pixel_area_mm2,
                        peak_hu=island.peak_hu,
                        weight=island.weight,
                    )
                    for island in lesion.islands
                ),
            )
        )
    return tuple(entries)


def _provenance(volume: Volume, labels: Labels | None) -> Provenance:
    """Describe the volume without identifying anyone."""
    slices, rows, columns = volume.hu.shape
    return Provenance(
        series=_pseudonym(volume.series_uid),
        frame_of_reference=_pseudonym(volume.frame_uid),
        slices=slices,
        rows=rows,
        columns=columns,
        row_mm=volume.row_mm,
        column_mm=volume.column_mm,
        increment_mm=volume.increment_mm,
        thickness_mm=volume.thickness_mm,
        first_position_mm=float(volume.positions_mm[0]),
        last_position_mm=float(volume.positions_mm[-1]),
        kvp=volume.kvp,
        vessel_map=None if labels is None else labels.origin,
    )


def _pseudonym(uid: str) -> str:
    """First 16 hex digits of SHA-256 of an identifier; an empty one stays empty."""
    return hashlib.sha256(uid.encode()).hexdigest()[:16] if uid else ""
