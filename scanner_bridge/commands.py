"""An accepted trigger to the command of one driver, and the instants between which it may leave."""

from gating.messages import AcquisitionPlan
from gating.units import ns_from_ms
from scanner_bridge.authority import Window, lead_ns
from scanner_bridge.driver import Capabilities, Expose, MoveTable, ScannerCommand, Stop
from scanner_bridge.settings import LimitSettings

__all__ = ["Expose", "MoveTable", "ScannerCommand", "Stop", "dispatch_at_ns", "expose", "last_dispatch_at_ns", "move"]


def last_dispatch_at_ns(window: Window, capabilities: Capabilities, limits: LimitSettings) -> int:
    """Give the instant after which the command may not leave any more."""
    return min(window.opens_at_ns - lead_ns(capabilities, limits), window.expires_at_ns)


def dispatch_at_ns(window: Window, capabilities: Capabilities, limits: LimitSettings) -> int:
    """Give the instant at which the command should leave.

    As late as is safe, so that a Cancel finds it still here: a little ahead for a driver that begins by itself, at the
    last instant for one that begins when told.
    """
    ahead_ns = ns_from_ms(limits.dispatch_margin_ms) if capabilities.timed_start else 0
    return last_dispatch_at_ns(window, capabilities, limits) - ahead_ns


def expose(step: int, attempt: int, window: Window, capabilities: Capabilities, plan: AcquisitionPlan) -> Expose:
    """Make the command of one exposure; its hard end is the earliest of trigger, plan and driver."""
    longest_ns = min(ns_from_ms(plan.max_exposure_ms) + 1_000_000, capabilities.max_exposure_ns)
    closes_at_ns = min(window.closes_at_ns, window.opens_at_ns + longest_ns)
    return Expose(step, attempt, window.opens_at_ns, closes_at_ns, min(window.latest_open_at_ns, closes_at_ns))


def move(step: int, plan: AcquisitionPlan) -> MoveTable:
    """Make the command that brings the table to a step."""
    return MoveTable(step, plan.table_mm[step])
