"""What compressed frames would decode to, by their own headers: read before a decoder believes them.

A decoder takes the size of an image from its codestream, whatever the DICOM header says: 5 kB can ask for gigabytes.
"""

from collections.abc import Iterator

import pydicom
from pydicom.encaps import generate_frames
from pydicom.uid import UID, RLELossless

from scoring.io.errors import SeriesError

MAX_RLE_BYTES = 8 * 2**20  # of one frame; a run of two bytes becomes 128 at most
SOI, SOC_SIZ = b"\xff\xd8", b"\xff\x4f\xff\x51"
FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15 of JPEG, SOF55 of JPEG-LS
ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length


def check_frames(name: str, dataset: pydicom.Dataset) -> None:
    """Refuse compressed frames whose size or number is not that of the header; without compression there is no doubt.

    References
    ----------
    ITU-T T.81 B.1 (JPEG markers), T.87 C.2 (JPEG-LS), T.800 A.5.1 (SIZ of JPEG 2000); DICOM PS3.5 annex A.4, G.

    Raises
    ------
    SeriesError
        If they are not.
    """
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    if not syntax.is_encapsulated:
        return
    declared = int(dataset.get("NumberOfFrames") or 1)
    size = (int(dataset.Rows), int(dataset.Columns))
    found = 0
    for frame in generate_frames(dataset.PixelData, number_of_frames=declared):
        found += 1
        if found > declared:
            raise SeriesError(f"{name} holds more frames than it says ({declared}); export it again.")
        if syntax == RLELossless:
            if len(frame) > MAX_RLE_BYTES:
                raise SeriesError(f"{name} has a compressed frame beyond all bounds; export it again.")
            continue
        told = _jpeg_2000_size(frame) or _jpeg_size(frame)
        if told is not None and told != size:
            raise SeriesError(
                f"{name} says {size[0]} x {size[1]} pixels, its compressed image {told[0]} x {told[1]}; "
                "export it again."
            )


def _jpeg_2000_size(frame: bytes) -> tuple[int, int] | None:
    """Rows and columns of a JPEG 2000 codestream, also where it lies in a JP2 file; None when there is none."""
    at = 0 if frame.startswith(SOC_SIZ) else frame.find(SOC_SIZ) if frame[4:8] == b"jP  " else -1
    if at < 0 or len(frame) < at + 24:
        return None
    if frame.count(SOC_SIZ) > 1:  # never in the data of an image: nobody knows which of them a decoder takes
        return 0, 0
    width, height, left, top = (int.from_bytes(frame[at + 8 + 4 * i : at + 12 + 4 * i], "big") for i in range(4))
    return height - top, width - left


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    """Rows and columns of a JPEG or JPEG-LS image; None when there is none."""
    for marker, at in _segments(frame):
        if marker in FRAME_MARKERS:
            return int.from_bytes(frame[at + 3 : at + 5], "big"), int.from_bytes(frame[at + 5 : at + 7], "big")
    return None


def _segments(frame: bytes) -> Iterator[tuple[int, int]]:
    """Walk over the marker segments up to the image's data: each marker, and where its length stands."""
    at = 2 if frame.startswith(SOI) else len(frame)
    while at + 4 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:  # fill
            at += 1
        elif marker in ALONE:
            at += 2
        else:
            yield marker, at + 2
            at += 2 + max(2, int.from_bytes(frame[at + 2 : at + 4], "big"))
