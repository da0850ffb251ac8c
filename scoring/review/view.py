"""A labelling and its score -> what the page shows, as one message."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np

from scoring.agatston import pixel_weights, points_of_a_pixel, shown
from scoring.candidates import Proposal
from scoring.io.png import VESSEL_COLOURS, main_slice
from scoring.io.words import state_of
from scoring.islands import Island
from scoring.labelling import Labelling, Pixel, first_pixel
from scoring.lesions import VESSELS, Lesion, Vessel
from scoring.report import STATEMENT, ScoreReport
from scoring.runs import runs_of
from scoring.score import Score
from scoring.volume import Refusal, Volume


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What all messages to the page share."""


class SeriesFacts(Entry, frozen=True):
    """What stays while the page is open."""

    series: str  # pseudonym, as in score.json
    statement: str
    simulated: bool
    slices: int
    rows: int
    columns: int
    row_mm: float
    column_mm: float
    positions_mm: tuple[float, ...]
    vessels: tuple[str, ...]
    colours: Mapping[str, str]  # by vessel; "" for none


class PageIsland(Entry, frozen=True):
    """One island: where it is outlined, and by which pixel an edit names it."""

    first: Pixel
    runs: tuple[int, ...]  # row, first and last column of each run, one after the other
    peak_hu: float
    area_mm2: float


class PageLesion(Entry, frozen=True):
    """One row of the list; its number counts the rows, which stand in the order of their place in the body."""

    number: int
    islands: tuple[int, ...]  # places in the list of islands
    main_slice: int
    first_slice: int
    last_slice: int
    peak_hu: float
    area_mm2: float
    agatston: float  # what it adds, or would
    vessel: Vessel | None
    decided: bool
    proposed: str | None  # a vessel, "none", or null where nothing was proposed
    confidence: float | None
    why: str


class PageSum(Entry, frozen=True):
    """A sum as it is shown."""

    agatston: float
    shown: str
    lesions: int


class Totals(Entry, frozen=True):
    """The running score; null where there must be no number."""

    vessels: Mapping[str, PageSum]
    total: PageSum | None
    category: str | None
    cac_drs: str | None


class Standing(Entry, frozen=True):
    """Where the result stands."""

    words: str
    confirmed: bool
    revision: int  # 0: none is written yet
    changed: bool  # since that revision
    reviewer: str


class LeftEdits(Entry, frozen=True):
    """Edits of an earlier page that can be taken over."""

    edits: int
    base: int
    began_at: str


class Heart(Entry, frozen=True):
    """A heart that the images show cut, and whether a person has said that it is whole."""

    why: tuple[str, ...]
    said_whole: bool


class PageState(Entry, frozen=True):
    """All that changes."""

    number: int  # of this state: an edit names the one that it was made on
    islands_number: int  # another one: the islands must be fetched anew
    editable: bool
    reasons: tuple[str, ...]
    notices: tuple[str, ...]
    lesions: tuple[PageLesion, ...]
    undecided: int
    totals: Totals
    can_undo: bool
    can_redo: bool
    standing: Standing
    left: LeftEdits | None
    heart: Heart | None  # None: it was not found to be cut


Outcome = Score | Refusal
Kind = Literal["draft", "confirmed"]


def series_facts(volume: Volume | None, report: ScoreReport) -> SeriesFacts:
    """Describe the series without identifying anyone."""
    slices, rows, columns = (0, 0, 0) if volume is None else volume.hu.shape
    return SeriesFacts(
        series="" if report.provenance is None else report.provenance.series,
        statement=STATEMENT,
        simulated=report.simulated,
        slices=slices,
        rows=rows,
        columns=columns,
        row_mm=1.0 if volume is None else volume.row_mm,
        column_mm=1.0 if volume is None else volume.column_mm,
        positions_mm=() if volume is None else tuple(float(one) for one in volume.positions_mm),
        vessels=VESSELS,
        colours={vessel or "": colour for vessel, colour in VESSEL_COLOURS.items()},
    )


def pixels_of(volume: Volume) -> bytes:
    """Write HU as int16, little-endian, [slice, row, column]; rounded down, so that 130 is shown from 130 on."""
    limits = np.iinfo(np.int16)
    data: bytes = np.floor(np.clip(volume.hu, limits.min, limits.max)).astype("<i2").tobytes()
    return data


def page_islands(state: Labelling) -> tuple[PageIsland, ...]:
    """Write all islands out."""
    return tuple(_page_island(island, state.volume) for island in state.now.islands)


def page_lesions(state: Labelling, outcome: Outcome, proposals: Sequence[Proposal]) -> tuple[PageLesion, ...]:
    """Write the list: lesions as the scorer joined them, in the order of their place, which no edit changes."""
    if isinstance(outcome, Refusal):
        return ()
    places = {first_pixel(island): place for place, island in enumerate(state.now.islands)}
    thought = {first_pixel(island): one for one in proposals for island in one.lesion.islands}
    unit = points_of_a_pixel(state.volume, state.settings)
    ordered = sorted((*outcome.lesions, *outcome.candidates), key=lambda lesion: first_pixel(lesion.islands[0]))
    return tuple(
        _page_lesion(number, lesion, places, state, unit, thought.get(first_pixel(lesion.islands[0])))
        for number, lesion in enumerate(ordered, 1)
    )


def totals_of(outcome: Outcome) -> Totals:
    """Write the running score."""
    if isinstance(outcome, Refusal) or outcome.total is None:
        return Totals(vessels={}, total=None, category=None, cac_drs=None)
    vessels = {
        name: PageSum(agatston=part.agatston, shown=shown(part.agatston), lesions=part.lesions)
        for name, part in outcome.vessels.items()
    }
    total = outcome.total
    return Totals(
        vessels=vessels,
        total=PageSum(agatston=total.agatston, shown=shown(total.agatston), lesions=total.lesions),
        category=outcome.category,
        cac_drs=outcome.cac_drs,
    )


def standing_of(report: ScoreReport, base: int, changed: bool) -> Standing:
    """Say where the result stands: a change makes a confirmed one a proposal again."""
    confirmed = base > 0 and not report.draft and not changed
    words = state_of(report) if confirmed else "PROPOSED - NOT REVIEWED"
    reviewer = "" if report.review is None else report.review.reviewer
    return Standing(words=words, confirmed=confirmed, revision=base, changed=changed, reviewer=reviewer)


def heart_of(report: ScoreReport) -> Heart | None:
    """Say what the images say of a cut heart, where they do."""
    if report.quality is None or report.quality.measured.coverage != "incomplete":
        return None
    return Heart(report.quality.measured.reasons, report.settings.coverage_check == "person")


def _page_island(island: Island, volume: Volume) -> PageIsland:
    """Write one island as runs."""
    _, rows, columns = volume.hu.shape
    runs = runs_of(island.rows.astype(np.int64) * columns + island.columns, (1, rows, columns))
    flat = np.column_stack([runs.row, runs.first, runs.last]).ravel()
    return PageIsland(
        first=first_pixel(island),
        runs=tuple(flat.tolist()),
        peak_hu=island.peak_hu,
        area_mm2=island.pixels * volume.pixel_area_mm2,
    )


def _page_lesion(
    number: int, lesion: Lesion, places: Mapping[Pixel, int], state: Labelling, unit: float, thought: Proposal | None
) -> PageLesion:
    """Write one row."""
    islands = tuple(places[first_pixel(island)] for island in lesion.islands)
    proposed = None if thought is None else thought.vessel or "none"
    return PageLesion(
        number=number,
        islands=islands,
        main_slice=main_slice(lesion),
        first_slice=lesion.islands[0].slice,
        last_slice=lesion.islands[-1].slice,
        peak_hu=lesion.peak_hu,
        area_mm2=lesion.pixels * state.volume.pixel_area_mm2,
        agatston=pixel_weights(lesion.islands) * unit,
        vessel=lesion.vessel,
        decided=all(state.now.decided[place] for place in islands),
        proposed=proposed,
        confidence=None if thought is None else thought.confidence,
        why="" if thought is None else thought.why,
    )
