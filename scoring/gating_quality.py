"""The beats that slices say they were exposed in, and what a journal knows of them -> how well the scan was gated."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from scoring.volume import Cardiac, Volume


@dataclass(frozen=True, slots=True)
class TrueBeat:
    """What a Diastole journal knows of one exposure once the next beat has come."""

    centre_after_r_ms: float  # from the R-peak to the middle of the exposure
    rr_interval_ms: float  # from that R-peak to the next, as it came

    @property
    def phase_percent(self) -> float:
        """Phase of the middle of the exposure, in the RR interval that there really was."""
        return 100.0 * self.centre_after_r_ms / self.rr_interval_ms


class SliceGating(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One slice: which phase was meant, and which it was."""

    slice: int  # 0 is the first along the slice normal
    planned_percent: float | None  # from the image's own attributes
    true_percent: float | None  # from the journal; None without one, or when no beat followed


class Gating(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the slices of a series were gated."""

    slices: tuple[SliceGating, ...]
    untagged: int  # slices that say nothing of a beat
    heart_rate_bpm: tuple[float, float] | None  # least and most, of the beats in the images
    planned_percent: tuple[float, float] | None  # least and most
    worst_error_percent: float | None  # of RR, planned against true
    mean_error_percent: float | None  # mean of the magnitudes


def gating_of(volume: Volume, beats: Mapping[int, TrueBeat] | None = None) -> Gating | None:
    """Describe the gating of a series; None when no image says anything of a beat and there is no journal.

    Parameters
    ----------
    volume
        `cardiac`, one for each slice: phase in percent of RR, RR in ms, number of the exposure.
    beats
        By the number of the exposure (from 1), what a journal knows; None: there is no journal.

    Notes
    -----
    A phase is that of the middle of the exposure, in percent of RR. What the images name was foretold before the beat
    had ended; only the journal knows the RR interval that came.
    """
    known = beats or {}
    if not any(_tagged(one) for one in volume.cardiac) and not known:
        return None
    slices = []
    for index, one in enumerate(volume.cardiac):
        true = None if one.acquisition is None else known.get(one.acquisition)
        slices.append(
            SliceGating(
                slice=index,
                planned_percent=one.phase_percent,
                true_percent=None if true is None else true.phase_percent,
            )
        )
    rates = [60_000.0 / one.rr_interval_ms for one in volume.cardiac if one.rr_interval_ms]
    planned = [one.planned_percent for one in slices if one.planned_percent is not None]
    errors = [
        abs(one.true_percent - one.planned_percent)
        for one in slices
        if one.true_percent is not None and one.planned_percent is not None
    ]
    return Gating(
        slices=tuple(slices),
        untagged=sum(not _tagged(one) for one in volume.cardiac),
        heart_rate_bpm=(min(rates), max(rates)) if rates else None,
        planned_percent=(min(planned), max(planned)) if planned else None,
        worst_error_percent=max(errors) if errors else None,
        mean_error_percent=sum(errors) / len(errors) if errors else None,
    )


def _tagged(one: Cardiac) -> bool:
    """Tell whether an image says anything of its beat."""
    return one.phase_percent is not None or one.trigger_time_ms is not None or bool(one.rr_interval_ms)
