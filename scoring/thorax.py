"""Landmarks of a plain cardiac CT: lungs, spine, the heart between them, aorta, and regions to measure noise and blood in.

Rules on tissue and place, none of them learnt. The volume is made coarse (3 mm), which is enough for organs and fast.
What is not clearly there is not found, with a reason: a wrong region to measure would be worse than none.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from scoring.round_vessels import FAT_EDGE_HU, NotFound, Roi, Tube, find_tube, roi_of_discs, stored_indices
from scoring.upright import UNSEEN_HU, Floats, Grid, Mask, Singles, axes_mm, coarse_grid, spread_over, turn_of
from scoring.volume import Volume

MIN_SLICES = 8
LUNG_HU = -400.0  # and below: lung, or air
_AIR_HU = -975.0  # a fifth of outside air lies below; of lung nothing
_LEAST_LUNG_CM3 = 150.0
_BONE_HU = 130.0
_RIM_MM = 8.0  # the heart reaches as far beyond the lungs' hull, towards the sternum
_LEAST_HEART_MM = 25.0  # inscribed radius
_OPENED_MM = 22.0  # wider than the aorta: what is thinner is no heart
_WIDEST_MM = (-70.0, 115.0)  # of the heart to either side of the spine's middle
_STILL_LARGE = 0.72  # of its full width: the heart goes on beyond that slice
_TOP_WIDTH = 0.55  # below it there are only great vessels
_LUNG_SHARE = 0.3  # of the hull in a slice that can show the heart
_DIAPHRAGM = 0.5  # of the largest lung share: the liver has come into view


@dataclass(frozen=True, slots=True)
class Coverage:
    """Whether the volume holds the whole heart. Each cut has its sentence in `reasons`."""

    cut_at_top: bool
    cut_at_bottom: bool
    cut_at_edge: bool
    reasons: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """True when nothing is cut."""
        return not self.reasons


@dataclass(frozen=True, slots=True)
class Frame:
    """The heart's own frame in patient coordinates, mm: its middle and half its extents, x, y and z."""

    centre_mm: tuple[float, float, float]
    half_mm: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Spine:
    """Middle of the vertebral bodies from side to side, and their front, in patient coordinates, mm."""

    x_mm: float
    front_y_mm: float


@dataclass(frozen=True, slots=True, eq=False)
class Thorax:
    """What was found. Masks of the whole volume are [slice, row, column]; a part that is not there says why."""

    heart: Mask  # the sac of the heart and the fat in it
    frame: Frame
    spine: Spine | NotFound
    descending: Tube | NotFound
    ascending: Tube | NotFound
    aorta_roi: Roi | NotFound
    blood_pool_roi: Roi | NotFound
    coverage: Coverage
    depth_mm: Singles  # coarse, [head, back, left]: from the surface of the heart inwards, 0 outside
    grid: Grid

    def depth_at_mm(self, point_mm: tuple[float, float, float]) -> float:
        """How deep a point lies inside the heart, mm; 0 outside."""
        return float(self.depth_mm[self.grid.index_of(point_mm)])


def find_thorax(volume: Volume) -> Thorax | NotFound:
    """Find the landmarks of a volume.

    Parameters
    ----------
    volume
        hu [slice, row, column] in HU, axial, plain or with contrast, fields of view of 180 to 500 mm.

    Returns
    -------
    Thorax or NotFound
        Not found: no lungs, no heart-sized soft tissue between them, too few slices, pixels askew to the patient.

    Notes
    -----
    Own rules, made on painted and simulated bodies; never measured on a real person. The result does not depend on how
    rows and columns run, nor on which end the slices begin at.
    """
    turn = turn_of(volume)
    if turn is None:
        return NotFound(("The rows of the pixels run askew to the patient; give an axial reconstruction.",))
    if len(volume.positions_mm) < MIN_SLICES:
        return NotFound((f"{len(volume.positions_mm)} slices are too few to find the heart in ({MIN_SLICES}).",))
    grid = coarse_grid(volume, turn)
    lungs, outside = _lungs(grid)
    if lungs is None:
        return NotFound(("No lungs are seen: this is no chest, or the field of view holds the heart only.",))
    hull, rim = _hulls(lungs, grid)
    spine = _spine(grid, hull)
    core = _core(grid, lungs, outside, hull, rim, spine)
    share = lungs.sum(axis=(1, 2)) / np.maximum(hull.sum(axis=(1, 2)), 1)
    heart = _heart(core, lungs, share, grid)
    if isinstance(heart, NotFound):
        return heart
    return _with_vessels(volume, grid, heart, core, spine, share, outside)


def _with_vessels(
    volume: Volume, grid: Grid, heart: Mask, core: Mask, spine: Spine | NotFound, share: Floats, outside: Mask
) -> Thorax:
    """Add the vessels, the regions to measure and the coverage to a heart."""
    axes = axes_mm(volume, grid.turn)
    step = grid.step_mm
    pool = _blood_pool(volume, grid, heart, axes)
    contrast = isinstance(pool, Roi) and pool.mean_hu > 100.0
    descending = _descending(volume, grid, spine, contrast)
    if isinstance(descending, Tube):
        heart = heart & ~_around(descending, grid)
    ascending = _ascending(volume, grid, core, heart, contrast)
    aorta: Roi | NotFound = NotFound(("No aorta was found to measure noise in.",))
    for name, tube in (("descending aorta", descending), ("ascending aorta", ascending)):
        if isinstance(tube, Tube) and isinstance(aorta, NotFound):
            aorta = roi_of_discs(name, tube, volume, axes, grid)
    depth = ndimage.distance_transform_edt(heart, sampling=step).astype(np.float32)
    return Thorax(
        heart=spread_over(heart, grid, volume),
        frame=_frame(heart, grid),
        spine=spine,
        descending=descending,
        ascending=ascending,
        aorta_roi=aorta,
        blood_pool_roi=pool,
        coverage=_coverage(heart, grid, share, outside),
        depth_mm=depth,
        grid=grid,
    )


def _lungs(grid: Grid) -> tuple[Mask | None, Mask]:
    """Lungs, and what is outside the body or was not seen, [head, back, left]."""
    unseen = grid.hu < UNSEEN_HU
    label, count = ndimage.label((grid.hu < LUNG_HU) & ~unseen)
    sizes = np.bincount(label.ravel(), minlength=count + 1)
    rim = np.zeros(grid.hu.shape[1:], dtype=bool)
    rim[[0, -1]] = rim[:, [0, -1]] = True
    touching = set(np.unique(label[:, rim])) | set(np.unique(label[ndimage.binary_dilation(unseen) & ~unseen]))
    lungs, outside = np.zeros(grid.hu.shape, dtype=bool), unseen.copy()
    for number in np.flatnonzero(sizes * grid.cell_cm3 >= 10.0):
        if number == 0:
            continue
        part = label == number
        if number in touching and np.percentile(grid.hu[part], 20) <= _AIR_HU:
            outside |= part
        else:
            lungs |= part
    return (lungs if lungs.sum() * grid.cell_cm3 >= _LEAST_LUNG_CM3 else None), outside


def _hulls(lungs: Mask, grid: Grid) -> tuple[Mask, Mask]:
    """Convex hull of the lungs of each slice, and the same grown by a rim, [head, back, left]."""
    angles = np.deg2rad(np.arange(0.0, 360.0, 12.0))
    reach = (
        np.cos(angles)[:, None, None] * grid.x_mm[None, None, :]
        + np.sin(angles)[:, None, None] * grid.y_mm[None, :, None]
    ).astype(np.float32)
    hull, rim = np.zeros_like(lungs), np.zeros_like(lungs)
    least = 1200.0 / (grid.step_mm[1] * grid.step_mm[2])  # 12 cm2
    for n, page in enumerate(lungs):
        if page.sum() < least:
            continue
        support = reach[:, page].max(axis=1)[:, None, None]
        hull[n] = np.all(reach <= support, axis=0)
        rim[n] = np.all(reach <= support + _RIM_MM, axis=0)
    return hull, rim


def _spine(grid: Grid, hull: Mask) -> Spine | NotFound:
    """Find the vertebrae: the most bone at the back, in the middle of the hull's rear."""
    rear = np.array([grid.y_mm[np.flatnonzero(page.any(axis=1))[-1]] for page in hull if page.any()])
    edge = float(np.median(rear))
    window = (grid.y_mm > edge - 30.0) & (grid.y_mm < edge + 35.0)
    bone = (grid.hu > _BONE_HU) & window[None, :, None]
    across = bone.sum(axis=(0, 1)).astype(np.float64)
    wide = max(1, round(36.0 / grid.step_mm[2]))
    summed = np.convolve(across, np.ones(wide), mode="same")
    place = float(grid.x_mm[int(np.argmax(summed))])
    near = np.abs(grid.x_mm - place) <= 18.0
    body = bone[:, :, near]
    if body.sum() * grid.cell_cm3 < 0.25 * len(grid.z_mm) * grid.step_mm[0]:
        return NotFound(("No spine is seen: too little bone behind the lungs.",))
    counts = body.sum(axis=2) >= max(2, round(9.0 / grid.step_mm[2]))
    fronts = [grid.y_mm[np.flatnonzero(page)[0]] for page in counts if page.any()]
    if not fronts:
        return NotFound(("No spine is seen: too little bone behind the lungs.",))
    return Spine(place, float(np.median(fronts)))


def _core(
    grid: Grid, lungs: Mask, outside: Mask, hull: Mask, rim: Mask, spine: Spine | NotFound
) -> Mask:
    """Everything between the lungs that is neither lung nor bone, [head, back, left]."""
    core = rim & ~lungs & ~outside & ~((grid.hu > _BONE_HU) & ~hull)
    if isinstance(spine, NotFound):
        return np.asarray(core)
    core &= (grid.x_mm >= spine.x_mm + _WIDEST_MM[0]) & (grid.x_mm <= spine.x_mm + _WIDEST_MM[1])
    barred = (grid.y_mm[:, None] >= spine.front_y_mm - 3.0) & (np.abs(grid.x_mm - spine.x_mm) <= 28.0)
    return np.asarray(core & ~barred)


def _heart(core: Mask, lungs: Mask, share: Floats, grid: Grid) -> Mask | NotFound:
    """The widest thing of the core with lung on either side, without what is thinner than the aorta is wide."""
    depth = ndimage.distance_transform_edt(core, sampling=grid.step_mm)
    chest = share >= _LUNG_SHARE
    if not chest.any():
        return NotFound(("No slice shows lungs around a heart; this is the abdomen, or the neck.",))
    seeds = np.where(chest[:, None, None], depth, 0.0)
    place = np.unravel_index(int(np.argmax(seeds)), seeds.shape)
    radius = float(seeds[place])
    beside = lungs[place[0]].any(axis=0)
    if radius < _LEAST_HEART_MM or not (beside[: place[2]].any() and beside[place[2] :].any()):
        return NotFound(("No soft tissue as large as a heart lies between two lungs.",))
    opened = min(_OPENED_MM, 0.6 * radius)
    label, _ = ndimage.label(depth > opened)
    away = ndimage.distance_transform_edt(label != label[place], sampling=grid.step_mm)
    heart = core & (away <= opened + 10.0)
    return _between_top_and_liver(heart, place[0], share, grid)


def _between_top_and_liver(heart: Mask, seed: int, share: Floats, grid: Grid) -> Mask | NotFound:
    """Cut off great vessels above, and below what does not lie under the heart."""
    widths = _widths(heart, grid)
    full = _full_width(widths, share)
    for n in range(seed, len(heart)):
        if widths[n] < _TOP_WIDTH * full:
            heart[n:] = False
            break
    upper = share >= _DIAPHRAGM * share.max()
    under = heart[upper].any(axis=0)
    heart[: seed + 1] &= ndimage.binary_dilation(under, iterations=2)
    below = np.flatnonzero(~upper[: seed + 1])
    if len(below):
        gone = grid.z_mm < grid.z_mm[below[-1]] - 45.0
        heart[gone & (np.arange(len(heart)) <= seed)] = False
    label, count = ndimage.label(heart)
    if count == 0:
        return NotFound(("No soft tissue as large as a heart lies between two lungs.",))
    sizes = np.bincount(label.ravel())[1:]
    return np.asarray(label == 1 + int(np.argmax(sizes)))


def _widths(heart: Mask, grid: Grid) -> Floats:
    """Width of the heart in each slice: of its fifth widest tenth of rows, mm."""
    rows = heart.sum(axis=2) * grid.step_mm[2]
    return np.array([float(np.percentile(row[row > 0], 80)) if (row > 0).any() else 0.0 for row in rows])


def _full_width(widths: Floats, share: Floats) -> float:
    """Full width of the heart, where lungs lie around it."""
    return float(np.percentile(widths[share >= _DIAPHRAGM * share.max()], 90))


def _frame(heart: Mask, grid: Grid) -> Frame:
    """Middle and extents: between the 2nd and the 98th percentile of the heart's cells."""
    z, y, x = np.nonzero(heart)
    low = [float(np.percentile(axis[index], 2)) for axis, index in ((grid.x_mm, x), (grid.y_mm, y), (grid.z_mm, z))]
    high = [float(np.percentile(axis[index], 98)) for axis, index in ((grid.x_mm, x), (grid.y_mm, y), (grid.z_mm, z))]
    middle = [0.5 * (a + b) for a, b in zip(low, high, strict=True)]
    half = [max(0.5 * (b - a), 1.0) for a, b in zip(low, high, strict=True)]
    return Frame((middle[0], middle[1], middle[2]), (half[0], half[1], half[2]))


def _coverage(heart: Mask, grid: Grid, share: Floats, outside: Mask) -> Coverage:
    """Tell whether the heart is still large in the first or last slice, or lies at the edge of the field."""
    widths = _widths(heart, grid)
    full = _full_width(widths, share)
    top = bool(widths[-1] >= _STILL_LARGE * full)
    bottom = bool(widths[0] >= _STILL_LARGE * full and share[0] >= _DIAPHRAGM * share.max())
    rim = np.zeros(heart.shape[1:], dtype=bool)
    rim[[0, -1]] = rim[:, [0, -1]] = True
    at_rim = (heart & rim).sum(axis=(1, 2)) + (heart & ndimage.binary_dilation(outside)).sum(axis=(1, 2))
    edge = bool(np.count_nonzero(at_rim >= 4) >= 3)
    reasons = []
    if top:
        reasons.append("The heart is still at its full width in the slice nearest to the head: it goes on above.")
    if bottom:
        reasons.append("The heart is still at its full width in the slice nearest to the feet: it goes on below.")
    if edge:
        reasons.append("The heart lies at the edge of the field of view: part of it was not reconstructed.")
    return Coverage(top, bottom, edge, tuple(reasons))


def _blood_pool(volume: Volume, grid: Grid, heart: Mask, axes: tuple[Floats, Floats, Floats]) -> Roi | NotFound:
    """A ball in the widest part of the heart that is neither fat nor calcium."""
    smooth = ndimage.gaussian_filter(grid.hu, 0.7)
    inner = ndimage.distance_transform_edt(heart, sampling=grid.step_mm) >= 12.0
    depth = ndimage.distance_transform_edt(inner & (smooth > FAT_EDGE_HU + 10.0), sampling=grid.step_mm)
    place = np.unravel_index(int(np.argmax(depth)), depth.shape)
    if depth[place] < 9.0:
        return NotFound(("No part of the heart's interior is free of fat and wide enough to measure blood in.",))
    radius = min(0.7 * float(depth[place]), 12.0)
    middle = grid.z_mm[place[0]], grid.y_mm[place[1]], grid.x_mm[place[2]]
    picked = [np.flatnonzero(np.abs(axis - at) <= radius) for axis, at in zip(axes, middle, strict=True)]
    far = [(axis[index] - at) ** 2 for axis, index, at in zip(axes, picked, middle, strict=True)]
    ball = np.nonzero(far[0][:, None, None] + far[1][None, :, None] + far[2][None, None, :] <= radius**2)
    slices, rows, columns = (index[part] for index, part in zip(picked, ball, strict=True))
    values = grid.turn.upright(volume.hu)[slices, rows, columns]
    spreads = [float(values[slices == n].std()) for n in np.unique(slices)]
    indices = stored_indices(slices, rows, columns, grid, volume.hu.shape)
    return Roi("interior of the heart", indices, float(values.mean()), float(np.median(spreads)))


def _around(tube: Tube, grid: Grid) -> Mask:
    """Cells inside a tube, with its wall."""
    out = np.zeros(grid.hu.shape, dtype=bool)
    for n, z in enumerate(grid.z_mm):
        x, y = float(np.interp(z, tube.z_mm, tube.x_mm)), float(np.interp(z, tube.z_mm, tube.y_mm))
        out[n] = (grid.y_mm[:, None] - y) ** 2 + (grid.x_mm - x) ** 2 <= (tube.radius_mm + 3.0) ** 2
    return out


def _fine(volume: Volume, grid: Grid, contrast: bool) -> tuple[Grid, Mask]:
    """A finer grid, and its soft tissue; with contrast bright blood is soft tissue too."""
    fine = coarse_grid(volume, grid.turn, 1.6)
    smooth = ndimage.gaussian_filter(fine.hu, (0.0, 0.8, 0.8))
    return fine, np.asarray((smooth > FAT_EDGE_HU) & (smooth < (np.inf if contrast else _BONE_HU)))


def _descending(volume: Volume, grid: Grid, spine: Spine | NotFound, contrast: bool) -> Tube | NotFound:
    """The round vessel before and left of the spine."""
    if isinstance(spine, NotFound):
        return NotFound(("No descending aorta: there is no spine to look beside.",))
    x, y = spine.x_mm, spine.front_y_mm
    fine, soft = _fine(volume, grid, contrast)
    soft &= ~((fine.y_mm[:, None] >= y - 2.0) & (np.abs(fine.x_mm - x) <= 20.0))
    rows = np.flatnonzero((fine.y_mm > y - 48.0) & (fine.y_mm < y + 18.0))
    columns = np.flatnonzero((fine.x_mm > x - 15.0) & (fine.x_mm < x + 62.0))
    return _tube_in(fine, soft, rows, columns, np.arange(len(fine.z_mm)), (7.5, 17.5), 0.5, "descending")


def _ascending(volume: Volume, grid: Grid, core: Mask, heart: Mask, contrast: bool) -> Tube | NotFound:
    """The round vessel in the middle of what lies above the heart's widest part."""
    z, y, x = np.nonzero(heart)
    top = float(np.percentile(grid.z_mm[z], 98))
    low = float(np.percentile(grid.z_mm[z], 75))
    fine, soft = _fine(volume, grid, contrast)
    middle_x, middle_y = float(np.mean(grid.x_mm[x])), float(np.mean(grid.y_mm[y]))
    rows = np.flatnonzero(np.abs(fine.y_mm - middle_y) < 45.0)
    columns = np.flatnonzero((fine.x_mm > middle_x - 50.0) & (fine.x_mm < middle_x + 25.0))
    levels = np.flatnonzero((fine.z_mm >= low) & (fine.z_mm <= max(top + 15.0, low + 30.0)))
    del core
    return _tube_in(fine, soft, rows, columns, levels, (11.0, 21.0), 0.4, "ascending")


def _tube_in(
    fine: Grid, soft: Mask, rows: Floats, columns: Floats, levels: Floats, radius_mm: tuple[float, float], share: float,
    name: str,
) -> Tube | NotFound:
    """Look for a tube in a window of the finer grid."""
    if min(len(rows), len(columns)) < 8 or len(levels) < 4:
        return NotFound((f"No {name} aorta: where it should be is outside the field of view.",))
    part = Grid(
        fine.hu[np.ix_(levels, rows, columns)], fine.z_mm[levels], fine.y_mm[rows], fine.x_mm[columns], fine.step_mm,
        fine.turn,
    )
    found = find_tube(soft[np.ix_(levels, rows, columns)], part, radius_mm, share)
    if isinstance(found, NotFound):
        return NotFound(tuple(f"No {name} aorta: {reason}." for reason in found.reasons))
    return found
