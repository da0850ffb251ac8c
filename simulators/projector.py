"""Line integrals of moving ellipsoids in an equiangular fan: what the detector of one slice sees, view by view.

Convention: a ray of the view at angle `b` in the channel at angle `g` has the parallel angle `th = b + g` and the
offset `t = R sin g`, so it is the line x cos th + y sin th = t. The instant of a ray is the instant of its view.
Attenuation is counted in that of water: a path of 10 mm of water is 10. Mono-energetic, 70 keV.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

SOURCE_RADIUS_MM = 570.0
CHANNELS = 900
VIEWS_PER_ROTATION = 984
QUARTER_OFFSET = 0.25  # of a channel: opposite rays interleave
WATER_PER_MM = 0.01929  # attenuation of water at 70 keV (xraydb)

PHOTONS_PER_MAS_MM = 265.0
"""Detected quanta per ray without an object, per mAs of one rotation and mm of slice. Free constant: it puts the noise
at the centre of the default thorax (300 x 204 mm, 81 mAs, 3 mm, kernel 0.50) at about 18 HU, between the 20 HU a
calcium protocol aims at and what a quiet scanner gives."""


@dataclass(frozen=True, slots=True)
class Fan:
    """The detector's channels."""

    sines: Floats  # of each channel's angle, [channel]
    cosines: Floats
    first_rad: float
    step_rad: float

    @property
    def angles_rad(self) -> Floats:
        """Angle of each channel from the central ray, [channel]."""
        return np.asarray(self.first_rad + self.step_rad * np.arange(len(self.sines)))


def make_fan(fan_deg: float, channels: int = CHANNELS) -> Fan:
    """Lay out the channels of a fan of `fan_deg`, with quarter-channel offset."""
    step = np.deg2rad(fan_deg) / channels
    first = (-(channels - 1) / 2 + QUARTER_OFFSET) * step
    angles = first + step * np.arange(channels)
    return Fan(np.sin(angles), np.cos(angles), float(first), float(step))


def half_scan_views(
    fan_deg: float, feather_deg: float, views_per_rotation: int = VIEWS_PER_ROTATION, sources: int = 1
) -> int:
    """Count the views of each source: 180 degrees shared by them, + fan + feather, and the one that closes it."""
    return int(np.ceil((180.0 / sources + fan_deg + feather_deg) / 360.0 * views_per_rotation)) + 1


@njit(cache=True, nogil=True, error_model="numpy")
def _root_integral(z: float, k: float) -> float:
    """Integrate sqrt(k^2 - z^2) from 0 to z, |z| <= k."""
    inside = max(k * k - z * z, 0.0)
    return 0.5 * (z * math.sqrt(inside) + k * k * math.asin(min(max(z / k, -1.0), 1.0)))


@njit(cache=True, nogil=True, error_model="numpy")
def _project(
    out: Singles,
    table: Floats,
    angles: Floats,
    sines: Floats,
    cosines: Floats,
    first: float,
    step: float,
    z_mm: float,
    slice_mm: float,
) -> None:
    """Add the objects of `table` to `out`, one slice. Only the channels that an object can touch are visited."""
    channels = sines.shape[0]
    for v in range(angles.shape[0]):
        source_x = -SOURCE_RADIUS_MM * np.sin(angles[v])
        source_y = SOURCE_RADIUS_MM * np.cos(angles[v])
        row = v if table.shape[0] > 1 else 0
        for n in range(table.shape[1]):
            a, b, c, kind = table[row, n, 3], table[row, n, 4], table[row, n, 5], table[row, n, 9]
            below, above = z_mm - table[row, n, 2] - 0.5 * slice_mm, z_mm - table[row, n, 2] + 0.5 * slice_mm
            middle = 0.5 * (below + above)
            flat = 1.0  # share of the squared radius left at this height
            if kind in (1.0, 3.0):
                if below >= c or above <= -c:
                    continue
            elif kind == 0.0:
                flat = 1.0 - (middle / c) ** 2
                if flat <= 0.0:
                    continue
            dx, dy = source_x - table[row, n, 0], source_y - table[row, n, 1]
            distance = np.sqrt(dx * dx + dy * dy)
            # seen from the source the centre lies at the channel angle `centre`; a ray at `g` passes it at
            # distance * sin(g - centre)
            centre = np.arctan2(dy, dx) - angles[v] - 0.5 * np.pi
            centre -= 2.0 * np.pi * np.round(centre / (2.0 * np.pi))
            reach = np.arcsin(min(max(a, b) / distance, 1.0))
            begin = max(int(np.ceil((centre - reach - first) / step)), 0)
            end = min(int(np.floor((centre + reach - first) / step)), channels - 1)
            cos_c, sin_c = np.cos(centre), np.sin(centre)
            # cosine and sine of (view - object) angle
            cos_v = np.cos(angles[v]) * table[row, n, 6] + np.sin(angles[v]) * table[row, n, 7]
            sin_v = np.sin(angles[v]) * table[row, n, 6] - np.cos(angles[v]) * table[row, n, 7]
            aa, bb, added = a * a, b * b, table[row, n, 8]
            for g in range(begin, end + 1):
                offset = distance * (sines[g] * cos_c - cosines[g] * sin_c)
                cos_p = cosines[g] * cos_v - sines[g] * sin_v
                sin_p = sines[g] * cos_v + cosines[g] * sin_v
                width2 = aa * cos_p * cos_p + bb * sin_p * sin_p
                q = flat - offset * offset / width2
                if q <= 0.0:
                    continue
                if kind == 1.0:
                    k = c * np.sqrt(q)
                    low, high = min(max(below, -k), k), min(max(above, -k), k)
                    depth = (_root_integral(high, k) - _root_integral(low, k)) / (c * slice_mm)
                elif kind == 3.0:
                    depth = np.sqrt(q) * (min(above, c) - max(below, -c)) / slice_mm
                else:
                    depth = np.sqrt(q)
                out[v, g] += added * 2.0 * a * b / np.sqrt(width2) * depth


def project(
    table: Floats, view_angles_rad: Floats, fan: Fan, z_mm: float, slice_mm: float, onto: Singles | None = None
) -> Singles:
    """Project a table of objects into one slice.

    Parameters
    ----------
    table
        [view, object, 11] as `phantom.moving_table` gives it, or [1, object, 11] for objects that stand still; the
        last column is not looked at.
    view_angles_rad
        Angle `b` of each view, [view].
    fan
        The channels.
    z_mm, slice_mm
        Middle and thickness of the slice.
    onto
        What lies there already (not changed); None: nothing.

    Returns
    -------
    Singles
        Line integrals in mm of water, float32 [view, channel].

    Notes
    -----
    Small objects (kind 1) and rods along z (kind 3) are averaged exactly over the slice: the mean of the chord 2ab/w
    sqrt(k^2 - z^2)/c has a closed form. Large ones are cut at the mid-plane. The cone angle is left out: a stack of
    fans.
    """
    shape = (len(view_angles_rad), len(fan.sines))
    out = np.zeros(shape, dtype=np.float32) if onto is None else onto.copy()
    _project(out, table, view_angles_rad, fan.sines, fan.cosines, fan.first_rad, fan.step_rad, z_mm, slice_mm)
    return out


def photons(tube_current_ma: float, rotation_ms: float, slice_mm: float) -> float:
    """Give the quanta per ray without an object: proportional to mAs and slice thickness."""
    return PHOTONS_PER_MAS_MM * tube_current_ma * rotation_ms * 1e-3 * slice_mm


def add_noise(lines: Singles, quanta: float, rng: np.random.Generator, per_mm: float = WATER_PER_MM) -> None:
    """Add quantum noise to line integrals, in place: N(0, exp(p) / quanta) on p, the attenuation, `per_mm` a unit.

    The draws do not depend on the lines, so that two scans with one seed differ by what they saw alone.
    """
    noise = rng.standard_normal(lines.shape, dtype=np.float32)
    noise *= np.exp(lines * np.float32(0.5 * per_mm))
    noise *= np.float32(1.0 / (np.sqrt(quanta) * per_mm))
    lines += noise
