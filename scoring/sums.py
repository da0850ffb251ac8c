"""Lesions -> what they add up to: one sum for each vessel, and the total, which *is* the sum of the vessels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from scoring.agatston import agatston, pixel_weights
from scoring.islands import Island, find_islands
from scoring.lesions import Labels, Lesion, vessel_of
from scoring.mass_score import Calibration, hu_sum, mass_mg
from scoring.settings import ScoreSettings
from scoring.volume import Volume, uneven_gaps
from scoring.volume_score import interpolated_parts, part_mm3, voxel_volume_mm3

UNASSIGNED: Literal["unassigned"] = "unassigned"  # islands that no vessel claims, scored with `all_islands`


@dataclass(frozen=True, slots=True)
class Sum:
    """What some islands add up to. The counts are integers: they add up exactly."""

    pixel_weights: int
    pixels: int
    volume_parts: int  # pixels, or parts of the gaps between slices when volumes are interpolated
    agatston: float
    volume_mm3: float
    lesions: int
    mass_mg: float | None = None  # None: nothing to calibrate by


def islands_of(lesions: Sequence[Lesion]) -> tuple[Island, ...]:
    """All islands of some lesions."""
    return tuple(island for lesion in lesions for island in lesion.islands)


def sums_of(
    lesions: Sequence[Lesion],
    names: Sequence[str],
    volume: Volume,
    labels: Labels | None,
    settings: ScoreSettings,
    calibration: Calibration | None = None,
) -> dict[str, Sum]:
    """Sum for each of the named vessels, in their order.

    Parameters
    ----------
    lesions
        Those that are scored.
    names
        Vessels, and `unassigned` for islands without one.
    labels
        The map: where volume and mass have a threshold of their own, their islands are found and claimed anew.
    settings
        Volume mode and thresholds.
    calibration
        Of the mass; None: no mass.
    """
    groups = {name: [lesion for lesion in lesions if (lesion.vessel or UNASSIGNED) == name] for name in names}
    counted = {name: islands_of(group) for name, group in groups.items()}
    measured = counted if settings.volume_threshold_hu is None else _claimed(names, volume, labels, settings)
    parts = _parts(measured, volume, settings)
    return {
        name: Sum(
            pixel_weights=pixel_weights(counted[name]),
            pixels=sum(island.pixels for island in counted[name]),
            volume_parts=parts[name],
            agatston=agatston(counted[name], volume, settings),
            volume_mm3=_volume_mm3(measured[name], parts[name], volume, settings),
            lesions=len(groups[name]),
            mass_mg=None if calibration is None else mass_mg(hu_sum(measured[name], volume), volume, calibration),
        )
        for name in names
    }


def sum_of_each(
    lesions: Sequence[Lesion], volume: Volume, settings: ScoreSettings, calibration: Calibration | None = None
) -> list[Sum]:
    """Sum of each lesion alone, by the pixels that its Agatston score counts whatever threshold volumes have."""
    numbered = {str(number): lesion.islands for number, lesion in enumerate(lesions)}
    parts = _parts(numbered, volume, replace(settings, volume_threshold_hu=None))
    return [
        Sum(
            pixel_weights=pixel_weights(islands),
            pixels=sum(island.pixels for island in islands),
            volume_parts=parts[number],
            agatston=agatston(islands, volume, settings),
            volume_mm3=_volume_mm3(islands, parts[number], volume, settings),
            lesions=1,
            mass_mg=None if calibration is None else mass_mg(hu_sum(islands, volume), volume, calibration),
        )
        for number, islands in numbered.items()
    ]


def total_of(parts: Mapping[str, Sum]) -> Sum:
    """Add the vessels up, in their order: the total *is* their sum, in integers and in floating point."""
    values = list(parts.values())
    masses = [part.mass_mg for part in values if part.mass_mg is not None]
    return Sum(
        pixel_weights=sum(part.pixel_weights for part in values),
        pixels=sum(part.pixels for part in values),
        volume_parts=sum(part.volume_parts for part in values),
        agatston=sum((part.agatston for part in values), 0.0),
        volume_mm3=sum((part.volume_mm3 for part in values), 0.0),
        lesions=sum(part.lesions for part in values),
        mass_mg=sum(masses, 0.0) if len(masses) == len(values) and values else None,
    )


def _claimed(
    names: Sequence[str], volume: Volume, labels: Labels | None, settings: ScoreSettings
) -> dict[str, tuple[Island, ...]]:
    """Find the islands of volume and mass at their own threshold, and the vessel that claims each."""
    own = replace(settings, threshold_hu=settings.volume_threshold_hu)
    claimed = None if labels is None or UNASSIGNED in names else labels.vessels > 0
    found = find_islands(volume, own, None if labels is None else labels.cut, touching=claimed)
    vessels = [None if labels is None else vessel_of(island, labels) for island in found]
    return {
        name: tuple(island for island, vessel in zip(found, vessels, strict=True) if (vessel or UNASSIGNED) == name)
        for name in names
    }


def _parts(measured: Mapping[str, Sequence[Island]], volume: Volume, settings: ScoreSettings) -> dict[str, int]:
    """Count what the volume counts, for each vessel."""
    if settings.volume_mode == "voxel":
        return {name: sum(island.pixels for island in islands) for name, islands in measured.items()}
    threshold = settings.threshold_hu if settings.volume_threshold_hu is None else settings.volume_threshold_hu
    broken = uneven_gaps(volume.positions_mm, settings)
    return dict(zip(measured, interpolated_parts(list(measured.values()), volume, threshold, broken), strict=True))


def _volume_mm3(islands: Sequence[Island], parts: int, volume: Volume, settings: ScoreSettings) -> float:
    """Volume in the mode of the settings."""
    return voxel_volume_mm3(islands, volume) if settings.volume_mode == "voxel" else parts * part_mm3(volume)
