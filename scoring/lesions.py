"""Islands -> lesions, and the vessel that each belongs to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from scoring.islands import Island
from scoring.runs import Indices, components, runs_of, touching_pairs
from scoring.settings import ScoreSettings
from scoring.volume import Volume, uneven_gaps

Vessel = Literal["LM", "LAD", "LCX", "RCA"]
VESSELS: tuple[Vessel, ...] = get_args(Vessel)  # map value 1 to 4, in this order

# 26 neighbours, of which those that come later in (slice, row): slices up, rows down, and one column to either side
LATER = ((0, 1, 1), (1, -1, 1), (1, 0, 1), (1, 1, 1))


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """A vessel map in the geometry of a volume: 0 none, 1 LM, 2 LAD, 3 LCX, 4 RCA, [slice, row, column]."""

    vessels: NDArray[np.uint8]
    origin: str = ""  # where it came from, for the report; never a path or a name
    notes: tuple[str, ...] = ()
    cut: NDArray[np.bool_] | None = None  # pixels that a person barred, [slice, row, column]: they part islands


@dataclass(frozen=True, slots=True, eq=False)
class Lesion:
    """Islands of one vessel (or of none) that touch in three dimensions; only for counting and listing."""

    vessel: Vessel | None
    islands: tuple[Island, ...]  # in the order of the slices
    centre_mm: tuple[float, float, float]  # of its pixels, in patient coordinates
    map_share: float  # of its pixels that lie on the map of its vessel, 0 to 1

    @property
    def pixels(self) -> int:
        """Number of pixels in all slices."""
        return sum(island.pixels for island in self.islands)

    @property
    def peak_hu(self) -> float:
        """Largest pixel."""
        return max(island.peak_hu for island in self.islands)

    @property
    def weight(self) -> int:
        """Largest weight of its islands; the score uses each island's own."""
        return max(island.weight for island in self.islands)


def vessel_of(island: Island, labels: Labels) -> Vessel | None:
    """Vessel with most map pixels inside the island; None when the map does not touch it; ties: LM, LAD, LCX, RCA."""
    inside = labels.vessels[island.slice, island.rows, island.columns]
    counts = np.bincount(inside, minlength=len(VESSELS) + 1)[1:]
    return VESSELS[int(np.argmax(counts))] if counts.any() else None


def find_lesions(
    volume: Volume, islands: Sequence[Island], labels: Labels | None, settings: ScoreSettings
) -> tuple[Lesion, ...]:
    """Give each island its one vessel, then join islands of one vessel that touch (26 neighbours) into lesions.

    Parameters
    ----------
    volume
        Geometry; slices on both sides of an uneven gap are never joined.
    islands
        From `find_islands`, found without the map, so that the map never cuts an island.
    labels
        The vessel map [slice, row, column], or None.

    Returns
    -------
    tuple of Lesion
        Ordered by vessel (none last), falling pixels x weight, then centre from foot to head, front to back.

    References
    ----------
    scoring/README.md, decisions 7 and 8.
    """
    vessels = [None if labels is None else vessel_of(island, labels) for island in islands]
    return joined_lesions(volume, islands, vessels, touching_islands(volume, islands, settings), labels)


def touching_islands(volume: Volume, islands: Sequence[Island], settings: ScoreSettings) -> tuple[Indices, Indices]:
    """List the pairs of islands that touch (26 neighbours), whatever their vessels: two arrays [pair] of places."""
    if not islands:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    _, height, width = volume.hu.shape
    flat = [(island.slice * height + island.rows) * width + island.columns for island in islands]
    owner = np.repeat(np.arange(len(islands)), [island.pixels for island in islands])
    runs = runs_of(np.concatenate(flat), volume.hu.shape, owner)
    of_run = owner[np.cumsum(runs.pixels) - 1]
    order = np.lexsort((runs.first, runs.row, runs.slice))
    runs, of_run = runs.taken(order), of_run[order]
    one, other = touching_pairs(runs, LATER)
    gap_after = np.zeros(len(volume.positions_mm), dtype=bool)
    gap_after[list(uneven_gaps(volume.positions_mm, settings))] = True
    parted = (runs.slice[one] != runs.slice[other]) & gap_after[runs.slice[one]]
    return of_run[one[~parted]], of_run[other[~parted]]


def joined_lesions(
    volume: Volume,
    islands: Sequence[Island],
    vessels: Sequence[Vessel | None],
    touching: tuple[Indices, Indices],
    labels: Labels | None,
) -> tuple[Lesion, ...]:
    """Join islands of one vessel that touch into lesions, in the order of `find_lesions`.

    Parameters
    ----------
    volume
        Geometry.
    islands, vessels
        Along each other.
    touching
        As `touching_islands` lists it.
    labels
        The map, for the share of each lesion that lies on it; None: a lesion with a vessel has no share of any map.
    """
    if not islands:
        return ()
    one, other = touching
    vessel = np.array([VESSELS.index(v) + 1 if v else 0 for v in vessels])
    same = vessel[one] == vessel[other]
    group = components(len(islands), one[same], other[same])
    members: dict[int, list[int]] = {}
    for index, number in enumerate(group):
        members.setdefault(int(number), []).append(index)
    lesions = [_lesion(volume, [islands[i] for i in inside], vessels[inside[0]], labels) for inside in members.values()]
    return tuple(sorted(lesions, key=_order))


def _order(lesion: Lesion) -> tuple[float, ...]:
    """Sort key of a list that does not depend on how the pixels are stored."""
    vessel = VESSELS.index(lesion.vessel) if lesion.vessel else len(VESSELS)
    x, y, z = (round(value, 6) for value in lesion.centre_mm)
    return (vessel, -sum(island.pixels * island.weight for island in lesion.islands), z, y, x)


def _lesion(volume: Volume, islands: list[Island], vessel: Vessel | None, labels: Labels | None) -> Lesion:
    """Sum up the islands of one lesion."""
    ordered = tuple(sorted(islands, key=lambda island: island.slice))
    pixels, on_map, sums = 0, 0, [0.0, 0.0, 0.0]
    for island in ordered:
        n = island.pixels
        middle = volume.to_patient_mm(island.slice, float(island.rows.sum()) / n, float(island.columns.sum()) / n)
        sums = [total + n * value for total, value in zip(sums, middle, strict=True)]
        pixels += n
        if labels is not None and vessel is not None:
            inside = labels.vessels[island.slice, island.rows, island.columns]
            on_map += int(np.count_nonzero(inside == VESSELS.index(vessel) + 1))
    return Lesion(vessel, ordered, (sums[0] / pixels, sums[1] / pixels, sums[2] / pixels), on_map / pixels)
