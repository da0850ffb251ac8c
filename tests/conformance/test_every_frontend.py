"""Every ECG box's codec keeps the same promises: total, independent of the cut, soon back in step, nothing invented."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gating.frontends import FRONTENDS, DecoderFaults, Frontend, SampleBlock

EVERY = pytest.mark.parametrize("frontend", FRONTENDS.values(), ids=FRONTENDS)
SAMPLES = 40
Plain = tuple[int, int, tuple[tuple[float, ...], ...], tuple[tuple[bool, ...], ...]]


def _signal(frontend: Frontend, samples: int = SAMPLES, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Draw samples within the rails, and flags."""
    declaration = frontend.declaration
    rng = np.random.default_rng(seed)
    microvolts = rng.normal(0.0, 400.0, (samples, len(declaration.leads)))
    off = rng.random((samples, len(declaration.electrodes))) < 0.1
    return np.clip(microvolts, -declaration.rail_uv, declaration.rail_uv), off


def _encoded(frontend: Frontend, samples: int = SAMPLES, seed: int = 1) -> bytes:
    """Encode such a signal."""
    return frontend.encoder().encode(*_signal(frontend, samples, seed))


def _plain(blocks: Iterable[SampleBlock]) -> list[Plain]:
    """Turn blocks into values that can be compared."""
    return [
        (
            block.first_index,
            block.lost_before,
            tuple(map(tuple, block.microvolts.tolist())),
            tuple(map(tuple, block.electrodes_off.tolist())),
        )
        for block in blocks
    ]


def _decoded(frontend: Frontend, *pieces: bytes) -> tuple[list[Plain], DecoderFaults]:
    """Feed the pieces to a new decoder."""
    decoder = frontend.decoder()
    blocks = [block for piece in pieces for block in decoder.feed(piece)]
    return _plain(blocks), decoder.faults


@EVERY
@pytest.mark.parametrize("first_or_last", [0, -1])
def test_what_the_encoder_writes_the_decoder_reads(frontend: Frontend, first_or_last: int) -> None:
    """Samples survive the line to within half a count, flags exactly, counters without a hole."""
    declaration = frontend.declaration
    microvolts, off = _signal(frontend)
    encoder = frontend.encoder(declaration.simulated_samples_per_block[first_or_last])
    decoder = frontend.decoder()
    blocks = decoder.feed(encoder.encode(microvolts, off) + encoder.encode(microvolts, off))
    heard = np.concatenate([block.microvolts for block in blocks])
    flags = np.concatenate([block.electrodes_off for block in blocks])
    told = np.concatenate([off, off])
    if frontend.declaration.name == "ad8232":  # one flag for all, and no number beside it
        told = np.repeat(told.any(axis=1, keepdims=True), 3, axis=1)
        there = ~told.any(axis=1)
    else:
        there = np.ones(2 * SAMPLES, dtype=bool)
    np.testing.assert_array_equal(told, flags)
    expected = np.concatenate([microvolts, microvolts])[there]
    np.testing.assert_allclose(expected, heard[there], atol=0.5001 * declaration.microvolts_per_count)
    indices = [block.first_index + k for block in blocks for k in range(len(block.microvolts))]
    assert list(range(2 * SAMPLES)) == indices
    assert DecoderFaults(frames=len(blocks)) == decoder.faults


@EVERY
def test_a_cut_at_any_byte_changes_nothing(frontend: Frontend) -> None:
    """Two pieces, cut anywhere, give what the whole gives; so do single bytes; so do trailing bytes."""
    data = _encoded(frontend)
    whole = _decoded(frontend, data)
    for cut in range(len(data) + 1):
        assert whole == _decoded(frontend, data[:cut], data[cut:])
    assert whole == _decoded(frontend, *(data[k : k + 1] for k in range(len(data))))
    assert whole[0] == _decoded(frontend, data + data[:3])[0][: len(whole[0])]


@EVERY
def test_every_prefix_gives_a_prefix(frontend: Frontend) -> None:
    """A stream that ends anywhere gives the first blocks of the whole, and no half one."""
    data = _encoded(frontend)
    whole, _ = _decoded(frontend, data)
    for end in range(0, len(data), 3):
        blocks, _ = _decoded(frontend, data[:end])
        assert whole[: len(blocks)] == blocks


@EVERY
@given(data=st.binary(max_size=600), cuts=st.lists(st.integers(0, 600), max_size=4))
@settings(max_examples=60, deadline=None)
def test_any_bytes_in_any_pieces_are_survived(frontend: Frontend, data: bytes, cuts: list[int]) -> None:
    """No exception, the same answer for every cut, and the same account of what was skipped."""
    ends = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(ends)]
    assert _decoded(frontend, data) == _decoded(frontend, *pieces)


@EVERY
@given(garbage=st.binary(min_size=1, max_size=400), at=st.integers(0, 10_000), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_garbage_costs_at_most_two_frames_on_either_side(
    frontend: Frontend, garbage: bytes, at: int, seed: int
) -> None:
    """After garbage the decoder is back in step within two whole frames; what it gave before stays as it was."""
    data = _encoded(frontend, samples=192, seed=seed)
    whole, _ = _decoded(frontend, data)
    at %= len(data) // 2
    blocks, _ = _decoded(frontend, data[:at], garbage, data[at:])
    before = sum(1 for block in whole if block in _decoded(frontend, data[:at])[0])
    assert whole[:before] == blocks[:before]
    after = {block[2] for block in blocks[before:]}
    assert len(whole) - before - len([b for b in whole[before:] if b[2] in after]) <= 4
    assert whole[-1][2] == blocks[-1][2]


@EVERY
@given(bits=st.lists(st.integers(0, 10**6), min_size=1, max_size=6), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_flipped_bits_never_raise_nor_reorder(frontend: Frontend, bits: list[int], seed: int) -> None:
    """Whatever is hit, counters go on rising."""
    data = bytearray(_encoded(frontend, seed=seed))
    for bit in bits:
        data[bit // 8 % len(data)] ^= 1 << bit % 8
    blocks, _ = _decoded(frontend, bytes(data))
    ends = [(first, first + len(rows)) for first, _, rows, _ in blocks]
    assert all(end <= first for (_, end), (first, _) in pairwise(ends))


@EVERY
def test_the_buffer_is_bounded_and_the_work_linear(frontend: Frontend) -> None:
    """A megabyte that never becomes a frame leaves nothing behind but a frame's length."""
    decoder = frontend.decoder()
    for pattern in (b"\xa0", b"DBLK", b"1", b"DBLK\x60\x01\x00\x00" + bytes(12) + b"\x01\x00\x10\x00\x00\x00\x00\x00"):
        decoder.feed(pattern * (250_000 // len(pattern)))
    held = sum(len(value) for value in vars(decoder).values() if isinstance(value, bytearray))
    assert held <= 400


@EVERY
def test_the_declaration_is_whole(frontend: Frontend) -> None:
    """Each box says how it is fed and why it is not for a person."""
    declaration = frontend.declaration
    assert frontend is FRONTENDS[declaration.name]
    assert not declaration.patient_safe
    assert declaration.why_not_safe
    assert 0 == declaration.block_fill_ns(1)
    assert declaration.rail_uv > 1_000.0
    with pytest.raises(ValueError, match="samples a frame"):
        frontend.encoder(17)
