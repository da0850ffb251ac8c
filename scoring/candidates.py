"""Proposals: which islands may be coronary, and of which vessel. The seam where a site's own model can stand.

Nothing here is a finding. A proposal becomes a score only as a draft, and a person confirms or changes each of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from scoring.lesions import VESSELS, Labels, Lesion, Vessel
from scoring.settings import ScoreSettings
from scoring.volume import Volume


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """What a finder thinks of one lesion; `vessel` is None where it thinks of bone, valve, aorta or metal."""

    lesion: Lesion  # without a vessel, as `find_lesions` gives it without a map
    vessel: Vessel | None
    confidence: float  # 0 to 1, of the whole proposal
    why: str  # in words, for the reader


class CandidateFinder(Protocol):
    """What proposes. One method; the same volume gives the same proposals."""

    @property
    def name(self) -> str:
        """Name and version, printed with everything that rests on the proposals."""

    def propose(self, volume: Volume, lesions: Sequence[Lesion], settings: ScoreSettings) -> tuple[Proposal, ...]:
        """Give one proposal for each lesion, in the order of the lesions.

        Parameters
        ----------
        volume
            hu [slice, row, column] in HU, patient coordinates in mm.
        lesions
            All lesions of the volume, found without a map.
        settings
            Those that the lesions were found with.
        """


def proposed_labels(proposals: Sequence[Proposal], volume: Volume, finder: str) -> Labels:
    """Paint what was proposed as coronary into a vessel map [slice, row, column]."""
    vessels = np.zeros(volume.hu.shape, dtype=np.uint8)
    for proposal in proposals:
        if proposal.vessel is None:
            continue
        for island in proposal.lesion.islands:
            vessels[island.slice, island.rows, island.columns] = VESSELS.index(proposal.vessel) + 1
    vessels.setflags(write=False)
    return Labels(vessels, f"proposed by {finder}, not reviewed")
