"""The rest-phase model: where the arteries rest, and how far they move beside it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gating.rest_phase import SIDES, Rest, diastole_centre_ms, diastole_ms, movement_mm, systole_centre_ms


def test_the_centres_are_the_published_ones() -> None:
    """Mid-diastole at 74 % at 55 bpm and 77 % at 75 bpm within a point; systole at 375, 351, 335 ms at 60, 75, 90."""
    steady = {rate: 60e3 / rate for rate in (55, 75)}
    assert [0.74, 0.77] == pytest.approx([diastole_centre_ms(rr, rr) / rr for rr in steady.values()], abs=0.01)
    assert [375, 351, 335] == pytest.approx([float(systole_centre_ms(60e3 / rate)) for rate in (60, 75, 90)], abs=0.5)


EXTINCT = {"left": 91.0, "right": 78.0}


@pytest.mark.parametrize("name", EXTINCT)
def test_the_diastolic_rest_is_gone_at_the_published_rate(name: str) -> None:
    """At 91 bpm on the left and 78 on the right it ends where it begins; at 60 bpm it lasts 235 and 159 ms."""
    begins, ends = diastole_ms(SIDES[name], 60e3 / EXTINCT[name], 60e3 / EXTINCT[name])
    assert 0.0 == pytest.approx(float(ends - begins), abs=2.0)
    begins, ends = diastole_ms(SIDES[name], 1000.0, 1000.0)
    assert {"left": 235.0, "right": 159.0}[name] == pytest.approx(float(ends - begins), abs=1.0)


def test_diastole_begins_by_the_interval_before_and_ends_by_its_own() -> None:
    """A beat that lasts 100 ms longer moves only the end, by 100 ms; a longer one before it moves only the begin."""
    begins, ends = diastole_ms(SIDES["right"], [1000.0, 1000.0, 1100.0], [1000.0, 1100.0, 1000.0])
    assert [0.0, 31.5] == pytest.approx([float(begins[1] - begins[0]), float(begins[2] - begins[0])])
    assert [100.5, 0.0] == pytest.approx([float(ends[1] - ends[0]), float(ends[2] - ends[0])])


Moved = tuple[Rest, float, float, float]
MOVED: dict[str, Moved] = {
    "systole, 76 ms about the turn: 1 mm, by definition": ("systole", 375.0, 76.0, 1.0),
    "systole, half as long: a quarter": ("systole", 375.0, 38.0, 0.25),
    "diastole, 120 ms: the drift of the right artery, 1 mm": ("diastole", 750.0, 120.0, 1.0),
    "diastole, 60 ms: half of it": ("diastole", 750.0, 60.0, 0.5),
}


@pytest.mark.parametrize("name", MOVED)
def test_movement_of_the_right_artery_at_60_bpm(name: str) -> None:
    """Each named interval about its rest moves the published way."""
    rest, centre, length, expected = MOVED[name]
    measured = movement_mm(rest, centre - length / 2, centre + length / 2, rr_before_ms=1000.0, rr_ms=1000.0)
    assert expected == pytest.approx(float(measured), abs=0.01)


PUBLISHED_MS = {"left": (66.0, 333.0), "right": (66.0, 200.0)}  # for 1 mm, 13 patients (Wang 1999)


@pytest.mark.parametrize("side", PUBLISHED_MS)
def test_patients_differ_in_their_drift_as_published(side: str) -> None:
    """Fastest to slowest of 13 patients is the published span; the extreme of 13 lies 1.67 SD out."""
    fastest_ms, slowest_ms = PUBLISHED_MS[side]
    extreme_sd = float(np.random.default_rng(1).standard_normal((100_000, 13)).max(axis=1).mean())
    assert np.log(slowest_ms / fastest_ms) == pytest.approx(2 * extreme_sd * SIDES[side].drift_sd, rel=0.01)


def test_a_slow_patient_moves_less_in_diastole() -> None:
    """Two SD slower or faster, the way in 100 ms is divided or multiplied by exp(2 SD) of the right side."""
    right = SIDES["right"]
    usual = 100.0 * right.drift_mm_per_ms
    expected = [usual * np.exp(-2 * right.drift_sd), usual, usual * np.exp(2 * right.drift_sd)]
    moved = movement_mm("diastole", 700.0, 800.0, rr_before_ms=1000.0, rr_ms=1000.0, slower=[2.0, 0.0, -2.0])
    assert expected == pytest.approx(moved.tolist(), rel=0.02)


def _at_its_best_mm(rest: Rest, rate_bpm: float, resolution_ms: float) -> float:
    """Give the movement of the usual patient, the images taken where they move least, as readers choose them."""
    rr = 60e3 / rate_bpm
    centre = float(systole_centre_ms(rr) if rest == "systole" else diastole_centre_ms(rr, rr))
    middle, half = centre + np.arange(-40.0, 41.0, 5.0), resolution_ms / 2
    return float(np.min(movement_mm(rest, middle - half, middle + half, rr_before_ms=rr, rr_ms=rr)))


BETTER: dict[str, tuple[float, float, str]] = {
    "75 ms, 62 bpm: diastole (Horii 2011)": (75.0, 62.0, "diastole"),
    "75 ms, 75 bpm: no difference (Horii 2011)": (75.0, 75.0, "neither"),
    "165 ms, 60 bpm: diastole (Wintersperger 2006)": (165.0, 60.0, "diastole"),
    "165 ms, 80 bpm: systole (Wintersperger 2006)": (165.0, 80.0, "systole"),
}


@pytest.mark.parametrize("name", BETTER)
def test_the_better_rest_is_the_one_that_readers_found(name: str) -> None:
    """Each named scanner and rate; a fifth more or less of movement is no difference."""
    resolution_ms, rate_bpm, expected = BETTER[name]
    systole, diastole = (_at_its_best_mm(rest, rate_bpm, resolution_ms) for rest in ("systole", "diastole"))
    ratio = diastole / systole
    assert expected == ("diastole" if ratio < 1 / 1.2 else "systole" if ratio > 1.2 else "neither")


@given(
    rest=st.sampled_from(["systole", "diastole"]),
    rr_ms=st.floats(500, 1500),
    off_ms=st.floats(-150, 150),
    length_ms=st.floats(20, 150),
    more_ms=st.floats(0, 50),
)
def test_a_longer_exposure_never_moves_less(
    rest: Rest, rr_ms: float, off_ms: float, length_ms: float, more_ms: float
) -> None:
    """An interval that holds another sees at least as much movement, and no movement is negative."""
    middle = float(systole_centre_ms(rr_ms) if rest == "systole" else diastole_centre_ms(rr_ms, rr_ms)) + off_ms
    halves = np.array([length_ms, length_ms + more_ms]) / 2
    moved = movement_mm(rest, middle - halves, middle + halves, rr_before_ms=rr_ms, rr_ms=rr_ms)
    assert 0.0 <= moved[0] <= moved[1] + 1e-9


@given(rest=st.sampled_from(["systole", "diastole"]), rr_ms=st.floats(800, 1500), later_ms=st.floats(-60, 60))
def test_a_patient_whose_rest_lies_later_is_the_same_patient_later(rest: Rest, rr_ms: float, later_ms: float) -> None:
    """Window and rest moved together see the same movement."""
    middle = float(systole_centre_ms(rr_ms) if rest == "systole" else diastole_centre_ms(rr_ms, rr_ms))
    usual = movement_mm(rest, middle - 40, middle + 40, rr_before_ms=rr_ms, rr_ms=rr_ms)
    moved = movement_mm(
        rest, middle - 40 + later_ms, middle + 40 + later_ms, rr_before_ms=rr_ms, rr_ms=rr_ms, later_ms=later_ms
    )
    assert float(usual) == pytest.approx(float(moved), abs=1e-9)
