"""A scored series -> all files of one revision."""

from collections.abc import Sequence

from pydicom.dataset import Dataset

from scoring.io.html import render
from scoring.io.scored_series import ScoredSeries
from scoring.report import to_json


def make_results(scored: ScoredSeries, evidence: Sequence[Dataset]) -> dict[str, bytes]:
    """Make every file of a result, by its name.

    Parameters
    ----------
    scored
        The score; a draft until its report's review is confirmed, and each form of it says so.
    evidence
        Headers of the scored images, one for each slice, in the volume's order: study, patient and order come from
        them, unchanged, and from nowhere else.

    Raises
    ------
    ValueError
        If the evidence is not that of the volume.
    """
    if scored.volume is not None and len(evidence) != len(scored.volume.positions_mm):
        raise ValueError(f"{len(evidence)} headers for {len(scored.volume.positions_mm)} slices")
    return {
        "score.json": to_json(scored.report),
        "report.html": render(scored.report, scored.outcome, scored.volume).encode(),
    }
