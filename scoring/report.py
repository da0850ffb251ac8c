"""A score or a refusal -> the content of `score.json`: sorted, without wall time, the same bytes for the same input.

`scoring/schema/score.schema.json` is generated from the classes here (`python -m scoring.io.schemas`); a drift test
compares. The pages in `scoring/io/html.py` print the same structure, so page and file cannot disagree.
"""

import hashlib
from typing import Literal

import msgspec

from scoring.agatston import shown_integer
from scoring.comparison import ByDefinition, by_definition
from scoring.extent import Extent
from scoring.lesions import Labels, Lesion
from scoring.margin import Margin, margin_of
from scoring.mass_score import Calibration
from scoring.presets import name_of
from scoring.quality import Quality
from scoring.score import ScanFacts, Score
from scoring.settings import ScoreSettings
from scoring.standing import PercentileSource, Standing
from scoring.sums import Sum, sum_of_each
from scoring.uncertainty import Uncertainty, uncertainty_of
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
    mass_mg: float | None  # null: nothing to calibrate by
    lesions: int
    pixels: int
    pixel_weights: int  # sum of pixels x weight
    volume_parts: int  # pixels, or parts of the gaps between slices when volumes are interpolated


class ScoreEntry(Entry, frozen=True):
    """The number; null where there must be none, `reasons` then says why."""

    total: SumEntry | None
    shown: str | None  # rounded half up; "< 1" for a positive score below one
    by_vessel: dict[str, SumEntry]  # LM, LAD, LCX, RCA; `unassigned` with all_islands; empty without a total
    volume_mode: Literal["voxel", "interpolated"]
    definition: str  # whose rules the settings are: a preset's name, or "own settings"
    extent: Extent | None
    calibration: Calibration | None  # of the mass


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
    mass_mg: float | None
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
    margin: Margin | None  # what it would take to change the class
    uncertainty: Uncertainty | None  # of the total over repeated scans
    very_high_from: float | None  # the highest limit of `very_high_from` that the score reaches
    quality: Quality | None  # of the images; null when no volume could be built
    by_definition: tuple[ByDefinition, ...]  # the same series by the definitions in use, side by side
    lesions: tuple[LesionEntry, ...]
    candidates: tuple[LesionEntry, ...]
    notes: tuple[str, ...]
    settings: ScoreSettings
    provenance: Provenance | None  # null when no volume could be built
    acquisition: ScanFacts | None
    standing: Standing | None = None  # what the score means for this person; null when nobody was told of
    percentiles: PercentileSource = "mesa"  # which published percentiles were asked for
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
    quality: Quality | None = None,
    version: str,
) -> ScoreReport:
    """Put everything that a reader needs into one frozen value; `volume` is None when none could be built."""
    simulated = bool((scan is not None and scan.simulated) or (volume is not None and volume.simulated))
    scored = outcome if isinstance(outcome, Score) and volume is not None else None
    rules = scored.settings if scored is not None else settings or ScoreSettings()
    total = None if scored is None or scored.total is None else _sum_entry(scored.total)
    status: Status = "refused" if scored is None else "no-total" if total is None else "scored"
    lesions, candidates = _listed(scored, volume)
    passed_over = volume.notes if volume is not None else ()
    return ScoreReport(
        schema=SCHEMA_NAME,
        diastole_version=version,
        statement=STATEMENT,
        status=status,
        simulated=simulated,
        reasons=outcome.reasons,
        score=ScoreEntry(
            total=total,
            shown=None if scored is None else scored.shown,
            by_vessel={} if scored is None else {name: _sum_entry(part) for name, part in scored.vessels.items()},
            volume_mode=rules.volume_mode,
            definition=name_of(rules),
            extent=None if scored is None else scored.extent,
            calibration=None if scored is None else scored.calibration,
        ),
        category=None if scored is None else scored.category,
        cac_drs=None if scored is None else scored.cac_drs,
        margin=_margin(scored),
        uncertainty=_uncertainty(scored),
        very_high_from=_very_high(total, rules),
        quality=quality,
        by_definition=() if scored is None else _by_definition(scored, volume, labels),
        lesions=lesions,
        candidates=candidates,
        notes=passed_over if scored is None else scored.notes,
        settings=rules,
        provenance=None if volume is None else _provenance(volume, labels),
        acquisition=scan,
    )


def to_json(report: ScoreReport) -> bytes:
    """Encode with sorted keys, two-space indent and a final newline: the same report gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(report, order="sorted"), indent=2) + b"\n"


def score_schema() -> dict[str, object]:
    """Build the JSON Schema of `score.json`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(ScoreReport)}


def _sum_entry(part: Sum) -> SumEntry:
    """Copy a sum."""
    return SumEntry(
        agatston=part.agatston,
        volume_mm3=part.volume_mm3,
        mass_mg=part.mass_mg,
        lesions=part.lesions,
        pixels=part.pixels,
        pixel_weights=part.pixel_weights,
        volume_parts=part.volume_parts,
    )


def _margin(score: Score | None) -> Margin | None:
    """Measure to the next classes, where there is a class."""
    if score is None or score.total is None or score.category is None:
        return None
    return margin_of(score.total.agatston)


def _uncertainty(score: Score | None) -> Uncertainty | None:
    """Say how far a second scan would differ, where there is a class."""
    if score is None or score.total is None or score.category is None:
        return None
    return uncertainty_of(score.total.agatston)


def _very_high(total: SumEntry | None, settings: ScoreSettings) -> float | None:
    """Give the highest limit that a total reaches, by the integer that is shown."""
    if total is None:
        return None
    return max((limit for limit in settings.very_high_from if shown_integer(total.agatston) >= limit), default=None)


def _by_definition(score: Score, volume: Volume | None, labels: Labels | None) -> tuple[ByDefinition, ...]:
    """Score by the other definitions, where there is a total at all."""
    if volume is None or labels is None or score.total is None:
        return ()
    return by_definition(volume, labels, score.settings, score.calibration, classed=score.category is not None)


def _listed(score: Score | None, volume: Volume | None) -> tuple[tuple[LesionEntry, ...], tuple[LesionEntry, ...]]:
    """Write lesions and candidates out, numbered on from one to the other."""
    if score is None or volume is None:
        return (), ()
    both = (*score.lesions, *score.candidates)
    sums = sum_of_each(both, volume, score.settings, score.calibration)
    entries = tuple(
        _lesion_entry(number, lesion, summed, volume)
        for number, (lesion, summed) in enumerate(zip(both, sums, strict=True), 1)
    )
    return entries[: len(score.lesions)], entries[len(score.lesions) :]


def _lesion_entry(number: int, lesion: Lesion, summed: Sum, volume: Volume) -> LesionEntry:
    """Write one lesion and its islands out."""
    x, y, z = (round(value, 3) + 0.0 for value in lesion.centre_mm)  # + 0.0: never minus zero
    return LesionEntry(
        number=number,
        vessel=lesion.vessel,
        agatston=summed.agatston,
        volume_mm3=summed.volume_mm3,
        mass_mg=summed.mass_mg,
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


def _provenance(volume: Volume, labels: Labels | None) -> Provenance:
    """Describe the volume without identifying anyone."""
    slices, rows, columns = volume.hu.shape
    return Provenance(
        series=pseudonym(volume.series_uid),
        frame_of_reference=pseudonym(volume.frame_uid),
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


def pseudonym(uid: str) -> str:
    """First 16 hex digits of SHA-256 of an identifier; an empty one stays empty."""
    return hashlib.sha256(uid.encode()).hexdigest()[:16] if uid else ""
