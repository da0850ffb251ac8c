"""Islands -> Agatston score, its shown integer, its class and CAC-DRS."""

import math
from collections.abc import Iterable
from typing import Literal

from scoring.islands import Island
from scoring.settings import ScoreSettings
from scoring.volume import Volume

Category = Literal["0", "1-10", "11-100", "101-400", ">400"]
ROUNDING_SLACK = 1e-9  # 10.5 on paper may be 10.499999999 in floating point


def pixel_weights(islands: Iterable[Island]) -> int:
    """Sum of pixels x weight: an integer, so that parts add up to the whole exactly."""
    return sum(island.pixels * island.weight for island in islands)


def agatston(islands: Iterable[Island], volume: Volume, settings: ScoreSettings) -> float:
    """Agatston score of some islands: (increment / 3 mm) x sum of area in mm2 x weight.

    Parameters
    ----------
    islands
        Those to be scored together: a lesion's, a vessel's.
    volume
        Pixel area in mm2, and the increment in mm from the slices' positions.
    settings
        The reference increment.

    References
    ----------
    Agatston 1990, doi:10.1016/0735-1097(90)90282-T. The factor increment / 3 mm for other than contiguous 3 mm slices:
    scoring/README.md, decision 6.
    """
    return pixel_weights(islands) * points_of_a_pixel(volume, settings)


def points_of_a_pixel(volume: Volume, settings: ScoreSettings) -> float:
    """Agatston score of one pixel of weight 1: its area in mm2 x (increment / 3 mm)."""
    return volume.pixel_area_mm2 * volume.increment_mm / settings.reference_increment_mm


def shown_integer(score: float) -> int:
    """Round half up, once, at the end."""
    return math.floor(score + 0.5 + ROUNDING_SLACK)


def shown(score: float) -> str:
    """Text of a score: `0`, `< 1` for a positive score below one, else the rounded integer."""
    return "< 1" if 0 < score < 1 - ROUNDING_SLACK else str(shown_integer(score))


def category(score: float) -> Category:
    """Class of the *shown* integer, so that text and class agree; a positive score below one is class 1-10.

    References
    ----------
    Rumberger 1999, as the classes are quoted in scoring/README.md.
    """
    if score == 0:
        return "0"
    value = max(1, shown_integer(score))
    if value > 400:
        return ">400"
    if value > 100:
        return "101-400"
    return "11-100" if value > 10 else "1-10"


def cac_drs(score: float, vessels: int | None) -> str:
    """CAC-DRS class: A0 0, A1 1-99, A2 100-299, A3 300 and more; N is the number of vessels, left out when unknown.

    References
    ----------
    Hecht 2018, CAC-DRS, doi:10.1016/j.jcct.2018.03.008.
    """
    value = 0 if score == 0 else max(1, shown_integer(score))
    grade = sum(value >= limit for limit in (1, 100, 300))
    return f"CAC-DRS A{grade}" + ("" if vessels is None else f"/N{vessels}")
