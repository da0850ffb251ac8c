"""AD8232: golden lines, leads off, broken lines."""

import numpy as np
import pytest

from gating.frontends.ad8232 import FRONTEND, SCALE


def test_the_golden_lines() -> None:
    """Numbers and exclamation marks as the sketch prints them."""
    rows = np.array([[0.0], [10 * SCALE], [-1e6], [1e6], [0.0]])
    off = np.zeros((5, 3), dtype=np.bool_)
    off[4, 1] = True
    assert b"\r\n512\r\n522\r\n0\r\n1023\r\n!\r\n" == FRONTEND.encoder().encode(rows, off)


@pytest.mark.parametrize("line", [b"1024", b"-3", b"5x2", b"!!", b"99999", b" 512", b"512.0", b"\xff", b"1" * 5000])
def test_a_broken_line_gives_no_sample(line: bytes) -> None:
    """What is no count from 0 to 1023 is counted as broken, and the next line is read."""
    decoder = FRONTEND.decoder()
    blocks = decoder.feed(b"\r\n" + line + b"\r\n600\r\n")
    assert [88 * SCALE] == [block.microvolts[0, 0] for block in blocks]
    assert 1 == decoder.faults.crc_errors


def test_the_first_line_may_be_cut_and_is_not_believed() -> None:
    """`12` may be the end of `512`."""
    assert [0.0] == [block.microvolts[0, 0] for block in FRONTEND.decoder().feed(b"12\r\n512\r\n")]


def test_leads_off_means_all_electrodes() -> None:
    """The comparators cannot tell which; the last number is repeated beside the flag."""
    one, two = FRONTEND.decoder().feed(b"\n700\n!\n")
    assert [[False] * 3, [True] * 3] == [one.electrodes_off[0].tolist(), two.electrodes_off[0].tolist()]
    assert one.microvolts[0, 0] == two.microvolts[0, 0]


def test_it_has_no_rate_of_its_own() -> None:
    """The clock must lean on arrivals, and the interlocks refuse GO."""
    assert not FRONTEND.declaration.rate_exact
