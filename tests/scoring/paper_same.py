"""The published set: one series, written in every way that must not matter."""

from dataclasses import replace
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from tests.scoring.dicom_files import Block
from tests.scoring.enhanced_copy import converted_copy, enhanced_copy
from tests.scoring.paper_case import Answer, Case, Files

# the worked example of scoring/README.md, section 2: LAD 8 in two slices, RCA 1
EXAMPLE: tuple[Block, ...] = ((2, 5, 2, 5, 2, 250.0), (3, 5, 2, 5, 3, 410.0), (4, 18, 2, 18, 2, 150.0))
QUARTERS = (("LAD", 0, 12, 0, 12), ("RCA", 12, 99, 12, 99))
NINE = Answer(
    total=9, vessels={"LAD": 8, "RCA": 1}, volume_mm3=10.5, shown="9", category="1-10", cac_drs="CAC-DRS A1/N2"
)
WORKED = Case("worked-example", "LAD 1 mm2 x 2 + 1.5 mm2 x 4, RCA 1 mm2 x 1.", EXAMPLE, NINE, paints=QUARTERS)


def again(name: str, why: str, note: str = "", **changed: Any) -> Case:
    """Write the worked example in another way: the answer stays."""
    return replace(
        WORKED, name=name, why=f"The worked example, {why}: still 9.", answer=replace(NINE, note=note), **changed
    )


def renamed(files: Files) -> Files:
    """Give the files names that run against their places."""
    return [(f"{(7 * index + 3) % 11:02d}", one) for index, (_, one) in enumerate(files)]


def renumbered(files: Files) -> Files:
    """Scramble the instance numbers."""
    for index, (_, one) in enumerate(files):
        one.InstanceNumber = (index * 5) % 7
    return files


def all_number_one(files: Files) -> Files:
    """Give every image the same number."""
    for _, one in files:
        one.InstanceNumber = 1
    return files


def upside_down(files: Files) -> Files:
    """Number and name from head to feet."""
    for index, (_, one) in enumerate(reversed(files)):
        one.InstanceNumber = index + 1
    return [(f"s{index}", one) for index, (_, one) in enumerate(reversed(files))]


def doubled(files: Files) -> Files:
    """Put the same bytes there twice."""
    return [*files, ("copy of slice.dcm", files[3][1])]


def with_scout(files: Files) -> Files:
    """Leave a localizer among the slices."""
    scout = Dataset.from_json(files[0][1].to_json())
    scout.file_meta, scout.preamble = files[0][1].file_meta, b"\0" * 128
    scout.ImageType, scout.SeriesInstanceUID = ["ORIGINAL", "PRIMARY", "LOCALIZER"], "1.2.3"
    return [*files, ("scout.dcm", scout)]


def dirty_upper_bits(files: Files) -> Files:
    """Set the four bits above the twelve that are stored, as old overlays do."""
    for _, one in files:
        one.PixelData = (np.frombuffer(one.PixelData, "<u2") | 0x5000).astype("<u2").tobytes()
    return files


def without_thickness(files: Files) -> Files:
    """Take the slice thickness out."""
    for _, one in files:
        del one.SliceThickness
    return files


TWELVE = {"BitsStored": 12, "HighBit": 11, "PixelRepresentation": 0}
# 0.25 mm2 again, and no square anywhere
PIXELS: dict[str, Any] = {
    "row_mm": 0.4,
    "column_mm": 0.625,
    "rows": 32,
    "columns": 40,
}
SAME = (
    WORKED,
    again("names-shuffled", "file names in another order", spoil=renamed),
    again("instance-numbers-shuffled", "InstanceNumber scrambled", spoil=renumbered),
    again("instance-numbers-all-one", "InstanceNumber 1 everywhere", spoil=all_number_one),
    again("head-to-feet", "files and numbers from head to feet", spoil=upside_down),
    *(
        again(
            f"turned-{'-'.join(word for word, on in zip(('swapped', 'upside', 'mirrored'), how, strict=True) if on)}",
            "pictures turned, direction cosines with them",
            turned=how,
            **PIXELS,
        )
        for how in [(bool(n & 4), bool(n & 2), bool(n & 1)) for n in range(1, 8)]
    ),
    again(
        "rescale-per-file",
        "each file with its own slope and intercept",
        changes={
            i: {"RescaleSlope": 1 + i % 3, "RescaleIntercept": -1000 + 10 * (i % 2) - (0, 0, 2)[i % 3]}
            for i in (0, 1, 3, 5)
        },
    ),
    again("doubled-identical", "one file there twice", spoil=doubled, note="byte-identical"),
    again("localizer-among-them", "a localizer in the folder", spoil=with_scout, note="passed over: scout.dcm"),
    again("unsigned-16", "unsigned pixels", header={"PixelRepresentation": 0}),
    again("unsigned-12", "12 bits of 16, unsigned", header=TWELVE),
    again("unsigned-12-dirty", "12 bits, with something else in the upper four", header=TWELVE, spoil=dirty_upper_bits),
    *(
        again(name, f"written as {name}", syntax=name)
        for name in ("implicit", "big-endian", "deflated", "rle", "jpeg-ls", "jpeg-2000")
    ),
    again("enhanced", "as one multi-frame Enhanced CT", spoil=enhanced_copy),
    again("enhanced-legacy-converted", "as single slices that an archive put together", spoil=converted_copy),
    again("contrast-tag-none", "the contrast tag says NONE", header={"ContrastBolusAgent": "NONE"}),
    again(
        "no-thickness",
        "no slice thickness in the headers",
        spoil=without_thickness,
        note="does not say its slice thickness",
    ),
)
