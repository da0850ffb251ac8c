"""Rules that propose which lesions are coronary, and of which vessel: by place in the heart and by what lies around.

A coronary artery runs in the fat of the heart's grooves; a valve lies in blood, the wall of the aorta on a circle, a
nodule in air, bone outside the heart. Where rules are in doubt the lesion is proposed, with low confidence and a word
why: a person looks at every proposal, and a false zero is the worst that can happen. Nothing is learnt, and nothing
was measured on real persons.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from scoring.candidates import CandidateFinder, Proposal, proposed_labels
from scoring.islands import Island, find_islands
from scoring.lesions import Labels, Lesion, Vessel, find_lesions
from scoring.round_vessels import NotFound, Roi, Tube
from scoring.settings import ScoreSettings
from scoring.thorax import Thorax, find_thorax
from scoring.volume import Volume

SURE = 0.7
OUTSIDE_SHARE = 0.35  # of its pixels inside the heart: less is bone, wall, lung or aorta
METAL_HU = 1500.0  # and above; the densest plaques have some 1300
_LARGEST_MM3 = 5000.0  # of one lesion: some 6000 in Agatston's score
_RING_MM = (2.0, 6.0)  # around a lesion: beyond the scanner's blur, within its fat
_FAT_HU = (-200.0, -30.0)
_AIR_HU = -400.0
_VALVE_FAT = 0.08  # share of fat around: less, deep inside, is in blood
_VALVE_DEPTH_MM = 15.0
_RING_FAT, _RING_DEPTH_MM = 0.22, 24.0  # the mitral ring lies between blood and fat, deeper than the arteries
_WALL_MM = (6.0, 4.5, 5.5)  # about the aorta's circle, inwards, outwards, and outwards of the descending one: its wall
_SPECK_MM2 = 3.0
_SPECK_SD = 6.0, 5.0  # above what lies around: less may be noise; without fat around, and with some
_FAINT_SD = 8.0
_SPECK_FAT = 0.5  # more fat around: an artery's place, whatever the noise
_INNER_DEPTH_MM, _INNER_RHO, _INNER_HEIGHT = 18.0, 0.42, (-0.15, 0.72)  # the valves' place in the heart's frame
_INNER_FAT = 0.6  # more: a groove under the heart
_BEHIND_MM = 22.0  # before the spine
_LONG_MM, _DENSE_HU = 10.0, 600.0  # a stent whose struts the scanner blurs
_USUAL_SD_HU = 22.0  # where the aorta was not found


@dataclass(frozen=True, slots=True)
class _Look:
    """What is seen of one lesion."""

    in_heart: float  # share of its pixels
    fat: float  # shares of what lies around
    air: float
    depth_mm: float
    longest_mm: float
    metal: float  # share of its pixels in islands that reach metal's density
    above_sd: float  # its peak over the denser quarter of what lies around, in SD of noise
    small: bool  # one island below `_SPECK_MM2`


@dataclass(frozen=True, slots=True)
class _Verdict:
    """`vessel` None: not coronary."""

    vessel: Vessel | None
    confidence: float
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Proposed:
    """A map to begin with, and what was thought of each lesion, if anything was."""

    labels: Labels
    proposals: tuple[Proposal, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class RuleFinder:
    """Proposes by rules on anatomy; see the head of this file. `thorax` where it was found before."""

    thorax: Thorax | NotFound | None = None

    @property
    def name(self) -> str:
        """Name and version."""
        return "rules 1"

    def propose(self, volume: Volume, lesions: Sequence[Lesion], settings: ScoreSettings) -> tuple[Proposal, ...]:
        """Give one proposal for each lesion; without landmarks none is judged, and each has confidence 0."""
        del settings  # the rules look at tissue, not at weights
        thorax = find_thorax(volume) if self.thorax is None else self.thorax
        if isinstance(thorax, NotFound):
            why = f"Not judged: {' '.join(thorax.reasons)}"
            return tuple(Proposal(lesion, None, 0.0, why) for lesion in lesions)
        return propose_in(thorax, volume, lesions)


def propose_in(thorax: Thorax, volume: Volume, lesions: Sequence[Lesion]) -> tuple[Proposal, ...]:
    """Propose with landmarks that were found before, in the order of the lesions."""
    proposals = []
    for lesion in lesions:
        verdict = _judge(thorax, volume, lesion)
        proposals.append(Proposal(lesion, verdict.vessel, round(verdict.confidence, 2), verdict.why))
    return tuple(proposals)


def propose(
    volume: Volume,
    settings: ScoreSettings,
    thorax: Thorax | NotFound | None = None,
    finder: CandidateFinder | None = None,
) -> Proposed | NotFound:
    """Make a vessel map of what is proposed, and keep what was thought of each lesion.

    Parameters
    ----------
    volume
        hu [slice, row, column] in HU.
    settings
        Of the lesions.
    thorax
        The landmarks, where they were found before.
    finder
        A site's own; the rules when None.

    Returns
    -------
    Proposed or NotFound
        Not found: the rules have no landmarks to judge by, or a finder judges no lesion, so that even an empty map
        would claim too much.
    """
    if finder is None:
        thorax = find_thorax(volume) if thorax is None else thorax
        if isinstance(thorax, NotFound):
            return thorax
        finder = RuleFinder(thorax)
    lesions = find_lesions(volume, find_islands(volume, settings), None, settings)
    proposals = tuple(finder.propose(volume, lesions, settings))
    if proposals and all(one.confidence == 0.0 for one in proposals):
        return NotFound(tuple(dict.fromkeys(one.why for one in proposals)))
    drawn = proposed_labels(proposals, volume, finder.name)
    notes = (f"PROPOSED by {finder.name}, not reviewed by a person.", *_doubts(proposals))
    return Proposed(replace(drawn, notes=notes), proposals)


def _doubts(proposals: Sequence[Proposal]) -> list[str]:
    """Say what a person must look at first: what was proposed in doubt, and what in the heart was left out in doubt."""
    weak = sum(one.vessel is not None and one.confidence < SURE for one in proposals)
    left = sum(one.vessel is None and one.confidence < SURE for one in proposals)
    notes = [f"{weak} lesion(s) were proposed in doubt (confidence below {SURE:g})."] if weak else []
    return [*notes, f"{left} lesion(s) were left out in doubt (confidence below {SURE:g})."] if left else notes


def _judge(thorax: Thorax, volume: Volume, lesion: Lesion) -> _Verdict:
    """Go through the rules in their order: what is surely none, then what may be one."""
    in_heart = _share_in_heart(thorax, lesion)
    if in_heart < OUTSIDE_SHARE:
        return _Verdict(None, 0.95 if in_heart == 0.0 else 0.7, _what_outside(thorax, lesion))
    look = _look(thorax, volume, lesion, in_heart)
    return _surely_not(thorax, volume, lesion, look) or _coronary(thorax, volume, lesion, look)


def _share_in_heart(thorax: Thorax, lesion: Lesion) -> float:
    """Share of a lesion's pixels inside the heart."""
    inside = sum(int(np.count_nonzero(thorax.heart[one.slice, one.rows, one.columns])) for one in lesion.islands)
    return inside / lesion.pixels


def _what_outside(thorax: Thorax, lesion: Lesion) -> str:
    """Name what a lesion outside the heart may be."""
    if _in_descending(thorax, lesion):
        return "Outside the heart, at the descending aorta: its wall."
    y = lesion.centre_mm[1]
    if not isinstance(thorax.spine, NotFound) and y > thorax.spine.front_y_mm - 5.0:
        return "Outside the heart, at the back: spine or rib."
    if y < thorax.frame.centre_mm[1] - thorax.frame.half_mm[1]:
        return "Outside the heart, in front: sternum or rib."
    return "Outside the heart: bone, lung or chest wall."


def _look(thorax: Thorax, volume: Volume, lesion: Lesion, in_heart: float) -> _Look:
    """Look at a lesion and at the ring of tissue around each of its islands."""
    rings = [_ring_hu(volume, island) for island in lesion.islands]
    ring = np.concatenate(rings)
    ring = ring[np.isfinite(ring)]
    known = max(len(ring), 1)
    spans = [
        (np.ptp(np.concatenate([getattr(one, axis) for one in lesion.islands])) + 1) * size
        for axis, size in (("rows", volume.row_mm), ("columns", volume.column_mm))
    ]
    height = (lesion.islands[-1].slice - lesion.islands[0].slice + 1) * volume.increment_mm
    around_hu = float(np.percentile(ring, 75)) if len(ring) else math.nan
    sd_hu = thorax.aorta_roi.sd_hu if isinstance(thorax.aorta_roi, Roi) else _USUAL_SD_HU
    return _Look(
        in_heart=in_heart,
        fat=float(np.count_nonzero((ring > _FAT_HU[0]) & (ring < _FAT_HU[1]))) / known,
        air=float(np.count_nonzero(ring < _AIR_HU)) / known,
        above_sd=(lesion.peak_hu - around_hu) / max(sd_hu, 1.0),
        depth_mm=thorax.depth_at_mm(lesion.centre_mm),
        longest_mm=float(np.sqrt(spans[0] ** 2 + spans[1] ** 2 + height**2)),
        metal=sum(one.pixels for one in lesion.islands if one.peak_hu >= METAL_HU) / lesion.pixels,
        small=len(lesion.islands) == 1 and lesion.pixels * volume.pixel_area_mm2 < _SPECK_MM2,
    )


def _ring_hu(volume: Volume, island: Island) -> NDArray[np.floating]:
    """Pixels around an island in its slice that are not dense themselves."""
    reach = [int(np.ceil(_RING_MM[1] / size)) + 1 for size in (volume.row_mm, volume.column_mm)]
    low = [max(int(index.min()) - pad, 0) for index, pad in zip((island.rows, island.columns), reach, strict=True)]
    high = [int(index.max()) + pad + 1 for index, pad in zip((island.rows, island.columns), reach, strict=True)]
    page = volume.hu[island.slice, low[0] : high[0], low[1] : high[1]]
    outside = np.ones(page.shape, dtype=bool)
    outside[island.rows - low[0], island.columns - low[1]] = False
    away = ndimage.distance_transform_edt(outside, sampling=(volume.row_mm, volume.column_mm))
    return np.asarray(page[(away > _RING_MM[0]) & (away <= _RING_MM[1]) & (page < 130.0)])


def _surely_not(thorax: Thorax, volume: Volume, lesion: Lesion, look: _Look) -> _Verdict | None:
    """Give the first reason why a lesion in the heart is no coronary calcium, or None."""
    if look.metal >= 0.5:
        return _Verdict(None, 0.8, f"{lesion.peak_hu:.0f} HU: metal (stent, lead or clip), no calcium.")
    if lesion.pixels * volume.pixel_area_mm2 * volume.increment_mm > _LARGEST_MM3:
        return _Verdict(None, 0.7, "Larger than an artery's calcium can be: bone.")
    if look.air > 0.5:
        return _Verdict(None, 0.8, "Lung lies around it: a nodule or a node.")
    if _in_descending(thorax, lesion):
        return _Verdict(None, 0.8, "On the circle of the descending aorta: its wall.")
    if _in_ascending(thorax, lesion):
        return _Verdict(None, 0.7, "On the circle of the ascending aorta, above the heart: its wall.")
    if _may_be_noise(look):
        return _Verdict(None, 0.6, "A faint speck in muscle or blood, no higher than noise reaches.")
    if _behind_heart(thorax, lesion):
        return _Verdict(None, 0.7, "Between heart and spine: gullet, node or aorta.")
    if look.fat < _VALVE_FAT and look.depth_mm >= _VALVE_DEPTH_MM:
        return _Verdict(None, 0.7, f"{look.depth_mm:.0f} mm deep in blood, no fat around it: a valve or its ring.")
    if look.fat < _RING_FAT and look.depth_mm >= _RING_DEPTH_MM:
        return _Verdict(None, 0.5, f"{look.depth_mm:.0f} mm deep, little fat around it: the ring of a valve.")
    if look.fat < _INNER_FAT and look.depth_mm >= _INNER_DEPTH_MM and _in_the_middle(thorax, lesion):
        return _Verdict(None, 0.5, "In the middle of the heart, where valves are and no artery runs.")
    return None


def _in_descending(thorax: Thorax, lesion: Lesion) -> bool:
    """Whether a lesion lies in or on the descending aorta."""
    tube = thorax.descending
    return isinstance(tube, Tube) and tube.distance_mm(lesion.centre_mm, beyond_mm=60.0) <= tube.radius_mm + _WALL_MM[2]


def _in_ascending(thorax: Thorax, lesion: Lesion) -> bool:
    """Whether a lesion lies in or on the ascending aorta, above where arteries leave it."""
    tube, frame = thorax.ascending, thorax.frame
    if isinstance(tube, NotFound) or lesion.centre_mm[2] < frame.centre_mm[2] + frame.half_mm[2] + 5.0:
        return False
    return tube.distance_mm(lesion.centre_mm) <= tube.radius_mm + _WALL_MM[1]


def _behind_heart(thorax: Thorax, lesion: Lesion) -> bool:
    """Whether a lesion lies just before the spine, where gullet and nodes are and no artery of the heart."""
    spine = thorax.spine
    if isinstance(spine, NotFound):
        return False
    x, y, _ = lesion.centre_mm
    return y > spine.front_y_mm - _BEHIND_MM and abs(x - spine.x_mm) < 25.0


def _in_the_middle(thorax: Thorax, lesion: Lesion) -> bool:
    """Whether a lesion lies about the heart's long middle, below the great arteries' origin and above its underside."""
    x, y, h = thorax.frame.place(lesion.centre_mm)
    return math.hypot(x, y) < _INNER_RHO and _INNER_HEIGHT[0] < h < _INNER_HEIGHT[1]


def _may_be_noise(look: _Look) -> bool:
    """Whether a lesion is one small island that stands no higher above what lies around than noise may."""
    if not look.small or look.fat > _SPECK_FAT:
        return False
    return look.above_sd < (_SPECK_SD[0] if look.fat < _VALVE_FAT else _SPECK_SD[1])


def _coronary(thorax: Thorax, volume: Volume, lesion: Lesion, look: _Look) -> _Verdict:
    """Propose a vessel, and say how sure that is."""
    votes: dict[Vessel, int] = {}
    for island in lesion.islands:
        row, column = float(island.rows.mean()), float(island.columns.mean())
        vessel = vessel_at(thorax, volume.to_patient_mm(island.slice, row, column))
        votes[vessel] = votes.get(vessel, 0) + island.pixels
    vessel = max(votes, key=lambda one: votes[one])
    confidence = 0.9
    doubts: list[str] = []
    others = ", ".join(one for one in votes if one != vessel)
    for true, factor, doubt in (
        (look.in_heart < 0.7, 0.5, "at the rim of the heart"),
        (look.fat < 0.3, 0.6, "little fat around it: may be a valve's ring or the muscle"),
        (len(votes) > 1, 0.7, f"reaches into {others}"),
        (_near_ascending(thorax, lesion), 0.6, "near the wall of the ascending aorta"),
        (look.small and look.above_sd < _FAINT_SD, 0.5, "faint and small: may be noise"),
        (look.metal > 0.0, 0.4, "partly metal"),
        (look.longest_mm >= _LONG_MM and lesion.peak_hu >= _DENSE_HU, 0.6, "long and dense: may be a stent"),
    ):
        if true:
            confidence *= factor
            doubts.append(doubt)
    why = f"In the heart's fat, where the {vessel} runs" + (f"; {'; '.join(doubts)}." if doubts else ".")
    return _Verdict(vessel, confidence, why)


def _near_ascending(thorax: Thorax, lesion: Lesion) -> bool:
    """Whether a lesion lies on the circle of the ascending aorta, at the height where arteries leave it."""
    tube = thorax.ascending
    if isinstance(tube, NotFound):
        return False
    off = tube.distance_mm(lesion.centre_mm, beyond_mm=15.0) - tube.radius_mm
    return -_WALL_MM[0] <= off <= _WALL_MM[1]


def vessel_at(thorax: Thorax, point_mm: tuple[float, float, float]) -> Vessel:
    """Tell which vessel runs at a place of the heart.

    Parameters
    ----------
    thorax
        Its frame gives the heart's middle and extents.
    point_mm
        Patient coordinates x, y, z.

    Notes
    -----
    In the frame, u is the direction from the middle (0 left, 90 back, -90 front), rho the distance and h the height,
    both 1 at the rim. The borders are ours: the right artery lies right of the front middle line and round to the back,
    the LAD in front on the left, the circumflex on the left and at the back; the left main high up and inside.
    """
    x, y, h = thorax.frame.place(point_mm)
    u, rho = math.degrees(math.atan2(y, x)), math.hypot(x, y)
    if h > 0.5 and rho < 0.3 and 20.0 < u < 110.0:
        return "LM"
    if h > 0.66 and -95.0 < u < -64.0:
        return "LM"
    if h < -0.3 and rho < 0.4:
        return "RCA"  # under the heart
    if u < -95.0 or u > 105.0:
        return "RCA"
    # the LAD leaves the bifurcation to the left before it turns to the front
    border = float(np.interp(rho, (0.4, 0.6), (22.0, -24.0)))
    return "LAD" if u < border else "LCX"
