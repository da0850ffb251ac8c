"""R-peaks to beats: the interval to the beat before, and whether it came too early.

A first version: prematurity alone tells the kind. Shape, width and the ventricular class come with a later issue.
"""

from collections import deque
from dataclasses import dataclass
from statistics import median

from gating.messages import BeatKind
from gating.r_peak import RPeak
from gating.settings import RhythmSettings
from gating.units import ms_from_ns


@dataclass(frozen=True, slots=True)
class ClassifiedBeat:
    """One confirmed beat.

    `follows_premature` marks the interval after a premature beat: a pause of its own making, not the sinus rate.
    """

    number: int
    r_at_ns: int
    rr_interval_ms: float | None
    beat_kind: BeatKind
    follows_premature: bool


class Beats:
    """Classifies confirmed R-peaks in their order. State is bounded by `settings.beats` intervals.

    A beat is premature when its RR interval is below `premature_below` of the running RR, the median of the last
    intervals of every kind: single ectopics do not move it, and a lasting change of rate does within half the memory.
    """

    def __init__(self, settings: RhythmSettings) -> None:
        self._settings = settings
        self._intervals_ms: deque[float] = deque(maxlen=settings.beats)
        self._last: ClassifiedBeat | None = None

    def running_rr_ms(self) -> float | None:
        """Give the median of the last RR intervals; None before the second beat."""
        return median(self._intervals_ms) if self._intervals_ms else None

    def kind_of(self, r_at_ns: int) -> BeatKind:
        """Tell what a beat at this instant would be; `unknown` as long as there is too little to compare with."""
        running = self.running_rr_ms()
        if self._last is None or running is None or len(self._intervals_ms) < 3:
            return "unknown"
        early = ms_from_ns(r_at_ns - self._last.r_at_ns) < self._settings.premature_below * running
        return "premature" if early else "normal"

    def take(self, peak: RPeak) -> ClassifiedBeat:
        """Take one confirmed R-peak; later than all before it."""
        kind = self.kind_of(peak.r_at_ns)
        interval = None if self._last is None else ms_from_ns(peak.r_at_ns - self._last.r_at_ns)
        beat = ClassifiedBeat(
            number=peak.number,
            r_at_ns=peak.r_at_ns,
            rr_interval_ms=interval,
            beat_kind=kind,
            follows_premature=self._last is not None and self._last.beat_kind == "premature",
        )
        if interval is not None:
            self._intervals_ms.append(interval)
        self._last = beat
        return beat

    def forget(self) -> None:
        """Start anew after a gap in the signal: an interval across it would be nobody's."""
        self._intervals_ms.clear()
        self._last = None
