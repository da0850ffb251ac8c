"""What a score means for a person: the published answers, and that nobody gets a figure that was not measured."""

import json
from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.io.errors import SeriesError
from scoring.io.published import read_person, read_published
from scoring.person import Person
from scoring.standing import PercentileSource, Standing, mesa_scores, standing

PUBLISHED = read_published()
MESA = PUBLISHED.mesa_percentiles
GROUPS = [(key, place, age) for key in MESA.scores for place, age in enumerate(MESA.ages_years)]


@pytest.mark.parametrize(("key", "place", "age"), GROUPS)
def test_mesa_at_its_midpoints(key: str, place: int, age: float) -> None:
    """At the middle of each band of age the scores are the printed ones, all 32 rows."""
    assert list(MESA.scores[key][place]) == pytest.approx(mesa_scores(MESA, key, age), abs=1e-6)


def _told(
    agatston: float | None,
    told: Mapping[str, object] | None = None,
    source: PercentileSource = "mesa",
    **more: object,
) -> Standing:
    """Give the standing of whoever told this."""
    return standing(agatston, msgspec.convert({**(told or {}), **more}, Person), PUBLISHED, source)


ORACLE: dict[str, tuple[float, dict[str, object], float, float | None]] = {
    "white man of 55, 10: beyond the median of 6": (10.0, {"age_years": 55, "sex": "M", "group": "white"}, 50.0, 75.0),
    "black woman of 62, 120: 91st": (120.0, {"age_years": 62, "sex": "F", "group": "black"}, 90.0, None),
    "hispanic man of 70, 450: 84th": (450.0, {"age_years": 70, "sex": "M", "group": "hispanic"}, 75.0, 90.0),
    "white man of 72, 1200: 85th": (1200.0, {"age_years": 72, "sex": "M", "group": "white"}, 75.0, 90.0),
}


@pytest.mark.parametrize("name", ORACLE)
def test_the_band_is_that_of_the_official_calculator(name: str) -> None:
    """The band holds the percentile that the calculator gives."""
    agatston, told, low, high = ORACLE[name]
    band = _told(agatston, told).band
    assert band is not None
    assert (low, high) == (band.low_percent, band.high_percent)


def test_no_calcium_is_where_all_without_it_are() -> None:
    """A white man of 55 with 0: 44 % such men have none, so he is up to the median; a woman of 50: up to the 90th."""
    man, woman = (_told(0.0, age_years=age, sex=sex, group="white").band for age, sex in ((55.0, "M"), (50.0, "F")))
    assert man is not None
    assert woman is not None
    assert (None, 50.0, 44.0) == (man.low_percent, man.high_percent, man.zero_percent)
    assert (None, 90.0, 84.0) == (woman.low_percent, woman.high_percent, woman.zero_percent)


NOBODY: dict[str, tuple[dict[str, object], str]] = {
    "another group": ({"age_years": 60, "sex": "F"}, "white, Chinese, Black and Hispanic"),
    "too young": ({"age_years": 44, "sex": "F", "group": "white"}, "ages 45 to 84"),
    "too old": ({"age_years": 85, "sex": "F", "group": "white"}, "ages 45 to 84"),
    "treated diabetes": ({"age_years": 60, "sex": "F", "group": "white", "diabetes_treated": True}, "diabetes"),
}


@pytest.mark.parametrize("name", NOBODY)
def test_whom_mesa_did_not_study_gets_no_percentile(name: str) -> None:
    """There is a reason in its place, and the arterial age still stands."""
    told, reason = NOBODY[name]
    found = _told(100.0, told)
    assert found.band is None
    assert any(reason in one for one in found.reasons)
    assert found.arterial_age_years is not None


HOFF: dict[str, tuple[float, dict[str, object], float | None, float | None]] = {
    "man of 47, 36": (36.0, {"age_years": 47, "sex": "M"}, 75.0, 90.0),
    "man of 75, 2000": (2000.0, {"age_years": 75, "sex": "M"}, 90.0, None),
    "woman of 30, 0": (0.0, {"age_years": 30, "sex": "F"}, None, 25.0),
    "woman of 64, 57": (57.0, {"age_years": 64.9, "sex": "F"}, 75.0, 90.0),
}


@pytest.mark.parametrize("name", HOFF)
def test_hoff_only_if_chosen_and_labelled(name: str) -> None:
    """Of any group, in classes of age; the label says so."""
    agatston, told, low, high = HOFF[name]
    band = _told(agatston, told, "hoff").band
    assert band is not None
    assert (low, high) == (band.low_percent, band.high_percent)
    assert "of any group" in band.group


RISKY: dict[str, object] = {
    "age_years": 70.0, "sex": "M", "group": "hispanic", "cholesterol_unit": "mg/dL", "total_cholesterol": 190.0,
    "hdl_cholesterol": 50.0, "systolic_mmhg": 130.0, "diabetes": False, "smoker": False, "lipid_drug": False,
    "bp_drug": True, "family_heart_attack": False,
}  # fmt: skip


def test_the_risk_of_the_published_row() -> None:
    """A hispanic man of 70 under treatment for his pressure, without calcium: 3.06 % in ten years."""
    risk = _told(0.0, RISKY).risk
    assert risk is not None
    assert 3.06 == pytest.approx(risk.with_calcium_percent, abs=0.005)
    assert risk.without_calcium_percent > risk.with_calcium_percent


def test_cholesterol_in_either_unit_is_the_same_risk() -> None:
    """190 and 50 mg/dL are 4.91 and 1.29 mmol/L."""
    other = RISKY | {"cholesterol_unit": "mmol/L", "total_cholesterol": 190 / 38.67, "hdl_cholesterol": 50 / 38.67}
    one, same = _told(100.0, RISKY).risk, _told(100.0, other).risk
    assert one is not None
    assert same is not None
    assert one.with_calcium_percent == pytest.approx(same.with_calcium_percent)


WRONG: dict[str, tuple[dict[str, object], str]] = {
    "no unit": (RISKY | {"cholesterol_unit": None}, "set cholesterol_unit"),
    "mmol said to be mg": (RISKY | {"total_cholesterol": 4.9}, "mend the value or cholesterol_unit"),
    "mg said to be mmol": (RISKY | {"cholesterol_unit": "mmol/L"}, "mend the value or cholesterol_unit"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_cholesterol_that_cannot_be(name: str) -> None:
    """Without its unit, or only possible in the other one, it is refused with the cure."""
    told, cure = WRONG[name]
    with pytest.raises(ValueError, match=cure):
        msgspec.convert(told, Person)


@pytest.mark.parametrize("name", sorted(set(RISKY) - {"age_years", "sex", "cholesterol_unit"}))
def test_a_risk_needs_all_its_inputs(name: str) -> None:
    """Whatever is not told is named, and there is no risk."""
    found = _told(100.0, RISKY | {name: None})
    assert found.risk is None
    assert any(name in one or ("group" in one and name == "group") for one in found.reasons)


PROMPTS: dict[str, tuple[dict[str, object], str]] = {
    "man of 38": ({"age_years": 38, "sex": "M"}, "men under 40"),
    "woman of 49": ({"age_years": 49, "sex": "F"}, "women under 50"),
    "low risk": ({"age_years": 60, "sex": "F", "known_risk": "low"}, "little is gained"),
    "high risk": ({"age_years": 60, "sex": "F", "known_risk": "high"}, "whatever the score"),
    "symptoms": ({"age_years": 60, "sex": "F", "symptoms": True}, "another test"),
    "known disease": ({"age_years": 60, "sex": "F", "known_disease": True}, "another test"),
    "uncertain": ({"age_years": 60, "sex": "F", "known_risk": "uncertain"}, "as here"),
}


@pytest.mark.parametrize("name", PROMPTS)
def test_what_the_referrer_should_weigh(name: str) -> None:
    """One sentence each, and no block: the score's standing is told all the same."""
    told, text = PROMPTS[name]
    found = _told(10.0, told)
    assert any(text in one for one in found.prompts)
    assert found.arterial_age_years is not None


def test_low_risk_with_an_early_heart_attack_in_the_family_is_no_prompt() -> None:
    """The exception that clinics name."""
    told = {"age_years": 60, "sex": "F", "known_risk": "low", "family_heart_attack_early": True}
    assert not _told(10.0, told).prompts


@given(
    agatston=st.floats(0, 5000),
    age=st.floats(45, 84),
    key=st.sampled_from(sorted(MESA.scores)),
)
def test_a_band_holds_its_score(agatston: float, age: float, key: str) -> None:
    """Whatever the score, age and group: its limits lie around it, and rise with the percentile."""
    group, sex = key.split()
    band = _told(agatston, age_years=age, sex=sex, group=group).band
    assert band is not None
    scores = mesa_scores(MESA, key, age)
    assert list(scores) == sorted(scores)
    if agatston > 0:
        assert band.low_score is None or band.low_score <= agatston
        assert band.high_score is None or agatston < band.high_score


def test_without_a_total_there_is_nothing_to_tell() -> None:
    """A reason, and what the referrer should weigh all the same."""
    found = _told(None, age_years=38, sex="M")
    assert (None, None, None) == (found.band, found.risk, found.arterial_age_years)
    assert "no total" in found.reasons[0]
    assert found.prompts


def test_a_person_is_read_from_toml_and_json_alike(tmp_path: Path) -> None:
    """Both endings; an unknown key is refused by name."""
    (tmp_path / "p.json").write_bytes(json.dumps(RISKY).encode())
    toml = "\n".join(f"{name} = {json.dumps(value)}" for name, value in RISKY.items())
    (tmp_path / "p.toml").write_text(toml)
    assert read_person(tmp_path / "p.json") == read_person(tmp_path / "p.toml") == msgspec.convert(RISKY, Person)
    (tmp_path / "p.toml").write_text('age = 70\nsex = "M"')
    with pytest.raises(SeriesError, match=r"`age`|age_years"):
        read_person(tmp_path / "p.toml")
