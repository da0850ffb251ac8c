"""Islands -> calcium volume, by whole voxels or interpolated between the slices. The two never stand in one table."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from scoring.islands import Island
from scoring.volume import Volume

AIR_HU = -1024.0


def voxel_volume_mm3(islands: Iterable[Island], volume: Volume) -> float:
    """Volume of the counted pixels: pixels x area x increment, in mm3; the mode is called `voxel`.

    Parameters
    ----------
    islands
        The same islands as the Agatston score counts.
    volume
        Pixel area in mm2, and the increment in mm from the slices' positions.

    References
    ----------
    Callister 1998, doi:10.1148/radiology.208.3.9722864, proposed the volume score with interpolation in z.

    Notes
    -----
    Our deviation: no interpolation, as most programs do. Interpolation gives about 30 % less (van Ooijen 2005), so the
    two must never stand in one table.
    """
    return sum(island.pixels for island in islands) * (volume.pixel_area_mm2 * volume.increment_mm)


def parts_of_gap(volume: Volume) -> int:
    """Into how many parts the gap between two slices is divided: cubes as near as may be, and an even number.

    Even, because then no part lies in the middle between two slices, where it would belong to both.
    """
    return 2 * max(1, math.ceil(volume.increment_mm / (2.0 * math.sqrt(volume.pixel_area_mm2)) - 1e-9))


def interpolated_parts(
    groups: Sequence[Sequence[Island]], volume: Volume, threshold_hu: float, broken_after: Sequence[int] = ()
) -> list[int]:
    """Count the parts at or above the threshold when HU run straight from slice to slice; one number for each group.

    Parameters
    ----------
    groups
        Islands that belong together, such as those of one vessel; no pixel belongs to two groups.
    volume
        hu [slice, row, column] in HU.
    threshold_hu
        `>=` counts.
    broken_after
        Slices after which one is missing: nothing is interpolated over such a gap.

    Returns
    -------
    list of int
        Each part has the volume pixel area x increment / `parts_of_gap`.

    References
    ----------
    Callister 1998, doi:10.1148/radiology.208.3.9722864: isotropic interpolation, then the threshold.

    Notes
    -----
    Our decisions: a part belongs to the group of the nearer slice's pixel, else to that of the farther one; a part
    whose two pixels are in no counted island counts for nobody, so that what is too small or of no vessel stays out;
    nothing is invented below the first and above the last slice.
    """
    depth, parts = len(volume.positions_mm), parts_of_gap(volume)
    owner: dict[int, NDArray[np.int32]] = {}
    shape = volume.hu.shape[1:]
    for number, islands in enumerate(groups, 1):
        for island in islands:
            plane = owner.setdefault(island.slice, np.zeros(shape, dtype=np.int32))
            plane[island.rows, island.columns] = number
    counts = np.zeros(len(groups) + 1, dtype=np.int64)
    nobody = np.zeros(shape, dtype=np.int32)
    for below in range(depth - 1):
        if below in broken_after or (below not in owner and below + 1 not in owner):
            continue
        low, high = owner.get(below, nobody), owner.get(below + 1, nobody)
        rows, columns = np.nonzero(low | high)
        low, high = low[rows, columns], high[rows, columns]
        # padding lies at minus infinity, from where no straight line runs
        start = np.maximum(volume.hu[below, rows, columns].astype(np.float64), AIR_HU)
        rise = np.maximum(volume.hu[below + 1, rows, columns].astype(np.float64), AIR_HU) - start
        for part in range(parts):
            fraction = (part + 0.5) / parts
            near, far = (low, high) if fraction < 0.5 else (high, low)
            inside = start + fraction * rise >= threshold_hu
            counts += np.bincount(np.where(near > 0, near, far)[inside], minlength=len(counts))
    return [int(count) for count in counts[1:]]


def part_mm3(volume: Volume) -> float:
    """Volume of one part of a gap under one pixel."""
    return volume.pixel_area_mm2 * volume.increment_mm / parts_of_gap(volume)
