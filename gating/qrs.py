"""What a beat usually looks like in each lead: the memory that candidates are compared with, and the comparing.

Levels are quantiles of the last 8 beats: an ectopic here and there does not move them. A *share* says how much a lead
counts now, from how far its QRS stand out of what the lead showed in the last 0.8 s and lately between beats, and from
how much its beats look alike. Two shapes are kept per lead: the usual one, and the last one that was different.
"""

import math
from typing import NamedTuple

import numpy as np

from gating.filters import ENERGY as W_ENERGY
from gating.filters import SMOOTH as W_SMOOTH
from gating.filters import WEIGHT, Floats, Integers, Lengths, Signals
from gating.kernel import inlined, kernel

BEATS = 8  # that the levels rest on
POINTS = 25  # of a shape, 4 ms apart: 48 ms on either side of the peak
POINT_S = 0.004
LAGS = (0, -1, 1, -2, 2)  # points that a shape may be shifted by, as they are tried
ALIKE_ENOUGH = 0.95  # no other lag is tried
LONG = 0.04  # of a decision in the long means: electrodes stay bad for longer than a beat
SLOTS, SLOT_S = 30, 0.040  # what the strength usually is so long after a beat
FINE_S = 0.040  # on either side: the shape that a peak is timed by
LEAST_UV = 20.0  # energy of the least QRS level: about 0.15 mV of deflection (EC13: ignore less)
SHARE_LEVEL, SHARE_BETWEEN = 0.4, 0.5  # the quantiles
NEVER = -1e18  # the sample number of what never was

# columns of `leads`
(TRUSTED, SHARE, OFFSET, OFFSETS, OFFSET_SPREAD, ANCHOR, ANCHORS) = range(1, 8)  # WEIGHT is 0
(KNOWN, ENERGY, RISE, FALL, SWING, BETWEEN, OTHER_ENERGY, ABOVE, BELOW, POLARITY, ALIKE) = range(8, 19)
HISTORY = 19  # of ENERGY .. BETWEEN: BEATS columns each
SHAPES = HISTORY + 5 * BEATS  # the usual, then the other: POINTS columns each, without mean, at unit length
WRONG = SHAPES + 2 * POINTS  # the third shape, MISTAKEN: of a wave that was taken for a beat and was none
FINE = WRONG + POINTS  # all columns from here: the fine shape, microvolts without level and some slant
TAUGHT, UNTAUGHT = KNOWN, WRONG  # the columns [TAUGHT, UNTAUGHT) hold what a mistaken beat must unteach
MISTAKEN = 2  # number of the shape in WRONG, as 0 is the usual and 1 the other one

# places of `beat`: first what a beat teaches about the rhythm
(LAST_R, BEFORE_LAST_R, RR, RRS, RR_SPREAD, LAST_RR, BEATS_KNOWN, STRANGE, BEFORE_QRS) = range(9)
RHYTHM = 9
(LAST_STRENGTH, LAST_ODDS, REJECTED_R, REJECTED_STRENGTH, REJECTED_ODDS, STRONGEST) = range(9, 15)
(MARGIN, LEAST_MARGIN, WORST_REJECTED, LIKENESS, TRUST) = range(15, 20)
(LONG_MARGIN, LONG_REJECTED, LONG_LIKENESS) = range(20, 23)  # of the last 25 or so
(MISTAKES, WRONG_STRENGTH) = (23, 24)  # 0..1: how surely waves of the shape WRONG were mistaken lately; their strength
PROFILE = 25  # SLOTS columns: the strength so long after a beat


class Usual(NamedTuple):
    """The memory of beats. Times are sample numbers, sizes as in `filters`; one array each, for tuples cost time."""

    leads: Floats  # [lead, WEIGHT ...]
    beat: Floats  # [LAST_R ...]
    steps: Integers  # [LAGS, then POINTS]: samples that a shape is shifted by, and from the peak to its points


def usual_for(lengths: Lengths, leads: int) -> Usual:
    """Make a memory that knows nothing."""
    points = (*LAGS, *(point - POINTS // 2 for point in range(POINTS)))
    usual = Usual(
        leads=np.zeros((leads, FINE + 2 * round(FINE_S * lengths.rate_hz) + 1)),
        beat=np.zeros(PROFILE + SLOTS),
        steps=np.rint(np.array(points) * POINT_S * lengths.rate_hz).astype(np.int64),
    )
    forget(lengths, usual)
    return usual


@kernel
def forget(lengths: Lengths, usual: Usual) -> None:
    """Forget all beats."""
    for k in range(usual.leads.shape[0]):
        for j in range(usual.leads.shape[1]):
            if j != TRUSTED:
                usual.leads[k, j] = 0.0
    forget_rhythm(lengths, usual)


@kernel
def forget_rhythm(lengths: Lengths, usual: Usual) -> None:
    """Forget the shapes and the rhythm; a rate that was usual is kept within 50..100 bpm."""
    beat = usual.beat
    rr = beat[RR] if beat[RR] > 0.0 else lengths.rate_hz
    for k in range(usual.leads.shape[0]):
        usual.leads[k, SHAPES:FINE] = 0.0
        usual.leads[k, ALIKE] = 0.8
    beat[:] = 0.0
    beat[LAST_R] = beat[BEFORE_LAST_R] = beat[REJECTED_R] = NEVER
    beat[RR] = min(max(rr, 0.6 * lengths.rate_hz), 1.2 * lengths.rate_hz)
    beat[RR_SPREAD] = 0.1
    beat[LAST_RR] = -1.0
    beat[STRONGEST] = -9.0
    beat[BEFORE_QRS] = -2.0
    beat[LEAST_MARGIN] = beat[MARGIN] = beat[LONG_MARGIN] = 3.0
    beat[WORST_REJECTED] = -6.0
    beat[LIKENESS] = beat[LONG_LIKENESS] = 0.8


@inlined
def log_ratio(value: float, usual: float) -> float:
    """Give the logarithm of a ratio, held within 1/50..50; 0 where there is nothing to compare with."""
    if usual <= 0.0:
        return 0.0
    return math.log(min(max(value / usual, 0.02), 50.0))


@kernel
def quantile(leads: Floats, k: int, first: int, count: int, share: float) -> float:
    """Give the quantile of the first `count` values, at most 8, that stand in the columns from `first` on."""
    count = min(count, BEATS)
    rank = int(share * (count - 1) + 1e-9)
    for i in range(count):
        value, less, equal = leads[k, first + i], 0, 0
        for j in range(count):
            less += leads[k, first + j] < value
            equal += leads[k, first + j] == value
        if less <= rank < less + equal:
            return value
    return leads[k, first]


@inlined
def any_lead(leads: Floats, column: int) -> bool:
    """Tell whether the column is other than zero in any lead."""
    some = False
    for k in range(leads.shape[0]):
        some = some or leads[k, column] != 0.0
    return some


@kernel
def weigh(lengths: Lengths, wave: Floats, leads: Floats, newest: int) -> None:
    """Weigh the leads by their quality now."""
    total, steps = 0.0, int(0.8 * lengths.rate_hz / lengths.energy)
    for k in range(leads.shape[0]):
        leads[k, WEIGHT] = leads[k, SHARE] = 0.0
        if leads[k, TRUSTED] == 0.0 or leads[k, KNOWN] <= 0.0 or leads[k, ENERGY] <= 0.0:
            continue
        quality = 1.0  # of the only one
        if leads.shape[0] > 1:
            lately = 0.0
            for step in range(steps):
                lately += wave[k, W_ENERGY, (newest - step * lengths.energy) & lengths.mask]
            around = lately / steps + 0.5 * leads[k, BETWEEN] + 0.01 * leads[k, ENERGY]
            quality = min(leads[k, ENERGY] / around, 3.0) * max(0.25, leads[k, ALIKE])
        leads[k, SHARE] = quality * quality
        total += leads[k, SHARE]
    for k in range(leads.shape[0]):
        if leads[k, SHARE] > 0.0:
            leads[k, SHARE] /= total
            leads[k, WEIGHT] = leads[k, SHARE] / leads[k, ENERGY]


@inlined
def _likenesses_at(
    mask: int, wave: Floats, leads: Floats, steps: Integers, k: int, first: int, second: int, centre: int, now: int
) -> tuple[float, float]:
    """Give the correlations of lead k around a sample with two shapes in `leads`, as far as known; 0 of < 10 points."""
    n, sx, sxx = 0, 0.0, 0.0
    sy, syy, sxy, sz, szz, sxz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(POINTS):
        place = centre + steps[len(LAGS) + j]
        if place > now:
            break
        x, y, z = wave[k, W_SMOOTH, place & mask], leads[k, first + j], leads[k, second + j]
        n += 1
        sx, sxx = sx + x, sxx + x * x
        sy, syy, sxy = sy + y, syy + y * y, sxy + x * y
        sz, szz, sxz = sz + z, szz + z * z, sxz + x * z
    if n < 10:
        return 0.0, 0.0
    power = sxx - sx * sx / n
    return _correlation(power, syy - sy * sy / n, sxy - sx * sy / n), _correlation(
        power, szz - sz * sz / n, sxz - sx * sz / n
    )


@inlined
def _correlation(power: float, other_power: float, common: float) -> float:
    """Give a correlation from two powers and what they have in common; 0 where there is none."""
    both = power * other_power
    return common / math.sqrt(both) if both > 0.0 else 0.0


@inlined
def likenesses(
    lengths: Lengths, signals: Signals, usual: Usual, one: int, two: int, k: int, r: float, now: int
) -> tuple[float, float]:
    """Give the best correlations of lead k with two shapes: usual (0), other (1), mistaken (2); within 8 ms of r.

    Both in one pass over the samples, which is what takes the time. A shape that was never learnt is like nothing: 0.
    """
    centre, wave, leads, steps = int(r + 0.5) + lengths.smooth_delay, signals.wave, usual.leads, usual.steps
    at_one, at_two = SHAPES + one * POINTS, SHAPES + two * POINTS
    # what was learnt has its peak in the middle
    best = -1.0 if leads[k, at_one + POINTS // 2] != 0.0 else 0.0
    second = -1.0 if leads[k, at_two + POINTS // 2] != 0.0 else 0.0
    seek_best, seek_second = best < 0.0, second < 0.0
    for i in range(len(LAGS)):
        if not (seek_best or seek_second):
            break
        here, there = _likenesses_at(lengths.mask, wave, leads, steps, k, at_one, at_two, centre + steps[i], now)
        if seek_best:
            best = max(best, here)
        if seek_second:
            second = max(second, there)
        seek_best, seek_second = seek_best and best <= ALIKE_ENOUGH, seek_second and second <= ALIKE_ENOUGH
    return best, second


@kernel
def fused_likenesses(
    lengths: Lengths, signals: Signals, usual: Usual, one: int, two: int, r: float, now: int
) -> tuple[float, float]:
    """Give the likenesses of all leads to two shapes, by their shares, see `likenesses`."""
    first, second = 0.0, 0.0
    for k in range(usual.leads.shape[0]):
        share = usual.leads[k, SHARE]
        if share > 0.0:
            here, there = likenesses(lengths, signals, usual, one, two, k, r, now)
            first, second = first + share * here, second + share * there
    return first, second


@kernel
def fused_likeness(lengths: Lengths, signals: Signals, usual: Usual, which: int, r: float, now: int) -> float:
    """Give the likeness of all leads to one shape, by their shares."""
    alike, _ = fused_likenesses(lengths, signals, usual, which, which, r, now)
    return alike


@kernel
def approach(
    lengths: Lengths, signals: Signals, usual: Usual, k: int, first: int, r: float, now: int, share: float
) -> None:
    """Let the shape of lead k in the columns from `first` on come nearer to the wave at r, as far as it is known."""
    wave, leads, mask = signals.wave, usual.leads, lengths.mask
    centre = int(r + 0.5) + lengths.smooth_delay
    mean, count = 0.0, 0
    for j in range(POINTS):
        place = centre + usual.steps[len(LAGS) + j]
        if place > now:
            break
        mean += wave[k, W_SMOOTH, place & mask]
        count += 1
    mean /= max(count, 1)
    power = 1e-12
    for j in range(count):
        value = wave[k, W_SMOOTH, (centre + usual.steps[len(LAGS) + j]) & mask] - mean
        power += value * value
    for j in range(count):
        value = wave[k, W_SMOOTH, (centre + usual.steps[len(LAGS) + j]) & mask] - mean
        leads[k, first + j] += share * (value / math.sqrt(power) - leads[k, first + j])
