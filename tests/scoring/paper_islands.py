"""The published set: edges of the weights, areas, contacts, slices and pixels."""

from tests.scoring.paper_case import ONE, Answer, Case, lad


def edge(hu: float, slope: float, weight: int) -> Case:
    """Four pixels at an edge of the weights, stored with a fractional slope."""
    return Case(
        f"edge-{hu:g}",
        f"{hu:g} HU, stored as a whole number times {slope:g}: 4 pixels x 0.25 mm2 x weight {weight}.",
        ((*ONE, hu),),
        Answer(total=weight, vessels={"LAD": weight} if weight else {}, volume_mm3=3.0 if weight else 0.0),
        header={"RescaleSlope": f"{slope:g}", "RescaleIntercept": "-1000"},
    )


EDGES = (
    edge(129.9, 0.1, 0),
    edge(130.0, 0.1, 1),
    edge(199.5, 0.5, 1),
    edge(200.0, 0.1, 2),
    edge(299.9, 0.1, 2),
    edge(300.0, 0.1, 3),
    edge(399.9, 0.1, 3),
    edge(400.0, 0.1, 4),
)

AREAS = (
    lad("area-0.75", "Three pixels are 0.75 mm2, less than 1.", ((2, 5, 1, 5, 3, 500.0),), 0, 0),
    lad(
        "area-0.96",
        "Four pixels of 0.48 x 0.5 mm are 0.96 mm2; a rounded count would let them in.",
        ((*ONE, 500.0),),
        0,
        0,
        row_mm=0.48,
    ),
    lad(
        "area-1.00-inexact",
        "Ten pixels of 0.3 x 1/3 mm are 1 mm2, less by 1e-14 as DICOM writes them: they count, 1 x weight 1.",
        ((2, 5, 2, 5, 5, 130.0),),
        1,
        3,
        row_mm=0.3,
        column_mm=1 / 3,
    ),
    lad(
        "area-one-pixel",
        "One pixel of 1 x 1 mm at 130 HU: 1 mm2 x weight 1.",
        ((2, 5, 1, 5, 1, 130.0),),
        1,
        3,
        row_mm=1.0,
        column_mm=1.0,
    ),
    lad(
        "area-crumbs-on-crumbs",
        "0.75 mm2 in each of four slices: the rule holds in each slice, so nothing counts.",
        tuple((s, 5, 1, 5, 3, 500.0) for s in range(1, 5)),
        0,
        0,
    ),
    lad(
        "corner-4",
        "Two squares touch by a corner: two islands, 1 x 1 + 1 x 4.",
        ((*ONE, 150.0), (2, 7, 2, 7, 2, 410.0)),
        5,
        6,
    ),
    lad(
        "corner-8",
        "The same with 8 neighbours: one island of 2 mm2 x weight 4.",
        ((*ONE, 150.0), (2, 7, 2, 7, 2, 410.0)),
        8,
        6,
        settings={"connectivity": 8},
    ),
    lad(
        "corner-crumbs-4",
        "Two halves of 0.5 mm2 that touch by a corner: neither is 1 mm2.",
        ((2, 5, 1, 5, 2, 150.0), (2, 6, 1, 7, 2, 150.0)),
        0,
        0,
    ),
    lad(
        "corner-crumbs-8",
        "The same with 8 neighbours: 1 mm2 x weight 1.",
        ((2, 5, 1, 5, 2, 150.0), (2, 6, 1, 7, 2, 150.0)),
        1,
        3,
        settings={"connectivity": 8},
    ),
    lad(
        "peak-lifts-its-island",
        "Six pixels at 150 HU, one of them 410: 1.5 mm2 x weight 4.",
        ((2, 5, 2, 5, 3, 150.0), (2, 5, 1, 5, 1, 410.0)),
        6,
        4.5,
    ),
    lad(
        "weight-per-slice",
        "One lesion in two slices: 1 x weight 1 + 1 x weight 4, not 2 x 4.",
        ((2, 5, 2, 5, 2, 150.0), (3, 5, 2, 5, 2, 410.0)),
        5,
        6,
    ),
    lad(
        "outermost-slices",
        "First and last slice and the corners of the picture count: 1 + 1.",
        ((0, 0, 2, 0, 2, 130.0), (5, 30, 2, 30, 2, 130.0)),
        2,
        6,
    ),
)

SLICES = (
    lad(
        "overlap-1.5",
        "3 mm slices every 1.5 mm: (4 + 4) x 1.5 / 3; volume 8 x 0.25 x 1.5.",
        ((*ONE, 410.0), (3, 5, 2, 5, 2, 410.0)),
        4,
        3,
        increment_mm=1.5,
        header={"SliceThickness": 3},
    ),
    lad(
        "thin-1.0",
        "Three 1 mm slices of weight 2: (2 + 2 + 2) / 3; volume 12 x 0.25 x 1.",
        tuple((s, 5, 2, 5, 2, 210.0) for s in (1, 2, 3)),
        2,
        3,
        increment_mm=1.0,
        note="Not a standard reconstruction",
    ),
    lad(
        "thick-5.0",
        "One 5 mm slice: 4 x 5 / 3; volume 4 x 0.25 x 5.",
        ((*ONE, 410.0),),
        20 / 3,
        5,
        increment_mm=5.0,
        note="Not a standard reconstruction",
    ),
    lad("increment-2.5", "2.5 mm slices are standard: 4 x 2.5 / 3.", ((*ONE, 410.0),), 10 / 3, 2.5, increment_mm=2.5),
    lad(
        "spacing-tag-lies",
        "SpacingBetweenSlices says 1.5 mm, the positions say 3: the positions hold.",
        ((*ONE, 410.0),),
        4,
        3,
        header={"SpacingBetweenSlices": "1.5"},
    ),
    lad(
        "location-tag-lies",
        "SliceLocation is the same everywhere; the positions hold.",
        ((*ONE, 410.0),),
        4,
        3,
        header={"SliceLocation": "7"},
    ),
    lad(
        "gap-of-1-mm",
        "3 mm slices every 4 mm: 4 x 4 / 3, and a reader is told that tissue is unseen.",
        ((*ONE, 410.0),),
        16 / 3,
        4,
        increment_mm=4.0,
        header={"SliceThickness": 3},
        note="tissue between is unseen",
    ),
    lad(
        "pixels-0.4-x-0.8",
        "Six pixels of 0.32 mm2 x weight 3; volume 6 x 0.32 x 3.",
        ((2, 5, 2, 5, 3, 310.0),),
        5.76,
        5.76,
        row_mm=0.4,
        column_mm=0.8,
    ),
    lad(
        "tilt-0.5-degrees",
        "A tilt within 1 degree is axial; the increment along the normal is 3 mm x cos 0.5 degrees, 0.004 % less.",
        ((*ONE, 410.0),),
        4,
        3,
        header={"ImageOrientationPatient": [1, 0, 0, 0, 0.9999619231, 0.0087265355]},
    ),
)

BRIGHT = (
    lad(
        "saturated-12-bit",
        "4095 stored is 3071 HU: weight 4.",
        ((*ONE, 3071.0),),
        4,
        3,
        header={"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0},
    ),
    lad(
        "saturated-16-bit",
        "65535 stored, unsigned, is 64511 HU and not -1025: weight 4.",
        ((*ONE, 64511.0),),
        4,
        3,
        header={"PixelRepresentation": 0},
    ),
    lad(
        "padding-is-not-calcium",
        "The padding value 4000 would be 2976 HU, but marks what was not reconstructed.",
        ((2, 0, 5, 0, 32, 2976.0), (3, 5, 2, 5, 2, 410.0)),
        4,
        3,
        header={"PixelPaddingValue": 4000},
    ),
    lad(
        "padding-negative",
        "The usual padding of -2000; the island beside it counts.",
        ((2, 0, 5, 0, 32, -3024.0), (2, 5, 2, 5, 2, 410.0)),
        4,
        3,
        header={"PixelPaddingValue": -2000},
    ),
    lad(
        "air-around",
        "Air of -1000 HU beside the island takes nothing away.",
        ((2, 0, 32, 0, 32, -1000.0), (*ONE, 410.0)),
        4,
        3,
    ),
)

ISLANDS: tuple[Case, ...] = (*EDGES, *AREAS, *SLICES, *BRIGHT)
