"""A volume -> islands: connected pixels above the threshold in one slice, each with its peak and weight."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.runs import Indices, Runs, components, runs_of, touching_pairs
from scoring.settings import ScoreSettings
from scoring.volume import Volume

# in the plane only: the slices above and below never take part (README, decision 3). Slices up, rows down, reach
NEIGHBOURS = {4: ((0, 1, 0),), 8: ((0, 1, 1),)}


@dataclass(frozen=True, slots=True, eq=False)
class Island:
    """Connected pixels in one slice that count: large enough, at or above the threshold."""

    slice: int
    rows: NDArray[np.intp]  # [pixel]
    columns: NDArray[np.intp]  # [pixel]
    peak_hu: float
    weight: int  # 1 to 4, from the peak

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return len(self.rows)


def weight_of(peak_hu: float, settings: ScoreSettings) -> int:
    """Weight of a peak: 1, and one more at each edge reached (`>=`); 199.5 is 1, 200 is 2."""
    return 1 + sum(peak_hu >= edge for edge in settings.weight_edges_hu)


@dataclass(frozen=True, slots=True, eq=False)
class Connected:
    """All pixels above a threshold, by what is connected: definitions that share it differ in what they keep."""

    flat: Indices  # [pixel] of the volume, ascending
    runs: Runs
    owner: Indices  # [run] number of the island it belongs to


def connect(volume: Volume, settings: ScoreSettings, cut: NDArray[np.bool_] | None = None) -> Connected:
    """Connect the pixels above the threshold in each slice; of the settings, threshold and connectivity play a part."""
    above = volume.hu >= settings.threshold_hu
    if cut is not None:
        above &= ~cut
    flat = np.flatnonzero(above)
    runs = runs_of(flat, volume.hu.shape)
    if not len(runs):
        return Connected(flat, runs, np.zeros(0, dtype=np.intp))
    return Connected(flat, runs, components(len(runs), *touching_pairs(runs, NEIGHBOURS[settings.connectivity])))


def find_islands(
    volume: Volume,
    settings: ScoreSettings,
    cut: NDArray[np.bool_] | None = None,
    touching: NDArray[np.bool_] | None = None,
) -> tuple[Island, ...]:
    """Find the islands of each slice, without any map.

    Parameters
    ----------
    volume
        hu [slice, row, column] in HU.
    settings
        Threshold, connectivity, minimum area and weight edges.
    cut
        Pixels [slice, row, column] that a person barred: they belong to no island and so part what they cross.
    touching
        Pixels [slice, row, column] of which an island must hold at least one; None: every island is given.

    Returns
    -------
    tuple of Island
        In the order of slice, then row and column of the first pixel; islands below the minimum area are left out.

    References
    ----------
    Agatston 1990, doi:10.1016/0735-1097(90)90282-T (threshold, area, weights). Connectivity: van Ooijen 2005, as
    cited in scoring/README.md.

    Notes
    -----
    Our decisions where the paper is silent: threshold and edges are `>=`; 4-connected in one slice; the area rule is
    `pixels x area >= 1.0 mm2` in floating point with 1e-9 slack; the peak is the largest single pixel in that slice.
    """
    return counted_in(connect(volume, settings, cut), volume, settings, touching)


def counted_in(
    connected: Connected, volume: Volume, settings: ScoreSettings, touching: NDArray[np.bool_] | None = None
) -> tuple[Island, ...]:
    """Keep those islands of a volume that count by a definition; see `find_islands`."""
    runs, owner = connected.runs, connected.owner
    if not len(runs):
        return ()
    sizes = np.bincount(owner, weights=runs.pixels)
    counts = sizes * volume.pixel_area_mm2 >= settings.min_area_mm2 - settings.area_slack_mm2
    counts &= sizes >= settings.min_pixels
    if touching is not None:
        begins = np.cumsum(runs.pixels) - runs.pixels
        touched = np.zeros(len(sizes), dtype=np.bool_)
        touched[owner[np.logical_or.reduceat(touching.ravel()[connected.flat], begins)]] = True
        counts &= touched
    return _islands(volume, runs, owner, counts, settings)


def _islands(
    volume: Volume, runs: Runs, island: Indices, counts: NDArray[np.bool_], settings: ScoreSettings
) -> tuple[Island, ...]:
    """Write out the pixels of those islands that count, [run] of an island each."""
    kept = np.flatnonzero(counts[island])
    if not len(kept):
        return ()
    kept = kept[np.argsort(island[kept], kind="stable")]
    lengths = runs.pixels[kept]
    ends = np.cumsum(lengths)
    flat = np.repeat(runs.starts[kept] - (ends - lengths), lengths) + np.arange(ends[-1])
    hu = volume.hu.ravel()[flat]
    _, rows, columns = volume.hu.shape
    first_run = np.flatnonzero(np.diff(island[kept], prepend=-1))
    begins = (ends - lengths)[first_run]
    peaks = np.maximum.reduceat(hu, begins)
    found = []
    for begin, end, peak in zip(begins, np.append(begins[1:], len(flat)), peaks, strict=True):
        inside = flat[begin:end]
        where, in_slice = int(inside[0] // (rows * columns)), inside % (rows * columns)
        weight = weight_of(float(peak), settings)
        found.append(Island(where, in_slice // columns, in_slice % columns, float(peak), weight))
    return tuple(found)
