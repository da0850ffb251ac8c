"""The search for R-peaks, compiled: what `r_peak` is about, one sample after the other.

All state stands in the arrays of a `Track`, and sample number n is looked at with nothing but the samples up to it,
though the next ones (`AHEAD`) may be filtered already; so the answer is the same however the stream was cut. See
`r_peak` for the theory.
"""

import numpy as np

from gating.fiducial import RISING, offset_of, peak, timed_lead
from gating.figures import F_EARLY, F_ENERGY, measure, measure_trust, note_decision
from gating.filters import AHEAD, NEVER_NEGATIVE, Floats, Integers, begin, filter_ahead, fuse
from gating.judge import Network, log_odds, probability
from gating.kernel import inlined, kernel
from gating.learning import learn_levels, remember
from gating.matched_filter import ERROR, MARK, mark
from gating.mistaken import doubt, doubt_unlike, shows_mistake
from gating.qrs import (
    LAST_R,
    REJECTED_ODDS,
    REJECTED_R,
    REJECTED_STRENGTH,
    RR,
    SHARE,
    STRONGEST,
    TRUST,
    TRUSTED,
    any_lead,
    weigh,
)
from gating.track import (
    BEGUN,
    BLIND,
    CONFIRM_S,
    CONFIRMED,
    LEARN_FROM,
    LEARN_S,
    LEARNED,
    LOOK,
    LOW,
    NEXT,
    NO_CANDIDATE,
    NUMBER,
    OPENED,
    PATIENT_UNTIL,
    PROVISIONAL,
    REFERENCE,
    REFRACTORY_S,
    SEARCHED,
    STAGE,
    TOLD,
    WAITED,
    WITHDRAWN,
    Track,
    drop,
    event,
    note,
)

OPENING = 0.20  # strength that opens a candidate
RISE = 1.4  # over the least strength since the last candidate: what falls off opens nothing
RISING_STEP_S = 0.001  # while it rises, a candidate is looked at so often
STEP_S = 0.004
WEIGH_S = 0.050  # the leads are weighed so often
LOOKS_S = (0.003, 0.010, 0.017, 0.024)  # after the peak: when a candidate may be told as provisional
LOOKS_ODDS = (2.0, 1.0, 0.3, -0.7)  # and how sure the judge must be
EARLY, EARLY_LESS = 0.8, 0.6  # of the usual RR: a premature beat must be known soon, so less is enough
DOUBT, DOUBT_UNTIL_S = 2.5, 0.070  # log odds within which the judge waits, and until when after the peak
OPEN_S = 0.140  # a candidate is judged by then, whatever its peak does
SAME_S = 0.030  # of a rejected peak: the same one again
LATE_S = 0.015  # a lead that peaks before the reference is given no more than this
PATIENCE, LEAST_PATIENCE = 1.3, 0.15  # RR after which smaller beats are believed, and how small ones
LOST_S, LOST_LATE_S = 2.0, 1.0  # without a beat, and beyond patience: the levels are learnt anew


@kernel
def advance(
    track: Track,
    confirm: Network,
    provisional: Network,
    trust: Network,
    limits: Floats,
    samples: Floats,
    first: int,
    last: int,
    first_at_ns: int,
    period_ns: float,
    before: int,
    integers: Integers,
    floats: Floats,
    rows: Floats,
    row_count: int,
) -> tuple[int, int, int]:
    """Take samples [first, last) of a piece, of which `before` samples of the block came before it.

    Gives the sample up to which it came (earlier than `last` when the events filled their arrays), the number of
    events, and the number of rows.
    """
    place, signals, lengths, leads = track.place, track.signals, track.lengths, track.usual.leads
    mask = lengths.mask & NEVER_NEGATIVE
    if place[BEGUN] == 0 and first < last:
        begin(lengths, signals, samples[first])
        place[BEGUN] = 1
    weigh_every, events = max(1, int(WEIGH_S * lengths.rate_hz)), 0
    weigh_next = (place[NEXT] + weigh_every - 1) // weigh_every * weigh_every
    for ahead in range(first, last, AHEAD):
        if events > integers.shape[0] - AHEAD:
            return ahead, events, row_count
        i, end = ahead, min(ahead + AHEAD, last)
        n = place[NEXT]
        filter_ahead(lengths, signals, n, samples, ahead, end)
        for j in range(ahead, end):
            signals.at_ns[(n + j - ahead) & mask] = first_at_ns + np.int64(np.rint((before + j) * period_ns))
        while i < end:
            i += _pass_idle(track, min(end - i, weigh_next - place[NEXT]))
            if i == end:
                break
            n = place[NEXT]
            fuse(signals, leads, n & mask)
            i, place[NEXT] = i + 1, n + 1
            if n == weigh_next:
                weigh_next = n + weigh_every
                if place[LEARNED] == 1:
                    weigh(lengths, signals.wave, leads, n)
            while place[SEARCHED] <= n:
                at = place[SEARCHED]
                place[SEARCHED] = at + 1
                events, row_count = _search(
                    track, confirm, provisional, trust, limits, at, integers, floats, events, rows, row_count
                )
    return last, events, row_count


@inlined
def _pass_idle(track: Track, most: int) -> int:
    """Take those of the next samples, filtered already, with which `_search` would do nothing; gives how many.

    A candidate that rests waits for its next look. Without one, a sample is idle if it may not open one; then it would
    only be noted if it is the lowest.
    """
    place, low, signals, leads = track.place, track.low, track.signals, track.usual.leads
    mask, first = track.lengths.mask & NEVER_NEGATIVE, place[NEXT]
    if place[LEARNED] == 0 or place[SEARCHED] != first:
        return 0
    resting, blind, patient_until = place[OPENED] != NO_CANDIDATE, place[BLIND], low[PATIENT_UNTIL]
    lowest, n, last = low[LOW], first, first + most
    if resting:
        last = min(last, max(first, place[LOOK]))
    while n < last:
        strength = fuse(signals, leads, n & mask)
        if not resting:
            if n >= blind and (n >= patient_until or (strength >= OPENING and strength >= RISE * lowest)):
                break
            lowest = min(lowest, strength)
        n += 1
    low[LOW] = lowest
    place[NEXT] = place[SEARCHED] = n
    return n - first


@inlined
def _search(
    track: Track,
    confirm: Network,
    provisional: Network,
    trust: Network,
    limits: Floats,
    n: int,
    integers: Integers,
    floats: Floats,
    events: int,
    rows: Floats,
    row_count: int,
) -> tuple[int, int]:
    """Look at sample number n; gives the numbers of events and rows."""
    place, usual, lengths = track.place, track.usual, track.lengths
    rate = lengths.rate_hz
    if place[LEARNED] == 0:
        if any_lead(usual.leads, TRUSTED) and n - place[LEARN_FROM] + 1 >= int(limits[LEARN_S] * rate + 0.5):
            _learn(track, n, int(limits[LEARN_S] * rate + 0.5))
        return events, row_count
    if place[OPENED] == NO_CANDIDATE:
        _scan(track, n, int(limits[LEARN_S] * rate + 0.5))
    if place[OPENED] == NO_CANDIDATE or n < place[LOOK]:
        return events, row_count
    place[LOOK] = n + max(1, int(RISING_STEP_S * rate))
    reference = place[REFERENCE]
    timed = timed_lead(usual, reference)
    r = peak(lengths, track.signals, usual, timed, place[OPENED], n, track.seek)
    if r != RISING and abs(r - usual.beat[REJECTED_R]) < SAME_S * rate:
        events = drop(track, integers, floats, events)
        track.low[LOW], place[BLIND] = track.signals.strength[n & lengths.mask], n + 1
        return events, row_count
    offset = offset_of(usual, timed, reference)
    late = min(max(offset, 0.0), LATE_S * rate)
    age = n - (r - offset) - late if r != RISING else -1.0
    old = n - place[OPENED] > OPEN_S * rate
    until = DOUBT_UNTIL_S if place[WAITED] == 1 else limits[CONFIRM_S]
    if not old and (r == RISING or age < until * rate):
        if r != RISING:
            place[LOOK] = n + _rest(place, age, until, rate)
        if r != RISING and place[TOLD] == 0:
            return _tell_early(track, provisional, limits, timed, r, age, n, integers, floats, events, rows, row_count)
        return events, row_count
    return _decide(track, confirm, trust, limits, timed, r, age, old, n, integers, floats, events, rows, row_count)


@inlined
def _rest(place: Integers, age: float, until_s: float, rate: float) -> int:
    """Give the samples to the next look at a candidate whose peak is `age` samples old, at most 8 ms."""
    rest = until_s * rate - age
    if place[TOLD] == 0:
        for look_s in LOOKS_S:
            if look_s * rate > age:
                rest = min(rest, look_s * rate - age)
    return max(1, min(int(np.ceil(rest)), int(0.008 * rate)))


@kernel
def _learn(track: Track, n: int, span: int) -> None:
    """Learn the levels from the last samples, and begin to search behind them."""
    place, usual = track.place, track.usual
    learn_levels(track.lengths, track.signals, usual, n, span)
    if place[LEARNED] == 0 and usual.leads[place[REFERENCE], TRUSTED] == 0.0:
        place[REFERENCE] = usual.leads[:, SHARE].argmax()
    place[LEARNED], place[LEARN_FROM], place[BLIND] = 1, n, n
    place[OPENED] = NO_CANDIDATE
    track.low[LOW] = 1e18


@inlined
def _scan(track: Track, n: int, span: int) -> None:
    """Open a candidate where the strength rises; long after the last beat smaller ones do, and at last all is anew."""
    place, beat, rate = track.place, track.usual.beat, track.lengths.rate_hz
    strength = track.signals.strength[n & track.lengths.mask]
    track.low[LOW] = min(track.low[LOW], strength)
    if n < place[BLIND]:
        return
    since = n - max(beat[LAST_R], float(place[LEARN_FROM]))
    late_s = (since - PATIENCE * beat[RR]) / rate
    track.low[PATIENT_UNTIL] = n - late_s * rate
    least = OPENING if late_s <= 0.0 else OPENING * max(LEAST_PATIENCE, 0.75 * 0.5**late_s)
    if strength >= least and strength >= RISE * track.low[LOW]:
        place[OPENED], place[LOOK] = n, n
        place[TOLD] = place[STAGE] = place[WAITED] = 0
    elif late_s > LOST_LATE_S and since > LOST_S * rate:
        _learn(track, n, span)


@inlined
def _tell_early(
    track: Track,
    provisional: Network,
    limits: Floats,
    timed: int,
    r: float,
    age: float,
    n: int,
    integers: Integers,
    floats: Floats,
    events: int,
    rows: Floats,
    row_count: int,
) -> tuple[int, int]:
    """Look whether a candidate may be told before it is judged."""
    place, usual, rate = track.place, track.usual, track.lengths.rate_hz
    stage = place[STAGE]
    if stage >= len(LOOKS_S):
        return events, row_count
    while stage < len(LOOKS_S) - 1 and age >= LOOKS_S[stage + 1] * rate:
        stage += 1
    place[STAGE] = stage
    if age < LOOKS_S[stage] * rate or r - usual.beat[LAST_R] < limits[REFRACTORY_S] * rate:
        return events, row_count
    measure(track.lengths, track.signals, usual, place[OPENED], r, n, track.scratch, track.figures)
    odds = log_odds(provisional, track.figures, track.units)
    odds -= doubt(track.lengths, track.signals, usual, track.figures, r, n)
    row_count = note(track, rows, row_count, r, n, PROVISIONAL, odds)
    hasty = EARLY_LESS if track.figures[F_EARLY] < EARLY else 0.0
    if odds > LOOKS_ODDS[stage] - hasty:
        place[TOLD] = 1
        place[NUMBER] += 1
        error = 0.004 + 0.5 / rate
        events = event(
            track, PROVISIONAL, timed, r, error, probability(odds), usual.beat[TRUST], integers, floats, events
        )
    place[STAGE] = stage + 1
    return events, row_count


@inlined
def _decide(
    track: Track,
    confirm: Network,
    trust: Network,
    limits: Floats,
    timed: int,
    r: float,
    age: float,
    old: bool,
    n: int,
    integers: Integers,
    floats: Floats,
    events: int,
    rows: Floats,
    row_count: int,
) -> tuple[int, int]:
    """Judge a candidate: confirm it, or withdraw what was told; in doubt wait once."""
    place, usual, beat, rate = track.place, track.usual, track.usual.beat, track.lengths.rate_hz
    strength = track.signals.strength
    mask = track.lengths.mask
    odds = -9.0
    if r != RISING:
        measure(track.lengths, track.signals, usual, place[OPENED], r, n, track.scratch, track.figures)
        odds = log_odds(confirm, track.figures, track.units)
        odds -= doubt(track.lengths, track.signals, usual, track.figures, r, n) + doubt_unlike(track.figures)
        measure_trust(usual, track.figures, odds, track.trust_figures)
        row_count = note(track, rows, row_count, r, n, CONFIRMED, odds)
        if place[WAITED] == 0 and abs(odds) < DOUBT and age < DOUBT_UNTIL_S * rate and not old:
            place[WAITED] = 1
            return events, row_count
        note_decision(usual, odds)
    alone = r - beat[LAST_R] >= limits[REFRACTORY_S] * rate
    if odds > 0.0 and (alone or shows_mistake(track.lengths, usual, track.figures, r)):
        events = _confirm(track, trust, timed, r, odds, n, integers, floats, events)
        track.low[LOW] = strength[n & mask]
    else:
        if place[TOLD] == 1:
            events = event(track, WITHDRAWN, timed, r, 0.02, 0.0, beat[TRUST], integers, floats, events)
        # what still rises may be a QRS behind a P wave: it may open at once, what falls must rise again
        least = strength[n & mask]
        if r != RISING:
            beat[REJECTED_R], beat[REJECTED_STRENGTH], beat[REJECTED_ODDS] = r, track.figures[F_ENERGY], odds
            if alone:
                beat[STRONGEST] = max(beat[STRONGEST], track.figures[F_ENERGY])
            if strength[n & mask] > strength[(n - max(1, int(STEP_S * rate + 0.5))) & mask]:
                for m in range(int(r) + track.lengths.smooth_delay, n + 1):
                    least = min(least, strength[m & mask])
        track.low[LOW] = least
    place[OPENED], place[BLIND] = NO_CANDIDATE, n + 1
    return events, row_count


@inlined
def _confirm(
    track: Track,
    trust: Network,
    timed: int,
    r: float,
    odds: float,
    n: int,
    integers: Integers,
    floats: Floats,
    events: int,
) -> int:
    """Tell a confirmed beat, with its exact time and the trust, and learn from it."""
    place, usual, fit = track.place, track.usual, track.scratch
    if place[TOLD] == 0:
        place[NUMBER] += 1
    usual.beat[TRUST] = probability(log_odds(trust, track.trust_figures, track.units))
    marked = mark(track.lengths, track.signals, usual, timed, place[REFERENCE], r, n, fit)
    r_marked = fit[MARK]
    events = event(
        track,
        CONFIRMED,
        timed,
        r_marked,
        fit[ERROR] / track.lengths.rate_hz,
        probability(odds),
        usual.beat[TRUST],
        integers,
        floats,
        events,
    )
    remember(
        track.lengths,
        track.signals,
        usual,
        track.before,
        place[OPENED],
        r,
        n,
        track.figures,
        odds,
        timed,
        place[REFERENCE],
        marked,
        r_marked,
        track.seek,
        fit,
    )
    return events
