"""The scanner's physics, and several reconstructions of one acquisition."""

import msgspec
import numpy as np
import pytest
from scipy import ndimage

from scanner_bridge.plan import plan_from
from scanner_bridge.settings import PlanSettings
from simulators.exposure import Physics, Shot
from simulators.inserts import calcification_insert, moving_rods
from simulators.study import Choice, develop, expose, scan, slice_positions_mm

SMALL = msgspec.structs.replace(plan_from(PlanSettings(steps=2, first_table_mm=-18.0)), matrix=128)
SMALL_SHOTS = [Shot(step, SMALL.table_mm[step], 0.1 + step, 37.0 + 101.0 * step) for step in (0, 1)]
INSERT = calcification_insert(z_mm=-18.0)


def test_views_that_were_kept_give_the_scan() -> None:
    """Raw views reconstructed as the plan says are the scan, bit for bit, with noise and a spectrum."""
    real = Physics(polychromatic=True, focal_spot_mm=0.8)
    raw = expose(INSERT, SMALL_SHOTS, SMALL, noise_seed=4, physics=real)
    expected = scan(INSERT, SMALL_SHOTS, SMALL, noise_seed=4, physics=real, threads=1)
    found = develop(raw, Choice())
    assert np.array_equal(expected.hu, found.hu)
    assert expected.plan == found.plan
    assert expected.shots == found.shots


def test_another_phase_within_the_padding() -> None:
    """Moved by 40 ms of 100 ms of padding it is the scan whose half-scan began so much later, within rounding."""
    rods = moving_rods(20.0, 30.0, at_s=0.2, z_mm=-18.0)
    raw = expose(rods, SMALL_SHOTS, SMALL, noise_seed=None, padding_ms=100.0)
    views = round(40.0 / SMALL.rotation_ms * 984)
    later = [
        Shot(
            shot.step,
            shot.table_mm,
            shot.opened_at_s + views * SMALL.rotation_ms * 1e-3 / 984,
            shot.start_angle_deg + views * 360.0 / 984,
        )
        for shot in SMALL_SHOTS
    ]
    expected = scan(rods, later, SMALL, noise_seed=None)
    found = develop(raw, Choice(moved_ms=40.0))
    assert expected.hu == pytest.approx(found.hu, abs=0.05)
    assert [shot.opened_at_s for shot in later] == pytest.approx([shot.opened_at_s for shot in found.shots])
    assert np.abs(develop(raw, Choice()).hu - found.hu).max() > 50.0
    with pytest.raises(ValueError, match="the padding reaches 50 ms"):
        develop(raw, Choice(moved_ms=60.0))


def test_thinner_slices_of_the_same_views() -> None:
    """Rows of 1.5 mm give slices of 3 mm that are the scan's, and slices of 1.5 mm with 1.4 times its noise."""
    still = expose(INSERT, SMALL_SHOTS, SMALL, noise_seed=None, row_mm=1.5)
    assert scan(INSERT, SMALL_SHOTS, SMALL, noise_seed=None).hu == pytest.approx(develop(still, Choice()).hu, abs=0.1)
    noisy = expose(INSERT, SMALL_SHOTS, SMALL, noise_seed=4, row_mm=1.5)
    sd = {}
    for slice_mm in (1.5, 3.0):
        volume = develop(noisy, Choice(slice_mm=slice_mm))
        assert round(36.0 / slice_mm) * 2 == len(volume.hu) == len(volume.z_mm) == len(volume.step_of_slice)
        assert slice_mm == pytest.approx(np.diff(volume.z_mm))
        sd[slice_mm] = float((volume.hu - develop(still, Choice(slice_mm=slice_mm)).hu)[:, 48:80, 48:80].std())
    assert 1.414 == pytest.approx(sd[1.5] / sd[3.0], rel=0.05)
    with pytest.raises(ValueError, match=r"no whole number of 1\.5 mm"):
        develop(noisy, Choice(slice_mm=2.0))


def test_another_field_and_kernel_of_the_same_views() -> None:
    """A smaller field shows the same rod at the same place in finer pixels; a softer kernel is quieter."""
    raw = expose(INSERT, SMALL_SHOTS, SMALL, noise_seed=4)
    near = develop(raw, Choice(fov_mm=100.0, matrix=200, centre_mm=(10.0, -5.0)))
    assert 0.5 == near.pixel_mm
    rod = next(one for one in INSERT.rods if one.diameter_mm == 5.0 and one.density_mg_per_cc == 800.0)
    index = int(np.argmin(np.abs(near.z_mm - rod.z_mm)))
    column, row = round((rod.x_mm - near.x0_mm) / 0.5), round((rod.y_mm - near.y0_mm) / 0.5)
    around = near.hu[index, row - 8 : row + 9, column - 8 : column + 9]
    at_row, at_column = ndimage.center_of_mass(np.where(around > 400.0, around, 0.0))
    assert (8.0, 8.0) == pytest.approx((at_row, at_column), abs=0.7)
    soft, usual = (develop(raw, Choice(kernel_cutoff=cutoff)).hu[0, 48:80, 30:50].std() for cutoff in (0.3, 0.5))
    assert soft < 0.7 * usual


def test_a_spectrum_keeps_water_and_makes_calcium_brighter_at_a_low_voltage() -> None:
    """Water stays within 3 HU of 0 at 80 and 120 kV; the rod of 30 mm grows by the published 1.36 within 5 %."""
    bright = {}
    for kvp in (80, 120):
        plan = msgspec.structs.replace(SMALL, kvp=float(kvp))
        hu = scan(INSERT, SMALL_SHOTS, plan, noise_seed=None, physics=Physics(polychromatic=True)).hu
        middle = int(np.argmin(np.abs(slice_positions_mm(-18.0, plan) + 18.0)))
        pixel = plan.fov_mm / plan.matrix
        y, x = (
            (np.arange(plan.matrix) + 0.5) * pixel - 0.5 * plan.fov_mm,
            (np.arange(plan.matrix) + 0.5) * pixel - 110.0,
        )
        far = (np.hypot(x[None, :], y[:, None] - 5.0) > 60.0) & (np.hypot(x[None, :], y[:, None]) < 80.0)
        assert 0.0 == pytest.approx(float(hu[middle][far].mean()), abs=3.0)
        rod = np.hypot(x[None, :], y[:, None] - 40.0) < 6.0
        bright[kvp] = float(hu[middle][rod].mean())
    assert 1.36 == pytest.approx(bright[80] / bright[120], rel=0.05)


def test_focal_spot_and_channel_blur_and_lose_nothing() -> None:
    """The peak of the rod of 1 mm is at least 5 % lower, its sum the same within 1 %."""
    sharp, blurred = (
        develop(
            expose(INSERT, SMALL_SHOTS, SMALL, noise_seed=None, physics=Physics(focal_spot_mm=spot_mm)),
            Choice(fov_mm=20.0, matrix=160, centre_mm=(20.0, -35.0), kernel_cutoff=1.0),
        ).hu
        for spot_mm in (None, 1.2)
    )
    index = int(np.argmax(sharp.max(axis=(1, 2))))
    assert blurred[index].max() < 0.95 * sharp[index].max()
    assert float(sharp[index].sum()) == pytest.approx(float(blurred[index].sum()), rel=0.01)
