"""When exactly the R-peak was: the extremum of one lead, below one sample, the same wave every time.

Theory of operation
-------------------
1. `peak` takes the greater deflection of the smoothed lead around the instant a candidate opened. The side on which
   this patient's QRS is usually greater is favoured 2.5 to 1, so that R and S of like height do not change places.
2. `mark` lays the lead's usual fine shape over the beat where both agree best (least squares, by a parabola through
   three lags), which averages the noise over the whole QRS instead of the few samples at its top. The shape could
   creep over hours; so the median distance between top and fit is learned (`ANCHOR`) and added: in the long run a mark
   is the extremum, beat by beat it is the fit.
3. Every lead learns how far its own mark lies behind that of the reference lead (`OFFSET`). When the reference may not
   be trusted, another lead is timed and its offset taken off.

Reference: the fit is the matched filter, whose timing error is noise over the root of the summed squared slope, the
Cramer-Rao bound for a known shape in white noise (Kay 1993, Estimation Theory, example 3.14). Our deviations: the
shape is learned, and a beat that is not alike is marked at its extremum.
"""

import math

import numpy as np

from gating.filters import SMOOTH as W_SMOOTH
from gating.filters import Floats, Lengths, Signals, parabola
from gating.kernel import inlined, kernel
from gating.qrs import (
    ANCHOR,
    ANCHORS,
    FINE,
    OFFSET,
    OFFSET_SPREAD,
    OFFSETS,
    POLARITY,
    SHARE,
    TRUSTED,
    Usual,
)

BEFORE_S, AFTER_S = 0.078, 0.055  # where the peak may lie around the instant a candidate opened
BASE_S = 0.080  # before that: what a deflection is measured from
FAVOURED, UPRIGHT = 2.5, 1.3  # of the usual side; of the upper side while nobody knows
LAG_S = 0.008  # as far as the fit is looked for
CREEP_S = 0.004  # an extremum further from the fit teaches nothing
LEAST_MARKS = 3
RISING = -1.0  # no peak yet
(SEEK_OPENED, SEEK_LEAD, SEEK_NEXT, SEEK_BASE, SEEK_TOP, SEEK_TOP_AT, SEEK_BOTTOM, SEEK_BOTTOM_AT) = range(8)
SEEKS = 8


@inlined
def peak(lengths: Lengths, signals: Signals, usual: Usual, k: int, opened: int, now: int, seek: Floats) -> float:
    """Find the peak of one lead around the opening, in sample numbers; RISING while it still rises.

    `seek` [SEEKS] holds how far the last call came, so that the next one on the same candidate looks at
    new samples only.
    """
    rate, mask, delay = lengths.rate_hz, lengths.mask, lengths.smooth_delay
    first = opened - int(BEFORE_S * rate)
    last = min(opened + int(AFTER_S * rate), now - delay)
    if seek[SEEK_OPENED] != opened or seek[SEEK_LEAD] != k or seek[SEEK_NEXT] > last + 1:
        count = int(BASE_S * rate)
        base = 0.0
        for n in range(first - count, first):
            base += signals.wave[k, W_SMOOTH, (n + delay) & mask]
        seek[SEEK_OPENED], seek[SEEK_LEAD], seek[SEEK_NEXT], seek[SEEK_BASE] = opened, k, first, base / count
        seek[SEEK_TOP], seek[SEEK_TOP_AT], seek[SEEK_BOTTOM], seek[SEEK_BOTTOM_AT] = -1e18, first, 1e18, first
    base, top, bottom = seek[SEEK_BASE], seek[SEEK_TOP], seek[SEEK_BOTTOM]
    top_at, bottom_at = int(seek[SEEK_TOP_AT]), int(seek[SEEK_BOTTOM_AT])
    for n in range(int(seek[SEEK_NEXT]), last + 1):
        value = signals.wave[k, W_SMOOTH, (n + delay) & mask] - base
        if value > top:
            top, top_at = value, n
        if value < bottom:
            bottom, bottom_at = value, n
    seek[SEEK_NEXT], seek[SEEK_TOP], seek[SEEK_BOTTOM] = last + 1, top, bottom
    seek[SEEK_TOP_AT], seek[SEEK_BOTTOM_AT] = top_at, bottom_at
    side = usual.leads[k, POLARITY]
    if side >= 0.0:
        top *= FAVOURED if side > 0.0 else UPRIGHT
    else:
        bottom *= FAVOURED
    at = top_at if top >= -bottom else bottom_at
    if at > last - max(1, int(0.002 * rate + 0.5)) and last == now - delay:
        return RISING
    if at in (first, last):
        return float(at)
    return at + parabola(
        signals.wave[k, W_SMOOTH, (at - 1 + delay) & mask],
        signals.wave[k, W_SMOOTH, (at + delay) & mask],
        signals.wave[k, W_SMOOTH, (at + 1 + delay) & mask],
    )


@inlined
def agreement(lengths: Lengths, signals: Signals, k: int, centre: int, shape: Floats) -> float:
    """Give the correlation of a lead around a sample with its fine shape, over all of it."""
    half, mask, delay = shape.shape[0] // 2, lengths.mask, lengths.smooth_delay
    sx, sxx, sxy, syy = 0.0, 0.0, 0.0, 0.0
    for j in range(shape.shape[0]):
        x, y = signals.wave[k, W_SMOOTH, (centre + j - half + delay) & mask], shape[j]
        sx, sxx, sxy, syy = sx + x, sxx + x * x, sxy + x * y, syy + y * y
    power = (sxx - sx * sx / shape.shape[0]) * syy
    return sxy / math.sqrt(power) if power > 0.0 else 0.0


@kernel
def mark(lengths: Lengths, signals: Signals, usual: Usual, k: int, r: float, now: int, fit: Floats) -> bool:
    """Mark a beat of one lead whose extremum lies at r.

    `fit` is filled with the mark, the best lag of the fine shape (samples after r, NaN where it does not fit) and the
    standard error of the mark (samples). Gives False, and the extremum as the mark, where the shape does not fit.
    """
    shape = usual.leads[k, FINE:]
    half, span = shape.shape[0] // 2, max(2, int(LAG_S * lengths.rate_hz + 0.5))
    centre = math.floor(r + 0.5)
    fit[0], fit[1], fit[2] = r, np.nan, 0.3
    if usual.leads[k, ANCHORS] < LEAST_MARKS or centre + half + span + lengths.smooth_delay > now:
        return False
    best, at = -2.0, 0
    for lag in range(-span, span + 1):
        value = agreement(lengths, signals, k, centre + lag, shape)
        if value > best:
            best, at = value, lag
    if best < 0.9 or abs(at) == span:
        return False
    before = agreement(lengths, signals, k, centre + at - 1, shape)
    after = agreement(lengths, signals, k, centre + at + 1, shape)
    fitted = centre + at + parabola(before, best, after)
    fit[0], fit[1] = fitted + usual.leads[k, ANCHOR], fitted - r
    slope_power, power = 0.0, 0.0
    for j in range(1, shape.shape[0] - 1):
        slope = 0.5 * (shape[j + 1] - shape[j - 1])
        slope_power += slope * slope
        power += shape[j] * shape[j]
    left = power * max(1.0 - best * best, 0.0) / shape.shape[0]  # of the power, per sample: what the shape leaves
    fit[2] = math.sqrt(left * lengths.smooth / max(slope_power, 1e-12))
    return True


@kernel
def learn_mark(lengths: Lengths, signals: Signals, usual: Usual, k: int, r: float, now: int, fit: Floats) -> None:
    """Learn the fine shape of a lead from a usual beat with its extremum at r, and how far the extremum is from it."""
    leads, shape = usual.leads, usual.leads[k, FINE:]
    fitted = mark(lengths, signals, usual, k, r, now, fit)
    creep = CREEP_S * lengths.rate_hz
    if fitted and abs(fit[1] + leads[k, ANCHOR]) > creep:
        return
    count = leads[k, ANCHORS]
    if fitted:
        leads[k, ANCHOR] += max(0.03, 1.0 / (count + 1.0)) * (-fit[1] - leads[k, ANCHOR])
    elif count >= LEAST_MARKS:
        leads[k, ANCHORS] -= 0.5  # a shape that fits no more gives way
        return
    half, mask, delay = shape.shape[0] // 2, lengths.mask, lengths.smooth_delay
    at = r + fit[1] if fitted else r
    whole = math.floor(at)
    part = at - whole
    mean = 0.0
    for j in range(shape.shape[0]):
        n = min(whole + j - half + delay, now - 1)
        mean += (1.0 - part) * signals.wave[k, W_SMOOTH, n & mask] + part * signals.wave[k, W_SMOOTH, (n + 1) & mask]
    mean /= shape.shape[0]
    share = max(0.08, 1.0 / (count + 1.0))
    for j in range(shape.shape[0]):
        n = min(whole + j - half + delay, now - 1)
        value = (
            (1.0 - part) * signals.wave[k, W_SMOOTH, n & mask] + part * signals.wave[k, W_SMOOTH, (n + 1) & mask] - mean
        )
        shape[j] += share * (value - shape[j])
    leads[k, ANCHORS] = min(count + 1.0, 1e6)


@kernel
def learn_offset(lengths: Lengths, usual: Usual, k: int, behind: float) -> None:
    """Learn that the mark of a lead lay so many samples behind that of the reference."""
    leads = usual.leads
    if abs(behind) > 0.04 * lengths.rate_hz:
        return
    count, most = leads[k, OFFSETS], 0.004 * lengths.rate_hz
    step = behind - leads[k, OFFSET]
    if count >= LEAST_MARKS:
        step = min(max(step, -most), most)
        leads[k, OFFSET_SPREAD] += max(0.1, 1.0 / count) * (abs(step) - leads[k, OFFSET_SPREAD])
    leads[k, OFFSET] += max(0.08, 1.0 / (count + 1.0)) * step
    leads[k, OFFSETS] = min(count + 1.0, 1e6)


@kernel
def timed_lead(usual: Usual, reference: int) -> int:
    """Choose the lead to time: the reference, else the trusted one of the greatest share whose offset is known."""
    if usual.leads[reference, TRUSTED] != 0.0:
        return reference
    best, most = -1, -1.0
    for k in range(usual.leads.shape[0]):
        if usual.leads[k, TRUSTED] != 0.0 and usual.leads[k, OFFSETS] >= LEAST_MARKS and usual.leads[k, SHARE] > most:
            best, most = k, usual.leads[k, SHARE]
    if best >= 0:
        return best
    for k in range(usual.leads.shape[0]):
        if usual.leads[k, TRUSTED] != 0.0 and usual.leads[k, SHARE] > most:
            best, most = k, usual.leads[k, SHARE]
    return max(best, 0)


@inlined
def offset_of(usual: Usual, k: int, reference: int) -> float:
    """Give how many samples the mark of a lead lies behind that of the reference; 0 while nobody knows."""
    if k == reference or usual.leads[k, OFFSETS] < LEAST_MARKS:
        return 0.0
    return usual.leads[k, OFFSET]
