"""The vessel map of a score as a BINARY DICOM SEG: what `read_labels` reads back is the identical map."""

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentationTypeValues, SegmentDescription
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from scoring.io.labels_in import CUT
from scoring.io.png import VESSEL_COLOURS
from scoring.io.results import codes
from scoring.io.results.origin import MANUFACTURER, MODEL, SERIAL, Origin, settle, software
from scoring.io.scored_series import ScoredSeries
from scoring.lesions import VESSELS, Labels
from scoring.volume import Volume

CUT_COLOUR = "#ffffff"
FAMILY = Code("123101", "DCM", "Neighborhood Analysis")


def make_segmentation(scored: ScoredSeries, sources: Sequence[Dataset], origin: Origin) -> Dataset | None:
    """Make the segmentation of a vessel map.

    Parameters
    ----------
    scored
        The score with its volume and map.
    sources
        Headers of the slices, in the volume's order.
    origin
        UIDs and times.

    Returns
    -------
    Dataset or None
        One segment for each of LM, LAD, LCX, RCA, with or without pixels, and one labelled CUT where a person drew a
        cut. None when there is no map, or the series has no frame of reference that a map could be put into.
        A map without a pixel is one empty frame for each segment, in the first slice: it says that a map was there.
    """
    labels, volume = scored.labels, scored.volume
    if labels is None or volume is None or not volume.frame_uid:
        return None
    drawn = _drawn(labels)
    used = list(sources)
    if not drawn.any():
        drawn, used = drawn[:1], used[:1]
    segmentation = Segmentation(
        source_images=used,
        pixel_array=drawn,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=_descriptions(scored, labels, volume, origin),
        series_instance_uid=origin.uid("segmentation series"),
        series_number=100,
        sop_instance_uid=origin.uid("segmentation"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL,
        software_versions=software(),
        device_serial_number=SERIAL,
        pixel_measures=hd.PixelMeasuresSequence(
            pixel_spacing=(volume.row_mm, volume.column_mm), slice_thickness=volume.thickness_mm or volume.increment_mm
        ),
        omit_empty_frames=bool(drawn.any()),
        content_label="VESSELS",
        content_description=origin.title("Coronary vessel map of a calcium score"),
        series_description=origin.title("Calcium vessel map"),
    )
    settle(segmentation, origin.date, origin.time, origin.uid("dimensions"))
    return segmentation


def segment_numbers(labels: Labels) -> dict[str, int]:
    """Give the segment number of each vessel that has a pixel; only those can be pointed at."""
    return {name: number for number, name in enumerate(VESSELS, 1) if (labels.vessels == number).any()}


def _drawn(labels: Labels) -> NDArray[np.uint8]:
    """Pixels as highdicom wants them: segment numbers, or a last axis of segments where a cut may lie on a vessel."""
    if labels.cut is None:
        return labels.vessels
    layers = [labels.vessels == number for number in range(1, len(VESSELS) + 1)]
    return np.stack([*layers, labels.cut], axis=-1).astype(np.uint8)


def _descriptions(scored: ScoredSeries, labels: Labels, volume: Volume, origin: Origin) -> list[SegmentDescription]:
    """Describe the segments; a map that reaches beyond calcium is of the vessels, not of plaque, and says so."""
    marked = labels.vessels > 0
    is_plaque = bool(np.all(volume.hu[marked] >= scored.report.settings.threshold_hu))
    if origin.confirmed:
        kind, algorithm = SegmentAlgorithmTypeValues.MANUAL, None
    else:
        proposed = "proposed" in labels.origin.lower()
        kind = SegmentAlgorithmTypeValues.AUTOMATIC if proposed else SegmentAlgorithmTypeValues.SEMIAUTOMATIC
        algorithm = hd.AlgorithmIdentificationSequence(name=MODEL, version=software(), family=FAMILY)
    descriptions = [
        SegmentDescription(
            segment_number=number,
            segment_label=vessel,
            segmented_property_category=codes.ABNORMALITY if is_plaque else codes.ANATOMY,
            segmented_property_type=codes.PLAQUE if is_plaque else codes.VESSEL_CONCEPTS[vessel],
            algorithm_type=kind,
            algorithm_identification=algorithm,
            anatomic_regions=[codes.VESSEL_CONCEPTS[vessel]],
            display_color=_colour(VESSEL_COLOURS[vessel]),
        )
        for number, vessel in enumerate(VESSELS, 1)
    ]
    if labels.cut is not None:
        descriptions.append(
            SegmentDescription(
                segment_number=len(VESSELS) + 1,
                segment_label=CUT,
                segmented_property_category=codes.RELATION,
                segmented_property_type=codes.REGION,
                algorithm_type=SegmentAlgorithmTypeValues.MANUAL,  # a person drew it
                display_color=_colour(CUT_COLOUR),
            )
        )
    return descriptions


def _colour(hexadecimal: str) -> hd.color.CIELabColor:
    """Colour of a segment, the same as on the page."""
    return hd.color.CIELabColor.from_rgb(*(int(hexadecimal[i : i + 2], 16) for i in (1, 3, 5)))
