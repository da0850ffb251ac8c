"""The published set: whose an island is, the classes, the modes and the definitions."""

from typing import Any

from tests.scoring.dicom_files import Block
from tests.scoring.paper_case import EVERYWHERE, ONE, Answer, Case, lad

WIDE = 20  # columns of a bar


def bar(where: int, pixels: int, hu: float) -> tuple[Block, ...]:
    """Paint so many pixels as one island: whole rows, and what is left below them."""
    full, left = divmod(pixels, WIDE)
    rows: list[Block] = [(where, 2, full, 2, WIDE, hu)] if full else []
    return (*rows, (where, 2 + full, 1, 2, left, hu)) if left else tuple(rows)


VESSELS = (
    Case(
        "vessels-touch-in-one-slice",
        "One island of 8 pixels, 5 on LAD and 3 on LM: LAD as a whole, 2 mm2 x 1.",
        ((2, 5, 2, 5, 4, 150.0),),
        Answer(total=2, vessels={"LAD": 2}, volume_mm3=6),
        paints=(("LAD", 5, 2, 5, 2), ("LAD", 5, 1, 7, 1), ("LM", 6, 1, 7, 1), ("LM", 5, 2, 8, 1)),
    ),
    Case(
        "vessels-side-by-side",
        "Two islands a pixel apart, each on its own vessel: 1 x 1 + 1 x 4.",
        ((2, 5, 2, 5, 2, 150.0), (2, 5, 2, 8, 2, 410.0)),
        Answer(total=5, vessels={"LM": 1, "LCX": 4}, cac_drs="CAC-DRS A1/N2"),
        paints=(("LM", 0, 24, 0, 7), ("LCX", 0, 24, 8, 9)),
    ),
    Case(
        "map-tie",
        "Two pixels on RCA, two on LCX: LCX stands first in LM, LAD, LCX, RCA.",
        ((*ONE, 150.0),),
        Answer(total=1, vessels={"LCX": 1}),
        paints=(("RCA", 5, 2, 5, 1), ("LCX", 5, 2, 6, 1)),
    ),
    Case(
        "map-touches-by-one-pixel",
        "One pixel of sixteen on RCA: the whole island is RCA, 4 mm2 x 4, and the reader is told to look.",
        ((2, 5, 4, 5, 4, 500.0),),
        Answer(total=16, vessels={"RCA": 16}, note="mostly outside the vessel map"),
        paints=(("RCA", 5, 1, 5, 1),),
    ),
    Case(
        "candidate-is-not-scored",
        "The second island touches no vessel: 1 x 4 only.",
        ((2, 5, 2, 5, 2, 410.0), (2, 15, 2, 15, 2, 500.0)),
        Answer(total=4, vessels={"LAD": 4}, cac_drs="CAC-DRS A1/N1"),
        paints=(("LAD", 0, 12, 0, 12),),
    ),
    Case(
        "all-islands",
        "The same, everything scored: 4 + 4, no number of vessels.",
        ((2, 5, 2, 5, 2, 410.0), (2, 15, 2, 15, 2, 500.0)),
        Answer(total=8, vessels={"LAD": 4, "unassigned": 4}, cac_drs="CAC-DRS A1", note="--all-islands"),
        paints=(("LAD", 0, 12, 0, 12),),
        settings={"all_islands": True},
    ),
    Case(
        "all-four-vessels",
        "1 x 1 on LM, 1 x 2 on LAD, 1 x 3 on LCX, 1 x 4 on RCA.",
        tuple((2, 3 + 5 * i, 2, 5, 2, 150.0 + 100 * i) for i in range(4)),
        Answer(total=10, vessels={"LM": 1, "LAD": 2, "LCX": 3, "RCA": 4}, cac_drs="CAC-DRS A1/N4"),
        paints=tuple((v, 5 * i, 5, 0, 24) for i, v in enumerate(("LM", "LAD", "LCX", "RCA"))),
    ),
    lad(
        "cut-in-two",
        "A bar of 14 pixels, two of them barred: 1.5 x 4 twice.",
        ((2, 5, 2, 5, 7, 410.0),),
        12,
        9,
        paints=(*EVERYWHERE, ("CUT", 0, 24, 8, 1)),
        note="A person drew a cut",
    ),
    lad(
        "cut-leaves-a-crumb",
        "The cut leaves 2 x 4 pixels and 2 x 1: 2 mm2 x 4, the crumb of 0.5 mm2 falls.",
        ((2, 5, 2, 5, 6, 410.0),),
        8,
        6,
        paints=(*EVERYWHERE, ("CUT", 0, 24, 9, 1)),
        note="A person drew a cut",
    ),
)


def classed(
    name: str, blocks: tuple[Block, ...], total: float, shown: str, category: str, grade: str, **more: Any
) -> Case:
    """Make a score at the edge of a class."""
    vessels = 1 if total else 0
    why = f"Pixels x 0.25 mm2 x weight = {total:g}, shown as {shown}."
    return lad(name, why, blocks, total, shown=shown, category=category, cac_drs=f"CAC-DRS {grade}/N{vessels}", **more)


CLASSES = (
    classed("zero", (), 0, "0", "0", "A0"),
    classed("below-one", ((*ONE, 150.0),), 0.5, "< 1", "1-10", "A1", increment_mm=1.5, header={"SliceThickness": 3}),
    classed("one", ((*ONE, 150.0),), 1, "1", "1-10", "A1"),
    classed("class-10", bar(2, 40, 150.0), 10, "10", "1-10", "A1"),
    classed("class-10.25", bar(2, 41, 150.0), 10.25, "10", "1-10", "A1"),
    classed("class-10.5", bar(2, 42, 150.0), 10.5, "11", "11-100", "A1"),
    classed("class-11", bar(2, 44, 150.0), 11, "11", "11-100", "A1"),
    classed("class-99.25", bar(2, 397, 150.0), 99.25, "99", "11-100", "A1"),
    classed("class-99.5", bar(2, 398, 150.0), 99.5, "100", "11-100", "A2"),
    classed("class-100", bar(2, 400, 150.0), 100, "100", "11-100", "A2"),
    classed("class-100.5", bar(2, 201, 250.0), 100.5, "101", "101-400", "A2"),
    classed("class-101", bar(2, 404, 150.0), 101, "101", "101-400", "A2"),
    classed("class-299.25", (*bar(2, 399, 350.0),), 299.25, "299", "101-400", "A2"),
    classed("class-299.5", (*bar(2, 300, 250.0), *bar(3, 299, 250.0)), 299.5, "300", "101-400", "A3"),
    classed("class-400", bar(2, 400, 500.0), 400, "400", "101-400", "A3"),
    classed("class-400.5", (*bar(2, 400, 250.0), *bar(3, 401, 250.0)), 400.5, "401", ">400", "A3"),
    classed("class-401", bar(2, 401, 500.0), 401, "401", ">400", "A3"),
)

MODES = (
    Case(
        "no-map-all-islands",
        "Without a map everything bright is scored on request, 1 mm2 x 4, and the number of vessels is unknown.",
        ((*ONE, 410.0),),
        Answer(total=4, vessels={"unassigned": 4}, cac_drs="CAC-DRS A1", note="--all-islands"),
        paints=None,
        settings={"all_islands": True},
    ),
    lad(
        "kv-100-not-comparable",
        "100 kV declared not comparable: 1 mm2 x 4, and the note says so.",
        ((*ONE, 410.0),),
        4,
        3,
        header={"KVP": 100},
        settings={"kv_mode": "not-comparable"},
        note="NOT COMPARABLE",
    ),
    lad(
        "kv-100-independent",
        "100 kV declared a kV-independent reconstruction.",
        ((*ONE, 410.0),),
        4,
        3,
        header={"KVP": 100},
        settings={"kv_mode": "kv-independent"},
        note="kV-independent reconstruction",
    ),
    lad(
        "kv-none-independent",
        "No kV, declared a kV-independent reconstruction.",
        ((*ONE, 410.0),),
        4,
        3,
        header={"KVP": None},
        settings={"kv_mode": "kv-independent"},
        note="declared by the user",
    ),
    lad(
        "interpolated-410",
        "Six parts a gap of 0.125 mm3; from 410 to 40 HU five of them reach 130, on both sides: 10 x 4 x 0.125.",
        ((*ONE, 410.0),),
        4,
        5,
        settings={"volume_mode": "interpolated"},
    ),
    lad(
        "interpolated-150",
        "From 150 to 40 HU one part of six reaches 130, on both sides: 2 x 4 x 0.125.",
        ((*ONE, 150.0),),
        1,
        1,
        settings={"volume_mode": "interpolated"},
    ),
    lad(
        "mass-by-rods",
        "0.2 / (250 - 0) mg/mm3/HU x 3 mm3 x 400 HU = 0.96 mg.",
        ((*ONE, 400.0),),
        4,
        3,
        mass_mg=0.96,
        rods=(250.0, 0.0),
    ),
    lad(
        "mass-by-the-patients-factor",
        "0.8 mg/mL/HU of the images (0018,9351): 0.0008 x 3 mm3 x 400 HU = 0.96 mg.",
        ((*ONE, 400.0),),
        4,
        3,
        mass_mg=0.96,
        header={"CalciumScoringMassFactorPatient": 0.8},
    ),
    lad(
        "preset-siemens",
        "No minimum area: one pixel, 0.25 mm2 x 4.",
        ((2, 5, 1, 5, 1, 500.0),),
        1,
        0.75,
        preset="siemens",
    ),
    lad("preset-canon-3", "Three pixels are enough: 0.75 mm2 x 4.", ((2, 5, 1, 5, 3, 500.0),), 3, 2.25, preset="canon"),
    lad("preset-canon-2", "Two pixels are not.", ((2, 5, 1, 5, 2, 500.0),), 0, 0, preset="canon"),
    lad(
        "preset-philips",
        "0.5 mm2 is enough: two pixels x 4; the volume counts from 112.5 HU, two pixels more.",
        ((2, 5, 1, 5, 2, 500.0), (2, 5, 1, 7, 2, 115.0)),
        2,
        3,
        preset="philips",
    ),
    lad("preset-ge", "As published: 0.75 mm2 are too small.", ((2, 5, 1, 5, 3, 500.0),), 0, 0, preset="ge"),
)

CLAIMED: tuple[Case, ...] = (*VESSELS, *CLASSES, *MODES)
