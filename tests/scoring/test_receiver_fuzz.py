"""Damaged objects before real examiners: a record or a typed refusal, whatever the bytes; nothing dies of them."""

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scoring.io.receiver.children import Examiners
from scoring.io.receiver.settings import ExamineSettings
from tests.scoring.receiver_seeds import TYPED, Seed, campaign, damaged, examine, seeds

KINDS = ["plain", "implicit", "deflated", "RLE", "multi-frame", "map"]


@pytest.fixture(scope="module")
def examiners() -> Iterator[Examiners]:
    """Real child processes, for the whole file."""
    examiners = Examiners(ExamineSettings())
    yield examiners
    examiners.end()


@pytest.fixture(scope="module")
def healthy(ct_slice: Callable[..., Any]) -> dict[str, Seed]:
    """Objects that are taken as they are."""
    return seeds(ct_slice)


@pytest.mark.parametrize("kind", KINDS)
def test_a_healthy_object_of_each_kind_is_taken(
    examiners: Examiners, healthy: dict[str, Seed], tmp_path: Path, kind: str
) -> None:
    """The seeds are good, so that what follows damages something."""
    assert "examined" == examine(examiners, tmp_path, healthy[kind], healthy[kind][3])


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(KINDS), number=st.integers(0, 2**32))
def test_a_damaged_object_is_taken_or_refused_by_type(
    examiners: Examiners, healthy: dict[str, Seed], tmp_path: Path, kind: str, number: int
) -> None:
    """Flipped, cut, repeated: the child answers by type and lives on."""
    seed = healthy[kind]
    assert examine(examiners, tmp_path, seed, damaged(seed[3], random.Random(number))) in {*TYPED, "examined"}
    assert 0 == examiners.deaths


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_cut_anywhere_is_refused_by_type(
    examiners: Examiners, healthy: dict[str, Seed], tmp_path: Path, kind: str
) -> None:
    """Every 17th prefix of each seed."""
    seed = healthy[kind]
    found = {examine(examiners, tmp_path, seed, seed[3][:length]) for length in range(0, len(seed[3]) - 1, 17)}
    assert found <= TYPED
    assert 0 == examiners.deaths


@pytest.mark.campaign
def test_a_campaign_of_damaged_objects(examiners: Examiners, healthy: dict[str, Seed], tmp_path: Path) -> None:
    """Many of them (DIASTOLE_CAMPAIGN_OBJECTS); the outcomes are printed, and none is untyped."""
    count = int(os.environ.get("DIASTOLE_CAMPAIGN_OBJECTS", "100000"))
    outcomes = campaign(examiners, tmp_path, healthy, count, 10**6)
    print(f"\n{count} damaged objects: {dict(sorted(outcomes.items()))}; examiners that died: {examiners.deaths}")
    assert set(outcomes) <= {*TYPED, "examined"}
    assert 0 == examiners.deaths
