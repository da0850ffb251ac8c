"""Simulated patients drawn by number: rate, breathing, what a hold does, scatter, ectopic beats, fibrillation."""

import numpy as np

from simulators.scenario import Respiration, RhythmStory, Scenario

ANOTHER_HOLD = 100_000  # added to the seed: the same patient, another breath-hold


def drawn_patient(seed: int) -> Scenario:
    """Draw a patient: 50 to 90 bpm, a quarter with ectopic beats, a tenth in fibrillation."""
    draw_ = np.random.default_rng([seed, 77]).uniform
    af = draw_() < 0.1
    rate = 80.0 if af else float(draw_(50, 90))
    pvc = float(draw_(5, 15)) if draw_() < 0.25 and not af else None
    rhythm = RhythmStory(kind="af" if af else "sinus", rate_bpm=rate, pvc_every_beats=pvc, noise_ms=float(draw_(3, 15)))
    breathing = Respiration(
        rate_per_min=float(draw_(10, 16)),
        rsa_bpm=0.0 if af else float(draw_(2, 18)),
        hold_rate_change_bpm=float(draw_(-10, -2)),
    )
    return Scenario(name=str(seed), story="drawn", rhythm=rhythm, respiration=breathing)
