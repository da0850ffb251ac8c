"""A score and its class -> what it would take to change the class."""

import msgspec

from scoring.agatston import category, shown_integer

# the shown integers at which a class begins (Rumberger 1999, as quoted in scoring/README.md)
BEGINS = (1, 11, 101, 401)


class Margin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far a score lies from the next classes; None where there is none."""

    to_lower: float | None  # Agatston points to lose until the lower class is shown
    lower: str | None
    to_higher: float | None  # Agatston points to gain until the higher class is shown
    higher: str | None


def margin_of(agatston: float) -> Margin:
    """Measure to the neighbouring classes, by the integer that is shown.

    Parameters
    ----------
    agatston
        The total.

    Notes
    -----
    A class begins half a point below its first shown integer, for that is where rounding shows it; class 0 has no
    positive score in it, so that losing everything leads there.
    """
    value = 0 if agatston == 0 else max(1, shown_integer(agatston))
    index = sum(value >= first for first in BEGINS)
    higher = BEGINS[index] - 0.5 if index < len(BEGINS) else None
    if index == 0:
        return Margin(to_lower=None, lower=None, to_higher=0.0, higher="1-10")
    first = BEGINS[index - 1] - 0.5 if index > 1 else 0.0
    return Margin(
        to_lower=agatston - first,
        lower="0" if index == 1 else category(first - 0.5),
        to_higher=None if higher is None else higher - agatston,
        higher=None if higher is None else category(higher),
    )
