"""How far each coronary artery moves during an exposure, from the RR intervals around it: the rest-phase model.

Theory of operation
-------------------
Twice in a beat the arteries nearly stand still. In *end systole* they turn round: the place depends on the interval
before the beat, which is known, and hardly on the rate. In *mid-diastole*, between early filling and the atrial kick,
they drift: this rest begins as the interval before lets it, and ends a fixed time before the next R, which must be
foretold; its length grows with RR and is gone at a fast rate.

Movement is what an interval as long as the scanner's temporal resolution sees: the displacement around the turning
point in systole, the way covered in diastole. A half-scan is *at rest* when no artery moves 1 mm in it.

Where the rests lie differs between patients; what is foretold is therefore an expectation over that spread.

References
----------
Systole: Mao 2001, Invest Radiol 36:363 (onsets of 100 ms exposures, hence a centre of 255 + 0.12 RR ms); within 1 mm
for 76 ms (RCA), 80 ms (left): Shechter 2005, PMC2396325; spread of the centre: Celeng 2015, PMC5943709 (280-340 ms).
Diastole: Otton 2013, PMC3570333 (74 % at 55, 77 % at 75 bpm; gone at 91 bpm for the LCX, 78 bpm for the RCA; R2 0.92);
its length 0.69 (RR - RR0): gating.md section 5, formula 3. Movement in it: 1 mm in 161 ms (left, patients from 66 to
333), 120 ms (right, 66 to 200), Wang 1999, Radiology 213:751. Speeds: 22 to 109 mm/s over the cycle, the RCA's the
highest, most at 0-20 % of RR, which is contraction, Mao 2000, JCAT 24:253; in the mean RCA 69.5, LCX 48.4 mm/s,
Achenbach 2000, Radiology 216:457 (not read here).
Which rest is better, to hold the model against: at 75 ms of temporal resolution readers found diastole better below
70 bpm and no difference from 70 to 80, Horii 2011, Acad Radiol 18:726, doi:10.1016/j.acra.2011.01.012; at 165 ms the
best images were in diastole in 93 % below 65 bpm and in systole in 86 % above 75 bpm, Wintersperger 2006, Invest
Radiol 41(5). The model's turn is at 75 and 72 bpm.
Our deviations:

- the slope of the diastolic centre, 0.66, is divided: 0.315 belongs to the begin, by the interval before, and 1.005 to
  the end, by the beat's own interval (the two fitted lines give exactly that);
- around the turning point the displacement is a parabola through 1 mm at either end of the published rest, and goes
  straight on from there: Mao's slowest span, 30-50 % of RR, reaches further than that to either side;
- early filling and the atrial kick are ramps of speed up to the published mean, `WAVE_MS` long: a window that just
  overlaps one is not lost at once. No speed was found that was measured in either wave; the highest one belongs to
  contraction, which no window touches;
- what differs between patients is where the rests lie, and how slow the diastolic one is: the published ranges are
  of 13 patients, and the extremes of 13 normal draws lie 1.67 SD out in the mean, so they are read as +-1.67 SD of the
  logarithm; a patient who is slow is slow on both sides;
- the lengths of the rests are held at their means.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Rest = Literal["systole", "diastole"]

AT_REST_MM = 1.0  # less than this (gating.md section 5, formula 5)
SYSTOLE_SD_MS = 15.0  # of the centre between patients: 280-340 ms read as +-2 SD
DIASTOLE_SD_MS = 30.0  # the residual of the fit: 0.66 * 150 ms * sqrt(0.08 / 0.92), RR of 150 ms SD between patients
WAVE_MS = 133.0
"""The ramp between drift and full speed: an atrial wave is 133 +- 13 ms long at 41 to 60 years (Nagueh 2009, Eur J
Echocardiogr 10:165, its table of normal values, not read here)."""
SHORTEST_RR_MS, LONGEST_RR_MS = 400.0, 1500.0  # beyond, the systolic line was not measured


@dataclass(frozen=True, slots=True)
class Side:
    """One side of the heart, whose arteries rest together."""

    systole_rest_ms: float  # within 1 mm
    diastole_gone_ms: float  # RR at which the diastolic rest is gone
    drift_mm_per_ms: float  # in the diastolic rest
    wave_mm_per_ms: float  # in early filling and in the atrial kick
    drift_sd: float  # of the logarithm of the drift, between patients


SIDES: dict[str, Side] = {
    "left": Side(80.0, 659.0, 1.0 / 161.0, 0.0484, 0.485),  # LM, LAD, LCX
    "right": Side(76.0, 769.0, 1.0 / 120.0, 0.0695, 0.332),  # RCA
}


def systole_centre_ms(rr_before_ms: ArrayLike) -> Floats:
    """Give when the arteries turn round in end systole, ms after R, from the interval before the beat."""
    before = np.asarray(rr_before_ms, dtype=np.float64)
    return np.asarray(255.0 + 0.12 * np.clip(before, SHORTEST_RR_MS, LONGEST_RR_MS))


def diastole_ms(side: Side, rr_before_ms: ArrayLike, rr_ms: ArrayLike) -> tuple[Floats, Floats]:
    """Give when the diastolic rest begins and ends, ms after R; at a fast rate it ends before it begins."""
    before, own = np.asarray(rr_before_ms, dtype=np.float64), np.asarray(rr_ms, dtype=np.float64)
    half_gone = 0.345 * side.diastole_gone_ms
    return 90.0 + half_gone + 0.315 * before, 90.0 - half_gone + 1.005 * own


def diastole_centre_ms(rr_before_ms: ArrayLike, rr_ms: ArrayLike) -> Floats:
    """Give the middle of the diastolic rest, ms after R: the same for both sides, 90 + 0.66 RR in a steady rhythm."""
    begins, ends = diastole_ms(SIDES["right"], rr_before_ms, rr_ms)
    return 0.5 * (begins + ends)


DIASTOLE_SLOPE = 0.5025
"""How far the middle of the diastolic rest moves for each ms of the beat's own interval."""


def movement_mm(
    rest: Rest,
    opens_ms: ArrayLike,
    closes_ms: ArrayLike,
    *,
    rr_before_ms: ArrayLike,
    rr_ms: ArrayLike,
    later_ms: ArrayLike = 0.0,
    slower: ArrayLike = 0.0,
) -> Floats:
    """Give how far the artery that moves most moves between two instants near a rest.

    Parameters
    ----------
    rest
        The rest that the interval is meant for.
    opens_ms, closes_ms
        The instants, ms after R.
    rr_before_ms, rr_ms
        The interval before the beat, and its own (systole does not ask for it).
    later_ms
        How much later this patient's rest lies than the published one.
    slower
        How much slower this patient's arteries drift in diastole than the published ones, in SD.

    Returns
    -------
    Floats
        mm; all arguments are broadcast.
    """
    later = np.asarray(later_ms, dtype=np.float64)
    opens, closes = np.asarray(opens_ms, dtype=np.float64) - later, np.asarray(closes_ms, dtype=np.float64) - later
    if rest == "systole":
        centre = systole_centre_ms(rr_before_ms)
        moved = [_around_turn_mm(side, opens - centre, closes - centre) for side in SIDES.values()]
    else:
        moved = [_way_mm(side, opens, closes, rr_before_ms, rr_ms, slower) for side in SIDES.values()]
    return np.maximum(*moved)


def _around_turn_mm(side: Side, opens_ms: Floats, closes_ms: Floats) -> Floats:
    """Give the range of displacement between two instants, ms after the turning point."""
    first, last = _from_turn_mm(side, opens_ms), _from_turn_mm(side, closes_ms)
    return np.where((opens_ms < 0.0) & (closes_ms > 0.0), np.maximum(first, last), np.abs(last - first))


def _from_turn_mm(side: Side, after_ms: Floats) -> Floats:
    """Give the distance from the turning point: a parabola in the published rest, then straight on."""
    half = side.systole_rest_ms / 2.0
    away = np.abs(after_ms)
    bent = np.minimum(away, half)
    return (bent / half) ** 2 + 2.0 / half * (away - bent)


def _way_mm(
    side: Side, opens_ms: Floats, closes_ms: Floats, rr_before_ms: ArrayLike, rr_ms: ArrayLike, slower: ArrayLike
) -> Floats:
    """Give the way covered between two instants, ms after R: the drift, and what the waves on either side add."""
    begins, ends = diastole_ms(side, rr_before_ms, rr_ms)
    filling = _ramp_mm(side, begins - opens_ms) - _ramp_mm(side, begins - closes_ms)
    kick = _ramp_mm(side, closes_ms - ends) - _ramp_mm(side, opens_ms - ends)
    drift = side.drift_mm_per_ms * np.exp(-side.drift_sd * np.asarray(slower, dtype=np.float64))
    return np.asarray(drift * (closes_ms - opens_ms) + filling + kick)


def _ramp_mm(side: Side, into_ms: Floats) -> Floats:
    """Give the way covered so far into a wave, whose speed rises over `WAVE_MS` and stays."""
    into = np.maximum(into_ms, 0.0)
    rising = np.minimum(into, WAVE_MS)
    return side.wave_mm_per_ms * (rising**2 / (2.0 * WAVE_MS) + into - rising)
