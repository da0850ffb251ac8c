"""The simulated scanner as a pure device: table, rotation, beam. Bytes and time in, bytes and truth out.

The device has its own clock (host clock plus an offset that nobody is told) and its own hardware timer: what was
commanded ahead happens at its instant exactly, even where the process that plays the device is scheduled later, so the
truth is the device's and not the scheduler's. It believes nobody: it refuses what is late, long, or asked of a table
that moves, and ends every beam at its hard end by itself.
"""

from dataclasses import dataclass

from gating.units import ns_from_ms
from scanner_bridge.drivers.gantry_wire import UM_PER_MM, Line, LineDecoder, encode_line
from simulators.scenario import Scanner

HARD_CAP_NS = ns_from_ms(500)  # of one exposure, whatever is commanded
MAX_AHEAD_NS = ns_from_ms(5000)


@dataclass(frozen=True, slots=True)
class BeamTruth:
    """What the beam really did, in ns of the host's clock."""

    step: int
    attempt: int
    on_at_ns: int
    off_at_ns: int
    table_mm: float
    start_angle_deg: float
    commanded: tuple[int, int]  # opens and closes as commanded


@dataclass(frozen=True, slots=True)
class _Exposure:
    """One commanded exposure, on the host's clock."""

    step: int
    attempt: int
    opens_at_ns: int
    closes_at_ns: int
    began: bool = False


@dataclass(frozen=True, slots=True)
class _Move:
    """One table move under way."""

    step: int
    target_um: int
    ends_at_ns: int


class Gantry:
    """One gantry, spoken to by the one connection that commands it; `stop` serves the stop-only ones.

    Parameters
    ----------
    scanner
        Rotation and table, from the scenario.
    seed_angle_deg
        Angle of the tube at device time 0; angle = seed angle + 360 t / rotation.
    clock_offset_ns
        Device clock minus host clock.
    """

    def __init__(self, scanner: Scanner, seed_angle_deg: float, clock_offset_ns: int = 0) -> None:
        self._rotation_ns = ns_from_ms(scanner.rotation_ms)
        self._move_ns = ns_from_ms(scanner.table_move_ms)
        self._seed_angle_deg = seed_angle_deg
        self._offset_ns = clock_offset_ns
        self._decoder = LineDecoder()
        self._exposure: _Exposure | None = None
        self._move: _Move | None = None
        self._table_um = 0
        self._table_step: int | None = None
        self._truth: list[BeamTruth] = []
        self._said: list[bytes] = []

    # --- bytes and time in, bytes out -------------------------------------------------------------------------------

    def receive(self, data: bytes, now_ns: int) -> bytes:
        """Take bytes of the commanding connection; what was due before happens first."""
        self._advance(now_ns)
        for line in self._decoder.feed(data):
            self._obey(line, now_ns)
        self._advance(now_ns)
        return self._drain()

    def wake(self, now_ns: int) -> bytes:
        """Let time pass."""
        self._advance(now_ns)
        return self._drain()

    def stop(self, now_ns: int) -> bytes:
        """Beam off now and forget what was commanded: from any stop-only line, or because the commander is gone."""
        self._advance(now_ns)
        self._stop(now_ns, "stopped")
        return self._drain()

    @property
    def wake_at_ns(self) -> int | None:
        """When something happens next; None while nothing is under way."""
        due = [] if self._move is None else [self._move.ends_at_ns]
        if self._exposure is not None:
            due.append(self._exposure.closes_at_ns if self._exposure.began else self._exposure.opens_at_ns)
        return min(due, default=None)

    def drain_truth(self) -> list[BeamTruth]:
        """Give the exposures that ended since the last call."""
        truth, self._truth = self._truth, []
        return truth

    @property
    def beam_is_on(self) -> bool:
        """Whether the beam was on at the last call."""
        return self._exposure is not None and self._exposure.began

    def angle_deg(self, at_ns: int) -> float:
        """Give the angle of the tube at an instant of the host's clock."""
        into_rotation = (at_ns + self._offset_ns) % self._rotation_ns
        return (self._seed_angle_deg + 360.0 * into_rotation / self._rotation_ns) % 360.0

    # --- what happens by itself -------------------------------------------------------------------------------------

    def _advance(self, now_ns: int) -> None:
        """Let everything happen that was due until now, in order, each at its own instant."""
        while (due_ns := self.wake_at_ns) is not None and due_ns <= now_ns:
            exposure = self._exposure
            if self._move is not None and self._move.ends_at_ns == due_ns:
                move, self._move = self._move, None
                self._settle(move.step, move.target_um, due_ns)
            elif exposure is not None and exposure.began:
                self._end(exposure, due_ns)
            elif exposure is not None:
                self._begin(exposure)

    def _begin(self, exposure: _Exposure) -> None:
        """Switch the beam on."""
        at_ns = exposure.opens_at_ns
        self._exposure = _Exposure(exposure.step, exposure.attempt, at_ns, exposure.closes_at_ns, began=True)
        angle_mdeg = round(1000 * self.angle_deg(at_ns))
        self._say("ON", exposure.step, exposure.attempt, self._device(at_ns), angle_mdeg)

    def _end(self, exposure: _Exposure, at_ns: int) -> None:
        """Switch the beam off and remember what it did."""
        self._exposure = None
        self._say("OFF", exposure.step, exposure.attempt, self._device(at_ns))
        self._truth.append(
            BeamTruth(
                step=exposure.step,
                attempt=exposure.attempt,
                on_at_ns=exposure.opens_at_ns,
                off_at_ns=at_ns,
                table_mm=self._table_um / UM_PER_MM,
                start_angle_deg=self.angle_deg(exposure.opens_at_ns),
                commanded=(exposure.opens_at_ns, exposure.closes_at_ns),
            )
        )

    def _settle(self, step: int, target_um: int, at_ns: int) -> None:
        """Let the table stand."""
        self._table_um, self._table_step = target_um, step
        self._say("SETTLED", step, target_um, self._device(at_ns))

    # --- what is commanded ------------------------------------------------------------------------------------------

    def _obey(self, line: Line, now_ns: int) -> None:
        """Obey one line."""
        numbers = line.integers()
        match line.verb:
            case "HELLO":
                self._say("READY", self._device(now_ns))
            case "PING":
                self._say("PONG", numbers[0], self._device(now_ns))
            case "MOVE":
                self._start_move(numbers[0], numbers[1], now_ns)
            case "EXPOSE":
                self._book(numbers, now_ns)
            case "STOP":
                self._stop(now_ns, "stopped")
            case _:
                self._say("FAULT", self._device(now_ns), "not-a-command")

    def _start_move(self, step: int, target_um: int, now_ns: int) -> None:
        """Start the table, unless an exposure is booked or on."""
        if self._exposure is not None:
            self._say("FAULT", self._device(now_ns), "move-while-exposing")
            return
        self._table_step, self._move = None, None
        if target_um == self._table_um:
            self._settle(step, target_um, now_ns)
        else:
            self._move = _Move(step, target_um, now_ns + self._move_ns)

    def _book(self, numbers: tuple[int, ...], now_ns: int) -> None:
        """Book an exposure, or refuse it."""
        step, attempt, *instants = numbers
        opens_at_ns, closes_at_ns, latest_ns = (instant - self._offset_ns for instant in instants)
        reason = self._refusal(step, opens_at_ns, closes_at_ns, now_ns)
        if reason is None and now_ns > latest_ns:
            reason = "late"
        if reason is not None:
            self._say("REFUSED", step, attempt, self._device(now_ns), reason)
            return
        # Commanded after its opening but not after its latest one: it begins now, and ends where it would have.
        self._exposure = _Exposure(step, attempt, max(opens_at_ns, now_ns), closes_at_ns)

    def _refusal(self, step: int, opens_at_ns: int, closes_at_ns: int, now_ns: int) -> str | None:
        """Name why an exposure is refused, by the device's own limits."""
        if self._exposure is not None:
            return "busy"
        if self._move is not None or self._table_step != step:
            return "table"
        if not 0 < closes_at_ns - opens_at_ns <= HARD_CAP_NS:
            return "length"
        if closes_at_ns <= now_ns:
            return "late"
        return "too-early" if opens_at_ns - now_ns > MAX_AHEAD_NS else None

    def _stop(self, now_ns: int, reason: str) -> None:
        """End or forget the exposure."""
        exposure = self._exposure
        if exposure is not None and exposure.began:
            self._end(exposure, now_ns)
        elif exposure is not None:
            self._exposure = None
            self._say("REFUSED", exposure.step, exposure.attempt, self._device(now_ns), reason)

    def _device(self, host_ns: int) -> int:
        """Translate an instant to the device's clock."""
        return host_ns + self._offset_ns

    def _say(self, verb: str, *fields: int | str) -> None:
        """Say one line."""
        self._said.append(encode_line(verb, *fields))

    def _drain(self) -> bytes:
        """Give what was said."""
        said, self._said = b"".join(self._said), []
        return said
