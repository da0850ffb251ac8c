"""The score of slices that lie on no disk."""

import numpy as np
from numpy.typing import NDArray

from scoring.lesions import Labels
from scoring.score import Score, score_volume
from scoring.settings import ScoreSettings
from scoring.volume import axial_volume
from simulators.study import StudyVolume


def score_of(volume: StudyVolume, labels: NDArray[np.uint8]) -> Score:
    """Score a study, rounded to whole HU as its slices would be on a disk.

    Raises
    ------
    AssertionError
        If the study is refused: the twin makes none that could be.
    """
    axial = axial_volume(
        np.rint(volume.hu),
        row_mm=volume.pixel_mm,
        column_mm=volume.pixel_mm,
        z_mm=volume.z_mm,
        x0_mm=volume.x0_mm,
        y0_mm=volume.y0_mm,
        simulated=True,
    )
    outcome = score_volume(axial, Labels(labels), ScoreSettings())
    if not isinstance(outcome, Score):
        raise AssertionError(f"the twin's study was refused: {outcome}")  # noqa: TRY004  # no type error: our own slices
    return outcome
