"""R-peaks to beats: the interval to the beat before, and what kind of beat it is.

Theory of operation
-------------------
A beat is *early* when its RR interval is below `premature_below` of the running RR, the median of the last intervals of
every kind: single ectopics do not move it, and a lasting change of rate does within half the memory. Where this heart
is so even that less stands out, `early_below` will do: `early_sd` below the median, in robust SD. An early beat of
the usual shape is `premature`: it comes from above the ventricles. A beat whose shape is not this patient's usual one
is `ventricular`, early or not; how far shape, width, size and earliness must go together for that is a logistic
function, fitted by `training/beat_kinds.py` to the development half of MIT-BIH. A beat that is like nothing, in a
signal that is not to be trusted, is an `artifact`. While there is too little to compare with the kind is `unknown`.

References: RR 15 % short, gating.md S35; shape and width beside the intervals, Chazal 2004,
doi:10.1109/TBME.2004.827359. Our deviations:

- causal: the pause behind a ventricular beat, half of what tells it offline, is not known yet;
- without a shape (no usual beat known yet, or a source that gives none) earliness alone decides.
"""

import math
from collections import deque
from dataclasses import dataclass
from statistics import median

from gating.messages import BeatKind
from gating.morphology import Shape
from gating.r_peak import RPeak
from gating.settings import RhythmSettings
from gating.units import ms_from_ns

LEAST_INTERVALS = 3  # before which nothing is early
UNSURE = 0.8  # confidence in a kind that earliness alone decided
OF_MEDIAN_AWAY, LEAST_SPREAD = 1.4826, 0.01  # SD of a normal spread over its median distance; of RR
LIKE_NOTHING, NOT_TRUSTED = 0.3, 0.5  # correlation; trust: below both a beat is an artifact

ODDS = {"unlike": 1.64, "unlike_ratio": 0.35, "width": 3.84, "size": 4.74, "early": 10.59, "always": -1.88}
"""Of a ventricular beat, in logits: `training/beat_kinds.py`; what they are worth stands in docs/beats.md."""

MOST_EARLY, LEAST_EARLY = 0.5, -0.2  # 1 - RR / running RR is held within
LEAST_UNLIKE = 0.01
WIDTHS = (-0.7, 1.0)  # log ratio


@dataclass(frozen=True, slots=True)
class ClassifiedBeat:
    """One confirmed beat.

    `follows_premature` marks the interval after an ectopic beat: a pause of its own making, not the sinus rate.
    """

    number: int
    r_at_ns: int
    rr_interval_ms: float | None
    beat_kind: BeatKind
    follows_premature: bool
    kind_confidence: float = 1.0  # 0..1

    @property
    def ectopic(self) -> bool:
        """Tell whether this is a beat that the sinus node did not make."""
        return self.beat_kind in ("premature", "ventricular", "artifact")


class Beats:
    """Classifies confirmed R-peaks in their order. State is bounded by `settings.beats` intervals."""

    def __init__(self, settings: RhythmSettings) -> None:
        self._settings = settings
        self._intervals_ms: deque[float] = deque(maxlen=settings.beats)
        self._last: ClassifiedBeat | None = None

    def running_rr_ms(self) -> float | None:
        """Give the median of the last RR intervals; None before the second beat."""
        return median(self._intervals_ms) if self._intervals_ms else None

    def kind_of(self, r_at_ns: int) -> BeatKind:
        """Tell what a beat at this instant would be by its time; `unknown` while there is nothing to compare with."""
        earliness = self._earliness(r_at_ns)
        if earliness is None:
            return "unknown"
        return "premature" if earliness > 1.0 - self._early_below() else "normal"

    def take(self, peak: RPeak, shape: Shape | None = None) -> ClassifiedBeat:
        """Take one confirmed R-peak, later than all before it, and the shape of its beat, where there is one."""
        kind, confidence = self._kind(peak, shape)
        interval = None if self._last is None else ms_from_ns(peak.r_at_ns - self._last.r_at_ns)
        beat = ClassifiedBeat(
            number=peak.number,
            r_at_ns=peak.r_at_ns,
            rr_interval_ms=interval,
            beat_kind=kind,
            follows_premature=self._last is not None and self._last.ectopic,
            kind_confidence=confidence,
        )
        if interval is not None:
            self._intervals_ms.append(interval)
        self._last = beat
        return beat

    def forget(self) -> None:
        """Start anew after a gap in the signal: an interval across it would be nobody's."""
        self._intervals_ms.clear()
        self._last = None

    def _kind(self, peak: RPeak, shape: Shape | None) -> tuple[BeatKind, float]:
        """Tell the kind of a beat, and how sure that is."""
        by_time, earliness = self.kind_of(peak.r_at_ns), self._earliness(peak.r_at_ns)
        if shape is None or earliness is None:
            return by_time, 0.0 if by_time == "unknown" else UNSURE
        if shape.alike < LIKE_NOTHING and peak.trust < NOT_TRUSTED:
            return "artifact", 1.0 - peak.trust
        probability = ventricular_probability(shape, earliness)
        return ("ventricular", probability) if probability > 0.5 else (by_time, 1.0 - probability)

    def _early_below(self) -> float:
        """Give the share of the running RR below which an interval is early."""
        running = median(self._intervals_ms)
        away = median(abs(one - running) for one in self._intervals_ms)
        spread = max(OF_MEDIAN_AWAY * away / running, LEAST_SPREAD)
        limits = self._settings
        return max(limits.premature_below, min(limits.early_below, 1.0 - limits.early_sd * spread))

    def _earliness(self, r_at_ns: int) -> float | None:
        """Give by how much of the running RR a beat comes early; None while that is not known."""
        running = self.running_rr_ms()
        if self._last is None or running is None or len(self._intervals_ms) < LEAST_INTERVALS:
            return None
        return 1.0 - ms_from_ns(r_at_ns - self._last.r_at_ns) / running


def figures_of(shape: Shape, earliness: float) -> dict[str, float]:
    """Give the figures that tell a ventricular beat, in the order of `ODDS`."""
    return {
        "unlike": math.log(1.0 - shape.alike + LEAST_UNLIKE),
        "unlike_ratio": math.log(shape.unlike_ratio),
        "width": min(max(math.log(shape.width_ratio), WIDTHS[0]), WIDTHS[1]),
        "size": abs(math.log(shape.size_ratio)),
        "early": min(max(earliness, LEAST_EARLY), MOST_EARLY),
        "always": 1.0,
    }


def ventricular_probability(shape: Shape, earliness: float) -> float:
    """Give the probability that a beat is ventricular, from its shape and by how much of the running RR it is early."""
    logits = sum(ODDS[name] * value for name, value in figures_of(shape, earliness).items())
    return 1.0 / (1.0 + math.exp(-min(max(logits, -30.0), 30.0)))
