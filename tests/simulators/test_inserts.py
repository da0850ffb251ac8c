"""Phantoms whose calcium is known on paper."""

import msgspec
import numpy as np
import pytest

from scanner_bridge.plan import plan_from
from scanner_bridge.settings import PlanSettings
from simulators.exposure import Shot
from simulators.inserts import DENSITIES_MG_PER_CC, Insert, Rod, calcification_insert, moving_rods
from simulators.plaque import HU_PER_MG_PER_CC
from simulators.study import StudyVolume, scan

PLAN = msgspec.structs.replace(
    plan_from(PlanSettings(steps=1, first_table_mm=0.0)), slices_per_step=6, fov_mm=120.0, matrix=384
)
SHOT = Shot(0, 0.0, 0.0, 37.0)
WATER_HU = 0.0


def _around(volume: StudyVolume, rod: Rod, reach_mm: float = 7.0) -> np.ndarray:
    """Give the HU of all pixels near a rod, through all slices."""
    axis = np.arange(volume.hu.shape[1]) * volume.pixel_mm
    x, y = np.meshgrid(volume.x0_mm + axis, volume.y0_mm + axis)
    return np.asarray(volume.hu[:, np.hypot(x - rod.x_mm, y - rod.y_mm) < reach_mm])


def _mass_mg(volume: StudyVolume, rod: Rod) -> float:
    """Integrate what a rod adds to the water about it: no threshold, no noise."""
    added = _around(volume, rod) - WATER_HU
    voxel_cc = volume.pixel_mm**2 * volume.plan.slice_thickness_mm * 1e-3
    return float(added.sum() * voxel_cc / HU_PER_MG_PER_CC)


@pytest.mark.parametrize("z_mm", [0.0, 0.7, 1.5])
def test_the_mass_of_the_insert_is_found_again(z_mm: float) -> None:
    """Without noise the integrated mass of the 3 and 5 mm cylinders is right within 2 %, wherever the slices lie."""
    insert = calcification_insert(z_mm)
    volume = scan(insert, [SHOT], PLAN, noise_seed=None)
    large = [rod for rod in insert.rods if rod.diameter_mm in (3.0, 5.0)]
    assert 6 == len(large)
    for rod in large:
        assert rod.mass_mg == pytest.approx(_mass_mg(volume, rod), rel=0.02)


def test_a_cylinder_has_the_mass_of_the_books() -> None:
    """5 mm wide, 5 mm long, 800 mg/cc: 78.5 mg; 3 mm and 200 mg/cc: 4.24 mg."""
    assert 78.54 == pytest.approx(Rod(0.0, 0.0, 0.0, 5.0, 5.0, 800.0).mass_mg, abs=0.01)
    assert 4.241 == pytest.approx(Rod(0.0, 0.0, 0.0, 3.0, 3.0, 200.0).mass_mg, abs=0.001)


def test_the_calibration_rod_shows_its_density() -> None:
    """In its middle 200 mg/cc stand at 262 HU over water."""
    insert = calcification_insert()
    rod = insert.rods[-1]
    middle = _around(scan(insert, [SHOT], PLAN, noise_seed=None), rod, 5.0)[2:4]
    assert HU_PER_MG_PER_CC * rod.density_mg_per_cc == pytest.approx(middle.mean(), abs=2.0)


def test_the_rods_of_the_moving_phantom() -> None:
    """Three of 5 x 10 mm, one of each density, and all move as asked: 30 mm/s to the back are 3 mm in 0.1 s."""
    insert = moving_rods(30.0, 90.0, at_s=5.0)
    assert DENSITIES_MG_PER_CC == tuple(rod.density_mg_per_cc for rod in insert.rods)
    assert {(5.0, 10.0)} == {(rod.diameter_mm, rod.length_mm) for rod in insert.rods}
    before, at, after = insert.moving(np.array([4.9, 5.0, 5.1]))
    drawn = np.array([(rod.x_mm, rod.y_mm, rod.z_mm) for rod in insert.rods])
    np.testing.assert_allclose(at[:, :3], drawn)
    np.testing.assert_allclose(after[:, :3] - drawn, [[0.0, 3.0, 0.0]] * 3, atol=1e-12)
    np.testing.assert_allclose(before[:, :3] - drawn, [[0.0, -3.0, 0.0]] * 3, atol=1e-12)


def test_motion_moves_no_mass_and_smears() -> None:
    """At 30 mm/s a rod is torn apart, by more than a third of its HU; its integrated mass stays within 5 %."""
    at_s = 0.5 * PLAN.half_scan_ms * 1e-3
    still, moved = (scan(moving_rods(v, 0.0, at_s), [SHOT], PLAN, noise_seed=None) for v in (0.0, 30.0))
    for rod in moving_rods(0.0, 0.0, at_s).rods:
        torn = np.abs(_around(moved, rod, 11.0) - _around(still, rod, 11.0)).max()
        assert torn > 0.33 * HU_PER_MG_PER_CC * rod.density_mg_per_cc
        wide = [_around(one, rod, 14.0).sum() for one in (still, moved)]
        assert wide[0] == pytest.approx(wide[1], rel=0.05)


def test_an_empty_insert_is_water() -> None:
    """Without a rod there is nothing but water."""
    volume = scan(Insert((Rod(0.0, 0.0, 500.0, 5.0, 5.0, 800.0),)), [SHOT], PLAN, noise_seed=None)
    assert abs(float(volume.hu[:, 100:284, 100:284].mean())) < 0.5
