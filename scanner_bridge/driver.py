"""The seam to a scanner: what it can do, what it is told, what it says back, and the small Protocol in between.

All times are integer nanoseconds of the bridge's monotonic clock; a driver translates to its device's own clock.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Control = Literal["exposure", "r_pulse", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a driver controls, and how early it must be told."""

    name: str
    control: Control  # "exposure": beam on and off; "r_pulse": a console that gates by itself; "none": refuses all
    timed_start: bool  # takes an absolute time ahead and begins by itself
    ends_beam_itself: bool  # the hard length is the device's own, not the bridge's timer
    simulated: bool
    lead_ns: int  # a command must be at the device so long before opening
    max_exposure_ns: int  # the device's own cap


# --- what the scanner is told ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Expose:
    """Begin at `opens_at_ns`, never after `latest_open_at_ns`; beam off at `closes_at_ns` whatever happens."""

    step: int
    attempt: int
    opens_at_ns: int
    closes_at_ns: int
    latest_open_at_ns: int


@dataclass(frozen=True, slots=True)
class MoveTable:
    """Bring the centre of the slab to `table_mm` (patient z), and say when it stands still."""

    step: int
    table_mm: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Beam off now, and forget whatever was booked."""

    reason: str


ScannerCommand = Expose | MoveTable | Stop

# --- what the scanner says ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ScannerReady:
    """The device is connected, its clock is known, its beam is off. Said again after each reconnection."""

    at_ns: int


@dataclass(frozen=True, slots=True)
class TableSettled:
    """The table stands still at the place of a step: an acknowledgement by the scanner, not a guess."""

    step: int
    table_mm: float
    at_ns: int


@dataclass(frozen=True, slots=True)
class BeamOn:
    """The beam is on since `at_ns`, read back from the device."""

    step: int
    attempt: int
    at_ns: int
    angle_deg: float | None


@dataclass(frozen=True, slots=True)
class BeamOff:
    """The beam is off since `at_ns`, read back from the device."""

    step: int
    attempt: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class ExposureRefused:
    """The device did not begin and will not: too late, too long, table not there, stopped before it opened."""

    step: int
    attempt: int
    reason: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class DriverFault:
    """The device or its link failed; what the beam does is not known any more."""

    reason: str
    at_ns: int


DeviceEvent = ScannerReady | TableSettled | BeamOn | BeamOff | ExposureRefused | DriverFault


class StopLine(Protocol):
    """A second, stop-only way to the device, held by the watchdog process."""

    def check(self) -> None:
        """Raise DeviceError if the line is dead."""

    def stop(self, reason: str) -> None:
        """Beam off, by whatever blocking means; raises DeviceError if it cannot be said."""

    def close(self) -> None:
        """Give the line up."""


class ScannerDriver(Protocol):
    """One scanner. Constructed with the site's `driver_options`; see README.md for a driver in one file.

    A driver obeys `Stop` at any time, calls `events` on the event loop's thread only, and never from inside `command`
    or `open` for what has not happened. What it cannot do it says: `ExposureRefused`, `DriverFault`.
    """

    def __init__(self, options: Mapping[str, object]) -> None: ...

    @property
    def capabilities(self) -> Capabilities:
        """What this scanner can do; constant."""

    async def open(self, events: Callable[[DeviceEvent], None]) -> None:
        """Connect, and from then on report; ScannerReady when it can be commanded. Raises DeviceError."""

    async def command(self, command: ScannerCommand) -> None:
        """Hand one command over; returns when it left. Raises DeviceError."""

    async def close(self) -> None:
        """Beam off, let go. May be called twice."""

    def stop_line(self) -> StopLine:
        """Open a stop-only line, blocking; called in the watchdog process, on a driver that was never opened."""
