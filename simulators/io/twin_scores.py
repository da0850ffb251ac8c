"""One beat-level scan through the CT twin: the score of its slices beside that of the same, still heart."""

from dataclasses import dataclass

import numpy as np

from scoring.lesions import Labels
from scoring.score import Score, score_volume
from scoring.settings import ScoreSettings
from scoring.volume import axial_volume
from simulators.anatomy import make_patient
from simulators.beat_scan import BeatScan
from simulators.comparison import Case
from simulators.motion import Breathing
from simulators.scenario import Scenario, reseeded
from simulators.stage import seed_angle_deg
from simulators.study import Frozen, Shot, StudyVolume, acquire, territories


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
    moving = acquire(patient, case.motion, shots, plan, noise_seed=case.seed, breathing=breathing)
    frozen = Frozen(
        rr_ms=float(np.mean([one.rr_ms for one in scan.whole])),
        centre_after_r_ms=float(np.mean([(one.recon_centre_at_ns - one.trigger.r_at_ns) / 1e6 for one in scan.whole])),
    )
    still = acquire(patient, case.motion, shots, plan, noise_seed=case.seed, breathing=breathing, frozen=frozen)
    labels = Labels(territories(patient, case.motion, moving))
    return TwinScore(case.name, _agatston(moving, labels), _agatston(still, labels))


def _agatston(volume: StudyVolume, labels: Labels) -> float:
    """Score the slices as they would lie on a disk, in whole HU."""
    axial = axial_volume(
        np.rint(volume.hu),
        row_mm=volume.pixel_mm,
        column_mm=volume.pixel_mm,
        z_mm=volume.z_mm,
        x0_mm=volume.x0_mm,
        y0_mm=volume.y0_mm,
        simulated=True,
    )
    outcome = score_volume(axial, labels, ScoreSettings())
    if not isinstance(outcome, Score):
        raise AssertionError(f"the twin's study was refused: {outcome}")  # noqa: TRY004  # our own slices
    return float(outcome.agatston["total"] or 0.0)
