"""A plain Agatston scorer that shares no line with ours: pydicom, sort by z, scipy's label, a loop over the islands.

It believes its input (one axial series, complete, at 120 kV) and so is an oracle and a peer for such series only.
"""

from pathlib import Path

import numpy as np
import pydicom
from scipy import ndimage


def plain_agatston(folder: Path) -> float:
    """Score everything that is bright in a folder of slices.

    References
    ----------
    Agatston 1990, doi:10.1016/0735-1097(90)90282-T; factor increment / 3 mm; 4 neighbours in a slice, 1 mm2.
    """
    slices = sorted((pydicom.dcmread(path) for path in folder.iterdir()), key=lambda one: one.ImagePositionPatient[2])
    row_mm, column_mm = slices[0].PixelSpacing
    increment_mm = float(slices[1].ImagePositionPatient[2] - slices[0].ImagePositionPatient[2])
    total = 0.0
    for one in slices:
        hu = one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept)
        labelled, count = ndimage.label(hu >= 130)
        if not count:
            continue
        everyone = np.arange(1, count + 1)
        pixels = ndimage.sum_labels(labelled > 0, labelled, everyone)
        peaks = ndimage.maximum(hu, labelled, everyone)
        for area_mm2, peak_hu in zip(pixels * row_mm * column_mm, peaks, strict=True):
            if area_mm2 >= 1.0 - 1e-9:
                total += area_mm2 * min(int(peak_hu // 100), 4)
    return total * increment_mm / 3.0
