"""The body: nothing dense but calcium and bone, whatever the heart does."""

import dataclasses

import msgspec
import numpy as np
import pytest

from simulators import anatomy
from simulators.anatomy import BODIES, BONE_HU, COVERAGE_MM, MUSCLE_HU, Patient, make_patient
from simulators.motion import VESSELS, MotionClock, RestOffsets
from simulators.phantom import course_points, hu_at, moving_table, without_calcium
from simulators.plaque import nominal_score
from simulators.scenario import Anatomy, Scenario

STORY = Scenario(name="test", story="A patient.")
PATIENT = make_patient(STORY, 1)
PHASES = MotionClock(np.arange(10), RestOffsets()).displacement(np.linspace(5.0, 6.0, 21))


def displaced(fraction: float) -> np.ndarray:
    """Displace all vessels alike."""
    return np.full(len(VESSELS), fraction)


def _body(anatomy_: Anatomy) -> Patient:
    return make_patient(Scenario(name="test", story="A body.", anatomy=anatomy_), 1)


BODIES_TO_HOLD: dict[str, Patient] = {
    "the usual one": PATIENT,
    "medium body, heart 6 % larger": _body(Anatomy(body="medium", heart_scale=1.06)),
    "large body, heart 6 % smaller": _body(Anatomy(body="large", heart_scale=0.94)),
    "heart drawn, first seed": _body(Anatomy(seed=1, heart_drawn=True)),
    "heart drawn, second seed": _body(Anatomy(seed=2, heart_drawn=True)),
    "heart drawn, third seed": _body(Anatomy(seed=3, heart_drawn=True)),
}


AT_REST = [("the usual one", fraction, caudal_mm) for fraction in (0.0, 0.3, 0.7, 1.0) for caudal_mm in (0.0, 6.0)]
SHRUNK = [(name, 1.0, 6.0) for name in BODIES_TO_HOLD if name != "the usual one"]


@pytest.mark.parametrize(("name", "fraction", "caudal_mm"), [*AT_REST, *SHRUNK])
def test_every_object_stays_in_its_parent(name: str, fraction: float, caudal_mm: float) -> None:
    """Additive objects that leave their parent make tissues that there are not: only the five of the body are found."""
    axes = np.arange(-204, 205, 3.0), np.arange(-153, 154, 3.0), np.arange(-69, 70, 6.0)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    found = np.unique(np.round(hu_at(without_calcium(BODIES_TO_HOLD[name]), points, displaced(fraction), caudal_mm)))
    assert [-1000, -850, -90, 45, 320] == found.tolist()


def test_a_large_body_is_wider_and_the_heart_is_the_same() -> None:
    """400 x 300 mm against 300 x 204 mm of skin; all else is where it was."""
    large = _body(Anatomy(body="large"))
    assert [(150.0, 102.0), (200.0, 150.0)] == [PATIENT.bodies[0].semi_axes_mm, large.bodies[0].semi_axes_mm]
    assert PATIENT.bodies[1:] == large.bodies[1:]
    assert PATIENT.lesions == large.lesions


DENSE = {"stent": (5, 700.0), "valve": (2, 495.0), "aortic-wall": (2, 645.0)}


@pytest.mark.parametrize("name", DENSE)
def test_what_must_not_be_scored_is_dense_and_where_it_belongs(name: str) -> None:
    """A stent's parts, valve and aortic wall: above 130 HU at every phase, with no coronary calcium there."""
    parts, expected_hu = DENSE[name]
    patient = _body(msgspec.convert({"others": [name]}, Anatomy))
    assert parts == len(patient.others)
    for displacement in PHASES[::5]:
        table = moving_table(patient, displacement[None], np.zeros(1))[0, -parts:]
        found = hu_at(patient, table[:, :3], displacement)
        assert expected_hu == pytest.approx(max(found), abs=1.0)
        assert min(found) > 130.0
        around = table[0, :3] + np.array([[-9.0, 0.0, 0.0], [0.0, -9.0, 0.0]])
        assert max(hu_at(patient, around, displacement)) < 130.0


def test_a_group_and_a_level_are_a_score() -> None:
    """The median white man of 60 has a nominal score of 28 (MESA, Table 2); one of four has none."""
    median, quarter = (_body(Anatomy(group="white M", age=60.0, level=level)) for level in (0.5, 0.25))
    assert 28.0 == pytest.approx(sum(nominal_score(lesion) for lesion in median.lesions), abs=1.5)
    assert () == quarter.lesions


def _surface() -> np.ndarray:
    """Give points all over a unit sphere, [point, 3]."""
    turn, tilt = np.meshgrid(np.linspace(0.0, 2.0 * np.pi, 48), np.linspace(0.0, np.pi, 25))
    return np.stack([np.cos(turn) * np.sin(tilt), np.sin(turn) * np.sin(tilt), np.cos(tilt)], axis=-1).reshape(-1, 3)


def _within(points: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Give how far out points lie in an ellipsoid of the table; 1 is its surface."""
    x, y, z = (points - row[:3]).T
    along, across = x * row[6] + y * row[7], y * row[6] - x * row[7]
    return np.asarray(np.sqrt((along / row[3]) ** 2 + (across / row[4]) ** 2 + (z / row[5]) ** 2))


@pytest.mark.parametrize("bpm", [50.0, 75.0, 110.0])
@pytest.mark.parametrize("name", BODIES_TO_HOLD)
def test_the_halves_of_the_heart_lie_apart_and_in_the_fat(name: str, bpm: float) -> None:
    """At every phase, though each half has its own clock, neither touches the other or the fat's surface."""
    clock = MotionClock(np.arange(-4, 6) * 60.0 / bpm, RestOffsets())
    phases = clock.displacement(np.linspace(0.0, 60.0 / bpm, 41))
    for table in moving_table(BODIES_TO_HOLD[name], phases, np.zeros(len(phases))):
        fat, left, right = table[:3]
        along, across, up = (_surface() * right[3:6]).T
        edge = np.stack([along * right[6] - across * right[7], along * right[7] + across * right[6], up], axis=-1)
        assert _within(edge + right[:3], left).min() > 1.0
        assert _within(edge + right[:3], fat).max() < 0.95
        along, across, up = (_surface() * left[3:6]).T
        edge = np.stack([along * left[6] - across * left[7], along * left[7] + across * left[6], up], axis=-1)
        assert _within(edge + left[:3], fat).max() < 0.95


def test_the_right_artery_goes_with_the_right_half() -> None:
    """Seen from the heart's middle it turns and comes down as its half does, within half a degree and a millimetre."""
    none = np.zeros(len(PHASES))
    halves = moving_table(PATIENT, PHASES, none)[:, 2]
    middle = moving_table(PATIENT, PHASES, none)[:, 0, :3]
    at = course_points(PATIENT, "RCA", [0.3], PHASES, none)[:, 0] - middle
    turned = np.unwrap(np.arctan2(halves[:, 7], halves[:, 6]))
    angle = np.deg2rad(35.0)
    shell = 0.5 * (np.array(anatomy.MUSCLE_SEMI_AXES_MM) + np.array(anatomy.FAT_SEMI_AXES_MM))
    along, across = (
        at[:, 0] * np.cos(angle) + at[:, 1] * np.sin(angle),
        at[:, 1] * np.cos(angle) - at[:, 0] * np.sin(angle),
    )
    seen = np.unwrap(np.arctan2(across / shell[1], along / shell[0]))
    assert np.rad2deg(turned - turned[0]) == pytest.approx(np.rad2deg(seen - seen[0]), abs=0.5)
    assert np.ptp(np.rad2deg(turned)) > 20.0
    down = halves[:, 2] - middle[:, 2]
    assert down - down[0] == pytest.approx(at[:, 2] - at[0, 2], abs=1.0)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_calcium_lies_well_inside_the_fat(seed: int) -> None:
    """At every phase, 3 mm around every lesion is fat or artery, never muscle of the heart, lung or another lesion."""
    patient = make_patient(STORY, seed)
    directions = np.random.default_rng(0).normal(size=(40, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    clean = dataclasses.replace(patient, lesions=(), courses={v: _thin(patient, v) for v in VESSELS})
    for displacement in PHASES[::4]:
        for lesion in patient.lesions:
            centre = course_points(patient, lesion.vessel, [lesion.along], displacement[None], np.zeros(1))[0, 0]
            around = centre + directions * 4.0
            assert set(np.round(hu_at(clean, around, displacement))) == {-90.0}


def _thin(patient: Patient, vessel: str) -> anatomy.Course:
    """Give the same course with an artery too thin to be hit."""
    return dataclasses.replace(patient.courses[vessel], radius_mm=1e-6)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_lesions_do_not_touch_each_other(seed: int) -> None:
    """Two lesions that overlap would add up to a density that neither has."""
    patient = make_patient(STORY, seed)
    for displacement in (displaced(0.0), displaced(1.0)):
        centres = np.array(
            [
                course_points(patient, n.vessel, [n.along], displacement[None], np.zeros(1))[0, 0]
                for n in patient.lesions
            ]
        )
        reach = np.array([max(n.semi_axes_mm) for n in patient.lesions])
        gaps = np.linalg.norm(centres[:, None] - centres[None], axis=-1) - reach[:, None] - reach[None]
        assert gaps[~np.eye(len(reach), dtype=bool)].min() > 0.5


def test_a_lesion_has_the_density_it_was_given() -> None:
    """1.31 HU per mg HA/cc, at its centre, at any phase; the artery's beads keep clear of it."""
    for displacement in (displaced(0.0), displaced(0.5), displaced(1.0)):
        for lesion in PATIENT.lesions:
            centre = course_points(PATIENT, lesion.vessel, [lesion.along], displacement[None], np.zeros(1))[0]
            assert pytest.approx([1.31 * lesion.density_mg_per_cc]) == hu_at(PATIENT, centre, displacement)


def test_the_heart_fits_into_the_plan() -> None:
    """Heart and coronaries lie within +-72 mm at every phase, with room for a breath."""
    table = moving_table(PATIENT, PHASES, np.zeros(len(PHASES)))
    assert np.abs(table[..., 2] + table[..., 5]).max() < COVERAGE_MM - 6
    assert np.abs(table[..., 2] - table[..., 5]).max() < COVERAGE_MM - 6


def test_bone_stays_away_from_the_arteries() -> None:
    """No bone within 8 mm of any artery at any phase: it can never lie in a vessel's territory."""
    bones = [body for body in BODIES if body.added_hu == BONE_HU - MUSCLE_HU]
    assert len(bones) >= 6
    rim = np.linspace(0, 2 * np.pi, 90)
    for vessel in VESSELS:
        arteries = course_points(PATIENT, vessel, np.linspace(0, 1, 40), PHASES, np.zeros(len(PHASES)))[..., :2]
        for body in bones:
            turned, (a, b) = np.deg2rad(body.angle_deg), body.semi_axes_mm
            x = body.x_mm + a * np.cos(rim) * np.cos(turned) - b * np.sin(rim) * np.sin(turned)
            y = body.y_mm + a * np.cos(rim) * np.sin(turned) + b * np.sin(rim) * np.cos(turned)
            gaps = np.linalg.norm(arteries.reshape(-1, 1, 2) - np.stack([x, y], axis=-1), axis=-1)
            assert gaps.min() > 8


@pytest.mark.parametrize(
    ("vessel", "stroke_mm", "fastest_mm_per_s"),
    [("LM", (6, 10), (35, 57)), ("LAD", (4, 10), (20, 59)), ("LCX", (9, 14), (45, 104)), ("RCA", (16, 24), (80, 124))],
)
def test_each_artery_moves_as_far_and_fast_as_published(
    vessel: str, stroke_mm: tuple[float, float], fastest_mm_per_s: tuple[float, float]
) -> None:
    """Strokes and peak speeds at 60 bpm lie in the ranges of Mao 2000 and the design's prototype."""
    step_s = 0.002
    phases = MotionClock(np.arange(10), RestOffsets()).displacement(np.arange(5.0, 6.0, step_s))
    path = course_points(PATIENT, vessel, [0.05, 0.5, 0.8], phases, np.zeros(len(phases)))
    stroke = np.linalg.norm(path - path[:1], axis=-1).max(axis=0)
    speed = np.linalg.norm(np.diff(path, axis=0), axis=-1).max(axis=0) / step_s
    assert stroke_mm[0] <= stroke.min() <= stroke.max() <= stroke_mm[1]
    assert fastest_mm_per_s[0] <= speed.min() <= speed.max() <= fastest_mm_per_s[1]


def test_the_breath_moves_the_heart_down_and_forward() -> None:
    """4.9 mm towards the feet come with 1.3 mm forward (Shechter 2004), and bend no course."""
    up, down = (course_points(PATIENT, "RCA", [0.3, 0.6], PHASES[:1], np.array([c])) for c in (0.0, 4.9))
    assert np.allclose([0.0, -1.3, -4.9], down - up)


def test_a_seed_is_a_patient() -> None:
    """The same seed gives the same calcium, another one other calcium; an anatomy's own seed wins."""
    fixed = Scenario(name="test", story="A named body.", anatomy=Anatomy(seed=7))
    assert make_patient(STORY, 1) == PATIENT
    assert make_patient(STORY, 2) != PATIENT
    assert make_patient(fixed, 1) == make_patient(fixed, 2) == make_patient(STORY, 7)


def test_the_anatomy_counts_the_lesions() -> None:
    """As many as the scenario says, in its ranges; an unknown vessel is refused by name."""
    story = Anatomy(lesions={"RCA": 2}, radius_mm=(1.0, 1.1), density_mg_per_cc=(300.0, 310.0))
    lesions = make_patient(Scenario(name="test", story="Few.", anatomy=story), 1).lesions
    assert ["RCA", "RCA"] == [lesion.vessel for lesion in lesions]
    assert all(300 <= lesion.density_mg_per_cc <= 310 for lesion in lesions)
    assert all(1.0 <= min(lesion.semi_axes_mm) <= 1.1 for lesion in lesions)
    with pytest.raises(ValueError, match="PDA"):
        make_patient(Scenario(name="test", story="Wrong.", anatomy=Anatomy(lesions={"PDA": 1})), 1)
