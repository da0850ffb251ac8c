"""What of a series is there and what is missing; values in, values out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from scoring.io.receiver.records import Examined
from scoring.settings import ScoreSettings
from scoring.volume import uneven_gaps

MOST_GAPS_TOLD = 6


@dataclass(frozen=True, slots=True)
class Completeness:
    """Whether a series may be scored; `missing` is empty exactly when it is complete."""

    state: Literal["no-slices", "incomplete", "complete"]
    counted: bool  # the headers tell how many images there are, and so many are there
    images: int
    missing: tuple[str, ...] = ()


def judge(records: Sequence[Examined], settings: ScoreSettings) -> Completeness:
    """Judge the objects of one series.

    Parameters
    ----------
    records
        In any order; localizers and maps are no images of it.
    settings
        The tolerances of the scorer, so that both see the same gaps; and whether the headers' count is believed.

    Notes
    -----
    Slices that are missing at an end leave no gap. Only a told number shows them; without one the receiver can but wait
    until nothing comes any more.
    """
    images = [record for record in records if record.kind in {"slice", "frames"}]
    if not images:
        return Completeness("no-slices", counted=False, images=0)
    missing, counted = _by_number(images) if settings.believe_count else ([], False)
    parts = {record.parts for record in images if record.parts is not None}
    if parts and len(images) < max(parts):
        missing.append(f"{max(parts) - len(images)} of {max(parts)} parts of the multi-frame image have not come")
    missing += _by_place(images, settings)
    frames = sum(len(record.positions_mm) for record in images)
    return Completeness("incomplete" if missing else "complete", counted and not missing, frames, tuple(missing))


def _by_number(images: Sequence[Examined]) -> tuple[list[str], bool]:
    """Compare with the number that the headers tell, for each acquisition that they count."""
    told: dict[str, int] = {}
    here: dict[str, int] = {}
    for record in images:
        here[record.acquisition] = here.get(record.acquisition, 0) + len(record.positions_mm)
        if record.announced is not None:
            told[record.acquisition] = max(record.announced, told.get(record.acquisition, 0))
    short = {name: count for name, count in told.items() if here[name] < count}
    missing = [
        f"{count - here[name]} of the {count} images that the headers tell of have not come"
        for name, count in sorted(short.items())
    ]
    return missing, len(told) == len(here) == 1 and not short


def _by_place(images: Sequence[Examined], settings: ScoreSettings) -> list[str]:
    """Find the places at which no slice lies."""
    positions = np.sort(np.array([place for record in images for place in record.positions_mm]))
    places = positions[np.concatenate([[True], np.diff(positions) > settings.same_position_mm])]
    if len(places) < 2:
        return ["there is one slice only, so that nobody knows where the next one lies"]
    gaps = np.diff(places)
    step = float(gaps.min())  # of what has come the smallest, for most of a series may be missing
    missing = []
    if uneven_gaps(places, settings):
        wide = [(index, round(float(gap) / step) - 1) for index, gap in enumerate(gaps) if gap > 1.5 * step]
        missing = [f"{count} slice(s) between {places[i]:g} and {places[i + 1]:g} mm" for i, count in wide]
        missing = missing or [f"the slices lie in steps of {step:g} to {gaps.max():g} mm"]
    thickness = images[0].thickness_mm
    if not missing and thickness is not None and step > settings.max_increment_over_thickness * thickness:
        missing = [f"slices of {thickness:g} mm lie {step:g} mm apart: every second one, or more, is missing"]
    more = [f"and {len(missing) - MOST_GAPS_TOLD} gaps more"] if len(missing) > MOST_GAPS_TOLD else []
    return missing[:MOST_GAPS_TOLD] + more
