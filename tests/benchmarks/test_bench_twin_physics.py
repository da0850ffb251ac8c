"""What the CT twin makes of known calcium, of motion, and of a trigger's error: the tables of docs/twin.md.

`make bench BENCH="-k physics"` prints them and draws the pictures (into `out/bench`). Published ranges stand beside as
limits of the report, not of the test, where they are of phantoms whose scanners are not ours.
"""

from itertools import pairwise

import msgspec
import numpy as np

from simulators.anatomy import HEART_ANGLE_DEG, HEART_CENTRE_MM, LEFT_HALF, make_patient
from simulators.exposure import Shot
from simulators.inserts import DENSITIES_MG_PER_CC, Rod, calcification_insert, moving_rods
from simulators.motion import Breathing
from simulators.phantom import without_calcium
from simulators.plaque import HU_PER_MG_PER_CC
from simulators.scenario import Respiration
from simulators.study import Frozen, StudyVolume, acquire, scan
from simulators.territories import territories
from tests.benchmarks.limits import Limit, at_least, at_most, hold, number, table
from tests.benchmarks.twin_runs import (
    PATIENTS,
    SHOWN,
    STORY,
    agatston,
    draw,
    percent_of_held,
    plan_of,
    shots_at,
    steady_clock,
)

QUIET = 4.0  # times the current: noise of phantom studies
ROD_NAMES = ("LM", "LAD", "LCX")  # that stand for 200, 400 and 800 mg/cc
SPEEDS = (0.0, 10.0, 20.0, 30.0, 50.0)
SCANNERS = {
    "250 ms": {"rotation_ms": 250.0},
    "280 ms": {"rotation_ms": 280.0},
    "350 ms": {"rotation_ms": 350.0},
    "280 ms, two sources": {"rotation_ms": 280.0, "sources": 2},
}
PUBLISHED = {200.0: (-20.0, 5.0), 400.0: (10.0, 35.0), 800.0: (30.0, 60.0)}  # at 30 mm/s, 250-280 ms


def _rod_mass_mg(volume: StudyVolume, rod: Rod) -> float:
    """Integrate what a rod adds to the water within 8 mm of it."""
    axis = np.arange(volume.hu.shape[1]) * volume.pixel_mm
    x, y = np.meshgrid(volume.x0_mm + axis, volume.y0_mm + axis)
    near = np.hypot(x - rod.x_mm, y - rod.y_mm) < 8.0
    added = float(volume.hu[:, near].sum())
    return added * volume.pixel_mm**2 * volume.plan.slice_thickness_mm * 1e-3 / HU_PER_MG_PER_CC


def test_physics_static_insert() -> None:
    """The integrated mass of the insert's cylinders, noise-free, at five places against the slices."""
    plan = msgspec.structs.replace(plan_of(matrix=512, steps=1, first_table_mm=0.0), fov_mm=160.0)
    shot = [Shot(0, 0.0, 0.0, 37.0)]
    places = (0.0, 0.4, 0.8, 1.2, 1.5)
    volumes = [scan(calcification_insert(z), shot, plan, noise_seed=None) for z in places]
    rows, limits = [], []
    for number_, rod in enumerate(calcification_insert().rods[:-1]):
        found = [
            _rod_mass_mg(volume, calcification_insert(z).rods[number_])
            for z, volume in zip(places, volumes, strict=True)
        ]
        off = max((100.0 * (one / rod.mass_mg - 1.0) for one in found), key=abs)
        name = f"{rod.diameter_mm:g} mm, {rod.density_mg_per_cc:g} mg/cc"
        rows.append((name, number(rod.mass_mg, 3), number(float(np.mean(found)), 3), number(off, 2)))
        if rod.diameter_mm > 1.0:
            limits.append(at_most(f"{name}: off by %", 2.0, abs(off)))
    table("Integrated mass, noise-free", ("cylinder", "true, mg", "found, mg, mean", "most off, %"), rows)
    hold(limits)


def test_physics_linear_motion() -> None:
    """The Agatston score of rods that move in a straight line, against the same rods at rest."""
    rows: list[tuple[object, ...]] = []
    limits: list[Limit] = []
    off_at: dict[tuple[str, float, float], float] = {}
    for scanner, settings in SCANNERS.items():
        plan = plan_of(
            matrix=512, steps=1, first_table_mm=0.0, tube_current_ma=290.0 * QUIET, dose_ceiling_msv=20.0, **settings
        )
        plan = msgspec.structs.replace(plan, slices_per_step=8)
        sums = {speed: np.zeros(3) for speed in SPEEDS}
        for speed in SPEEDS:
            for turn in range(8):
                for z_mm in (0.0, 1.5):
                    insert = moving_rods(speed, 45.0 * turn + 20.0, plan.half_scan_ms * 0.5e-3, z_mm)
                    volume = scan(insert, [Shot(0, 0.0, 0.0, 77.0 * turn)], plan, noise_seed=turn)
                    scores = agatston(volume, _about(volume, insert.rods))
                    sums[speed] += [scores[name] for name in ROD_NAMES]
        for column, density in enumerate(DENSITIES_MG_PER_CC):
            for speed in SPEEDS:
                off_at[scanner, density, speed] = 100.0 * (sums[speed][column] / sums[0.0][column] - 1.0)
            cells = (f"{off_at[scanner, density, speed]:+.0f}" for speed in SPEEDS[1:])
            rows.append((scanner, f"{density:g}", number(sums[0.0][column] / 16.0), *cells))
    heads = ("rotation", "mg/cc", "score at rest", *(f"{speed:g} mm/s, %" for speed in SPEEDS[1:]))
    table("Linear motion: score against rest, mean of 8 directions and angles x 2 positions", heads, rows)
    for density, (low, high) in PUBLISHED.items():
        for scanner in ("250 ms", "280 ms"):
            value = off_at[scanner, density, 30.0]
            limits += [
                at_least(f"{scanner}, {density:g} mg/cc, 30 mm/s, %", low, value),
                at_most(f"{scanner}, {density:g} mg/cc, 30 mm/s, %", high, value),
            ]
    one, two = (
        np.mean([abs(off_at[name, d, 30.0]) for d in DENSITIES_MG_PER_CC]) for name in ("280 ms", "280 ms, two sources")
    )
    limits.append(at_most("two sources over one, mean deviation at 30 mm/s", 0.5, float(two / one)))
    draw(
        "linear-motion",
        {
            f"{d:g} mg/cc, {name}": (SPEEDS, [off_at[name, d, v] for v in SPEEDS])
            for name in ("280 ms", "280 ms, two sources")
            for d in DENSITIES_MG_PER_CC
        },
        title="A moving rod scores too low when faint, too high when dense",
        x="speed, mm/s",
        y="Agatston score against rest, %",
        level=0.0,
    )
    hold(limits)


def _about(volume: StudyVolume, rods: tuple[Rod, ...]) -> np.ndarray:
    """Label all that lies within 16 mm of each rod, 1 to 3."""
    axis = np.arange(volume.hu.shape[1]) * volume.pixel_mm
    x, y = np.meshgrid(volume.x0_mm + axis, volume.y0_mm + axis)
    flat = np.zeros(x.shape, dtype=np.uint8)
    for label, rod in enumerate(rods, start=1):
        flat[np.hypot(x - rod.x_mm, y - rod.y_mm) < 16.0] = label
    return np.repeat(flat[None], len(volume.hu), axis=0)


PHASES = (5, 15, 25, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 95)
RATES = (55.0, 65.0, 75.0, 90.0)
SEEN = 75.0  # % of the still score: a plateau


def test_physics_score_against_phase() -> None:
    """The score of the moving heart over that of the heart held at the same phase, by rate and target phase."""
    found = {
        bpm: [percent_of_held(bpm, at_ms, at_ms) for at_ms in (phase / 100.0 * 60_000.0 / bpm for phase in PHASES)]
        for bpm in RATES
    }
    rows = [
        (f"{bpm:g}, {name}", *(number(one[name], 0) for one in values))
        for name in SHOWN
        for bpm, values in found.items()
    ]
    title = f"Score of the moving heart, % of the same heart held at that phase ({len(PATIENTS)} patients)"
    table(title, ("bpm", *(f"{p} %" for p in PHASES)), rows)
    draw(
        "score-phase",
        {f"{bpm:g} bpm": (PHASES, [one["RCA"] for one in values]) for bpm, values in found.items()},
        title="With the rate the diastolic plateau narrows and goes; the systolic one stays",
        x="target phase, % of RR",
        y="score of the RCA, % of the same heart held still",
        level=100.0,
    )
    right = {bpm: [one["RCA"] for one in values] for bpm, values in found.items()}
    late = {bpm: [p for p, one in zip(PHASES, right[bpm], strict=True) if p >= 55 and one >= SEEN] for bpm in RATES}
    early = {bpm: max(one for p, one in zip(PHASES, right[bpm], strict=True) if 30 <= p <= 50) for bpm in RATES}
    limits = [at_least(f"RCA at {bpm:g} bpm: best systolic phase, %", SEEN, early[bpm]) for bpm in RATES]
    for one, two in pairwise(RATES):
        more = len(late[one]) - len(late[two])
        limits.append(at_least(f"diastolic phases above {SEEN:g} % at {one:g} bpm, less those at {two:g}", 1, more))
        if late[two]:
            limits.append(at_least(f"they begin later at {two:g} bpm, by %", 1, late[two][0] - late[one][0]))
    hold(limits)


ERRORS_MS = tuple(range(-200, 201, 25))


def test_physics_score_against_trigger_error() -> None:
    """How far the score is off when the window lies too early or too late, at 60 and 75 bpm."""
    found = {}
    for bpm, phase in ((60.0, 75.0), (75.0, 78.0)):
        planned = phase / 100.0 * 60_000.0 / bpm
        found[f"{bpm:g} bpm, planned at {phase:g} %"] = [
            percent_of_held(bpm, planned + error, planned) for error in ERRORS_MS
        ]
    rows = [
        (f"{heart}: {name}", *(number(one[name], 0) for one in values))
        for heart, values in found.items()
        for name in SHOWN
    ]
    title = "Score by the trigger's error, ms; % of the heart held at the planned phase"
    table(title, ("heart", *(f"{e:+d}" for e in ERRORS_MS)), rows)
    draw(
        "score-trigger",
        {f"{heart}: {name}": (ERRORS_MS, [one[name] for one in found[heart]]) for heart in found for name in SHOWN},
        title="A trigger that is 75 ms early loses calcium, that of the right artery first",
        x="error of the trigger, ms (early < 0)",
        y="score, % of the heart held still",
        level=100.0,
    )
    at_60 = dict(zip(ERRORS_MS, next(iter(found.values())), strict=True))
    limits = [at_most(f"60 bpm, no error: {name} off by %", 10.0, abs(at_60[0][name] - 100.0)) for name in SHOWN]
    late = max(abs(at_60[150]["RCA"] - 100.0), abs(at_60[-150]["RCA"] - 100.0))
    limits.append(
        at_least("RCA 150 ms off, over 3 times the error without", 3.0, late / max(abs(at_60[0]["RCA"] - 100.0), 1.0))
    )
    hold(limits)


def test_physics_failed_breath_hold() -> None:
    """How far the score is off when the patient breathes before the last slab."""
    plan, clock, rows = plan_of(), steady_clock(60.0), []
    spreads: list[tuple[float, float, float]] = []
    for name, fails in (
        ("held", None),
        ("fails before the 4th slab", 17.0),
        ("before the 3rd", 15.0),
        ("before the 2nd", 13.0),
        ("never held", 0.1),
    ):
        offs = []
        for seed in range(1, 9):
            patient = make_patient(STORY, seed)
            breath = Breathing(Respiration(hold_begins_at_s=0.5, hold_fails_after_s=fails))
            shots = shots_at(plan, 60.0, 750.0, 50.0 * seed)
            moving = acquire(patient, clock, shots, plan, noise_seed=seed, breathing=breath)
            still = acquire(patient, clock, shots, plan, noise_seed=seed, frozen=Frozen(1000.0, 750.0))
            labels = territories(patient, clock, moving)
            offs.append(
                100.0
                * (
                    agatston(moving, labels)["total"] / agatston(still, territories(patient, clock, still))["total"]
                    - 1.0
                )
            )
        spreads.append((float(np.mean(offs)), min(offs), max(offs)))
        rows.append(
            (name, f"{np.mean(offs):+.1f}", number(float(np.std(offs))), f"{min(offs):+.1f}", f"{max(offs):+.1f}")
        )
    table(
        "Breath-hold, 60 bpm, 8 patients: score against the heart held still, %",
        ("hold", "mean", "SD", "least", "most"),
        rows,
    )
    means, least, most = (list(one) for one in zip(*spreads, strict=True))
    slabs = [4.0, 3.0, 2.0, 1.0, 0.0]  # scanned before the hold fails
    draw(
        "score-breath-hold",
        {"mean of 8 patients": (slabs, means), "least": (slabs, least), "most": (slabs, most)},
        title="What a failed breath-hold does to the score",
        x="slabs of 4 scanned before the patient breathes",
        y="score against the still heart, %",
        level=0.0,
    )


def test_physics_rescan() -> None:
    """One patient scanned twice: start angle, table start and noise differ."""
    clock, rows, found = steady_clock(60.0), [], []
    for seed in range(1, 33):
        rng = np.random.default_rng([seed, 5])
        counts = {vessel: int(rng.integers(0, 3)) for vessel in ("LM", "LAD", "LCX", "RCA")}
        counts["LAD"] += 1
        story = msgspec.structs.replace(STORY, anatomy=msgspec.structs.replace(STORY.anatomy, lesions=counts))
        patient, scores = make_patient(story, seed), []
        for again in range(2):
            plan = plan_of()
            moved = float(rng.uniform(-1.5, 1.5))
            plan = msgspec.structs.replace(plan, table_mm=tuple(z + moved for z in plan.table_mm))
            shots = shots_at(plan, 60.0, 750.0, float(rng.uniform(0, 360)))
            volume = acquire(patient, clock, shots, plan, noise_seed=2 * seed + again)
            scores.append(agatston(volume, territories(patient, clock, volume))["total"])
        if sum(scores) > 0:
            found.append((float(np.mean(scores)), 200.0 * abs(scores[0] - scores[1]) / sum(scores)))
    for name, low, high, published in (
        ("1 to 30", 1, 30, "61"),
        ("31 to 100", 30, 100, "23"),
        ("101 to 400", 100, 400, "16"),
        ("above 400", 400, 1e9, "8"),
        ("all", 0, 1e9, "11.8 to 13, median 8"),
    ):
        inside = [off for mean, off in found if low <= mean < high]
        cells = (number(float(np.mean(inside))), number(float(np.median(inside)))) if inside else ("-", "-")
        rows.append((name, len(inside), *cells, published))
    table(
        "Rescan: |difference| over the mean, % (60 bpm, 75 %)",
        ("Agatston", "patients", "mean", "median", "published"),
        rows,
    )


def test_physics_zero_calcium() -> None:
    """A patient without calcium, scored over the whole heart without a map: how often the score is not 0."""
    clean, clock, rows, limits = without_calcium(make_patient(STORY, 1)), steady_clock(60.0), [], list[Limit]()
    for wanted_sd, ma, seeds in ((20.0, 230.0, 100), (25.0, 147.0, 100)):
        plan = plan_of(matrix=512, tube_current_ma=ma)
        zero, spreads = 0, []
        for seed in range(seeds):
            volume = acquire(clean, clock, shots_at(plan, 60.0, 750.0, 3.6 * seed), plan, noise_seed=seed)
            axis = np.arange(512) * volume.pixel_mm
            x, y = np.meshgrid(volume.x0_mm + axis - HEART_CENTRE_MM[0], volume.y0_mm + axis - HEART_CENTRE_MM[1])
            turned = np.deg2rad(HEART_ANGLE_DEG)
            left = np.hypot(x - LEFT_HALF.centre_mm[0] * np.cos(turned), y - LEFT_HALF.centre_mm[0] * np.sin(turned))
            spreads.append(float(volume.hu[20:28, left < 12.0].std()))
            labels = np.repeat((np.hypot(x, y) < 42.0).astype(np.uint8)[None], len(volume.hu), axis=0)
            zero += agatston(volume, labels)["total"] == 0.0
        rows.append((f"{wanted_sd:g}", number(float(np.mean(spreads))), f"{zero} of {seeds}"))
        if wanted_sd == 20.0:
            limits.append(at_least("0 at 20 HU, of 100 seeds", 95, zero))
    table(
        "Zero-calcium patient, whole heart, no map",
        ("wanted SD, HU", "SD in the left half of the heart, HU", "score 0"),
        rows,
    )
    hold(limits)
