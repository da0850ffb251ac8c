"""What a score means for this person: percentile band, arterial age, ten-year risk, and what the referrer should weigh.

Nobody gets a figure from people whom a study did not hold: then there is a reason in its place.

Our deviations:

- between the ages of the MESA table, and beyond the first and last of them, ln(score + 1) goes on straight: of the
  official calculator's bands 94.8 % are met (calcium-scoring.md section 2);
- a percentile is given as a band with its limits, never as one number; a score of 0 as the share who have 0 too.
"""

import math
from typing import Literal

import msgspec
import numpy as np

from scoring.person import Person
from scoring.published import HoffPercentiles, MesaPercentiles, MesaRisk, Published, RiskModel

PercentileSource = Literal["mesa", "hoff", "none"]
YOUNG_MAN_YEARS, YOUNG_WOMAN_YEARS = 40.0, 50.0  # below, clinics rarely scan


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all parts share."""


class Band(Entry, frozen=True):
    """Between which published percentiles a score lies; None at an open end."""

    source: str
    group: str  # of the people it is compared with, in words
    low_percent: float | None
    high_percent: float | None
    low_score: float | None  # of those percentiles at this age
    high_score: float | None
    zero_percent: float | None  # share of such people who have no calcium


class Risk(Entry, frozen=True):
    """Chance of coronary heart disease within ten years, %."""

    source: str
    with_calcium_percent: float
    without_calcium_percent: float


class Standing(Entry, frozen=True):
    """What a score means for one person; where a figure is None, a reason says why."""

    person: Person
    band: Band | None
    arterial_age_years: float | None
    arterial_age_source: str
    risk: Risk | None
    reasons: tuple[str, ...]
    prompts: tuple[str, ...]  # for the referrer; never a block


def standing(
    agatston: float | None, person: Person, published: Published, source: PercentileSource, *, cut: bool = False
) -> Standing:
    """Put a score beside the published figures.

    Parameters
    ----------
    agatston
        The total; None where there is none.
    person
        Whose it is.
    published
        The tables.
    source
        Which percentiles; "hoff" only if somebody chose it.
    cut
        True when a part of the heart is missing: then the total is a lower bound, and stands for nothing.
    """
    reasons: list[str] = []
    band, risk, age = None, None, None
    if agatston is None:
        reasons.append("There is no total score, so no percentile and no risk.")
    elif cut:
        reasons.append("The heart is cut, so the score is a lower bound: no percentile, no arterial age and no risk.")
    else:
        first, slope = published.mesa_risk.arterial_age_years
        age = first + slope * math.log1p(agatston)
        found = _band(agatston, person, published, source)
        band = None if isinstance(found, str) else found
        risked = _risk(agatston, person, published.mesa_risk)
        risk = None if isinstance(risked, str) else risked
        reasons += [one for one in (found, risked) if isinstance(one, str)]
    return Standing(
        person=person,
        band=band,
        arterial_age_years=age,
        arterial_age_source=published.mesa_risk.arterial_age_citation,
        risk=risk,
        reasons=tuple(reasons),
        prompts=prompts(person),
    )


def _band(agatston: float, person: Person, published: Published, source: PercentileSource) -> Band | str:
    if source == "none":
        return "No percentile was asked for."
    if source == "hoff":
        return _hoff_band(agatston, person, published.hoff_percentiles)
    table = published.mesa_percentiles
    if strange := _not_studied(person, table):
        return f"No percentile: {strange}"
    if person.diabetes_treated:
        return "No percentile: nobody in the MESA table had diabetes that was treated."
    key = f"{person.group} {person.sex}"
    scores = mesa_scores(table, key, person.age_years)
    chance = float(np.interp(person.age_years, table.chance_ages_years, table.chance_percent[key]))
    group = f"{person.group} {'women' if person.sex == 'F' else 'men'} of {person.age_years:g} years"
    return _between(agatston, scores, table.levels_percent, "MESA", group, 100.0 - chance)


def _not_studied(person: Person, table: MesaPercentiles | MesaRisk) -> str | None:
    """Say why MESA did not hold such a person; None if it did."""
    if person.group is None:
        return "MESA studied white, Chinese, Black and Hispanic adults only (group is not one of them)."
    if table.least_age_years <= person.age_years <= table.most_age_years:
        return None
    limits = f"{table.least_age_years:g} to {table.most_age_years:g}"
    return f"MESA held ages {limits}, this person is {person.age_years:g}."


def mesa_scores(table: MesaPercentiles, key: str, age_years: float) -> tuple[float, ...]:
    """Give the scores at the table's levels for one group and sex ("white F") at any age, rising."""
    logs = np.log1p(np.array(table.scores[key], dtype=np.float64))
    ages = table.ages_years
    place = min(max(int(np.searchsorted(ages, age_years)) - 1, 0), len(ages) - 2)
    share = (age_years - ages[place]) / (ages[place + 1] - ages[place])
    found = np.expm1(np.maximum(logs[place] + share * (logs[place + 1] - logs[place]), 0.0))
    return tuple(float(one) for one in np.maximum.accumulate(found))


def _hoff_band(agatston: float, person: Person, table: HoffPercentiles) -> Band:
    place = int(np.searchsorted(table.ages_from_years, person.age_years, side="right")) - 1
    first = table.ages_from_years[place]
    last = f" to {table.ages_from_years[place + 1] - 1:g}" if place + 1 < len(table.ages_from_years) else " or more"
    group = f"{'women' if person.sex == 'F' else 'men'} of {first:g}{last} years, of any group"
    return _between(agatston, table.scores[person.sex][place], table.levels_percent, "Hoff", group, None)


def _between(
    agatston: float,
    scores: tuple[float, ...],
    levels: tuple[float, ...],
    source: str,
    group: str,
    zero_percent: float | None,
) -> Band:
    """Find the band: a score that equals that of a percentile reaches it; 0 stands with all who have none."""
    reached = 0 if agatston == 0.0 else sum(agatston >= one for one in scores)
    low = reached - 1 if reached else None
    high = reached if reached < len(levels) else None
    if agatston == 0.0 and zero_percent is not None:
        low, high = None, next((n for n, level in enumerate(levels) if level >= zero_percent), None)
    return Band(
        source=source,
        group=group,
        low_percent=None if low is None else levels[low],
        high_percent=None if high is None else levels[high],
        low_score=None if low is None else scores[low],
        high_score=None if high is None else scores[high],
        zero_percent=zero_percent,
    )


NEEDED = (
    "total_cholesterol",
    "hdl_cholesterol",
    "systolic_mmhg",
    "diabetes",
    "smoker",
    "lipid_drug",
    "bp_drug",
    "family_heart_attack",
)


def _risk(agatston: float, person: Person, table: MesaRisk) -> Risk | str:
    missing = [name for name in NEEDED if getattr(person, name) is None]
    if strange := _not_studied(person, table):
        return f"No risk: {strange}"
    if person.known_disease:
        return "No risk: MESA held nobody with known heart disease."
    if missing:
        return f"No risk: not told: {', '.join(missing)}."
    return Risk(
        source="MESA",
        with_calcium_percent=_percent(table.with_calcium, person, agatston),
        without_calcium_percent=_percent(table.without_calcium, person, agatston),
    )


def _percent(model: RiskModel, person: Person, agatston: float) -> float:
    """Give one model's risk of a person who told all that it needs."""
    total = (
        model.age_years * person.age_years
        + model.male * (person.sex == "M")
        + (0.0 if person.group in (None, "white") else float(getattr(model, str(person.group))))
        + model.total_cholesterol_mgdl * person.mgdl(person.total_cholesterol or 0.0)
        + model.hdl_cholesterol_mgdl * person.mgdl(person.hdl_cholesterol or 0.0)
        + model.systolic_mmhg * (person.systolic_mmhg or 0.0)
        + model.ln_agatston_plus_1 * math.log1p(agatston)
    )
    for name in ("diabetes", "smoker", "lipid_drug", "bp_drug", "family_heart_attack"):
        total += float(getattr(model, name)) * bool(getattr(person, name))
    return 100.0 * float(1.0 - model.survival ** math.exp(total))


def prompts(person: Person) -> tuple[str, ...]:
    """Say what clinics publish about whom the scan is for, where it touches this person: information, never a block."""
    found = []
    young = YOUNG_MAN_YEARS if person.sex == "M" else YOUNG_WOMAN_YEARS
    if person.age_years < young:
        who = "men" if person.sex == "M" else "women"
        found.append(f"Clinics rarely scan {who} under {young:g}: calcium is seldom found, and 0 tells little.")
    if person.known_risk == "low" and not person.family_heart_attack_early:
        found.append("The risk is known to be low, and no early heart attack in the family is told: little is gained.")
    if person.known_risk == "high":
        found.append("The risk is known to be high: treatment is due whatever the score.")
    if person.symptoms or person.known_disease:
        found.append("With symptoms or known heart disease another test answers the question.")
    if person.known_risk in ("moderate", "uncertain"):
        found.append("The scan is meant for a moderate or uncertain risk, as here.")
    return tuple(found)
