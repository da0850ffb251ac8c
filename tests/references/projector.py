"""The projector as one line equation in numpy."""

import numpy as np

from simulators.phantom import CYLINDER, ROD, SLAB_ELLIPSOID
from simulators.projector import SOURCE_RADIUS_MM, Fan


def reference(table: np.ndarray, angles: np.ndarray, fan: Fan, z_mm: float, slice_mm: float) -> np.ndarray:
    """Project in plain float64 numpy, from the line equation alone: no source, no windows."""
    theta = angles[:, None] + fan.angles_rad
    offset = SOURCE_RADIUS_MM * np.sin(fan.angles_rad)
    total = np.zeros(theta.shape)
    for n in range(table.shape[1]):
        x, y, z, a, b, c, cosine, sine, added, kind = table[:, n, :10, None].transpose(1, 0, 2)
        turned = theta - np.arctan2(sine, cosine)
        width2 = (a * np.cos(turned)) ** 2 + (b * np.sin(turned)) ** 2
        left = 1.0 - (offset - x * np.cos(theta) - y * np.sin(theta)) ** 2 / width2
        if kind[0, 0] == SLAB_ELLIPSOID:
            k = c * np.sqrt(np.maximum(left, 0.0))
            edges = [np.clip(z_mm - z + half * slice_mm, -k, k) for half in (-0.5, 0.5)]
            area = [
                0.5 * (e * np.sqrt(k**2 - e**2) + k**2 * np.arcsin(np.divide(e, k, out=np.zeros_like(k), where=k > 0)))
                for e in edges
            ]
            depth = (area[1] - area[0]) / (c * slice_mm)
        elif kind[0, 0] == ROD:
            inside = np.clip(z_mm - z + 0.5 * slice_mm, -c, c) - np.clip(z_mm - z - 0.5 * slice_mm, -c, c)
            depth = np.sqrt(np.maximum(left, 0.0)) * inside / slice_mm
        else:
            height = np.zeros_like(z) if kind[0, 0] == CYLINDER else (z_mm - z) / c
            depth = np.sqrt(np.maximum(left - height**2, 0.0))
        total += added * 2 * a * b / np.sqrt(width2) * depth
    return total
