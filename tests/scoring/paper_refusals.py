"""The series of the published set that must not be scored, with the words that a reader must find."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.scoring.dicom_files import Block
from tests.scoring.paper_case import Answer, Case, Files, datasets, uid

BLOCKS: tuple[Block, ...] = ((2, 5, 2, 5, 2, 410.0),)
PLAIN = Case("plain", "A plain series of six slices.", BLOCKS, Answer())


def never(name: str, why: str, words: str, **more: Any) -> Case:
    """Make a series that is refused."""
    return replace(PLAIN, name=name, why=why, answer=Answer(refused=words), **more)


def another(files: Files) -> Files:
    """Give another series of the same geometry and the same frame of reference."""
    other = datasets(replace(PLAIN, name="another"))
    for (_, one), (_, own) in zip(other, files, strict=True):
        one.FrameOfReferenceUID, one.StudyInstanceUID = own.FrameOfReferenceUID, own.StudyInstanceUID
    return [(f"other{index}.dcm", one) for index, (_, one) in enumerate(other)]


def without(*where: int) -> Callable[[Files], Files]:
    """Lose slices."""
    return lambda files: [one for index, one in enumerate(files) if index not in where]


def twin(files: Files) -> Files:
    """Put a second, different image where one is already."""
    _, one = another(files)[3]
    one.SeriesInstanceUID = files[3][1].SeriesInstanceUID
    one.PixelData = files[2][1].PixelData
    return [*files, ("twin.dcm", one)]


def swapped(files: Files) -> Files:
    """Put the slice of another series in a slice's place."""
    return [*files[:3], another(files)[3], *files[4:]]


def moved(files: Files) -> Files:
    """Shift the field of view of one slice."""
    files[3][1].ImagePositionPatient = [-45, -60, 109]
    return files


def other_frame(files: Files) -> Files:
    """Give half of the slices another frame of reference."""
    for _, one in files[3:]:
        one.FrameOfReferenceUID = uid("elsewhere")
    return files


REFUSED: tuple[Case, ...] = (
    never(
        "missing-slice", "The fourth of six slices is not there: a gap of 6 mm.", "Slices are missing", spoil=without(3)
    ),
    never(
        "missing-two-together",
        "Two neighbours are not there: a gap of 9 mm.",
        "Slices are missing",
        spoil=without(2, 3),
    ),
    never(
        "every-second-missing",
        "3 mm slices every 6 mm: the gaps are even, but the slices do not touch.",
        "do not touch",
        increment_mm=6.0,
        header={"SliceThickness": 3},
    ),
    never("doubled-different", "Two different images lie at 109 mm.", "Two different images", spoil=twin),
    never(
        "two-series",
        "A second series lies in the folder.",
        "second series",
        spoil=lambda files: [*files, *another(files)],
    ),
    never("swapped-slice", "One slice comes from another series.", "second series", spoil=swapped),
    never(
        "two-frames",
        "Half of the slices have another frame of reference.",
        "another frame of reference",
        spoil=other_frame,
    ),
    never(
        "other-pixel-spacing",
        "One slice has pixels of 0.6 mm.",
        "another pixel spacing",
        changes={3: {"PixelSpacing": [0.6, 0.6]}},
        paints=None,
    ),
    never("other-kv-inside", "One slice was made at 100 kV.", "another kV", changes={3: {"KVP": 100}}),
    never("kv-80", "130 HU and its weights hold at 120 kV only.", "80 kV", header={"KVP": 80}),
    never("kv-100", "130 HU and its weights hold at 120 kV only.", "100 kV", header={"KVP": 100}),
    never("kv-140", "130 HU and its weights hold at 120 kV only.", "140 kV", header={"KVP": 140}),
    never("kv-none", "A series that does not say its kV is not scored.", "does not say its kV", header={"KVP": None}),
    never(
        "contrast-tag",
        "A contrast agent is named: bright blood counts as calcium.",
        "contrast agent",
        header={"ContrastBolusAgent": "OMNIPAQUE"},
    ),
    never(
        "tilt-2-degrees",
        "Tilted by 2 degrees, more than 1.",
        "tilted by 2.0 degrees",
        header={"ImageOrientationPatient": [1, 0, 0, 0, 0.9993908270, 0.0348994967]},
        paints=None,
    ),
    never(
        "sagittal",
        "Sagittal pictures have other slices.",
        "Not axial",
        header={"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
        paints=None,
    ),
    never(
        "no-rescale",
        "Without slope and intercept there are no HU.",
        "No rescale",
        header={"RescaleSlope": None, "RescaleIntercept": None},
    ),
    never("not-hu", "Electron density is not HU.", "not HU", header={"RescaleType": "ED"}),
    never("not-ct", "An MR image under a CT class.", "Not CT but MR", header={"Modality": "MR"}),
    never("one-slice", "One slice has no increment.", "one slice only", spoil=without(0, 1, 3, 4, 5)),
    never("moved-field-of-view", "One slice lies 5 mm beside the others.", "do not lie above each other", spoil=moved),
    never("no-map", "Without a map it cannot be known which islands are coronary.", "No vessel map", paints=None),
)
