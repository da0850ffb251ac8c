"""When exactly the R-peak was: the middle of the greatest wave of one lead, below one sample, the same wave every time.

Theory of operation
-------------------
1. `peak` takes the greater deflection of the smoothed lead around the instant a candidate opened. The side on which
   this patient's QRS is usually greater is favoured 2.5 to 1, so that R and S of like height do not change places.
   Where a P wave or an artifact opened, the QRS itself comes later: what is further off counts if it is far greater.
2. `middle` places it halfway between the flanks of that wave, at 0.3 to 0.5 of its height. A top is flat, so its
   extremum is moved by noise and by a slant of the ST segment; the flanks are steep. Annotators set their marks there
   too: on the CT-like records of MIT-BIH the extremum of the signal lies 1.7 ms behind the annotation (SD 2.0, within
   one sample in 68 %), the middle 0.4 ms (1.3, 96 %). In simulated hearts both lie within 0.2 ms of each other.
3. Every lead learns how far its own mark lies behind that of the reference lead (`OFFSET`). When the reference may not
   be trusted, another lead is timed and its offset taken off.
"""

import math

from gating.filters import SMOOTH as W_SMOOTH
from gating.filters import Floats, Lengths, Signals, parabola
from gating.kernel import inlined, kernel
from gating.qrs import (
    OFFSET,
    OFFSET_SPREAD,
    OFFSETS,
    POLARITY,
    SHARE,
    TRUSTED,
    Usual,
)

BEFORE_S, AFTER_S = 0.078, 0.055  # where the peak may lie around the instant a candidate opened
FURTHER_S = 0.110  # and so far, where what stands there is
FAR_GREATER, FAR_STRENGTH = 2.0, 0.25  # times as great, and so strong: then it was a P wave or an artifact that opened
BASE_S = 0.080  # before that: what a deflection is measured from
FAVOURED, UPRIGHT = 2.5, 1.3  # of the usual side; of the upper side while nobody knows
ASIDE_S = 0.060  # on either side of the extremum: as far as its flanks are looked for
BASE_FROM_S, BASE_TO_S = 0.100, 0.070  # before it: what its height is measured from
LEVELS = (0.8, 0.7, 0.6, 0.5, 0.4, 0.3)  # of its height
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
    soon = opened + int(AFTER_S * rate)
    last = min(opened + int(FURTHER_S * rate), now - delay)
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
        if n > soon and max(top_at, bottom_at) <= soon:
            greater = value >= FAR_GREATER * top or value <= FAR_GREATER * bottom
            if not greater or signals.strength[(n + delay) & mask] < FAR_STRENGTH:
                continue
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


@kernel
def middle(lengths: Lengths, signals: Signals, k: int, r: float, now: int) -> float:
    """Place the middle of the wave of one lead whose extremum lies at r: halfway between its flanks.

    The flanks are where it has fallen to a share of its height over what lies before it. The mean is taken over the
    three lowest of `LEVELS` to which it falls within 60 ms on both sides; where it falls to none, r is given back.
    """
    mask, delay, rate = lengths.mask, lengths.smooth_delay, lengths.rate_hz
    wave, aside, centre = signals.wave, int(ASIDE_S * rate), math.floor(r + 0.5)
    first, end = centre - int(BASE_FROM_S * rate), centre - int(BASE_TO_S * rate)
    base = 0.0
    for n in range(first, end):
        base += wave[k, W_SMOOTH, (n + delay) & mask]
    base /= max(end - first, 1)
    height = wave[k, W_SMOOTH, (centre + delay) & mask] - base
    if height == 0.0:
        return r
    most = min(aside, now - delay - centre)
    before, after, count = 0, 0, 0.0
    early, late, early_last, late_last = 1.0, 1.0, 1.0, 1.0
    lowest, second, third = 0.0, 0.0, 0.0
    for level in LEVELS:
        while early > level and before < aside:
            before += 1
            early_last, early = early, (wave[k, W_SMOOTH, (centre - before + delay) & mask] - base) / height
        while late > level and after < most:
            after += 1
            late_last, late = late, (wave[k, W_SMOOTH, (centre + after + delay) & mask] - base) / height
        if early > level or late > level:
            break
        rise, fall = (level - early) / (early_last - early), (level - late) / (late_last - late)
        lowest, second, third = centre + 0.5 * (after - fall - before + rise), lowest, second
        count += 1.0
    if count == 0.0:
        return r
    return (lowest + (second if count > 1.0 else 0.0) + (third if count > 2.0 else 0.0)) / min(count, 3.0)


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
