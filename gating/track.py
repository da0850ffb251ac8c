"""The state of one search for R-peaks, and the words that it says: compiled, all in arrays."""

from typing import NamedTuple

import numpy as np

from gating.fiducial import SEEKS, offset_of, timed_lead
from gating.figures import COUNT, TRUST_COUNT
from gating.filters import WEIGHT, Floats, Integers, Lengths, Signals, fuse_again, lengths_for, signals_for, time_ns
from gating.kernel import assign, inlined, kernel
from gating.matched_filter import MARKS
from gating.qrs import (
    BEATS_KNOWN,
    LAST_R,
    NEVER,
    OFFSET_SPREAD,
    OFFSETS,
    TRUST,
    TRUSTED,
    Usual,
    any_lead,
    forget,
    usual_for,
    weigh,
)
from gating.units import NS_PER_S

UNKNOWN_OFFSET_S = 0.020
LEFT_S = 0.25  # what a lead said before it fell is not believed
NO_CANDIDATE = -1

(NEXT, SEARCHED, BEGUN, LEARNED, LEARN_FROM, REFERENCE, NUMBER) = range(7)
(OPENED, LOOK, TOLD, STAGE, WAITED, BLIND) = range(7, 13)
PLACES = 13
(LOW, PATIENT_UNTIL) = range(2)
(CONFIRM_S, REFRACTORY_S, LEARN_S) = range(3)  # of the limits
(E_STAGE, E_NUMBER, E_LEAD, E_R_AT, E_ERROR, E_DECIDED_AT, E_KNOWN) = range(7)
EVENT_INTEGERS = 7
(E_CONFIDENCE, E_TRUST) = range(2)
EVENT_FLOATS = 2
PROVISIONAL, CONFIRMED, WITHDRAWN = range(3)
# a row of the training: TRUST_FIGURES, then r, now, kind, odds, opened
(ROW_R, ROW_NOW, ROW_KIND, ROW_ODDS, ROW_OPENED) = range(TRUST_COUNT, TRUST_COUNT + 5)
ROW_COLUMNS = TRUST_COUNT + 5


class Track(NamedTuple):
    """The whole state of one search."""

    lengths: Lengths
    signals: Signals
    usual: Usual
    before: Usual  # what was known before the last beat
    place: Integers  # [NEXT ...]
    low: Floats  # [LOW: least strength since the last candidate, PATIENT_UNTIL: no smaller beats before]
    figures: Floats  # scratch: of a candidate
    trust_figures: Floats  # scratch: of a confirmed beat
    seek: Floats  # where `fiducial.peak` came to
    scratch: Floats  # of a lead's figures, and of marks
    units: Floats  # scratch: of the networks


def track_for(leads: int, rate_hz: float, reference: int, units: int) -> Track:
    """Make the state of a search that has seen nothing; no network has more than so many units."""
    lengths = lengths_for(rate_hz)
    place = np.zeros(PLACES, dtype=np.int64)
    place[REFERENCE], place[OPENED] = reference, NO_CANDIDATE
    return Track(
        lengths=lengths,
        signals=signals_for(lengths, leads),
        usual=usual_for(lengths, leads),
        before=usual_for(lengths, leads),
        place=place,
        low=np.array([1e18, 0.0]),
        figures=np.zeros(COUNT),
        trust_figures=np.zeros(TRUST_COUNT),
        seek=np.full(SEEKS, -1.0),
        scratch=np.zeros(max(COUNT, MARKS + 3 * leads)),
        units=np.zeros(units),
    )


@inlined
def event(
    track: Track,
    stage: int,
    timed: int,
    r: float,
    error_s: float,
    confidence: float,
    trust: float,
    integers: Integers,
    floats: Floats,
    events: int,
) -> int:
    """Write one event; gives the number of events."""
    place, usual, rate = track.place, track.usual, track.lengths.rate_hz
    newest = place[NEXT] - 1
    if timed != place[REFERENCE]:
        known = usual.leads[timed, OFFSETS] >= 3
        error_s += usual.leads[timed, OFFSET_SPREAD] / rate if known else UNKNOWN_OFFSET_S
        r -= offset_of(usual, timed, place[REFERENCE])
    integers[events, E_STAGE], integers[events, E_NUMBER], integers[events, E_LEAD] = stage, place[NUMBER], timed
    integers[events, E_R_AT] = time_ns(track.lengths, track.signals, r, newest)
    integers[events, E_ERROR] = np.int64(np.rint(error_s * NS_PER_S))
    integers[events, E_DECIDED_AT] = track.signals.at_ns[newest & track.lengths.mask]
    integers[events, E_KNOWN] = np.int64(usual.beat[BEATS_KNOWN])
    floats[events, E_CONFIDENCE], floats[events, E_TRUST] = confidence, trust
    return events + 1


@kernel
def drop(track: Track, integers: Integers, floats: Floats, events: int) -> int:
    """Give up an open candidate; what was told of it is withdrawn."""
    place = track.place
    if place[OPENED] != NO_CANDIDATE and place[TOLD] == 1:
        timed = timed_lead(track.usual, place[REFERENCE])
        opened = float(place[OPENED])
        events = event(track, WITHDRAWN, timed, opened, 0.05, 0.0, track.usual.beat[TRUST], integers, floats, events)
    place[OPENED] = NO_CANDIDATE
    place[TOLD] = 0
    return events


@inlined
def note(track: Track, rows: Floats, row_count: int, r: float, n: int, kind: int, odds: float) -> int:
    """Keep the figures of a decision for the training; gives the number of rows."""
    if row_count >= rows.shape[0]:
        return row_count
    row = rows[row_count]
    assign(row[:COUNT], track.figures)
    if kind == CONFIRMED:
        assign(row[:TRUST_COUNT], track.trust_figures)
    row[ROW_R], row[ROW_NOW], row[ROW_KIND], row[ROW_ODDS] = r, n, kind, odds
    row[ROW_OPENED] = track.place[OPENED]
    return row_count + 1


@kernel
def relearn(track: Track, integers: Integers, floats: Floats) -> int:
    """Forget all beats; gives the number of events, at most one."""
    events = drop(track, integers, floats, 0)
    forget(track.lengths, track.usual)
    forget(track.lengths, track.before)
    place = track.place
    place[LEARNED], place[LEARN_FROM] = 0, place[NEXT]
    return events


@kernel
def change_trust(track: Track, trusted: Integers, integers: Integers, floats: Floats) -> int:
    """Take the new word on the leads; gives the number of events, at most one.

    When one falls, what it lately said is taken out of the strength, and a candidate not yet decided, which may be its
    doing, is withdrawn and looked for again in the others. Without any lead there is silence.
    """
    place, usual, events = track.place, track.usual, 0
    fell = False
    for k in range(trusted.shape[0]):
        fell = fell or (usual.leads[k, TRUSTED] != 0.0 and trusted[k] == 0)
        usual.leads[k, TRUSTED] = trusted[k]
    if place[LEARNED] == 0:
        place[LEARN_FROM] = place[NEXT]
        return 0
    newest = place[NEXT] - 1
    weigh(track.lengths, track.signals.wave, usual.leads, newest)
    if fell:
        left = place[NEXT] - int(LEFT_S * track.lengths.rate_hz)
        fuse_again(track.lengths, track.signals, usual.leads, left, place[NEXT])
        if place[OPENED] != NO_CANDIDATE:
            again = place[OPENED]
            events = drop(track, integers, floats, 0)
            place[SEARCHED], place[BLIND] = again, again
            track.low[LOW] = 1e18
    if not any_lead(usual.leads, WEIGHT):
        usual.beat[LAST_R] = NEVER
        if any_lead(usual.leads, TRUSTED):  # only leads that nobody has seen a beat on
            place[LEARNED], place[LEARN_FROM] = 0, place[NEXT]
    return events
