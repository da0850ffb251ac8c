"""Series whose answers are worked out on paper, published: `python -m tests.scoring.paper_series DIR` writes them all.

Unless a case says otherwise a pixel has 0.5 x 0.5 mm = 0.25 mm2, slices of 3 mm lie every 3 mm (so the factor is 1),
the background is 40 HU, and the whole image is LAD. Then a pixel of weight 1 is worth 0.25.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from scoring.lesions import VESSELS
from tests.scoring import paper_changes as changes
from tests.scoring.dicom_files import Block, ct_slice, painted, write_map

Region = tuple[slice, slice, slice, str]  # slices, rows, columns, vessel; "CUT" bars pixels
WHOLE: tuple[Region, ...] = ((slice(None), slice(None), slice(None), "LAD"),)
SIDE, SLICES, FIRST_Z_MM = 32, 6, 100.0


@dataclass(frozen=True, slots=True)
class Paper:
    """One series and its answer."""

    name: str
    why: str  # how the answer comes about
    blocks: Sequence[Block] = ()
    total: float | None = None  # None: no number at all
    vessels: dict[str, float] = field(default_factory=dict)  # where more than LAD has a score
    volume_mm3: float | None = None
    mass_mg: float | None = None
    shown: str | None = None
    category: str | None = None
    cac_drs: str | None = None
    words: str = ""  # in a reason (no number) or a note (a number)
    increment_mm: float = 3.0
    slices: int = SLICES
    regions: Sequence[Region] | None = WHOLE  # None: no map
    header: dict[str, Any] = field(default_factory=dict)  # of every slice
    each: Callable[[int, Dataset], None] | None = None  # changes one slice, by its index
    files: Callable[[dict[str, Dataset]], dict[str, Dataset]] | None = None  # changes the set of files
    syntax: str | None = None
    options: dict[str, object] = field(default_factory=dict)  # settings other than the reference
    rods: tuple[float, float] | None = None  # HU of rod and water


def block(hu: float, *, at: int = 5, where: int = 1, rows: int = 2, columns: int = 2) -> Block:
    """Paint one block; two rows of two columns are 1 mm2."""
    return (where, at, rows, at, columns, hu)


def area(pixels: int, hu: float, where: int = 1, row: int = 0) -> list[Block]:
    """Paint exactly so many pixels as one island, from the left in rows of 32."""
    full, rest = divmod(pixels, SIDE)
    blocks: list[Block] = [(where, row, full, 0, SIDE, hu)] if full else []
    return [*blocks, (where, row + full, 1, 0, rest, hu)] if rest else blocks


BOTH: tuple[Region, ...] = (
    (slice(None), slice(None), slice(0, 7), "LAD"),
    (slice(None), slice(None), slice(7, None), "RCA"),
)
LESION = [block(150.0)]  # 1 mm2, weight 1: scores 1


def one(name: str, why: str, **more: Any) -> Paper:
    """Make a series whose one lesion scores 1 and has 3 mm3."""
    return Paper(name, why, LESION, 1.0, volume_mm3=3.0, **more)


OTHER_SERIES = generate_uid(entropy_srcs=["diastole", "other series"])

EDGES = [
    Paper(f"{hu:g} HU", f"1 mm2 at {hu:g} HU has weight {weight}", [block(hu)], float(weight), header=header)
    for hu, weight, header in [
        (129.0, 0, {}),
        (129.5, 0, {"RescaleSlope": 0.5}),
        (130.0, 1, {}),
        (130.0, 1, {"RescaleSlope": 0.5}),
        (199.0, 1, {}),
        (199.5, 1, {"RescaleSlope": 0.5}),
        (200.0, 2, {}),
        (299.0, 2, {}),
        (299.5, 2, {"RescaleSlope": 0.5}),
        (300.0, 3, {}),
        (399.0, 3, {}),
        (399.5, 3, {"RescaleSlope": 0.5}),
        (400.0, 4, {}),
        (3071.0, 4, {}),
    ]
]
AREAS = [
    Paper("nothing", "no island: 0, class 0, A0/N0", (), 0.0, shown="0", category="0", cac_drs="CAC-DRS A0/N0"),
    Paper("three pixels", "0.75 mm2 is less than 1 mm2", [block(500.0, rows=1, columns=3)], 0.0),
    Paper("0.96 mm2", "4 x 0.48 x 0.5 mm2 is less than 1", [block(500.0)], 0.0, header={"PixelSpacing": [0.48, 0.5]}),
    Paper(
        "one pixel of 1 mm2",
        "1 x 1 mm, weight 1",
        [block(130.0, rows=1, columns=1)],
        1.0,
        header={"PixelSpacing": [1, 1]},
    ),
    Paper("area in each slice", "0.75 mm2 in each of two slices: neither counts", [
        block(500.0, where=1, rows=1, columns=3), block(500.0, where=2, rows=1, columns=3)], 0.0),
    Paper("corner contact", "two islands by 4 neighbours: 1 x 1 + 1 x 4", [block(150.0), block(410.0, at=7)], 5.0),
    Paper("corner contact, 8 neighbours", "one island of 2 mm2, peak 410: 2 x 4", [block(150.0), block(410.0, at=7)],
          8.0, options={"connectivity": 8}),
    Paper("crumbs at a corner", "two of 0.5 mm2 by 4 neighbours", [
        block(150.0, rows=1), (1, 6, 1, 7, 2, 150.0)], 0.0),
    Paper("crumbs at a corner, 8 neighbours", "one of 1 mm2", [
        block(150.0, rows=1), (1, 6, 1, 7, 2, 150.0)], 1.0, options={"connectivity": 8}),
    Paper("one peak lifts its island", "6 pixels, 1.5 mm2, peak 410: 1.5 x 4", [
        block(150.0, columns=3), block(410.0, rows=1, columns=1)], 6.0),
    Paper("each slice its own weight", "1 x 1 + 1 x 4, never the peak of the whole", [
        block(150.0, where=1), block(410.0, where=2)], 5.0),
    Paper("first and last slice", "both count", [block(150.0, where=0), block(150.0, where=5)], 2.0),
    Paper("0.4 x 0.8 mm", "6 x 0.32 mm2 x 3", [block(310.0, columns=3)], 5.76, header={"PixelSpacing": [0.4, 0.8]}),
]  # fmt: skip
STACKS = [
    Paper("every 1.5 mm", "two slices of 1 mm2 x 4, half each for the overlap", [
        block(410.0, where=1), block(410.0, where=2)], 4.0, volume_mm3=3.0, increment_mm=1.5),
    Paper("1 mm thin", "three slices of 1 mm2 x 2, a third each", [
        block(210.0, where=s) for s in (1, 2, 3)], 2.0, volume_mm3=3.0, increment_mm=1.0,
        header={"SliceThickness": 1}, words="Not a standard reconstruction"),
    Paper("5 mm thick", "1 mm2 x 1 x 5/3", LESION, 5 / 3, volume_mm3=5.0, increment_mm=5.0,
          header={"SliceThickness": 5}, words="Not a standard reconstruction"),
    Paper("a gap between slices", "3 mm slices every 4 mm: scored by 4/3, and told", LESION, 4 / 3,
          increment_mm=4.0, words="tissue between is unseen"),
    Paper("slices that do not touch", "3 mm slices every 6 mm: every second one is missing", LESION,
          increment_mm=6.0, words="do not touch"),
    Paper("one slice", "no increment", [block(150.0, where=0)], slices=1, words="one slice only"),
    Paper("a slice is missing", "uneven gaps", LESION, files=changes.without(2), words="missing"),
    one("a slice twice", "the same bytes again: dropped with a note", files=changes.again, words="duplicate"),
    Paper("two at one place", "nobody can say which is right", LESION, files=changes.twin, words="one position"),
]  # fmt: skip
ORDERS = [
    one("names shuffled", "names play no part", files=changes.renamed),
    one(
        "numbers shuffled",
        "InstanceNumber plays no part",
        each=changes.numbers(lambda i: (i * 5) % 6 + 1),
    ),
    one(
        "numbers reversed",
        "InstanceNumber plays no part",
        each=changes.numbers(lambda i: 6 - i),
    ),
    one(
        "numbers all one",
        "InstanceNumber plays no part",
        each=changes.numbers(lambda _: 1),
    ),
    one("turned by 90 degrees", "turning changes nothing", each=changes.turned(1)),
    one("turned by 180 degrees", "turning changes nothing", each=changes.turned(2)),
    one("turned by 270 degrees", "turning changes nothing", each=changes.turned(3)),
    one("mirrored, normal to the feet", "z runs the other way", each=changes.mirrored),
]
PIXELS = [
    one("rescale of each file", "six rescales that say the same HU", each=changes.steeper),
    one("unsigned, 12 bit", "stored otherwise, same HU", each=changes.unsigned),
    one("bright padding", "padding is no tissue", each=changes.pad),
    one("big endian", "stored otherwise", syntax=ExplicitVRBigEndian),
    one("implicit VR", "stored otherwise", syntax=ImplicitVRLittleEndian),
    one("deflated", "stored otherwise", syntax=DeflatedExplicitVRLittleEndian),
    one("RLE", "compressed without loss", syntax=RLELossless),
    one("JPEG-LS", "compressed without loss", syntax=JPEGLSLossless, each=changes.unsigned),
    one(
        "JPEG 2000",
        "compressed without loss",
        syntax=JPEG2000Lossless,
        each=changes.unsigned,
    ),
]
MAPS = [
    Paper("two vessels", "1 in LAD, 4 in RCA", [block(150.0), block(410.0, at=12)], 5.0,
          {"LAD": 1.0, "RCA": 4.0}, regions=BOTH, cac_drs="CAC-DRS A1/N2"),
    Paper("an island over two vessels", "2 columns LAD, 4 RCA: the whole island is RCA", [block(150.0, columns=6)], 3.0,
          {"RCA": 3.0}, regions=BOTH, cac_drs="CAC-DRS A1/N1"),
    Paper("an island halved by two vessels", "a tie goes to the first of LM, LAD, LCX, RCA", [
        block(150.0, columns=4)], 2.0, {"LAD": 2.0}, regions=BOTH),
    Paper("a person's cut", "2 x 5 pixels, the middle column barred: 1 mm2 on either side", [block(150.0, columns=5)],
          2.0, regions=(*WHOLE, (slice(None), slice(None), slice(7, 8), "CUT")), words="drew a cut"),
    Paper("outside the map", "listed, not scored", LESION, 0.0,
          regions=((slice(None), slice(20, 30), slice(20, 30), "RCA"),), shown="0"),
    Paper("no map", "no total, candidates only", LESION, regions=None, words="No vessel map"),
    Paper("no map, all islands", "everything is scored, and it says so", LESION, 1.0, {"unassigned": 1.0},
          regions=None, options={"all_islands": True}, words="All islands are scored", cac_drs="CAC-DRS A1"),
]  # fmt: skip
CLASSES = [
    Paper("below one", "1/3: shown as < 1, class 1-10, A1", LESION, 1 / 3, increment_mm=1.0, shown="< 1",
          category="1-10", cac_drs="CAC-DRS A1/N1", header={"SliceThickness": 1}),
    *(
        Paper(f"class of {total:g}", how, blocks, total, shown=shown, category=category, cac_drs=f"CAC-DRS A{drs}/N1")
        for total, how, blocks, shown, category, drs in [
            (10.0, "40 pixels of weight 1", area(40, 150.0), "10", "1-10", 1),
            (10.25, "41 pixels of weight 1", area(41, 150.0), "10", "1-10", 1),
            (10.5, "42 pixels: half is rounded up", area(42, 150.0), "11", "11-100", 1),
            (99.0, "99 pixels of weight 4", area(99, 450.0), "99", "11-100", 1),
            (100.0, "100 pixels of weight 4", area(100, 450.0), "100", "11-100", 2),
            (100.5, "402 pixels of weight 1: half is rounded up", area(402, 150.0), "101", "101-400", 2),
            (299.0, "299 pixels of weight 4", area(299, 450.0), "299", "101-400", 2),
            (300.0, "300 pixels of weight 4", area(300, 450.0), "300", "101-400", 3),
            (400.0, "400 pixels of weight 4", area(400, 450.0), "400", "101-400", 3),
            (400.5, "399 pixels of weight 4 and 6 of weight 1 in another slice",
             [*area(399, 450.0), *area(6, 150.0, where=3)], "401", ">400", 3),
        ]
    ),
]  # fmt: skip
REFUSED = [
    Paper("two series", "one image of another series", LESION, each=changes.on_third(SeriesInstanceUID=OTHER_SERIES),
          words="second series"),
    Paper("another frame of reference", "one image in another space", LESION,
          each=changes.on_third(FrameOfReferenceUID=OTHER_SERIES), words="frame of reference"),
    Paper("another spacing", "one image of another pixel", LESION,
          each=changes.on_third(PixelSpacing=[0.6, 0.6]), words="spacing"),
    Paper("another kV inside", "one image at 100 kV", LESION, each=changes.on_third(KVP=100), words="another kV"),
    Paper("80 kV", "130 HU holds at 120 kV", LESION, header={"KVP": 80}, words="80 kV"),
    Paper("100 kV", "130 HU holds at 120 kV", LESION, header={"KVP": 100}, words="100 kV"),
    Paper("140 kV", "130 HU holds at 120 kV", LESION, header={"KVP": 140}, words="140 kV"),
    Paper("no kV", "not guessed", LESION, header={"KVP": None}, words="does not say its kV"),
    one("100 kV, declared", "the user declares a kV-independent reconstruction", header={"KVP": 100},
          options={"kv_mode": "kv-independent"}, words="kV-independent"),
    one("100 kV, not comparable", "130 HU all the same, and it says so", header={"KVP": 100},
          options={"kv_mode": "not-comparable"}, words="NOT COMPARABLE"),
    Paper("contrast agent", "bright blood counts as calcium", LESION, header={"ContrastBolusAgent": "Iomeprol"},
          words="contrast agent"),
    one("contrast: none", "a tag that says none", header={"ContrastBolusAgent": "NONE"}),
    Paper("MR", "no HU", LESION, header={"Modality": "MR"}, words="Not CT"),
    Paper("no rescale", "no HU", LESION, header={"RescaleSlope": None}, words="No rescale"),
    Paper("not HU", "pixel values of another kind", LESION, header={"RescaleType": "US"}, words="not HU"),
    Paper("sagittal", "not axial", LESION, header={"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, words="Not axial"),
    Paper("tilted by 2 degrees", "more than 1 degree", LESION, header=changes.tilt(2.0), words="tilted by 2.0"),
    Paper("tilted by half a degree", "less than 1 degree: factor cos 0.5 degrees", LESION, 0.99996,
          header=changes.tilt(0.5)),
]  # fmt: skip
MORE = [
    Paper("interpolated volume", "6 parts to a gap; from 260 to 40 HU 4 of 6 reach 130, on both sides: 4 x 8 x 0.125",
          [block(260.0)], 2.0, volume_mm3=4.0, options={"volume_mode": "interpolated"}),
    Paper("mass by rods", "0.2 / 272 mg/mm3/HU x 3 mm3 x 300 HU", [block(300.0)], 3.0, mass_mg=0.2 / 272 * 3 * 300,
          rods=(270.0, -2.0)),
    Paper("Canon: three pixels", "0.75 mm2 x 4", [block(500.0, rows=1, columns=3)], 3.0,
          options={"min_area_mm2": 0.0, "min_pixels": 3}),
    Paper("Siemens: any area", "0.25 mm2 x 4", [block(500.0, rows=1, columns=1)], 1.0, options={"min_area_mm2": 0.0}),
    Paper("Philips: 0.5 mm2", "0.5 mm2 x 4; the volume has 112.5 HU", [
        block(500.0, rows=1, columns=2), block(120.0, at=12)], 2.0, volume_mm3=4.5,
        options={"min_area_mm2": 0.5, "volume_threshold_hu": 112.5}),
]  # fmt: skip
ALL: tuple[Paper, ...] = (*EDGES, *AREAS, *STACKS, *ORDERS, *PIXELS, *MAPS, *CLASSES, *REFUSED, *MORE)


def write(case: Paper, folder: Path) -> Path | None:
    """Write the slices of a case into `folder/slices`, and the map beside them; gives the path of the map."""
    slices = folder / "slices"
    slices.mkdir(parents=True)
    hu = painted(case.blocks, case.slices, SIDE, 40.0)
    files: dict[str, Dataset] = {}
    for index in range(case.slices):
        dataset = ct_slice(hu[index], FIRST_Z_MM + case.increment_mm * index, index + 1, **case.header)
        if case.each is not None:
            case.each(index, dataset)
        files[f"slice{index:03d}.dcm"] = dataset
    sources = list(files.values())
    path = _write_map(case, folder, sources)
    for name, dataset in (files if case.files is None else case.files(files)).items():
        _save(dataset, slices / name, case.syntax)
    return path


def _save(dataset: Dataset, path: Path, syntax: str | None) -> None:
    """Save in a transfer syntax."""
    if syntax in {RLELossless, JPEGLSLossless, JPEG2000Lossless}:
        dataset.compress(syntax, generate_instance_uid=False)
    elif syntax is not None:
        dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<i2").astype(">i2").tobytes()
        pydicom.dcmwrite(path, dataset, implicit_vr=False, little_endian=False, enforce_file_format=True)
        return
    pydicom.dcmwrite(path, dataset, enforce_file_format=True)


def _write_map(case: Paper, folder: Path, sources: list[Dataset]) -> Path | None:
    """Write the vessel map; a series that is refused has none to fit."""
    if case.regions is None or case.total is None:
        return None
    vessels: NDArray[np.uint8] = np.zeros((case.slices, SIDE, SIDE), dtype=np.uint8)
    cut = np.zeros(vessels.shape, dtype=np.bool_)
    for where, rows, columns, vessel in case.regions:
        if vessel == "CUT":
            cut[where, rows, columns] = True
        else:
            vessels[where, rows, columns] = [*VESSELS].index(vessel) + 1  # type: ignore[arg-type]  # a plain text
    path = folder / "labels.seg.dcm"
    write_map(path, sources, vessels, coded=False, cut=cut if cut.any() else None)
    return path


def answer(case: Paper) -> dict[str, object]:
    """Tell a case and its answer without any of our types, for other programs."""
    return {
        "name": case.name,
        "why": case.why,
        "agatston": case.total,
        "by_vessel": case.vessels or ({} if case.total is None else {"LAD": case.total}),
        "volume_mm3": case.volume_mm3,
        "mass_mg": case.mass_mg,
        "shown": case.shown,
        "category": case.category,
        "cac_drs": case.cac_drs,
        "says": case.words,
        "settings": case.options,
        "rods_hu": case.rods,
    }


def main(folder: Path) -> None:
    """Write every case into a folder of its own, and all answers into `answers.json`."""
    answers = {}
    for number, case in enumerate(ALL, 1):
        name = f"{number:02d}"
        write(case, folder / name)
        answers[name] = answer(case)
    (folder / "answers.json").write_text(json.dumps(answers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
