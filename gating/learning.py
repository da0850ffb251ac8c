"""What a confirmed beat teaches: levels, shapes, offsets, rhythm; and how a mistaken one is untaught.

A confirmed beat is final. But when the next one shows that it was none (`mistaken`), what it taught is taken back.
"""

import math

from gating.fiducial import crest, learn_offset, peak
from gating.figures import F_ENERGY
from gating.filters import ENERGY as W_ENERGY
from gating.filters import SLOPE as W_SLOPE
from gating.filters import SMOOTH as W_SMOOTH
from gating.filters import Floats, Lengths, Signals
from gating.kernel import assign, inlined, kernel
from gating.matched_filter import learn_mark, seen_mark
from gating.mistaken import FORGIVEN, is_mistaken, learn_mistake
from gating.qrs import (
    ABOVE,
    ALIKE,
    ANCHORS,
    BEATS,
    BEATS_KNOWN,
    BEFORE_LAST_R,
    BEFORE_QRS,
    BELOW,
    BETWEEN,
    ENERGY,
    FALL,
    HISTORY,
    KNOWN,
    LAST_ODDS,
    LAST_R,
    LAST_RR,
    LAST_STRENGTH,
    LEAST_UV,
    LIKENESS,
    LONG,
    LONG_LIKENESS,
    MISTAKES,
    NEVER,
    OTHER_ENERGY,
    POINTS,
    POLARITY,
    PROFILE,
    RHYTHM,
    RISE,
    RR,
    RR_SPREAD,
    RRS,
    SHAPES,
    SHARE_BETWEEN,
    SHARE_LEVEL,
    SLOT_S,
    SLOTS,
    STRANGE,
    STRONGEST,
    SWING,
    TAUGHT,
    TRUSTED,
    UNTAUGHT,
    WORST_REJECTED,
    Usual,
    approach,
    forget_rhythm,
    fused_likenesses,
    likenesses,
    log_ratio,
    quantile,
    weigh,
)

LONGEST_RR_S = 3.0
ALIKE_LEAST = 0.8  # of likeness: of the usual shape
STRANGE_MOST = 6  # so many of another shape in a row: that one is the usual now
UP_AGAIN, DOWN_AGAIN, UP_FIRST = 0.7, 2.2, 1.3  # hysteresis of the side on which the QRS is greater
LEAST_SWING_UV = 50.0
AGAIN_S = 4.0  # learnt from, when beats were lost


@kernel
def learn_levels(lengths: Lengths, signals: Signals, usual: Usual, newest: int, span: int) -> None:
    """Learn the first levels from the last `span` samples: from the greatest energies of their two halves."""
    mask, leads = lengths.mask, usual.leads
    if usual.beat[BEATS_KNOWN] > 0.0:
        span = int(AGAIN_S * lengths.rate_hz)
    first, middle = newest - span + 1, newest - span // 2
    for k in range(leads.shape[0]):
        if usual.leads[k, TRUSTED] == 0.0:
            continue
        early, late, mean, rise, fall, low, high = 0.0, 0.0, 0.0, 0.0, 0.0, 1e18, -1e18
        for n in range(first, newest + 1):
            energy, slope, value = (
                signals.wave[k, W_ENERGY, n & mask],
                signals.wave[k, W_SLOPE, n & mask],
                signals.wave[k, W_SMOOTH, n & mask],
            )
            mean += energy
            if n < middle:
                early = max(early, energy)
            else:
                late = max(late, energy)
            rise, fall, low, high = max(rise, slope), max(fall, -slope), min(low, value), max(high, value)
        less, more = min(early, late), max(early, late)
        # the lesser, lest an artifact sets the level; but not a half without a beat
        level = max(less if less > 0.4 * more else more, LEAST_UV)
        scale = level / max(more, 1e-9)
        for i in range(3):
            leads[k, HISTORY + 0 * BEATS + i] = level
            leads[k, HISTORY + 1 * BEATS + i], leads[k, HISTORY + 2 * BEATS + i] = (
                max(rise * scale, 1.0),
                max(fall * scale, 1.0),
            )
            leads[k, HISTORY + 3 * BEATS + i] = max((high - low) * scale, LEAST_SWING_UV)
            leads[k, HISTORY + 4 * BEATS + i] = max(mean / span, 0.02 * level)
        leads[k, KNOWN], leads[k, POLARITY], leads[k, ABOVE], leads[k, BELOW] = 3.0, 0.0, 0.0, 0.0
        _set_levels(usual, k, 3)
    forget_rhythm(lengths, usual)
    weigh(lengths, signals.wave, usual.leads, newest)


@kernel
def _set_levels(usual: Usual, k: int, count: int) -> None:
    """Set the levels of a lead from its last beats."""
    leads = usual.leads
    leads[k, ENERGY] = max(LEAST_UV, quantile(leads, k, HISTORY + 0 * BEATS, count, SHARE_LEVEL))
    leads[k, RISE] = quantile(leads, k, HISTORY + 1 * BEATS, count, SHARE_LEVEL)
    leads[k, FALL] = quantile(leads, k, HISTORY + 2 * BEATS, count, SHARE_LEVEL)
    leads[k, SWING] = max(quantile(leads, k, HISTORY + 3 * BEATS, count, SHARE_LEVEL), LEAST_SWING_UV)
    leads[k, BETWEEN] = max(0.02 * leads[k, ENERGY], quantile(leads, k, HISTORY + 4 * BEATS, count, SHARE_BETWEEN))


@kernel
def _copy(usual: Usual, before: Usual) -> None:
    """Keep what is known before a beat teaches."""
    for k in range(usual.leads.shape[0]):
        assign(before.leads[k], usual.leads[k])
    assign(before.beat, usual.beat)


@kernel
def _unteach(usual: Usual, before: Usual) -> None:
    """Take back what the last beat taught; its strength is one of what lies between beats."""
    between = math.exp(usual.beat[LAST_STRENGTH])
    for k in range(usual.leads.shape[0]):
        if before.leads[k, KNOWN] > 0.0:
            assign(usual.leads[k, TAUGHT:UNTAUGHT], before.leads[k, TAUGHT:UNTAUGHT])
            usual.leads[k, BETWEEN] = max(usual.leads[k, BETWEEN], between * usual.leads[k, ENERGY])
    assign(usual.beat[:RHYTHM], before.beat)
    assign(usual.beat[PROFILE:], before.beat[PROFILE:])
    usual.beat[BEATS_KNOWN] = max(before.beat[BEATS_KNOWN], 1.0)


@inlined
def remember(
    lengths: Lengths,
    signals: Signals,
    usual: Usual,
    before: Usual,
    opened: int,
    r: float,
    now: int,
    figures: Floats,
    odds: float,
    timed: int,
    reference: int,
    marked: bool,
    r_marked: float,
    seek: Floats,
    fit: Floats,
) -> None:
    """Learn from a confirmed beat whose extremum on the lead `timed` lies at r; `marked` if it has its usual shape."""
    beat = usual.beat
    beat[MISTAKES] *= FORGIVEN
    if beat[BEATS_KNOWN] > 0.0 and is_mistaken(lengths, usual, r, figures[F_ENERGY]):
        learn_mistake(lengths, signals, usual, figures, now)
        _unteach(usual, before)
    _copy(usual, before)
    previous = beat[LAST_R]
    _learn_rhythm(lengths, signals, usual, opened, r, figures)
    alike, other = fused_likenesses(lengths, signals, usual, 0, 1, r, now)
    strange = beat[BEATS_KNOWN] >= 2.0 and alike < ALIKE_LEAST and (other > alike or other == 0.0)
    beat[STRANGE] = beat[STRANGE] + 1.0 if strange else 0.0
    swap = beat[STRANGE] >= STRANGE_MOST
    if swap:
        beat[STRANGE] = 0.0
    beat[BEFORE_LAST_R], beat[LAST_R] = previous, r
    beat[LAST_STRENGTH], beat[LAST_ODDS] = figures[F_ENERGY], odds
    beat[BEATS_KNOWN] += 1.0
    beat[STRONGEST], beat[WORST_REJECTED] = -9.0, -6.0
    beat[LIKENESS] += 0.2 * (max(alike, other) - beat[LIKENESS])
    beat[LONG_LIKENESS] += LONG * (max(alike, other) - beat[LONG_LIKENESS])
    placed = r_marked if marked else math.nan
    r_reference, anchored = seen_mark(lengths, signals, usual, timed, reference, r, now, placed)
    for k in range(usual.leads.shape[0]):
        if usual.leads[k, TRUSTED] == 0.0:
            continue
        _learn_lead(lengths, signals, usual, k, opened, r, now, previous, strange)
        _learn_shape(lengths, signals, usual, k, r, now, strange, other == 0.0)
        if swap:
            for j in range(POINTS):
                one, two = SHAPES + j, SHAPES + POINTS + j
                usual.leads[k, one], usual.leads[k, two] = usual.leads[k, two], usual.leads[k, one]
            usual.leads[k, OTHER_ENERGY] = 0.0
            usual.leads[k, ANCHORS] = 0.0
        if strange:
            continue
        learn_mark(lengths, signals, usual, k, r_reference, anchored, now, fit)
        if marked and k != reference and timed == reference:
            own = peak(lengths, signals, usual, k, opened, now, seek)
            if own > 0.0:
                learn_offset(lengths, usual, k, crest(lengths, signals, k, own, now) - r_marked)
    weigh(lengths, signals.wave, usual.leads, now)


@kernel
def _learn_rhythm(lengths: Lengths, signals: Signals, usual: Usual, opened: int, r: float, figures: Floats) -> None:
    """Learn the interval, what the strength usually is after a beat, and what usually stands before one."""
    beat, rate, mask = usual.beat, lengths.rate_hz, lengths.mask
    since, last = r - beat[LAST_R], beat[LAST_R]
    if since < 2.0 * rate:
        for j in range(5, SLOTS):
            first, end = int(last + j * SLOT_S * rate), int(last + (j + 1) * SLOT_S * rate)
            if end > opened - int(0.06 * rate):
                break
            top = 0.0
            for n in range(first, end, 2):
                top = max(top, signals.strength[n & mask])
            share = 0.15 if usual.beat[PROFILE + j] > 0.0 else 1.0
            usual.beat[PROFILE + j] += share * (min(top, 1.5) - usual.beat[PROFILE + j])
    beat[LAST_RR] = -1.0
    if since < LONGEST_RR_S * rate:
        beat[LAST_RR] = since
        if beat[RRS] < 4.0:
            beat[RR] += (since - beat[RR]) / (beat[RRS] + 1.0)
        else:
            change = math.log(since / beat[RR])
            beat[RR_SPREAD] += 0.12 * (min(abs(change), 0.5) - beat[RR_SPREAD])
            beat[RR] *= math.exp(0.25 * min(max(change, -0.25), 0.25))
        beat[RRS] += 1.0
    top = 0.0
    for n in range(int(r - 0.22 * rate), int(r - 0.05 * rate), 2):
        top = max(top, signals.strength[n & mask])
    level = max(log_ratio(top, math.exp(figures[F_ENERGY])), -3.0)
    if beat[BEATS_KNOWN] < 1.0:
        beat[BEFORE_QRS] = level
    else:
        beat[BEFORE_QRS] += 0.2 * min(max(level - beat[BEFORE_QRS], -1.0), 1.0)


@kernel
def _learn_lead(
    lengths: Lengths,
    signals: Signals,
    usual: Usual,
    k: int,
    opened: int,
    r: float,
    now: int,
    previous: float,
    strange: bool,
) -> None:
    """Learn the levels of one lead, and on which side of the baseline its QRS is greater."""
    rate, mask, delay, leads = lengths.rate_hz, lengths.mask, lengths.smooth_delay, usual.leads
    centre = int(r + 0.5)
    start = centre - int(0.06 * rate)
    energy, rise, fall, low, high = 0.0, 1.0, 1.0, 1e18, -1e18
    for n in range(start, now + 1):
        energy = max(energy, signals.wave[k, W_ENERGY, n & mask])
        slope = signals.wave[k, W_SLOPE, n & mask]
        rise, fall = max(rise, slope), max(fall, -slope)
    for n in range(start + delay, now + 1):
        value = signals.wave[k, W_SMOOTH, n & mask]
        low, high = min(low, value), max(high, value)
    between = 0.0
    if previous > NEVER:
        first = int(max(previous + 0.2 * rate, r - 2.0 * rate))
        for n in range(first, opened - int(0.04 * rate), max(1, lengths.energy // 6)):
            between = max(between, signals.wave[k, W_ENERGY, n & mask])
    count = int(leads[k, KNOWN])
    if count > 0 and energy > 4.0 * leads[k, ENERGY]:
        count = 0  # what was learnt was no QRS
    i = count % BEATS
    leads[k, HISTORY + 0 * BEATS + i] = energy if count == 0 else min(energy, 2.5 * leads[k, ENERGY])
    leads[k, HISTORY + 1 * BEATS + i], leads[k, HISTORY + 2 * BEATS + i], leads[k, HISTORY + 3 * BEATS + i] = (
        rise,
        fall,
        high - low,
    )
    if between > 0.0:
        leads[k, HISTORY + 4 * BEATS + i] = between
    else:
        leads[k, HISTORY + 4 * BEATS + i] = leads[k, BETWEEN] if leads[k, BETWEEN] > 0.0 else 0.3 * energy
    count += 1
    leads[k, KNOWN] = count if count < 2 * BEATS else BEATS + count % BEATS
    _set_levels(usual, k, count)
    if strange:
        known = leads[k, OTHER_ENERGY]
        change = min(max(math.log(max(energy, 1e-3) / known), -1.0), 1.0) if known > 0.0 else 0.0
        leads[k, OTHER_ENERGY] = known * math.exp(0.3 * change) if known > 0.0 else energy
    else:
        _learn_side(lengths, signals, usual, k, start, min(now, centre + int(0.06 * rate) + delay))


@kernel
def _learn_side(lengths: Lengths, signals: Signals, usual: Usual, k: int, start: int, end: int) -> None:
    """Learn on which side of what lies before it the QRS of a lead is greater: there its R-peak is."""
    leads, base, count = usual.leads, 0.0, 0
    for n in range(start - int(0.06 * lengths.rate_hz), start, 2):
        base += signals.wave[k, W_SMOOTH, n & lengths.mask]
        count += 1
    base /= max(count, 1)
    above, below = 0.0, 0.0
    for n in range(start + lengths.smooth_delay, end + 1):
        value = signals.wave[k, W_SMOOTH, n & lengths.mask] - base
        above, below = max(above, value), max(below, -value)
    if leads[k, ABOVE] == 0.0 and leads[k, BELOW] == 0.0:
        leads[k, ABOVE], leads[k, BELOW] = above, below
    share = 0.12 if usual.beat[BEATS_KNOWN] > BEATS else 0.3
    leads[k, ABOVE] += share * (above - leads[k, ABOVE])
    leads[k, BELOW] += share * (below - leads[k, BELOW])
    side = leads[k, POLARITY]
    if side == 0.0:
        leads[k, POLARITY] = 1.0 if UP_FIRST * leads[k, ABOVE] >= leads[k, BELOW] else -1.0
    elif side > 0.0 and leads[k, BELOW] > DOWN_AGAIN * leads[k, ABOVE]:
        leads[k, POLARITY] = -1.0
    elif side < 0.0 and leads[k, ABOVE] > UP_AGAIN * leads[k, BELOW]:
        leads[k, POLARITY] = 1.0


@kernel
def _learn_shape(
    lengths: Lengths, signals: Signals, usual: Usual, k: int, r: float, now: int, strange: bool, first: bool
) -> None:
    """Learn the shape of one lead: the usual one, or the other one where the beat was strange."""
    if usual.beat[BEATS_KNOWN] > 3.0:
        alike, other = likenesses(lengths, signals, usual, 0, 1, k, r, now)
        usual.leads[k, ALIKE] += 0.12 * (max(alike, 0.7 * other) - usual.leads[k, ALIKE])
    start = SHAPES + POINTS if strange else SHAPES
    share = (1.0 if first else 0.4) if strange else (0.5 if usual.beat[BEATS_KNOWN] <= 2.0 else 0.15)
    approach(lengths, signals, usual, k, start, r, now, share)
