"""The default driver: controls nothing, refuses all. A bridge that runs on it can be looked at and never armed."""

import time
from collections.abc import Callable, Mapping

from gating.errors import DeviceError, SettingsError
from scanner_bridge.driver import Capabilities, DeviceEvent, Expose, ExposureRefused, ScannerCommand, Stop

CAPABILITIES = Capabilities(
    name="null",
    control="none",
    timed_start=False,
    ends_beam_itself=True,
    simulated=True,
    lead_ns=0,
    max_exposure_ns=0,
)


class NullLine:
    """A stop-only line to nothing: there is no beam to stop."""

    def check(self) -> None:
        """Be in order: there is nothing to lose."""

    def stop(self, reason: str) -> None:
        """Nothing is on."""

    def close(self) -> None:
        """Nothing is held."""


class NullDriver:
    """No scanner."""

    def __init__(self, options: Mapping[str, object]) -> None:
        if options:
            names = ", ".join(sorted(options))
            raise SettingsError(f"Driver null takes no options ({names}); empty [bridge.driver_options].")
        self._events: Callable[[DeviceEvent], None] | None = None

    @property
    def capabilities(self) -> Capabilities:
        """It controls nothing."""
        return CAPABILITIES

    async def open(self, events: Callable[[DeviceEvent], None]) -> None:
        """Connect to nothing; it is never ready."""
        self._events = events

    async def command(self, command: ScannerCommand) -> None:
        """Refuse an exposure, refuse a move; a Stop is always obeyed, since nothing is on."""
        if isinstance(command, Stop):
            return
        if self._events is None:
            raise DeviceError("Driver null is not open; open it before commanding it.")
        if isinstance(command, Expose):
            self._events(ExposureRefused(command.step, command.attempt, "no-control", time.monotonic_ns()))
            return
        raise DeviceError("Driver null has no table to move; name a driver in [bridge] of the site file.")

    async def close(self) -> None:
        """Let go of nothing."""
        self._events = None

    def stop_line(self) -> NullLine:
        """Give a stop-only line to nothing."""
        return NullLine()
