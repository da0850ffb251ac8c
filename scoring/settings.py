"""Every edge decision of the score as a named, frozen setting; all of them are printed in each report.

Defaults are the reference definition (scoring/README.md, section 1). Lengths are in mm, areas in mm2, densities in HU.
"""

from typing import Literal

import msgspec

KvMode = Literal["120-only", "kv-independent", "not-comparable"]


class ScoreSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What decides a score. Two right programs can disagree, so each value is printed with the number."""

    # islands
    threshold_hu: float = 130.0  # `>=`: a pixel of exactly 130 counts (Agatston 1990)
    connectivity: Literal[4, 8] = 4  # inside one slice; 8 raises the score by about 3 % (van Ooijen 2005)
    min_area_mm2: float = 1.0  # `>=`, per island and slice, in mm2 and not in rounded pixels (Agatston 1990)
    area_slack_mm2: float = 1e-9  # floating-point slack of that comparison
    min_pixels: int = 1  # a smallest number of pixels, for the vendors that have one; it comes on top of the area
    # weight and factor
    weight_edges_hu: tuple[float, float, float] = (200.0, 300.0, 400.0)  # `>=`; 199.5 is weight 1
    weight_from: Literal["peak-pixel-of-island-in-slice"] = "peak-pixel-of-island-in-slice"
    reference_increment_mm: float = 3.0  # the score is multiplied by increment / 3 mm
    increment_from: Literal["image-positions"] = "image-positions"  # never SliceThickness
    volume_mode: Literal["voxel", "interpolated"] = "voxel"  # never both in one table: they differ by about 30 %
    volume_threshold_hu: float | None = None  # of volume and mass, where it is another one (Philips); None: the same
    # vessels
    vessel_rule: Literal["majority-of-map-pixels"] = "majority-of-map-pixels"
    vessel_tie: Literal["first-of-LM-LAD-LCX-RCA"] = "first-of-LM-LAD-LCX-RCA"
    lesion_rule: Literal["26-connected-within-vessel"] = "26-connected-within-vessel"  # for counting and listing only
    all_islands: bool = False  # score islands that no vessel claims, too: bone, valves and all
    check_share_below: float = 0.5  # a lesion with less of its pixels on the map is flagged for a person to look at
    # rounding and classes
    rounding: Literal["half-up-once-at-the-end"] = "half-up-once-at-the-end"
    classes_from: Literal["shown-integer"] = "shown-integer"  # so that the text and the class agree
    # what is refused
    kv_mode: KvMode = "120-only"  # other values are the user's declaration, printed beside the number
    contrast_check: Literal["tag-and-blood", "tag-only"] = "tag-and-blood"  # the tag alone is not enough
    coverage_check: Literal["images", "person"] = "images"  # "person": somebody has seen that the whole heart is there
    max_blood_pool_hu: float = 100.0  # mean of aorta or blood pool; above it there is contrast agent
    max_tilt_deg: float = 1.0  # between the slice normal and the patient's axis
    gap_tolerance_mm: float = 0.05  # a gap that differs more from the median gap is a missing slice
    same_position_mm: float = 0.01  # two images closer than this lie at one position
    max_increment_over_thickness: float = 1.5  # beyond it the slices do not touch: every second one is missing
    believe_count: bool = True  # False where the scanner's ImagesInAcquisition is known to be of no use
    # what is flagged
    max_noise_sd_hu: float = 20.0  # in the aorta; from about here on noise alone makes islands (README, quality)
    uncertain_noise_sd_hu: float = 23.0  # above it a positive score of a few units is called uncertain
    few_units: float = 10.0  # what "a few" is
    very_high_from: tuple[float, ...] = (400.0, 1000.0)  # a score from here on is flagged to a named cardiologist
    cardiologist: str = ""  # who that is
    standard_thickness_mm: tuple[float, float] = (2.5, 3.0)  # outside: "not a standard reconstruction"
