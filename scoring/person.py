"""Who was scanned, as far as a percentile or a risk needs it; every answer may be missing, none is guessed."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MGDL_PER_MMOL = 38.67  # of cholesterol, whose molar mass is 386.7 g/mol

Sex = Literal["F", "M"]
Group = Literal["white", "chinese", "black", "hispanic"]


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One patient's own answers. The ranges only catch slips of the pen and of the unit."""

    age_years: Annotated[float, Meta(ge=18, le=110)]
    sex: Sex
    group: Group | None = None  # of the four that MESA studied; None: another one, or not told
    # for the risk
    cholesterol_unit: Literal["mg/dL", "mmol/L"] | None = None  # must be named with any cholesterol
    total_cholesterol: Annotated[float, Meta(gt=0)] | None = None
    hdl_cholesterol: Annotated[float, Meta(gt=0)] | None = None
    systolic_mmhg: Annotated[float, Meta(ge=60, le=260)] | None = None
    diabetes: bool | None = None
    diabetes_treated: bool | None = None
    smoker: bool | None = None
    lipid_drug: bool | None = None
    bp_drug: bool | None = None
    family_heart_attack: bool | None = None  # of parents, siblings or children, at any age
    # for the referrer
    family_heart_attack_early: bool | None = None  # men below 55, women below 65 years
    symptoms: bool | None = None
    known_disease: bool | None = None
    known_risk: Literal["low", "moderate", "uncertain", "high"] | None = None

    def __post_init__(self) -> None:
        """Refuse a cholesterol without its unit, and one that only fits the other unit."""
        for name in ("total_cholesterol", "hdl_cholesterol"):
            value = getattr(self, name)
            if value is None:
                continue
            if self.cholesterol_unit is None:
                raise ValueError(f"{name} = {value:g} has no unit; set cholesterol_unit to mg/dL or mmol/L")
            low, high = (10.0, 500.0) if self.cholesterol_unit == "mg/dL" else (0.25, 13.0)
            if not low <= value <= high:
                text = f"{name} = {value:g} {self.cholesterol_unit} is outside {low:g} to {high:g}"
                raise ValueError(f"{text}; mend the value or cholesterol_unit")

    def mgdl(self, value: float) -> float:
        """Give a cholesterol of this person in mg/dL."""
        return value * MGDL_PER_MMOL if self.cholesterol_unit == "mmol/L" else value
