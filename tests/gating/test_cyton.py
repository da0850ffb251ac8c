"""OpenBCI Cyton: the golden packet of the layout table, coming into step, the wrapping counter."""

import numpy as np

from gating.frontends.cyton import FRONTEND, SCALE

GOLDEN = bytes.fromhex(
    "a0" + "00" + "000001" + "ffffff" + "7fffff" + "000000" * 5 + "000000000000" + "c0"
)  # head, counter, I = 1 count, II = -1 count, V1 at the rail, five channels, aux, foot


def _packets(counters: list[int]) -> bytes:
    """Make packets with these counters, each channel of which holds the counter."""
    return b"".join(bytes((0xA0, c)) + bytes((0, 0, c)) * 8 + bytes(6) + b"\xc0" for c in counters)


def test_the_golden_packet() -> None:
    """The encoder writes the table's bytes; 4.5 V / 24 is the rail."""
    no_flags = np.zeros((1, 0), dtype=np.bool_)
    row = np.array([[SCALE, -SCALE, 4.5e6 / 24]])
    assert GOLDEN == FRONTEND.encoder().encode(row, no_flags)
    blocks = FRONTEND.decoder().feed(GOLDEN + _packets([1]))
    np.testing.assert_allclose(row, blocks[0].microvolts)
    np.testing.assert_allclose(0.02235, SCALE, rtol=1e-3)


def test_one_packet_alone_is_not_believed() -> None:
    """Without a checksum it takes two packets in a row with counters one apart to come into step."""
    decoder = FRONTEND.decoder()
    assert () == decoder.feed(_packets([7]))
    assert 2 == len(decoder.feed(_packets([8])))
    assert 1 == len(decoder.feed(_packets([9])))


def test_lost_packets_are_counted_over_the_wrap() -> None:
    """The counter goes from 255 to 0; what is missing in between was lost."""
    blocks = FRONTEND.decoder().feed(_packets([253, 254, 255, 0, 3, 4]))
    assert [0, 0, 0, 0, 2, 0] == [block.lost_before for block in blocks]
    assert [0, 1, 2, 3, 6, 7] == [block.first_index for block in blocks]


def test_a_packet_sent_twice_counts_once() -> None:
    """The same counter twice in a row is one sample."""
    assert [0, 1, 2] == [block.first_index for block in FRONTEND.decoder().feed(_packets([5, 6, 6, 7]))]


def test_steady_channels_that_look_like_a_frame_do_not_catch_it() -> None:
    """Channels that hold A0 and C0 for good repeat every 33 bytes; their 'counter' does not rise."""
    packet = bytearray(_packets([0]))
    packet[5], packet[4] = 0xA0, 0xC0
    stream = b"".join(bytes([packet[0], c]) + bytes(packet[2:]) for c in range(6))
    blocks = FRONTEND.decoder().feed(stream[2:])
    assert 5 == len(blocks)
    assert [0.0] == sorted({block.microvolts[0, 2] for block in blocks})


def test_the_words_that_start_and_stop_it() -> None:
    """`b` makes it stream, `s` stops it."""
    assert (b"b", b"s") == (FRONTEND.declaration.start, FRONTEND.declaration.stop)
