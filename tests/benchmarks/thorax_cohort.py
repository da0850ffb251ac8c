"""Cohorts of painted thoraces for the candidates' bench: one to develop on, one to evaluate on, of other ranges."""

from dataclasses import dataclass, replace

import numpy as np

from simulators.burden import draw_lesions, score_at
from simulators.plaque import HU_PER_MG_PER_CC
from tests.references.thoraces import CHAMBERS, ROOT, ROOT_RADIUS, Build, Dense, Field, Painted, paint, stretch

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Ranges:
    """What a cohort is drawn from; a pair is a range, two pairs are two ranges with nothing between."""

    seed: int
    chest_mm: tuple[Range, ...]  # half the chest's width
    fat_mm: Range
    heart_scale: tuple[Range, ...]
    turned_deg: tuple[Range, ...]  # of the apex, against the usual
    moved_mm: tuple[Range, ...]  # of the heart, to the left and to the back
    liver_top_mm: Range
    sheath_mm: Range
    noise_hu: Range
    valve_mm: Range  # radius of each piece
    valve_pieces: tuple[int, int]
    ring_arc: Range  # share of the mitral ring
    wall_mm: Range  # half length of calcium in the aortic wall
    spine_mm: tuple[Range, ...]  # of the spine, to the left; and of the descending aorta by the spine
    stents: tuple[tuple[str, float], ...]  # where one may begin
    stent_hu: tuple[Range, ...]


DEVELOPMENT = Ranges(
    seed=1,
    chest_mm=((140.0, 160.0),),
    fat_mm=(12.0, 28.0),
    heart_scale=((0.95, 1.05),),
    turned_deg=((-6.0, 6.0),),
    moved_mm=((-5.0, 5.0),),
    liver_top_mm=(-26.0, -14.0),
    sheath_mm=(1.8, 3.0),
    noise_hu=(15.0, 22.0),
    valve_mm=(1.5, 3.0),
    valve_pieces=(1, 3),
    ring_arc=(0.1, 0.3),
    wall_mm=(1.5, 4.0),
    spine_mm=((0.0, 0.0),),
    stents=(("LAD", 0.3), ("RCA", 0.2)),
    stent_hu=((1800.0, 2600.0),),
)
SECOND = Ranges(
    seed=2,
    chest_mm=((124.0, 138.0), (163.0, 185.0)),
    fat_mm=(6.0, 45.0),
    heart_scale=((0.86, 0.94), (1.06, 1.14)),
    turned_deg=((-14.0, -7.0), (7.0, 14.0)),
    moved_mm=((-10.0, -5.5), (5.5, 10.0)),
    liver_top_mm=(-32.0, -8.0),
    sheath_mm=(1.2, 3.6),
    noise_hu=(16.0, 28.0),
    valve_mm=(1.0, 4.5),
    valve_pieces=(2, 6),
    ring_arc=(0.3, 0.7),
    wall_mm=(4.0, 8.0),
    spine_mm=((-8.0, -3.0), (3.0, 8.0)),
    stents=(("LAD", 0.12), ("LCX", 0.3), ("RCA", 0.45)),
    stent_hu=((1300.0, 1750.0), (2700.0, 4000.0)),
)
"""Body, heart, turn, place, spine, calcium in ring and wall, and stents lie outside the ranges of development;
liver, fat, noise and valve pieces lie in wider ones. The first evaluation: the rules were mended after it."""

EVALUATION = replace(
    SECOND,
    seed=3,
    turned_deg=((-18.0, -14.5), (14.5, 18.0)),
    moved_mm=((-12.0, -10.2), (10.2, 12.0)),
    valve_pieces=(2, 7),
    ring_arc=(0.35, 0.75),
    stents=(("LAD", 0.2), ("LCX", 0.1), ("RCA", 0.6)),
)
"""Other patients than those of `SECOND`, with hearts turned and moved farther and stents elsewhere."""

GROUPS = ("white M", "white F", "black F", "hispanic M", "chinese M")


def draw_patient(ranges: Ranges, number: int) -> tuple[Build, Field]:
    """Draw one body with calcium, of people of 55 to 80 years, and what else is dense; and the field it is seen in."""
    rng = np.random.default_rng([ranges.seed, number, 0x7A0])
    wide = _pick(ranges.chest_mm, rng)
    turn, right, back = _pick(ranges.turned_deg, rng), _pick(ranges.moved_mm, rng), _pick(ranges.moved_mm, rng)
    usual = Build()
    build = Build(
        chest_mm=(wide, wide * float(rng.uniform(0.66, 0.74))),
        fat_mm=float(rng.uniform(*ranges.fat_mm)),
        heart_scale=_pick(ranges.heart_scale, rng),
        heart_mm=(usual.heart_mm[0] + right, usual.heart_mm[1] + 0.5 * back),
        apex_deg=usual.apex_deg + turn,
        liver_top_mm=float(rng.uniform(*ranges.liver_top_mm)),
        sheath_mm=float(rng.uniform(*ranges.sheath_mm)),
        noise_hu=float(rng.uniform(*ranges.noise_hu)),
        spine_x_mm=_pick(ranges.spine_mm, rng),
        aorta_off_mm=(0.5 * _pick(ranges.spine_mm, rng), 0.4 * _pick(ranges.spine_mm, rng)),
    )
    dense = [*_plaques(build, number, rng), *_others(build, ranges, rng)]
    fov_mm = float(rng.choice([190.0, 220.0, 250.0, 350.0]))
    field = Field(
        fov_mm=fov_mm,
        matrix=512 if number % 4 == 1 else 256,
        centre_mm=(float(rng.uniform(5.0, 18.0)), float(rng.uniform(-16.0, -4.0))),
        first_mm=-72.0 + float(rng.uniform(-3.0, 3.0)),
        slices=48,
    )
    return replace(build, dense=tuple(dense)), field


def painted(ranges: Ranges, number: int) -> Painted:
    """Paint one patient of a cohort."""
    build, field = draw_patient(ranges, number)
    return paint(build, field, 1000 * ranges.seed + number)


def _pick(ranges: tuple[Range, ...], rng: np.random.Generator) -> float:
    """Draw from one of some ranges."""
    return float(rng.uniform(*ranges[int(rng.integers(len(ranges)))]))


def _plaques(build: Build, number: int, rng: np.random.Generator) -> list[Dense]:
    """Lay calcium on the arteries: every third patient has a score of 10 to 40, the others one of their group."""
    if number % 3 == 0:
        score = float(rng.uniform(10.0, 40.0))
    else:
        group = GROUPS[number % len(GROUPS)]
        score = score_at(group, float(rng.uniform(55.0, 80.0)), float(rng.uniform(0.05, 0.98)))
    lesions = draw_lesions(score, (250.0, 800.0), rng)
    return [
        Dense(
            one.vessel, build.course(one.vessel, one.along), one.semi_axes_mm, HU_PER_MG_PER_CC * one.density_mg_per_cc
        )
        for one in lesions
    ]


def _others(build: Build, ranges: Ranges, rng: np.random.Generator) -> list[Dense]:
    """Draw what is dense and no coronary calcium: each kind in about half of the patients, leads and nodules in few."""
    found: list[Dense] = []
    if rng.uniform() < 0.5:
        for _ in range(int(rng.integers(ranges.valve_pieces[0], ranges.valve_pieces[1] + 1))):
            turn, off = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(2.0, ROOT_RADIUS - 5.0)
            at = build.place((ROOT[0] + off * np.cos(turn), ROOT[1] + off * np.sin(turn), rng.uniform(6.0, 13.0)))
            found.append(Dense("aortic valve", at, _axes(rng, ranges.valve_mm), float(rng.uniform(300.0, 900.0))))
    if rng.uniform() < 0.4:
        found += _mitral_ring(build, ranges, rng)
    if rng.uniform() < 0.5:
        found += _aortic_wall(build, ranges, rng)
    if rng.uniform() < 0.3:
        vessel, begin = ranges.stents[int(rng.integers(len(ranges.stents)))]
        along = begin + np.arange(0.0, 0.16, 0.012)
        found += stretch(build, vessel, along, 1.3, _pick(ranges.stent_hu, rng))
    if rng.uniform() < 0.15:
        found += _lead(build)
    if rng.uniform() < 0.3:
        at = (-0.6 * build.cavity_mm[0], float(rng.uniform(-10.0, 20.0)), float(rng.uniform(0.0, 40.0)))
        found.append(Dense("nodule", at, _axes(rng, (2.0, 4.0)), 500.0))
    if rng.uniform() < 0.2:
        at = (build.spine_mm[0] + 4.0, build.spine_mm[1] - 30.0, float(rng.uniform(30.0, 50.0)))
        found.append(Dense("node", at, _axes(rng, (2.0, 4.0)), 600.0))
    return found


def _lead(build: Build) -> list[Dense]:
    """Lay a lead from the caval vein through the right atrium to the tip of the right ventricle."""
    corners = np.array([build.place(one) for one in ((-33.0, -10.0, 60.0), (-36.0, -16.0, 0.0), (34.0, -22.0, -30.0))])
    way = np.linspace(0.0, 2.0, 60)
    points = np.stack([np.interp(way, (0.0, 1.0, 2.0), corners[:, k]) for k in range(3)], axis=1)
    return [Dense("lead", (float(x), float(y), float(z)), (1.3, 1.3, 1.3), 6000.0) for x, y, z in points]


def _axes(rng: np.random.Generator, radius_mm: Range) -> tuple[float, float, float]:
    """Draw the semi-axes of one piece."""
    radius = rng.uniform(*radius_mm)
    one, two = rng.uniform(0.8, 1.3, size=2)
    return float(radius), float(radius * one), float(radius * two)


def _mitral_ring(build: Build, ranges: Ranges, rng: np.random.Generator) -> list[Dense]:
    """Lay calcium along the ring between the left atrium and the left ventricle."""
    ventricle = CHAMBERS[0]
    arc = float(rng.uniform(*ranges.ring_arc))
    begin = float(rng.uniform(0.0, 2.0 * np.pi))
    pieces = []
    for turn in np.arange(begin, begin + arc * 2.0 * np.pi, 0.22):
        at = build.place((-15.0, ventricle[0][1] + 13.0 * np.cos(turn), 3.0 + 13.0 * np.sin(turn)))
        pieces.append(Dense("mitral annulus", at, (1.8, 1.8, 1.8), 700.0))
    return pieces


def _aortic_wall(build: Build, ranges: Ranges, rng: np.random.Generator) -> list[Dense]:
    """Lay calcium into the wall of the descending aorta, and of the ascending one well above the arteries."""
    pieces = []
    for _ in range(int(rng.integers(1, 4))):
        turn, half = rng.uniform(0.0, 2.0 * np.pi), float(rng.uniform(*ranges.wall_mm))
        x, y = build.aorta_mm
        at = (float(x + 12.0 * np.cos(turn)), float(y + 12.0 * np.sin(turn)), float(rng.uniform(-55.0, 55.0)))
        pieces.append(Dense("descending wall", at, (1.4, 1.4, half), 700.0))
        turn, height = rng.uniform(0.0, 2.0 * np.pi), build.heart_scale * float(rng.uniform(42.0, 60.0))
        x, y, _ = build.place((*ROOT, height / build.heart_scale))
        at = (float(x + ROOT_RADIUS * np.cos(turn)), float(y + ROOT_RADIUS * np.sin(turn)), height)
        pieces.append(Dense("ascending wall", at, (1.4, 1.4, half), 700.0))
    return pieces
