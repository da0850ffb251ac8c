"""Virtual studies for the tables of the twin: their Agatston scores, and pictures of curves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from gating.messages import AcquisitionPlan
from scanner_bridge.plan import plan_from
from scanner_bridge.settings import PlanSettings
from simulators.anatomy import make_patient
from simulators.exposure import Shot
from simulators.io.study_score import score_of
from simulators.motion import MotionClock, RestOffsets
from simulators.scenario import Anatomy, Scenario
from simulators.study import Frozen, StudyVolume, acquire
from simulators.territories import territories

STORY = Scenario(name="bench", story="")
SMALL = (
    msgspec.structs.replace(  # plaques of 1.6 to 3.2 mm; the default's are larger and denser, and gain what others lose
        STORY, anatomy=Anatomy(density_mg_per_cc=(200.0, 500.0), radius_mm=(0.8, 1.6))
    )
)
SHOWN = ("RCA", "total")
PATIENTS = (1, 2, 3)
PICTURES = Path("out/bench")
BEATS = 60
FIRST_BEAT = 12  # that is exposed; every second one


def plan_of(*, matrix: int = 256, **settings: float) -> AcquisitionPlan:
    """Make a plan of the default site with some settings changed; the picture is coarser to save time."""
    return msgspec.structs.replace(plan_from(msgspec.convert(settings, PlanSettings)), matrix=matrix)


def agatston(volume: StudyVolume, labels: np.ndarray) -> dict[str, float]:
    """Score the slices as they would lie on a disk, by vessel and in total."""
    return {name: float(value or 0.0) for name, value in score_of(volume, labels).agatston.items()}


def steady_clock(bpm: float, rest: RestOffsets | None = None) -> MotionClock:
    """Give the motion of a heart that beats evenly."""
    return MotionClock(np.arange(BEATS) * 60.0 / bpm, rest or RestOffsets())


def shots_at(plan: AcquisitionPlan, bpm: float, centre_ms: float, angle_deg: float = 37.0) -> list[Shot]:
    """Expose every second beat, the middle of the views `centre_ms` after its R."""
    opened_s = (centre_ms - plan.half_scan_ms / 2.0) * 1e-3
    begins = [(FIRST_BEAT + 2 * step) * 60.0 / bpm + opened_s for step in range(len(plan.table_mm))]
    return [
        Shot(step, z, at_s, angle_deg + 101.0 * step)
        for step, (z, at_s) in enumerate(zip(plan.table_mm, begins, strict=True))
    ]


def draw(
    name: str,
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str,
    x: str,
    y: str,
    level: float | None = None,
) -> None:
    """Draw curves into one picture, so that it can be read without the text."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7.0, 4.2), layout="constrained")
    for label, (at, values) in curves.items():
        axes.plot(at, values, marker="o", markersize=3.5, label=label)
    if level is not None:
        axes.axhline(level, color="0.6", linewidth=0.8)
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.legend(frameon=False)
    PICTURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURES / f"{name}.png", dpi=110)
    plt.close(figure)


def percent_of_held(bpm: float, centre_ms: float, held_at_ms: float) -> dict[str, float]:
    """Give the scores of moving hearts, in % of those of the same hearts held at a phase, all patients together."""
    plan, clock, sums = plan_of(), steady_clock(bpm), np.zeros((2, len(SHOWN)))
    for seed in PATIENTS:
        patient = make_patient(SMALL, seed)
        shots = shots_at(plan, bpm, centre_ms, 37.0 + 50.0 * seed)
        moving = acquire(patient, clock, shots, plan, noise_seed=seed)
        still = acquire(patient, clock, shots, plan, noise_seed=seed, frozen=Frozen(60_000.0 / bpm, held_at_ms))
        labels = territories(patient, clock, moving)
        for row, volume in enumerate((moving, still)):
            scores = agatston(volume, labels)
            sums[row] += [scores[name] for name in SHOWN]
    return {name: float(100.0 * sums[0, k] / sums[1, k]) for k, name in enumerate(SHOWN)}
