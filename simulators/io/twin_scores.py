"""One beat-level scan through the CT twin: the score of its slices beside that of the same, still heart."""

from dataclasses import dataclass

import numpy as np

from simulators.anatomy import make_patient
from simulators.beat_scan import BeatScan
from simulators.comparison import Case
from simulators.exposure import Shot
from simulators.io.study_score import score_of
from simulators.motion import Breathing
from simulators.scenario import Scenario, reseeded
from simulators.stage import physics, seed_angle_deg
from simulators.study import Frozen, acquire
from simulators.territories import territories


@dataclass(frozen=True, slots=True)
class TwinScore:
    """The Agatston score of one scan, and of the still heart."""

    case: str
    agatston: float
    agatston_frozen: float

    @property
    def error_percent(self) -> float | None:
        """Give the error against the still heart; None where that has no calcium."""
        return 100.0 * (self.agatston / self.agatston_frozen - 1.0) if self.agatston_frozen else None


def scored(scenario: Scenario, case: Case, scan: BeatScan) -> TwinScore:
    """Scan a completed case through the twin.

    The truth is the same patient, with the arteries held where this scan's windows were centred on the mean.
    """
    story = reseeded(scenario, case.seed)
    patient, plan = make_patient(story, case.seed), scan.plan
    shots = []
    for one in scan.whole:
        opened_at_s = one.recon_centre_at_ns / 1e9 - plan.half_scan_ms / 2e3
        angle = (seed_angle_deg(story) + 360.0 * opened_at_s * 1e3 / plan.rotation_ms) % 360.0
        shots.append(Shot(one.step, plan.table_mm[one.step], opened_at_s, angle))
    breathing = Breathing(story.respiration)
    scanner = physics(story)
    moving = acquire(
        patient, case.motion, shots, plan, noise_seed=case.seed, breathing=breathing, physics=scanner
    )  # fmt: skip
    frozen = Frozen(
        rr_ms=float(np.mean([one.rr_ms for one in scan.whole])),
        centre_after_r_ms=float(np.mean([(one.recon_centre_at_ns - one.trigger.r_at_ns) / 1e6 for one in scan.whole])),
    )
    still = acquire(
        patient, case.motion, shots, plan, noise_seed=case.seed, breathing=breathing, frozen=frozen, physics=scanner
    )  # fmt: skip
    labels = territories(patient, case.motion, moving)
    found = (float(score_of(volume, labels).agatston["total"] or 0.0) for volume in (moving, still))
    return TwinScore(case.name, *found)
