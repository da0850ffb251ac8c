"""What a compressed image says of its own size, inside its stream: held against the header before it is decoded.

A decoder makes room for what the stream says, so that some hundred bytes could ask for gigabytes.
"""

import struct
from collections.abc import Iterator

from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID, RLELossless

from scoring.io.errors import SeriesError

SLACK_BYTES = 4096  # of RLE: it never grows beyond twice its pixels and a header
MAX_RLE_BYTES = 8 * 2**20  # of one frame; two bytes of it can become 128
SOI, SOC_SIZ, JP2 = b"\xff\xd8", b"\xff\x4f\xff\x51", b"jP  "
FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15 of JPEG, SOF55 of JPEG-LS
ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length


def check_streams(name: str, dataset: Dataset, frames: int) -> None:
    """Refuse an image whose compressed streams are not those that its header announces; native images pass.

    Raises
    ------
    SeriesError
        If a stream states another size, there are more of them, or one could grow beyond all bounds.
    """
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    if not syntax.is_transfer_syntax or not syntax.is_encapsulated or not syntax.startswith("1.2.840.10008.1.2."):
        return
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    for place, frame in enumerate(generate_frames(dataset.PixelData, number_of_frames=frames), 1):
        if place > frames:  # the decoder would take them all
            raise SeriesError(f"{name} holds more frames than it says ({frames}); export it again.")
        if syntax == RLELossless:
            grown = 2 * rows * columns * int(dataset.BitsAllocated) // 8 + SLACK_BYTES
            fits = len(frame) <= min(grown, MAX_RLE_BYTES)
        else:
            stated = stream_size(frame)
            fits = stated is None or stated == (rows, columns)  # what states none is for the decoder to refuse
        if not fits:
            raise SeriesError(f"{name} is damaged: its compressed pixels are not {rows} x {columns}; export it again.")


def stream_size(frame: bytes) -> tuple[int, int] | None:
    """Rows and columns as a JPEG, JPEG-LS or JPEG 2000 stream states them, None when it does not.

    References
    ----------
    ITU-T T.81 B.1.1 (markers), B.2.2 (frame header), T.87 C.2.2 (SOF55), T.800 A.5.1 (SIZ).
    """
    if frame.startswith(SOC_SIZ) or frame[4:8] == JP2:  # the same marker in a comment of a JPEG would be a decoy
        siz = frame.find(SOC_SIZ)
        if siz < 0 or len(frame) < siz + 24:
            return None
        if frame.count(SOC_SIZ) > 1:  # never in the data of an image: nobody knows which of them a decoder takes
            return 0, 0
        width, height, left, top = struct.unpack(">4L", frame[siz + 8 : siz + 24])
        return height - top, width - left
    for marker, at in _segments(frame):
        if marker in FRAME_HEADERS:
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
