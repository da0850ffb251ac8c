"""One volume and map by every definition that is in use, side by side."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from scoring.agatston import category, shown
from scoring.islands import Connected, connect, counted_in
from scoring.lesions import VESSELS, Labels, find_lesions
from scoring.mass_score import Calibration
from scoring.presets import PRESET_NAMES, with_rules_of
from scoring.settings import ScoreSettings
from scoring.sums import UNASSIGNED, sums_of, total_of
from scoring.volume import Volume


class ByDefinition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The total by one definition."""

    definition: str
    rule: str  # what is its own, in words
    agatston: float
    shown: str
    category: str | None  # None: the heart is cut
    by_vessel: dict[str, float]  # Agatston score
    volume_mm3: float  # in the volume mode of the report
    mass_mg: float | None


def by_definition(
    volume: Volume,
    labels: Labels,
    settings: ScoreSettings,
    calibration: Calibration | None = None,
    *,
    classed: bool = True,
) -> tuple[ByDefinition, ...]:
    """Score by each preset, all else as in the user's settings.

    Parameters
    ----------
    volume
        hu [slice, row, column] in HU.
    labels
        The vessel map; islands that it does not touch play no part.
    settings
        What the presets leave alone: neighbours, volume mode, reference increment.
    calibration
        Of the mass.
    classed
        Whether there are classes; of a heart that is cut there are none.

    References
    ----------
    scoring/presets.py.
    """
    rows: dict[ScoreSettings, ByDefinition] = {}
    connected: dict[tuple[float, int], Connected] = {}  # that is nearly all of the work
    for name in PRESET_NAMES:
        rules = with_rules_of(name, settings)
        if rules not in rows:  # two definitions may have the same rules
            shared = rules.threshold_hu, rules.connectivity
            if shared not in connected:
                connected[shared] = connect(volume, rules, labels.cut)
            rows[rules] = _row(name, volume, labels, rules, calibration, connected[shared])
    told = [replace(rows[with_rules_of(name, settings)], definition=name) for name in PRESET_NAMES]
    return tuple(told if classed else (replace(row, category=None) for row in told))


def _row(
    name: str,
    volume: Volume,
    labels: Labels,
    rules: ScoreSettings,
    calibration: Calibration | None,
    connected: Connected,
) -> ByDefinition:
    """Score by one definition."""
    islands = counted_in(connected, volume, rules, touching=None if rules.all_islands else labels.vessels > 0)
    lesions = find_lesions(volume, islands, labels, rules)
    names: Sequence[str] = [*VESSELS, *([UNASSIGNED] if rules.all_islands else [])]
    vessels = sums_of(lesions, names, volume, labels, rules, calibration)
    total = total_of(vessels)
    return ByDefinition(
        definition=name,
        rule=_in_words(rules),
        agatston=total.agatston,
        shown=shown(total.agatston),
        category=category(total.agatston),
        by_vessel={vessel: part.agatston for vessel, part in vessels.items()},
        volume_mm3=total.volume_mm3,
        mass_mg=total.mass_mg,
    )


def _in_words(rules: ScoreSettings) -> str:
    """Say what a definition asks of an island, and of volume and mass."""
    area = f"at least {rules.min_area_mm2:g} mm2" if rules.min_area_mm2 > 0 else "any area"
    least = area if rules.min_pixels == 1 else f"at least {rules.min_pixels} pixels"
    own = rules.volume_threshold_hu
    return least if own is None else f"{least}; volume and mass from {own:g} HU"
