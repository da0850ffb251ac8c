"""Comparisons: policies by their words, the same hearts for all, and what their figures count."""

import numpy as np
import pytest

from gating.errors import SettingsError
from gating.settings import GateSettings, WindowSettings
from scanner_bridge.plan import plan_from
from scanner_bridge.settings import PlanSettings
from simulators.comparison import (
    Spread,
    drawn_offsets,
    figures,
    parse_policy,
    recorded_cases,
    same_heart_cases,
    scans,
    scenario_cases,
    spread_of,
)
from simulators.heart import TrueBeat, recorded_beats
from simulators.io.scenarios import load_scenario
from simulators.motion import DIASTOLE_SD_MS, SYSTOLE_SD_MS, rest_offsets
from simulators.scenario import RestPhase

DUAL = plan_from(PlanSettings(sources=2, rotation_ms=250.0, tube_current_ma=200.0))

POLICIES: dict[str, WindowSettings] = {
    "least_blur_dose": WindowSettings(),
    "least_blur_dose:systole": WindowSettings(phase="systole"),
    "least_blur_dose:interval_before": WindowSettings(irregular="interval_before"),
    "percent_rr": WindowSettings(policy="percent_rr"),
    "percent_rr:40": WindowSettings(policy="percent_rr", percent_rr=40.0),
    "percent_rr:75+100": WindowSettings(policy="percent_rr", percent_rr=75.0, padding_ms=100.0),
    "absolute_ms:250": WindowSettings(policy="absolute_ms", absolute_centre_ms=250.0),
    "vendor_table+40": WindowSettings(policy="vendor_table", padding_ms=40.0),
}

NO_POLICIES: dict[str, str] = {
    "least_blur": "no policy 'least_blur'; take one of: least_blur_dose",
    "least_blur_dose+40": "no policy",
    "least_blur_dose:": "no policy",
    "percent_rr:": "'' must be a number from 0 to 100",
    "percent_rr:101": "'101' must be a number from 0 to 100",
    "percent_rr:nan": "'nan' must be a number",
    "absolute_ms:soon": "'soon' must be a number from 0 to 1000",
    "vendor_table:70": "no policy",
    "percent_rr:75+": "'' must be a number from 0 to 300",
}


@pytest.mark.parametrize("text", POLICIES)
def test_a_policy_is_read_from_its_words(text: str) -> None:
    """Name, number and padding go into the settings that a site would write; the words stay its name."""
    policy = parse_policy(f" {text} ")
    assert POLICIES[text] == policy.window
    assert text == policy.name


@pytest.mark.parametrize("text", NO_POLICIES)
def test_what_is_no_policy_is_refused_with_the_cure(text: str) -> None:
    """The error quotes what was typed and what could have been."""
    with pytest.raises(SettingsError, match=r"policy") as caught:
        parse_policy(text)
    assert NO_POLICIES[text] in str(caught.value)


def test_what_a_policy_does_not_say_is_the_sites() -> None:
    """A site's coverage and guard stay under every policy."""
    site = WindowSettings(coverage=0.8, guard_before_next_r_ms=30.0)
    policy = parse_policy("percent_rr:70", site)
    assert (0.8, 30.0, 70.0) == (
        policy.window.coverage,
        policy.window.guard_before_next_r_ms,
        policy.window.percent_rr,
    )


def test_a_patients_rest_is_the_twins_draw_and_grows_with_the_spread() -> None:
    """Spread 1 draws what the twin draws for that seed, 0 the published mean, and 2 twice as much."""
    for seed in range(1, 30):
        one = drawn_offsets(seed, 1.0)
        assert rest_offsets(RestPhase(drawn=True), np.random.default_rng([seed, 7])) == one
        assert (0.0, 0.0) == (drawn_offsets(seed, 0.0).systole_ms, drawn_offsets(seed, 0.0).diastole_ms)
        assert (2 * one.systole_ms, 2 * one.diastole_ms) == pytest.approx(
            (drawn_offsets(seed, 2.0).systole_ms, drawn_offsets(seed, 2.0).diastole_ms)
        )
    many = [drawn_offsets(seed, 1.0) for seed in range(1, 400)]
    assert SYSTOLE_SD_MS == pytest.approx(np.std([one.systole_ms for one in many]), rel=0.15)
    assert DIASTOLE_SD_MS == pytest.approx(np.std([one.diastole_ms for one in many]), rel=0.15)


def test_every_policy_meets_the_same_hearts() -> None:
    """Case by case, all policies in their order; two of the same name give the same exposures."""
    cases = scenario_cases(load_scenario("pvc"), (3, 4))
    policies = [parse_policy(text) for text in ("percent_rr:75", "percent_rr", "absolute_ms:300")]
    done = list(scans(cases, policies, DUAL, GateSettings()))
    expected = [(policy.name, case.name) for case in cases for policy in policies]
    assert expected == [(policy.name, case.name) for policy, case, _ in done]
    assert [one.movement_mm for one in done[0][2].exposures] == [one.movement_mm for one in done[1][2].exposures]
    assert done[0][2].exposures != done[2][2].exposures


def test_the_figures_are_those_of_the_scans() -> None:
    """Counts, dose and shares add up; what a policy did not expose counts against its share at rest."""
    policy = parse_policy("percent_rr:75")
    cases = scenario_cases(load_scenario("pvc"), range(1, 11))
    done = [scan for _, _, scan in scans(cases, [policy], DUAL, GateSettings())]
    found = figures(policy, done)
    whole = [one for scan in done for one in scan.whole]
    assert (10, 40) == (found.scans, found.slabs_planned)
    assert len(whole) == found.slabs_exposed
    assert sum(max(one.movement_mm) < 1.0 for one in whole) == found.slabs_at_rest
    assert found.slabs_at_rest / 40 == found.rest_share
    assert found.exposures == found.slabs_exposed + found.cut
    assert sum(one.beam_ms for scan in done for one in scan.exposures) * DUAL.msv_per_ms / 10 == pytest.approx(
        found.mean_dose_msv
    )
    assert sum(len(scan.held) for scan in done) == sum(found.held.values()) > 0
    assert found.scans == found.completed + sum(found.ended.values())


def test_nothing_done_is_no_figure() -> None:
    """A policy without a scan has no median, and no share of what was exposed."""
    found = figures(parse_policy("vendor_table"), [])
    assert Spread(None, None, None) == found.blur_mm == spread_of([])
    assert (0.0, None) == (found.rest_share, found.rest_share_exposed)


def _steady(seconds: float) -> tuple[TrueBeat, ...]:
    at_s = np.arange(1.0, seconds, 0.9)
    return recorded_beats(at_s.tolist(), ["N"] * len(at_s))


def test_a_recorded_heart_gives_breath_holds_all_over_the_record() -> None:
    """Each begins 30 s after its first beat, the last one ends with the record, and the symbols stay."""
    beats = _steady(600.0)
    cases = recorded_cases("101", beats, range(1, 6))
    assert ["101 from 55 s", "101 from 164 s"] == [case.name for case in cases[:2]]
    assert [30.0] * 5 == [case.hold_begins_at_s for case in cases]
    assert all(0.0 <= case.beats[0].r_at_s < 0.9 for case in cases)
    assert all(case.beats[-1].r_at_s > 55.0 for case in cases)
    assert {"N"} == {beat.symbol for case in cases for beat in case.beats}


def test_a_record_too_short_for_a_scan_is_refused() -> None:
    """It names the record, how long it is and how long it must be."""
    with pytest.raises(SettingsError, match=r"tiny holds 3\d s of beats; a comparison needs 55 s"):
        recorded_cases("tiny", _steady(40.0), (1,))


def test_a_heart_without_beats_before_the_hold_is_refused() -> None:
    """Nothing could be learned from it before the scan."""
    with pytest.raises(SettingsError, match="none before the breath-hold"):
        same_heart_cases("j", _steady(40.0), 0.5, (1,))
