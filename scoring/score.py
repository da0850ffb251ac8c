"""The whole score as one pure function: volume and vessel map in, score or refusal out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from scoring import quality
from scoring.agatston import cac_drs, category, shown
from scoring.extent import Extent, extent_of
from scoring.islands import find_islands
from scoring.lesions import VESSELS, Labels, Lesion, find_lesions
from scoring.mass_score import Calibration
from scoring.quality import NOT_MEASURED, Measured
from scoring.settings import ScoreSettings
from scoring.sums import UNASSIGNED, Sum, sums_of, total_of
from scoring.volume import KVP_TOLERANCE, Refusal, Volume, uneven_gaps


class ScanFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the acquisition says of itself (`scan.json`); unknown fields are refused by name."""

    complete: bool
    steps_exposed: tuple[int, ...] | None = None
    steps_planned: int | None = None
    breath_holds: int = 1
    ctdivol_mgy: float | None = None  # of the whole scan, in the body phantom
    dlp_mgycm: float | None = None  # scouts counted
    effective_msv: float | None = None
    simulated: bool = False
    notes: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """True when nothing is missing by either of its two accounts."""
        if self.steps_exposed is None or self.steps_planned is None:
            return self.complete
        return self.complete and len(set(self.steps_exposed)) >= self.steps_planned


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """A score with everything that it rests on.

    `total` is None when there must be no number; `reasons` then says why. `vessels` holds LM, LAD, LCX, RCA (and
    `unassigned` with `all_islands`); the total's Agatston is the sum of its values in that order, exactly.
    """

    total: Sum | None
    vessels: Mapping[str, Sum]
    shown: str | None
    category: str | None
    cac_drs: str | None
    lesions: tuple[Lesion, ...]  # scored, or held back with the total
    candidates: tuple[Lesion, ...]  # listed, not scored
    extent: Extent | None  # None without a total
    calibration: Calibration | None  # of the mass; None: no mass
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    settings: ScoreSettings

    @property
    def agatston(self) -> dict[str, float | None]:
        """`total`, `LM`, `LAD`, `LCX`, `RCA`; None where there is no number."""
        values: dict[str, float | None] = {"total": None if self.total is None else self.total.agatston}
        for name in VESSELS:
            values[name] = self.vessels[name].agatston if name in self.vessels else None
        return values


def score_volume(
    volume: Volume,
    labels: Labels | None,
    settings: ScoreSettings | None = None,
    scan: ScanFacts | None = None,
    calibration: Calibration | None = None,
    measured: Measured = NOT_MEASURED,
    known: Sequence[Lesion] | None = None,
) -> Score | Refusal:
    """Score a volume: islands first, without the map; then one vessel for each; the total is what carries a vessel.

    Parameters
    ----------
    volume
        hu [slice, row, column] in HU, positions in mm.
    labels
        Vessel map [slice, row, column] in the volume's geometry; without one there is no total, only candidates.
    settings
        All edge decisions; the reference definition when None.
    scan
        What the acquisition says of itself; an incomplete scan gets no total.
    calibration
        From HU to hydroxyapatite; without one there is no mass.
    measured
        Noise, blood and coverage as measured in the images: contrast refuses, a heart that is cut gets no class.
    known
        The lesions of this volume, map and settings, where somebody has found them already; None: found here.

    Raises
    ------
    ValueError
        If the map's or the cut's shape is not the volume's.

    References
    ----------
    Agatston 1990, doi:10.1016/0735-1097(90)90282-T; decisions 1 to 12 of scoring/README.md.
    """
    rules = settings or ScoreSettings()
    cut = None if labels is None else labels.cut
    for drawn in () if labels is None else (labels.vessels, *(() if cut is None else (cut,))):
        if drawn.shape != volume.hu.shape:
            raise ValueError(f"map {drawn.shape} and volume {volume.hu.shape} have different shapes")
    incomplete = scan is not None and not scan.whole
    refused = [*_refusals(volume, rules, incomplete), *quality.refusals(measured, rules)]
    if refused:
        return Refusal(tuple(refused))
    found = find_lesions(volume, find_islands(volume, rules, cut), labels, rules) if known is None else known
    everything = rules.all_islands
    lesions = tuple(lesion for lesion in found if everything or lesion.vessel)
    candidates = () if everything else tuple(lesion for lesion in found if lesion.vessel is None)
    reasons = []
    if incomplete:
        reasons.append("Incomplete scan: slabs missing, so there is no total; what was scanned is listed.")
    if labels is None and not everything:
        reasons.append(
            "No vessel map, so there is no total: every island is listed as a candidate, bone and valves too; "
            "give a map (--labels), or --all-islands to score everything."
        )
    notes = _notes(volume, labels, rules, scan, lesions)
    held = Score(
        total=None,
        vessels={},
        shown=None,
        category=None,
        cac_drs=None,
        lesions=lesions,
        candidates=candidates,
        extent=None,
        calibration=calibration,
        reasons=tuple(reasons),
        notes=(*quality.remarks(measured, None, rules), *notes),
        settings=rules,
    )
    if reasons:
        return held
    names: list[str] = [*VESSELS] if labels is not None else []
    vessels = sums_of(lesions, [*names, *([UNASSIGNED] if everything else [])], volume, labels, rules, calibration)
    remarks = quality.remarks(measured, total_of(vessels).agatston, rules)
    return _with_total(held, vessels, (*remarks, *notes), measured)


def _with_total(held: Score, vessels: Mapping[str, Sum], notes: tuple[str, ...], measured: Measured) -> Score:
    """Add the numbers; a heart that is cut gets no class, for what is missing may hold the rest."""
    total, extent = total_of(vessels), extent_of(vessels)
    cut = quality.cut(measured, held.settings)
    return replace(
        held,
        total=total,
        vessels=vessels,
        shown=shown(total.agatston),
        category=None if cut else category(total.agatston),
        cac_drs=None if cut else cac_drs(total.agatston, extent.vessels),
        extent=extent,
        notes=notes,
    )


def _refusals(volume: Volume, settings: ScoreSettings, incomplete: bool) -> list[str]:
    """Reasons not to score a volume at all, whoever built it."""
    reasons = []
    if len(volume.positions_mm) < 2:
        reasons.append("There is one slice only, so the increment is unknown; give the whole series.")
    if uneven_gaps(volume.positions_mm, settings) and not incomplete:
        reasons.append("Slices are missing: the gaps are uneven; export the series again, complete.")
    if settings.kv_mode == "120-only":
        if volume.kvp is None:
            reasons.append("The series does not say its kV; declare a kV mode (--kv-mode) if you know what it means.")
        elif abs(volume.kvp - 120) > KVP_TOLERANCE:
            reasons.append(
                f"{volume.kvp:g} kV: 130 HU and its weights hold at 120 kV; "
                "give the 120 kV series or declare a kV mode (--kv-mode)."
            )
    if volume.contrast_agent:
        reasons.append("The series names a contrast agent: bright blood counts as calcium; give the plain series.")
    return reasons


def _notes(
    volume: Volume,
    labels: Labels | None,
    settings: ScoreSettings,
    scan: ScanFacts | None,
    lesions: Sequence[Lesion],
) -> tuple[str, ...]:
    """Say what a reader must know beside the number."""
    notes = list(volume.notes) + list(labels.notes if labels is not None else ())
    if labels is not None and labels.cut is not None and labels.cut.any():
        slices = np.flatnonzero(labels.cut.any(axis=(1, 2))) + 1
        notes.append(
            f"A person drew a cut: {np.count_nonzero(labels.cut)} pixel(s) are barred, in slice(s) "
            f"{', '.join(str(one) for one in slices[:6])}{' and more' if len(slices) > 6 else ''}."
        )
    thin, thick = settings.standard_thickness_mm
    if volume.thickness_mm is None:
        notes.append("The series does not say its slice thickness.")
    elif not thin <= volume.thickness_mm <= thick:
        notes.append(
            f"Not a standard reconstruction: slices {volume.thickness_mm:g} mm thick, not {thin:g} to {thick:g} mm."
        )
    if volume.thickness_mm is not None and volume.increment_mm > volume.thickness_mm + settings.gap_tolerance_mm:
        notes.append(
            f"Slices {volume.thickness_mm:g} mm thick lie {volume.increment_mm:g} mm apart: tissue between is unseen."
        )
    if settings.kv_mode == "kv-independent":
        notes.append("kV mode declared by the user: a kV-independent reconstruction, scored by the 130 HU rule.")
    elif settings.kv_mode == "not-comparable":
        notes.append("kV mode declared by the user: 130 HU whatever the kV. NOT COMPARABLE with 120 kV scores.")
    if settings.all_islands:
        notes.append("All islands are scored, bone and valves too (--all-islands): not a coronary score by itself.")
    for vessel in VESSELS:
        poor = [
            lesion for lesion in lesions if lesion.vessel == vessel and lesion.map_share < settings.check_share_below
        ]
        if poor:
            notes.append(
                f"{len(poor)} lesion(s) of {vessel} lie mostly outside the vessel map: check for bone or valve."
            )
    if scan is not None:
        if scan.breath_holds > 1:
            notes.append(f"Acquired in {scan.breath_holds} breath-holds.")
        notes += scan.notes
    return tuple(notes)
