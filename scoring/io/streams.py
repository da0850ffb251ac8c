"""What a compressed image says of its own size, inside its stream: held against the header before it is decoded.

A decoder makes room for what the stream says, so that some hundred bytes could ask for gigabytes.
"""

import struct

from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID, RLELossless

from scoring.io.errors import SeriesError

SLACK_BYTES = 4096  # of RLE: it never grows beyond twice its pixels and a header
SEARCHED_BYTES = 4096  # a JPEG 2000 stream may stand in a file of its own


def check_streams(name: str, dataset: Dataset, frames: int) -> None:
    """Refuse an image whose compressed streams are larger than its header says; native images pass.

    Raises
    ------
    SeriesError
        If a stream states another size, or none.
    """
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
    if not syntax.is_transfer_syntax or not syntax.is_encapsulated or not syntax.startswith("1.2.840.10008.1.2."):
        return
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    for frame in generate_frames(dataset.PixelData, number_of_frames=frames):
        if syntax == RLELossless:
            fits = len(frame) <= 2 * rows * columns * int(dataset.BitsAllocated) // 8 + SLACK_BYTES
        else:
            stated = stream_size(frame)
            fits = stated is None or stated == (rows, columns)  # what states none is for the decoder to refuse
        if not fits:
            raise SeriesError(f"{name} is damaged: its compressed pixels are not {rows} x {columns}; export it again.")


def stream_size(frame: bytes) -> tuple[int, int] | None:
    """Rows and columns as a JPEG, JPEG-LS or JPEG 2000 stream states them, None when it does not.

    References
    ----------
    ITU-T T.81 B.2.2 (frame header), T.87 C.2.2 (SOF55), T.800 A.5.1 (SIZ).
    """
    siz = frame.find(b"\xff\x4f\xff\x51", 0, SEARCHED_BYTES)
    if siz >= 0 and len(frame) >= siz + 24:
        width, height, left, top = struct.unpack(">4L", frame[siz + 8 : siz + 24])
        return height - top, width - left
    at = 2
    while frame[:2] == b"\xff\xd8" and at + 9 <= len(frame) and frame[at] == 0xFF:
        marker, length = frame[at + 1], int.from_bytes(frame[at + 2 : at + 4], "big")
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}):
            return int.from_bytes(frame[at + 5 : at + 7], "big"), int.from_bytes(frame[at + 7 : at + 9], "big")
        at += 2 + length
    return None
