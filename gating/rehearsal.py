"""A breath-hold rehearsed before the scan: what this heart does in it, in figures.

The patient holds the breath as in the scan, without a beam, for 15 to 20 s. From its beats and those before come the
rate before and in the hold, how long it took to settle, how it drifts, how it scatters, and how many beats could not
have been used. A rehearsal that tells too little says why.

References: the rate of the scan follows that of the rehearsal, HRscan = 3.601 + 0.113 HRrest + 0.8 HRtest, n = 563
(gating.md S16); the rate settles within seconds and by 4 to 10 bpm (gating.md S54 to S56). Our deviations:

- the rehearsed rate itself stands for that of the scan: between 50 and 90 bpm it is within 2 bpm of the published line,
  whose spread is 5 bpm;
- the time to settle is measured, not taken from a table.
"""

from dataclasses import dataclass
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from gating.beats import ClassifiedBeat
from gating.settings import RehearsalSettings
from gating.units import NS_PER_S, Nanoseconds

Floats = NDArray[np.float64]

_SETTLED_BPM = 3.0  # of the settled rate: the accuracy that S16 states where the rate falls
_LAST_S = 6.0  # of the hold: what the rate settles to
_SETTLES_AT_MOST_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """What one rehearsal showed."""

    held_s: float
    rate_before_bpm: float
    rate_held_bpm: float  # once it had settled
    settle_s: float  # from the begin of the hold until the rate stays within 3 bpm of what it settles to
    drift_bpm_per_10_s: float  # from there to the end
    spread_ms: float  # SD of the intervals about that line
    beats: int  # in the hold
    ectopic: int  # of them
    rejected: int  # of them, that were not trusted enough to arm
    af_probability: float | None
    rr_before_ms: tuple[float, ...]  # the last intervals, the newest last: a forecast goes on from them

    @property
    def drop_bpm(self) -> float:
        """Give by how much the rate falls in the hold; negative where it rises."""
        return self.rate_before_bpm - self.rate_held_bpm


@dataclass(frozen=True, slots=True)
class NotRehearsed:
    """Why a rehearsal tells nothing; the first reason is the one that a radiographer needs."""

    reasons: tuple[str, ...]


class Rehearsal:
    """Records one rehearsal. State: the beats of half a minute.

    Parameters
    ----------
    settings
        How long it lasts and what it needs.
    began_at_ns
        When the patient began to hold the breath.
    before
        The last confirmed beats before it.
    """

    def __init__(
        self, settings: RehearsalSettings, began_at_ns: Nanoseconds | int, before: tuple[ClassifiedBeat, ...]
    ) -> None:
        self._settings = settings
        self.began_at_ns = int(began_at_ns)
        self._before = [beat for beat in before if beat.rr_interval_ms is not None]
        self._beats: list[tuple[ClassifiedBeat, bool]] = []
        self._af_probability: float | None = None
        self._spoilt: str | None = None

    @property
    def ends_at_ns(self) -> int:
        """When it is long enough."""
        return self.began_at_ns + round(self._settings.hold_s * NS_PER_S)

    def take(self, beat: ClassifiedBeat, *, armed: bool, af_probability: float | None) -> None:
        """Take one confirmed beat, whether it was trusted enough to arm, and what the rhythm says of fibrillation."""
        if beat.r_at_ns >= self.began_at_ns:
            self._beats.append((beat, armed))
            self._af_probability = af_probability

    def spoil(self, reason: str) -> None:
        """Note that the signal was lost: beats are missing from here on."""
        self._spoilt = self._spoilt or reason

    def end(self, at_ns: Nanoseconds | int) -> Rehearsed | NotRehearsed:
        """Sum it up as of an instant."""
        held_s = (int(at_ns) - self.began_at_ns) / NS_PER_S
        settings = self._settings
        fibrillates = (self._af_probability or 0.0) > settings.af_above
        sinus = _usable([beat for beat, _ in self._beats], fibrillates=fibrillates)
        before = _usable(self._before, fibrillates=fibrillates)
        ectopic = sum(beat.ectopic for beat, _ in self._beats)
        reasons = [] if self._spoilt is None else [self._spoilt]
        if held_s < settings.least_s:
            reasons.append(f"the breath was held for {held_s:.0f} s; {settings.least_s:.0f} s are needed")
        if len(sinus) < settings.least_beats and 3 * ectopic > len(self._beats):
            reasons.append(f"{ectopic} of {len(self._beats)} beats in the hold were ectopic: wait for a quieter rhythm")
        elif len(sinus) < settings.least_beats:
            reasons.append(f"{len(sinus)} usable beats in the hold; {settings.least_beats} are needed")
        if len(before) < settings.least_before:
            reasons.append(f"{len(before)} usable beats before the hold; {settings.least_before} are needed")
        if reasons:
            return NotRehearsed(tuple(reasons))
        at_s = np.array([(beat.r_at_ns - self.began_at_ns) / NS_PER_S for beat in sinus])
        rr_ms = np.array([beat.rr_interval_ms for beat in sinus], dtype=np.float64)
        settle_s = _settle_s(at_s, rr_ms, held_s)
        settled = at_s > settle_s
        if settled.sum() < settings.least_beats:
            settled = np.arange(len(at_s)) >= len(at_s) - settings.least_beats
        line = np.polyfit(at_s[settled], rr_ms[settled], 1)
        spread_ms = float((rr_ms[settled] - np.polyval(line, at_s[settled])).std(ddof=2))
        held_ms = float(np.mean(rr_ms[settled]))
        return Rehearsed(
            held_s=held_s,
            rate_before_bpm=60e3 / fmean(beat.rr_interval_ms or 0.0 for beat in before),
            rate_held_bpm=60e3 / held_ms,
            settle_s=settle_s,
            drift_bpm_per_10_s=float(-line[0] * 10.0 * 60e3 / held_ms**2),
            spread_ms=spread_ms,
            beats=len(self._beats),
            ectopic=ectopic,
            rejected=sum(not armed and not beat.ectopic for beat, armed in self._beats),
            af_probability=self._af_probability,
            rr_before_ms=tuple(rr_ms[settled].tolist()),
        )


def _usable(beats: list[ClassifiedBeat], *, fibrillates: bool) -> list[ClassifiedBeat]:
    """Keep the beats whose interval the sinus node made; in fibrillation, where there is none, all."""
    known = [beat for beat in beats if beat.rr_interval_ms is not None]
    return known if fibrillates else [beat for beat in known if not beat.ectopic and not beat.follows_premature]


def _settle_s(at_s: Floats, rr_ms: Floats, held_s: float) -> float:
    """Tell from when on the median rate of three beats stays near what it settles to; 0 where it never left."""
    last = at_s >= held_s - _LAST_S
    level = 60e3 / median(rr_ms[last].tolist() or rr_ms.tolist())
    smooth = [60e3 / median(rr_ms[max(0, k - 1) : k + 2].tolist()) for k in range(len(rr_ms))]
    away = [float(at) for at, rate in zip(at_s, smooth, strict=True) if abs(rate - level) > _SETTLED_BPM]
    return min(away[-1], _SETTLES_AT_MOST_S) if away else 0.0
