"""Where in its stroke each coronary artery is, from the *true* R-peaks; and where breathing puts the heart.

The displacement fraction runs from 0 (end diastole) to 1 (end systole). Each beat adds one curve that starts and ends
at 0, and the curves of neighbouring beats add up, so the sum is continuous for any rhythm: a premature beat begins its
contraction on what the last relaxation has not yet given back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.heart import Atria
from simulators.scenario import Respiration, RestPhase

Floats = NDArray[np.float64]
Rest = Literal["systole", "diastole"]

VESSELS = ("LM", "LAD", "LCX", "RCA")

SYSTOLE_SD_MS = 15.0
"""Spread between patients of the systolic rest's centre: the slowest moment lies 280-340 ms after R (Celeng 2015,
PMC5943709); derived by reading that span as +-2 SD."""

DIASTOLE_SD_MS = 30.0
"""Spread between patients of the diastolic rest's centre: Otton 2013 (PMC3570333) fits it to RR with R2 = 0.92 (LCX)
and slope 0.66; derived as the residual for an SD of RR between patients of 150 ms: 0.66 * 150 * sqrt(0.08 / 0.92)."""

TRUNCATE_SD = 2.0  # draws beyond are redrawn at the edge: a rest phase outside the beat would be no heart

_CONTRACTION_AT_MS = 30.0  # begin of contraction after R
_SYSTOLIC_REST_MS = 78.0  # all positions within 1 mm: RCA 76 +- 34, left 80 +- 25 (Shechter 2005, PMC2396325)
_SLOW_MS = 100.0  # late ejection and isovolumic relaxation creep for so long on either side of the peak
_ROUND_MS = 10.0  # the creep's turn at the peak
_SHORTEST_FILLING_MS = 60.0  # an early diastolic rest at a fast rate leaves at least this for early filling
_ATRIAL_SHARE = 0.22  # of the stroke that the atrial contraction gives back last
_MAX_DRIFT_SHARE = 0.10  # of the stroke, over diastasis
_MAX_DRIFT_PER_MS = 4e-4  # of the stroke; unbounded, a vanishing diastasis would drift infinitely fast
_SETTLES_MS = 30.0  # without an atrial kick, what is left of filling is given back so long before the next R (ours)
_BEATS_BEFORE = 3  # that the heart is taken to have beaten before the first known beat
_REGRESSION_BPM = (40.0, 150.0)  # QS2 was measured no further out


@dataclass(frozen=True, slots=True)
class _Side:
    """The constants of one side's clock."""

    stroke_mm: float  # nominal path from end diastole to end systole
    relaxed_ms: float  # E0 of the formula
    atrial_ms: float  # A of the formula: before the next R


_SIDES = {
    # E0 + A puts the extinction of the diastolic rest at 91 bpm (left) and 78 bpm (right)
    "left": _Side(stroke_mm=10.0, relaxed_ms=71.0, atrial_ms=142.0),
    "right": _Side(stroke_mm=21.0, relaxed_ms=100.0, atrial_ms=177.0),
}
_SIDE_OF = {"LM": "left", "LAD": "left", "LCX": "left", "RCA": "right"}


@dataclass(frozen=True, slots=True)
class RestOffsets:
    """How far this patient's rest phases lie after the published mean. The gate never learns them."""

    systole_ms: float = 0.0
    diastole_ms: float = 0.0


def rest_offsets(story: RestPhase, rng: np.random.Generator) -> RestOffsets:
    """Take a patient's rest phases from the scenario, or draw them from the published spread.

    Parameters
    ----------
    story
        `drawn` adds a draw from N(0, SD), truncated at 2 SD, to the scenario's own offsets.
    rng
        Two normal numbers are taken from it in either case, so that what is drawn next does not depend on `drawn`.
    """
    systole, diastole = np.clip(rng.standard_normal(2), -TRUNCATE_SD, TRUNCATE_SD) * float(story.drawn)
    return RestOffsets(
        systole_ms=story.systole_offset_ms + float(systole) * SYSTOLE_SD_MS,
        diastole_ms=story.diastole_offset_ms + float(diastole) * DIASTOLE_SD_MS,
    )


def _step(x: Floats) -> Floats:
    """Rise from 0 to 1 with minimum jerk as `x` goes from 0 to 1."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * x * (10.0 + x * (6.0 * x - 15.0))


def _creep(from_peak_ms: Floats) -> Floats:
    """Give the depth below the systolic peak, in mm: 1 at half a rest away, almost straight, round at the top."""
    away = np.minimum(np.abs(from_peak_ms), _SLOW_MS)
    straight = away - _ROUND_MS / 2
    depth = np.where(away < _ROUND_MS, away * away / (2 * _ROUND_MS), straight)
    return depth / (_SYSTOLIC_REST_MS / 2 - _ROUND_MS / 2)


_CREEP_MM = float(_creep(np.array(_SLOW_MS)))


@dataclass(frozen=True, slots=True)
class _Events:
    """The instants of each beat's curve, ms after its R; arrays [beat]."""

    peak: Floats
    relaxed: Floats
    atrial: Floats
    filled: Floats
    drift_share: Floats
    atrial_share: Floats

    def of(self, beats: NDArray[np.intp]) -> "_Events":
        """Pick the events of some beats."""
        return _Events(
            peak=self.peak[beats],
            relaxed=self.relaxed[beats],
            atrial=self.atrial[beats],
            filled=self.filled[beats],
            drift_share=self.drift_share[beats],
            atrial_share=self.atrial_share[beats],
        )


def _events(
    side: _Side, rr_before_ms: Floats, rr_ms: Floats, rest: RestOffsets, atrial_rr_ms: Floats | None = None
) -> _Events:
    """Place the events of each beat: systole and relaxation by the interval before it, the atrial kick by its own.

    `atrial_rr_ms` is the interval that the atria would have made, where it is not the beat's own; nan: they fibrillate.
    """
    of_atria = rr_ms if atrial_rr_ms is None else atrial_rr_ms
    still = np.isnan(of_atria)
    rate_bpm = np.clip(60_000.0 / rr_before_ms, *_REGRESSION_BPM)
    rr = 60_000.0 / rate_bpm
    peak = 255.0 + 0.12 * rr + rest.systole_ms
    relaxed = 541.0 - 2.2 * rate_bpm + side.relaxed_ms + 0.16 * rr + rest.diastole_ms
    relaxed = np.maximum(relaxed, peak + _SYSTOLIC_REST_MS / 2 + _SHORTEST_FILLING_MS)
    usual = rr - side.atrial_ms + rest.diastole_ms
    atrial = np.where(still, rr_ms - _SETTLES_MS, of_atria - side.atrial_ms + rest.diastole_ms)
    expected = np.clip(_MAX_DRIFT_PER_MS * (usual - relaxed), 0.0, _MAX_DRIFT_SHARE)
    drift_share = np.clip(_MAX_DRIFT_PER_MS * (atrial - relaxed), 0.0, expected)
    return _Events(
        peak=peak,
        relaxed=relaxed,
        atrial=atrial,
        filled=np.where(still, rr_ms, of_atria) + 10.0,
        drift_share=drift_share,
        # early filling leaves room for the drift it expects; what does not come of it the atrium gives back
        atrial_share=np.where(still, 0.0, _ATRIAL_SHARE) + expected - drift_share,
    )


def _curve(t_ms: Floats, beat: _Events, stroke_mm: float) -> Floats:
    """Sum the beats' own curves at `t_ms` [time, beat] after their R."""
    half = _SYSTOLIC_REST_MS / 2
    creep = _CREEP_MM / stroke_mm
    from_peak = t_ms - beat.peak
    risen = (1.0 - creep) * _step((t_ms - _CONTRACTION_AT_MS) / (beat.peak - half - _CONTRACTION_AT_MS))
    fallen = _step((from_peak - half) / (beat.relaxed - beat.peak - half))
    drift = np.clip((t_ms - beat.relaxed) / np.maximum(beat.atrial - beat.relaxed, 1.0), 0.0, 1.0)
    beats = (
        risen
        + (creep - _creep(from_peak) / stroke_mm)
        - (1.0 - creep - beat.atrial_share - beat.drift_share) * fallen
        - beat.drift_share * drift
        - beat.atrial_share * _step((t_ms - beat.atrial) / (beat.filled - beat.atrial))
    )
    return np.asarray(beats.sum(axis=-1))


class MotionClock:
    """The displacement of each coronary artery, from the true beats of one patient.

    Parameters
    ----------
    beats_s
        True R times in patient time, seconds, rising; two at least. Before the first and after the last the heart is
        taken to beat on at the neighbouring interval for 3 beats.
    rest
        The patient's rest phases against the published mean.
    atria
        What the atria did before each beat; None: they led to all.

    Notes
    -----
    Deviations from the formula of the design (`ct-simulation.md` section 5):

    - The systolic rest is centred at 255 + 0.12 RR ms (Mao 2001, onsets + 50 ms) and 78 ms long at every rate
      (Shechter 2005, PMC2396325: within 1 mm RCA 76, left 80 ms): instead of a plateau, which made it 100-150 ms, the
      last 100 ms before and the first 100 ms after the peak creep at about 29 mm/s at most.
    - Systole and early filling follow the interval *before* the beat, the atrial kick the beat's own: the heart
      cannot know when its next beat comes. Both are the same in a steady rhythm.
    - Left E0 = 71, A = 142 (was 64, 135): the rest vanishes at 91 bpm instead of 95, its centre stays.
    - Beats are summed instead of clipped.
    - No atrial kick leads to a ventricular beat: the atria keep their own time, half of the two intervals about it (a
      full compensatory pause). Fibrillating atria do not kick: early filling gives back their share.
    """

    def __init__(self, beats_s: ArrayLike, rest: RestOffsets, atria: Sequence[Atria] | None = None) -> None:
        beats = np.asarray(beats_s, dtype=np.float64)
        if beats.ndim != 1 or beats.size < 2 or not np.all(np.diff(beats) > 0):
            raise ValueError("a motion clock needs two or more R times in rising order")
        first, last = beats[1] - beats[0], beats[-1] - beats[-2]
        before = np.arange(_BEATS_BEFORE + 1, 0, -1)
        around = np.concatenate((beats[0] - first * before, beats, beats[-1] + last * np.arange(1, 5)))
        intervals = np.diff(around) * 1e3
        before_next: list[Atria] = ["lead"] * beats.size if atria is None else list(atria)
        if len(before_next) != beats.size:
            raise ValueError(f"{len(before_next)} words of the atria for {beats.size} beats")
        ends: list[Atria] = ["still" if before_next[k] == "still" else "lead" for k in (0, -1)]
        # of each beat of `_r_s`: what the atria do before the next one
        next_ = np.array([ends[0]] * (_BEATS_BEFORE + 1) + before_next + [ends[1]] * 4)[2:]
        own, after = intervals[1:], np.append(intervals[2:], intervals[-1])
        atrial = np.where(next_ == "apart", np.maximum(own, 0.5 * (own + after)), own)
        atrial = np.where(next_ == "still", np.nan, atrial)
        self.rest = rest
        self.mean_rr_ms = float(np.mean(np.diff(beats)) * 1e3)
        self._r_s = around[1:-1]
        self._sides = {name: _events(side, intervals[:-1], own, rest, atrial) for name, side in _SIDES.items()}

    def displacement(self, times_s: ArrayLike) -> Floats:
        """Give the displacement fraction of each vessel.

        Parameters
        ----------
        times_s
            Patient time, seconds, [time].

        Returns
        -------
        Floats
            [time, vessel], vessels as in `VESSELS`; 0 end diastole, 1 end systole.
        """
        times = np.atleast_1d(np.asarray(times_s, dtype=np.float64))
        # a beat's curve lives from its R to 10 ms after the next: three beats around an instant are all that count
        nearest = np.searchsorted(self._r_s, times, side="right") - 1
        beats = np.clip(nearest[:, None] + np.arange(-2, 1), 0, len(self._r_s) - 1)
        t_ms = (times[:, None] - self._r_s[beats]) * 1e3
        t_ms[nearest[:, None] + np.arange(-2, 1) < 0] = -1.0  # before the first beat: nothing has begun
        sides = {name: _curve(t_ms, events.of(beats), _SIDES[name].stroke_mm) for name, events in self._sides.items()}
        return np.stack([sides[_SIDE_OF[vessel]] for vessel in VESSELS], axis=-1)

    def movement_mm(self, begins_s: float, ends_s: float) -> Floats:
        """Give how far each artery moves between two instants: the range of its displacement, mm, [vessel]."""
        times = np.linspace(begins_s, ends_s, 2 + int((ends_s - begins_s) * 1e3))
        place = self.displacement(times)
        strokes = np.array([_SIDES[_SIDE_OF[vessel]].stroke_mm for vessel in VESSELS])
        return np.asarray((place.max(axis=0) - place.min(axis=0)) * strokes)

    def centre_s(self, beat: int, rest: Rest) -> float:
        """Give when the right artery, the fastest, is in the middle of its rest in a beat, counted from 0."""
        place, events = beat + _BEATS_BEFORE, self._sides["right"]
        after_ms = events.peak[place] if rest == "systole" else 0.5 * (events.relaxed[place] + events.atrial[place])
        return float(self._r_s[place] + after_ms * 1e-3)

    def held(self, rr_ms: float, after_r_ms: float) -> Floats:
        """Give the displacement [vessel] at one instant of a steady rhythm of this patient."""
        steady = MotionClock(np.arange(-4, 5) * rr_ms * 1e-3, self.rest)
        return np.asarray(steady.displacement([after_r_ms * 1e-3])[0])

    def rest_ms(self, rr_ms: float, vessel: str, rest: Rest) -> tuple[float, float]:
        """Tell where a rest begins and ends in a steady rhythm, ms after R.

        The systolic one is nominal (within 1 mm); the diastolic one is the time between early filling and the atrial
        kick, when nothing but the slow drift is left. It may end before it begins: then there is none.
        """
        rr = np.array([rr_ms])
        events = _events(_SIDES[_SIDE_OF[vessel]], rr, rr, self.rest)
        if rest == "diastole":
            return float(events.relaxed[0]), float(events.atrial[0])
        return float(events.peak[0]) - _SYSTOLIC_REST_MS / 2, float(events.peak[0]) + _SYSTOLIC_REST_MS / 2

    def rest_centre_ms(self, rr_ms: float, vessel: str, rest: Rest) -> float:
        """Give the best instant for the centre of an exposure, ms after R, in a steady rhythm of this patient."""
        begins, ends = self.rest_ms(rr_ms, vessel, rest)
        return 0.5 * (begins + ends)


class Breathing:
    """How far breathing has pushed the heart towards the feet.

    Free breathing follows A cos^4 (Lujan 1999), the hold begins at end expiration and drifts, a failed or ended hold
    is free breathing again, from where the drift got to.

    Parameters
    ----------
    story
        Rate, amplitude, and when the hold begins and fails.
    hold_ends_at_s
        Patient time at which the patient is told to breathe again; None: not in this scan.
    """

    def __init__(self, story: Respiration, hold_ends_at_s: float | None = None) -> None:
        ends = [np.inf if hold_ends_at_s is None else hold_ends_at_s]
        if story.hold_fails_after_s is not None:
            ends.append(story.hold_begins_at_s + story.hold_fails_after_s)
        self._story = story
        self._hold_ends_at_s = float(max(min(ends), story.hold_begins_at_s))

    def caudal_mm(self, times_s: ArrayLike) -> Floats:
        """Give the displacement towards the feet, mm, [time]; 0 is end expiration before the hold."""
        times = np.atleast_1d(np.asarray(times_s, dtype=np.float64))
        story = self._story
        held_for_s = np.clip(times, story.hold_begins_at_s, self._hold_ends_at_s) - story.hold_begins_at_s
        breath_s = 60.0 / story.rate_per_min
        before = np.minimum(times - story.hold_begins_at_s, 0.0)
        after = np.maximum(times - self._hold_ends_at_s, 0.0)
        free = np.sin(np.pi * before / breath_s) ** 4 + np.sin(np.pi * after / breath_s) ** 4
        return np.asarray(story.caudal_mm * free + story.drift_mm_per_s * held_for_s)
