"""An Agatston score in thirty lines of scipy, that shares nothing with the product: all islands, no map, no checks."""

from pathlib import Path

import numpy as np
import pydicom
from scipy import ndimage

CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])


def plain_score(folder: Path) -> tuple[float, int]:
    """Score every island of a folder of plain axial slices; also how many islands there are.

    Parameters
    ----------
    folder
        With nothing but the slices of one series.
    """
    slices = [pydicom.dcmread(path) for path in folder.iterdir()]
    slices.sort(key=lambda one: float(one.ImagePositionPatient[2]))
    heights_mm = [float(one.ImagePositionPatient[2]) for one in slices]
    increment_mm = float(np.median(np.diff(heights_mm)))
    total, islands = 0.0, 0
    for one in slices:
        hu = one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept)
        area_mm2 = float(one.PixelSpacing[0]) * float(one.PixelSpacing[1])
        label, count = ndimage.label(hu >= 130, CROSS)
        pixels = np.bincount(label.ravel(), minlength=count + 1)[1:]
        peak = np.array(ndimage.maximum(hu, label, range(1, count + 1)))
        large = pixels * area_mm2 >= 1.0 - 1e-9
        weight = 1 + (peak >= 200).astype(int) + (peak >= 300) + (peak >= 400)
        total += float((pixels * weight)[large].sum()) * area_mm2 * increment_mm / 3.0
        islands += int(large.sum())
    return total, islands
