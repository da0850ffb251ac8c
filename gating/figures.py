"""The figures of a candidate: how it compares, on all leads together, with the beats of this patient and their rhythm.

Almost all are logarithms of ratios, so that neither gain nor lead nor patient matters. Each lead's figures are averaged
by the leads' shares; a few extremes over the leads, and the figures of the lead that looks most like a beat, stand
beside them. The list is therefore as long for one lead as for twelve.
"""

import math

from gating.filters import ENERGY as W_ENERGY
from gating.filters import NANOVOLTS, Floats, Lengths, Signals
from gating.filters import RAW as W_RAW
from gating.filters import SLOPE as W_SLOPE
from gating.filters import SMOOTH as W_SMOOTH
from gating.kernel import assign, inlined, kernel
from gating.qrs import (
    BEATS_KNOWN,
    BEFORE_LAST_R,
    BEFORE_QRS,
    BETWEEN,
    ENERGY,
    FALL,
    LAST_ODDS,
    LAST_R,
    LAST_RR,
    LAST_STRENGTH,
    LEAST_MARGIN,
    LIKENESS,
    LONG,
    LONG_LIKENESS,
    LONG_MARGIN,
    LONG_REJECTED,
    MARGIN,
    OTHER_ENERGY,
    PROFILE,
    REJECTED_ODDS,
    REJECTED_R,
    REJECTED_STRENGTH,
    RISE,
    RR,
    RR_SPREAD,
    SHARE,
    SLOT_S,
    SLOTS,
    STRONGEST,
    SWING,
    WORST_REJECTED,
    Usual,
    likenesses,
    log_ratio,
)

PER_LEAD = (
    "energy", "rise", "fall", "swing", "likeness", "other_likeness", "quiet_before", "roughness", "step", "steepness",
    "between", "lately", "width", "still_going", "other_energy",
)  # fmt: skip
(
    F_ENERGY, F_RISE, F_FALL, F_SWING, F_LIKENESS, F_OTHER_LIKENESS, F_QUIET, F_ROUGHNESS, F_STEP, F_STEEPNESS,
    F_BETWEEN, F_LATELY, F_WIDTH, F_STILL, F_OTHER_ENERGY,
) = range(15)  # fmt: skip
FUSED = 15
F_EARLY = FUSED + 11
FIGURES = (
    *PER_LEAD,
    "least_energy", "most_energy", "least_likeness", "most_likeness", "better_likeness",
    "best_lead_energy", "best_lead_likeness", "best_lead_swing", "best_lead_quiet", "best_lead_steepness",
    "best_lead_slope",
    "early", "late", "since_last", "off_beat", "off_two_beats", "last_rr", "rate", "rr_spread", "beats_known",
    "last_strength", "last_odds", "since_rejected", "over_rejected", "rejected_odds", "over_strongest",
    "over_profile", "over_before_qrs", "before_qrs", "just_before", "opening", "after_peak", "leads",
)  # fmt: skip
COUNT = len(FIGURES)
TRUST_FIGURES = (
    *FIGURES, "odds", "margin", "least_margin", "worst_rejected", "likeness_lately",
    "long_margin", "long_rejected", "long_likeness",
)  # fmt: skip
TRUST_COUNT = len(TRUST_FIGURES)


@inlined
def measure_lead(
    lengths: Lengths, signals: Signals, usual: Usual, k: int, opened: int, r: float, now: int, out: Floats
) -> None:
    """Fill `out` [PER_LEAD] with the figures of one lead, from samples up to now."""
    rate, mask, delay, leads = lengths.rate_hz, lengths.mask, lengths.smooth_delay, usual.leads
    start = int(r + 0.5) - int(0.06 * rate)
    energy, rise, fall = 0.0, 0.0, 0.0
    for n in range(start, now + 1):
        energy = max(energy, signals.wave[k, W_ENERGY, n & mask])
        slope = signals.wave[k, W_SLOPE, n & mask]
        rise, fall = max(rise, slope), max(fall, -slope)
    low, high = 1e18, -1e18
    for n in range(start + delay, now + 1):
        value = signals.wave[k, W_SMOOTH, n & mask]
        low, high = min(low, value), max(high, value)
    usual_energy, usual_swing, swing = leads[k, ENERGY], leads[k, SWING], high - low
    steepest = max(rise, fall) / (NANOVOLTS * lengths.slope)
    out[F_ENERGY] = log_ratio(energy, usual_energy)
    out[F_RISE] = log_ratio(rise, leads[k, RISE])
    out[F_FALL] = log_ratio(fall, leads[k, FALL])
    out[F_SWING] = log_ratio(swing, usual_swing)
    out[F_LIKENESS], out[F_OTHER_LIKENESS] = likenesses(lengths, signals, usual, 0, 1, k, r, now)
    out[F_QUIET] = log_ratio(_quiet_before(lengths, signals, k, opened), usual_energy)
    out[F_ROUGHNESS] = log_ratio(20.0 * _roughness(lengths, signals, k, start), usual_swing)
    out[F_STEP] = log_ratio(_step(lengths, signals, k, start, now) + 0.02 * usual_swing, usual_swing)
    out[F_STEEPNESS] = log_ratio(steepest, swing + 1e-9)
    out[F_BETWEEN] = log_ratio(leads[k, BETWEEN], usual_energy)
    out[F_LATELY] = log_ratio(_lately(lengths, signals, k, opened), usual_energy)
    out[F_WIDTH] = log_ratio(energy, steepest + 1e-9)
    out[F_STILL] = log_ratio(signals.wave[k, W_ENERGY, now & mask], energy + 1e-9)
    out[F_OTHER_ENERGY] = log_ratio(energy, leads[k, OTHER_ENERGY])


@inlined
def _quiet_before(lengths: Lengths, signals: Signals, k: int, opened: int) -> float:
    """Give the mean energy from 220 to 60 ms before the opening."""
    total, count = 0.0, 0
    last, stride = opened - int(0.06 * lengths.rate_hz), max(1, lengths.energy // 4)
    for n in range(opened - int(0.22 * lengths.rate_hz), last, stride):
        total += signals.wave[k, W_ENERGY, n & lengths.mask]
        count += 1
    return total / max(count, 1)


@inlined
def _roughness(lengths: Lengths, signals: Signals, k: int, start: int) -> float:
    """Give the mean distance of raw from smooth over 180 ms before the QRS (microvolts)."""
    total, count, mask = 0.0, 0, lengths.mask
    for n in range(start - int(0.2 * lengths.rate_hz), start - int(0.02 * lengths.rate_hz)):
        total += abs(
            signals.wave[k, W_RAW, n & mask] / NANOVOLTS - signals.wave[k, W_SMOOTH, (n + lengths.smooth_delay) & mask]
        )
        count += 1
    return total / max(count, 1)


@inlined
def _step(lengths: Lengths, signals: Signals, k: int, start: int, now: int) -> float:
    """Give how far the lead stands now from where it stood before the QRS (microvolts): an electrode stays off."""
    rate, mask = lengths.rate_hz, lengths.mask
    before, count = 0.0, max(1, int(0.03 * rate))
    for n in range(count):
        before += signals.wave[k, W_SMOOTH, (start - int(0.04 * rate) - n) & mask]
    after, few = 0.0, max(1, int(0.012 * rate))
    for n in range(few):
        after += signals.wave[k, W_SMOOTH, (now - n) & mask]
    return abs(after / few - before / count)


@inlined
def _lately(lengths: Lengths, signals: Signals, k: int, opened: int) -> float:
    """Give the mean energy of the last 0.8 s before the opening."""
    total, steps = 0.0, int(0.8 * lengths.rate_hz / lengths.energy)
    for step in range(steps):
        total += signals.wave[
            k, W_ENERGY, (opened - int(0.03 * lengths.rate_hz) - step * lengths.energy) & lengths.mask
        ]
    return total / steps


@kernel
def measure(
    lengths: Lengths, signals: Signals, usual: Usual, opened: int, r: float, now: int, lead: Floats, out: Floats
) -> None:
    """Fill `out` [FIGURES] with the figures of what opened at `opened` and peaks at r; `lead` is for scratch."""
    leads = usual.leads
    out[:] = 0.0
    least, most, best, top = FUSED, FUSED + 1, FUSED + 5, 0.0
    out[least] = 1e9
    out[most] = -1e9
    out[FUSED + 2], out[FUSED + 3] = 1.0, -1.0
    for k in range(leads.shape[0]):
        top = max(top, leads[k, SHARE])
    best_score = -1e9
    for k in range(leads.shape[0]):
        share = leads[k, SHARE]
        if share <= 0.0:
            continue
        measure_lead(lengths, signals, usual, k, opened, r, now, lead)
        for j in range(FUSED):
            out[j] += share * lead[j]
        out[least], out[most] = min(out[least], lead[F_ENERGY]), max(out[most], lead[F_ENERGY])
        out[FUSED + 2] = min(out[FUSED + 2], lead[F_LIKENESS])
        out[FUSED + 3] = max(out[FUSED + 3], lead[F_LIKENESS])
        score = lead[F_LIKENESS] + 0.5 * min(lead[F_ENERGY], 0.0) + 0.3 * min(lead[F_SWING], 0.0)
        if share >= 0.15 * top and score > best_score:
            best_score = score
            out[best], out[best + 1], out[best + 2] = lead[F_ENERGY], lead[F_LIKENESS], lead[F_SWING]
            out[best + 3], out[best + 4] = lead[F_QUIET], lead[F_STEEPNESS]
            out[best + 5] = min(lead[F_RISE], lead[F_FALL])
    out[FUSED + 4] = max(out[F_LIKENESS], out[F_OTHER_LIKENESS])
    _rhythm(lengths, usual, r, out)
    _context(lengths, signals, usual, opened, r, now, out)


@inlined
def _rhythm(lengths: Lengths, usual: Usual, r: float, out: Floats) -> None:
    """Fill in how the candidate stands in the rhythm."""
    beat, at = usual.beat, FUSED + 11
    since = r - beat[LAST_R]
    since_s = min(since / lengths.rate_hz, 3.0)
    intervals = min(since / beat[RR], 3.0)
    out[at] = min(intervals, 1.0)
    out[at + 1] = max(intervals - 1.0, 0.0)
    out[at + 2] = math.log(max(since_s, 0.05))
    out[at + 3] = abs(min(intervals, 2.0) - 1.0)
    out[at + 4] = min(abs((r - beat[BEFORE_LAST_R]) / beat[RR] - 2.0), 1.0)
    out[at + 5] = min(max(beat[LAST_RR] / beat[RR], 0.3), 2.5) if beat[LAST_RR] > 0.0 else 1.0
    out[at + 6] = math.log(beat[RR] / lengths.rate_hz)
    out[at + 7] = min(beat[RR_SPREAD], 0.5)
    out[at + 8] = min(beat[BEATS_KNOWN], 8.0) / 8.0
    out[at + 9] = beat[LAST_STRENGTH]
    out[at + 10] = 0.2 * min(max(beat[LAST_ODDS], -6.0), 6.0)
    since_rejected_s = (r - beat[REJECTED_R]) / lengths.rate_hz
    out[at + 11] = min(max(since_rejected_s, 0.0), 0.6)
    if since_rejected_s < 0.6:
        out[at + 12] = beat[REJECTED_STRENGTH] - out[F_ENERGY]
        out[at + 13] = 0.2 * min(max(beat[REJECTED_ODDS], -6.0), 6.0)
    out[at + 14] = beat[STRONGEST] - out[F_ENERGY] if beat[STRONGEST] > -5.0 else -5.0


@inlined
def _context(lengths: Lengths, signals: Signals, usual: Usual, opened: int, r: float, now: int, out: Floats) -> None:
    """Fill in how the candidate compares with what usually stands where it does."""
    beat, at, rate, mask = usual.beat, FUSED + 26, lengths.rate_hz, lengths.mask
    slot, there = int(min((r - beat[LAST_R]) / rate, 3.0) / SLOT_S), 0.02
    for j in range(max(0, slot - 1), min(SLOTS, slot + 2)):
        there = max(there, usual.beat[PROFILE + j])
    known = beat[BEATS_KNOWN] > 0.0
    out[at] = log_ratio(math.exp(out[F_ENERGY]), there) if beat[BEATS_KNOWN] > 2.0 else 0.0
    out[at + 1] = min(max(out[F_ENERGY] - beat[BEFORE_QRS], -3.0), 3.0) if known else 0.0
    out[at + 2] = beat[BEFORE_QRS] if known else -2.0
    just, stride = 0.0, max(1, lengths.energy // 6)
    for n in range(opened - int(0.25 * rate), opened - int(0.02 * rate), stride):
        just = max(just, signals.strength[n & mask])
    out[at + 3] = log_ratio(just, math.exp(out[F_ENERGY]))
    out[at + 4] = log_ratio(signals.strength[opened & mask], 1.0)
    out[at + 5] = 10.0 * (now - r) / rate
    out[at + 6] = math.log(1.0 + usual.leads.shape[0])


@inlined
def measure_trust(usual: Usual, figures: Floats, odds: float, out: Floats) -> None:
    """Fill `out` [TRUST_FIGURES]: the figures of a confirmed beat, and how clear the last decisions were."""
    beat = usual.beat
    assign(out[:COUNT], figures)
    out[COUNT] = min(max(odds, -8.0), 8.0)
    out[COUNT + 1] = beat[MARGIN]
    out[COUNT + 2] = beat[LEAST_MARGIN]
    out[COUNT + 3] = beat[WORST_REJECTED]
    out[COUNT + 4] = beat[LIKENESS]
    out[COUNT + 5] = beat[LONG_MARGIN]
    out[COUNT + 6] = beat[LONG_REJECTED]
    out[COUNT + 7] = beat[LONG_LIKENESS]


@inlined
def note_decision(usual: Usual, odds: float) -> None:
    """Remember how clear a decision was, of beats and of what was none."""
    beat = usual.beat
    margin = min(abs(odds), 6.0)
    beat[MARGIN] += 0.2 * (margin - beat[MARGIN])
    beat[LONG_MARGIN] += LONG * (margin - beat[LONG_MARGIN])
    beat[LONG_REJECTED] += LONG * ((1.0 if odds < 0.0 else 0.0) - beat[LONG_REJECTED])
    beat[LEAST_MARGIN] = min(beat[LEAST_MARGIN] + 0.35, margin)
    if odds < 0.0:
        beat[WORST_REJECTED] = max(beat[WORST_REJECTED], odds)
