"""A volume -> islands: connected pixels above the threshold in one slice, each with its peak and weight."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scoring.settings import ScoreSettings
from scoring.volume import Volume

# in the plane only: the slices above and below never take part (README, decision 3)
NEIGHBOURS = {
    4: np.array([[[0] * 3] * 3, [[0, 1, 0], [1, 1, 1], [0, 1, 0]], [[0] * 3] * 3], dtype=bool),
    8: np.array([[[0] * 3] * 3, [[1] * 3] * 3, [[0] * 3] * 3], dtype=bool),
}


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
    above = volume.hu >= settings.threshold_hu
    if cut is not None:
        above &= ~cut
    labelled, count = ndimage.label(above, NEIGHBOURS[settings.connectivity])
    if count == 0:
        return ()
    flat = np.flatnonzero(labelled)
    label = labelled.ravel()[flat]
    if touching is not None:
        wanted = np.zeros(count + 1, dtype=np.bool_)
        wanted[label[touching.ravel()[flat]]] = True
        flat, label = flat[wanted[label]], label[wanted[label]]
        if not len(flat):
            return ()
    order = np.argsort(label, kind="stable")
    flat, label = flat[order], label[order]
    starts = np.flatnonzero(np.diff(label, prepend=0))
    sizes = np.diff(starts, append=len(flat))
    peaks = np.maximum.reduceat(volume.hu.ravel()[flat], starts)
    large = sizes * volume.pixel_area_mm2 >= settings.min_area_mm2 - settings.area_slack_mm2
    large &= sizes >= settings.min_pixels
    _, rows, columns = volume.hu.shape
    islands = []
    for start, size, peak in zip(starts[large], sizes[large], peaks[large], strict=True):
        inside = flat[start : start + size]
        where, in_slice = int(inside[0] // (rows * columns)), inside % (rows * columns)
        weight = weight_of(float(peak), settings)
        islands.append(Island(where, in_slice // columns, in_slice % columns, float(peak), weight))
    return tuple(islands)
