"""A rehearsed breath-hold at the level of beats: what the gate's own rooms make of a simulated or recorded heart."""

from gating.beats import Beats, ClassifiedBeat
from gating.rehearsal import NotRehearsed, Rehearsal, Rehearsed
from gating.rhythm import RhythmJudge
from gating.settings import GateSettings
from gating.units import NS_PER_S
from simulators.beat_scan import confirmed
from simulators.comparison import Case

BEFORE = 8  # beats before the hold that are looked at


def rehearse(case: Case, settings: GateSettings) -> Rehearsed | NotRehearsed:
    """Rehearse the breath-hold of a case, for as long as the settings ask.

    Parameters
    ----------
    case
        The heart, and when it begins to hold the breath.
    settings
        The gate's: rhythm and rehearsal.
    """
    beats, judge = Beats(settings.rhythm), RhythmJudge(settings.rhythm)
    began_at_ns = round(case.hold_begins_at_s * NS_PER_S)
    before: list[ClassifiedBeat] = []
    rehearsal: Rehearsal | None = None
    for number, true in enumerate(case.beats, start=1):
        peak, shape = confirmed(number, true)
        if peak.r_at_ns > began_at_ns + round(settings.rehearsal.hold_s * NS_PER_S):
            break
        beat = beats.take(peak, shape)
        rhythm = judge.take(beat)
        if peak.r_at_ns >= began_at_ns:
            rehearsal = rehearsal or Rehearsal(settings.rehearsal, began_at_ns, tuple(before[-BEFORE:]))
            rehearsal.take(beat, armed=True, af_probability=rhythm.af_probability)
        before.append(beat)
    rehearsal = rehearsal or Rehearsal(settings.rehearsal, began_at_ns, tuple(before[-BEFORE:]))
    last_ns = round(case.beats[-1].r_at_s * NS_PER_S) if case.beats else began_at_ns
    return rehearsal.end(min(rehearsal.ends_at_ns, max(last_ns, began_at_ns)))
