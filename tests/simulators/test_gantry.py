"""The simulated gantry as a device: it believes nobody."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scanner_bridge.drivers.gantry_wire import Line, LineDecoder, encode_line
from simulators.gantry import Gantry
from simulators.scenario import Scanner

MS = 1_000_000
S = 1_000_000_000


class Bench:
    """A gantry and a person with a terminal; instants in ms of the host's clock."""

    def __init__(self, offset_ns: int = 0) -> None:
        self.offset_ns = offset_ns
        self.gantry = Gantry(Scanner(), 30.0, clock_offset_ns=offset_ns)
        self._decoder = LineDecoder()

    def send(self, at_ms: float, verb: str, *fields: int | str) -> list[Line]:
        """Send one line and give the answers."""
        return self._read(self.gantry.receive(encode_line(verb, *fields), round(at_ms * MS)))

    def expose(self, at_ms: float, opens_ms: float, closes_ms: float, late_ms: float = 5, step: int = 0) -> list[Line]:
        """Command an exposure in the host's time."""
        instants = (opens_ms, closes_ms, opens_ms + late_ms)
        return self.send(at_ms, "EXPOSE", step, 1, *(round(ms * MS) + self.offset_ns for ms in instants))

    def wake(self, at_ms: float) -> list[Line]:
        """Let time pass."""
        return self._read(self.gantry.wake(round(at_ms * MS)))

    def stop(self, at_ms: float) -> list[Line]:
        """Stop from another line."""
        return self._read(self.gantry.stop(round(at_ms * MS)))

    def settle(self) -> None:
        """Bring the table to step 0 at -54 mm, standing at 1700 ms."""
        self.send(1000, "MOVE", 0, -54000)
        self.wake(1700)

    def _read(self, data: bytes) -> list[Line]:
        """Decode the answers."""
        return list(self._decoder.feed(data))


@pytest.fixture
def bench() -> Bench:
    """A gantry whose table stands at step 0."""
    bench = Bench()
    bench.settle()
    return bench


def test_the_table_moves_for_its_time_and_then_says_so() -> None:
    """700 ms per move, acknowledged when it stands; a table that is there already stands at once."""
    bench = Bench()
    assert [] == bench.send(1000, "MOVE", 0, -54000)
    assert 1700 * MS == bench.gantry.wake_at_ns
    assert [] == bench.wake(1699)
    assert [Line("SETTLED", (0, -54000, 1700 * MS))] == bench.wake(1700)
    assert [Line("SETTLED", (0, -54000, 1800 * MS))] == bench.send(1800, "MOVE", 0, -54000)


def test_an_exposure_begins_and_ends_at_its_instants(bench: Bench) -> None:
    """However late the process is woken, the device's own timer was in time; the truth holds place and angle."""
    bench.expose(1800, 2000, 2196)
    assert 2000 * MS == bench.gantry.wake_at_ns
    angle = (30 + 360 * 2000 / 280) % 360
    said = bench.wake(2500)
    assert [Line("ON", (0, 1, 2000 * MS, round(1000 * angle))), Line("OFF", (0, 1, 2196 * MS))] == said
    (beam,) = bench.gantry.drain_truth()
    assert (2000 * MS, 2196 * MS, -54.0) == (beam.on_at_ns, beam.off_at_ns, beam.table_mm)
    assert angle == pytest.approx(beam.start_angle_deg)
    assert (2000 * MS, 2196 * MS) == beam.commanded
    assert [] == bench.gantry.drain_truth()


def test_truth_is_in_the_hosts_time_whatever_the_devices_clock_says() -> None:
    """An offset of -7 s of the device's clock shows on the wire and not in the truth."""
    bench = Bench(offset_ns=-7 * S)
    bench.settle()
    bench.expose(1800, 2000, 2196)
    assert 2000 * MS - 7 * S == bench.wake(2050)[0].fields[2]
    bench.wake(2300)
    assert 2000 * MS == bench.gantry.drain_truth()[0].on_at_ns


def test_late_within_the_tolerance_begins_now_and_ends_in_time(bench: Bench) -> None:
    """3 ms late is begun, 6 ms late is not; the end never moves."""
    bench.expose(2003, 2000, 2196)
    bench.wake(2300)
    (beam,) = bench.gantry.drain_truth()
    assert (2003 * MS, 2196 * MS) == (beam.on_at_ns, beam.off_at_ns)
    assert "late" == bench.expose(2406, 2400, 2596)[-1].word()


REFUSED: list[tuple[tuple[float, float, float], int, str]] = [
    ((1800, 2000, 2501), 0, "length"),
    ((1800, 2000, 1990), 0, "length"),
    ((1800, 1700, 1790), 0, "late"),
    ((1800, 7000, 7196), 0, "too-early"),
    ((1800, 2000, 2196), 1, "table"),
]


@pytest.mark.parametrize(("times", "step", "reason"), REFUSED)
def test_the_device_refuses_by_its_own_limits(
    bench: Bench, times: tuple[float, float, float], step: int, reason: str
) -> None:
    """Too long, backwards, over, far ahead, for a place where the table is not: refused with a word."""
    answer = bench.expose(*times, step=step)[-1]
    assert ("REFUSED", reason) == (answer.verb, answer.word())
    bench.wake(9000)
    assert [] == bench.gantry.drain_truth()


def test_one_exposure_at_a_time_and_no_move_under_the_beam(bench: Bench) -> None:
    """A second command is refused, a move is a fault."""
    bench.expose(1800, 2000, 2196)
    assert "busy" == bench.expose(1810, 2300, 2496)[-1].word()
    assert "move-while-exposing" == bench.send(2100, "MOVE", 1, -18000)[-1].word()


@pytest.mark.parametrize("who", ["commander", "stop-only line"])
def test_a_stop_ends_the_beam_at_once(bench: Bench, who: str) -> None:
    """Whoever says it; the truth holds the short beam."""
    bench.expose(1800, 2000, 2196)
    said = bench.send(2050, "STOP", "x") if who == "commander" else bench.stop(2050)
    assert ["ON", "OFF"] == [line.verb for line in said]
    assert 50 * MS == (beam := bench.gantry.drain_truth()[0]).off_at_ns - beam.on_at_ns


def test_a_stop_before_the_opening_forgets_the_exposure(bench: Bench) -> None:
    """Refused as stopped, and no beam."""
    bench.expose(1800, 2000, 2196)
    assert "stopped" == bench.stop(1990)[-1].word()
    bench.wake(3000)
    assert [] == bench.gantry.drain_truth()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.sampled_from("EMSWG"), st.integers(-50, 800)), max_size=40))
def test_no_sequence_of_commands_makes_a_beam_too_long_or_on_a_moving_table(
    steps: list[tuple[int, str, int]],
) -> None:
    """Commands, garbage and time in any order: each beam is within its commanded window and the cap."""
    bench, now = Bench(), 1000
    for wait, what, value in steps:
        now += wait
        if what == "E":
            bench.expose(now, now + value, now + value + 196)
        elif what == "M":
            bench.send(now, "MOVE", 0, value * 100)
        elif what == "S":
            bench.stop(now)
        elif what == "G":
            bench.gantry.receive(bytes([value % 256]) * 30 + b"\n", now * MS)
        else:
            bench.wake(now)
    bench.wake(now + 10_000)
    for beam in bench.gantry.drain_truth():
        assert beam.commanded[0] <= beam.on_at_ns < beam.off_at_ns <= beam.commanded[1]
    assert not bench.gantry.beam_is_on
