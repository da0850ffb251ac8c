"""The shape of the published numbers: tables with their citation, read from `scoring/numbers` by `scoring.io`."""

import msgspec


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all tables share."""

    citation: str
    note: str


class MesaPercentiles(Table, frozen=True):
    """Scores by group and sex ("white F"), age and level; and the chance of a score above 0."""

    least_age_years: float
    most_age_years: float
    levels_percent: tuple[float, ...]
    ages_years: tuple[float, ...]
    chance_ages_years: tuple[float, ...]
    scores: dict[str, tuple[tuple[float, ...], ...]]  # [age][level]
    chance_percent: dict[str, tuple[float, ...]]  # [age]


class HoffPercentiles(Table, frozen=True):
    """Scores by sex, class of age and level."""

    levels_percent: tuple[float, ...]
    ages_from_years: tuple[float, ...]
    scores: dict[str, tuple[tuple[float, ...], ...]]  # [age][level]


class RiskModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Coefficients of one model, and the survival of whoever has nothing."""

    survival: float
    age_years: float
    male: float
    chinese: float
    black: float
    hispanic: float
    diabetes: float
    smoker: float
    total_cholesterol_mgdl: float
    hdl_cholesterol_mgdl: float
    lipid_drug: float
    systolic_mmhg: float
    bp_drug: float
    family_heart_attack: float
    ln_agatston_plus_1: float


class MesaRisk(Table, frozen=True):
    """The risk with and without the score, and the arterial age."""

    least_age_years: float
    most_age_years: float
    arterial_age_citation: str
    arterial_age_years: tuple[float, float]  # at a score of 0, and per ln(score + 1)
    with_calcium: RiskModel
    without_calcium: RiskModel


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """All of them."""

    mesa_percentiles: MesaPercentiles
    hoff_percentiles: HoffPercentiles
    mesa_risk: MesaRisk
