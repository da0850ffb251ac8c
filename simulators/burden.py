"""How much calcium a patient has: drawn from what people of one sex, age and group have, and laid on the arteries.

References: scores at the 25th, 50th, 75th and 90th percentile, MESA, McClelland 2006, Circulation 113:30,
doi:10.1161/CIRCULATIONAHA.105.580696, Table 2; the chance of a score above 0 by age, the same study
(calcium-scoring.md section 2). Our deviations:

- ln(score + 1) is interpolated between the ages of the table, and between percentiles over the normal quantile; above
  the 90th it goes on as steeply as before, up to the 99th;
- how a total is shared by the arteries (`SHARES`) and by plaques is ours: no plaque is larger than the fat around the
  arteries has room for, so a total above some 2500 is cut to what fits.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from simulators.motion import VESSELS
from simulators.plaque import Lesion, nominal_score

Floats = NDArray[np.float64]

AGES = (50.0, 60.0, 70.0, 80.0)
LEVELS = (0.25, 0.50, 0.75, 0.90)
SCORES: dict[str, tuple[tuple[float, ...], ...]] = {
    "white F": ((0, 0, 0, 8), (0, 0, 16, 102), (0, 13, 119, 391), (20, 106, 370, 921)),
    "white M": ((0, 0, 22, 110), (0, 28, 155, 452), (21, 145, 540, 1345), (103, 385, 1200, 2933)),
    "chinese F": ((0, 0, 0, 12), (0, 0, 18, 105), (0, 5, 70, 246), (0, 32, 146, 398)),
    "chinese M": ((0, 0, 14, 89), (0, 5, 67, 242), (0, 34, 174, 487), (11, 81, 305, 769)),
    "black F": ((0, 0, 0, 9), (0, 0, 5, 74), (0, 0, 77, 310), (0, 47, 214, 582)),
    "black M": ((0, 0, 2, 45), (0, 0, 40, 173), (0, 32, 191, 575), (23, 141, 516, 1281)),
    "hispanic F": ((0, 0, 0, 2), (0, 0, 2, 50), (0, 1, 51, 203), (0, 45, 205, 557)),
    "hispanic M": ((0, 0, 9, 88), (0, 3, 75, 291), (1, 56, 247, 666), (36, 153, 494, 1221)),
}
"""Agatston scores, [group][age][level]."""

CHANCE_AGES = (45.0, 50.0, 55.0, 60.0, 65.0, 70.0, 75.0, 80.0, 84.0)
CHANCE_PERCENT: dict[str, tuple[float, ...]] = {
    "white F": (7, 16, 26, 36, 47, 59, 73, 87, 98),
    "white M": (25, 41, 56, 68, 77, 83, 90, 96, 99),
    "chinese F": (4, 16, 27, 37, 46, 55, 64, 74, 81),
    "chinese M": (28, 36, 45, 54, 64, 71, 77, 82, 86),
    "black F": (8, 15, 21, 28, 37, 49, 62, 74, 85),
    "black M": (19, 28, 37, 46, 56, 66, 75, 84, 92),
    "hispanic F": (4, 11, 19, 27, 38, 50, 62, 74, 83),
    "hispanic M": (23, 31, 38, 51, 64, 75, 84, 92, 99),
}
"""Chance of a score above 0."""

YOUNGEST, OLDEST = 45.0, 84.0
HIGHEST_LEVEL = 0.99
SHARES = {"LM": 0.05, "LAD": 0.45, "LCX": 0.20, "RCA": 0.30}  # of plaques: LAD > RCA > LCX > LM (ours)
PLACES = {"LM": 1, "LAD": 6, "LCX": 5, "RCA": 7}  # plaques that find room on a course without touching
LARGEST_MM = 2.2  # radius of a plaque: 3.3 mm long on one side, in 12 mm of fat
SMALLEST_MM = 0.6
_FULL = 200.0  # score of each place from which on every plaque is as large and dense as can be


def score_at(group: str, age: float, level: float) -> float:
    """Give the Agatston score below which a share of a group lies.

    Parameters
    ----------
    group
        A key of `SCORES`.
    age
        Years, 45 to 84.
    level
        0 to 1.

    Raises
    ------
    ValueError
        If the group or the age was not studied.
    """
    if group not in SCORES:
        raise ValueError(f"there is no group {group!r}; the groups are {', '.join(SCORES)}")
    if not YOUNGEST <= age <= OLDEST:
        raise ValueError(f"the age {age:g} is not between {YOUNGEST:g} and {OLDEST:g}, which the study held")
    none = 1.0 - float(np.interp(age, CHANCE_AGES, CHANCE_PERCENT[group])) / 100.0
    table = np.log1p(np.array(SCORES[group], dtype=np.float64))
    logs = np.array([_at_age(age, table[:, place]) for place in range(len(LEVELS))])
    knots = [(none, 0.0)] + [(at, one) for at, one in zip(LEVELS, logs, strict=True) if at > none and one > 0.0]
    levels, values = (list(each) for each in zip(*knots, strict=True))
    if level <= none:
        return 0.0
    if len(levels) > 1:  # on as steeply as between the last two
        slope = (values[-1] - values[-2]) / float(ndtri(levels[-1]) - ndtri(levels[-2]))
        values.append(values[-1] + slope * float(ndtri(HIGHEST_LEVEL) - ndtri(levels[-1])))
        levels.append(HIGHEST_LEVEL)
    return float(np.expm1(np.interp(ndtri(level), ndtri(levels), values)))


def _at_age(age: float, logs: Floats) -> float:
    """Interpolate between the ages of the table, and go on straight beyond them; never below 0."""
    place = int(np.clip(np.searchsorted(AGES, age) - 1, 0, len(AGES) - 2))
    share = (age - AGES[place]) / (AGES[place + 1] - AGES[place])
    return float(max(logs[place] + share * (logs[place + 1] - logs[place]), 0.0))


def draw_lesions(score: float, density_mg_per_cc: tuple[float, float], rng: np.random.Generator) -> tuple[Lesion, ...]:
    """Lay plaques on the arteries until their nominal scores add up to `score`; none for 0.

    The last one is made smaller until the sum is right, to 5 % or 1. Each artery has room for `PLACES` plaques.
    """
    free = {vessel: list(rng.permutation(count)) for vessel, count in PLACES.items()}
    lesions: list[Lesion] = []
    left = score
    while left > 0.5 and any(free.values()):
        open_ = [vessel for vessel in VESSELS if free[vessel]]
        chances = np.array([SHARES[vessel] for vessel in open_])
        vessel = open_[int(rng.choice(len(open_), p=chances / chances.sum()))]
        each = left / sum(len(places) for places in free.values())
        lesion = _plaque(vessel, int(free[vessel].pop()), min(each / _FULL, 1.0), density_mg_per_cc, rng)
        worth = nominal_score(lesion)
        if worth > left:
            lesion, worth = _smaller(lesion, left)
        if worth == 0.0:
            continue
        lesions.append(lesion)
        left -= worth
    return tuple(sorted(lesions, key=lambda one: (VESSELS.index(one.vessel), one.along)))


def _plaque(vessel: str, place: int, full: float, density: tuple[float, float], rng: np.random.Generator) -> Lesion:
    """Draw one plaque at one of the places of a course: the fuller the arteries, the larger and denser."""
    radius = LARGEST_MM * rng.uniform(0.5 + 0.5 * full, 1.0)
    lengths = rng.uniform(1.0 + 0.5 * full, 1.5, size=2)
    low, high = density
    return Lesion(
        vessel=vessel,
        along=float(0.8 * (place + rng.uniform(0.45, 0.55)) / PLACES[vessel]),
        semi_axes_mm=(float(radius * lengths[0]), float(radius), float(radius * lengths[1])),
        angle_deg=float(rng.uniform(0.0, 180.0)),
        density_mg_per_cc=float(rng.uniform(low + full * (high - low), high)),
    )


def _smaller(lesion: Lesion, score: float) -> tuple[Lesion, float]:
    """Shrink a plaque until it is worth `score`; a tiny one that is worth nothing is given as such."""
    low, high = SMALLEST_MM / lesion.semi_axes_mm[1], 1.0
    best, worth = lesion, 0.0
    for _ in range(12):
        middle = 0.5 * (low + high)
        a, b, c = lesion.semi_axes_mm
        one = replace(lesion, semi_axes_mm=(a * middle, b * middle, c * middle))
        of_it = nominal_score(one)
        if of_it > 0.0 and abs(of_it - score) <= abs(worth - score):
            best, worth = one, of_it
        low, high = (middle, high) if of_it < score else (low, middle)
    return best, worth
