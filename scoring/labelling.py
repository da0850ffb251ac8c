"""What a person decides of the islands: edits on a frozen state -> the vessel map that they make together.

Islands are found once; an edit names them by their first pixel, so that a list of edits can be kept and done again.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import msgspec
import numpy as np
from numpy.typing import NDArray

from scoring.islands import Island, find_islands
from scoring.lesions import VESSELS, Labels, Lesion, Vessel, joined_lesions, touching_islands, vessel_of
from scoring.runs import Indices
from scoring.settings import ScoreSettings
from scoring.volume import Volume

Pixel = tuple[int, int, int]  # slice, row, column
MOST_POINTS = 1024  # of one drawn line


class EditError(ValueError):
    """An edit that cannot be done; the state stays what it was, and the text says why."""


class Give(msgspec.Struct, frozen=True, tag="give", tag_field="kind", forbid_unknown_fields=True):
    """Islands get a vessel, or None: not coronary."""

    islands: tuple[Pixel, ...]  # each by its first pixel
    vessel: Vessel | None


class Keep(msgspec.Struct, frozen=True, tag="keep", tag_field="kind", forbid_unknown_fields=True):
    """Islands stay what they are, and that is now a decision."""

    islands: tuple[Pixel, ...]


class Cut(msgspec.Struct, frozen=True, tag="cut", tag_field="kind", forbid_unknown_fields=True):
    """A line drawn in one slice, from point to point; the island pixels under it belong to no island any more."""

    slice: int
    points: tuple[tuple[int, int], ...]  # row, column


Edit = Give | Keep | Cut


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What is decided at one moment; vessels and decisions run along the islands."""

    islands: tuple[Island, ...]
    vessels: tuple[Vessel | None, ...]
    decided: tuple[bool, ...]  # by this reader, or by the one before
    cut: frozenset[Pixel]
    touching: tuple[Indices, Indices]  # pairs of islands, whatever their vessels


@dataclass(frozen=True, slots=True, eq=False)
class Labelling:
    """A volume under a reader's hands."""

    volume: Volume
    settings: ScoreSettings
    now: Given
    done: tuple[tuple[Edit, Given], ...] = ()  # each edit with what was before it
    undone: tuple[tuple[Edit, Given], ...] = ()  # each edit with what it had made, the next to be redone at the end

    @property
    def edits(self) -> tuple[Edit, ...]:
        """All edits that hold, in their order."""
        return tuple(edit for edit, _ in self.done)


def begin(
    volume: Volume, labels: Labels, settings: ScoreSettings, *, decided: bool | Collection[Pixel] = False
) -> Labelling:
    """Find the islands, and take their vessels from a map.

    Parameters
    ----------
    volume
        hu [slice, row, column] in HU.
    labels
        The map to begin with; may be empty.
    settings
        Those that the islands are found by.
    decided
        Islands, by their first pixels, that an earlier reader of this very map decided on; True: all, for it is
        confirmed.

    Raises
    ------
    ValueError
        If the map does not fit the volume.
    """
    if labels.vessels.shape != volume.hu.shape:
        raise ValueError(f"map {labels.vessels.shape} and volume {volume.hu.shape} have different shapes")
    islands = find_islands(volume, settings, labels.cut)
    vessels = tuple(vessel_of(island, labels) for island in islands)
    cut = frozenset() if labels.cut is None else frozenset(_pixels(np.argwhere(labels.cut)))
    touching = touching_islands(volume, islands, settings)
    known = tuple(decided if isinstance(decided, bool) else first_pixel(island) in decided for island in islands)
    return Labelling(volume, settings, Given(islands, vessels, known, cut, touching))


def first_pixel(island: Island) -> Pixel:
    """Name an island: its first pixel, by row and then column."""
    return island.slice, int(island.rows[0]), int(island.columns[0])


def decided_in(state: Labelling) -> tuple[Pixel, ...]:
    """List the islands that are decided, by their first pixels."""
    now = state.now
    return tuple(first_pixel(island) for island, known in zip(now.islands, now.decided, strict=True) if known)


def edited(state: Labelling, edit: Edit) -> Labelling:
    """Do one edit; what was undone before can then not be redone.

    Raises
    ------
    EditError
        If an island is not there, or a line crosses none.
    """
    after = _cut(state, edit) if isinstance(edit, Cut) else _given(state.now, edit)
    return replace(state, now=after, done=(*state.done, (edit, state.now)), undone=())


def undo(state: Labelling) -> Labelling:
    """Take the last edit back; the same state when there is none."""
    if not state.done:
        return state
    edit, before = state.done[-1]
    return replace(state, now=before, done=state.done[:-1], undone=(*state.undone, (edit, state.now)))


def redo(state: Labelling) -> Labelling:
    """Do again what was last undone; the same state when there is nothing."""
    if not state.undone:
        return state
    edit, after = state.undone[-1]
    return replace(state, now=after, done=(*state.done, (edit, state.now)), undone=state.undone[:-1])


def labels_of(state: Labelling, origin: str) -> Labels:
    """Paint the map: whole islands, each in its one vessel, and the cut.

    Notes
    -----
    Pixels of the first map that lie in no island are not painted: the map holds what the reader saw, and no more. A
    definition with a smaller minimum area may so find less than in the first map (scoring/comparison.py).
    """
    vessels = np.zeros(state.volume.hu.shape, dtype=np.uint8)
    for island, vessel in zip(state.now.islands, state.now.vessels, strict=True):
        if vessel is not None:
            vessels[island.slice, island.rows, island.columns] = VESSELS.index(vessel) + 1
    vessels.setflags(write=False)
    return Labels(vessels, origin, cut=_painted(state.now.cut, state.volume.hu.shape))


def lesions_of(state: Labelling) -> tuple[Lesion, ...]:
    """Give the lesions of the painted map, as `find_lesions` finds them in it, without looking at the pixels again."""
    now = state.now
    joined = joined_lesions(state.volume, now.islands, now.vessels, now.touching, None)
    # whole islands are painted, so all of a lesion lies on the map
    return tuple(lesion if lesion.vessel is None else replace(lesion, map_share=1.0) for lesion in joined)


def line_pixels(points: Sequence[tuple[int, int]], connectivity: int) -> list[tuple[int, int]]:
    """Give the pixels (row, column) under a line from point to point.

    Parameters
    ----------
    points
        Row and column of each.
    connectivity
        Of the islands that the line shall part: among 8 neighbours a slanting line needs its corners filled.
    """
    found = [points[0]]
    for (row, column), (to_row, to_column) in pairwise(points):
        steps = max(abs(to_row - row), abs(to_column - column))
        for step in range(1, steps + 1):
            last_row, last_column = found[-1]
            at = row + round((to_row - row) * step / steps), column + round((to_column - column) * step / steps)
            if connectivity == 8 and at[0] != last_row and at[1] != last_column:
                found.append((at[0], last_column))
            found.append(at)
    return found


def _given(now: Given, edit: Give | Keep) -> Given:
    """Change the vessel of some islands, or only say that they are decided."""
    places = {first_pixel(island): place for place, island in enumerate(now.islands)}
    strange = [pixel for pixel in edit.islands if pixel not in places]
    if strange or not edit.islands:
        raise EditError("That island is not there any more; choose it again.")
    chosen = {places[pixel] for pixel in edit.islands}
    vessels = now.vessels
    if isinstance(edit, Give):
        vessels = tuple(edit.vessel if place in chosen else vessel for place, vessel in enumerate(now.vessels))
    return replace(now, vessels=vessels, decided=tuple(place in chosen or was for place, was in enumerate(now.decided)))


def _cut(state: Labelling, edit: Cut) -> Given:
    """Bar the pixels under a line, and find the islands of that slice anew; pieces keep the vessel they had."""
    now, (slices, rows, columns) = state.now, state.volume.hu.shape
    if not 0 <= edit.slice < slices or not 0 < len(edit.points) <= MOST_POINTS:
        raise EditError("That line cannot be drawn here; draw it again.")
    if not all(0 <= row < rows and 0 <= column < columns for row, column in edit.points):
        raise EditError("That line leaves the image; draw it again.")
    owners: dict[Pixel, int] = {}
    for place, island in enumerate(now.islands):
        if island.slice == edit.slice:
            owners |= {(edit.slice, int(r), int(c)): place for r, c in zip(island.rows, island.columns, strict=True)}
    line = {(edit.slice, *pixel) for pixel in line_pixels(edit.points, state.settings.connectivity)}
    barred = line & owners.keys()
    if not barred:
        raise EditError("The line crosses no lesion, so nothing was cut.")
    cut = now.cut | barred
    kept = [place for place, island in enumerate(now.islands) if island.slice != edit.slice]
    found = [(now.islands[place], place) for place in kept]
    found += [(piece, owners[first_pixel(piece)]) for piece in _found_in(state, edit.slice, cut)]
    found.sort(key=lambda pair: first_pixel(pair[0]))
    islands = tuple(island for island, _ in found)
    return Given(
        islands=islands,
        vessels=tuple(now.vessels[place] for _, place in found),
        decided=tuple(now.decided[place] for _, place in found),
        cut=cut,
        touching=touching_islands(state.volume, islands, state.settings),
    )


def _found_in(state: Labelling, index: int, cut: frozenset[Pixel]) -> list[Island]:
    """Find the islands of one slice, beside its cut."""
    volume = state.volume
    alone = slice(index, index + 1)
    one = replace(
        volume,
        hu=volume.hu[alone],
        positions_mm=volume.positions_mm[alone],
        corners_mm=volume.corners_mm[alone],
        cardiac=(),
    )
    barred = np.zeros(one.hu.shape, dtype=np.bool_)
    for where, row, column in cut:
        if where == index:
            barred[0, row, column] = True
    return [replace(island, slice=index) for island in find_islands(one, state.settings, barred)]


def _painted(cut: Iterable[Pixel], shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Paint the cut; None when nothing is cut."""
    pixels = np.array(sorted(cut), dtype=np.intp).reshape(-1, 3)
    if not len(pixels):
        return None
    painted = np.zeros(shape, dtype=np.bool_)
    painted[tuple(pixels.T)] = True
    painted.setflags(write=False)
    return painted


def _pixels(found: NDArray[np.intp]) -> Iterable[Pixel]:
    """Give the rows of an array [pixel, 3] as plain tuples."""
    return ((int(where), int(row), int(column)) for where, row, column in found)
