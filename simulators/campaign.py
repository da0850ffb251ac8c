"""A campaign: a grid of whole virtual studies, scenarios x policies x scanners x seeds, and what each came to as a row.

A study is named by its four words, and by nothing else: a campaign that is run again finds by them what it has done.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean, median, pstdev
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta

from simulators.burden import OLDEST, SCORES, YOUNGEST
from simulators.comparison import parse_policy
from simulators.scenario import Scanner, Scenario

Row = dict[str, object]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all sections share: frozen, and no unknown keys."""


class ScannerChange(Section, frozen=True):
    """One scanner of a campaign: a name, and what differs from the scenario's own."""

    name: Annotated[str, Meta(min_length=1)]
    rotation_ms: float | None = None
    sources: Annotated[int, Meta(ge=1, le=2)] | None = None
    steps: Annotated[int, Meta(ge=1, le=32)] | None = None
    slices_per_step: Annotated[int, Meta(ge=1, le=256)] | None = None
    collimation_mm: float | None = None
    tube_current_ma: float | None = None
    kvp: int | None = None
    polychromatic: bool | None = None
    focal_spot_mm: float | None = None
    scout: bool | None = None
    noise_target_hu: float | None = None
    matrix: Annotated[int, Meta(ge=16, le=1024)] | None = None

    def of(self, scanner: Scanner) -> Scanner:
        """Give a scenario's scanner with these changes."""
        said = {key: one for key, one in msgspec.structs.asdict(self).items() if key != "name" and one is not None}
        return msgspec.structs.replace(scanner, **said)


class Cohort(Section, frozen=True):
    """Who the patients are: each seed is one person, the same under every policy and on every scanner."""

    groups: Annotated[tuple[str, ...], Meta(min_length=1)]  # of `burden.SCORES`, in equal shares
    age: tuple[float, float] = (YOUNGEST, OLDEST)  # years, evenly
    bodies: Annotated[tuple[Literal["small", "medium", "large"], ...], Meta(min_length=1)] = ("small",)
    rate_bpm: tuple[float, float] | None = None  # mean and SD of the heart rate; None: the scenario's


class Campaign(Section, frozen=True):
    """What is to be run: each scenario under each policy on each scanner, with the patients 1 to `seeds`."""

    name: Annotated[str, Meta(min_length=1)]
    scenarios: Annotated[tuple[str, ...], Meta(min_length=1)]
    seeds: Annotated[int, Meta(ge=1, le=100_000)]
    policies: Annotated[tuple[str, ...], Meta(min_length=1)] = ("least_blur_dose",)
    scanners: Annotated[tuple[ScannerChange, ...], Meta(min_length=1)] = (ScannerChange(name="scenario's"),)
    cohort: Cohort | None = None  # None: the scenario's own patient, its calcium drawn from the seed


@dataclass(frozen=True, slots=True)
class Job:
    """One study."""

    scenario: str
    policy: str
    scanner: ScannerChange
    seed: int

    @property
    def key(self) -> str:
        """Name it."""
        return " | ".join((self.scenario, self.policy, self.scanner.name, str(self.seed)))


def jobs(campaign: Campaign) -> tuple[Job, ...]:
    """List the studies, seed by seed, so that a campaign cut short has some of everything.

    Raises
    ------
    SettingsError
        If a policy is none.
    ValueError
        If a scenario, policy or scanner is named twice.
    """
    for what, names in (
        ("scenario", campaign.scenarios),
        ("policy", campaign.policies),
        ("scanner", [one.name for one in campaign.scanners]),
    ):
        if len(set(names)) < len(names):
            raise ValueError(f"a {what} is named twice in {', '.join(names)}")
    for policy in campaign.policies:
        parse_policy(policy)
    if campaign.cohort is not None:
        _refuse_nobody(campaign.cohort)
    seeds = range(1, campaign.seeds + 1)
    grid = product(seeds, campaign.scenarios, campaign.policies, campaign.scanners)
    return tuple(Job(scenario, policy, scanner, seed) for seed, scenario, policy, scanner in grid)


def _refuse_nobody(cohort: Cohort) -> None:
    """Refuse a cohort that holds nobody whose calcium was ever counted."""
    unknown = [one for one in cohort.groups if one not in SCORES]
    if unknown:
        raise ValueError(f"there is no group {unknown[0]!r}; the groups are {', '.join(SCORES)}")
    if not YOUNGEST <= cohort.age[0] <= cohort.age[1] <= OLDEST:
        raise ValueError(f"the ages of a cohort rise and lie between {YOUNGEST:g} and {OLDEST:g}")


@dataclass(frozen=True, slots=True)
class Person:
    """One patient of a cohort."""

    group: str
    age: float
    body: Literal["small", "medium", "large"]
    rate_bpm: float | None
    caudal_mm: float  # of the heart, a breath


CAUDAL_MM, CAUDAL_SD_MM, CAUDAL_RANGE_MM = 4.9, 1.9, (2.4, 8.0)  # a tidal breath (Shechter 2004, IEEE TMI 23:1046)
LEAST_BPM, MOST_BPM = 40.0, 110.0  # of a patient of a cohort: beyond, nobody is sent to a calcium scan


def person_of(cohort: Cohort, seed: int) -> Person:
    """Draw the person of a seed; the same cohort and seed give the same one."""
    rng = np.random.default_rng([seed, 0xC0407])
    group = cohort.groups[int(rng.integers(len(cohort.groups)))]
    age = float(rng.uniform(*cohort.age))
    body = cohort.bodies[int(rng.integers(len(cohort.bodies)))]
    of_rate, of_breath = rng.standard_normal(2)
    caudal_mm = float(np.clip(CAUDAL_MM + CAUDAL_SD_MM * of_breath, *CAUDAL_RANGE_MM))
    mean, sd = (0.0, 0.0) if cohort.rate_bpm is None else cohort.rate_bpm
    rate_bpm = None if cohort.rate_bpm is None else float(np.clip(mean + sd * of_rate, LEAST_BPM, MOST_BPM))
    return Person(group, age, body, rate_bpm, caudal_mm)


def as_person(story: Scenario, person: Person) -> Scenario:
    """Give a story this person's calcium, body, heart, rate and breath; rest phases are drawn too."""
    replace = msgspec.structs.replace
    anatomy = replace(
        story.anatomy, group=person.group, age=person.age, level=None, body=person.body, heart_drawn=True
    )  # fmt: skip
    rhythm = story.rhythm if person.rate_bpm is None else replace(story.rhythm, rate_bpm=person.rate_bpm)
    breath = replace(story.respiration, caudal_mm=person.caudal_mm)
    rest_phase = replace(story.rest_phase, drawn=True)
    return replace(story, anatomy=anatomy, rhythm=rhythm, respiration=breath, rest_phase=rest_phase)


@dataclass(frozen=True, slots=True)
class Summary:
    """What the studies of one scenario, policy and scanner came to together."""

    scenario: str
    policy: str
    scanner: str
    studies: int
    complete: int
    error_mean: float | None  # of the score against the heart held still, %
    error_sd: float | None
    error_worst: float | None
    dose_msv: float | None  # median of all
    breath_hold_s: float | None  # median of the complete ones


def summaries(rows: Iterable[Row]) -> list[Summary]:
    """Sum up the rows by scenario, policy and scanner, in the order in which they first come."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((str(row["scenario"]), str(row["policy"]), str(row["scanner"])), []).append(row)
    return [_summary(names, group) for names, group in groups.items()]


def _summary(names: tuple[str, str, str], group: Sequence[Row]) -> Summary:
    errors = _numbers(group, "score_error_percent")
    complete = [row for row in group if row["complete"]]
    doses, holds = _numbers(group, "dose_msv"), _numbers(complete, "breath_hold_s")
    return Summary(
        *names,
        studies=len(group),
        complete=len(complete),
        error_mean=fmean(errors) if errors else None,
        error_sd=pstdev(errors) if errors else None,
        error_worst=max(errors, key=abs) if errors else None,
        dose_msv=median(doses) if doses else None,
        breath_hold_s=median(holds) if holds else None,
    )


def _numbers(rows: Iterable[Row], name: str) -> list[float]:
    found = (row.get(name) for row in rows)
    return [float(one) for one in found if isinstance(one, int | float)]
