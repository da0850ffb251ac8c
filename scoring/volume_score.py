"""Islands -> calcium volume."""

from collections.abc import Iterable

from scoring.islands import Island
from scoring.volume import Volume


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
