"""A multi-frame Enhanced CT object -> one slice record for each frame."""

import hashlib

import numpy as np
import pydicom

from scoring.io.dicom_file import lossy, number, pixels_of, text
from scoring.io.dicom_tags import contrast_of, mass_factor_patient, mass_factors_device
from scoring.io.errors import SeriesError
from scoring.volume import Cardiac, SliceRecord

# Enhanced CT, and Legacy Converted Enhanced CT: single slices that an archive has put together
ENHANCED_CT = frozenset({"1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"})


def frames_of(name: str, dataset: pydicom.Dataset) -> list[SliceRecord]:
    """Read all frames; each takes what is its own, and else what the object says of all.

    References
    ----------
    DICOM PS3.3 A.38.1 (Enhanced CT), A.70 (legacy converted), C.7.6.16 (functional groups).

    Raises
    ------
    SeriesError
        If frames and their descriptions do not go together, or a frame has no place in the patient.
    """
    stored = pixels_of(name, dataset)
    stored = stored[np.newaxis] if stored.ndim == 2 else stored
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    if stored.ndim != 3 or not np.issubdtype(stored.dtype, np.integer) or len(stored) != len(groups):
        raise SeriesError(f"{name} describes {len(groups)} frames and has others; export it again.")
    shared = dataset.get("SharedFunctionalGroupsSequence")
    common = shared[0] if shared else pydicom.Dataset()
    return [
        _frame(f"{name}, frame {place}", dataset, _Groups(name, own, common), pixels)
        for place, (own, pixels) in enumerate(zip(groups, stored, strict=True), 1)
    ]


class _Groups:
    """Functional groups of one frame: its own before those that all frames share."""

    def __init__(self, name: str, own: pydicom.Dataset, common: pydicom.Dataset) -> None:
        self._name, self._own, self._common = name, own, common

    def get(self, sequence: str) -> pydicom.Dataset:
        """Give a group's item; an empty one where there is none."""
        items = self._own.get(sequence) or self._common.get(sequence)
        return items[0] if items else pydicom.Dataset()

    def need(self, sequence: str) -> pydicom.Dataset:
        """Give a group's item, or refuse the object."""
        item = self.get(sequence)
        if not len(item):
            raise SeriesError(f"{self._name} has frames without a {sequence}; they have no place, export it again.")
        return item


def _frame(name: str, dataset: pydicom.Dataset, groups: _Groups, pixels: np.ndarray) -> SliceRecord:
    """Make the record of one frame."""
    measures, rescale = groups.need("PixelMeasuresSequence"), groups.get("PixelValueTransformationSequence")
    row_mm, column_mm = (float(value) for value in measures.PixelSpacing)
    o = [float(value) for value in groups.need("PlaneOrientationSequence").ImageOrientationPatient]
    x, y, z = (float(value) for value in groups.need("PlanePositionSequence").ImagePositionPatient)
    if not np.all(np.isfinite([row_mm, column_mm, *o, x, y, z])) or min(row_mm, column_mm) <= 0:
        raise SeriesError(f"{name} has an impossible spacing or position; export it again.")
    unit = np.array(o).reshape(2, 3)
    if np.abs(unit @ unit.T - np.eye(2)).max() > 0.001:
        raise SeriesError(f"{name} has an orientation that is not two perpendicular directions; export it again.")
    slope, intercept = number(rescale, "RescaleSlope"), number(rescale, "RescaleIntercept")
    place = f"{row_mm} {column_mm} {o} {(x, y, z)} {slope} {intercept}"
    told = " ".join(text(dataset, one) for one in ("Manufacturer", "ManufacturerModelName", "SeriesDescription"))
    padding = dataset.get("PixelPaddingValue")
    thickness_mm = number(measures, "SliceThickness")
    return SliceRecord(
        name=name,
        digest=hashlib.sha256(place.encode() + pixels.tobytes()).hexdigest(),
        series_uid=text(dataset, "SeriesInstanceUID"),
        frame_uid=text(dataset, "FrameOfReferenceUID"),
        stored=pixels,
        slope=slope,
        intercept=intercept,
        row_mm=row_mm,
        column_mm=column_mm,
        orientation=(o[0], o[1], o[2], o[3], o[4], o[5]),
        position_mm=(x, y, z),
        modality=text(dataset, "Modality"),
        kvp=_kvp(groups),
        thickness_mm=thickness_mm if thickness_mm and thickness_mm > 0 else None,
        rescale_type=text(rescale, "RescaleType"),
        padding=int(padding) if isinstance(padding, int) else None,
        contrast_agent=contrast_of(dataset),
        simulated="simulat" in told.lower(),
        lossy=lossy(dataset),
        cardiac=_cardiac(groups),
        mass_factor_patient=mass_factor_patient(dataset),
        mass_factors_device=mass_factors_device(dataset),
    )


def _kvp(groups: _Groups) -> float | None:
    """Read the kV; a converted object keeps it among the attributes that the conversion had no place for."""
    places = (
        "CTXRayDetailsSequence",
        "UnassignedPerFrameConvertedAttributesSequence",
        "UnassignedSharedConvertedAttributesSequence",
    )
    found = (number(groups.get(place), "KVP") for place in places)
    return next((kvp for kvp in found if kvp is not None), None)


def _cardiac(groups: _Groups) -> Cardiac:
    """Read the beat of a frame."""
    beat, content = groups.get("CardiacSynchronizationSequence"), groups.get("FrameContentSequence")
    acquisition = number(content, "FrameAcquisitionNumber")
    return Cardiac(
        trigger_time_ms=number(beat, "NominalCardiacTriggerDelayTime"),
        rr_interval_ms=number(beat, "RRIntervalTimeNominal"),
        phase_percent=number(beat, "NominalPercentageOfCardiacPhase"),
        acquisition=None if acquisition is None else int(acquisition),
    )
