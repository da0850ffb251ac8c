"""What a threshold catches, what a wrong RR costs, what a cohort scores: tables of the CT twin; `make bench` only."""

import dataclasses
import functools
import itertools

import msgspec
import numpy as np
from scipy.ndimage import gaussian_filter

from gating.rest_phase import diastole_centre_ms
from simulators.anatomy import Patient, make_patient
from simulators.burden import draw_lesions, score_at
from simulators.exposure import Physics, Shot
from simulators.inserts import Rod, calcification_insert
from simulators.motion import MotionClock
from simulators.phantom import without_calcium
from simulators.plaque import HU_PER_MG_PER_CC
from simulators.projector import SOURCE_RADIUS_MM, make_fan
from simulators.scenario import Anatomy
from simulators.study import Frozen, StudyVolume, acquire, scan
from simulators.territories import territories
from tests.benchmarks.limits import Limit, at_least, at_most, hold, number, table
from tests.benchmarks.twin_runs import SHOWN, STORY, agatston, draw, percent_of_held, plan_of, shots_at, steady_clock

THRESHOLD_HU = 130.0
PLACES_MM = (0.0, 0.4, 0.8, 1.2, 1.5)  # of the insert's middle, against the slices
FINE_MM = 0.05


def _spread_mm(kernel_cutoff: float) -> float:
    """Give the SD of a slice's point spread from the reconstruction's own numbers; nothing is fitted.

    The kernel is a Gaussian of half amplitude at `kernel_cutoff` of Nyquist; reading between two rays, once in the
    rebinning and once in the back-projection, is a triangle of one ray to either side each: variance 1/6.
    """
    fan = make_fan(52.0)
    ray_mm = SOURCE_RADIUS_MM * fan.step_rad
    kernel_mm = np.sqrt(np.log(2.0) / (2.0 * np.pi**2)) / (kernel_cutoff / (2.0 * ray_mm))
    return float(np.sqrt(kernel_mm**2 + 2.0 * ray_mm**2 / 6.0))


def _caught(rod: Rod, places_mm: tuple[float, ...], slice_mm: float, spread_mm: float) -> float:
    """Give the share of a rod's signal that lies in points above the threshold, on paper, over some places."""
    axis = np.arange(-9.0, 9.0, FINE_MM)
    disc = (np.hypot(axis[:, None], axis) <= rod.diameter_mm / 2).astype(np.float64)
    blurred = gaussian_filter(disc, spread_mm / FINE_MM) * HU_PER_MG_PER_CC * rod.density_mg_per_cc
    caught = total = 0.0
    for place in places_mm:
        for number_ in range(-4, 4):
            low = number_ * slice_mm  # slices of an even slab meet at its middle
            top = min(low + slice_mm, place + rod.length_mm / 2)
            share = max(top - max(low, place - rod.length_mm / 2), 0.0) / slice_mm
            hu = share * blurred
            total += float(hu.sum())
            caught += float(hu[hu >= THRESHOLD_HU].sum())
    return caught / total


def _caught_in(volume: StudyVolume, rod: Rod) -> float:
    """Give the mass in voxels above the threshold within 8 mm of a rod, mg."""
    axis = np.arange(volume.hu.shape[1]) * volume.pixel_mm
    x, y = np.meshgrid(volume.x0_mm + axis, volume.y0_mm + axis)
    near = volume.hu[:, np.hypot(x - rod.x_mm, y - rod.y_mm) < 8.0]
    added = float(near[near >= THRESHOLD_HU].sum())
    return added * volume.pixel_mm**2 * volume.plan.slice_thickness_mm * 1e-3 / HU_PER_MG_PER_CC


def test_physics_threshold_mass() -> None:
    """The mass above 130 HU of the insert's cylinders, beside what the threshold catches on paper."""
    plan = msgspec.structs.replace(plan_of(matrix=512, steps=1, first_table_mm=0.0), fov_mm=160.0)
    spread_mm = _spread_mm(plan.kernel_cutoff)
    volumes = [scan(calcification_insert(z), [Shot(0, 0.0, 0.0, 37.0)], plan, noise_seed=None) for z in PLACES_MM]
    rows, limits = [], []
    for place, rod in enumerate(calcification_insert().rods[:-1]):
        found = [
            _caught_in(one, calcification_insert(z).rods[place]) for z, one in zip(PLACES_MM, volumes, strict=True)
        ]
        share = 100.0 * float(np.mean(found)) / rod.mass_mg
        paper = 100.0 * _caught(rod, PLACES_MM, plan.slice_thickness_mm, spread_mm)
        name = f"{rod.diameter_mm:g} mm, {rod.density_mg_per_cc:g} mg/cc"
        rows.append((name, number(share), number(paper), f"{share - paper:+.1f}"))
        limits.append(at_most(f"{name}: points off", 3.0, abs(share - paper)))
    heads = ("cylinder", "caught, % of its mass", "on paper, %", "points off")
    table(f"Mass above 130 HU; point spread {spread_mm:.2f} mm SD", heads, rows)
    hold(limits)


KV_RODS = (3.0, 5.0)


def test_physics_voltage() -> None:
    """The insert's score at 130 HU by voltage, over that at 70 keV, which stands for 120 kV."""
    shots = [Shot(0, 0.0, 0.0, 37.0)]
    settings = {"70 keV": (False, 120.0)} | {f"{kvp} kV": (True, float(kvp)) for kvp in (70, 80, 100, 120, 140)}
    sums = {}
    for name, (polychromatic, kvp) in settings.items():
        plan = msgspec.structs.replace(plan_of(matrix=512, steps=1, first_table_mm=0.0), fov_mm=160.0, kvp=kvp)
        total = 0.0
        for z in PLACES_MM:
            insert = calcification_insert(z)
            volume = scan(insert, shots, plan, noise_seed=None, physics=Physics(polychromatic))
            axis = np.arange(512) * volume.pixel_mm
            x, y = np.meshgrid(volume.x0_mm + axis, volume.y0_mm + axis)
            labels = np.zeros(volume.hu.shape, dtype=np.uint8)
            for rod in insert.rods[:-1]:
                if rod.diameter_mm in KV_RODS:
                    labels[:, np.hypot(x - rod.x_mm, y - rod.y_mm) < 8.0] = 2
            total += agatston(volume, labels)["total"] / len(PLACES_MM)
        sums[name] = total
    rows = [(name, number(total), number(100.0 * (total / sums["70 keV"] - 1.0))) for name, total in sums.items()]
    table("Agatston of the 3 and 5 mm cylinders at 130 HU", ("voltage", "score", "% over 70 keV"), rows)
    scores = [sums[f"{kvp} kV"] for kvp in (70, 80, 100, 120, 140)]
    falls = sum(high > low for high, low in itertools.pairwise(scores))
    hold([at_least("falls with the voltage, steps of 4", 4, falls)])


ERRORS_MS = (-200, -150, -100, -75, -50, -25, 0, 25, 50, 75, 100, 150, 200)


def test_physics_score_against_rr_error() -> None:
    """How far the score is off when the foretold RR is: a window of the gate's diastole, and one at 75 % of RR."""
    rows: list[tuple[object, ...]] = []
    curves: dict[str, tuple[list[float], list[float]]] = {}
    for bpm in (60.0, 75.0):
        rr_ms = 60e3 / bpm
        for name, centre in (
            ("gate", functools.partial(_gate_centre_ms, rr_ms)),
            ("75 %", lambda foretold_ms: 0.75 * foretold_ms),
        ):
            found = [percent_of_held(bpm, centre(rr_ms + error_ms), centre(rr_ms)) for error_ms in ERRORS_MS]
            for vessel in SHOWN:
                shares = [one[vessel] for one in found]
                rows.append((f"{bpm:g} bpm, {name}: {vessel}", *(f"{one:.0f}" for one in shares)))
            curves[f"{bpm:g} bpm, {name}"] = ([float(one) for one in ERRORS_MS], [one["RCA"] for one in found])
    heads = ("window", *(f"{one:+d}" for one in ERRORS_MS))
    title = "Score against the error of the foretold RR, ms: % of the heart held where the window was planned"
    table(title, heads, rows)
    draw(
        "score-rr-error",
        curves,
        title="What a wrong forecast of the next beat costs: the right artery",
        x="foretold RR too short (-) or too long (+), ms",
        y="score, % of the heart held still",
        level=100.0,
    )


def _gate_centre_ms(before_ms: float, foretold_ms: float) -> float:
    return float(diastole_centre_ms(before_ms, foretold_ms))


BANDS = (
    ("1 to 30", 1.0, 30.0, "61"),
    ("31 to 100", 30.0, 100.0, "23"),
    ("101 to 400", 100.0, 400.0, "16"),
    ("above 400", 400.0, 3000.0, "8"),
)
A_BAND = 24


def test_physics_rescan_by_burden() -> None:
    """Patients of each band scanned twice: start angle, table start and noise differ."""
    clock, rows = steady_clock(60.0), []
    for name, low, high, published in BANDS:
        offs = []
        for seed in range(A_BAND):
            rng = np.random.default_rng([seed, int(low)])
            wanted = float(np.exp(rng.uniform(np.log(low), np.log(min(high, 1000.0)))))
            patient = without_calcium(make_patient(STORY, seed))
            patient = dataclasses.replace(patient, lesions=draw_lesions(wanted, (250.0, 700.0), rng))
            scores = [_once(patient, clock, seed, again, rng) for again in range(2)]
            if sum(scores) > 0:
                offs.append(200.0 * abs(scores[0] - scores[1]) / sum(scores))
        rows.append((name, len(offs), number(float(np.mean(offs))), number(float(np.median(offs))), published))
    heads = ("nominal score", "patients that score", "mean, %", "median, %", "published mean, %")
    table("Rescan: |difference| over the mean (60 bpm, 75 %)", heads, rows)


def _once(patient: Patient, clock: MotionClock, seed: int, again: int, rng: np.random.Generator) -> float:
    plan = plan_of()
    moved = float(rng.uniform(-1.5, 1.5))
    plan = msgspec.structs.replace(plan, table_mm=tuple(z + moved for z in plan.table_mm))
    shots = shots_at(plan, 60.0, 750.0, float(rng.uniform(0, 360)))
    volume = acquire(patient, clock, shots, plan, noise_seed=2 * seed + again)
    return agatston(volume, territories(patient, clock, volume))["total"]


COHORT = ("white M", 65.0, 60)


def test_physics_cohort() -> None:
    """Scores of a cohort at rest, beside the percentiles of the people that it is drawn from."""
    group, age, count = COHORT
    clock, plan, levels = steady_clock(60.0), plan_of(), (25, 50, 75, 90)
    scores = []
    for seed in range(count):
        story = msgspec.structs.replace(
            STORY, anatomy=Anatomy(group=group, age=age, level=(seed + 0.5) / count, heart_drawn=True)
        )
        patient = make_patient(story, seed)
        volume = acquire(
            patient, clock, shots_at(plan, 60.0, 750.0), plan, noise_seed=seed, frozen=Frozen(1000.0, 750.0)
        )
        scores.append(agatston(volume, territories(patient, clock, volume))["total"])
    published = [score_at(group, age, level / 100.0) for level in levels]
    found = [float(np.percentile(scores, level)) for level in levels]
    rows = [(f"{level} %", number(p), number(f)) for level, p, f in zip(levels, published, found, strict=True)]
    rows.append(
        ("score 0, %", number(100.0 * _share_of_none(group, age)), number(100.0 * float(np.mean(np.equal(scores, 0)))))
    )
    table(f"{count} people like {group} of {age:g} years", ("percentile", "published", "twin"), rows)
    hold(
        [
            *(
                at_most(f"{level} % over published, off by %", 20.0, 100.0 * abs(f / p - 1.0))
                for level, p, f in zip(levels, published, found, strict=True)
                if p > 20.0
            ),
            at_most(
                "share of score 0, points off",
                5.0,
                100.0 * abs(_share_of_none(group, age) - float(np.mean(np.equal(scores, 0)))),
            ),
        ]
    )


def _share_of_none(group: str, age: float) -> float:
    levels = np.linspace(0.0, 1.0, 1001)
    return float(np.mean([score_at(group, age, float(level)) < 1.0 for level in levels]))


def test_physics_what_must_not_be_scored() -> None:
    """The score with a stent, valve and aortic-wall calcium over that without them, the arteries' map as always."""
    clock, plan, rows, limits = steady_clock(60.0), plan_of(), [], list[Limit]()
    for kind in ("valve", "aortic-wall", "stent"):
        offs = []
        for seed in range(1, 7):
            totals = []
            for others in ((), (kind,)):
                anatomy = msgspec.structs.replace(STORY.anatomy, others=others)
                patient = make_patient(msgspec.structs.replace(STORY, anatomy=anatomy), seed)
                if not others and kind == "stent":  # the same plaques: those where the stent lies are not there either
                    stented = msgspec.structs.replace(STORY.anatomy, others=(kind,))
                    with_stent = make_patient(msgspec.structs.replace(STORY, anatomy=stented), seed)
                    patient = dataclasses.replace(without_calcium(patient), lesions=with_stent.lesions)
                volume = acquire(
                    patient, clock, shots_at(plan, 60.0, 750.0), plan, noise_seed=seed, frozen=Frozen(1000.0, 750.0)
                )
                totals.append(agatston(volume, territories(patient, clock, volume))["total"])
            offs.append(totals[1] - totals[0])
        rows.append((kind, number(min(offs)), number(max(offs))))
        limits.append(at_most(f"{kind}: Agatston added", 5.0, max(offs)))
    table("Agatston added by what must not be scored, 6 patients", ("what", "least", "most"), rows)
    hold(limits)
