"""Slice records -> one regular volume in Hounsfield units, or a refusal that says why."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from scoring.ends import UNNUMBERED, Ends, Numbering, ends_of
from scoring.settings import ScoreSettings

SPACING_TOLERANCE_MM = 1e-4  # DICOM writes spacings as decimal strings of at most 16 characters
ORIENTATION_TOLERANCE = 1e-4
KVP_TOLERANCE = 0.5

Value = TypeVar("Value")
HuArray = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The series can be read but must not be scored; each reason is one sentence with its cure."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cardiac:
    """What one image says about the beat that it was exposed in; None where it says nothing."""

    trigger_time_ms: float | None = None  # from R to the exposure
    rr_interval_ms: float | None = None
    phase_percent: float | None = None  # of RR
    acquisition: int | None = None  # number of the exposure, from 1


@dataclass(frozen=True, slots=True, eq=False)
class SliceRecord:
    """One CT image as its file states it, before anything is believed.

    Lengths in mm. `orientation` holds the direction cosines of increasing column index, then of increasing row index;
    `position_mm` is the centre of the first pixel in patient coordinates (left, posterior, head are positive).
    """

    name: str  # for messages; never a patient's name
    digest: str  # of the whole file: equal means byte-identical
    series_uid: str
    stored: NDArray[np.integer]  # [row, column], before the rescale
    slope: float | None
    intercept: float | None
    row_mm: float  # distance between neighbouring rows
    column_mm: float
    orientation: tuple[float, float, float, float, float, float]
    position_mm: tuple[float, float, float]
    frame_uid: str = ""
    modality: str = "CT"
    kvp: float | None = 120.0
    thickness_mm: float | None = 3.0
    rescale_type: str = "HU"
    padding: int | None = None  # stored value of pixels outside the reconstructed field
    contrast_agent: str = ""
    simulated: bool = False
    lossy: bool = False  # it says that it was once compressed with loss
    cardiac: Cardiac = Cardiac()
    numbering: Numbering = UNNUMBERED
    mass_factor_patient: float | None = None  # mg/mL/HU
    mass_factors_device: tuple[float, float, float] | None = None  # for small, medium and large patients


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A stack of axial slices, sorted along the slice normal.

    `hu` is [slice, row, column]; `positions_mm` [slice] lie along the normal and ascend; `corners_mm` [slice, 3] are
    the centres of each slice's first pixel in patient coordinates.
    """

    hu: HuArray
    row_mm: float
    column_mm: float
    positions_mm: NDArray[np.float64]
    kvp: float | None
    thickness_mm: float | None
    corners_mm: NDArray[np.float64]
    orientation: tuple[float, float, float, float, float, float] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    series_uid: str = ""
    frame_uid: str = ""
    contrast_agent: str = ""
    simulated: bool = False
    notes: tuple[str, ...] = ()
    cardiac: tuple[Cardiac, ...] = ()  # one for each slice, or none
    ends: Ends | None = None  # whether the outermost slices are known to be there; None: not made of images
    mass_factor_patient: float | None = None  # mg/mL/HU, of this patient (0018,9351)
    mass_factors_device: tuple[float, float, float] | None = None  # for small, medium and large patients (0018,9352)

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together; this is the caller's slip, not the patient's data."""
        slices = len(self.positions_mm)
        if self.hu.ndim != 3 or self.hu.shape[0] != slices or self.corners_mm.shape != (slices, 3):
            raise ValueError(f"hu {self.hu.shape}, {slices} positions and corners {self.corners_mm.shape} do not fit")

    @property
    def increment_mm(self) -> float:
        """Median distance between neighbouring slices, from their positions."""
        return float(np.median(np.diff(self.positions_mm))) if len(self.positions_mm) > 1 else math.nan

    @property
    def pixel_area_mm2(self) -> float:
        """Area of one pixel."""
        return self.row_mm * self.column_mm

    def to_patient_mm(self, slice_index: int, row: float, column: float) -> tuple[float, float, float]:
        """Turn a slice, row and column (which may lie between pixels) into patient coordinates in mm."""
        x, y, z = (float(value) for value in self.corners_mm[slice_index])
        right, down = column * self.column_mm, row * self.row_mm
        o = self.orientation
        return (x + o[0] * right + o[3] * down, y + o[1] * right + o[4] * down, z + o[2] * right + o[5] * down)


def axial_volume(
    hu: HuArray,
    *,
    row_mm: float,
    column_mm: float,
    z_mm: Sequence[float] | NDArray[np.float64],
    x0_mm: float = 0.0,
    y0_mm: float = 0.0,
    kvp: float | None = 120.0,
    thickness_mm: float | None = 3.0,
    simulated: bool = False,
) -> Volume:
    """Build a volume of plain axial slices from an array [slice, row, column]; `z_mm` must ascend.

    Raises
    ------
    ValueError
        If `z_mm` does not ascend or does not fit the array.
    """
    positions = np.asarray(z_mm, dtype=np.float64)
    if np.any(np.diff(positions) <= 0):
        raise ValueError("z_mm must ascend")
    corners = np.column_stack([np.full_like(positions, x0_mm), np.full_like(positions, y0_mm), positions])
    return Volume(hu, row_mm, column_mm, positions, kvp, thickness_mm, corners, simulated=simulated)


def build_volume(
    records: Iterable[SliceRecord], settings: ScoreSettings | None = None, *, missing_allowed: bool = False
) -> Volume | Refusal:
    """Sort slice records along their normal and rescale each by its own slope and intercept.

    Parameters
    ----------
    records
        In any order.
    settings
        The tolerances; the defaults when None.
    missing_allowed
        True when the acquisition itself says that slabs are missing: gaps become notes, and `score_volume` gives no
        total. Two images at one position are refused all the same.

    Returns
    -------
    Volume or Refusal
        A refusal carries *all* reasons that were found, not only the first.

    References
    ----------
    DICOM PS3.3 C.7.6.2.1.1 (position and orientation), C.11.1.1.2 (rescale).

    Notes
    -----
    Our decisions: HU are never rounded; nothing is averaged or interpolated over a gap; byte-identical files are
    dropped with a note; `SliceLocation` and file names play no part, and `InstanceNumber` none but to tell of a slice
    that is missing at an end (`ends.py`).
    """
    rules = settings or ScoreSettings()
    kept, notes = _without_duplicates(records)
    if not kept:
        return Refusal(("There is no CT image to score; give the folder of one axial series.",))
    reasons = [*_mixed(kept), *_unfit(kept, rules)]
    if reasons:
        return Refusal(tuple(reasons))
    normal = _normal(kept[0].orientation)
    ordered = sorted(kept, key=lambda record: float(np.dot(normal, record.position_mm)))
    positions = np.array([float(np.dot(normal, record.position_mm)) for record in ordered])
    reasons, gap_notes = _stack_faults(ordered, positions, normal, rules, missing_allowed)
    if reasons:
        return Refusal(tuple(reasons))
    thicknesses = sorted({record.thickness_mm for record in ordered if record.thickness_mm is not None})
    if len(thicknesses) > 1:
        notes.append(f"Slice thickness differs inside the series: {', '.join(f'{t:g}' for t in thicknesses)} mm.")
    if any(record.lossy for record in ordered):
        notes.append("Compressed with loss before it came here: pixels near a threshold may have moved.")
    first = ordered[0]
    ends = ends_of([record.numbering for record in ordered], believe_count=rules.believe_count)
    return Volume(
        hu=_rescaled(ordered),
        row_mm=first.row_mm,
        column_mm=first.column_mm,
        positions_mm=positions,
        kvp=first.kvp,
        thickness_mm=thicknesses[0] if thicknesses else None,
        corners_mm=np.array([record.position_mm for record in ordered], dtype=np.float64),
        orientation=first.orientation,
        series_uid=first.series_uid,
        frame_uid=first.frame_uid,
        contrast_agent=next((record.contrast_agent for record in ordered if record.contrast_agent), ""),
        simulated=any(record.simulated for record in ordered),
        notes=(*notes, *gap_notes, *([ends.told] if ends.state == "short" else [])),
        cardiac=tuple(record.cardiac for record in ordered),
        ends=ends,
        mass_factor_patient=_of_all([record.mass_factor_patient for record in ordered]),
        mass_factors_device=_of_all([record.mass_factors_device for record in ordered]),
    )


def _of_all(values: Sequence[Value | None]) -> Value | None:
    """Give what all images say; None when they do not say the same."""
    first = values[0]
    return first if all(value == first for value in values) else None


def uneven_gaps(positions_mm: NDArray[np.float64], settings: ScoreSettings) -> tuple[int, ...]:
    """List the indices i whose gap to slice i + 1 is not the median gap: slices are missing there."""
    gaps = np.diff(positions_mm)
    if len(gaps) == 0:
        return ()
    return tuple(int(i) for i in np.flatnonzero(np.abs(gaps - np.median(gaps)) > settings.gap_tolerance_mm))


def _normal(orientation: Sequence[float]) -> NDArray[np.float64]:
    """Slice normal, right-handed from the two direction cosines."""
    return np.cross(np.array(orientation[:3]), np.array(orientation[3:]))


def _names(records: Sequence[SliceRecord]) -> str:
    """At most three file names, in a fixed order, for a sentence."""
    names = sorted(record.name for record in records)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _without_duplicates(records: Iterable[SliceRecord]) -> tuple[list[SliceRecord], list[str]]:
    """Drop byte-identical files; the result does not depend on the order of the files."""
    kept: dict[str, SliceRecord] = {}
    dropped: list[SliceRecord] = []
    for record in sorted(records, key=lambda record: record.name):
        if record.digest in kept:
            dropped.append(record)
        else:
            kept[record.digest] = record
    notes = [f"{len(dropped)} byte-identical duplicate(s) dropped: {_names(dropped)}."] if dropped else []
    return list(kept.values()), notes


def _mixed(records: Sequence[SliceRecord]) -> list[str]:
    """Reasons why the records are not one series."""
    first = records[0]

    def far(a: Sequence[float], b: Sequence[float], tolerance: float) -> bool:
        return max(abs(x - y) for x, y in zip(a, b, strict=True)) > tolerance

    def kvp_differs(record: SliceRecord) -> bool:
        if record.kvp is None or first.kvp is None:
            return record.kvp is not first.kvp
        return abs(record.kvp - first.kvp) > KVP_TOLERANCE

    checks: tuple[tuple[str, Callable[[SliceRecord], bool]], ...] = (
        ("belong to a second series", lambda r: r.series_uid != first.series_uid),
        ("have another frame of reference", lambda r: r.frame_uid != first.frame_uid),
        ("have another number of rows or columns", lambda r: r.stored.shape != first.stored.shape),
        (
            "have another pixel spacing",
            lambda r: far((r.row_mm, r.column_mm), (first.row_mm, first.column_mm), SPACING_TOLERANCE_MM),
        ),
        ("have another orientation", lambda r: far(r.orientation, first.orientation, ORIENTATION_TOLERANCE)),
        ("have another kV", kvp_differs),
    )
    reasons = []
    for text, differs in checks:
        odd = [record for record in records if differs(record)]
        if odd:
            # the smaller camp is named: that is what a person would take away
            named = odd if 2 * len(odd) <= len(records) else [record for record in records if not differs(record)]
            reasons.append(f"Some images {text} ({_names(named)}); give the folder of one series.")
    return reasons


def _unfit(records: Sequence[SliceRecord], settings: ScoreSettings) -> list[str]:
    """Reasons that lie in single images."""
    reasons = []
    foreign = [record for record in records if record.modality != "CT"]
    if foreign:
        reasons.append(f"Not CT but {foreign[0].modality or 'no modality'} ({_names(foreign)}); give a CT series.")
    unscaled = [record for record in records if record.slope is None or record.intercept is None or record.slope == 0]
    if unscaled:
        reasons.append(f"No rescale to HU ({_names(unscaled)}); export the original images of the scanner.")
    other_unit = [record for record in records if record.rescale_type not in {"", "HU"}]
    if other_unit:
        reasons.append(
            f"Pixel values are {other_unit[0].rescale_type}, not HU ({_names(other_unit)}); give the HU series."
        )
    limit = math.cos(math.radians(settings.max_tilt_deg))
    tilted = [record for record in records if abs(_normal(record.orientation)[2]) < limit]
    if tilted:
        degrees = math.degrees(math.acos(min(1.0, abs(float(_normal(tilted[0].orientation)[2])))))
        reasons.append(
            f"Not axial: the slices are tilted by {degrees:.1f} degrees, more than {settings.max_tilt_deg:g} "
            f"({_names(tilted)}); give the axial reconstruction."
        )
    return reasons


def _stack_faults(
    ordered: Sequence[SliceRecord],
    positions_mm: NDArray[np.float64],
    normal: NDArray[np.float64],
    settings: ScoreSettings,
    missing_allowed: bool,
) -> tuple[list[str], list[str]]:
    """Reasons and notes that lie in how the slices stand to each other."""
    if len(ordered) < 2:
        return ["There is one slice only, so the increment is unknown; give the whole series."], []
    gaps = np.diff(positions_mm)
    twins = np.flatnonzero(gaps <= settings.same_position_mm)
    if len(twins):
        pair = ordered[int(twins[0])], ordered[int(twins[0]) + 1]
        return [
            f"Two different images lie at one position, {positions_mm[twins[0]]:g} mm ({_names(pair)}); "
            "give one reconstruction only."
        ], []
    reasons, notes = [], []
    increment = float(np.median(gaps))
    uneven = uneven_gaps(positions_mm, settings)
    if uneven:
        where = ", ".join(f"{positions_mm[i]:g} to {positions_mm[i + 1]:g} mm" for i in uneven[:3])
        more = f" and {len(uneven) - 3} more" if len(uneven) > 3 else ""
        text = f"Slices are missing: gaps of other than {increment:g} mm at {where}{more}"
        if missing_allowed:
            notes.append(f"{text}.")
        else:
            reasons.append(f"{text}; export the series again, complete.")
    thickness = ordered[0].thickness_mm
    if thickness is not None and increment > settings.max_increment_over_thickness * thickness:
        reasons.append(
            f"The slices do not touch: {thickness:g} mm thick, {increment:g} mm apart; "
            "slices are missing, export the series again, complete."
        )
    corners = np.array([record.position_mm for record in ordered])
    aside = np.diff(corners - np.outer(positions_mm, normal), axis=0)
    allowed = math.tan(math.radians(settings.max_tilt_deg)) * gaps + settings.same_position_mm
    if np.any(np.linalg.norm(aside, axis=1) > allowed):
        reasons.append(
            "The slices do not lie above each other (gantry tilt, or a moved field of view); give a straight stack."
        )
    return reasons, notes


def _rescaled(ordered: Sequence[SliceRecord]) -> HuArray:
    """HU [slice, row, column], each image by its own slope and intercept, padding at minus infinity.

    Single precision where it is exact (whole-number slopes and intercepts, as scanners write), double elsewhere, so
    that no pixel crosses an edge by rounding.
    """
    rescales = [(float(record.slope or 0.0), float(record.intercept or 0.0)) for record in ordered]  # none is None here
    whole = all(
        slope.is_integer() and intercept.is_integer() and abs(slope) * 65535 + abs(intercept) < 2**24
        for slope, intercept in rescales
    ) and all(record.stored.dtype.itemsize <= 2 for record in ordered)
    shape = (len(ordered), *ordered[0].stored.shape)
    hu = np.empty(shape, dtype=np.float32 if whole else np.float64)
    for index, (record, (slope, intercept)) in enumerate(zip(ordered, rescales, strict=True)):
        np.multiply(record.stored, slope, out=hu[index], casting="unsafe")
        hu[index] += intercept
        if record.padding is not None:
            hu[index][record.stored == record.padding] = -np.inf
    hu.setflags(write=False)
    return hu
