"""The disc phantom, on paper: its HU, and its line integrals at any angle and offset."""

import numpy as np

from simulators.reconstruction import Grid

# centre x, y, semi-axes, turn, added HU: the disc phantom of ct-simulation.md section 3
DISCS = (
    (0.0, 0.0, 150.0, 150.0, 0.0, 1000.0),
    (40.0, 30.0, 25.0, 25.0, 0.0, 300.0),
    (-50.0, 20.0, 30.0, 18.0, 0.5, -800.0),
    (10.0, -60.0, 10.0, 10.0, 0.0, 50.0),
    (-20.0, -40.0, 6.0, 6.0, 0.0, 600.0),
)


def truth(discs: tuple[tuple[float, ...], ...], grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Give the true HU of each pixel, and its distance from the nearest edge."""
    axis = np.arange(grid.matrix) * grid.pixel_mm
    x, y = np.meshgrid(grid.x0_mm + axis, grid.y0_mm + axis)
    hu, edge = np.full(x.shape, -1000.0), np.full(x.shape, np.inf)
    for centre_x, centre_y, a, b, turn, added in discs:
        along = (x - centre_x) * np.cos(turn) + (y - centre_y) * np.sin(turn)
        across = (y - centre_y) * np.cos(turn) - (x - centre_x) * np.sin(turn)
        radius = np.hypot(along / a, across / b)
        hu += np.where(radius <= 1, added, 0.0)
        edge = np.minimum(edge, np.abs(radius - 1) * min(a, b))
    return hu, edge


def lines_mm(theta: np.ndarray, offset_mm: np.ndarray) -> np.ndarray:
    """Give line integrals, mm of water, along x cos theta + y sin theta = offset, of any shapes that go together."""
    total = np.zeros(np.broadcast(theta, offset_mm).shape)
    for x, y, a, b, turn, added in DISCS:
        width2 = (a * np.cos(theta - turn)) ** 2 + (b * np.sin(theta - turn)) ** 2
        left = 1.0 - (offset_mm - x * np.cos(theta) - y * np.sin(theta)) ** 2 / width2
        total += added / 1000.0 * 2.0 * a * b / np.sqrt(width2) * np.sqrt(np.maximum(left, 0.0))
    return total
