"""Landmarks of painted bodies: found where drawn, the same however stored, or not found with a reason."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from scoring.round_vessels import NotFound, Roi, Tube
from scoring.thorax import CONTRAST_HU, Spine, Thorax, find_thorax
from scoring.volume import HuArray, Volume, axial_volume
from tests.references.thoraces import VESSELS, Build, Field, Painted, paint


@cache
def usual(**changes: float) -> Painted:
    """Paint the usual body, with changes."""
    return paint(Build(**changes), Field(), 1)  # type: ignore[arg-type]  # every field asked for is a number


def found(volume: Volume) -> Thorax:
    """Find the landmarks of a volume that has them."""
    thorax = find_thorax(volume)
    assert isinstance(thorax, Thorax)
    return thorax


def _kept(hu: HuArray) -> HuArray:
    """Copy a part of an array into its own."""
    return np.array(hu, dtype=np.float32)


def stored_otherwise(volume: Volume) -> Volume:
    """Give the same body with rows and columns swapped and the feet's end last, as another scanner might store it."""
    return replace(
        volume,
        hu=_kept(volume.hu.swapaxes(1, 2)[::-1]),
        row_mm=volume.column_mm,
        column_mm=volume.row_mm,
        positions_mm=-volume.positions_mm[::-1],
        corners_mm=volume.corners_mm[::-1],
        orientation=(0.0, 1.0, 0.0, 1.0, 0.0, 0.0),
    )


def part_of(volume: Volume, slices: slice) -> Volume:
    """Keep some slices."""
    return replace(
        volume, hu=volume.hu[slices], positions_mm=volume.positions_mm[slices], corners_mm=volume.corners_mm[slices]
    )


def test_the_heart_holds_the_arteries_and_neither_lung_nor_bone() -> None:
    """Every artery's course lies inside the heart; lungs, spine and sternum lie outside."""
    one = usual()
    thorax = found(one.volume)
    places = [one.build.course(vessel, along) for vessel in VESSELS for along in np.linspace(0.0, 1.0, 9)]
    assert all(thorax.depth_at_mm(place) > 0.0 for place in places)
    inside = one.volume.hu[thorax.heart]
    assert float(np.mean(inside < -500.0)) < 0.02
    assert float(np.mean(inside > 130.0)) < 0.001


def test_the_spine_is_found_where_it_was_drawn() -> None:
    """The middle and the front of the vertebral bodies, to a cell of 3 mm."""
    spine = found(usual().volume).spine
    assert isinstance(spine, Spine)
    x, y = usual().build.spine_mm
    assert spine.x_mm == pytest.approx(x, abs=3.0)
    assert spine.front_y_mm == pytest.approx(y - 15.0, abs=4.0)


def test_noise_is_measured_in_the_aorta() -> None:
    """The region lies in the descending aorta; its mean is blood's and its SD is the noise that was added."""
    one = usual()
    roi = found(one.volume).aorta_roi
    assert isinstance(roi, Roi)
    assert roi.name == "descending aorta"
    _, rows, columns = (float(index.mean()) for index in roi.pixels)
    x, y, _ = one.volume.to_patient_mm(0, rows, columns)
    assert (x, y) == pytest.approx(one.build.aorta_mm, abs=5.0)
    assert roi.mean_hu == pytest.approx(44.0, abs=3.0)
    assert roi.sd_hu == pytest.approx(20.0, rel=0.1)


def test_both_parts_of_the_aorta_are_found() -> None:
    """Descending beside the spine; ascending above the heart, and not the pulmonary trunk to its left."""
    one = usual()
    thorax = found(one.volume)
    assert isinstance(thorax.descending, Tube)
    assert isinstance(thorax.ascending, Tube)
    z = float(thorax.ascending.z_mm[-1])
    x, y, _ = one.build.place((-14.0, -2.0, z))
    assert thorax.ascending.distance_mm((x, y, z)) < 5.0


def test_plain_blood_is_measured_inside_the_heart() -> None:
    """The mean of the region in the heart is that of blood and muscle, far from contrast."""
    roi = found(usual().volume).blood_pool_roi
    assert isinstance(roi, Roi)
    assert 35.0 < roi.mean_hu < 65.0


def test_contrast_in_the_heart_is_seen() -> None:
    """Blood of 300 HU in heart and aorta: the heart is found all the same, and both regions say contrast."""
    thorax = found(usual(blood_hu=256.0).volume)
    assert isinstance(thorax.blood_pool_roi, Roi)
    assert thorax.blood_pool_roi.mean_hu > CONTRAST_HU
    assert isinstance(thorax.aorta_roi, Roi)
    assert thorax.aorta_roi.mean_hu == pytest.approx(300.0, abs=10.0)


def test_a_region_is_measured_at_its_own_pixels() -> None:
    """The indices of a region lead to the pixels of its mean, however the volume is stored."""
    for volume in (usual().volume, stored_otherwise(usual().volume)):
        roi = found(volume).aorta_roi
        assert isinstance(roi, Roi)
        assert float(volume.hu[roi.pixels].mean()) == pytest.approx(roi.mean_hu, abs=0.01)


def test_the_landmarks_do_not_depend_on_how_a_volume_is_stored() -> None:
    """Rows for columns and head for feet: the same heart, frame, regions and coverage, to the bit."""
    one, other = found(usual().volume), found(stored_otherwise(usual().volume))
    assert np.array_equal(one.heart, other.heart[::-1].swapaxes(1, 2))
    assert one.frame == other.frame
    assert one.coverage == other.coverage
    assert isinstance(one.aorta_roi, Roi)
    assert isinstance(other.aorta_roi, Roi)
    assert one.aorta_roi.mean_hu == pytest.approx(other.aorta_roi.mean_hu, abs=1e-3)


def test_the_same_volume_gives_the_same_landmarks() -> None:
    """Nothing is drawn at random."""
    one, other = found(usual().volume), found(usual().volume)
    assert np.array_equal(one.heart, other.heart)
    assert (one.frame, one.coverage) == (other.frame, other.coverage)


def test_a_whole_heart_is_covered() -> None:
    """From above the arteries' origin to below the liver's dome: nothing is cut."""
    coverage = found(usual().volume).coverage
    assert coverage.complete
    assert coverage.reasons == ()


CUTS = {
    "top": (slice(0, 27), "cut_at_top", "nearest to the head"),
    "bottom": (slice(19, 47), "cut_at_bottom", "nearest to the feet"),
}


@pytest.mark.parametrize("end", CUTS)
def test_a_heart_that_goes_on_beyond_a_slice_is_told(end: str) -> None:
    """A scan that begins or ends in the middle of the heart says which end, in words."""
    slices, name, words = CUTS[end]
    coverage = found(part_of(usual().volume, slices)).coverage
    assert getattr(coverage, name)
    assert not coverage.complete
    assert any(words in reason for reason in coverage.reasons)


@pytest.mark.parametrize("last_x_mm", [20.0, 34.0, 50.0])
def test_a_heart_at_the_edge_of_the_field_is_told(last_x_mm: float) -> None:
    """The left of the heart, and all of the lung beside it, lie outside the field of view."""
    volume = usual().volume
    last = int((last_x_mm - volume.corners_mm[0, 0]) / volume.column_mm)
    coverage = found(replace(volume, hu=_kept(volume.hu[:, :, :last]))).coverage
    assert coverage.cut_at_edge


def test_pixels_outside_the_reconstructed_circle_are_neither_lung_nor_air() -> None:
    """Padding at minus infinity in the corners changes nothing of the heart's middle."""
    volume = usual().volume
    axis = np.arange(128) - 63.5
    hu = volume.hu.copy()
    hu[:, np.hypot(axis[:, None], axis) > 64.0] = -np.inf
    thorax = found(replace(volume, hu=hu))
    assert thorax.frame.centre_mm == pytest.approx(found(volume).frame.centre_mm, abs=4.0)
    assert isinstance(thorax.aorta_roi, Roi)


def test_without_a_spine_there_is_no_descending_aorta_to_measure() -> None:
    """A field that ends before the spine: not found, with the reason; the heart is found."""
    volume = usual().volume
    last = int((usual().build.spine_mm[1] - 22.0 - volume.corners_mm[0, 1]) / volume.row_mm)
    thorax = found(replace(volume, hu=_kept(volume.hu[:, :last])))
    assert isinstance(thorax.spine, NotFound)
    assert isinstance(thorax.descending, NotFound)
    assert "no spine" in thorax.descending.reasons[0]


def _water(radius_mm: float) -> Volume:
    """Make a cylinder of water in air."""
    axis = (np.arange(128) - 63.5) * 2.0
    page = np.where(np.hypot(axis[:, None], axis) < radius_mm, 0.0, -1000.0)
    return axial_volume(np.tile(page, (30, 1, 1)), row_mm=2.0, column_mm=2.0, z_mm=3.0 * np.arange(30.0))


def _filled(hu: float) -> Volume:
    """Make a volume of one density."""
    return axial_volume(np.full((30, 64, 64), hu), row_mm=3.0, column_mm=3.0, z_mm=3.0 * np.arange(30.0))


NO_CHESTS = {
    "uniform": (_filled(40.0), "lungs"),
    "all air": (_filled(-1000.0), "lungs"),
    "all as thin as lung": (_filled(-850.0), "heart"),
    "water cylinder": (_water(100.0), "lungs"),
    "chest without lungs": (paint(Build(lungs=False), Field(), 1).volume, "lungs"),
    "two slices": (part_of(usual().volume, slice(20, 22)), "2 slices"),
    "askew": (replace(usual().volume, orientation=(0.8, 0.6, 0.0, -0.6, 0.8, 0.0)), "askew"),
}


@pytest.mark.parametrize("case", NO_CHESTS)
def test_what_is_no_chest_is_not_found_and_says_why(case: str) -> None:
    """A refusal with a sentence, never a region that is wrong."""
    volume, word = NO_CHESTS[case]
    outcome = find_thorax(volume)
    assert isinstance(outcome, NotFound)
    assert word in outcome.reasons[0]


def test_lungs_with_nothing_between_them_hold_no_heart() -> None:
    """Two lungs and a thin wall between: no soft tissue as large as a heart."""
    hu = usual().volume.hu.copy()
    hu[:, 40:88, 20:58] = -850.0
    hu[:, 40:88, 66:110] = -850.0
    outcome = find_thorax(replace(usual().volume, hu=hu))
    assert isinstance(outcome, NotFound)
    assert "heart" in outcome.reasons[0]
