"""One calcified plaque, and the Agatston score that it is worth."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

HU_PER_MG_PER_CC = 1.31  # hydroxyapatite in water at 70 keV, displaced water counted (xraydb; ct-simulation.md 4)
FAT_HU = -90.0

_SPREAD_MM = 0.65  # SD of the clinical kernel's point spread, fitted: see `nominal_score`
_PIXEL_MM, _SLICE_MM, _OFFSETS = 0.4, 3.0, 4


@dataclass(frozen=True, slots=True)
class Lesion:
    """One calcified plaque: where on its artery's course (0..1), how large, how dense."""

    vessel: str
    along: float
    semi_axes_mm: tuple[float, float, float]
    angle_deg: float
    density_mg_per_cc: float


def nominal_score(lesion: Lesion) -> float:
    """Give the Agatston score of one plaque at rest, without noise, in the mean over where slices of 3 mm cut it.

    The ellipsoid is averaged over the slice and blurred as the clinical kernel blurs; then it is scored as usual. Over
    96 plaques of 0.7 to 2.4 mm and 200 to 800 mg/cc the twin's scanner gave 1.005 times as much, each within 30 %.
    """
    a, b, c = lesion.semi_axes_mm
    reach = max(a, b) + 4.0 * _SPREAD_MM
    axis = np.arange(-reach, reach + _PIXEL_MM, _PIXEL_MM)
    half_mm = c * np.sqrt(np.clip(1.0 - (axis[:, None] / b) ** 2 - (axis / a) ** 2, 0.0, None))
    added_hu = HU_PER_MG_PER_CC * lesion.density_mg_per_cc - FAT_HU
    total, around = 0.0, int(np.ceil(c / _SLICE_MM)) + 1
    for offset in (np.arange(_OFFSETS) + 0.5) / _OFFSETS:
        for number in range(-around, around + 1):
            low = (number - offset) * _SLICE_MM
            depth = np.clip(np.minimum(low + _SLICE_MM, half_mm) - np.maximum(low, -half_mm), 0.0, None) / _SLICE_MM
            hu = gaussian_filter(depth * added_hu, _SPREAD_MM / _PIXEL_MM) + FAT_HU
            peak = float(hu.max())
            if peak >= 130.0:
                total += float((hu >= 130.0).sum()) * _PIXEL_MM**2 * min(4, int(peak // 100.0))
    return total / _OFFSETS
