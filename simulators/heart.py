"""The heart's own beats: when each R-peak of this patient truly is, in patient time.

Sinus rhythm with respiratory arrhythmia, the answer to a breath-hold, the 0.1 Hz wave and noise; ventricular premature
beats with a full compensatory pause; atrial fibrillation; pauses. Every beat takes the same number of draws, so a
longer duration only adds beats.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simulators.scenario import Respiration, RhythmStory, Scenario

BeatKind = Literal["sinus", "pvc", "af", "escape", "normal", "premature"]
Atria = Literal["lead", "apart", "still"]
"""What the atria do before a beat: contract and lead to it; keep their own time, for it is ventricular; fibrillate."""

CORNER_HZ = 0.12  # of respiratory arrhythmia: 7.2/min (gating.md S56, formula 1 of section 5)
APNOEA_SHARE = 0.05  # of respiratory arrhythmia that is left while the breath is held
APNOEA_TAU_S = 0.7
HOLD_RISE_BPM = 2.5  # first beats of a hold faster for 1-3 s (shape of gating.md section 5, formula 1)
HOLD_SETTLES_S = (1.0, 3.5)
HOLD_LATE_RISE_AFTER_S = 15.0
HOLD_LATE_RISE_BPM_PER_S = 0.4
HOLD_LATE_RISE_AT_MOST_BPM = 6.0
RECOVERY_TAU_S = 4.0
WAVE_HZ = 0.1
RATE_LIMITS_BPM = (30.0, 200.0)
SHORTEST_RR_S = 0.25


@dataclass(frozen=True, slots=True)
class TrueBeat:
    """One true beat. `normal` and `premature` are the classes of a recorded beat, whose annotation `symbol` keeps."""

    number: int  # from 1
    r_at_s: float  # patient time of the R extremum in lead II
    kind: BeatKind
    symbol: str | None = None

    @property
    def atria(self) -> Atria:
        """Tell what the atria did before it; a recorded beat's symbol does not tell of fibrillation."""
        if self.kind == "af":
            return "still"
        return "apart" if self.kind == "pvc" or self.symbol in VENTRICULAR else "lead"


VENTRICULAR = frozenset("VEr")

PREMATURE = frozenset("AaJSVr")
"""WFDB symbols of beats that come early: atrial, junctional, supraventricular, ventricular, R on T. Fusion and escape
beats do not come early."""


def recorded_beats(at_s: Iterable[float], symbols: Iterable[str]) -> tuple[TrueBeat, ...]:
    """Give annotated beats, in rising order of their seconds, as true beats numbered from 1."""
    return tuple(
        TrueBeat(number, at, "premature" if symbol in PREMATURE else "normal", symbol)
        for number, (at, symbol) in enumerate(zip(at_s, symbols, strict=True), start=1)
    )


def true_beats(scenario: Scenario, duration_s: float, rng: np.random.Generator) -> tuple[TrueBeat, ...]:
    """Draw the R-peaks of a patient up to `duration_s`.

    Parameters
    ----------
    scenario
        Rhythm, breathing and breath-hold.
    duration_s
        Patient time to fill; the last beat lies at or before it.
    rng
        The only source of chance. The same generator state and a longer duration give the same beats and more.

    Returns
    -------
    tuple of TrueBeat
        In rising order of `r_at_s`, numbered from 1.

    Notes
    -----
    gating.md section 5, formulas 1 and 2 (sources S27, S56, S61 there). Our deviations and choices:

    - Respiratory arrhythmia and breath-hold act on the rate (bpm), wave and noise on the interval (ms).
    - A premature ventricular beat leaves the sinus clock alone: one sinus beat is lost, so coupling and pause sum to
      two sinus intervals.
    - In atrial fibrillation the rate of each interval is uniform over the range, and independent of the last.
    """
    story = scenario.rhythm
    phase_breath, phase_wave = rng.uniform(0.0, 2.0 * math.pi, 2)
    countdown = _next_pvc(story, rng.uniform())
    pauses = sorted(story.pauses_at_s)
    at_s = float(rng.uniform(0.3, 0.9))
    usual: BeatKind = "af" if story.kind == "af" else "sinus"
    beats: list[tuple[float, BeatKind]] = []
    kind = usual
    while at_s <= duration_s:
        beats.append((at_s, kind))
        noise, spread, coupling, distance = float(rng.standard_normal()), *map(float, rng.uniform(size=3))
        rr_s = _interval_s(scenario, at_s, (phase_breath, phase_wave), noise, spread)
        countdown -= 1.0
        kind = usual
        if pauses and at_s >= pauses[0]:
            pauses.pop(0)
            at_s, kind = at_s + story.pause_ms / 1e3, "escape"
        elif countdown < 1.0 and story.pvc_every_beats is not None:
            low, high = story.pvc_coupling
            premature_s = at_s + rr_s * (low + (high - low) * coupling)
            if premature_s <= duration_s:
                beats.append((premature_s, "pvc"))
            at_s += 2.0 * rr_s
            countdown = _next_pvc(story, distance)
        else:
            at_s += rr_s
    return tuple(TrueBeat(number, r_at_s, kind) for number, (r_at_s, kind) in enumerate(beats, start=1))


def breath_hold_change_bpm(respiration: Respiration, at_s: float) -> float:
    """Tell how far the breath-hold moves the heart rate at a patient time: up, then down, late up again."""
    since_s = at_s - respiration.hold_begins_at_s
    if since_s <= 0.0:
        return 0.0
    held_s = since_s if respiration.hold_fails_after_s is None else min(since_s, respiration.hold_fails_after_s)
    begins_s, ends_s = HOLD_SETTLES_S
    share = min(max((held_s - begins_s) / (ends_s - begins_s), 0.0), 1.0)
    settled = share**3 * (10.0 - 15.0 * share + 6.0 * share**2)
    late = min(HOLD_LATE_RISE_BPM_PER_S * max(held_s - HOLD_LATE_RISE_AFTER_S, 0.0), HOLD_LATE_RISE_AT_MOST_BPM)
    change = (
        HOLD_RISE_BPM * math.exp(-(((held_s - 1.0) / 0.7) ** 2)) + respiration.hold_rate_change_bpm * settled + late
    )
    return change * math.exp(-(since_s - held_s) / RECOVERY_TAU_S)


def breathing_depth(respiration: Respiration, at_s: float) -> float:
    """Tell how much of free breathing there is at a patient time: 1 before the hold, near 0 in apnoea."""
    since_s = at_s - respiration.hold_begins_at_s
    if since_s <= 0.0:
        return 1.0
    fails_s = respiration.hold_fails_after_s
    held_s = since_s if fails_s is None else min(since_s, fails_s)
    depth = APNOEA_SHARE + (1.0 - APNOEA_SHARE) * math.exp(-held_s / APNOEA_TAU_S)
    return 1.0 - (1.0 - depth) * math.exp(-(since_s - held_s) / APNOEA_TAU_S)


def _interval_s(scenario: Scenario, at_s: float, phases: tuple[float, float], noise: float, spread: float) -> float:
    """Give the interval that the sinus node, or the fibrillating atrium, puts after a beat at `at_s`."""
    story, respiration = scenario.rhythm, scenario.respiration
    rate_bpm = story.rate_bpm + breath_hold_change_bpm(respiration, at_s)
    if story.kind == "af":
        rate_bpm += story.af_range_bpm * (spread - 0.5)
        rr_s = 60.0 / min(max(rate_bpm, RATE_LIMITS_BPM[0]), RATE_LIMITS_BPM[1])
    else:
        breath_hz = respiration.rate_per_min / 60.0
        swing_bpm = respiration.rsa_bpm / math.sqrt(1.0 + (breath_hz / CORNER_HZ) ** 2)
        swing_bpm *= breathing_depth(respiration, at_s)
        rate_bpm += swing_bpm * math.cos(2.0 * math.pi * breath_hz * at_s + phases[0])
        rr_s = 60.0 / min(max(rate_bpm, RATE_LIMITS_BPM[0]), RATE_LIMITS_BPM[1])
        rr_s += (
            story.wave_ms / 1e3 * math.sin(2.0 * math.pi * WAVE_HZ * at_s + phases[1]) + story.noise_ms / 1e3 * noise
        )
    return max(rr_s, SHORTEST_RR_S)


def _next_pvc(story: RhythmStory, draw: float) -> float:
    """Draw how many sinus beats lie before the next premature one: the mean distance, one more or one less."""
    return math.inf if story.pvc_every_beats is None else max(story.pvc_every_beats - 1.5 + 2.0 * draw, 1.0)
