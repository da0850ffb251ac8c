"""The disc phantom and what a reconstruction must not do."""

import numpy as np
import pytest

from simulators.phantom import CYLINDER
from simulators.projector import half_scan_views, make_fan, project
from simulators.reconstruction import make_grid, make_method, reconstruct
from tests.references.discs import DISCS, truth

FAN = make_fan(52.0)
VIEWS = half_scan_views(52.0, 20.0)
QUARTER_VIEWS = half_scan_views(52.0, 20.0, sources=2)


def scan(discs: tuple[tuple[float, ...], ...], first_rad: float, views: int = VIEWS) -> np.ndarray:
    """Project discs over one half scan, or over as many views."""
    rows = [[x, y, 0.0, a, b, 1.0, np.cos(t), np.sin(t), hu / 1000, CYLINDER] for x, y, a, b, t, hu in discs]
    angles = np.asarray(first_rad + 2 * np.pi / 984 * np.arange(views))
    return project(np.array([rows]), angles, FAN, 0.0, 3.0)


@pytest.mark.parametrize("first_rad", [0.0, 1.1, 4.0])
@pytest.mark.parametrize("kernel_cutoff", [None, 0.5])
def test_the_disc_phantom(kernel_cutoff: float | None, first_rad: float) -> None:
    """Bias <= 0.2 HU and RMSE <= 3 HU, 7 pixels and more from an edge, at any start angle, bare ramp or kernel."""
    grid = make_grid(512, 220.0, 0.0, 0.0)
    method = make_method(FAN, 52.0, 20.0, kernel_cutoff)
    hu, edge = truth(DISCS, grid)
    error = (reconstruct(scan(DISCS, first_rad), first_rad, method, grid) - hu)[edge > 7 * grid.pixel_mm]
    assert abs(error.mean()) <= 0.2
    assert np.sqrt(np.mean(error**2)) <= 3


def two_sources(discs: tuple[tuple[float, ...], ...], first_rad: float) -> np.ndarray:
    """Project discs with two sources at right angles, [source, view, channel]."""
    return np.stack([scan(discs, first_rad + turn, QUARTER_VIEWS) for turn in (0.0, np.pi / 2)])


@pytest.mark.parametrize("first_rad", [0.0, 1.1, 4.0])
@pytest.mark.parametrize("kernel_cutoff", [None, 0.5])
def test_the_disc_phantom_with_two_sources(kernel_cutoff: float | None, first_rad: float) -> None:
    """Two quarter scans make the same picture as one half scan: bias <= 0.2 HU, RMSE <= 3 HU, no seam."""
    grid = make_grid(512, 220.0, 0.0, 0.0)
    method = make_method(FAN, 52.0, 20.0, kernel_cutoff, sources=2)
    hu, edge = truth(DISCS, grid)
    error = (reconstruct(two_sources(DISCS, first_rad), first_rad, method, grid) - hu)[edge > 7 * grid.pixel_mm]
    assert abs(error.mean()) <= 0.2
    assert np.sqrt(np.mean(error**2)) <= 3


@pytest.mark.parametrize(("sources", "lines", "reason"), [(1, 2, "1 source"), (2, 1, "2 source")])
def test_lines_of_another_number_of_sources_are_refused(sources: int, lines: int, reason: str) -> None:
    """A method of one source does not take the lines of two, nor the other way round."""
    method, grid = make_method(FAN, 52.0, 20.0, 0.5, sources=sources), make_grid(32, 220.0, 0, 0)
    with pytest.raises(ValueError, match=reason):
        reconstruct(np.zeros((lines, VIEWS, len(FAN.sines)), dtype=np.float32), 0.0, method, grid)


def test_two_sources_see_half_as_long() -> None:
    """A pin jumps when a quarter scan is just over: two sources show it where it was, one source shows it twice."""
    grid, method = make_grid(128, 60.0, 0.0, 0.0), make_method(FAN, 52.0, 20.0, 0.5)
    body, pin = DISCS[:1], (10.0, 0.0, 2.0, 2.0, 0.0, 1000.0)
    before, after = (*body, pin), (*body, (-10.0, 0.0, 2.0, 2.0, 0.0, 1000.0))
    half = scan(before, 0.0)
    half[QUARTER_VIEWS:] = scan(after, 0.0)[QUARTER_VIEWS:]
    at = [(64, round((x - grid.x0_mm) / grid.pixel_mm)) for x in (10.0, -10.0)]
    one = reconstruct(half, 0.0, method, grid)
    two = reconstruct(two_sources(before, 0.0), 0.0, make_method(FAN, 52.0, 20.0, 0.5, sources=2), grid)
    assert min(one[at[0]], one[at[1]]) > 150.0
    assert two[at[0]] > 800.0
    assert abs(two[at[1]]) < 5.0


@pytest.mark.parametrize(("matrix", "fov_mm", "x_mm", "y_mm"), [(256, 220.0, 0.0, 0.0), (128, 100.0, 40.0, 30.0)])
def test_any_grid_shows_the_same_body(matrix: int, fov_mm: float, x_mm: float, y_mm: float) -> None:
    """Matrix, field of view and centre move pixels, not tissue: patient's left is a high column, back a high row."""
    grid = make_grid(matrix, fov_mm, x_mm, y_mm)
    hu, edge = truth(DISCS, grid)
    method = make_method(FAN, 52.0, 20.0, 0.5)
    error = (reconstruct(scan(DISCS, 0.3), 0.3, method, grid) - hu)[edge > 5]
    assert abs(error.mean()) <= 1
    assert np.sqrt(np.mean(error**2)) <= 5
    column, row = round((40.0 - grid.x0_mm) / grid.pixel_mm), round((30.0 - grid.y0_mm) / grid.pixel_mm)
    assert pytest.approx(300.0) == hu[row, column]


def test_the_kernel_sets_the_sharpness() -> None:
    """A softer kernel is less noisy and blurs more."""
    grid = make_grid(256, 100.0, 0.0, 0.0)
    lines = scan(DISCS[:1], 0.0) + np.random.default_rng(1).normal(0, 0.3, (VIEWS, 900)).astype(np.float32)
    spreads = [
        float(reconstruct(lines, 0.0, make_method(FAN, 52.0, 20.0, cutoff), grid).std()) for cutoff in (0.3, 0.5, None)
    ]
    assert spreads == sorted(spreads)
    assert spreads[0] < 0.7 * spreads[1]


def test_too_few_views_are_refused() -> None:
    """A shorter exposure is no half scan: a reason, not a wrong picture."""
    with pytest.raises(ValueError, match="too short"):
        reconstruct(scan(DISCS[:1], 0.0)[:-10], 0.0, make_method(FAN, 52.0, 20.0, 0.5), make_grid(32, 220.0, 0, 0))


def test_without_feather_it_is_a_plain_half_scan() -> None:
    """Feather 0 works and has the same bias."""
    grid = make_grid(128, 100.0, 0.0, 0.0)
    lines = scan(DISCS[:1], 0.0)
    assert abs(float(reconstruct(lines, 0.0, make_method(FAN, 52.0, 0.0, 0.5), grid).mean())) < 0.5
