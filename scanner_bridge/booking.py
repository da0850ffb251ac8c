"""One accepted trigger, from the intent to the report of what the scanner really did."""

from dataclasses import dataclass

from gating.messages import AcquisitionPlan, ExposureOutcome, ExposureReport, Trigger
from gating.units import ms_from_ns, ns_from_ms
from scanner_bridge.authority import Window

END_TOLERANCE_NS = 2_000_000  # read-back and two clocks; views are 0.28 ms apart
OVERRUN_NS = 10_000_000  # beam past its hard end by more is a fault of the scanner (hazards.md I3)


@dataclass(slots=True, kw_only=True)
class Booking:
    """What is known of one accepted trigger; `trigger` on the gate's clock, the rest on the bridge's."""

    trigger: Trigger
    window: Window
    intent_number: int
    clock_offset_ns: int  # as it was when the trigger was accepted
    durable: bool = False
    dispatched_at_ns: int | None = None
    opened_at_ns: int | None = None
    closed_at_ns: int | None = None
    start_angle_deg: float | None = None
    stopped_at_end: bool = False  # by us, for a driver that does not end the beam itself
    withdrawn: tuple[str, ...] = ()  # why, if a Stop was commanded after dispatch

    def is_for(self, step: int, attempt: int) -> bool:
        """Tell whether a word of the scanner is about this booking."""
        return (self.trigger.step, self.trigger.attempt) == (step, attempt)

    def may_begin(self, at_ns: int, doubt_ns: int) -> bool:
        """Tell whether a beam that began at this instant is the one that was commanded."""
        return self.window.opens_at_ns - doubt_ns <= at_ns <= self.window.latest_open_at_ns + doubt_ns

    def read_back_by_ns(self, read_back_ns: int) -> int | None:
        """Give the instant by which the scanner must have said what it did; None before the command has left."""
        if self.dispatched_at_ns is None:
            return None
        owed = self.window.latest_open_at_ns if self.opened_at_ns is None else self.window.closes_at_ns
        return owed + read_back_ns

    def outcome(self, plan: AcquisitionPlan) -> ExposureOutcome:
        """Name what the beam did: short of its half-scan `cut`; complete but withdrawn `redo`; else `exposed`."""
        if self.opened_at_ns is None or self.closed_at_ns is None:
            return "cut"
        lasted_ns = self.closed_at_ns - self.opened_at_ns
        early = self.closed_at_ns < self.window.closes_at_ns - END_TOLERANCE_NS
        if early or lasted_ns < ns_from_ms(plan.half_scan_ms) - END_TOLERANCE_NS:
            return "cut"
        return "redo" if self.withdrawn else "exposed"

    def overran(self) -> bool:
        """Tell whether the beam was on past its hard end."""
        return self.closed_at_ns is not None and self.closed_at_ns > self.window.closes_at_ns + OVERRUN_NS

    def beam_ms(self, outcome: ExposureOutcome) -> float:
        """Give the beam time to book; where the scanner did not say, the whole window: dose is never understated."""
        if outcome == "missed":
            return 0.0
        if self.opened_at_ns is not None and self.closed_at_ns is not None:
            return max(0.0, ms_from_ns(self.closed_at_ns - self.opened_at_ns))
        return ms_from_ns(self.window.closes_at_ns - self.window.opens_at_ns)

    def report(
        self, outcome: ExposureOutcome, reasons: tuple[str, ...], table_mm: float | None, now_ns: int
    ) -> ExposureReport:
        """Tell the gate, on its own clock."""
        offset = self.clock_offset_ns
        beam = outcome != "missed"
        return ExposureReport(
            session=self.trigger.session,
            sequence=self.trigger.sequence,
            beat=self.trigger.beat,
            step=self.trigger.step,
            attempt=self.trigger.attempt,
            outcome=outcome,
            reasons=reasons,
            planned_open_at_ns=self.trigger.opens_at_ns,
            planned_close_at_ns=self.trigger.closes_at_ns,
            opened_at_ns=None if self.opened_at_ns is None else self.opened_at_ns + offset,
            closed_at_ns=None if self.closed_at_ns is None else self.closed_at_ns + offset,
            table_mm=table_mm if beam else None,
            start_angle_deg=self.start_angle_deg,
            at_ns=now_ns + offset,
        )
