"""What a review begins with where nobody gave a map."""

from dataclasses import dataclass

import numpy as np

from scoring.candidates import Proposal
from scoring.lesions import Labels
from scoring.volume import Volume


@dataclass(frozen=True, slots=True, eq=False)
class First:
    """A map to begin with, and what was thought of each lesion, if anything was."""

    labels: Labels
    proposals: tuple[Proposal, ...] = ()


def first_labels(volume: Volume) -> First:
    """Begin with an empty map: every lesion waits for the reader."""
    vessels = np.zeros(volume.hu.shape, dtype=np.uint8)
    vessels.setflags(write=False)
    return First(Labels(vessels, "nothing proposed"))
