"""A score -> how far a second scan of the same heart would differ, and how likely that is to change the class."""

import math

import msgspec

from scoring.margin import margin_of

# variance of one scan, in squared Agatston points: of a heart at rest, from the table's start, the gantry's angle and a
# noise of 20 HU. Fitted to 80 patients of the twin who were scanned twice, and held against others (docs/scoring.md).
BASE_VARIANCE = 22.0
VARIANCE_PER_POINT = 1.56
COVERAGE_90 = 1.6449  # SDs to either side
# mean difference of two scans of patients, % of their mean, up to a score: Budoff 2008
PUBLISHED_PERCENT = ((30.0, 61.0), (100.0, 23.0), (400.0, 16.0), (math.inf, 8.0))
BASIS = "heart at rest, noise up to 20 HU, slices of 3 mm: measured with the simulated scanner, not in patients"


class Uncertainty(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one scan alone leaves open, in Agatston points."""

    sd: float
    low: float  # of the 90 % interval, never below 0
    high: float
    other_class: float  # 0..1: chance that the expected score of many scans lies in another class
    published_difference_percent: float | None  # of two scans of patients with such a score; None for 0
    basis: str


def uncertainty_of(agatston: float) -> Uncertainty:
    """Estimate the spread of a score over repeated scans.

    Parameters
    ----------
    agatston
        The total.

    References
    ----------
    Differences of two scans of patients by band: Budoff 2008, Acad Radiol, as quoted in gating.md; not read there.

    Notes
    -----
    Our model: SD = sqrt(22 + 1.56 x score). Motion and a heart rate that was not at rest are not in it; the published
    differences, which hold them, stand beside it.
    """
    sd = math.sqrt(BASE_VARIANCE + VARIANCE_PER_POINT * agatston)
    margin = margin_of(agatston)
    below = 0.0 if margin.to_lower is None else _tail(margin.to_lower / sd)
    above = 0.0 if margin.to_higher is None else _tail(margin.to_higher / sd)
    percent = next(percent for most, percent in PUBLISHED_PERCENT if agatston <= most)
    return Uncertainty(
        sd=sd,
        low=max(0.0, agatston - COVERAGE_90 * sd),
        high=agatston + COVERAGE_90 * sd,
        other_class=min(1.0, below + above),
        published_difference_percent=percent if agatston > 0 else None,
        basis=BASIS,
    )


def _tail(sds: float) -> float:
    """Chance of a normal value beyond so many SDs, on one side."""
    return 0.5 * math.erfc(sds / math.sqrt(2.0))
