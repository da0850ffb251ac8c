"""Painted thoraces: bodies with two lungs, a spine, ribs, great vessels, a heart with grooves, and what is dense in it.

Later things cover earlier ones, so that anything may touch anything, which the projector's added ellipsoids cannot.
The way to slices is short: large things at the middle of each slice, small ones averaged over it, a Gaussian in the
plane (SD 0.6 mm, as the twin's clinical kernel spreads) and noise of the same spread, scaled to the wanted SD. There
are no views, no motion and no streaks: what must be seen with those is measured on the twin.

Patient coordinates, mm: x to the left, y to the back, z to the head; z = 0 is the middle of the heart. Sizes and places
are cartoons of a textbook axial anatomy, none was measured in a person.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from scoring.volume import Volume, axial_volume

Floats = NDArray[np.float64]
Point = tuple[float, float, float]

SPREAD_MM = 0.6
FAT, LUNG, BLOOD, MUSCLE, LIVER, BONE, CORTEX = -95.0, -850.0, 44.0, 52.0, 58.0, 210.0, 520.0
VESSELS = ("LM", "LAD", "LCX", "RCA")
KINDS = ("aortic valve", "mitral annulus", "ascending wall", "descending wall", "stent", "lead", "nodule", "node")
FIRST_KIND = 10  # value in the map of the first kind; 1 to 4 are the arteries

# in the heart's frame: towards the apex, across to the left and back, to the head
CHAMBERS: tuple[tuple[Point, Point, float], ...] = (
    ((16.0, 13.0, -10.0), (36.0, 25.0, 36.0), MUSCLE),  # left ventricle
    ((4.0, -24.0, -6.0), (38.0, 17.0, 36.0), BLOOD + 3.0),  # right ventricle
    ((-33.0, 14.0, 16.0), (18.0, 26.0, 22.0), BLOOD),  # left atrium
    ((-37.0, -18.0, 2.0), (17.0, 20.0, 28.0), BLOOD),  # right atrium
)
SAC = (62.0, 50.0, 58.0)
COURSES: dict[str, tuple[Point, ...]] = {
    "LM": ((-6.0, 13.0, 25.0), (3.0, 17.0, 24.0)),
    "LAD": ((6.0, 14.0, 25.0), (22.0, 2.0, 27.0), (38.0, -5.0, 18.0), (50.0, -7.0, 2.0), (54.0, -7.0, -15.0)),
    "LCX": ((3.0, 22.0, 24.0), (-5.0, 34.0, 17.0), (-12.0, 42.0, 4.0), (-16.0, 37.0, -12.0)),
    "RCA": (
        (-19.0, -20.0, 19.0), (-20.0, -35.0, 9.0), (-21.0, -41.0, -6.0), (-20.0, -34.0, -24.0), (-20.0, -12.0, -38.0),
        (-14.0, 4.0, -43.0),
    ),
}  # fmt: skip
ROOT, ROOT_RADIUS = (-14.0, -2.0), 15.0


@dataclass(frozen=True, slots=True)
class Dense:
    """One ellipsoid of calcium or metal, in patient coordinates; `what` is an artery or one of `KINDS`."""

    what: str
    centre_mm: Point
    semi_axes_mm: Point
    hu: float


@dataclass(frozen=True, slots=True)
class Build:
    """One body before anything is drawn on its arteries."""

    chest_mm: tuple[float, float] = (150.0, 105.0)  # semi-axes of the chest wall, without the fat on it
    fat_mm: float = 18.0
    heart_scale: float = 1.0
    heart_mm: tuple[float, float] = (14.0, -16.0)
    apex_deg: float = -38.0  # direction of the apex: 0 left, -90 front
    liver_top_mm: float = -22.0
    sheath_mm: float = 2.5  # fat around the arteries
    blood_hu: float = 0.0  # added to all blood: contrast
    lung_hu: float = LUNG
    lungs: bool = True
    noise_hu: float = 20.0
    spine_x_mm: float = 0.0
    aorta_off_mm: tuple[float, float] = (0.0, 0.0)  # of the descending aorta, against the usual place by the spine
    dense: tuple[Dense, ...] = ()

    def place(self, point: Point) -> Point:
        """Turn a point of the heart's frame into patient coordinates; the heart leans to the front left downwards."""
        angle, s = np.deg2rad(self.apex_deg), self.heart_scale
        a, b, z = (s * value for value in point)
        x = self.heart_mm[0] + a * np.cos(angle) - b * np.sin(angle) - 0.12 * z
        y = self.heart_mm[1] + a * np.sin(angle) + b * np.cos(angle) + 0.08 * z
        return (float(x), float(y), float(z))

    @property
    def cavity_mm(self) -> tuple[float, float]:
        """Semi-axes of the inside of the chest."""
        return self.chest_mm[0] - 22.0, self.chest_mm[1] - 20.0

    @property
    def spine_mm(self) -> tuple[float, float]:
        """Middle of the vertebral bodies."""
        return self.spine_x_mm, self.cavity_mm[1] - 6.0

    @property
    def aorta_mm(self) -> tuple[float, float]:
        """Middle of the descending aorta."""
        x, y = self.spine_mm
        return x + 24.0 + self.aorta_off_mm[0], y - 22.0 + self.aorta_off_mm[1]

    def course(self, vessel: str, along: float) -> Point:
        """Point of an artery at a share of its length."""
        corners = np.array(COURSES[vessel])
        length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(corners, axis=0), axis=1))])
        a, b, z = (float(np.interp(along * length[-1], length, corners[:, k])) for k in range(3))
        return self.place((a, b, z))


@dataclass(frozen=True, slots=True)
class Field:
    """What is reconstructed."""

    fov_mm: float = 240.0
    matrix: int = 128
    centre_mm: tuple[float, float] = (10.0, -10.0)
    first_mm: float = -69.0
    slices: int = 47
    slice_mm: float = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """A volume and where each thing in it lies: 0 nothing, 1 to 4 the arteries' calcium, from 10 on the other kinds."""

    volume: Volume
    truth: NDArray[np.uint8]
    build: Build


class Canvas:
    """Slices in work."""

    def __init__(self, where: Field) -> None:
        self.px = where.fov_mm / where.matrix
        axis = (np.arange(where.matrix) - 0.5 * (where.matrix - 1)) * self.px
        self.x, self.y = (axis + where.centre_mm[0]).astype(np.float32), (axis + where.centre_mm[1]).astype(np.float32)
        self.z = np.asarray(where.first_mm + where.slice_mm * np.arange(where.slices), dtype=np.float64)
        self.slice_mm = where.slice_mm
        self.hu = np.full((where.slices, where.matrix, where.matrix), -1000.0, dtype=np.float32)
        self.truth = np.zeros(self.hu.shape, dtype=np.uint8)

    def inside(
        self, centre: tuple[float, float], axes: tuple[float, float], left: float = 1.0, turn_deg: float = 0.0
    ) -> NDArray[np.bool_]:
        """Mask [row, column] of an ellipse whose squared radius is `left` at this height."""
        x, y = self.x[None, :] - np.float32(centre[0]), self.y[:, None] - np.float32(centre[1])
        c, s = np.float32(np.cos(np.deg2rad(turn_deg))), np.float32(np.sin(np.deg2rad(turn_deg)))
        return np.asarray(((x * c + y * s) / axes[0]) ** 2 + ((y * c - x * s) / axes[1]) ** 2 <= left)

    def blend(self, centre: Point, axes: Point, hu: float, mark: int = 0, margin_mm: float = 1.5) -> None:
        """Blend a small ellipsoid in, averaged over the slice and the pixel, and mark it in the map with a margin."""
        for margin, value in ((0.0, None), (margin_mm, mark)):
            if value == 0:
                continue
            a, b, c = (one + margin for one in axes)
            columns = np.flatnonzero(np.abs(self.x - centre[0]) <= a + self.px)
            rows = np.flatnonzero(np.abs(self.y - centre[1]) <= b + self.px)
            depth = np.flatnonzero(np.abs(self.z - centre[2]) <= c + 0.5 * self.slice_mm)
            if not len(columns) or not len(rows):
                continue
            parts = (np.arange(4) - 1.5) / 4.0 * self.px
            x = (self.x[columns][:, None] + parts).ravel() - centre[0]
            y = (self.y[rows][:, None] + parts).ravel() - centre[1]
            left = 1.0 - (x[None, :] / a) ** 2 - (y[:, None] / b) ** 2
            half = c * np.sqrt(np.clip(left, 0.0, None))
            for n in depth:
                low = self.z[n] - centre[2] - 0.5 * self.slice_mm
                filled = np.clip(np.minimum(low + self.slice_mm, half) - np.maximum(low, -half), 0.0, None)
                share = (filled / self.slice_mm).reshape(len(rows), 4, len(columns), 4).mean(axis=(1, 3))
                box = (n, slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
                if value is None:
                    self.hu[box] += (share * (hu - self.hu[box])).astype(np.float32)
                else:
                    self.truth[box][share > 0.0] = value


def paint(build: Build, where: Field, seed: int, *, simulated: bool = True) -> Painted:
    """Paint one body and give it as a volume of whole HU.

    Parameters
    ----------
    build
        The body and what is dense in it.
    where
        The field and the slices.
    seed
        Of the noise.
    """
    canvas = Canvas(where)
    for n, z in enumerate(canvas.z):
        _chest(canvas, build, n, float(z))
        _heart(canvas, build, n, float(z))
        _spine(canvas, build, n, float(z))
    _arteries(canvas, build)
    for one in build.dense:
        mark = VESSELS.index(one.what) + 1 if one.what in VESSELS else FIRST_KIND + KINDS.index(one.what)
        canvas.blend(one.centre_mm, one.semi_axes_mm, one.hu, mark)
    spread = (0.0, SPREAD_MM / canvas.px, SPREAD_MM / canvas.px)
    hu = gaussian_filter(canvas.hu, spread)
    if build.noise_hu:
        noise = np.random.default_rng([seed, 0x7407]).standard_normal(hu.shape, dtype=np.float32)
        noise = gaussian_filter(noise, spread)
        hu += noise * np.float32(build.noise_hu / noise.std())
    hu = np.rint(np.maximum(hu, -1024.0)).astype(np.float32)
    volume = axial_volume(
        hu,
        row_mm=canvas.px,
        column_mm=canvas.px,
        z_mm=canvas.z,
        x0_mm=float(canvas.x[0]),
        y0_mm=float(canvas.y[0]),
        thickness_mm=where.slice_mm,
        simulated=simulated,
    )
    return Painted(volume, canvas.truth, build)


def _chest(canvas: Canvas, build: Build, n: int, z: float) -> None:
    """Skin, wall, ribs, sternum, lungs, the fat between them, and the liver below."""
    page = canvas.hu[n]
    a, b = build.chest_mm
    page[canvas.inside((0.0, 0.0), (a + build.fat_mm, b + build.fat_mm))] = FAT
    wall = canvas.inside((0.0, 0.0), (a, b))
    page[wall] = MUSCLE
    ca, cb = build.cavity_mm
    # ribs go down from the back to the front, one every 27 mm, 6 mm thick in the middle of the wall
    ring = wall & ~canvas.inside((0.0, 0.0), (ca + 5.0, cb + 4.0)) & canvas.inside((0.0, 0.0), (a - 6.0, b - 5.0))
    height = z + 0.35 * (build.cavity_mm[1] - canvas.y[:, None]) * np.ones_like(canvas.x)[None, :]
    page[ring & (np.abs((height % 27.0) - 13.5) < 6.0) & (np.abs(canvas.x)[None, :] > 28.0)] = 380.0
    breast = (0.0, -(b - 9.0))
    page[canvas.inside(breast, (18.0, 6.0))] = CORTEX
    page[canvas.inside(breast, (15.0, 4.0))] = 160.0
    if not build.lungs:
        return
    cavity = canvas.inside((0.0, 0.0), (ca, cb))
    page[cavity] = build.lung_hu
    between = canvas.inside((6.0, 0.0), (27.0 + 0.15 * max(z, 0.0), cb)) & cavity
    page[between] = FAT
    for x, top, wide in ((-52.0, build.liver_top_mm, 70.0), (58.0, build.liver_top_mm - 8.0, 62.0)):
        left = 1.0 - (max(z - (top - 60.0), 0.0) / 60.0) ** 2
        page[canvas.inside((x, -2.0), (wide, cb * 0.93), left) & cavity] = LIVER
    if z < build.liver_top_mm:
        page[canvas.inside((0.0, -cb * 0.3), (60.0, cb * 0.65)) & cavity] = LIVER


def _heart(canvas: Canvas, build: Build, n: int, z: float) -> None:
    """The sac of fat with its four chambers, then the great vessels; it lies on the liver."""
    page, s = canvas.hu[n], build.heart_scale
    if not build.lungs:
        return
    for centre, axes, hu in (((0.0, 0.0, 0.0), SAC, FAT), *CHAMBERS):
        x, y, middle = build.place(centre)
        left = 1.0 - ((z - middle) / (s * axes[2])) ** 2
        if left > 0.0:
            moved = (x - 0.12 * (z - middle), y + 0.08 * (z - middle))
            value = hu if hu == FAT else hu + build.blood_hu
            page[canvas.inside(moved, (s * axes[0], s * axes[1]), left, build.apex_deg)] = value
    blood = BLOOD + build.blood_hu
    if z > 2.0:
        x, y, _ = build.place((*ROOT, z / s))
        page[canvas.inside((x, y), (ROOT_RADIUS + 2.0, ROOT_RADIUS + 2.0))] = FAT
        page[canvas.inside((x, y), (ROOT_RADIUS, ROOT_RADIUS))] = blood
    if z > 22.0:
        x, y, _ = build.place((8.0, -22.0 + 0.4 * (z - 22.0), z / s))
        page[canvas.inside((x, y), (13.0, 13.0))] = blood  # pulmonary trunk
        x, y, _ = build.place((-33.0, -10.0, z / s))
        page[canvas.inside((x, y), (9.0, 9.0))] = blood  # superior caval vein


def _spine(canvas: Canvas, build: Build, n: int, z: float) -> None:
    """Vertebrae with their discs, the soft tissue before them, the descending aorta and the gullet."""
    page, (x, y) = canvas.hu[n], build.spine_mm
    page[canvas.inside((x, y + 12.0), (34.0, 22.0))] = MUSCLE
    page[canvas.inside((x + 18.0, y - 20.0), (27.0, 19.0))] = FAT
    page[canvas.inside((x, y), (18.0, 15.0))] = CORTEX if z % 28.0 > 5.0 else 90.0
    page[canvas.inside((x, y), (16.0, 13.0))] = BONE if z % 28.0 > 5.0 else 90.0
    page[canvas.inside((x, y + 24.0), (24.0, 10.0))] = 330.0
    page[canvas.inside((x, y + 22.0), (9.0, 7.0))] = 30.0
    page[canvas.inside((x + 2.0, y - 21.0), (7.0, 5.0))] = 35.0  # gullet
    page[canvas.inside(build.aorta_mm, (12.5, 12.5))] = BLOOD + build.blood_hu


def _arteries(canvas: Canvas, build: Build) -> None:
    """The arteries in their fat."""
    if not build.lungs:
        return
    for vessel in VESSELS:
        places = [build.course(vessel, along) for along in np.linspace(0.0, 1.0, 3 if vessel == "LM" else 40)]
        for radius, hu in ((1.7 + build.sheath_mm, FAT), (1.7, BLOOD + build.blood_hu)):
            for place in places:
                canvas.blend(place, (radius, radius, radius), hu)


def stretch(
    build: Build, vessel: str, along: Sequence[float] | Floats, radius_mm: float, hu: float
) -> tuple[Dense, ...]:
    """Metal along an artery, as beads that touch: a stent as the scanner's blur shows it."""
    axes = (radius_mm, radius_mm, radius_mm)
    return tuple(Dense("stent", build.course(vessel, float(one)), axes, hu) for one in along)
