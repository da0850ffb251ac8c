"""How alike a beat is to this patient's usual one."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gating.morphology import RELEARN, Shape, Shapes
from gating.sample_clock import BlockTimes

Floats = NDArray[np.float64]
RATE_HZ = 500.0
NARROW = ((-30.0, -100.0, 9.0), (0.0, 1100.0, 10.0), (28.0, -250.0, 10.0))  # at ms after R, microvolts, width ms
WIDE = ((-20.0, 500.0, 28.0), (15.0, 900.0, 30.0), (50.0, -500.0, 25.0))
LEADS = (1.0, -0.6, 0.4)
Wave = tuple[tuple[float, float, float], ...]


def _trace(
    waves: Sequence[tuple[tuple[float, float, float], ...]], rate_hz: float = RATE_HZ, leads: tuple[float, ...] = LEADS
) -> tuple[Floats, list[int]]:
    """Draw beats one second apart; gives the samples [sample, lead] and the R-peaks in ns."""
    at_ms = np.arange(round((len(waves) + 1) * rate_hz)) / rate_hz * 1e3
    one = np.zeros(len(at_ms))
    for number, beat in enumerate(waves):
        for after, height, width in beat:
            one += height * np.exp(-0.5 * ((at_ms - 500.0 - 1000.0 * number - after) / width) ** 2)
    return one[:, None] * np.array(leads), [round((500 + 1000 * number) * 1e6) for number in range(len(waves))]


def _compared(
    microvolts: Floats, r_at_ns: list[int], *, rate_hz: float = RATE_HZ, block: int = 16, shapes: Shapes | None = None
) -> list[Shape | None]:
    """Feed block by block; compare each beat as soon as 62 ms after its R have come."""
    rooms = shapes or Shapes(microvolts.shape[1], rate_hz)
    found: list[Shape | None] = []
    for first in range(0, len(microvolts), block):
        piece = microvolts[first : first + block]
        newest_ns = round((first + len(piece) - 1) / rate_hz * 1e9)
        rooms.take(piece, BlockTimes(round(first / rate_hz * 1e9), 1e9 / rate_hz, newest_ns, 0.0, 0.0, None))
        while len(found) < len(r_at_ns) and newest_ns >= r_at_ns[len(found)] + 62_000_000:
            found.append(rooms.compare(r_at_ns[len(found)], (True,) * microvolts.shape[1]))
    return found


def test_the_first_six_beats_choose_the_usual_one() -> None:
    """Until then there is nothing to compare with; from then on the same beat is the same, in every figure."""
    found = _compared(*_trace([NARROW] * 10))
    assert [None] * 6 == found[:6]
    assert all(one is not None for one in found[6:])
    for one in found[6:]:
        assert one is not None
        assert one.alike > 0.999
        assert (1.0, 1.0) == pytest.approx((one.width_ratio, one.size_ratio), abs=0.02)


def test_a_wide_beat_is_wider_and_not_alike() -> None:
    """Half as wide again, less than 0.9 alike, and far less so than is usual; the next one is usual."""
    found = _compared(*_trace([NARROW] * 10 + [WIDE, NARROW]))
    wide, after = found[-2:]
    assert wide is not None
    assert after is not None
    assert wide.alike < 0.9
    assert wide.width_ratio > 1.5
    assert wide.unlike_ratio > 5.0
    assert after.alike > 0.999


def test_where_two_shapes_alternate_the_narrower_is_the_usual_one() -> None:
    """Bigeminy from the first beat on: the wide beats are the ones that differ."""
    found = _compared(*_trace([WIDE, NARROW] * 6))
    last = [one.alike for one in found[6:] if one is not None]
    assert 6 == len(last)
    assert all(alike < 0.9 for alike in last[::2])
    assert all(alike > 0.999 for alike in last[1::2])


@pytest.mark.parametrize("first", [[WIDE, WIDE, NARROW] * 2, [WIDE, NARROW, WIDE, WIDE, NARROW, WIDE]])
def test_where_most_of_the_first_beats_are_wide_the_narrow_one_is_the_usual(first: list[Wave]) -> None:
    """Couplets after every sinus beat from the first on: two narrow beats of six are enough."""
    found = _compared(*_trace([*first, WIDE, NARROW, WIDE]))
    assert [False, True, False] == [one is not None and one.alike > 0.999 for one in found[-3:]]


def test_one_odd_beat_of_six_is_not_the_usual_one() -> None:
    """A single narrow beat among wide ones, such as an artifact, does not become the usual one."""
    found = _compared(*_trace([WIDE, WIDE, NARROW, WIDE, WIDE, WIDE, WIDE, NARROW]))
    assert [True, False] == [one is not None and one.alike > 0.999 for one in found[-2:]]


def test_a_shape_that_stays_becomes_the_usual_one() -> None:
    """Electrodes swapped: a narrow beat upside down is usual again after eight of them; a wide one is not so soon."""
    turned = tuple((after, -height, width) for after, height, width in NARROW)
    swapped = _compared(*_trace([NARROW] * 8 + [turned] * (RELEARN + 2)))
    assert [False] * RELEARN + [True] * 2 == [one is not None and one.alike > 0.99 for one in swapped[8:]]
    run = _compared(*_trace([NARROW] * 8 + [WIDE] * (RELEARN + 4)))
    assert not any(one is not None and one.alike > 0.9 for one in run[8:])


def test_a_gain_that_drifts_is_followed() -> None:
    """Half of the size within 40 beats: each is near the usual size."""
    beats = [tuple((a, h * (1.0 - 0.0125 * k), w) for a, h, w in NARROW) for k in range(40)]
    sizes = [one.size_ratio for one in _compared(*_trace(beats)) if one is not None]
    assert 34 == len(sizes)
    assert all(0.8 < size <= 1.01 for size in sizes)


def test_a_lead_that_is_not_trusted_takes_no_part() -> None:
    """Noise on it changes nothing; when it comes back it is learned from a beat that is alike on the others."""
    microvolts, r_at_ns = _trace([NARROW] * 8)
    microvolts[:, 1] = np.random.default_rng(1).normal(0.0, 500.0, len(microvolts))
    rooms = Shapes(3, RATE_HZ)
    rooms.take(microvolts, BlockTimes(0, 2e6, round((len(microvolts) - 1) * 2e6), 0.0, 0.0, None))
    assert rooms.compare(r_at_ns[-1], (True, False, True)) is None  # the first beat
    rooms = Shapes(3, RATE_HZ)
    found = []
    for at_ns in r_at_ns:
        until = round((at_ns / 1e9 + 0.07) * RATE_HZ)
        piece = microvolts[max(0, until - 500) : until]
        rooms.take(piece, BlockTimes(0, 2e6, round((until - 1) * 2e6), 0.0, 0.0, None))
        found.append(rooms.compare(at_ns, (True, False, True)))
    assert found[-1] is not None
    assert found[-1].alike > 0.999


def test_without_the_samples_there_is_no_figure() -> None:
    """A beat before the memory, or one whose samples have not come, or in a lead that shows nothing."""
    rooms = Shapes(1, RATE_HZ)
    flat = np.zeros((500, 1))
    rooms.take(flat, BlockTimes(0, 2e6, 998_000_000, 0.0, 0.0, None))
    assert [None] * 3 == [rooms.compare(at, (True,)) for at in (50_000_000, 990_000_000, 500_000_000)]


@given(rate_hz=st.sampled_from([125.0, 250.0, 360.0, 1000.0, 2000.0]), block=st.integers(1, 400))
def test_rate_and_cut_change_nothing(rate_hz: float, block: int) -> None:
    """Figures at any rate and in any blocks are those at 500 Hz, as far as the samples show them."""
    story = [NARROW] * 7 + [WIDE]
    usual = _compared(*_trace(story))[-1]
    microvolts, r_at_ns = _trace(story, rate_hz)
    other = _compared(microvolts, r_at_ns, rate_hz=rate_hz, block=block)[-1]
    whole = _compared(microvolts, r_at_ns, rate_hz=rate_hz, block=1)[-1]
    assert usual is not None
    assert other is not None
    assert whole is not None
    assert (whole.alike, whole.width_ratio) == pytest.approx((other.alike, other.width_ratio), rel=1e-6)
    assert (usual.alike, usual.width_ratio, usual.size_ratio) == pytest.approx(
        (other.alike, other.width_ratio, other.size_ratio), rel=0.08
    )
