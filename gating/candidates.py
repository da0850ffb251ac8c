"""The windows that a beat offers, each with what it is expected to be worth: movement, chance of rest, dose.

A candidate is a rest (systole or diastole), a centre and a padding. With padding the reconstruction is centred
afterwards, where the rest turned out to be (`recon_centre_ms`), as far as the exposure reaches. What a candidate is
worth is the mean over three things that are not known when it is booked: how long this beat will last, how this
patient's rest lies against the published one, and how slow the arteries drift in it.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from gating.messages import AcquisitionPlan
from gating.prediction import Prediction
from gating.rest_phase import (
    AT_REST_MM,
    DIASTOLE_SD_MS,
    DIASTOLE_SLOPE,
    SYSTOLE_SD_MS,
    Rest,
    diastole_centre_ms,
    movement_mm,
    systole_centre_ms,
)

Floats = NDArray[np.float64]

POINTS = 9
"""Equally likely values that stand for a distribution."""

LEVELS = (np.arange(POINTS) + 0.5) / POINTS
NORMAL = np.array([NormalDist().inv_cdf(float(level)) for level in LEVELS])
SLOWER = np.array([NormalDist().inv_cdf(level) for level in (0.1, 0.3, 0.5, 0.7, 0.9)])
"""Equally likely values of how slow a patient's arteries drift, in SD."""

SD_MS: dict[Rest, float] = {"systole": SYSTOLE_SD_MS, "diastole": DIASTOLE_SD_MS}


@dataclass(frozen=True, slots=True)
class Candidate:
    """One window that may be booked, and what is expected of it."""

    rest: Rest
    centre_ms: float  # after R
    padding_ms: float
    blur_mm: float  # expected movement of the artery that moves most, during the temporal resolution
    at_rest: float  # 0..1: probability that none moves 1 mm in it
    dose_msv: float
    padding_msv: float  # of it, for the padding

    @property
    def cost(self) -> float:
        """Give expected blur x dose, mm mSv: what is made small."""
        return self.blur_mm * self.dose_msv


def rr_points_ms(prediction: Prediction) -> Floats:
    """Give equally likely values of the next RR interval, [POINTS], from the foretold distribution."""
    coverages = np.abs(2.0 * LEVELS - 1.0)
    halves = np.array([prediction.half_width_ms(float(coverage)) for coverage in coverages])
    return np.asarray(prediction.rr_ms + np.sign(LEVELS - 0.5) * halves)


def centre_ms(rest: Rest, rr_before_ms: float, rr_ms: float) -> float:
    """Give where the published rest of a beat is centred, ms after R."""
    if rest == "systole":
        return float(systole_centre_ms(rr_before_ms))
    return float(diastole_centre_ms(rr_before_ms, rr_ms))


def recon_shift_ms(rest: Rest, longer_ms: Floats | float, padding_ms: Floats | float) -> Floats:
    """Give how far from the planned centre a half-scan is centred, once the beat was so much longer than foretold.

    Systole is where it is, whenever the next beat comes. The diastolic rest moves by half of what its beat is longer.
    Either way the half-scan stays inside the exposure.
    """
    slope = DIASTOLE_SLOPE if rest == "diastole" else 0.0
    reach = 0.5 * np.asarray(padding_ms, dtype=np.float64)
    return np.clip(slope * np.asarray(longer_ms, dtype=np.float64), -reach, reach)


def candidates(
    rest: Rest,
    centres_ms: tuple[float, ...],
    paddings_ms: tuple[float, ...],
    *,
    rr_before_ms: float,
    rr_ms: float,
    rr_points: Floats,
    plan: AcquisitionPlan,
) -> list[Candidate]:
    """Tell what windows meant for one rest are expected to be worth: each centre with each padding.

    Parameters
    ----------
    rest
        The rest that they are meant for.
    centres_ms, paddings_ms
        Centres after R, and by how much the exposure is longer than a half-scan.
    rr_before_ms, rr_ms
        The interval before the beat, and the one foretold for it.
    rr_points
        Equally likely values of the beat's own interval, ms, [point].
    plan
        Temporal resolution, half-scan, dose.
    """
    half = plan.temporal_resolution_ms / 2.0
    at, padding = (grid.ravel() for grid in np.meshgrid(centres_ms, paddings_ms, indexing="ij"))
    own = rr_points[None, :, None, None]
    middle = at[:, None, None, None] + recon_shift_ms(rest, own - rr_ms, padding[:, None, None, None])
    moved = movement_mm(
        rest,
        middle - half,
        middle + half,
        rr_before_ms=rr_before_ms,
        rr_ms=own,
        later_ms=NORMAL[:, None] * SD_MS[rest],
        slower=SLOWER,
    )
    blur, still = moved.mean(axis=(1, 2, 3)), (moved < AT_REST_MM).mean(axis=(1, 2, 3))
    return [
        Candidate(
            rest=rest,
            centre_ms=float(at[place]),
            padding_ms=float(padding[place]),
            blur_mm=float(blur[place]),
            at_rest=float(still[place]),
            dose_msv=float(plan.half_scan_ms + padding[place]) * plan.msv_per_ms,
            padding_msv=float(padding[place]) * plan.msv_per_ms,
        )
        for place in range(len(at))
    ]
