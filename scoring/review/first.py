"""What a review begins with where nobody gave a map: what rules propose, for the reader to confirm or to change."""

from dataclasses import dataclass

import numpy as np

from scoring.candidates import Proposal, proposed_labels
from scoring.coronary_finder import RuleFinder
from scoring.islands import find_islands
from scoring.lesions import Labels, find_lesions
from scoring.settings import ScoreSettings
from scoring.volume import Volume


@dataclass(frozen=True, slots=True, eq=False)
class First:
    """A map to begin with, and what was thought of each lesion, if anything was."""

    labels: Labels
    proposals: tuple[Proposal, ...] = ()


def first_labels(volume: Volume, settings: ScoreSettings) -> First:
    """Begin with what the rules propose; with an empty map where they find no chest to judge by."""
    finder = RuleFinder()
    lesions = find_lesions(volume, find_islands(volume, settings), None, settings)
    proposals = finder.propose(volume, lesions, settings)
    if any(proposal.confidence > 0 for proposal in proposals):
        return First(proposed_labels(proposals, volume, finder.name), proposals)
    vessels = np.zeros(volume.hu.shape, dtype=np.uint8)
    vessels.setflags(write=False)
    return First(Labels(vessels, "nothing proposed"))
