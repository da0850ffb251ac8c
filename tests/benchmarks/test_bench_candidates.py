"""How well the rules find coronary candidates and landmarks in bodies that they were not made on; `make bench` only."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np
from numpy.typing import NDArray

from scoring.candidates import Proposal, proposed_labels
from scoring.coronary_finder import propose_in
from scoring.islands import find_islands
from scoring.lesions import VESSELS, Labels, find_lesions
from scoring.round_vessels import NotFound, Roi
from scoring.score import Score, score_volume, sum_of
from scoring.settings import ScoreSettings
from scoring.thorax import Thorax, find_thorax
from scoring.volume import Volume, axial_volume
from simulators.anatomy import make_patient
from simulators.scenario import Anatomy
from simulators.study import acquire
from simulators.territories import territories
from tests.benchmarks.limits import Limit, at_least, at_most, hold, number, table
from tests.benchmarks.thorax_cohort import DEVELOPMENT, EVALUATION, Ranges, painted
from tests.benchmarks.twin_runs import STORY, plan_of, shots_at, steady_clock
from tests.references.thoraces import FIRST_KIND, KINDS, Build, Field, Painted, paint

SETTINGS = ScoreSettings()
LEAST_SCORE = 1.0  # of a lesion that must be found
FALSE_ZERO_FROM = 10.0
EVALUATED, DEVELOPED, TWINS = 50, 24, 12
Truth = NDArray[np.uint8]


@dataclass(slots=True)
class Tally:
    """What a cohort gave."""

    studies: int = 0
    lesions: int = 0
    found: int = 0
    vessel_right: int = 0
    false: Counter[str] = field(default_factory=Counter)  # proposals that are none, by what they are
    left_out: Counter[str] = field(default_factory=Counter)
    false_zeros: int = 0
    totals: list[tuple[float, float]] = field(default_factory=list)  # true, proposed
    without_stents: list[float] = field(default_factory=list)  # proposed - true, where no stent is
    sure: list[bool] = field(default_factory=list)  # of proposals with confidence >= 0.7: is it one

    def add(self, volume: Volume, truth: Truth, thorax: Thorax) -> None:
        """Add one study: `truth` is 1 to 4 on the arteries' calcium, from 10 on what else is dense."""
        islands = find_islands(volume, SETTINGS)
        proposals = propose_in(thorax, volume, find_lesions(volume, islands, None, SETTINGS))
        drawn = proposed_labels(proposals, volume, "rules")
        arteries = Labels(np.where(truth < FIRST_KIND, truth, 0).astype(np.uint8))
        self.studies += 1
        for lesion in find_lesions(volume, islands, arteries, SETTINGS):
            if lesion.vessel is None or sum_of([lesion], volume, SETTINGS).agatston < LEAST_SCORE:
                continue
            got = np.concatenate([drawn.vessels[one.slice, one.rows, one.columns] for one in lesion.islands])
            counts = np.bincount(got, minlength=5)
            self.lesions += 1
            if 2 * counts[0] <= len(got):
                self.found += 1
                self.vessel_right += VESSELS[int(np.argmax(counts[1:]))] == lesion.vessel
        for proposal in proposals:
            self._count(proposal, truth)
        true, proposed = (_total(volume, labels) for labels in (arteries, drawn))
        self.totals.append((true, proposed))
        self.false_zeros += true >= FALSE_ZERO_FROM and proposed == 0.0
        if not np.any(truth == FIRST_KIND + KINDS.index("stent")):
            self.without_stents.append(proposed - true)

    def _count(self, proposal: Proposal, truth: Truth) -> None:
        """Count a proposal of something else, by what it is, or something else that was left out."""
        inside = np.concatenate([truth[one.slice, one.rows, one.columns] for one in proposal.lesion.islands])
        arteries = int(np.count_nonzero((inside > 0) & (inside < FIRST_KIND)))
        others = np.bincount(inside[inside >= FIRST_KIND], minlength=1)
        coronary = arteries > 0 and arteries >= others.sum()
        if proposal.vessel is not None and proposal.confidence >= 0.7:
            self.sure.append(coronary)
        if not coronary:
            kind = KINDS[int(np.argmax(others)) - FIRST_KIND] if others.any() else "tissue, bone or noise"
            (self.left_out if proposal.vessel is None else self.false)[kind] += 1

    def row(self, name: str) -> tuple[object, ...]:
        """Give the cells of the cohort's row."""
        off = np.array([b - a for a, b in self.totals])
        return (
            name,
            self.studies,
            self.lesions,
            number(100.0 * self.found / max(self.lesions, 1)),
            number(100.0 * self.vessel_right / max(self.found, 1)),
            number(sum(self.false.values()) / max(self.studies, 1), 2),
            self.false_zeros,
            number(float(np.median(off))),
            number(float(off.mean())),
            number(float(np.mean(self.without_stents or [np.nan]))),
            number(100.0 * float(np.mean(self.sure) if self.sure else np.nan)),
        )


HEADS = (
    "cohort", "studies", "lesions >= 1", "found, %", "vessel right, %", "false per study", "false zeros",
    "total off, median", "mean", "mean without stents", "of the sure ones true, %",
)  # fmt: skip


def _total(volume: Volume, labels: Labels) -> float:
    """Agatston score of a volume with a map."""
    scored = score_volume(volume, labels, SETTINGS)
    assert isinstance(scored, Score) and scored.total is not None
    return scored.total.agatston


def _kinds(tally: Tally) -> list[tuple[object, ...]]:
    """Rows of what is no coronary calcium: how much of it was proposed all the same."""
    names = sorted(set(tally.false) | set(tally.left_out))
    return [(name, tally.false[name] + tally.left_out[name], tally.false[name]) for name in names]


@dataclass(slots=True)
class Landmarks:
    """How many landmarks were right in a cohort of whole hearts, and how many cuts were seen."""

    studies: int = 0
    heart: int = 0
    aorta: int = 0
    aorta_wrong: int = 0
    pool: int = 0
    pool_wrong: int = 0
    false_cuts: int = 0
    cuts: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def add(self, one: Painted) -> Thorax | None:
        """Look at one body, whole and cut; give the landmarks of the whole one."""
        self.studies += 1
        begin = time.process_time()
        thorax = find_thorax(one.volume)
        self.seconds.append(time.process_time() - begin)
        if isinstance(thorax, NotFound):
            return None
        self.heart += _heart_is_right(thorax, one)
        if isinstance(thorax.aorta_roi, Roi):
            right = abs(thorax.aorta_roi.mean_hu - 44.0) < 5.0 and _in_aorta(thorax.aorta_roi, one)
            self.aorta += right
            self.aorta_wrong += not right
        if isinstance(thorax.blood_pool_roi, Roi):
            right = abs(thorax.blood_pool_roi.mean_hu - 48.0) < 12.0
            self.pool += right
            self.pool_wrong += not right
        self.false_cuts += not thorax.coverage.complete
        for name, part, field_name in _cut(one):
            found = find_thorax(part)
            self.cuts[name] += isinstance(found, NotFound) or bool(getattr(found.coverage, field_name))
        return thorax

    def limits(self) -> list[Limit]:
        """Ask for what a report rests on: no wrong region, whatever was not found."""
        return [
            at_least("heart found in its place, %", 95.0, 100.0 * self.heart / self.studies),
            at_most("wrong aorta regions", 0, self.aorta_wrong),
            at_most("wrong blood regions", 0, self.pool_wrong),
        ]

    def rows(self) -> list[tuple[object, ...]]:
        """Give name, right, wrong of each landmark."""
        return [
            ("heart in its place", self.heart, self.studies - self.heart),
            ("aorta, region to measure", self.aorta, self.aorta_wrong),
            ("blood of the heart, region to measure", self.pool, self.pool_wrong),
            ("whole heart told to be whole", self.studies - self.false_cuts, self.false_cuts),
            *((f"cut {name} told, or nothing found", n, self.studies - n) for name, n in sorted(self.cuts.items())),
        ]


def _heart_is_right(thorax: Thorax, one: Painted) -> bool:
    """Whether all of the arteries' courses lie inside the found heart."""
    build = one.build
    places = [build.course(vessel, along) for vessel in VESSELS for along in np.linspace(0.0, 1.0, 12)]
    return float(np.mean([thorax.depth_at_mm(place) > 0.0 for place in places])) >= 0.95


def _in_aorta(roi: Roi, one: Painted) -> bool:
    """Whether a region's middle lies in the drawn aorta."""
    slices, rows, columns = (float(index.mean()) for index in roi.pixels)
    x, y, z = one.volume.to_patient_mm(round(slices), rows, columns)
    if roi.name == "descending aorta":
        return float(np.hypot(x - one.build.aorta_mm[0], y - one.build.aorta_mm[1])) < 6.0
    at = one.build.place((-14.0, -2.0, z / one.build.heart_scale))
    return float(np.hypot(x - at[0], y - at[1])) < 8.0


def _cut(one: Painted) -> Sequence[tuple[str, Volume, str]]:
    """Cut the volume through the heart: above, below, and at the left edge of the field."""
    volume, s = one.volume, one.build.heart_scale
    low, high = volume.positions_mm < 12.0 * s, volume.positions_mm > -12.0 * s
    left = int((one.build.heart_mm[0] + 20.0 - volume.corners_mm[0, 0]) / volume.column_mm)
    return (
        ("at the top", _slices(volume, low), "cut_at_top"),
        ("at the bottom", _slices(volume, high), "cut_at_bottom"),
        ("at the edge", replace(volume, hu=np.array(volume.hu[:, :, :left], dtype=np.float32)), "cut_at_edge"),
    )


def _slices(volume: Volume, kept: NDArray[np.bool_]) -> Volume:
    """Keep some slices of a volume."""
    return replace(
        volume, hu=volume.hu[kept], positions_mm=volume.positions_mm[kept], corners_mm=volume.corners_mm[kept]
    )


def _cohort(ranges: Ranges, count: int) -> tuple[Tally, Landmarks]:
    """Go through one cohort of painted bodies."""
    tally, landmarks = Tally(), Landmarks()
    for patient in range(count):
        one = painted(ranges, patient)
        thorax = landmarks.add(one)
        if thorax is not None:
            tally.add(one.volume, one.truth, thorax)
    return tally, landmarks


def _twin_cohort() -> Tally:
    """Go through bodies of the CT twin: beating hearts, views and reconstruction, valve, aortic wall and stents."""
    clock, plan, tally = steady_clock(60.0), plan_of(), Tally()
    for seed in range(TWINS):
        anatomy = Anatomy(
            group="white M",
            age=70.0,
            level=(seed * 7 % 10 + 0.5) / 10.0,
            heart_drawn=True,
            body=("small", "medium", "large")[seed % 3],
            others=("valve", "aortic-wall", "stent") if seed % 2 else ("valve", "aortic-wall"),
        )
        patient = make_patient(msgspec.structs.replace(STORY, anatomy=anatomy), seed)
        study = acquire(patient, clock, shots_at(plan, 60.0, 750.0), plan, noise_seed=seed)
        truth = territories(patient, clock, study)
        volume = axial_volume(
            np.rint(study.hu),
            row_mm=study.pixel_mm,
            column_mm=study.pixel_mm,
            z_mm=study.z_mm,
            x0_mm=study.x0_mm,
            y0_mm=study.y0_mm,
        )
        thorax = find_thorax(volume)
        assert isinstance(thorax, Thorax)
        tally.add(volume, _with_stent(truth, seed), thorax)
    return tally


def _with_stent(truth: Truth, seed: int) -> Truth:
    """Mark one pixel outside the body as stent where there is one: only for the mean without stents."""
    if seed % 2:
        truth[0, 0, 0] = FIRST_KIND + KINDS.index("stent")
    return truth


def _report(name: str, tally: Tally, more: Sequence[Limit] = ()) -> None:
    """Print a cohort's tables and hold its limits."""
    table("Candidates", HEADS, [tally.row(name)])
    table(f"Not coronary, {name}", ("what", "lesions", "proposed all the same"), _kinds(tally))
    hold([at_most("false zeros", 0, tally.false_zeros), *more])


def test_candidates_development() -> None:
    """The bodies that the rules were made on: no evidence, only what to compare the next table with."""
    tally, _ = _cohort(DEVELOPMENT, DEVELOPED)
    _report("development", tally)


def test_candidates_evaluation() -> None:
    """50 bodies of the third draw, of other hearts, places, turns and stents, which no rule was made on."""
    tally, landmarks = _cohort(EVALUATION, EVALUATED)
    table("Landmarks", ("what", "right", "wrong"), landmarks.rows())
    _report("evaluation", tally, landmarks.limits())


def test_candidates_twin() -> None:
    """The CT twin: motion, views, reconstruction, quantum noise."""
    _report("CT twin", _twin_cohort())


def test_candidates_time() -> None:
    """Seconds of one core for 48 slices of 512 x 512; the best of five, on whatever else the machine does."""
    one = paint(Build(), Field(fov_mm=220.0, matrix=512, slices=48), 1)
    lesions = find_lesions(one.volume, find_islands(one.volume, SETTINGS), None, SETTINGS)
    seconds = []
    for _ in range(5):
        begin = time.process_time()
        thorax = find_thorax(one.volume)
        middle = time.process_time()
        assert isinstance(thorax, Thorax)
        propose_in(thorax, one.volume, lesions)
        seconds.append((middle - begin, time.process_time() - middle))
    best = [min(each) for each in zip(*seconds, strict=True)]
    table("Time, 48 x 512 x 512", ("what", "s"), [("landmarks", number(best[0], 2)), ("rules", number(best[1], 2))])
    hold([at_most("landmarks", 0.25, best[0], " s")])
