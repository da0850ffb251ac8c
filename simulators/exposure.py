"""One exposure: what each row of the detector measured of whatever lies in the scanner, view by view.

Line integrals are given as mm of water, as a scanner has them after its corrections: exact ones of one energy, or those
of a spectrum, hardened and corrected for water; ideal rays, or ones that a focal spot and a detector channel blur.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gating.messages import AcquisitionPlan
from simulators.projector import (
    SOURCE_RADIUS_MM,
    VIEWS_PER_ROTATION,
    WATER_PER_MM,
    Fan,
    add_noise,
    half_scan_views,
    make_fan,
    photons,
    project,
)
from simulators.x_rays import Beam, attenuated, hardening_corrected, make_beam

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

DETECTOR_RADIUS_MM = 1040.0
"""From the focal spot to the detector; general knowledge of CT scanners (about 1.04 to 1.09 m)."""


@dataclass(frozen=True, slots=True)
class Physics:
    """How much of a real scanner is simulated."""

    polychromatic: bool = False  # a spectrum of the plan's voltage in place of 70 keV
    focal_spot_mm: float | None = None  # its width; blurs the views with the width of a channel. None: ideal rays


EXACT = Physics()


@dataclass(frozen=True, slots=True)
class Shot:
    """One exposure as it really was. `opened_at_s` is the patient time of the first view that is reconstructed."""

    step: int
    table_mm: float
    opened_at_s: float
    start_angle_deg: float  # of the gantry at that instant


class Scene(Protocol):
    """What lies in the scanner: tables of objects as `phantom.moving_table` gives them."""

    def still(self) -> Floats:
        """Give what never moves and runs through all slices, [1, object, 11]."""

    def moving(self, times_s: Floats) -> Floats:
        """Give all else at some instants of patient time, [time, object, 11], or [1, object, 11] if it stands still."""


def view_count(plan: AcquisitionPlan) -> int:
    """Count the views that each source makes in one half-scan of this plan."""
    return half_scan_views(plan.fan_deg, plan.feather_deg, sources=plan.sources)


def padding_views(plan: AcquisitionPlan, padding_ms: float) -> int:
    """Count the views that half the padding adds at either end."""
    return int(0.5 * padding_ms / plan.rotation_ms * VIEWS_PER_ROTATION)


def view_times_s(shot: Shot, plan: AcquisitionPlan, extra: int = 0) -> Floats:
    """Give the patient time of each view of one exposure, [view], with `extra` views at either end."""
    turned = np.arange(-extra, view_count(plan) + extra)
    return np.asarray(shot.opened_at_s + turned * plan.rotation_ms * 1e-3 / VIEWS_PER_ROTATION)


def view_angles_rad(start_angle_deg: float, plan: AcquisitionPlan, extra: int = 0) -> Floats:
    """Give the angle of each source at each view of one exposure, [source, view]; the second stands at 90 degrees."""
    turned = 2.0 * np.pi / VIEWS_PER_ROTATION * np.arange(-extra, view_count(plan) + extra)
    apart = np.pi / plan.sources * np.arange(plan.sources)
    return np.asarray(np.deg2rad(start_angle_deg) + apart[:, None] + turned)


class Exposure:
    """One exposure of a scene. What stands still is projected once for all rows."""

    def __init__(self, scene: Scene, shot: Shot, plan: AcquisitionPlan, physics: Physics, extra: int = 0) -> None:
        self.shot = shot
        self.angles_rad = view_angles_rad(shot.start_angle_deg, plan, extra)
        self._fan = make_fan(plan.fan_deg)
        self._beam = make_beam(round(plan.kvp)) if physics.polychromatic else None
        self._quanta_per_mm = photons(plan.tube_current_ma, plan.rotation_ms, 1.0)
        if self._beam is not None:
            self._quanta_per_mm *= self._beam.quanta_per_mas
        self._blur = 0.0 if physics.focal_spot_mm is None else blur_share(self._fan, physics.focal_spot_mm)
        moving = scene.moving(view_times_s(shot, plan, extra))
        self._moving = _materials(moving, self._beam)
        # what stands still is a cylinder along z: one projection serves all rows
        self._still = [
            [project(table, source, self._fan, 0.0, 1.0) for source in self.angles_rad]
            for table in _materials(scene.still(), self._beam)
        ]

    def row(self, z_mm: float, thickness_mm: float, noise: Sequence[int] | None) -> Singles:
        """Measure one row.

        Parameters
        ----------
        z_mm, thickness_mm
            Its middle and its thickness.
        noise
            Seeds of the quantum noise; the draws depend on them alone. None: no noise.

        Returns
        -------
        Singles
            mm of water, float32 [source, view, channel].
        """
        water, *rest = (
            np.stack(
                [
                    project(table, source, self._fan, z_mm, thickness_mm, onto)
                    for source, onto in zip(self.angles_rad, still, strict=True)
                ]
            )
            for table, still in zip(self._moving, self._still, strict=True)
        )
        lines = water if self._beam is None else attenuated(self._beam, water, rest[0])
        if self._blur:
            lines = blurred(lines, self._blur)
        if noise is not None:
            per_mm = WATER_PER_MM if self._beam is None else 1.0
            add_noise(lines, self._quanta_per_mm * thickness_mm, np.random.default_rng(list(noise)), per_mm)
        return lines if self._beam is None else hardening_corrected(self._beam, lines)


def _materials(table: Floats, beam: Beam | None) -> list[Floats]:
    """Split a table into water and hydroxyapatite where they differ; one energy sees all as water."""
    if beam is None:
        return [table]
    water, ha = table.copy(), table[:, table[0, :, 10] > 0.0].copy()
    water[..., 8] *= 1.0 - water[..., 10]
    ha[..., 8] *= ha[..., 10]
    return [water[:, water[0, :, 8] != 0.0], ha]


def blur_share(fan: Fan, focal_spot_mm: float) -> float:
    """Give how much of a ray its two neighbours get each.

    The widths of the channel and of the focal spot, at the isocentre, are boxes; three taps have their variance:
    (1 + w^2) / 24 with the spot's width w in channels.
    """
    channel_mm = SOURCE_RADIUS_MM * fan.step_rad
    spot_mm = focal_spot_mm * (DETECTOR_RADIUS_MM - SOURCE_RADIUS_MM) / DETECTOR_RADIUS_MM
    return (1.0 + (spot_mm / channel_mm) ** 2) / 24.0


def blurred(lines: Singles, share: float) -> Singles:
    """Blur line integrals along the channels, [..., channel]; the outermost stay as they are."""
    out = lines.copy()
    out[..., 1:-1] += np.float32(share) * (lines[..., 2:] + lines[..., :-2] - 2 * lines[..., 1:-1])
    return out
