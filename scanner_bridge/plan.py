"""Scan range, technique and limits to the AcquisitionPlan, and what it costs the patient."""

from gating.errors import SettingsError
from gating.messages import AcquisitionPlan
from scanner_bridge.dose import FACTORS, ctdivol_mgy_per_mas
from scanner_bridge.settings import PlanSettings


def half_scan_ms(rotation_ms: float, fan_deg: float, feather_deg: float, sources: int = 1) -> float:
    """Give the beam-on time of one half-scan in ms: (180 / sources + fan + feather) / 360 of the rotation.

    References
    ----------
    gating.md section 5 item 6; 196 ms at 280 ms rotation with a fan of 52 and a feather of 20 degrees.
    """
    return (180.0 / sources + fan_deg + feather_deg) * rotation_ms / 360.0


def temporal_resolution_ms(rotation_ms: float, sources: int = 1) -> float:
    """Give how long the middle of the field is looked at: half a rotation, with two sources a quarter (item 6)."""
    return rotation_ms / 2.0 / sources


def plan_from(settings: PlanSettings) -> AcquisitionPlan:
    """Make the plan that a site's settings describe.

    Raises
    ------
    SettingsError
        If the numbers contradict each other: a feed above the collimation, a half-scan above the cap of one exposure,
        or a dose ceiling below one complete scan with its scout.
    """
    feed_mm = settings.slices_per_step * settings.slice_thickness_mm
    half_ms = half_scan_ms(settings.rotation_ms, settings.fan_deg, settings.feather_deg, settings.sources)
    longest_ms = min(settings.max_exposure_ms, half_ms + settings.max_padding_ms)
    factor = FACTORS[settings.effective_dose]
    ctdivol_per_ms = ctdivol_mgy_per_mas(settings.kvp) * settings.tube_current_ma * settings.sources / 1000.0
    dlp_per_ms = ctdivol_per_ms * settings.collimation_mm / 10.0
    msv_per_ms = dlp_per_ms * factor.msv_per_mgycm
    one_scan_msv = settings.steps * half_ms * msv_per_ms + settings.scout_dlp_mgycm * factor.msv_per_mgycm
    _refuse_contradictions(settings, feed_mm, half_ms, one_scan_msv)
    return AcquisitionPlan(
        plan_id=settings.plan_id,
        patient=settings.patient,
        table_mm=tuple(settings.first_table_mm + step * feed_mm for step in range(settings.steps)),
        collimation_mm=settings.collimation_mm,
        slices_per_step=settings.slices_per_step,
        slice_thickness_mm=settings.slice_thickness_mm,
        rotation_ms=settings.rotation_ms,
        fan_deg=settings.fan_deg,
        feather_deg=settings.feather_deg,
        sources=settings.sources,
        half_scan_ms=half_ms,
        temporal_resolution_ms=temporal_resolution_ms(settings.rotation_ms, settings.sources),
        kvp=settings.kvp,
        tube_current_ma=settings.tube_current_ma,
        matrix=settings.matrix,
        fov_mm=settings.fov_mm,
        centre_x_mm=settings.centre_x_mm,
        centre_y_mm=settings.centre_y_mm,
        kernel_cutoff=settings.kernel_cutoff,
        ctdivol_mgy_per_ms=ctdivol_per_ms,
        dlp_mgycm_per_ms=dlp_per_ms,
        msv_per_ms=msv_per_ms,
        msv_per_mgycm=factor.msv_per_mgycm,
        msv_factor_source=factor.source,
        scout_dlp_mgycm=settings.scout_dlp_mgycm,
        reference_dlp_mgycm=settings.reference_dlp_mgycm,
        table_move_ms=settings.table_move_ms,
        max_repeats=settings.max_repeats,
        max_padding_ms=settings.max_padding_ms,
        max_exposure_ms=longest_ms,
        beam_on_limit_ms=settings.steps * (1 + settings.max_repeats) * longest_ms,
        dose_ceiling_msv=settings.dose_ceiling_msv,
        settle_s=settings.settle_s,
        breath_hold_limit_s=settings.breath_hold_limit_s,
        arm_limit_s=settings.arm_limit_s,
    )


def _refuse_contradictions(settings: PlanSettings, feed_mm: float, half_ms: float, one_scan_msv: float) -> None:
    """Refuse numbers that no scan could keep; each sentence names the keys of [bridge.plan]."""
    if feed_mm > settings.collimation_mm:
        raise SettingsError(
            f"The plan feeds {feed_mm:g} mm per step under a collimation of {settings.collimation_mm:g} mm and would "
            "leave gaps; lower slices_per_step in [bridge.plan]."
        )
    if half_ms > settings.max_exposure_ms:
        raise SettingsError(
            f"A half-scan of {half_ms:.0f} ms is longer than max_exposure_ms = {settings.max_exposure_ms:g}; choose a "
            "faster rotation_ms or a higher cap in [bridge.plan]."
        )
    if one_scan_msv > settings.dose_ceiling_msv:
        raise SettingsError(
            f"One complete scan costs {one_scan_msv:.2f} mSv, above dose_ceiling_msv = {settings.dose_ceiling_msv:g}; "
            "lower tube_current_ma or the number of steps in [bridge.plan]."
        )
