"""The scouts as a picture: from the front and from the side, with what the scan was planned to cover."""

import numpy as np
from numpy.typing import NDArray

from gating.messages import AcquisitionPlan
from scoring.io.png import encode_png
from simulators.scout import ROW_MM, Scout

PIXEL_MM = 1.0
HALF_MM = 215.0  # of the body, to each side
RANGE_RGB, FIELD_RGB = (63, 185, 80), (210, 153, 34)


def scout_png(scout: Scout, plan: AcquisitionPlan) -> bytes:
    """Draw both scouts, dense as white; green the slabs of the plan, yellow its field of view."""
    x, y = plan.centre_x_mm, plan.centre_y_mm
    parts = [_one(scout, plan, picture, at) for picture, at in ((scout.front_mm, x), (scout.side_mm, y))]
    gap = np.zeros((parts[0].shape[0], 8, 3), dtype=np.uint8)
    return encode_png(np.concatenate([parts[0], gap, parts[1]], axis=1))


def _one(scout: Scout, plan: AcquisitionPlan, picture: NDArray[np.float32], centre_mm: float) -> NDArray[np.uint8]:
    """Draw one scout over evenly spaced offsets."""
    across = np.arange(-HALF_MM, HALF_MM, PIXEL_MM)
    even = np.stack([np.interp(across, scout.channel_mm, row, left=0.0, right=0.0) for row in picture])
    even = np.repeat(even, round(ROW_MM / PIXEL_MM), axis=0)
    grey = np.clip(even / max(float(even.max()), 1.0), 0.0, 1.0)
    rgb = np.repeat(np.rint(255.0 * grey).astype(np.uint8)[:, :, None], 3, axis=2)
    top_mm = float(scout.z_mm[0]) + ROW_MM / 2
    feed_mm = plan.slices_per_step * plan.slice_thickness_mm
    edges_mm = [plan.table_mm[0] - feed_mm / 2, *(at + feed_mm / 2 for at in plan.table_mm)]
    left, right = (round((centre_mm + side * plan.fov_mm / 2 + HALF_MM) / PIXEL_MM) for side in (-1, 1))
    rows = [int(np.clip(round((top_mm - z) / PIXEL_MM), 0, len(rgb) - 1)) for z in edges_mm]
    inside = slice(max(left, 0), min(right, rgb.shape[1]))
    for row in rows:
        rgb[row, inside] = RANGE_RGB
    for column in (left, right):
        if 0 <= column < rgb.shape[1]:
            rgb[min(rows) : max(rows) + 1, column] = FIELD_RGB
    return rgb
