"""Objects of every kind that the receiver takes, to be damaged; and the examiners that read them."""

import copy
import os
import random
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from scoring.io.receiver.children import Examiners
from scoring.io.receiver.intake import _head
from scoring.io.receiver.records import Examined, Job
from tests.scoring.receiving import CT, DEFLATED, EXPLICIT, encoded

ENHANCED_CT, SEG = "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.66.4"
IMPLICIT = "1.2.840.10008.1.2"
TYPED = {"hostile-uid", "damaged", "too-deep", "too-large", "lying-size", "mismatch", "unfit"}
Seed = tuple[str, str, str, bytes]  # transfer syntax, SOP class, instance, data set


def seeds(ct_slice: Callable[..., Any]) -> dict[str, Seed]:
    """One healthy object of each class and of each kind of encoding."""
    image = ct_slice(np.full((16, 16), 40.0), 3.0, 1)
    name, plain = str(image.SOPInstanceUID), encoded(image)
    squeezer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = squeezer.compress(plain) + squeezer.flush()
    packed = ct_slice(np.full((16, 16), 40.0), 3.0, 1)
    packed.compress(RLELossless, generate_instance_uid=False)
    enhanced = _enhanced(image)
    segmentation = _enhanced(image)
    segmentation.SOPClassUID, segmentation.SegmentationType, segmentation.BitsAllocated = SEG, "BINARY", 1
    segmentation.SegmentSequence, segmentation.PixelData = [Dataset()], bytes(64)
    segmentation.SegmentSequence[0].SegmentLabel = "LAD"
    return {
        "plain": (EXPLICIT, CT, name, plain),
        "implicit": (IMPLICIT, CT, name, encoded(image, implicit=True)),
        "deflated": (DEFLATED, CT, name, deflated),
        "RLE": (str(RLELossless), CT, name, encoded(packed)),
        "multi-frame": (EXPLICIT, ENHANCED_CT, name, encoded(enhanced)),
        "map": (EXPLICIT, SEG, name, encoded(segmentation)),
    }


def _enhanced(image: pydicom.Dataset) -> pydicom.Dataset:
    """Make a multi-frame image of two frames in the shape of an Enhanced CT."""
    made = copy.deepcopy(image)
    del made.ImagePositionPatient
    made.SOPClassUID, made.NumberOfFrames, made.PixelData = ENHANCED_CT, 2, bytes(2 * 2 * 16 * 16)
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [0.5, 0.5], 3
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    made.SharedFunctionalGroupsSequence, made.PerFrameFunctionalGroupsSequence = [shared], []
    for z_mm in (0, 3):
        place, frame = Dataset(), Dataset()
        place.ImagePositionPatient = [0, 0, z_mm]
        frame.PlanePositionSequence = [place]
        made.PerFrameFunctionalGroupsSequence.append(frame)
    return made


def damaged(data: bytes, random_: random.Random) -> bytes:
    """Flip, cut, repeat or overwrite a few places of a data set."""
    changed = bytearray(data)
    for _ in range(random_.randint(1, 4)):
        if not changed:
            break
        at = random_.randrange(len(changed)) if random_.random() < 0.5 else random_.randrange(min(900, len(changed)))
        way = random_.randrange(5)
        if way == 0:
            changed[at] ^= 1 << random_.randrange(8)
        elif way == 1:
            del changed[at:]
        elif way == 2:
            changed[at : at + 4] = random_.choice([b"\xff" * 4, b"\0" * 4, b"\xfe\xff\0\xe0", b"SQ\0\0", b"UN\0\0"])
        elif way == 3:
            changed[at:at] = changed[at : at + random_.randrange(1, 200)]
        else:
            del changed[at : at + random_.randrange(1, 16)]
    return bytes(changed)


def examine(examiners: Examiners, folder: Path, seed: Seed, data: bytes) -> str:
    """Have a data set examined by a real child; the reason, or `examined`."""
    syntax, sop_class, name, _ = seed
    path = folder / f"{os.getpid()}.dcm"
    path.write_bytes(_head(syntax, sop_class, name) + data)
    outcome = examiners.examine(
        Job(path=str(path), syntax=syntax, sop_class=sop_class, instance_uid=name), struck=False
    )
    return "examined" if isinstance(outcome, Examined) else outcome.reason


def campaign(examiners: Examiners, folder: Path, all_seeds: dict[str, Seed], count: int, first: int) -> Counter[str]:
    """Examine many damaged objects; count the outcomes."""
    outcomes: Counter[str] = Counter()
    for number in range(first, first + count):
        random_ = random.Random(number)
        seed = all_seeds[random_.choice(sorted(all_seeds))]
        outcomes[examine(examiners, folder, seed, damaged(seed[3], random_))] += 1
    return outcomes
