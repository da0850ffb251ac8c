"""The scouts: a flat picture of the chest from the front and one from the side, and what is read off them.

The radiographer reads the range, from 1 cm above the left main to 1 cm below the heart, and the field of view; the
scanner reads how much the body attenuates, and sets the current for the wanted noise.

Our deviations:

- the landmarks are read without an error: the twin's own left main and heart;
- for its noise the body is taken for an ellipse of water, as thick and as wide as the two scouts find it through the
  middle of the heart;
- `SCOUT_MA`, `TABLE_MM_PER_S` and `SLIT_MM` are usual settings, from general knowledge.
"""

import math
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from scanner_bridge.settings import PlanSettings
from simulators.anatomy import FAT_SEMI_AXES_MM, HEART_ANGLE_DEG, Patient
from simulators.phantom import moving_table, static_table
from simulators.projector import SOURCE_RADIUS_MM, WATER_PER_MM, make_fan, photons, project
from simulators.reconstruction import make_method
from simulators.x_rays import attenuated, make_beam

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

LENGTH_MM, ROW_MM = 250.0, 2.0
ABOVE_MM, BELOW_MM = 10.0, 10.0  # of the left main, of the heart
MARGIN_MM = 40.0  # of the field of view about the heart (ours)
SCOUT_MA, TABLE_MM_PER_S, SLIT_MM = 35.0, 100.0, 3.6
LEAST_MA, MOST_MA = 20.0, 1300.0
_ANGLES = 180


@dataclass(frozen=True, slots=True, eq=False)
class Scout:
    """Two flat pictures, and what was read off them."""

    front_mm: Singles  # of water, [row, channel]: rows from the head down, channels from the patient's right to left
    side_mm: Singles  # of water, [row, channel]: channels from the front to the back
    z_mm: Floats  # of each row
    channel_mm: Floats  # offset of each channel from the middle, at the isocentre
    top_mm: float  # of the range to be scanned
    bottom_mm: float
    centre_mm: tuple[float, float]  # of the field of view, x and y
    fov_mm: float
    thickness_mm: float  # of water, from front to back through the heart
    width_mm: float  # of water, from side to side through the heart


def take_scouts(patient: Patient, fan_deg: float) -> Scout:
    """Take both scouts of a patient whose heart is at end diastole, and read them."""
    fan = make_fan(fan_deg)
    still, moving = static_table(patient), moving_table(patient, np.zeros((1, 4)), np.zeros(1))
    x, y, z = patient.heart.centre_mm
    down_mm = ROW_MM * (np.arange(int(LENGTH_MM / ROW_MM)) + 0.5)
    rows: Floats = np.asarray(z + 0.5 * LENGTH_MM - down_mm, dtype=np.float64)
    pictures = []
    for angle in (np.zeros(1), np.full(1, 0.5 * np.pi)):
        background = project(still, angle, fan, 0.0, ROW_MM)
        one = [project(moving, angle, fan, float(at), ROW_MM, background) for at in rows]
        pictures.append(np.concatenate(one))
    offsets = SOURCE_RADIUS_MM * fan.sines
    semi = patient.heart.scale * np.array(FAT_SEMI_AXES_MM)
    left_main = z + patient.heart.scale * max(patient.courses["LM"].z_mm)
    turned = math.radians(HEART_ANGLE_DEG)
    half_mm = max(
        math.hypot(semi[0] * math.cos(turned), semi[1] * math.sin(turned)),
        math.hypot(semi[0] * math.sin(turned), semi[1] * math.cos(turned)),
    )
    heart = int(np.argmin(np.abs(rows - z)))
    return Scout(
        front_mm=pictures[0],
        side_mm=pictures[1],
        z_mm=rows,
        channel_mm=offsets,
        top_mm=left_main + ABOVE_MM,
        bottom_mm=z - float(semi[2]) - BELOW_MM,
        centre_mm=(x, y),
        fov_mm=10.0 * math.ceil(2.0 * (half_mm + MARGIN_MM) / 10.0),
        thickness_mm=float(np.interp(x, offsets, pictures[0][heart])),
        width_mm=float(np.interp(y, offsets, pictures[1][heart])),
    )


def slabs(scout: Scout, feed_mm: float) -> tuple[int, float]:
    """Give how many steps cover the range, and where the first one's slab is centred; what is too much lies evenly."""
    steps = math.ceil((scout.top_mm - scout.bottom_mm) / feed_mm)
    middle = 0.5 * (scout.top_mm + scout.bottom_mm)
    return steps, middle - 0.5 * feed_mm * (steps - 1)


def scout_mas() -> float:
    """Give the current-time product that each place got in one scout."""
    return SCOUT_MA * SLIT_MM / TABLE_MM_PER_S


def current_ma(scout: Scout, settings: PlanSettings, target_hu: float, *, polychromatic: bool) -> float:
    """Give the tube current that makes the wanted noise in the middle of the heart, as far as the tube goes.

    `target_hu` is the SD in a slice of the settings' plan, whose own current is not looked at.
    """
    at_100 = noise_hu(scout, msgspec.structs.replace(settings, tube_current_ma=100.0), polychromatic=polychromatic)
    return float(np.clip(100.0 * (at_100 / target_hu) ** 2, LEAST_MA, MOST_MA))


def noise_hu(scout: Scout, settings: PlanSettings, *, polychromatic: bool) -> float:
    """Foretell the noise in the middle of the heart, SD in HU, of a slice of a plan of these settings.

    Notes
    -----
    The variance of a pixel of filtered back-projection: (pi / half-turn views)^2 times the sum over the views of the
    variance of a ray, times the power of the filter, times what reading each ray between four others leaves.
    """
    angles = np.pi * (np.arange(_ANGLES) + 0.5) / _ANGLES
    a, b = scout.width_mm, scout.thickness_mm
    paths = a * b / np.hypot(b * np.cos(angles), a * np.sin(angles))
    quanta = photons(settings.tube_current_ma, settings.rotation_ms, settings.slice_thickness_mm)
    if polychromatic:
        beam, none = make_beam(settings.kvp), np.zeros(_ANGLES, dtype=np.float32)
        attenuation = attenuated(beam, paths.astype(np.float32), none).astype(np.float64)
        per_mm = attenuated(beam, (paths + 1.0).astype(np.float32), none) - attenuation
        quanta *= beam.quanta_per_mas
    else:
        attenuation, per_mm = WATER_PER_MM * paths, np.full(_ANGLES, WATER_PER_MM)
    ray = float(np.mean(np.exp(attenuation) / (quanta * per_mm**2)))
    method = make_method(
        make_fan(settings.fan_deg),
        settings.fan_deg,
        settings.feather_deg,
        settings.kernel_cutoff,
        sources=settings.sources,
    )
    power = float(np.mean(method.response.astype(np.float64) ** 2))
    views = round(np.pi / method.step_rad)
    return float(1000.0 * np.pi * math.sqrt(ray * power / views) * _READ_BETWEEN)


_READ_BETWEEN = 2.0 / 3.0
"""Two rays mixed in shares that are spread evenly keep 2/3 of their variance; in two directions, 4/9."""
