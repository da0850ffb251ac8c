"""What a reader must know of the images beside the score: noise, contrast, coverage, slices, gating."""

from typing import Literal

import msgspec

from scoring.ends import Ends
from scoring.gating_quality import Gating
from scoring.round_vessels import NotFound, Roi
from scoring.settings import ScoreSettings
from scoring.thorax import Thorax
from scoring.volume import Volume, uneven_gaps

Coverage = Literal["complete", "incomplete", "unknown"]


class Region(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """HU of one region of interest."""

    mean_hu: float
    sd_hu: float
    pixels: int


class Measured(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was found in the images themselves; None where the place was not found, `reasons` then says why."""

    aorta: Region | None  # its SD is the noise
    blood_pool: Region | None  # inside the heart
    coverage: Coverage
    reasons: tuple[str, ...] = ()


def measured_in(thorax: Thorax | NotFound) -> Measured:
    """Take noise, blood and coverage from the landmarks of a volume."""
    if isinstance(thorax, NotFound):
        return Measured(aorta=None, blood_pool=None, coverage="unknown", reasons=thorax.reasons)
    reasons = list(thorax.coverage.reasons)
    for roi in (thorax.aorta_roi, thorax.blood_pool_roi):
        reasons += roi.reasons if isinstance(roi, NotFound) else ()
    return Measured(
        aorta=_region(thorax.aorta_roi),
        blood_pool=_region(thorax.blood_pool_roi),
        coverage="complete" if thorax.coverage.complete else "incomplete",
        reasons=tuple(dict.fromkeys(reasons)),
    )


def _region(roi: Roi | NotFound) -> Region | None:
    """Copy what was measured."""
    if isinstance(roi, NotFound):
        return None
    return Region(mean_hu=roi.mean_hu, sd_hu=roi.sd_hu, pixels=len(roi.pixels[0]))


NOT_MEASURED = Measured(aorta=None, blood_pool=None, coverage="unknown", reasons=("The images were not measured.",))


class Quality(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The quality block of a report."""

    measured: Measured
    slices: int
    increment_mm: float
    thickness_mm: float | None
    gaps: int  # places where slices are missing
    ends: Ends | None  # whether the outermost slices are known to be there
    gating: Gating | None


def quality_of(volume: Volume, measured: Measured, gating: Gating | None, settings: ScoreSettings) -> Quality:
    """Put the quality block of a series together."""
    return Quality(
        measured=measured,
        slices=len(volume.positions_mm),
        increment_mm=volume.increment_mm,
        thickness_mm=volume.thickness_mm,
        gaps=len(uneven_gaps(volume.positions_mm, settings)),
        ends=volume.ends,
        gating=gating,
    )


def refusals(measured: Measured, settings: ScoreSettings) -> list[str]:
    """Reasons in the images not to score them: bright blood counts as calcium.

    References
    ----------
    The limit of 100 HU is that of an open program for the aorta (calcium-scoring.md, section 2, decision 11).
    """
    if settings.contrast_check == "tag-only":
        return []
    limit = settings.max_blood_pool_hu
    bright = [
        (name, region.mean_hu)
        for name, region in (("aorta", measured.aorta), ("blood pool", measured.blood_pool))
        if region is not None and region.mean_hu > limit
    ]
    return [
        f"The {name} measures {mean:.0f} HU, more than {limit:g}: that is contrast agent, and bright blood counts as "
        "calcium; give the plain series."
        for name, mean in bright
    ]


def remarks(measured: Measured, agatston: float | None, settings: ScoreSettings) -> list[str]:
    """Say what the measurements mean for the number beside them."""
    notes = list(measured.reasons)
    if settings.contrast_check == "tag-only":
        notes.append("Contrast is judged by the tag only, as the settings ask: the blood was not measured.")
    elif measured.aorta is None and measured.blood_pool is None:
        notes.append("Neither aorta nor blood pool was found, so contrast is judged by the tag only.")
    noise = None if measured.aorta is None else measured.aorta.sd_hu
    if noise is not None and noise > settings.max_noise_sd_hu:
        notes.append(
            f"Noise: {noise:.0f} HU in the aorta, more than {settings.max_noise_sd_hu:g}; noise alone can reach 130 HU."
        )
        few = settings.few_units
        if agatston is not None and 0 < agatston <= few and noise > settings.uncertain_noise_sd_hu:
            notes.append(f"A score of {few:g} or less at this noise may be noise alone: uncertain.")
    if cut(measured, settings):
        notes.append(
            "Incomplete coverage: the heart is cut, so the score is a lower bound and there is no class. Who sees it "
            "whole can say so when confirming (diastole review)."
        )
    elif measured.coverage == "incomplete":
        notes.append("A person has seen the whole heart on the slices, and answers for it: so there is a class.")
    return notes


def cut(measured: Measured, settings: ScoreSettings) -> bool:
    """Whether a part of the heart counts as missing: then the score is a lower bound, of which no class is known."""
    return measured.coverage == "incomplete" and settings.coverage_check == "images"
