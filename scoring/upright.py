"""A volume turned upright and made coarse: axes head, back, left, whatever way the pixels are stored."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scoring.volume import Volume

SLICE_MM = 3.0
UNSEEN_HU = -1150.0  # below any air: padding outside the reconstructed field
_PADDING_HU = -3000.0
_ALONG = 0.9  # cosine from which on pixels run along a patient's axis

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Mask = NDArray[np.bool_]
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Turn:
    """How to turn an array [slice, row, column] upright: rows and columns swapped, then axes reversed."""

    swapped: bool
    reversed_axes: tuple[bool, bool, bool]

    def upright(self, array: NDArray[T]) -> NDArray[T]:
        """Give a view [head, back, left]."""
        turned = array.swapaxes(1, 2) if self.swapped else array
        return turned[tuple(slice(None, None, -1 if back else 1) for back in self.reversed_axes)]

    def stored(self, array: NDArray[T]) -> NDArray[T]:
        """Give the view [slice, row, column] of an upright array."""
        turned = array[tuple(slice(None, None, -1 if back else 1) for back in self.reversed_axes)]
        return turned.swapaxes(1, 2) if self.swapped else turned


def turn_of(volume: Volume) -> Turn | None:
    """Find how a volume lies; None where its rows and columns run askew to the patient's axes."""
    o = np.array(volume.orientation)
    across, down = o[:3], o[3:]
    swapped = bool(abs(across[1]) > _ALONG)
    left, back = (down, across) if swapped else (across, down)
    if abs(left[0]) < _ALONG or abs(back[1]) < _ALONG:
        return None
    head = float(np.cross(across, down)[2])
    return Turn(swapped, (head < 0, float(back[1]) < 0, float(left[0]) < 0))


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The upright volume and block means of it, [head, back, left]; axes in patient coordinates, mm, ascending."""

    hu: Singles  # coarse
    z_mm: Floats
    y_mm: Floats
    x_mm: Floats
    step_mm: tuple[float, float, float]  # of the coarse grid
    turn: Turn

    @property
    def cell_cm3(self) -> float:
        """Volume of one cell."""
        return self.step_mm[0] * self.step_mm[1] * self.step_mm[2] / 1000.0

    def index_of(self, point_mm: tuple[float, float, float]) -> tuple[int, int, int]:
        """Give the cell [head, back, left] nearest to a point x, y, z; the nearest of the rim for one outside."""
        x, y, z = point_mm
        return (
            int(np.abs(self.z_mm - z).argmin()),
            int(np.abs(self.y_mm - y).argmin()),
            int(np.abs(self.x_mm - x).argmin()),
        )


def axes_mm(volume: Volume, turn: Turn) -> tuple[Floats, Floats, Floats]:
    """Give the z, y and x of each upright slice, row and column in patient coordinates, mm."""
    _, rows, columns = volume.hu.shape
    o, corner = np.array(volume.orientation), volume.corners_mm[0]
    across = np.arange(columns)[:, None] * volume.column_mm * o[:3] + corner
    down = np.arange(rows)[:, None] * volume.row_mm * o[3:] + corner
    left, back = (down, across) if turn.swapped else (across, down)
    z = volume.corners_mm[:, 2]
    one, two, three = (-1 if back else 1 for back in turn.reversed_axes)
    return z[::one], back[::two, 1], left[::three, 0]


def blocks(hu: NDArray[np.floating], size: tuple[int, int, int]) -> Singles:
    """Means of blocks [slices skipped, rows, columns]; what is left over at the far end is cut off."""
    skip, down, across = size
    part = hu[::skip]
    rows, columns = part.shape[1] // down * down, part.shape[2] // across * across
    summed = part[:, :rows:down, :columns].astype(np.float32)
    for k in range(1, down):  # whole rows are added: one pass through the volume
        summed += part[:, k:rows:down, :columns]
    few = summed[:, :, :columns:across].copy()
    for k in range(1, across):
        few += summed[:, :, k:columns:across]
    return np.asarray(np.maximum(few / np.float32(down * across), np.float32(_PADDING_HU)), dtype=np.float32)


def coarser(grid: Grid, cell_mm: float) -> Grid:
    """Make a grid coarser in the plane, by a whole number of its cells."""
    down, across = (max(1, round(cell_mm / step)) for step in grid.step_mm[1:])
    hu = blocks(grid.hu, (1, down, across))
    return Grid(
        hu=hu,
        z_mm=grid.z_mm,
        y_mm=_middles(grid.y_mm, hu.shape[1], down),
        x_mm=_middles(grid.x_mm, hu.shape[2], across),
        step_mm=(grid.step_mm[0], grid.step_mm[1] * down, grid.step_mm[2] * across),
        turn=grid.turn,
    )


def upright_grid(volume: Volume, turn: Turn, cell_mm: float) -> Grid:
    """Turn a volume upright and average it over cells.

    Parameters
    ----------
    volume
        hu [slice, row, column] in HU.
    turn
        From `turn_of`.
    cell_mm
        Wanted size of a cell in the plane; slices are skipped where they lie closer than 2 mm.
    """
    z, y, x = axes_mm(volume, turn)
    row_mm, column_mm = (volume.column_mm, volume.row_mm) if turn.swapped else (volume.row_mm, volume.column_mm)
    skip = max(1, round(SLICE_MM / volume.increment_mm))
    down, across = max(1, round(cell_mm / row_mm)), max(1, round(cell_mm / column_mm))
    hu = blocks(turn.upright(volume.hu), (skip, down, across))
    return Grid(
        hu=hu,
        z_mm=np.asarray(z[::skip], dtype=np.float64),
        y_mm=_middles(y, hu.shape[1], down),
        x_mm=_middles(x, hu.shape[2], across),
        step_mm=(volume.increment_mm * skip, row_mm * down, column_mm * across),
        turn=turn,
    )


def _middles(axis: Floats, count: int, each: int) -> Floats:
    """Middles of `count` blocks of an axis."""
    return np.asarray(axis[: count * each].reshape(count, each).mean(axis=1))


def box_of(mask: Mask) -> tuple[slice, ...]:
    """Put the smallest box around a mask, and one cell more where there is one: beyond it no distance changes."""
    found = [np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return tuple(slice(max(int(one[0]) - 1, 0), int(one[-1]) + 2) if len(one) else slice(0, 0) for one in found)


def depth_in(mask: Mask, grid: Grid) -> Singles:
    """How deep each cell lies in a mask, mm; where the volume ends the mask is taken to go on."""
    out = np.zeros(mask.shape, dtype=np.float32)
    inside = box_of(mask)
    if out[inside].size:
        out[inside] = ndimage.distance_transform_edt(mask[inside], sampling=grid.step_mm)
    return out


def hulls(mask: Mask, grid: Grid, rim_mm: float) -> tuple[Mask, Mask]:
    """Convex hull of a mask in each slice, and the same grown by a rim, [head, back, left]."""
    angles = np.deg2rad(np.arange(0.0, 360.0, 12.0))
    reach = (
        np.cos(angles)[:, None, None] * grid.x_mm[None, None, :]
        + np.sin(angles)[:, None, None] * grid.y_mm[None, :, None]
    ).astype(np.float32)
    hull, rim = np.zeros_like(mask), np.zeros_like(mask)
    least = 1200.0 / (grid.step_mm[1] * grid.step_mm[2])  # 12 cm2
    for n, page in enumerate(mask):
        if page.sum() < least:
            continue
        support = reach[:, page].max(axis=1)[:, None, None]
        hull[n] = np.all(reach <= support, axis=0)
        rim[n] = np.all(reach <= support + rim_mm, axis=0)
    return hull, rim


def spread_over(mask: Mask, grid: Grid, volume: Volume) -> Mask:
    """Give a coarse mask at the volume's own pixels [slice, row, column], its rim interpolated."""
    z, y, x = axes_mm(volume, grid.turn)
    down, across = _places(y, grid.y_mm), _places(x, grid.x_mm)
    nearest = np.abs(z[:, None] - grid.z_mm).argmin(axis=1)
    out = np.zeros((len(z), len(y), len(x)), dtype=bool)
    for n, k in enumerate(nearest):
        rows, columns = np.flatnonzero(mask[k].any(axis=1)), np.flatnonzero(mask[k].any(axis=0))
        if not len(rows):
            continue
        r, c = _reached(down[0], rows), _reached(across[0], columns)
        page = mask[k].astype(np.float32)
        low, share = down[0][r], down[1][r, None]
        page = page[low] * (1 - share) + page[np.minimum(low + 1, len(page) - 1)] * share
        low, share = across[0][c], across[1][c]
        upper = np.minimum(low + 1, page.shape[1] - 1)
        out[n, r, c] = page[:, low] * (1 - share) + page[:, upper] * share >= 0.5
    return np.ascontiguousarray(grid.turn.stored(out))


def _places(fine: Floats, coarse: Floats) -> tuple[NDArray[np.intp], Singles]:
    """Lower neighbour of each fine place among the coarse ones, and the share of the upper one."""
    place = np.interp(fine, coarse, np.arange(len(coarse)))
    low = place.astype(np.intp)
    return low, (place - low).astype(np.float32)


def _reached(low: NDArray[np.intp], cells: NDArray[np.intp]) -> slice:
    """Find the fine places whose neighbours reach from the first to the last of some cells."""
    inside = np.flatnonzero((low >= cells[0] - 1) & (low <= cells[-1]))
    return slice(int(inside[0]), int(inside[-1]) + 1)
