"""Sums of the vessels -> how far the calcium is spread."""

from collections.abc import Mapping

import msgspec

from scoring.lesions import VESSELS
from scoring.sums import Sum


class Extent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many, where, and how evenly; what needs vessels is None where islands without one were scored."""

    lesions: int
    vessels: int | None  # of LM, LAD, LCX and RCA, with a score above zero
    left_main: bool | None
    diffusivity: float | None  # 0: all in one vessel, towards 0.75: even over four; None also for a score of zero


def extent_of(vessels: Mapping[str, Sum]) -> Extent:
    """Count what is affected.

    Parameters
    ----------
    vessels
        Sum of each vessel; another name than LM, LAD, LCX, RCA means that islands without a vessel were scored.

    References
    ----------
    Diffusivity index = 1 - (Agatston score of the vessel that has most / total), as quoted in
    calcium-scoring.md section 2; its source was not seen.
    """
    lesions = sum(part.lesions for part in vessels.values())
    if not set(vessels) <= set(VESSELS):
        return Extent(lesions=lesions, vessels=None, left_main=None, diffusivity=None)
    values = {name: part.agatston for name, part in vessels.items()}
    total = sum(values.values())
    return Extent(
        lesions=lesions,
        vessels=sum(value > 0 for value in values.values()),
        left_main=values.get("LM", 0.0) > 0,
        diffusivity=1.0 - max(values.values()) / total if total > 0 else None,
    )
