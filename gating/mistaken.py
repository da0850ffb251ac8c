"""Waves that were mistaken for beats: how they look, and how much a candidate that looks like them is doubted.

No heart beats twice within 240 ms. Where two beats were confirmed so close and the second is the stronger, the first
was none: a P wave, mostly, as steep as a QRS (record 108 of MIT-BIH), or an artifact. A confirmed beat is final; but
when the second looks as this patient's beats usually do, the shape of the first is kept, and from then on a candidate
of that shape and size is believed less: `DOUBTED` is taken off its log odds once it is sure. Every further mistake
makes it surer, every beat without one less. What looks more like a beat, of the usual or the other shape, is not
doubted so. Doubted without any mistake is what is both far smaller than a QRS and like no beat of this patient.
"""

from gating.figures import F_ENERGY, F_LIKENESS, F_OTHER_LIKENESS
from gating.filters import Floats, Lengths, Signals
from gating.kernel import inlined, kernel
from gating.qrs import (
    LAST_R,
    LAST_STRENGTH,
    MISTAKEN,
    MISTAKES,
    WRONG,
    WRONG_STRENGTH,
    Usual,
    approach,
    fused_likeness,
)

MISTAKEN_S = 0.240  # so soon after a beat
APART_S = 0.060  # what is closer belongs to the same beat
FAR_STRONGER = 0.5  # logarithm
BEAT_ALIKE = 0.8  # so much like a beat must be what comes after a mistake
SURER, FORGIVEN = 0.3, 0.995  # of the doubt that is left, by a mistake; of the surety, by a beat
FIRST, AGAIN = 1.0, 0.4  # share of a mistake in the shape
LEAST_MISTAKES, DOUBTED = 0.1, 8.0  # below the one nothing is doubted; log odds
UNLIKE_STRENGTH, UNLIKE, UNLIKE_DOUBTED = -1.1, 0.6, 2.0  # logarithm; correlation; log odds
WRONG_ALIKE, MORE_ALIKE, AS_STRONG = 0.85, 0.1, 0.4  # to the shape; than to a beat; by strength (logarithm)


@inlined
def shows_mistake(lengths: Lengths, usual: Usual, figures: Floats, r: float) -> bool:
    """Tell whether a candidate at r, judged a beat, shows that what was confirmed right before it was none."""
    since, stronger = r - usual.beat[LAST_R], figures[F_ENERGY] - usual.beat[LAST_STRENGTH]
    return since >= APART_S * lengths.rate_hz and stronger > FAR_STRONGER and figures[F_LIKENESS] > BEAT_ALIKE


@kernel
def is_mistaken(lengths: Lengths, usual: Usual, r: float, strength: float) -> bool:
    """Tell whether a beat at r, so strong, shows that the beat before it was none."""
    return r - usual.beat[LAST_R] < MISTAKEN_S * lengths.rate_hz and strength > usual.beat[LAST_STRENGTH]


@kernel
def learn_mistake(lengths: Lengths, signals: Signals, usual: Usual, figures: Floats, now: int) -> None:
    """Learn the shape and size of the last beat, which was none, if the one of these figures looks like a beat."""
    beat = usual.beat
    alike = fused_likeness(lengths, signals, usual, 0, beat[LAST_R], now)
    if figures[F_LIKENESS] <= max(BEAT_ALIKE, alike):
        return
    share = FIRST if beat[MISTAKES] < 0.2 else AGAIN
    beat[WRONG_STRENGTH] += share * (beat[LAST_STRENGTH] - beat[WRONG_STRENGTH])
    beat[MISTAKES] += SURER * (1.0 - beat[MISTAKES])
    for k in range(usual.leads.shape[0]):
        approach(lengths, signals, usual, k, WRONG, beat[LAST_R], now, share)


@kernel
def doubt(lengths: Lengths, signals: Signals, usual: Usual, figures: Floats, r: float, now: int) -> float:
    """Give the log odds to take off a candidate at r with these figures, 0 if it is not like what was mistaken."""
    mistakes = usual.beat[MISTAKES]
    if mistakes < LEAST_MISTAKES or abs(figures[F_ENERGY] - usual.beat[WRONG_STRENGTH]) > AS_STRONG:
        return 0.0
    alike = fused_likeness(lengths, signals, usual, MISTAKEN, r, now)
    if alike < max(WRONG_ALIKE, figures[F_LIKENESS] + MORE_ALIKE, figures[F_OTHER_LIKENESS]):
        return 0.0
    return DOUBTED * mistakes


@inlined
def doubt_unlike(figures: Floats) -> float:
    """Give the log odds to take off a candidate that is small and looks like no beat of this patient."""
    unlike = max(figures[F_LIKENESS], figures[F_OTHER_LIKENESS]) < UNLIKE
    return UNLIKE_DOUBTED if unlike and figures[F_ENERGY] < UNLIKE_STRENGTH else 0.0
