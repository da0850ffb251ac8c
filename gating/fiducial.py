"""When exactly the R-peak was: the crest of one lead, below one sample, the same wave every time.

Theory of operation
-------------------
1. `peak` takes the greater deflection of the smoothed lead around the instant a candidate opened. The side on which
   this patient's QRS is usually greater is favoured 2.5 to 1, so that R and S of like height do not change places.
   Where a P wave or an artifact opened, the QRS itself comes later: what is further off counts if it is far greater.
2. `crest` is the extremum of that wave, smoothed as it is, under a further moving mean of 24 ms: the middle between two
   instants of the same height on its flanks, 24 ms apart. A top is flat and moves with noise and with a slant of the ST
   segment; flanks are steep. It is also where annotators put their marks: see docs/r-peaks.md, where the extremum and
   the crest of the signal itself stand beside R as told.
   `broad_peak` places a beat that is like no learned shape (`matched_filter`), as a wide one in noise.
3. Every lead learns how far its own mark lies behind that of the reference lead (`OFFSET`). When the reference may not
   be trusted, another lead is timed and its offset taken off.
"""

import math

from gating.filters import NANOVOLTS, RAW, Floats, Lengths, Signals, parabola
from gating.filters import SMOOTH as W_SMOOTH
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
ASIDE_S = 0.060  # on either side of a wave: its foot
CREST_S, REACH_S = 0.024, 0.024  # of the moving mean; from the extremum, as far as its own may lie
LOST_PER_NOISE, LEAST_LOST, MOST_LOST = 12.0, 0.08, 0.5  # of its height, by noise over height
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


@inlined
def _foot(lengths: Lengths, signals: Signals, k: int, centre: int, now: int) -> float:
    """Give the level of one lead on both sides of a wave, as far as it is known."""
    delay, aside = lengths.smooth_delay, int(ASIDE_S * lengths.rate_hz)
    before, after = centre - aside + delay, min(centre + aside + delay, now)
    return 0.5 * (signals.wave[k, W_SMOOTH, before & lengths.mask] + signals.wave[k, W_SMOOTH, after & lengths.mask])


@kernel
def crest(lengths: Lengths, signals: Signals, k: int, r: float, now: int) -> float:
    """Place the extremum of one lead near r under a moving mean of `CREST_S`; r if it lies at none there."""
    mask, delay, rate, wave = lengths.mask, lengths.smooth_delay, lengths.rate_hz, signals.wave
    centre, reach = math.floor(r + 0.5), int(REACH_S * rate + 0.5)
    half = 0.5 * (CREST_S * rate - 1.0)
    whole = int(half)
    part = half - whole  # of the samples at both ends
    last = min(reach, now - delay - centre - whole - 1)
    side = 1.0 if wave[k, W_SMOOTH, (centre + delay) & mask] >= _foot(lengths, signals, k, centre, now) else -1.0
    best, at, before, after, previous = -1e18, -reach, 0.0, 0.0, 0.0
    first, inner = centre - reach - whole + delay, 0.0
    for n in range(first, first + 2 * whole + 1):
        inner += wave[k, W_SMOOTH, n & mask]
    for step in range(-reach, last + 1):
        following = wave[k, W_SMOOTH, (first + 2 * whole + 1) & mask]
        total = side * (inner + part * (wave[k, W_SMOOTH, (first - 1) & mask] + following))
        if total > best:
            best, at, before, after = total, step, previous, total
        elif step == at + 1:
            after = total
        previous = total
        inner += following - wave[k, W_SMOOTH, first & mask]
        first += 1
    if at in (-reach, last):
        return r
    return centre + at + parabola(before, best, after)


@kernel
def broad_peak(lengths: Lengths, signals: Signals, k: int, r: float, now: int) -> float:
    """Place the extremum of one lead near r by a parabola over the upper part of its wave (least squares).

    The few samples at the top of a broad wave say little of its middle in noise, and its flanks, which are not alike,
    mislead without noise. So the part reaches on both sides to where the wave has lost a share of its height over what
    lies 60 ms to its sides, and that share grows with the noise: what the smoothing took off.
    """
    mask, delay = lengths.mask, lengths.smooth_delay
    wave, aside = signals.wave, int(ASIDE_S * lengths.rate_hz)
    for _ in range(2):
        centre = math.floor(r + 0.5)
        most = min(aside, now - delay - centre)
        here = wave[k, W_SMOOTH, (centre + delay) & mask]
        base = _foot(lengths, signals, k, centre, now)
        if most < 2 or here == base:
            return r
        noise = 0.0
        for j in range(-aside, most + 1):
            noise += abs(wave[k, RAW, (centre + j) & mask] / NANOVOLTS - wave[k, W_SMOOTH, (centre + j + delay) & mask])
        lost = min(max(LOST_PER_NOISE * noise / (aside + most + 1) / abs(here - base), LEAST_LOST), MOST_LOST)
        half = 1
        while half < most:
            before = (wave[k, W_SMOOTH, (centre - half + delay) & mask] - base) / (here - base)
            after = (wave[k, W_SMOOTH, (centre + half + delay) & mask] - base) / (here - base)
            if min(before, after) < 1.0 - lost:
                break
            half += 1
        if half < 2:
            return r
        slope, bend, power, squares, fourths = 0.0, 0.0, 0.0, 0.0, 0.0
        for j in range(-half, half + 1):
            value = wave[k, W_SMOOTH, (centre + j + delay) & mask] - here
            slope += j * value
            bend += j * j * value
            power += value
            squares += j * j
            fourths += j * j * j * j
        count = 2 * half + 1
        curve = (bend - squares * power / count) / (fourths - squares * squares / count)
        if curve == 0.0:
            return r
        step = -0.5 * slope / squares / curve
        if abs(step) > half:
            return r
        r = centre + step
    return r


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
