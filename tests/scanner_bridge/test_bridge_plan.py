"""The plan, its dose, and the settings behind it."""

import pytest

from gating.errors import SettingsError
from gating.messages import plan_hash
from scanner_bridge.dose import ctdivol_mgy_per_mas
from scanner_bridge.ledger import Ledger
from scanner_bridge.plan import half_scan_ms, plan_from
from scanner_bridge.settings import BridgeSettings, PlanSettings, parse_bridge


def test_the_default_plan_is_48_slices_of_3_mm_in_four_steps() -> None:
    """Four steps of 36 mm feed under 40 mm collimation, centred on the heart."""
    plan = plan_from(PlanSettings())
    assert (-54.0, -18.0, 18.0, 54.0) == plan.table_mm
    assert (48, 3.0, 40.0, 512, 120) == (
        plan.slices_per_step * len(plan.table_mm), plan.slice_thickness_mm, plan.collimation_mm, plan.matrix, plan.kvp
    )  # fmt: skip


def test_the_half_scan_is_0_70_of_a_rotation() -> None:
    """(180 + 52 + 20) / 360 of 280 ms is 196 ms (gating.md section 5 item 6)."""
    assert 196.0 == half_scan_ms(280.0, 52.0, 20.0)


def test_dose_agrees_with_the_cited_protocol() -> None:
    """57 mAs over 16 cm cost 0.9 mSv with k = 0.014 (gating.md section 4.4, S72)."""
    plan = plan_from(PlanSettings())
    mas = plan.tube_current_ma * plan.half_scan_ms / 1000
    assert 56.84 == pytest.approx(mas)
    scan_ms = len(plan.table_mm) * plan.half_scan_ms
    assert 0.9 * mas / 57 == pytest.approx(scan_ms * plan.msv_per_ms)
    assert 64.286 * mas / 57 == pytest.approx(scan_ms * plan.dlp_mgycm_per_ms, rel=1e-4)
    assert plan.dlp_mgycm_per_ms == pytest.approx(plan.ctdivol_mgy_per_ms * 4.0)
    assert 0.0155 <= scan_ms * plan.msv_per_ms / mas <= 0.018


PUBLISHED_CTDIVOL = {80: (120 / 80) ** -2.6, 100: (120 / 100) ** -2.6, 140: (140 / 120) ** 2.6}


@pytest.mark.parametrize("kvp", PUBLISHED_CTDIVOL)
def test_dose_follows_the_voltage(kvp: int) -> None:
    """CTDIvol at one current goes as kV^2.6; from 80 to 140 kV it is four times as much (43 scanners)."""
    found = plan_from(PlanSettings(kvp=kvp)).ctdivol_mgy_per_ms / plan_from(PlanSettings()).ctdivol_mgy_per_ms
    assert PUBLISHED_CTDIVOL[kvp] == pytest.approx(found)
    assert 4.0 == pytest.approx(PUBLISHED_CTDIVOL[140] / PUBLISHED_CTDIVOL[80], rel=0.1)
    assert 0.056 <= ctdivol_mgy_per_mas() <= 0.100  # 78 +- 22 microgray per mAs


def test_the_factor_is_named_with_its_source() -> None:
    """The same DLP is 2.06 times the effective dose by ICRP 103 as by the legacy factor."""
    legacy, icrp = (plan_from(PlanSettings(effective_dose=name)) for name in ("legacy chest", "ICRP 103 calcium"))
    assert legacy.dlp_mgycm_per_ms == icrp.dlp_mgycm_per_ms
    assert 0.0289 / 0.014 == pytest.approx(icrp.msv_per_ms / legacy.msv_per_ms)
    assert "Trattner" in icrp.msv_factor_source


def test_the_scout_counts() -> None:
    """A scout of 5 mGy cm is in the dose before the first exposure, in no CTDIvol, and under the ceiling."""
    plan = plan_from(PlanSettings(scout_dlp_mgycm=5.0))
    ledger = Ledger(plan)
    bare = plan_from(PlanSettings())
    assert 5.0 == pytest.approx(plan.planned_dlp_mgycm - bare.planned_dlp_mgycm)
    assert 4 * bare.half_scan_ms * bare.dlp_mgycm_per_ms == pytest.approx(bare.planned_dlp_mgycm)
    assert (5.0, 0.0, 5.0 * 0.014) == (ledger.dlp_mgycm, ledger.ctdivol_mgy, ledger.effective_msv)
    ledger.start_over()
    ledger.enter(0, "exposed", 100.0)
    assert (5.0 + 100.0 * plan.dlp_mgycm_per_ms) == pytest.approx(ledger.dlp_mgycm)
    assert 100.0 * plan.ctdivol_mgy_per_ms == pytest.approx(ledger.ctdivol_mgy)
    with pytest.raises(SettingsError, match="dose_ceiling_msv"):
        plan_from(PlanSettings(scout_dlp_mgycm=5.0, dose_ceiling_msv=0.95))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"slices_per_step": 14}, "gaps"),
        ({"rotation_ms": 520.0}, "half-scan"),
        ({"dose_ceiling_msv": 0.5}, "mSv"),
    ],
)
def test_contradictions_are_refused_with_the_cure(change: dict[str, float], word: str) -> None:
    """A plan that no scan could keep is refused in one sentence that names the section."""
    with pytest.raises(SettingsError, match=word) as error:
        plan_from(PlanSettings(**change))  # type: ignore[arg-type]  # a table of mixed fields
    assert "[bridge.plan]" in str(error.value)


def test_unknown_keys_and_loosened_limits_are_refused_by_name() -> None:
    """A typing error is found, and no site may lengthen the lease or the breath-hold."""
    sections: list[tuple[dict[str, object], str]] = [
        ({"drivr": "gantry"}, "drivr"),
        ({"plan": {"feed": 36}}, "feed"),
        ({"limits": {"lease_ms": 500.0}}, "lease_ms"),
        ({"limits": {"forged_count": 30}}, "forged_count"),
        ({"plan": {"breath_hold_limit_s": 60.0}}, "breath_hold_limit_s"),
    ]
    for section, name in sections:
        with pytest.raises(SettingsError, match=name):
            parse_bridge(section, "site.toml")


def test_the_default_bridge_drives_nothing() -> None:
    """Without a word about it the driver is `null` and no real scanner may move."""
    settings = parse_bridge({}, "site.toml")
    assert ("null", False) == (settings.driver, settings.real_scanner)
    assert BridgeSettings() == settings


def test_any_change_of_the_plan_changes_its_hash() -> None:
    """The hash names the plan by its content (hazards.md B8)."""
    assert plan_hash(plan_from(PlanSettings())) != plan_hash(plan_from(PlanSettings(tube_current_ma=291.0)))
