"""Great vessels that stand about upright: in slice after slice a round thing of soft tissue at nearly one place."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scoring.upright import Floats, Grid, Mask
from scoring.volume import Volume

BONE_HU = 130.0
FAT_EDGE_HU = -10.0  # between fat (-100) and blood (40)
_STRAIGHT_MM = 7.0  # a slice's circle may lie as far from the line through them all
_LEAN = 0.4  # its middle moves at most, mm per mm along the slices
_CALCIUM_HU = 160.0  # above blood's mean: more than noise reaches
_BLOOD_SD_HU = 15.0  # of the slices' means: more, and it is not one vessel


@dataclass(frozen=True, slots=True)
class NotFound:
    """A landmark that is not there, or that was not believed; each reason is one sentence."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Tube:
    """A round vessel: a circle in each of some slices, in patient coordinates."""

    z_mm: Floats  # [circle], ascending
    x_mm: Floats
    y_mm: Floats
    radius_mm: float

    def distance_mm(self, point_mm: tuple[float, float, float], beyond_mm: float = 5.0) -> float:
        """Distance of a point from the middle line, in the plane; infinite above and below the tube."""
        x, y, z = point_mm
        if not self.z_mm[0] - beyond_mm <= z <= self.z_mm[-1] + beyond_mm:
            return float("inf")
        at = float(np.interp(z, self.z_mm, self.x_mm)), float(np.interp(z, self.z_mm, self.y_mm))
        return float(np.hypot(x - at[0], y - at[1]))

    def cells(self, grid: Grid, wall_mm: float = 2.0) -> Mask:
        """Mark the cells inside it, with its wall, [head, back, left]; above and below it goes on straight."""
        out = np.zeros(grid.hu.shape, dtype=bool)
        for n, z in enumerate(grid.z_mm):
            x, y = float(np.interp(z, self.z_mm, self.x_mm)), float(np.interp(z, self.z_mm, self.y_mm))
            out[n] = (grid.y_mm[:, None] - y) ** 2 + (grid.x_mm - x) ** 2 <= (self.radius_mm + wall_mm) ** 2
        return out


@dataclass(frozen=True, slots=True, eq=False)
class Roi:
    """Pixels to measure: `pixels` are the indices (slices, rows, columns) into the volume's hu."""

    name: str
    pixels: tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
    mean_hu: float
    sd_hu: float  # median over the slices of the SD inside one slice: noise, whatever the slices' means do


def find_tube(
    soft: Mask, grid: Grid, radius_mm: tuple[float, float], share: float, last_x_mm: float = np.inf
) -> Tube | NotFound:
    """Find the straightest column of round things.

    Parameters
    ----------
    soft
        Where the vessel may be, [head, back, left]; its inscribed circles are looked at, slice by slice.
    grid
        Geometry of `soft`.
    radius_mm
        Least and largest radius.
    share
        Of the slices that must show it.
    last_x_mm
        Its middle lies no farther to the left.
    """
    step = (grid.step_mm[1], grid.step_mm[2])
    places = []
    for n, page in enumerate(soft):
        if not page.any():
            continue
        depth = ndimage.distance_transform_edt(np.pad(page, 1), sampling=step)[1:-1, 1:-1]
        top = (depth >= ndimage.maximum_filter(depth, size=5)) & (depth >= radius_mm[0]) & (depth <= radius_mm[1])
        label, count = ndimage.label(top, np.ones((3, 3)))  # of a plateau its middle
        for r, c in ndimage.center_of_mass(top, label, range(1, count + 1)):
            row, column = round(r), round(c)
            if grid.x_mm[column] <= last_x_mm:
                places.append((n, grid.x_mm[column], grid.y_mm[row], depth[row, column]))
    if not places:
        return NotFound(("nothing round of its size",))
    found = np.array(places)
    z = grid.z_mm[found[:, 0].astype(int)]
    of_slice = (found[:, 0][:, None] == np.arange(len(soft))).astype(np.float32)
    alike = np.abs(found[:, 3][:, None] - found[:, 3]) < 0.35 * radius_mm[1]
    best: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
    most = 0
    for lean_x, lean_y in product(np.linspace(-_LEAN, _LEAN, 5), repeat=2):
        x, y = found[:, 1] - lean_x * (z - z.mean()), found[:, 2] - lean_y * (z - z.mean())
        near = alike & (np.hypot(x[:, None] - x, y[:, None] - y) < _STRAIGHT_MM)
        slices = (near.astype(np.float32) @ of_slice > 0).sum(axis=1)
        if slices.max() > most:
            most = int(slices.max())
            best = np.flatnonzero(near[int(np.argmax(slices))])
    _, first = np.unique(found[best, 0], return_index=True)
    members = best[first]
    needed = max(4, int(np.ceil(share * len(soft))))
    if len(members) < needed:
        return NotFound((f"a round thing of its size stands in {len(members)} slices, not in {needed}",))
    return Tube(z[members], found[members, 1], found[members, 2], float(np.median(found[members, 3])))


def roi_of_discs(
    name: str, tube: Tube, volume: Volume, axes: tuple[Floats, Floats, Floats], grid: Grid, share: float = 0.6
) -> Roi | NotFound:
    """Take the inner part of a tube's circles as a region to measure; refuse one that is not of one density."""
    z_axis, y_axis, x_axis = axes
    upright = grid.turn.upright(volume.hu)
    radius = share * tube.radius_mm
    chosen, means, spreads, peaks = [], [], [], []
    for x, y, z in zip(tube.x_mm, tube.y_mm, tube.z_mm, strict=True):
        n = int(np.abs(z_axis - z).argmin())
        rows = np.flatnonzero(np.abs(y_axis - y) <= radius)
        columns = np.flatnonzero(np.abs(x_axis - x) <= radius)
        inside = (y_axis[rows][:, None] - y) ** 2 + (x_axis[columns] - x) ** 2 <= radius**2
        r, c = np.nonzero(inside)
        values = upright[n, rows[r], columns[c]]
        if len(values) < 8 or not np.all(np.isfinite(values)):
            continue
        chosen.append((np.full(len(r), n), rows[r], columns[c]))
        means.append(float(values.mean()))
        spreads.append(float(values.std()))
        peaks.append(float(values.max()))
    if len(chosen) < 4:
        return NotFound((f"{name}: too few pixels inside the field",))
    middle = float(np.median(means))
    clean = np.array(peaks) < middle + _CALCIUM_HU  # a circle with calcium in it is left out
    like = clean & (np.abs(np.array(means) - middle) < _BLOOD_SD_HU)
    if like.sum() < 0.7 * clean.sum() or like.sum() < 4 or not -20.0 < middle < 700.0:
        return NotFound((f"{name}: its slices differ too much in density to be one vessel",))
    kept = [one for one, alike in zip(chosen, like, strict=True) if alike]
    slices, rows, columns = (np.concatenate(part) for part in zip(*kept, strict=True))
    values = upright[slices, rows, columns]
    sd = float(np.median(np.array(spreads)[like]))
    return Roi(name, stored_indices(slices, rows, columns, grid, volume.hu.shape), float(values.mean()), sd)


def roi_of_ball(
    name: str,
    middle_mm: tuple[float, float, float],
    radius_mm: float,
    volume: Volume,
    axes: tuple[Floats, Floats, Floats],
    grid: Grid,
) -> Roi:
    """Take a ball around a point z, y, x as a region to measure."""
    picked = [np.flatnonzero(np.abs(axis - at) <= radius_mm) for axis, at in zip(axes, middle_mm, strict=True)]
    far = [(axis[index] - at) ** 2 for axis, index, at in zip(axes, picked, middle_mm, strict=True)]
    ball = np.nonzero(far[0][:, None, None] + far[1][None, :, None] + far[2][None, None, :] <= radius_mm**2)
    slices, rows, columns = (index[part] for index, part in zip(picked, ball, strict=True))
    values = grid.turn.upright(volume.hu)[slices, rows, columns]
    spreads = [float(values[slices == n].std()) for n in np.unique(slices)]
    indices = stored_indices(slices, rows, columns, grid, volume.hu.shape)
    return Roi(name, indices, float(values.mean()), float(np.median(spreads)))


def stored_indices(
    slices: NDArray[np.intp], rows: NDArray[np.intp], columns: NDArray[np.intp], grid: Grid, shape: tuple[int, ...]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Turn upright indices back into those of the volume's own array of `shape`."""
    sizes = (shape[0], shape[2], shape[1]) if grid.turn.swapped else (shape[0], shape[1], shape[2])
    back = [
        size - 1 - index if reverse else index
        for index, size, reverse in zip((slices, rows, columns), sizes, grid.turn.reversed_axes, strict=True)
    ]
    return (back[0], back[2], back[1]) if grid.turn.swapped else (back[0], back[1], back[2])


def window(fine: Grid, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]) -> Grid:
    """Cut a part out of a grid, mm; it may be empty."""
    axes = (fine.z_mm, fine.y_mm, fine.x_mm)
    inside = [np.flatnonzero((axis >= a) & (axis <= b)) for axis, (a, b) in zip(axes, (z, y, x), strict=True)]
    levels, rows, columns = inside
    hu = fine.hu[np.ix_(levels, rows, columns)]
    return Grid(hu, fine.z_mm[levels], fine.y_mm[rows], fine.x_mm[columns], fine.step_mm, fine.turn)


def soft_tissue(part: Grid, contrast: bool) -> Mask:
    """Mark soft tissue; with contrast bright blood is soft tissue too."""
    smooth = ndimage.gaussian_filter(part.hu, (0.0, 0.8, 0.8))
    return np.asarray((smooth > FAT_EDGE_HU) & (smooth < (np.inf if contrast else BONE_HU)))


def named(found: Tube | NotFound, name: str) -> Tube | NotFound:
    """Say of which vessel a reason speaks."""
    if isinstance(found, NotFound):
        return NotFound(tuple(f"No {name} aorta: {reason}." for reason in found.reasons))
    return found
