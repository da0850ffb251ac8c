"""One series of the published set: what is painted, how it is written as DICOM, and the answer that stands on paper."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from scoring.lesions import VESSELS
from scoring.presets import PresetName
from tests.scoring.dicom_files import Block, ct_slice, painted, write_map

Paint = tuple[str, int, int, int, int]  # vessel or CUT; first row, rows, first column, columns; in all slices
Files = list[tuple[str, Dataset]]

SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg-ls": JPEGLSLossless,
    "jpeg-2000": JPEG2000Lossless,
}
IDENTITY = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
BACKGROUND_HU = 40.0
FIRST_MM = (-50.0, -60.0, 100.0)
ONE = (2, 5, 2, 5, 2)  # 4 pixels of slice 2: 1 mm2
EVERYWHERE: tuple[Paint, ...] = (("LAD", 0, 99, 0, 99),)


@dataclass(frozen=True, slots=True)
class Answer:
    """What stands on paper; None where the case does not ask."""

    total: float | None = None
    vessels: Mapping[str, float] = field(default_factory=dict)  # those that are not zero
    volume_mm3: float | None = None
    mass_mg: float | None = None
    shown: str | None = None
    category: str | None = None
    cac_drs: str | None = None
    note: str = ""  # words that a reader must find beside the number
    refused: str = ""  # words of the refusal: then there is no number


@dataclass(frozen=True, slots=True)
class Case:
    """A series; unless it says otherwise a pixel has 0.25 mm2 and a slice 3 mm, so that the factor is 1."""

    name: str
    why: str  # how the answer is worked out, one sentence
    blocks: tuple[Block, ...]
    answer: Answer
    slices: int = 6
    rows: int = 32
    columns: int = 32
    row_mm: float = 0.5
    column_mm: float = 0.5
    increment_mm: float = 3.0
    header: Mapping[str, Any] = field(default_factory=dict)  # of every file; None removes
    changes: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)  # of single slices
    turned: tuple[bool, bool, bool] = (False, False, False)  # rows for columns; then rows, columns reversed
    paints: tuple[Paint, ...] | None = EVERYWHERE  # None: no map
    spoil: Callable[[Files], Files] | None = None  # after the map was made
    syntax: str = "explicit"
    settings: Mapping[str, Any] = field(default_factory=dict)  # of scoring.settings, by name
    preset: PresetName = "agatston1990"
    rods: tuple[float, float] | None = None  # HU of 200 mg/cm3 and of water

    def told(self) -> dict[str, object]:
        """Give question and answer for another program, without what only this one understands."""
        answer = {one.name: getattr(self.answer, one.name) for one in fields(self.answer)}
        asked = {"settings": dict(self.settings), "preset": self.preset, "rods_hu": self.rods, "map": bool(self.paints)}
        return {
            "why": self.why,
            **asked,
            "answer": {name: value for name, value in answer.items() if value not in (None, "", {})},
        }


def lad(
    name: str, why: str, blocks: tuple[Block, ...], total: float, volume_mm3: float | None = None, **more: Any
) -> Case:
    """Make a series whose whole score lies on the LAD."""
    asked = {key: more.pop(key) for key in ("shown", "category", "cac_drs", "note", "mass_mg") if key in more}
    vessels = {"LAD": total} if total else {}
    return Case(name, why, blocks, Answer(total=total, vessels=vessels, volume_mm3=volume_mm3, **asked), **more)


def uid(*words: object) -> str:
    """Make an identifier that is the same at each run."""
    return str(generate_uid(entropy_srcs=["diastole", "paper", *map(str, words)]))


def mapped(case: Case) -> NDArray[np.bool_]:
    """Paint the map [slice, row, column, LM LAD LCX RCA CUT]."""
    names = (*VESSELS, "CUT")
    inside = np.zeros((case.slices, case.rows, case.columns, len(names)), dtype=np.bool_)
    for name, row, rows, column, columns in case.paints or ():
        inside[:, row : row + rows, column : column + columns, names.index(name)] = True
    return inside


def turn(pixels: NDArray[Any], turned: tuple[bool, bool, bool]) -> NDArray[Any]:
    """Turn the pictures of a stack."""
    swap, upside, mirrored = turned
    out = np.swapaxes(pixels, 1, 2) if swap else pixels
    out = out[:, ::-1] if upside else out
    return np.ascontiguousarray(out[:, :, ::-1] if mirrored else out)


def geometry(case: Case) -> dict[str, Any]:
    """Say where the turned pictures lie: the patient has not moved."""
    right, down = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    row_mm, column_mm, rows, columns = case.row_mm, case.column_mm, case.rows, case.columns
    first = np.array(FIRST_MM)
    swap, upside, mirrored = case.turned
    if swap:
        right, down, row_mm, column_mm, rows, columns = down, right, column_mm, row_mm, columns, rows
    if upside:
        first, down = first + down * (rows - 1) * row_mm, -down
    if mirrored:
        first, right = first + right * (columns - 1) * column_mm, -right
    return {"first": first, "orientation": [float(v) for v in (*right, *down)], "spacing": [row_mm, column_mm]}


def datasets(case: Case) -> Files:
    """Write the slices, lowest first, uncompressed."""
    shape = (case.slices, case.rows, case.columns)
    hu, at = turn(painted(case.blocks, shape, BACKGROUND_HU), case.turned), geometry(case)
    found: Files = []
    for index in range(case.slices):
        x, y, z = at["first"] + [0.0, 0.0, case.increment_mm * index]
        fields_: dict[str, Any] = {
            "ImagePositionPatient": [_decimal(x), _decimal(y), _decimal(z)],
            "ImageOrientationPatient": [_decimal(value) for value in at["orientation"]],
            "PixelSpacing": [_decimal(value) for value in at["spacing"]],
            "SliceThickness": _decimal(case.increment_mm),
            "SOPInstanceUID": uid(case.name, "slice", index),
        }
        fields_ |= {
            name: uid(case.name, name) for name in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
        }
        fields_ |= {**case.header, **case.changes.get(index, {})}
        one = ct_slice(hu[index], float(z), index + 1, **fields_)
        found.append((f"slice{index:03d}.dcm", one))
    return found


def _decimal(value: float) -> str:
    """Write a number into at most 16 characters."""
    return f"{value + 0.0:.14g}"[:16]


def write_labels(case: Case, path: Path, sources: Sequence[Dataset]) -> None:
    """Write the map as a BINARY DICOM SEG."""
    inside = turn(mapped(case), case.turned)
    labels = sum(inside[..., index] * (index + 1) for index in range(len(VESSELS)))
    cut = inside[..., -1]
    write_map(path, list(sources), np.asarray(labels, dtype=np.uint8), cut=cut if cut.any() else None)


def encoded(one: Dataset, syntax: str) -> Dataset:
    """Bring an image into a transfer syntax."""
    target = SYNTAXES[syntax]
    if target.is_compressed and not target.is_deflated:
        one.compress(target, generate_instance_uid=False)
    elif target == ExplicitVRBigEndian:
        one.PixelData = np.frombuffer(one.PixelData, "<u2").astype(">u2").tobytes()
    one.file_meta.TransferSyntaxUID = target
    return one


def save(one: Dataset, path: Any, syntax: str = "explicit") -> None:
    """Write a file; big endian by hand, for pydicom takes the byte order from what was read."""
    if syntax == "big-endian":
        pydicom.dcmwrite(path, encoded(one, syntax), little_endian=False, implicit_vr=False)
    else:
        encoded(one, syntax).save_as(path, enforce_file_format=True)
