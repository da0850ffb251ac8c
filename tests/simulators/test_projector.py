"""Line integrals against an independent numpy reference, brute force, and known paths."""

import numpy as np
import pytest

from simulators.anatomy import make_patient
from simulators.motion import MotionClock, RestOffsets
from simulators.phantom import CYLINDER, ELLIPSOID, ROD, SLAB_ELLIPSOID, moving_table, static_table
from simulators.projector import (
    WATER_PER_MM,
    add_noise,
    half_scan_views,
    make_fan,
    photons,
    project,
)
from simulators.scenario import Scenario
from tests.references.projector import reference

FAN = make_fan(52.0)


def row(x: float, y: float, z: float, axes: tuple[float, float, float], turn: float, kind: float) -> list[float]:
    """Write one object that adds one water."""
    return [x, y, z, *axes, np.cos(turn), np.sin(turn), 1.0, kind]


def test_the_moving_body_equals_the_numpy_reference() -> None:
    """The kernel and the reference agree to 1e-4 relative, on the whole moving patient."""
    patient = make_patient(Scenario(name="test", story=""), 1)
    angles = 0.7 + np.linspace(0, 4.4, 60)
    phases = MotionClock(np.arange(10), RestOffsets()).displacement(np.linspace(5.0, 5.6, 60))
    moving = moving_table(patient, phases, np.zeros(60))
    still = np.repeat(static_table(patient), 60, axis=0)
    for z_mm in (-30.0, 0.0, 27.0):
        for table in (moving, still):
            expected = reference(table, angles, FAN, z_mm, 3.0)
            assert np.abs(project(table, angles, FAN, z_mm, 3.0) - expected).max() <= 1e-4 * expected.max()


@pytest.mark.parametrize("turn", [0.0, 0.6, 2.2])
@pytest.mark.parametrize("kind", [ELLIPSOID, SLAB_ELLIPSOID, CYLINDER, ROD])
def test_single_objects_equal_the_numpy_reference(kind: float, turn: float) -> None:
    """Each kind, anywhere in the field, at any turn."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    for x, y in ((0.0, 0.0), (90.0, -60.0), (-120.0, 100.0)):
        table = np.array([[row(x, y, 1.0, (7.0, 3.0, 4.0), turn, kind)]])
        expected = reference(table, angles, FAN, 0.5, 3.0)
        assert expected.max() > 5
        assert np.abs(project(table, angles, FAN, 0.5, 3.0) - expected).max() <= 1e-4 * expected.max()


@pytest.mark.parametrize(("z_mm", "share"), [(0.0, 1.0), (4.0, 1.0 / 6.0), (4.6, 0.0), (5.6, 0.0)])
def test_a_rod_ends_where_it_ends(z_mm: float, share: float) -> None:
    """A rod of 6 mm fills a slice of 3 mm at its middle, a sixth of it 4 mm away, and none beyond its end."""
    table = np.array([[row(0.0, 0.0, 0.0, (5.0, 5.0, 3.0), 0.0, ROD)]])
    assert 10.0 * share == pytest.approx(project(table, np.array([0.3]), FAN, z_mm, 3.0).max(), abs=0.01)


@pytest.mark.parametrize("z_mm", [0.0, 1.4, 2.6, 3.2])
def test_a_small_object_is_averaged_over_the_slice(z_mm: float) -> None:
    """The closed form equals the mean of 400 thin planes to 1e-4."""
    angles = np.array([0.3])
    small, flat = (np.array([[row(10.0, 5.0, 0.0, (2.0, 1.5, 2.0), 0.4, kind)]]) for kind in (1.0, 0.0))
    planes = z_mm + 3.0 * ((np.arange(400) + 0.5) / 400 - 0.5)
    expected = np.mean([reference(flat, angles, FAN, plane, 3.0) for plane in planes], axis=0)
    assert np.abs(project(small, angles, FAN, z_mm, 3.0) - expected).max() <= 1e-4 * 4.0


def test_a_small_object_counts_once_over_contiguous_slices() -> None:
    """Through-plane, nothing is lost or doubled: the slices of 3 mm sum to the same whatever the offset."""
    angles = np.array([1.0])
    table = np.array([[row(0.0, 0.0, 0.0, (2.0, 2.0, 2.3), 0.0, SLAB_ELLIPSOID)]])
    sums = [
        sum(project(table, angles, FAN, z, 3.0).sum() for z in np.arange(-9.0, 10.0, 3.0) + shift)
        for shift in (0.0, 0.8, 1.5)
    ]
    assert np.allclose(sums[0], sums, rtol=1e-4)


def test_the_central_path_through_a_cylinder_is_its_diameter() -> None:
    """200 mm of water through the middle of a 200 mm cylinder, from any side; lines come in mm of water."""
    lines = project(np.array([[row(0, 0, 0, (100.0, 100.0, 1.0), 0, CYLINDER)]]), np.linspace(0, 6, 7), FAN, 0.0, 3.0)
    assert np.allclose(200.0, lines[:, 449:451], atol=0.01)


def test_what_lies_there_already_stays() -> None:
    """`onto` is added to and not changed."""
    table = np.array([[row(0, 0, 0, (20.0, 20.0, 20.0), 0, ELLIPSOID)]])
    below = np.full((2, 900), 5.0, dtype=np.float32)
    lines = project(table, np.zeros(2), FAN, 0.0, 3.0, below)
    assert pytest.approx(45.0, abs=0.01) == lines[0, 449]
    assert np.all(below == 5.0)


def test_a_half_scan_has_its_views() -> None:
    """(180 + 52 + 20) / 360 of 984 views, and the closing one: 196 ms at 280 ms per rotation."""
    assert 690 == half_scan_views(52.0, 20.0)


def test_noise_is_quantum_noise() -> None:
    """Variance exp(p) / N0 of the attenuation integral p, N0 proportional to mAs and slice; the draws are blind."""
    quanta = photons(290.0, 280.0, 3.0)
    assert pytest.approx(4 * quanta) == photons(580.0, 280.0, 6.0)
    thin, thick = np.zeros((300, 900), dtype=np.float32), np.full((300, 900), 200.0, dtype=np.float32)
    for lines, path in ((thin, 0.0), (thick, 200.0)):
        add_noise(lines, quanta, np.random.default_rng(5))
        expected = np.exp(0.5 * WATER_PER_MM * path) / np.sqrt(quanta) / WATER_PER_MM
        assert pytest.approx(expected, rel=0.01) == lines.std()
    assert np.allclose(thin * np.exp(100 * WATER_PER_MM), thick - 200.0, atol=2e-4)
