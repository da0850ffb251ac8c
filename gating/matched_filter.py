"""When exactly a beat was, from the whole QRS on all leads: learned shapes laid over it.

Theory of operation
-------------------
1. Each lead keeps the fine shape of its usual beat. It is laid over a beat where both agree best (least squares, by a
   parabola through three lags), which averages the noise over the whole QRS instead of the few samples at its top. The
   level of the signal is not counted, nor `SLANT` of its slant, for it may wander.
2. The shape could creep over hours; so the mean distance between the crest of the wave (`fiducial`) and the fit is
   learned (`ANCHOR`) and added: in the long run a mark is the crest, beat by beat it is the fit.
3. Where the extremum is not the QRS's own, for an artifact stands higher, the usual shape is looked for further away:
   on the other leads, if half of them, two at least, show it at one instant, else on the same. So it is too where the
   lead that is timed shows something like its QRS, and no two others do near it.
4. The marks of the other leads, less their offsets, are averaged with that of the lead that is timed, each by its
   error. A lead that says something else is left out: than the lead that is timed where there are two, than the median
   of all marks where there are more.

Reference: the fit is the matched filter, whose timing error is noise over the root of the summed squared slope, the
Cramer-Rao bound for a known shape in white noise (Kay 1993, Estimation Theory, example 3.14). Our deviations:

- the shape is learned, and a beat that is not like it is marked at its own broad peak;
- noise of muscles and electrodes is not white: the stated error is `COLOURED` times the bound, as measured.
"""

import math

import numpy as np

from gating.fiducial import LEAST_MARKS, broad_peak, crest, offset_of
from gating.filters import SMOOTH as W_SMOOTH
from gating.filters import Floats, Lengths, Signals, parabola
from gating.kernel import inlined, kernel
from gating.qrs import ANCHOR, ANCHORS, FINE, TRUSTED, Usual

SLANT = 0.3  # of the slant of a signal is taken for wander; all of it would hide where a broad wave is
LAG_S, FAR_S = 0.008, 0.060  # as far as the fit is looked for around the extremum, and where it is not there
AGREES, SURE, SURE_FAR = 0.85, 0.95, 0.93
LEAST_SURE = 2  # leads, to place a beat without the lead that is timed
APART = 2.0  # times both errors: marks that are further from the middle one are left out
LEAST_VOTES = 3  # leads, to overrule it: of two, the one that is timed is right more often
CREEP_S = 0.004  # a crest further from the fit teaches nothing
SAME_S = 0.004  # other leads that place the beat further away are left out
COLOURED = 1.6
BETWEEN_S = 0.0005  # from beat to beat the axis turns, and the leads shift against each other
SHARED = 0.4  # of the error of one lead is left with twelve: their noise is not independent
LEAST_ERROR = 0.05  # samples
UNFITTED_S = 0.004  # stated error of a beat that is like no shape
MOST_SHAPES, MOST_MARKS = 24.0, 100.0  # so many beats make the shape, and the distance to its crest
GIVES_WAY = 0.9  # how much of a shape is left by a beat that it does not fit
(MARK, AT, ALIKE, ERROR) = range(4)  # places of `fit`: the mark, where the shape lies, how alike, error (samples)
MARKS = 4  # from there, for each lead: its mark, its error, and with what lies between the leads


@inlined
def agreement(lengths: Lengths, signals: Signals, k: int, centre: int, shape: Floats) -> float:
    """Give the correlation of a lead around a sample with a fine shape, over all of it, less level and some slant."""
    count, mask = shape.shape[0], lengths.mask
    half, first = count // 2, centre - shape.shape[0] // 2 + lengths.smooth_delay
    sx, sxx, sxy, syy, sxt, syt = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(count):
        x, y, t = signals.wave[k, W_SMOOTH, (first + j) & mask], shape[j], j - half
        sx, sxx, sxy, syy, sxt, syt = sx + x, sxx + x * x, sxy + x * y, syy + y * y, sxt + x * t, syt + y * t
    squares = _squares(count)
    slant = SLANT * sxt / squares
    power = (sxx - sx * sx / count + slant * (slant * squares - 2.0 * sxt)) * syy
    return (sxy - slant * syt) / math.sqrt(power) if power > 0.0 else 0.0


@inlined
def _squares(count: int) -> float:
    """Give the sum of the squares of an odd number of whole numbers around 0."""
    return count * (count * count - 1.0) / 12.0


@kernel
def lay(
    lengths: Lengths, signals: Signals, usual: Usual, k: int, r: float, span_s: float, now: int, fit: Floats
) -> bool:
    """Lay the fine shape of a lead over its signal within a span around r; False, and alike 0, if it lies nowhere."""
    shape = usual.leads[k, FINE:]
    half, span = shape.shape[0] // 2, max(2, int(span_s * lengths.rate_hz + 0.5))
    centre = math.floor(r + 0.5)
    fit[ALIKE] = 0.0
    last = min(span, now - lengths.smooth_delay - half - centre)
    if usual.leads[k, ANCHORS] < LEAST_MARKS or last < 2:
        return False
    best, at = -2.0, 0
    for lag in range(-span, last + 1):
        value = agreement(lengths, signals, k, centre + lag, shape)
        if value > best:
            best, at = value, lag
    if best <= 0.0 or at in (-span, last):
        return False
    before = agreement(lengths, signals, k, centre + at - 1, shape)
    after = agreement(lengths, signals, k, centre + at + 1, shape)
    slope_power, power = 1e-12, 0.0
    for j in range(1, shape.shape[0] - 1):
        slope = 0.5 * (shape[j + 1] - shape[j - 1])
        slope_power += slope * slope
        power += shape[j] * shape[j]
    left = power * max(1.0 - best * best, 0.0) / shape.shape[0]  # of the power, per sample: what the shape leaves
    fit[AT], fit[ALIKE] = centre + at + parabola(before, best, after), best
    fit[MARK] = fit[AT] + usual.leads[k, ANCHOR]
    fit[ERROR] = COLOURED * math.sqrt(left * lengths.smooth / slope_power) + LEAST_ERROR
    return True


@kernel
def mark(
    lengths: Lengths, signals: Signals, usual: Usual, timed: int, reference: int, r: float, now: int, fit: Floats
) -> bool:
    """Mark a beat whose extremum on the lead `timed` lies at r; False where no lead shows that it is a usual one.

    `fit` is filled with the mark in the time of that lead, and its standard error (samples).
    """
    offset = offset_of(usual, timed, reference)
    by = timed  # the lead that places the beat; -1: none
    if not lay(lengths, signals, usual, timed, r - offset, LAG_S, now, fit) or fit[ALIKE] < SURE:
        by = _elsewhere(lengths, signals, usual, timed, r - offset, now, fit)
        if by < 0 and lay(lengths, signals, usual, timed, r - offset, FAR_S, now, fit) and fit[ALIKE] >= SURE_FAR:
            by = timed
    if by < 0:
        fit[AT], fit[ALIKE], fit[ERROR] = np.nan, 0.0, UNFITTED_S * lengths.rate_hz
        fit[MARK] = broad_peak(lengths, signals, timed, crest(lengths, signals, timed, r, now), now)
        return False
    told = _tell(lengths, signals, usual, timed, by, now, fit)
    if by == timed and told < LEAST_VOTES:
        by = _elsewhere(lengths, signals, usual, timed, r - offset, now, fit)
        if by >= 0 and abs(fit[MARK] - fit[MARKS]) >= SAME_S * lengths.rate_hz:
            told = _tell(lengths, signals, usual, timed, by, now, fit)
    _vote(fit, told, SAME_S * lengths.rate_hz)
    fit[MARK] += offset
    return True


@inlined
def _tell(lengths: Lengths, signals: Signals, usual: Usual, timed: int, by: int, now: int, fit: Floats) -> int:
    """Note in `fit` the mark that lead `by` has laid there, then those of the other leads near it; gives how many.

    Of each: the mark, its error, and that with what lies between the leads. One that is not timed takes part only
    where its shape is seen; the lead that is timed, where it was overruled, does not.
    """
    between = BETWEEN_S * lengths.rate_hz
    own, error, told = fit[MARK], fit[ERROR] + (between if by != timed else 0.0), 1
    fit[MARKS], fit[MARKS + 1], fit[MARKS + 2] = own, error, error
    for k in range(usual.leads.shape[0]):
        if k in (timed, by) or usual.leads[k, TRUSTED] == 0.0:
            continue
        if lay(lengths, signals, usual, k, own, LAG_S, now, fit) and fit[ALIKE] >= AGREES:
            there = MARKS + 3 * told
            fit[there], fit[there + 1], fit[there + 2] = fit[MARK], fit[ERROR], fit[ERROR] + between
            told += 1
    return told


@inlined
def _vote(fit: Floats, told: int, same: float) -> None:
    """Average the marks of `told` leads in `fit`, by their errors (samples): those that agree with the middle one."""
    middle = MARKS if told < LEAST_VOTES else _median(fit, told)
    total, sum_of, variance = 0.0, 0.0, 0.0
    for i in range(MARKS, MARKS + 3 * told, 3):
        apart = abs(fit[i] - fit[middle])
        if apart < same and (told < LEAST_VOTES or apart <= APART * (fit[i + 2] + fit[middle + 2])):
            weight = 1.0 / (fit[i + 2] * fit[i + 2])
            total, sum_of = total + weight, sum_of + weight * fit[i]
            variance += weight * weight * fit[i + 1] * fit[i + 1]
    fit[MARK], fit[ERROR] = sum_of / total, max(math.sqrt(variance) / total, SHARED * fit[MARKS + 1])


@inlined
def _median(fit: Floats, told: int) -> int:
    """Find the middle one of the marks of `told` leads in `fit`."""
    for i in range(MARKS, MARKS + 3 * told, 3):
        less, not_more = 0, 0
        for j in range(MARKS, MARKS + 3 * told, 3):
            less += fit[j] < fit[i]
            not_more += fit[j] <= fit[i]
        if 2 * less <= told <= 2 * not_more:
            return i
    return MARKS


@kernel
def _elsewhere(lengths: Lengths, signals: Signals, usual: Usual, timed: int, r: float, now: int, fit: Floats) -> int:
    """Lay the shapes of the other leads around r, the lead `timed` being spoilt; the best one, -1 if too few agree.

    `fit` is filled for that lead. Two at least must place a usual beat at one instant, and half of those there are.
    """
    best, alike, mark_there = -1, SURE, 0.0
    others, agree = 0, 1
    for k in range(usual.leads.shape[0]):
        others += k != timed and usual.leads[k, TRUSTED] != 0.0
    if others < LEAST_SURE:
        return -1
    for k in range(usual.leads.shape[0]):
        if k == timed or usual.leads[k, TRUSTED] == 0.0:
            continue
        if lay(lengths, signals, usual, k, r, FAR_S, now, fit) and fit[ALIKE] >= alike:
            best, alike, mark_there = k, fit[ALIKE], fit[MARK]
    if best < 0:
        return -1
    for k in range(usual.leads.shape[0]):
        if k in (timed, best) or usual.leads[k, TRUSTED] == 0.0:
            continue
        sure = lay(lengths, signals, usual, k, r, FAR_S, now, fit) and fit[ALIKE] >= SURE
        if sure and abs(fit[MARK] - mark_there) < SAME_S * lengths.rate_hz:
            agree += 1
    lay(lengths, signals, usual, best, r, FAR_S, now, fit)
    return best if agree >= LEAST_SURE and 2 * agree >= others else -1


@kernel
def seen_mark(
    lengths: Lengths, signals: Signals, usual: Usual, timed: int, reference: int, r: float, now: int, r_marked: float
) -> tuple[float, bool]:
    """Give the crest of a beat in the time of the reference, and whether it was seen there.

    Where the crest is not the QRS's own, for the mark by the shapes (`r_marked`; NaN: none) lies elsewhere, it is that.
    """
    offset = offset_of(usual, timed, reference)
    seen = crest(lengths, signals, timed, r, now) - offset
    if abs(seen - (r_marked - offset)) > CREEP_S * lengths.rate_hz:
        return r_marked - offset, False
    return seen, timed == reference


@kernel
def learn_mark(
    lengths: Lengths, signals: Signals, usual: Usual, k: int, r: float, anchored: bool, now: int, fit: Floats
) -> None:
    """Learn the fine shape of a lead from a beat whose mark on the reference lead lies at r.

    Where that lead was seen (`anchored`), learn too how far the mark is from the shape. `fit` is filled as by `lay`.
    """
    leads, count = usual.leads, usual.leads[k, ANCHORS]
    fitted = lay(lengths, signals, usual, k, r, LAG_S, now, fit) and fit[ALIKE] >= AGREES
    if not fitted and (count >= LEAST_MARKS or not anchored):
        leads[k, ANCHORS] *= GIVES_WAY
        return
    at = fit[AT] if fitted else r
    if anchored and fitted:
        if abs(r - at - leads[k, ANCHOR]) > CREEP_S * lengths.rate_hz:
            return
        leads[k, ANCHOR] += (r - at - leads[k, ANCHOR]) / (count + 1.0)
    elif anchored:
        leads[k, ANCHOR] = 0.0
    _average(lengths, signals, k, at, now, leads[k, FINE:], 1.0 / (min(count, MOST_SHAPES) + 1.0))
    leads[k, ANCHORS] = min(count + 1.0, MOST_MARKS)


@inlined
def _average(lengths: Lengths, signals: Signals, k: int, at: float, now: int, shape: Floats, share: float) -> None:
    """Let a shape come nearer to the signal around a point between samples, without its level and slant."""
    count, mask = shape.shape[0], lengths.mask
    half, whole = count // 2, math.floor(at)
    part, first = at - whole, whole - half + lengths.smooth_delay
    mean, slant = 0.0, 0.0
    for j in range(count):
        n = min(first + j, now - 1)
        value = (1.0 - part) * signals.wave[k, W_SMOOTH, n & mask] + part * signals.wave[k, W_SMOOTH, (n + 1) & mask]
        mean += value
        slant += value * (j - half)
    mean, slant = mean / count, SLANT * slant / _squares(count)
    for j in range(count):
        n = min(first + j, now - 1)
        value = (1.0 - part) * signals.wave[k, W_SMOOTH, n & mask] + part * signals.wave[k, W_SMOOTH, (n + 1) & mask]
        shape[j] += share * (value - mean - slant * (j - half) - shape[j])
