"""How much calcium a patient has: the published scores of people of one group and age."""

import numpy as np
import pytest

from scoring.io.published import read_published
from simulators.burden import AGES, CHANCE_AGES, CHANCE_PERCENT, LEVELS, PLACES, SCORES, draw_lesions, score_at
from simulators.plaque import Lesion, nominal_score


@pytest.mark.parametrize("group", SCORES)
def test_the_table_comes_out_at_its_ages_and_levels(group: str) -> None:
    """All 16 figures of a group, but where the chance of any score says that there is none."""
    for age, row in zip(AGES, SCORES[group], strict=True):
        none = 1.0 - float(np.interp(age, CHANCE_AGES, CHANCE_PERCENT[group])) / 100.0
        for level, expected in zip(LEVELS, row, strict=True):
            assert (expected if level > none else 0.0) == pytest.approx(score_at(group, age, level), abs=1e-6)


REFUSED = {
    "a group that was not studied": ("martian M", 60.0, "there is no group 'martian M'"),
    "too young": ("white M", 40.0, "the age 40 is not between 45 and 84"),
    "too old": ("white M", 90.0, "the age 90 is not between 45 and 84"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_was_not_studied_is_refused(name: str) -> None:
    """A group or an age outside the study has no distribution, and the error names it."""
    group, age, expected = REFUSED[name]
    with pytest.raises(ValueError, match=expected):
        score_at(group, age, 0.5)


def test_a_cohort_follows_its_group() -> None:
    """Of 2000 white men of 70, at even levels, 83 % have calcium, and their quartiles are 21, 145, 540 within 1 %."""
    scores = np.array([score_at("white M", 70.0, float(level)) for level in (np.arange(2000) + 0.5) / 2000])
    assert 0.83 == pytest.approx(float((scores > 0).mean()), abs=0.001)
    assert [21.0, 145.0, 540.0] == pytest.approx(np.percentile(scores, [25, 50, 75]).tolist(), rel=0.01)


@pytest.mark.parametrize("score", [0.0, 1.0, 5.0, 20.0, 100.0, 452.0, 1345.0, 2933.0])
def test_the_plaques_are_worth_the_score(score: float) -> None:
    """Their nominal scores add up to it, to 5 % or 1; none share a place, and each artery has room for them."""
    for seed in range(5):
        lesions = draw_lesions(score, (200.0, 800.0), np.random.default_rng(seed))
        assert score == pytest.approx(sum(nominal_score(lesion) for lesion in lesions), rel=0.05, abs=1.0)
        for vessel, room in PLACES.items():
            along = sorted(lesion.along for lesion in lesions if lesion.vessel == vessel)
            assert len(along) <= room
            assert all(gap > 0.8 * 0.85 / room for gap in np.diff(along))


WORTH: dict[str, tuple[tuple[float, float, float], float, float, float]] = {
    # a slab through a long dense rod-like plaque: area x weight 4 for each of its slices
    "long and dense: nearly its volume x 4 / 3 mm": ((3.0, 3.0, 9.0), 800.0, 1.0, 1.5),
    "large and faint: less than its volume x 1 / 3 mm": ((3.0, 3.0, 3.0), 180.0, 0.2, 1.0),
}


@pytest.mark.parametrize("name", WORTH)
def test_the_nominal_score_of_one_plaque(name: str) -> None:
    """Volume x weight / slice thickness, more for what is dense (it blurs outwards), less for what is faint."""
    axes, density, least, most = WORTH[name]
    weight = min(4, int(1.31 * density // 100))
    plain = 4.0 / 3.0 * np.pi * axes[0] * axes[1] * axes[2] * weight / 3.0
    measured = nominal_score(Lesion("LAD", 0.5, axes, 0.0, density))
    assert least * plain <= measured <= most * plain


def test_a_tiny_plaque_is_worth_nothing() -> None:
    """0.4 mm of 300 mg/cc drowns in a slice of 3 mm."""
    assert 0.0 == nominal_score(Lesion("LAD", 0.5, (0.4, 0.4, 0.4), 0.0, 300.0))


def test_the_twins_table_is_the_scorers_published_one() -> None:
    """The twin draws from the same printed rows that the scorer reads from its file: neither can drift alone."""
    published = read_published().mesa_percentiles
    assert published.scores == SCORES
    assert published.chance_percent == CHANCE_PERCENT
    assert (published.ages_years, published.chance_ages_years) == (AGES, CHANCE_AGES)
    assert published.levels_percent == tuple(100.0 * level for level in LEVELS)
