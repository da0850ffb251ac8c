"""OpenBCI Cyton: 33-byte packets, 250 Hz, eight 24-bit channels at gain 24; channels 1, 2, 3 carry I, II and V1.

Source: OpenBCI_32bit_Library firmware and BrainFlow (`io.md` section 3.1 C)::

    0 A0 | 1 u8 counter, wraps | 2 eight big-endian i24 | 26 six aux bytes | 32 C0..C6

No checksum and no lead-off flag. So, to come into step, a decoder asks for two packets in a row with counters one
apart, and gives both at once; in step, each packet is believed by its first and last byte. A packet damaged between
these two bytes cannot be told.
"""

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

SIZE = 33
HEAD = 0xA0
FEET = frozenset(range(0xC0, 0xC7))
COUNTS = 2**23 - 1
SCALE = 4.5e6 / 24 / COUNTS  # microvolts per count: 4.5 V reference, gain 24
ELECTRODES: tuple[str, ...] = ()

DECLARATION = Declaration(
    name="cyton",
    title="OpenBCI Cyton",
    leads=("I", "II", "V1"),
    rate_hz=250.0,
    rate_exact=True,
    rail_uv=4.5e6 / 24,
    microvolts_per_count=SCALE,
    electrodes=ELECTRODES,
    filter_delay_ns=6_000_000,  # ADS1299 sinc3 at 250 Hz: 1.5 sample periods
    block_fill_samples=(1,),
    link_floor_ns=2_865_000,  # 33 bytes of 10 bits at 115200 baud
    baud=115_200,
    counter_wraps_at=256,
    patient_safe=False,
    why_not_safe="a research board; safe isolation only while it runs on its battery, and no certification",
    simulated_samples_per_block=(1,),
    start=b"b",
    stop=b"s",
    frame="A0, counter, eight big-endian 24-bit counts, six aux bytes, C0..C6",
)


class CytonDecoder:
    """Decodes Cyton packets; one block holds one sample."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._in_step = False
        self._counter: int | None = None  # of the last packet
        self._index = 0  # of the next sample
        self._frames = self._lost = self._skipped = 0

    @property
    def faults(self) -> DecoderFaults:
        """What went wrong so far; the packets have no checksum, so `crc_errors` stays 0."""
        return DecoderFaults(self._frames, 0, self._lost, self._skipped)

    def feed(self, data: bytes) -> tuple[SampleBlock, ...]:
        """Take the next bytes; give the samples that they complete."""
        self._buffer += data
        buffer, at, blocks = self._buffer, 0, []
        while len(buffer) - at >= (SIZE if self._in_step else 2 * SIZE):
            if self._in_step and self._fits(at):
                blocks += self._blocks(at)
                at += SIZE
            elif self._in_step:
                self._in_step = False
            elif self._fits(at) and self._fits(at + SIZE) and self._follows(at):
                self._in_step = True
            else:
                found = buffer.find(HEAD, at + 1)
                step = (found if found >= 0 else len(buffer)) - at
                # never past what is needed to judge the next place: the answer must not depend on the cut
                step = min(step, len(buffer) - at - 2 * SIZE + 1)
                self._skipped += step
                at += step
        del buffer[:at]
        return tuple(blocks)

    def _fits(self, at: int) -> bool:
        """Tell whether a packet may begin here."""
        return self._buffer[at] == HEAD and self._buffer[at + SIZE - 1] in FEET

    def _follows(self, at: int) -> bool:
        """Tell whether the packet after this one carries the next counter."""
        return self._buffer[at + SIZE + 1] == (self._buffer[at + 1] + 1) % 256

    def _blocks(self, at: int) -> list[SampleBlock]:
        """Make the block of one packet, or nothing if it came twice."""
        counter = self._buffer[at + 1]
        lost = 0 if self._counter is None else (counter - self._counter - 1) % 256
        self._frames += 1
        if lost == 255:
            return []  # the same counter again: the dongle sent it twice
        self._counter = counter
        self._index += lost
        self._lost += lost
        counts = [
            int.from_bytes(self._buffer[at + 2 + 3 * channel : at + 5 + 3 * channel], "big", signed=True)
            for channel in range(3)
        ]
        block = SampleBlock(
            leads=DECLARATION.leads,
            microvolts=np.array([counts], dtype=np.float64) * SCALE,
            rate_hz=DECLARATION.rate_hz,
            first_index=self._index,
            electrodes=ELECTRODES,
            electrodes_off=np.zeros((1, 0), dtype=np.bool_),
            lost_before=lost,
        )
        self._index += 1
        return [locked(block)]


class CytonEncoder:
    """Encodes samples as the simulated box sends them."""

    def __init__(self, samples_per_block: int) -> None:
        self._samples_per_block = samples_per_block  # always 1
        self._counter = 0

    def encode(self, microvolts: Floats, electrodes_off: Booleans) -> bytes:  # noqa: ARG002 - no flags on this box
        """Encode samples [sample, lead] (I, II, V1); the box has no lead-off flags to put in."""
        counts = np.clip(np.rint(microvolts / SCALE), -COUNTS, COUNTS).astype(np.int64)
        packets = []
        for row in counts.tolist():
            channels = b"".join(count.to_bytes(3, "big", signed=True) for count in row)
            packets.append(bytes((HEAD, self._counter)) + channels + bytes(5 * 3 + 6) + b"\xc0")
            self._counter = (self._counter + 1) % 256
        return b"".join(packets)


FRONTEND = Frontend(DECLARATION, CytonDecoder, CytonEncoder)
