"""A report in words and rows: what page, PDF and table on the terminal say alike."""

from scoring.margin import Margin
from scoring.mass_score import Calibration
from scoring.quality import Quality, Region
from scoring.report import ScoreReport
from scoring.score import ScanFacts
from scoring.standing import Standing
from scoring.uncertainty import Uncertainty

DRAFT = "PROPOSED - NOT REVIEWED"
Rows = list[tuple[str, str]]


def state_of(report: ScoreReport) -> str:
    """Say that nobody has confirmed a result, or who has and when."""
    review = report.review
    if report.draft or review is None:
        return DRAFT
    again = f", revision {review.revision}" if review.revision > 1 else ""
    supersedes = "; supersedes an earlier one" if review.supersedes else ""
    return f"Confirmed by {review.reviewer}, {review.reviewed_at}{again}{supersedes}"


def headline(report: ScoreReport) -> str:
    """Say the score in one line, or that there is none."""
    if report.score.total is None:
        return "Not scored." if report.status == "refused" else "No total."
    parts = (
        f"Agatston {report.score.shown}",
        f"class {report.category}" if report.category else "a lower bound without a class: the heart is cut",
        report.cac_drs or "",
    )
    return ", ".join(part for part in parts if part) + "."


def standing_in_words(standing: Standing) -> list[str]:
    """Say what a score means for a person, one sentence each."""
    lines = []
    band = standing.band
    if band is not None:
        low = "" if band.low_percent is None else f" from the {band.low_percent:g}th ({band.low_score:.0f})"
        high = " up" if band.high_percent is None else f" up to the {band.high_percent:g}th ({band.high_score:.0f})"
        none = "" if band.zero_percent is None else f"; {band.zero_percent:.0f} % of them have no calcium"
        lines.append(f"Percentile ({band.source}, {band.group}): about{low}{high}{none}.")
    if standing.arterial_age_years is not None:
        lines.append(f"Arterial age: {standing.arterial_age_years:.0f} years ({standing.arterial_age_source}).")
    risk = standing.risk
    if risk is not None:
        with_, without = risk.with_calcium_percent, risk.without_calcium_percent
        lines.append(f"Ten-year risk ({risk.source}): {with_:.1f} % with this score, {without:.1f} % without it.")
    return [*lines, *standing.reasons, *(f"For the referrer: {one}" for one in standing.prompts)]


def findings_in_words(report: ScoreReport) -> list[str]:
    """Say how far the calcium is spread, how near the next class is, and where the mass comes from."""
    lines = []
    extent, total = report.score.extent, report.score.total
    if extent is not None and total is not None and total.agatston > 0:
        count = f"{extent.lesions} lesion" + ("" if extent.lesions == 1 else "s")
        if extent.vessels is not None:
            count += f" in {extent.vessels} of 4 vessels"
            count += ", the left main among them" if extent.left_main else ", none in the left main"
        even = "" if extent.diffusivity is None else f"; diffusivity index {extent.diffusivity:.2f}"
        lines.append(f"{count}{even}.")
    if report.margin is not None:
        lines.append(margin_in_words(report.margin))
    if report.uncertainty is not None:
        lines.append(uncertainty_in_words(report.uncertainty))
    if total is not None:
        lines.append(calibration_in_words(report.score.calibration))
    if report.acquisition is not None and report.acquisition.dlp_mgycm is not None:
        lines.append(_dose_in_words(report.acquisition))
    return lines


def very_high_in_words(report: ScoreReport) -> str | None:
    """Say that a score is very high and to whom it is to be shown; None when it is not."""
    if report.very_high_from is None:
        return None
    to_whom = report.settings.cardiologist or "the cardiologist who answers for this site"
    return (
        f"VERY HIGH: {report.very_high_from:g} or more. Show it to {to_whom}, and record that it was seen "
        "(diastole acknowledge)."
    )


def _dose_in_words(facts: ScanFacts) -> str:
    """Say what the patient got."""
    told = "" if facts.ctdivol_mgy is None else f"CTDIvol {facts.ctdivol_mgy:.2f} mGy, "
    effective = "" if facts.effective_msv is None else f", {facts.effective_msv:.2f} mSv"
    return f"Dose: {told}DLP {facts.dlp_mgycm:.1f} mGy cm{effective}."


def margin_in_words(margin: Margin) -> str:
    """Say what it would take to change the class."""
    if margin.to_lower is None:
        return f"Any counted island would make it class {margin.higher}."
    less = f"{margin.to_lower:.1f} less would make it class {margin.lower}"
    if margin.to_higher is None:
        return f"{less}; there is no higher class."
    return f"{less}, {margin.to_higher:.1f} more class {margin.higher}."


def uncertainty_in_words(uncertainty: Uncertainty) -> str:
    """Say how far a second scan would differ."""
    published = uncertainty.published_difference_percent
    patients = "" if published is None else f" Two scans of patients with such a score differ by {published:.0f} %."
    return (
        f"One scan leaves open {uncertainty.low:.0f} to {uncertainty.high:.0f} (90 %; {uncertainty.basis}); "
        f"the chance of another class is {100 * uncertainty.other_class:.0f} %.{patients}"
    )


def calibration_in_words(calibration: Calibration | None) -> str:
    """Say where the mass comes from, or why there is none."""
    if calibration is None:
        return "No mass: neither calibration rods (--calibration) nor a factor in the images."
    return f"Mass by {calibration.mg_mm3_per_hu:.6f} mg/mm3 per HU ({calibration.source}: {calibration.told})."


def quality_rows(quality: Quality) -> Rows:
    """Name and value of each line of the quality block."""
    measured, gating = quality.measured, quality.gating
    thick = "thickness not told" if quality.thickness_mm is None else f"{quality.thickness_mm:g} mm thick"
    rows = [
        ("Noise (SD in the aorta)", "not measured" if measured.aorta is None else f"{measured.aorta.sd_hu:.1f} HU"),
        ("Aorta, blood pool", f"{_mean(measured.aorta)}, {_mean(measured.blood_pool)}"),
        ("Coverage of the heart", measured.coverage),
        ("Slices", f"{quality.slices}, {thick}, every {quality.increment_mm:g} mm, {_gaps(quality.gaps)}"),
    ]
    if quality.ends is not None:
        rows.append(("First and last slice", quality.ends.told))
    if gating is None:
        return [*rows, ("Gating", "the images say nothing of the beats")]
    if gating.heart_rate_bpm is not None:
        rows.append(("Heart rate", "{:.0f} to {:.0f} bpm".format(*gating.heart_rate_bpm)))
    if gating.planned_percent is not None:
        rows.append(("Phase, as planned", "{:.0f} to {:.0f} % of RR".format(*gating.planned_percent)))
    if gating.worst_error_percent is not None and gating.mean_error_percent is not None:
        told = (
            f"mean {gating.mean_error_percent:.1f}, at most {gating.worst_error_percent:.1f} points of RR off the plan"
        )
        rows.append(("Phase, as it came", told))
    else:
        rows.append(("Phase, as it came", "unknown: no journal of the gate (--journal)"))
    if gating.untagged:
        rows.append(("Slices without a beat", str(gating.untagged)))
    return rows


def _mean(region: Region | None) -> str:
    """Mean of a region, or that it was not found."""
    return "not found" if region is None else f"{region.mean_hu:.0f} HU"


def _gaps(count: int) -> str:
    """Say whether slices are missing."""
    return "none missing between" if count == 0 else f"MISSING at {count} place(s)"
