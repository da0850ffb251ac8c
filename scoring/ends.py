"""What the images' own numbers say of slices that are missing at an end of the series, where no gap can show them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

State = Literal["counted", "short", "unknown"]


@dataclass(frozen=True, slots=True)
class Numbering:
    """What one image says of its place among the others; None where it says nothing."""

    instance: int | None = None  # InstanceNumber
    acquisition: int | None = None  # AcquisitionNumber: the exposure that `in_acquisition` counts
    in_acquisition: int | None = None  # ImagesInAcquisition
    in_series: int | None = None  # NumberOfSeriesRelatedInstances, where an archive has written it
    in_object: int | None = None  # frames of the multi-frame object that it lies in, which is no part of a larger one


UNNUMBERED = Numbering()


class Ends(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the outermost slices are known to be there."""

    state: State
    told: str  # one sentence


def ends_of(numbers: Sequence[Numbering], *, believe_count: bool) -> Ends:
    """Compare the images that are here with those that their headers tell of.

    Parameters
    ----------
    numbers
        One for each image, in any order: which image carries which number plays no part.
    believe_count
        False where the scanner's count is known to be of no use.

    References
    ----------
    DICOM PS3.3 C.7.6.1 (InstanceNumber, ImagesInAcquisition; the latter is optional), PS3.4 C.3.4 (count of a series).

    Notes
    -----
    "short" is no proof: a count may tell of another reconstruction's images, too, and a numbering need not begin at 1.
    So a person is told, and nothing is refused.
    """
    short = [*(_by_count(numbers) if believe_count else ()), *_by_first(numbers)]
    if short:
        return Ends(state="short", told=f"Slices may be missing at an end: {'; '.join(short)}.")
    whole = all(one.in_object == len(numbers) for one in numbers)
    if whole or (believe_count and all(one.in_series or one.in_acquisition for one in numbers)):
        return Ends(state="counted", told="The headers tell how many images there are, and so many are here.")
    return Ends(
        state="unknown",
        told="The headers do not tell how many images there are: a slice missing after the last one cannot be seen.",
    )


def _by_count(numbers: Sequence[Numbering]) -> list[str]:
    """Find counts of a series, or of an exposure, that more images belong to than are here."""
    told = max((one.in_series or 0 for one in numbers), default=0)
    if told:
        return [f"the headers tell of {told} images, {len(numbers)} are here"] if told > len(numbers) else []
    short = []
    for acquisition in sorted({one.acquisition for one in numbers}, key=lambda number: number or 0):
        here = [one for one in numbers if one.acquisition == acquisition]
        told = max(one.in_acquisition or 0 for one in here)
        if told > len(here):
            which = "" if acquisition is None else f" of exposure {acquisition}"
            short.append(f"the headers tell of {told} images{which}, {len(here)} are here")
    return short[:3]


def _by_first(numbers: Sequence[Numbering]) -> list[str]:
    """Find a numbering without a hole that begins late."""
    instances = {one.instance for one in numbers if one.instance is not None}
    if len(instances) < len(numbers) or not instances:
        return []
    first, last = min(instances), max(instances)
    if first <= 1 or last - first + 1 != len(instances):
        return []
    return [f"the images are numbered from {first}, not from 1"]
