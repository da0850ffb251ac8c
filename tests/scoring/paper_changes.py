"""Changes to a series of the published set: of each slice's attributes and pixels, and of the set of files."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

Files = dict[str, Dataset]


def on_third(**values: Any) -> Callable[[int, Dataset], None]:
    """Change attributes of the slice with index 2."""

    def change(index: int, dataset: Dataset) -> None:
        if index == 2:
            for name, value in values.items():
                setattr(dataset, name, value)

    return change


def steeper(index: int, dataset: Dataset) -> None:
    """Give each file a rescale of its own that says the same HU."""
    slope, intercept = 0.5 + 0.5 * (index % 2), -1024.0 + 8 * index
    hu = np.frombuffer(dataset.PixelData, "<i2").astype(float) * float(dataset.RescaleSlope)
    hu += float(dataset.RescaleIntercept)
    dataset.RescaleSlope, dataset.RescaleIntercept = slope, intercept
    dataset.PixelData = np.rint((hu - intercept) / slope).astype("<i2").tobytes()


def unsigned(_: int, dataset: Dataset) -> None:
    """Store the same HU unsigned, in 12 bits."""
    dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 0, 12, 11


def pad(index: int, dataset: Dataset) -> None:
    """Fill a corner with bright padding that is declared as such."""
    del index
    dataset.PixelPaddingValue = 3000
    pixels = np.frombuffer(dataset.PixelData, "<i2").reshape(dataset.Rows, dataset.Columns).copy()
    pixels[-4:, -4:] = 3000
    dataset.PixelData = pixels.tobytes()


def turned(quarter: int) -> Callable[[int, Dataset], None]:
    """Turn the slices by quarters of a circle, pixels and direction cosines alike, so that nothing moves in space."""

    def change(index: int, dataset: Dataset) -> None:
        del index
        pixels = np.frombuffer(dataset.PixelData, "<i2").reshape(dataset.Rows, dataset.Columns)
        dataset.PixelData = np.ascontiguousarray(np.rot90(pixels, quarter)).tobytes()
        along, down = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
        corner = np.array(dataset.ImagePositionPatient, dtype=float)
        for _ in range(quarter):
            corner = corner + along * (dataset.Columns - 1) * 0.5
            along, down = down, -along
        dataset.ImagePositionPatient = [float(value) for value in corner]
        dataset.ImageOrientationPatient = [float(value) for value in (*along, *down)]

    return change


def mirrored(index: int, dataset: Dataset) -> None:
    """Run the columns to the other side, so that the slice normal points to the feet."""
    del index
    pixels = np.frombuffer(dataset.PixelData, "<i2").reshape(dataset.Rows, dataset.Columns)
    dataset.PixelData = np.ascontiguousarray(pixels[:, ::-1]).tobytes()
    x, y, z = (float(value) for value in dataset.ImagePositionPatient)
    dataset.ImagePositionPatient = [x + (dataset.Columns - 1) * 0.5, y, z]
    dataset.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]


def numbers(order: Callable[[int], int]) -> Callable[[int, Dataset], None]:
    """Give each slice another InstanceNumber."""

    def change(index: int, dataset: Dataset) -> None:
        dataset.InstanceNumber = order(index)

    return change


def renamed(files: Files) -> Files:
    """Give the files names in another order."""
    order = [3, 0, 5, 1, 4, 2]
    return {f"im{order[index]}": one for index, one in enumerate(files.values())}


def without(index: int) -> Callable[[Files], Files]:
    """Take the file of one slice out."""
    return lambda files: {name: one for place, (name, one) in enumerate(files.items()) if place != index}


def again(files: Files) -> Files:
    """Put the bytes of one file into a second one."""
    return {**files, "copy.dcm": files["slice002.dcm"]}


def twin(files: Files) -> Files:
    """Add another image at the place of one: by one pixel another, and with another UID."""
    other = copy.deepcopy(files["slice002.dcm"])
    pixels = np.frombuffer(other.PixelData, "<i2").copy()
    pixels[0] += 1
    other.PixelData = pixels.tobytes()
    other.SOPInstanceUID = generate_uid(entropy_srcs=["diastole", "twin"])
    return {**files, "other.dcm": other}


def tilt(degrees: float) -> dict[str, Any]:
    """Tilt the rows against the patient."""
    angle = np.deg2rad(degrees)
    return {"ImageOrientationPatient": [1, 0, 0, 0, round(float(np.cos(angle)), 10), round(float(np.sin(angle)), 10)]}
