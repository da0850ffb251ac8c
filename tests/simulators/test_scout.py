"""Scouts: what is read off them, and that the scan planned on them has the range and the noise that were wanted."""

import msgspec
import numpy as np
import pytest

from gating.errors import SettingsError
from scanner_bridge.plan import plan_from
from scanner_bridge.settings import PlanSettings
from simulators.anatomy import make_patient
from simulators.exposure import Physics, Shot
from simulators.motion import VESSELS, MotionClock, RestOffsets
from simulators.phantom import course_points
from simulators.scenario import Anatomy, Scanner, Scenario
from simulators.scout import LEAST_MA, MOST_MA, current_ma, noise_hu, scout_mas, slabs, take_scouts
from simulators.stage import plan_settings
from simulators.study import acquire

PLAN = PlanSettings(matrix=128)
BODIES = ("small", "medium", "large")
VOLTAGES = {"70 keV": (False, 120), "120 kV": (True, 120), "80 kV": (True, 80)}


def _story(scanner: Scanner, **anatomy: object) -> Scenario:
    return Scenario(name="test", story="A patient.", scanner=scanner, anatomy=msgspec.convert(anatomy, Anatomy))


@pytest.mark.parametrize("scale", [0.92, 1.0, 1.06])
def test_the_range_holds_the_arteries_and_a_centimetre_more(scale: float) -> None:
    """The slabs reach from 1 cm above the left main to 1 cm below the heart, and the field holds every artery."""
    patient = make_patient(_story(Scanner(), heart_scale=scale), 1)
    scout = take_scouts(patient, PLAN.fan_deg)
    steps, first_mm = slabs(scout, 36.0)
    low, high = first_mm - 18.0, first_mm + 36.0 * (steps - 1) + 18.0
    assert low <= scout.bottom_mm
    assert high >= scout.top_mm
    assert high - low < scout.top_mm - scout.bottom_mm + 36.0
    still, none = np.zeros((1, 4)), np.zeros(1)
    courses = {one: course_points(patient, one, np.linspace(0, 1, 50), still, none)[0] for one in VESSELS}
    assert 10.0 == pytest.approx(scout.top_mm - courses["LM"][:, 2].max(), abs=2.5)
    for points in courses.values():
        assert np.all(np.abs(points[:, :2] - np.array(scout.centre_mm)) < scout.fov_mm / 2)
        assert np.all((points[:, 2] > low) & (points[:, 2] < high))


@pytest.mark.parametrize("name", VOLTAGES)
@pytest.mark.parametrize("body", BODIES)
def test_the_current_makes_the_wanted_noise(body: str, name: str) -> None:
    """A scan at the current read off the scouts has 20 HU of noise in the middle of the heart, within 8 %."""
    polychromatic, kvp = VOLTAGES[name]
    patient = make_patient(_story(Scanner(), body=body), 1)
    asked = msgspec.structs.replace(PLAN, kvp=kvp, dose_ceiling_msv=1e3)
    scout = take_scouts(patient, asked.fan_deg)
    milliampere = current_ma(scout, asked, 30.0, polychromatic=polychromatic)
    assert LEAST_MA < milliampere
    plan = plan_from(msgspec.structs.replace(asked, tube_current_ma=milliampere))
    clock, physics = MotionClock(np.arange(60), RestOffsets()), Physics(polychromatic)
    noisy, exact = (
        acquire(patient, clock, [Shot(0, 0.0, 20.6, 10.0)], plan, noise_seed=seed, physics=physics)
        for seed in (1, None)
    )
    x, y, _ = patient.heart.centre_mm
    column, row = round((x - noisy.x0_mm) / noisy.pixel_mm), round((y - noisy.y0_mm) / noisy.pixel_mm)
    sd = float((noisy.hu - exact.hu)[:, row - 10 : row + 11, column - 10 : column + 11].std())
    foretold = noise_hu(scout, msgspec.structs.replace(asked, tube_current_ma=milliampere), polychromatic=polychromatic)
    assert foretold == pytest.approx(sd, rel=0.08)
    if milliampere < MOST_MA:
        assert 30.0 == pytest.approx(sd, rel=0.08)


def test_a_larger_body_gets_more() -> None:
    """Small, medium, large: each needs more current for the same noise; the tube's end is the end."""
    scouts = [take_scouts(make_patient(_story(Scanner(), body=body), 1), PLAN.fan_deg) for body in BODIES]
    needed = [current_ma(scout, PLAN, 30.0, polychromatic=False) for scout in scouts]
    assert needed == sorted(needed)
    assert MOST_MA == current_ma(scouts[-1], PLAN, 2.0, polychromatic=False)


def test_a_scenario_is_planned_on_its_scouts() -> None:
    """Range, field of view, current and the scouts' dose: two of 25 cm at 1.26 mAs and 0.07 mGy a mAs."""
    story = _story(Scanner(scout=True, noise_target_hu=25.0), body="medium", heart_scale=0.95)
    scout = take_scouts(make_patient(story, story.seed), PLAN.fan_deg)
    settings = plan_settings(story)
    assert slabs(scout, 36.0) == (settings.steps, settings.first_table_mm)
    assert (scout.fov_mm, scout.centre_mm) == (settings.fov_mm, (settings.centre_x_mm, settings.centre_y_mm))
    assert 25.0 == pytest.approx(noise_hu(scout, settings, polychromatic=False))
    assert 1.26 == pytest.approx(scout_mas())
    assert 2 * 0.0705 * 1.26 * 25.0 == pytest.approx(settings.scout_dlp_mgycm, rel=0.01)
    assert settings.scout_dlp_mgycm == plan_from(settings).scout_dlp_mgycm


WRONG: dict[str, tuple[Scanner, str]] = {
    "noise without a scout": (Scanner(noise_target_hu=20.0), "set scout = true"),
    "one energy at 100 kV": (Scanner(kvp=100), "set polychromatic = true"),
    "a voltage without a spectrum": (Scanner(kvp=105, polychromatic=True), "no spectrum of 105 kV"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_scanner_that_cannot_be(name: str) -> None:
    """It says which key of the scenario to mend."""
    scanner, cure = WRONG[name]
    with pytest.raises(SettingsError, match=cure):
        plan_settings(_story(scanner))
