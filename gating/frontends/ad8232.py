"""AD8232 breakout with the SparkFun sketch: one text line a sample, `0`..`1023`, or `!` while an electrode is off.

Source: SparkFun `Heart_Rate_Display.ino` (`io.md` section 3.1 F). 9600 baud, no counter, no checksum, no fixed rate:
the arrival is all that tells the time, and a line that lost a digit cannot be told from a good one. Fit for a bench.
"""

import re

import numpy as np

from gating.frontends.frontend import (
    Booleans,
    Declaration,
    DecoderFaults,
    Floats,
    Frontend,
    SampleBlock,
    locked,
)

LINE = re.compile(rb"(?:!|[0-9]{1,4})\Z")
MAX_LINE = 6  # four digits and the carriage return, with one to spare
COUNTS = 1023
CENTRE = 512
SCALE = 3.3e6 / 1024 / 1100  # microvolts per count: 3.3 V converter, gain 1100

DECLARATION = Declaration(
    name="ad8232",
    title="AD8232 breakout",
    leads=("II",),
    rate_hz=192.0,  # what 9600 baud lets through with three digits a line
    rate_exact=False,
    rail_uv=(COUNTS - CENTRE) * SCALE,
    microvolts_per_count=SCALE,
    electrodes=("RA", "LA", "LL"),  # its two comparators cannot tell which: a flag means all
    filter_delay_ns=8_000_000,  # the board's 40 Hz two-pole low-pass, around 10 Hz
    block_fill_samples=(1,),
    link_floor_ns=5_208_000,  # five characters of 10 bits at 9600 baud
    baud=9_600,
    counter_wraps_at=None,
    patient_safe=False,
    why_not_safe="a bare breakout board on a computer's USB supply: no isolation at all, and no fixed sample rate",
    simulated_samples_per_block=(1,),
    start=b"",
    stop=b"",
    frame="text lines ended by CR LF: an integer 0..1023, or ! while an electrode is off",
)


class Ad8232Decoder:
    """Decodes text lines; one block holds one sample. The first line counts only after a line end: it may be cut."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._whole = False  # the line in hand began at a line end
        self._index = 0
        self._microvolts = 0.0  # of the last number, repeated while an electrode is off
        self._frames = self._broken = self._skipped = 0

    @property
    def faults(self) -> DecoderFaults:
        """What went wrong so far; a broken line counts as a checksum error."""
        return DecoderFaults(self._frames, self._broken, 0, self._skipped)

    def feed(self, data: bytes) -> tuple[SampleBlock, ...]:
        """Take the next bytes; give the samples of the lines that they end."""
        blocks = []
        pieces = data.split(b"\n")
        for number, piece in enumerate(pieces):
            self._take(piece)
            if number < len(pieces) - 1:
                blocks += self._end_line()
        return tuple(blocks)

    def _take(self, piece: bytes) -> None:
        """Add to the line in hand, no more of it than is needed to see that it is too long."""
        room = MAX_LINE + 1 - len(self._line)
        self._line += piece[:room]
        self._skipped += max(0, len(piece) - room)

    def _end_line(self) -> list[SampleBlock]:
        """Judge the line in hand and begin the next."""
        line, whole = bytes(self._line).removesuffix(b"\r"), self._whole
        raw = len(self._line)
        self._line.clear()
        self._whole = True
        if not line and raw <= 1:
            return []
        good = whole and LINE.match(line) is not None and (line == b"!" or int(line) <= COUNTS)
        if not good:
            self._skipped += raw
            self._broken += int(whole)
            return []
        off = line == b"!"
        if not off:
            self._microvolts = (int(line) - CENTRE) * SCALE
        self._frames += 1
        block = SampleBlock(
            leads=DECLARATION.leads,
            microvolts=np.full((1, 1), self._microvolts),
            rate_hz=DECLARATION.rate_hz,
            first_index=self._index,
            electrodes=DECLARATION.electrodes,
            electrodes_off=np.full((1, len(DECLARATION.electrodes)), off),
            lost_before=0,
        )
        self._index += 1
        return [locked(block)]


class Ad8232Encoder:
    """Encodes samples as the simulated box sends them."""

    def __init__(self, samples_per_block: int) -> None:
        self._samples_per_block = samples_per_block  # always 1
        self._begun = False

    def encode(self, microvolts: Floats, electrodes_off: Booleans) -> bytes:
        """Encode samples [sample, lead] (II); any electrode off turns the line into `!`."""
        counts = np.clip(np.rint(microvolts[:, 0] / SCALE) + CENTRE, 0, COUNTS).astype(np.int64)
        off: list[bool] = np.any(electrodes_off, axis=1).tolist()
        lines = [b"!\r\n" if bad else b"%d\r\n" % count for count, bad in zip(counts.tolist(), off, strict=True)]
        begin = b"" if self._begun else b"\r\n"  # a line end first, so that the first sample counts
        self._begun = True
        return begin + b"".join(lines)


FRONTEND = Frontend(DECLARATION, Ad8232Decoder, Ad8232Encoder)
