"""Volume in its two modes, and mass by its three calibrations, against answers worked out on paper."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.islands import find_islands
from scoring.lesions import VESSELS, Labels
from scoring.mass_score import PhantomReading, calibration_of, hu_sum
from scoring.score import Score, score_volume
from scoring.settings import ScoreSettings
from scoring.volume import Volume, axial_volume
from scoring.volume_score import interpolated_parts, part_mm3, parts_of_gap

# HU of one pixel of 1 mm2 in five slices of 3 mm; a gap has four parts, in the middles of its quarters. On paper: HU
# run straight, so a part at the fraction f of a gap from a to b counts when a + f (b - a) >= 130.
COLUMNS: list[tuple[str, list[float], int]] = [
    ("nothing", [0, 0, 0, 0, 0], 0),
    ("one slice of 260: half of each gap", [0, 0, 260, 0, 0], 4),
    ("one slice of 520: three quarters of each gap", [0, 0, 520, 0, 0], 6),
    ("one slice of 130: no part reaches it", [0, 0, 130, 0, 0], 0),
    ("two slices of 260: the gap between them is full", [0, 260, 260, 0, 0], 8),
    ("the first slice has one gap only", [260, 0, 0, 0, 0], 2),
    ("the last slice has one gap only", [0, 0, 0, 0, 520], 3),
    ("exactly 130 at a part counts", [0, 0, 208, 0, 0], 4),
]


def _column(values: Sequence[float]) -> Volume:
    """Make a volume with these HU in its middle pixel."""
    hu = np.zeros((len(values), 3, 3))
    hu[:, 1, 1] = values
    return axial_volume(hu, row_mm=1.0, column_mm=1.0, z_mm=[3.0 * index for index in range(len(values))])


@pytest.mark.parametrize(("values", "parts"), [c[1:] for c in COLUMNS], ids=[c[0] for c in COLUMNS])
def test_interpolated_volume_is_that_on_paper(values: list[float], parts: int) -> None:
    """A gap of 3 mm under a pixel of 1 mm2 has four parts of 0.75 mm3; those at or above 130 HU are counted."""
    volume = _column(values)
    assert parts_of_gap(volume) == 4
    assert part_mm3(volume) == 0.75
    assert [parts] == interpolated_parts([find_islands(volume, ScoreSettings())], volume, 130.0)


def test_nothing_is_interpolated_over_a_missing_slice() -> None:
    """Over a broken gap no tissue is invented."""
    volume = _column([0, 260, 260, 0, 0])
    islands = find_islands(volume, ScoreSettings())
    assert [4] == interpolated_parts([islands], volume, 130.0, broken_after=[1])


def test_padding_is_as_air() -> None:
    """Minus infinity outside the field neither warns nor counts: from 520 HU to air at -1024 a quarter remains."""
    volume = _column([-np.inf, 520, -np.inf])
    assert [2] == interpolated_parts([find_islands(volume, ScoreSettings())], volume, 130.0)


def test_a_part_belongs_to_the_nearer_pixel() -> None:
    """Between two slices of two vessels each gets the half that is its own."""
    volume = _column([0, 260, 260, 0])
    below, above = find_islands(volume, ScoreSettings())
    assert [4, 4] == interpolated_parts([[below], [above]], volume, 130.0)


def test_the_mode_is_named_and_the_sums_are_exact() -> None:
    """With `interpolated` the report's volumes are parts, and the vessels' parts add up to the total's."""
    rng = np.random.default_rng(3)
    volume = axial_volume(
        rng.integers(0, 400, (6, 20, 20)).astype(float), row_mm=0.6, column_mm=0.7, z_mm=range(0, 18, 3)
    )
    labels = Labels(rng.integers(0, 5, volume.hu.shape).astype(np.uint8))
    score = score_volume(volume, labels, ScoreSettings(volume_mode="interpolated"))
    assert isinstance(score, Score)
    assert score.total is not None
    assert score.total.volume_parts == sum(score.vessels[name].volume_parts for name in VESSELS)
    assert score.total.volume_mm3 == pytest.approx(score.total.volume_parts * part_mm3(volume), rel=1e-12)
    voxel = score_volume(volume, labels)
    assert isinstance(voxel, Score)
    assert voxel.total is not None
    assert voxel.total.agatston == score.total.agatston
    assert voxel.total.volume_parts == voxel.total.pixels


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 600), min_size=3, max_size=8))
def test_interpolation_does_not_know_head_from_foot(values: list[int]) -> None:
    """A column upside down has the same parts."""
    up, down = _column(values), _column(values[::-1])
    counts = [interpolated_parts([find_islands(one, ScoreSettings())], one, 130.0) for one in (up, down)]
    assert counts[0] == counts[1]


def test_mass_by_a_phantom_is_that_on_paper(
    make_volume: Callable[..., Volume], whole_map: Callable[..., Labels]
) -> None:
    """Rod 270 HU, water -2 HU: 0.2 / 272 mg/mm3/HU; four pixels of 300 HU in 3 mm3 weigh 0.2 / 272 x 3 x 300 mg."""
    volume = make_volume((1, 5, 2, 5, 2, 300.0))
    calibration = calibration_of(volume, PhantomReading(rod_hu=270.0, water_hu=-2.0))
    assert calibration is not None
    assert calibration.source == "phantom"
    score = score_volume(volume, whole_map(volume), calibration=calibration)
    assert isinstance(score, Score)
    assert score.total is not None
    assert score.total.mass_mg == pytest.approx(0.2 / 272 * 3 * 300, rel=1e-12)


def test_without_calibration_there_is_no_mass(
    make_volume: Callable[..., Volume], whole_map: Callable[..., Labels]
) -> None:
    """No phantom and no factor: no number."""
    volume = make_volume((1, 5, 2, 5, 2, 300.0))
    assert calibration_of(volume) is None
    score = score_volume(volume, whole_map(volume))
    assert isinstance(score, Score)
    assert score.total is not None
    assert score.total.mass_mg is None


def test_a_phantom_goes_before_the_patients_factor_and_that_before_the_scanners(
    make_volume: Callable[..., Volume],
) -> None:
    """The three sources have an order; the scanner's three factors need the patient's size."""
    device = {"mass_factors_device": (0.743, 0.779, 0.812)}
    bare = make_volume()
    fields = {name: getattr(bare, name) for name in Volume.__slots__}
    scanner = Volume(**{**fields, **device})
    both = Volume(**{**fields, **device, "mass_factor_patient": 0.75})
    assert calibration_of(scanner) is None
    by_size = calibration_of(scanner, size="medium")
    assert by_size is not None
    assert by_size.source == "device-factor"
    assert by_size.mg_mm3_per_hu == pytest.approx(0.779e-3)
    by_patient = calibration_of(both, size="medium")
    assert by_patient is not None
    assert by_patient.source == "patient-factor"
    assert by_patient.mg_mm3_per_hu == pytest.approx(0.75e-3)
    by_phantom = calibration_of(both, PhantomReading(rod_hu=200.0, water_hu=0.0))
    assert by_phantom is not None
    assert by_phantom.source == "phantom"
    assert by_phantom.mg_mm3_per_hu == pytest.approx(1e-3)


@pytest.mark.parametrize(("rod", "water"), [(0.0, 0.0), (-5.0, 200.0), (float("nan"), 0.0), (float("inf"), 0.0)])
def test_an_impossible_phantom_is_refused(rod: float, water: float) -> None:
    """A rod as dark as water would give any mass."""
    with pytest.raises(ValueError, match=r"brighter than water|finite"):
        PhantomReading(rod_hu=rod, water_hu=water)


def test_the_sum_of_hu_does_not_depend_on_the_order() -> None:
    """Values whose plain sum depends on their order give one sum."""
    hu = np.full((1, 1, 3), 0.0)
    hu[0, 0] = [1e16, 200.0, 1e16]
    volume = axial_volume(hu, row_mm=1.0, column_mm=1.0, z_mm=[0.0])
    turned = axial_volume(hu[:, :, [1, 0, 2]], row_mm=1.0, column_mm=1.0, z_mm=[0.0])
    sums = {hu_sum(find_islands(one, ScoreSettings()), one) for one in (volume, turned)}
    assert sums == {2e16 + 200.0}
