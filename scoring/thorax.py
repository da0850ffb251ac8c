"""Landmarks of a plain cardiac CT: lungs, spine, heart, aorta, and regions to measure noise and blood in.

Rules on tissue and place, none of them learnt. The volume is made coarse (3 mm), which is enough for organs and fast.
What is not clearly there is not found, with a reason: a wrong region to measure would be worse than none.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from scoring.round_vessels import (
    BONE_HU,
    FAT_EDGE_HU,
    NotFound,
    Roi,
    Tube,
    find_tube,
    named,
    roi_of_ball,
    roi_of_discs,
    soft_tissue,
    window,
)
from scoring.upright import (
    UNSEEN_HU,
    Floats,
    Grid,
    Mask,
    Singles,
    axes_mm,
    box_of,
    coarser,
    depth_in,
    hulls,
    spread_over,
    turn_of,
    upright_grid,
)
from scoring.volume import Volume

MIN_SLICES = 8
LUNG_HU = -400.0  # and below: lung, or air
_AIR_HU = -975.0  # a fifth of outside air lies below; of lung nothing
_LEAST_LUNG_CM3 = 150.0
_LEAST_SPINE_CM2 = 0.5  # of bone in a slice, in the mean: a strip at the field's edge is enough
_OFF_MIDDLE_MM = 45.0  # of the spine, from the middle between the lungs as far as the field shows them
_RIM_MM = 8.0  # the heart reaches as far beyond the lungs' hull, towards the sternum
_LEAST_HEART_MM = 25.0  # inscribed radius
_OPENED_MM = 22.0  # wider than the aorta: what is thinner is no heart
_WIDEST_MM = (-70.0, 115.0)  # of the heart to either side of the spine's middle
_STILL_LARGE = 0.82  # of its full width: the heart goes on beyond that slice
_SHOULDER = 0.72  # where the frame's top is
_TOP_WIDTH = 0.55  # below it there are only great vessels
_LUNG_SHARE = 0.3  # right of the heart, in a slice that can show its middle
_DIAPHRAGM = 0.5  # below this share the liver has come into view
_CLEAR_OF_LIVER = 0.85
_RIGHT_OF_HEART_MM = 45.0  # from the spine's middle
_BELOW_DOME_MM = 50.0  # as far below the liver's dome the heart may reach
_PAST_DOME_MM = 20.0  # a scan that goes on so far below the dome has the heart's lower end
_FINE_MM, _COARSE_MM = 1.5, 3.0
_INNER_MM = 12.0
_CUTS = (
    "The heart is still at its full width in the slice nearest to the head: it goes on above.",
    "The heart is still at its full width in the slice nearest to the feet: it goes on below.",
    "The heart lies at the edge of the field of view: part of it was not reconstructed.",
)
_NO_SPINE = NotFound(("No spine is seen: too little bone behind the lungs.",))
CONTRAST_HU = 100.0  # mean of the heart's interior: more is contrast (blood has 30 to 60)


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

    def place(self, point_mm: tuple[float, float, float]) -> tuple[float, float, float]:
        """Give a point x, y, z in the frame: 0 in the middle, 1 at the rim, to the left, back and head."""
        x, y, z = ((p - c) / h for p, c, h in zip(point_mm, self.centre_mm, self.half_mm, strict=True))
        return x, y, z


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
    fine = upright_grid(volume, turn, _FINE_MM)
    grid = coarser(fine, _COARSE_MM)
    lungs, outside = _lungs(grid)
    if lungs is None:
        return NotFound(("No lungs are seen: this is no chest, or the field of view holds the heart only.",))
    hull, rim = hulls(lungs, grid, _RIM_MM)
    spine = _spine(grid, hull)
    core = _core(grid, lungs, outside, hull, rim, spine)
    share = _lung_share(lungs, hull, spine, grid)
    heart = _heart(core, lungs, share, grid)
    if isinstance(heart, NotFound):
        return heart
    return _with_vessels(volume, fine, grid, heart, spine, share, (lungs, outside))


def _with_vessels(
    volume: Volume, fine: Grid, grid: Grid, heart: Mask, spine: Spine | NotFound, share: Floats, air: tuple[Mask, Mask]
) -> Thorax:
    """Add the vessels, the regions to measure and the coverage to a heart."""
    axes = axes_mm(volume, grid.turn)
    depth = depth_in(heart, grid)
    pool = _blood_pool(volume, grid, depth, share, axes)
    contrast = isinstance(pool, Roi) and pool.mean_hu > CONTRAST_HU
    frame = _frame(heart, depth, grid, share)
    descending = _descending(fine, spine, contrast)
    if isinstance(descending, Tube):
        depth[descending.cells(grid)] = 0.0
        heart = depth > 0.0
    ascending = _ascending(fine, frame, spine, contrast)
    aorta: Roi | NotFound = NotFound(("No aorta was found to measure noise in.",))
    for name, tube in (("descending aorta", descending), ("ascending aorta", ascending)):
        if isinstance(tube, Tube) and isinstance(aorta, NotFound):
            aorta = roi_of_discs(name, tube, volume, axes, grid)
    return Thorax(
        heart=spread_over(heart, grid, volume),
        frame=frame,
        spine=spine,
        descending=descending,
        ascending=ascending,
        aorta_roi=aorta,
        blood_pool_roi=pool,
        coverage=_coverage(heart, grid, share, *air),
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


def _spine(grid: Grid, hull: Mask) -> Spine | NotFound:
    """Find the vertebrae: the most bone at the back, in the middle of the hull's rear."""
    rear = np.array([grid.y_mm[np.flatnonzero(page.any(axis=1))[-1]] for page in hull if page.any()])
    edge = float(np.median(rear))
    window = (grid.y_mm > edge - 45.0) & (grid.y_mm < edge + 35.0)
    bone = (grid.hu > BONE_HU) & window[None, :, None]
    across = bone.sum(axis=(0, 1)).astype(np.float64)
    wide = max(1, round(36.0 / grid.step_mm[2]))
    summed = np.convolve(across, np.ones(wide), mode="same")
    summed[np.abs(grid.x_mm - grid.x_mm[np.nonzero(hull)[2]].mean()) > _OFF_MIDDLE_MM] = 0.0  # there are ribs
    place = float(grid.x_mm[int(np.argmax(summed))])
    near = np.abs(grid.x_mm - place) <= 18.0
    body = bone[:, :, near]
    if body.sum() * grid.cell_cm3 < _LEAST_SPINE_CM2 * 0.1 * len(grid.z_mm) * grid.step_mm[0]:
        return _NO_SPINE
    counts = body.sum(axis=2) >= max(2, round(9.0 / grid.step_mm[2]))
    fronts = [grid.y_mm[np.flatnonzero(page)[0]] for page in counts if page.any()]
    return Spine(place, float(np.median(fronts))) if fronts else _NO_SPINE


def _core(grid: Grid, lungs: Mask, outside: Mask, hull: Mask, rim: Mask, spine: Spine | NotFound) -> Mask:
    """Everything between the lungs that is neither lung nor bone, [head, back, left]."""
    core = rim & ~lungs & ~outside & ~((grid.hu > BONE_HU) & ~hull)
    if isinstance(spine, NotFound):
        return np.asarray(core)
    core &= (grid.x_mm >= spine.x_mm + _WIDEST_MM[0]) & (grid.x_mm <= spine.x_mm + _WIDEST_MM[1])
    barred = (grid.y_mm[:, None] >= spine.front_y_mm - 3.0) & (np.abs(grid.x_mm - spine.x_mm) <= 28.0)
    return np.asarray(core & ~barred)


def _lung_share(lungs: Mask, hull: Mask, spine: Spine | NotFound, grid: Grid) -> Floats:
    """Share of lung in the hull to the right of the heart, [head]: it falls where the liver's dome comes into view."""
    middle = spine.x_mm if isinstance(spine, Spine) else float(grid.x_mm[np.nonzero(hull)[2]].mean())
    right = hull & (grid.x_mm < middle - _RIGHT_OF_HEART_MM)
    cells = right.sum(axis=(1, 2))
    share = (lungs & right).sum(axis=(1, 2)) / np.maximum(cells, 1)
    known = np.flatnonzero(cells * grid.step_mm[1] * grid.step_mm[2] >= 200.0)
    if not len(known):  # the field ends there: nothing speaks of a liver
        return np.asarray(hull.any(axis=(1, 2)), dtype=np.float64)
    # a slice that shows too little is like its neighbour
    return np.asarray(np.interp(np.arange(len(share)), known, share[known]), dtype=np.float64)


def _heart(core: Mask, lungs: Mask, share: Floats, grid: Grid) -> Mask | NotFound:
    """Take the widest thing of the core with lung on either side, without what is thinner than an aorta."""
    depth = depth_in(core, grid)
    chest = share >= _LUNG_SHARE
    if not chest.any():
        return NotFound(("No slice shows lungs around a heart; this is the abdomen, or the neck.",))
    seeds = np.where((share >= _CLEAR_OF_LIVER)[:, None, None], depth, 0.0)
    if seeds.max() < _LEAST_HEART_MM:
        seeds = np.where(chest[:, None, None], depth, 0.0)
    place = np.unravel_index(int(np.argmax(seeds)), seeds.shape)
    radius = float(seeds[place])
    beside = lungs[place[0]].any(axis=0)
    if radius < _LEAST_HEART_MM or not (beside[: place[2]].any() and beside[place[2] :].any()):
        return NotFound(("No soft tissue as large as a heart lies between two lungs.",))
    opened = min(_OPENED_MM, 0.6 * radius)
    label, _ = ndimage.label(depth > opened)
    inside = box_of(core)
    away = ndimage.distance_transform_edt(label[inside] != label[place], sampling=grid.step_mm)
    heart = np.zeros_like(core)
    heart[inside] = core[inside] & (away <= opened + 10.0)
    return _between_top_and_liver(heart, int(place[0]), share, grid)


def _between_top_and_liver(heart: Mask, seed: int, share: Floats, grid: Grid) -> Mask | NotFound:
    """Cut off great vessels above, and below what does not lie under the heart."""
    widths = _widths(heart, grid)
    full = _full_width(widths, share)
    narrow = np.flatnonzero((widths < _TOP_WIDTH * full) & (np.arange(len(heart)) > seed))
    if len(narrow):
        heart[narrow[0] :] = False
    chest = share >= _DIAPHRAGM
    under = ndimage.binary_dilation(heart[chest].any(axis=0), iterations=2)
    heart[~chest] &= under
    if (dome := _dome_mm(share, seed, grid)) is not None:
        heart[grid.z_mm < dome - _BELOW_DOME_MM] = False
    label, count = ndimage.label(heart)
    if count == 0:
        return NotFound(("No soft tissue as large as a heart lies between two lungs.",))
    return np.asarray(label == 1 + int(np.argmax(np.bincount(label.ravel())[1:])))


def _dome_mm(share: Floats, seed: int, grid: Grid) -> float | None:
    """Height below which the liver fills the right side; None where it is not in view."""
    below = np.flatnonzero(share[: seed + 1] < _DIAPHRAGM)
    return float(grid.z_mm[below[-1]]) if len(below) else None


def _widths(heart: Mask, grid: Grid) -> Floats:
    """Width of the heart in each slice, mm: of its widest rows but a twentieth."""
    rows = heart.sum(axis=2) * grid.step_mm[2]
    return np.array([float(np.percentile(row[row > 0], 95)) if (row > 0).any() else 0.0 for row in rows])


def _full_width(widths: Floats, share: Floats) -> float:
    """Full width of the heart, where lungs lie around it."""
    inside = widths[(share >= _CLEAR_OF_LIVER) & (widths > 0)]
    return float(np.percentile(inside, 90)) if len(inside) else float(widths.max())


def _frame(heart: Mask, depth: Singles, grid: Grid, share: Floats) -> Frame:
    """Middle and extents. In height: from its narrowing at the top to its end, or below the liver's dome."""
    widths = _widths(heart, grid)
    full = _full_width(widths, share)
    wide = np.flatnonzero((widths >= _SHOULDER * full) & (share >= _DIAPHRAGM))
    if not len(wide):
        wide = np.flatnonzero(widths > 0)
    top = float(grid.z_mm[wide[-1]])
    dome = _dome_mm(share, int(wide[len(wide) // 2]), grid)
    low = float(grid.z_mm[wide[0]]) if dome is None else dome - 0.5 * _BELOW_DOME_MM
    inner = depth[wide] >= _INNER_MM  # without spurs to sternum and spine
    _, y, x = np.nonzero(inner if inner.any() else heart[wide])
    sides = [
        (float(axis[k].mean()), 2.0 * float(axis[k].std()) + _INNER_MM) for axis, k in ((grid.x_mm, x), (grid.y_mm, y))
    ]
    low = max(low, float(grid.z_mm[0]))
    (middle_x, half_x), (middle_y, half_y) = sides
    return Frame((middle_x, middle_y, 0.5 * (low + top)), (half_x, half_y, max(0.5 * (top - low), 1.0)))


def _coverage(heart: Mask, grid: Grid, share: Floats, lungs: Mask, outside: Mask) -> Coverage:
    """Tell whether the heart is still large in the first or last slice, or lies at the edge of the field."""
    widths = _widths(heart, grid)
    full = _full_width(widths, share)
    top = bool(widths[-1] >= _STILL_LARGE * full)
    dome = _dome_mm(share, int(np.argmax(np.where(share >= _DIAPHRAGM, widths, 0.0))), grid)
    passed = dome is not None and dome - grid.z_mm[0] >= _PAST_DOME_MM
    bottom = bool(widths[0] >= _STILL_LARGE * full and not passed)
    rim = np.zeros(heart.shape[1:], dtype=bool)
    rim[[0, -1]] = rim[:, [0, -1]] = True
    at_rim = (heart & rim).sum(axis=(1, 2)) + (heart & ndimage.binary_dilation(outside)).sum(axis=(1, 2))
    edge = bool(np.count_nonzero(at_rim >= 4) >= 3) or _without_lung_beside(heart, lungs, widths >= _STILL_LARGE * full)
    said = zip((top, bottom, edge), _CUTS, strict=True)
    return Coverage(top, bottom, edge, tuple(reason for cut, reason in said if cut))


def _without_lung_beside(heart: Mask, lungs: Mask, wide: Mask) -> bool:
    """Whether, in most of the slices that show the heart wide, one side has no lung at the height of its middle."""
    bare = 0
    for page, lung in zip(heart[wide], lungs[wide], strict=True):
        rows, columns = np.nonzero(page)
        row, column = round(rows.mean()), round(columns.mean())
        beside = lung[max(row - 5, 0) : row + 6].any(axis=0)
        bare += not (beside[:column].any() and beside[column:].any())
    return bool(2 * bare > np.count_nonzero(wide))


def _blood_pool(
    volume: Volume, grid: Grid, depth: Singles, share: Floats, axes: tuple[Floats, Floats, Floats]
) -> Roi | NotFound:
    """Measure a ball in the widest part of the heart that is neither fat nor at its rim."""
    smooth = ndimage.gaussian_filter(grid.hu, 0.7)
    tissue = (depth >= 12.0) & (smooth > FAT_EDGE_HU + 10.0) & (share >= _CLEAR_OF_LIVER)[:, None, None]
    wide = depth_in(tissue, grid)
    place = np.unravel_index(int(np.argmax(wide)), wide.shape)
    if wide[place] < 9.0:
        return NotFound(("No part of the heart's interior is free of fat and wide enough to measure blood in.",))
    radius = min(0.7 * float(wide[place]), 12.0)
    middle = (float(grid.z_mm[place[0]]), float(grid.y_mm[place[1]]), float(grid.x_mm[place[2]]))
    return roi_of_ball("interior of the heart", middle, radius, volume, axes, grid)


def _descending(fine: Grid, spine: Spine | NotFound, contrast: bool) -> Tube | NotFound:
    """Find the round vessel before and left of the spine."""
    if isinstance(spine, NotFound):
        return NotFound(("No descending aorta: there is no spine to look beside.",))
    x, y = spine.x_mm, spine.front_y_mm
    part = window(fine, (x - 15.0, x + 62.0), (y - 48.0, y + 18.0), (-np.inf, np.inf))
    barred = (part.y_mm[:, None] >= y - 2.0) & (np.abs(part.x_mm - x) <= 20.0)
    return named(find_tube(soft_tissue(part, contrast) & ~barred, part, (7.0, 17.5), 0.4), "descending")


def _ascending(fine: Grid, frame: Frame, spine: Spine | NotFound, contrast: bool) -> Tube | NotFound:
    """Find the round vessel above the heart, right of the pulmonary trunk."""
    x, y, z = frame.centre_mm
    top = z + frame.half_mm[2]
    part = window(fine, (x - 50.0, x + 30.0), (y - 45.0, y + 30.0), (top - 6.0, top + 30.0))
    last = x - 2.0 if isinstance(spine, NotFound) else min(spine.x_mm + 8.0, x - 2.0)
    return named(find_tube(soft_tissue(part, contrast), part, (11.0, 21.0), 0.4, last), "ascending")
