"""HealthyPi 6: the golden block of the layout table, losses, doubles, restarts, other channels."""

import struct
import zlib

import numpy as np
import pytest

from gating.frontends import FRONTENDS, DecoderFaults
from gating.frontends.healthypi6 import FRONTEND

GOLDEN = bytes.fromhex(
    "44424c4b"  # DBLK
    "34000000"  # 52 bytes in all
    "00000000"  # seq
    "0000000000000000"  # t_ms
    "01"  # ECG
    "00"
    "0100"  # one sample
    "00000000"
    "00000000"  # resp
    "64000000"  # I = 100 µV
    "38ffffff"  # II = -200 µV
    "2c010000"  # V1 = 300 µV
    "05"  # RA and LL off
    "00"
    "0000"
)


def _frame(seq: int, t_ms: int, *, channel: int = 1, samples: int = 4, payload: bytes | None = None) -> bytes:
    """Make one block by hand, after the table."""
    body = payload if payload is not None else struct.pack("<4iBB2x", 0, seq % 1000, 2, 3, 0, 0) * samples
    head = struct.pack("<4sIIQBBHI", b"DBLK", 32 + len(body), seq, t_ms, channel, 0, samples, 0)
    return head + body + struct.pack("<I", zlib.crc32(head + body))


def test_the_golden_block() -> None:
    """The encoder writes the table's bytes, and the decoder reads them."""
    crc = zlib.crc32(GOLDEN).to_bytes(4, "little")
    off = np.array([[True, False, True, False]])
    assert GOLDEN + crc == FRONTEND.encoder(1).encode(np.array([[100.0, -200.0, 300.0]]), off)
    (block,) = FRONTEND.decoder().feed(GOLDEN + crc)
    assert [[100.0, -200.0, 300.0]] == block.microvolts.tolist()
    assert off.tolist() == block.electrodes_off.tolist()
    assert ("I", "II", "V1") == block.leads
    assert ("RA", "LA", "LL", "V1") == block.electrodes


@pytest.mark.parametrize("byte", [0, 5, 9, 22, 40, 60, 100, 111])
def test_no_sample_comes_from_a_wrong_checksum(byte: int) -> None:
    """A flipped bit anywhere costs the block; the next one tells how much was lost."""
    bad = bytearray(_frame(1, 8))
    bad[byte] ^= 4
    decoder = FRONTEND.decoder()
    blocks = decoder.feed(_frame(0, 0) + bytes(bad) + _frame(2, 16))
    assert [(0, 0), (8, 4)] == [(block.first_index, block.lost_before) for block in blocks]
    assert 4 == decoder.faults.lost_samples
    assert 112 == decoder.faults.skipped_bytes


def test_other_channels_are_stepped_over() -> None:
    """PPG, vitals and blocks of channels unknown to us cost nothing, though they share the sequence."""
    decoder = FRONTEND.decoder()
    ppg = _frame(1, 3, channel=2, samples=16, payload=bytes(16 * 12))
    vitals = _frame(2, 5, channel=4, samples=1, payload=bytes(16))
    blocks = decoder.feed(_frame(0, 0) + ppg + vitals + _frame(3, 8))
    assert [0, 4] == [block.first_index for block in blocks]
    assert DecoderFaults(frames=2) == decoder.faults


def test_a_damaged_length_of_another_channel_swallows_nothing() -> None:
    """A PPG block that claims 60 kB does not hide the ECG blocks behind it."""
    liar = bytearray(_frame(1, 3, channel=2, samples=16, payload=bytes(16 * 12)))
    liar[4:8] = (60_000).to_bytes(4, "little")
    blocks = FRONTEND.decoder().feed(_frame(0, 0) + bytes(liar) + _frame(2, 8))
    assert 2 == len(blocks)


def test_doubled_and_overtaken_blocks_are_dropped() -> None:
    """A block that came before, or whose time is past, gives no sample twice."""
    frames = [_frame(seq, 8 * seq) for seq in range(4)]
    blocks = FRONTEND.decoder().feed(frames[0] + frames[0] + frames[2] + frames[1] + frames[2] + frames[3])
    assert [0, 8, 12] == [block.first_index for block in blocks]


def test_a_box_that_began_anew_is_a_hole_of_a_second() -> None:
    """Sequence and time of the box fall to zero: nobody knows how long it was away."""
    blocks = FRONTEND.decoder().feed(_frame(900, 7200) + _frame(0, 0) + _frame(1, 8))
    assert [0, 500, 0] == [block.lost_before for block in blocks]


def test_the_sequence_wraps() -> None:
    """After 2^32 blocks the counting goes on."""
    blocks = FRONTEND.decoder().feed(_frame(2**32 - 1, 80) + _frame(0, 88))
    assert [0, 0] == [block.lost_before for block in blocks]


def test_it_is_the_default_box() -> None:
    """The registry knows it by the name that the site file uses."""
    assert FRONTEND is FRONTENDS["healthypi6"]
