"""The one place where a draft asks for a proposed vessel map; a site's own finder is put here."""

import importlib
from collections.abc import Sequence

from scoring.candidates import CandidateFinder, proposed_labels
from scoring.lesions import Labels, Lesion
from scoring.settings import ScoreSettings
from scoring.volume import Volume

FINDER = ("scoring.coronary_finder", "RuleFinder")  # loaded when the first series is scored


def propose_labels(volume: Volume, lesions: Sequence[Lesion], settings: ScoreSettings) -> Labels | None:
    """Propose a vessel map for a series that came without one; None while there is no finder.

    Parameters
    ----------
    volume
        hu [slice, row, column] in HU.
    lesions
        All lesions of it, found without a map with these settings.
    """
    module, name = FINDER
    try:
        finder: CandidateFinder = getattr(importlib.import_module(module), name)()
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        return None
    return proposed_labels(finder.propose(volume, lesions, settings), volume, finder.name)
