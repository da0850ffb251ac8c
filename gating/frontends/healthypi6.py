"""ProtoCentral HealthyPi 6: `DBLK` blocks, 500 Hz, leads I, II and V1 in microvolts, lead-off bits, CRC-32.

Source: healthypi-6-fw, `docs/HP6_DATA_FORMAT.md`, format 0x0300. All little-endian, packed::

    0 'DBLK' | 4 u32 length = 32 + 20 n | 8 u32 seq | 12 u64 t_ms of the first sample | 20 u8 channel = 1 | 21 u8 0
    22 u16 n | 24 u32 0 | 28 n x (i32 resp, i32 I, i32 II, i32 V1, u8 lead-off, u8 flags, 2 pad) | u32 CRC-32

Our deviations: blocks of other channels are stepped over without trusting their length (only their 28-byte header is
read), so that a damaged length can never swallow ECG; how many samples a jump of `seq` cost is read from `t_ms`,
since `seq` counts the blocks of all channels.
"""

import struct
import zlib

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

HEADER = struct.Struct("<4sIIQBBHI")
MAGIC = b"DBLK"
ECG = 1
CHANNELS = frozenset({1, 2, 3, 4, 5, 6, 7, 8})
OVERHEAD = 32
MAX_SAMPLES = 16
MAX_OTHER_BYTES = 65_536
LOST_AT_MOST_S = 10  # a longer hole is a new beginning; how long it was matters to nobody
SAMPLE = np.dtype(
    [("resp", "<i4"), ("i", "<i4"), ("ii", "<i4"), ("v1", "<i4"), ("off", "u1"), ("flags", "u1"), ("pad", "<u2")]
)
BITS = np.array([1, 2, 4, 8], dtype=np.uint8)  # RA, LA, LL, V1

DECLARATION = Declaration(
    name="healthypi6",
    title="HealthyPi 6",
    leads=("I", "II", "V1"),
    rate_hz=500.0,
    rate_exact=True,
    rail_uv=400_000.0,  # 2.4 V reference, gain 6
    microvolts_per_count=1.0,
    electrodes=("RA", "LA", "LL", "V1"),
    filter_delay_ns=0,  # the firmware states none
    block_fill_samples=tuple(range(1, MAX_SAMPLES + 1)),
    link_floor_ns=1_000_000,  # one USB frame
    baud=115_200,  # USB CDC: any figure does
    counter_wraps_at=None,
    patient_safe=False,
    why_not_safe="an open-hardware board without IEC 60601-1 isolation or certification",
    simulated_samples_per_block=tuple(range(1, MAX_SAMPLES + 1)),
    start=b"",  # streams as soon as the port is open
    stop=b"",
    frame="DBLK, u32 length, u32 seq, u64 t_ms, channel, flags, n, 0, n samples of 20 bytes, CRC-32; little-endian",
)
_PERIOD_MS = 1000.0 / DECLARATION.rate_hz


class HealthyPi6Decoder:
    """Decodes the ECG blocks of a `DBLK` stream and steps over all others."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._seq: int | None = None
        self._t_ms = 0  # of the first sample of the last good block
        self._samples = 0  # in the last good block
        self._index = 0  # of the next sample
        self._foreign = 0  # bytes of other channels' blocks still to step over, not counted as garbage
        self._frames = self._crc_errors = self._lost = self._skipped = 0

    @property
    def faults(self) -> DecoderFaults:
        """What went wrong so far."""
        return DecoderFaults(self._frames, self._crc_errors, self._lost, self._skipped)

    def feed(self, data: bytes) -> tuple[SampleBlock, ...]:
        """Take the next bytes; give the ECG blocks that they complete."""
        self._buffer += data
        buffer, at, blocks = self._buffer, 0, []
        while True:
            found = buffer.find(MAGIC, at)
            # the last three bytes may be the beginning of the next magic
            start = found if found >= 0 else max(at, len(buffer) - len(MAGIC) + 1)
            self._skip(start - at)
            at = start
            if found < 0 or len(buffer) - at < HEADER.size:
                break
            _, length, seq, t_ms, channel, flags, samples, zero = HEADER.unpack_from(buffer, at)
            if channel != ECG or not self._is_ecg(length, flags, samples, zero):
                if channel in CHANNELS and channel != ECG and not flags and OVERHEAD <= length <= MAX_OTHER_BYTES:
                    self._foreign = length
                self._skip(len(MAGIC))
                at += len(MAGIC)
                continue
            if len(buffer) - at < length:
                break
            body = bytes(buffer[at : at + length])
            if zlib.crc32(body[:-4]) != int.from_bytes(body[-4:], "little"):
                self._crc_errors += 1
                self._skip(len(MAGIC))
                at += len(MAGIC)
                continue
            at += length
            self._foreign = 0
            self._frames += 1
            blocks += self._blocks(seq, t_ms, body[HEADER.size : -4])
        del buffer[:at]
        return tuple(blocks)

    @staticmethod
    def _is_ecg(length: int, flags: int, samples: int, zero: int) -> bool:
        """Tell whether the header of an ECG block is one that the box can send."""
        return 1 <= samples <= MAX_SAMPLES and length == OVERHEAD + SAMPLE.itemsize * samples and not flags and not zero

    def _skip(self, count: int) -> None:
        """Count bytes that belong to no ECG block, leaving out the blocks of other channels."""
        excused = min(count, self._foreign)
        self._foreign -= excused
        self._skipped += count - excused

    def _blocks(self, seq: int, t_ms: int, payload: bytes) -> list[SampleBlock]:
        """Make the block of one good frame, or nothing if it is one that we have had."""
        lost = 0
        if self._seq is not None:
            step = (seq - self._seq) % 2**32
            late_ms = t_ms - self._t_ms - self._samples * _PERIOD_MS
            if step == 0 or (step >= 2**31 and -1000.0 < late_ms < 0.0):
                return []  # doubled or overtaken on the way: those samples are past
            if step != 1 and late_ms > 0:
                lost = min(round(late_ms / _PERIOD_MS), round(LOST_AT_MOST_S * DECLARATION.rate_hz))
            elif late_ms < -1000.0:
                lost = round(DECLARATION.rate_hz)  # the box began anew: nobody knows how long it was away
        samples = np.frombuffer(payload, dtype=SAMPLE)
        microvolts = np.stack((samples["i"], samples["ii"], samples["v1"]), axis=1).astype(np.float64)
        off = (samples["off"][:, None] & BITS) != 0
        self._index += lost
        self._lost += lost
        block = SampleBlock(
            leads=DECLARATION.leads,
            microvolts=microvolts,
            rate_hz=DECLARATION.rate_hz,
            first_index=self._index,
            electrodes=DECLARATION.electrodes,
            electrodes_off=off,
            lost_before=lost,
        )
        self._seq, self._t_ms, self._samples = seq, t_ms, len(samples)
        self._index += len(samples)
        return [locked(block)]


class HealthyPi6Encoder:
    """Encodes samples as the simulated box sends them."""

    def __init__(self, samples_per_block: int) -> None:
        self._samples_per_block = samples_per_block
        self._seq = 0
        self._index = 0

    def encode(self, microvolts: Floats, electrodes_off: Booleans) -> bytes:
        """Encode samples [sample, lead] (I, II, V1) and flags [sample, electrode] (RA, LA, LL, V1)."""
        frames = []
        for first in range(0, len(microvolts), self._samples_per_block):
            rows = slice(first, first + self._samples_per_block)
            frames.append(self._frame(microvolts[rows], electrodes_off[rows]))
        return b"".join(frames)

    def _frame(self, microvolts: Floats, electrodes_off: Booleans) -> bytes:
        """Encode one block."""
        count = len(microvolts)
        samples = np.zeros(count, dtype=SAMPLE)
        rounded = np.clip(np.rint(microvolts), -DECLARATION.rail_uv, DECLARATION.rail_uv).astype(np.int32)
        samples["i"], samples["ii"], samples["v1"] = rounded.T
        samples["off"] = (electrodes_off * BITS).sum(axis=1, dtype=np.uint8)
        t_ms = int(self._index * _PERIOD_MS)
        head = HEADER.pack(MAGIC, OVERHEAD + SAMPLE.itemsize * count, self._seq, t_ms, ECG, 0, count, 0)
        self._seq = (self._seq + 1) % 2**32
        self._index += count
        body = head + samples.tobytes()
        return body + zlib.crc32(body).to_bytes(4, "little")


FRONTEND = Frontend(DECLARATION, HealthyPi6Decoder, HealthyPi6Encoder)
