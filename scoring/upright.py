"""A volume seen as a person standing upright, and made coarse: axes head, back, left, whatever way the pixels are stored."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from scoring.volume import Volume

COARSE_MM = 3.0
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
    part = np.maximum(part[:, :rows, :columns], np.float32(_PADDING_HU)).astype(np.float32, copy=False)
    summed = np.add.reduceat(part, np.arange(0, columns, across), axis=2) if across > 1 else part
    summed = summed.reshape(len(part), rows // down, down, -1).sum(axis=2)
    return np.asarray(summed / np.float32(down * across), dtype=np.float32)


def coarse_grid(volume: Volume, turn: Turn, cell_mm: float = COARSE_MM) -> Grid:
    """Make a volume coarse.

    Parameters
    ----------
    volume
        hu [slice, row, column] in HU.
    turn
        From `turn_of`.
    cell_mm
        Wanted size of a cell; slices are skipped where they lie closer.
    """
    z, y, x = axes_mm(volume, turn)
    row_mm, column_mm = (volume.column_mm, volume.row_mm) if turn.swapped else (volume.row_mm, volume.column_mm)
    size = (
        max(1, round(cell_mm / volume.increment_mm)),
        max(1, round(cell_mm / row_mm)),
        max(1, round(cell_mm / column_mm)),
    )
    hu = blocks(turn.upright(volume.hu), size)
    skip, down, across = size
    return Grid(
        hu=hu,
        z_mm=np.asarray(z[::skip], dtype=np.float64),
        y_mm=y[: hu.shape[1] * down].reshape(-1, down).mean(axis=1),
        x_mm=x[: hu.shape[2] * across].reshape(-1, across).mean(axis=1),
        step_mm=(volume.increment_mm * skip, row_mm * down, column_mm * across),
        turn=turn,
    )


def spread_over(mask: Mask, grid: Grid, volume: Volume) -> Mask:
    """Give a coarse mask at the volume's own pixels [slice, row, column], its rim interpolated."""
    z, y, x = axes_mm(volume, grid.turn)
    down, across = _weights(y, grid.y_mm), _weights(x, grid.x_mm)
    nearest = np.abs(z[:, None] - grid.z_mm).argmin(axis=1)
    out = np.zeros((len(z), len(y), len(x)), dtype=bool)
    for n, k in enumerate(nearest):
        if mask[k].any():
            out[n] = (down @ mask[k].astype(np.float32)) @ across.T >= 0.5
    return np.ascontiguousarray(grid.turn.stored(out))


def _weights(fine: Floats, coarse: Floats) -> Singles:
    """Matrix [fine, coarse] of linear interpolation."""
    place = np.clip(np.interp(fine, coarse, np.arange(len(coarse))), 0, len(coarse) - 1)
    low = np.minimum(place.astype(int), max(len(coarse) - 2, 0))
    out = np.zeros((len(fine), len(coarse)), dtype=np.float32)
    rows = np.arange(len(fine))
    out[rows, low] = 1.0 - (place - low)
    out[rows, np.minimum(low + 1, len(coarse) - 1)] += place - low
    return out
