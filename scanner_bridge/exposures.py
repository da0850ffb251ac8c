"""What the session does with one booking and with the scanner's word: dispatch, withdraw, conclude, fault.

The rules here run by name from `session_table.TABLE`; `session.py` tells the whole story.
"""

from gating.messages import ExposureOutcome, SessionState
from gating.units import ns_from_ms
from scanner_bridge import commands
from scanner_bridge.authority import beam_reasons
from scanner_bridge.booking import Booking
from scanner_bridge.desk import Desk, Publish, clipped
from scanner_bridge.driver import BeamOff, BeamOn, ExposureRefused, TableSettled


class Exposures(Desk):
    """The rules about the scanner and about one exposure."""

    # --- the scanner ------------------------------------------------------------------------------------------------

    def _become_ready(self, _: object) -> None:
        """Note that the scanner can be commanded; a fault ends by it, disarmed."""
        self._ready = True
        if self.state == "fault":
            self._rest("disarmed", ("restart",))
        self._append("scanner-ready")

    def _restart(self, _: object) -> None:
        """End a session whose scanner began anew: where its table is, and what its beam did, nobody knows."""
        self._fault(("scanner-restarted",), ready=True)
        self._rest("ended", ("scanner-restarted",))

    def _settle(self, event: TableSettled) -> None:
        """Believe the table only for the step it was sent to, and only after it was sent there."""
        sent = self._moved_at_ns
        if event.step != self._ledger.next_step or sent is None or event.at_ns < sent - self._doubt_ns:
            return  # the acknowledgement of an earlier move
        if abs(event.table_mm - self._plan.table_mm[event.step]) > 0.5:
            self._fault(("table", f"stands at {event.table_mm:g} mm"), ready=True)
            return
        self._settled_at_ns, self._moved_at_ns = event.at_ns, None
        if self.state == "moving":
            self._go("armed")

    def _check_table(self, event: TableSettled) -> None:
        """Hear of the table while it should stand: the same place again is nothing new, another one is a fault."""
        if event.step != self._ledger.next_step:
            self._fault(("table", "moved without a command"), ready=True)

    def _begin(self, event: BeamOn) -> None:
        """Believe a beam only if it is the one that was commanded."""
        booking = self._booking
        expected = booking is not None and booking.dispatched_at_ns is not None
        if booking is None or not expected or not booking.is_for(event.step, event.attempt):
            self._fault(("stray-beam", repr(event)), ready=True)
            return
        booking.opened_at_ns, booking.start_angle_deg = event.at_ns, event.angle_deg
        self._append("beam-on", step=event.step, attempt=event.attempt, at_ns=event.at_ns)
        self._go("exposing")
        if not booking.may_begin(event.at_ns, self._doubt_ns):
            self._withdraw(("late",))

    def _finish(self, event: BeamOff) -> None:
        """Take the end of the beam, and name what it did."""
        booking = self._booking
        if booking is None or not booking.is_for(event.step, event.attempt):
            self._fault(("stray-beam", repr(event)), ready=True)
            return
        booking.closed_at_ns = event.at_ns
        overran = booking.overran()
        self._conclude(booking.outcome(self._plan), booking.withdrawn)
        if overran:
            self._fault(("too-long",), ready=True)

    def _miss(self, event: ExposureRefused) -> None:
        """Take the scanner's word that there was and will be no beam."""
        booking = self._booking
        if booking is not None and booking.is_for(event.step, event.attempt):
            self._conclude("missed", (*booking.withdrawn, event.reason))

    # --- one exposure -----------------------------------------------------------------------------------------------

    def _durable(self, record_number: int) -> None:
        """Note that the intent is safe on disk."""
        if self._booking is not None and record_number >= self._booking.intent_number:
            self._booking.durable = True
            self._try_dispatch(self._booking)

    def _try_dispatch(self, booking: Booking) -> None:
        """Command the exposure if its time has come and everything still holds; give it up when it is too late."""
        limits = self._settings.limits
        if booking.dispatched_at_ns is not None or self._now_ns < commands.dispatch_at_ns(
            booking.window, self._capabilities, limits
        ):
            return
        trigger, window = booking.trigger, booking.window
        reasons: tuple[str, ...] = beam_reasons(trigger.beat, window, self._lease, self._standing(), self._now_ns)
        if not booking.durable:
            reasons = (*reasons, "not-durable")
        if not reasons:
            booking.dispatched_at_ns = self._now_ns
            self._append("command", step=trigger.step, attempt=trigger.attempt, opens_at_ns=window.opens_at_ns)
            self._command(commands.expose(trigger.step, trigger.attempt, window, self._capabilities, self._plan))
        elif self._now_ns >= commands.last_dispatch_at_ns(window, self._capabilities, limits):
            self._conclude("missed", reasons)

    def _withdraw(self, reasons: tuple[str, ...]) -> None:
        """Take permission from the booking: forget it, or stop the scanner and wait for its word."""
        booking = self._booking
        if booking is None:
            return
        if booking.dispatched_at_ns is None:
            self._conclude("missed", reasons)
        elif not booking.withdrawn:
            booking.withdrawn = clipped(reasons)
            self._append("stop", reasons=booking.withdrawn)
            self._command(commands.Stop(reasons[0]))

    def _conclude(self, outcome: ExposureOutcome, reasons: tuple[str, ...]) -> None:
        """Report what became of the booking, enter it in the books, and go on to what comes next."""
        booking, step = self._booking, self._ledger.next_step
        assert booking is not None
        assert step == booking.trigger.step
        self._booking = None
        report = booking.report(outcome, clipped(reasons), self._plan.table_mm[step], self._now_ns)
        self._ledger.enter(step, outcome, booking.beam_ms(outcome))
        self._append("exposure", report=report)
        self._out.append(Publish(report))
        if self._after is not None:
            self._rest(*self._after)
        elif outcome == "exposed" and self._ledger.next_step is None:
            self._rest("complete", ())
        elif outcome == "exposed":
            self._move()
        elif not self._ledger.repeats_left:
            self._rest("ended", ("repeats",))
        else:
            self._go(self._resting_state())

    def _end(self, state: SessionState, reasons: tuple[str, ...]) -> None:
        """End the session; a scanner that was commanded is stopped, and its word is awaited first."""
        if self._bound is None or self._after is not None:
            return
        self._after = (state, clipped(reasons))
        self._reasons = clipped(reasons)
        if self._booking is None:
            self._rest(*self._after)
        else:
            self._withdraw(reasons)

    def _fault(self, reasons: tuple[str, ...], *, ready: bool) -> None:
        """Stop, believe nothing more, and wait for an operator. An exposure of unknown fate counts in full."""
        self._ready = self._ready and ready
        if self.state == "fault":
            return
        self._append("fault", reasons=clipped(reasons))
        self._command(commands.Stop(reasons[0]))
        self._after = ("fault", clipped(reasons))
        if self._booking is None:
            self._rest("fault", clipped(reasons))
        else:
            self._conclude("missed" if self._booking.dispatched_at_ns is None else "cut", reasons)

    def _watch(self, booking: Booking) -> None:
        """Dispatch in time, end what the driver does not end, and miss no word that the scanner owes."""
        self._try_dispatch(booking)
        owed_by = booking.read_back_by_ns(ns_from_ms(self._settings.limits.read_back_ms))
        if booking is not self._booking or owed_by is None:
            return
        if self._now_ns > owed_by:
            self._fault(("no-read-back",), ready=True)
        elif self._ends_here(booking) and self._now_ns >= booking.window.closes_at_ns:
            booking.stopped_at_end = True
            self._command(commands.Stop("window-end"))

    def _ends_here(self, booking: Booking) -> bool:
        """Tell whether the end of the beam is still ours to command."""
        return not self._capabilities.ends_beam_itself and not booking.stopped_at_end

    def _booking_due_ns(self, booking: Booking) -> int:
        """Say when the booking wants to be looked at next."""
        limits, window = self._settings.limits, booking.window
        if booking.dispatched_at_ns is None:
            due = commands.dispatch_at_ns(window, self._capabilities, limits)
            return due if self._now_ns < due else commands.last_dispatch_at_ns(window, self._capabilities, limits)
        owed_by = booking.read_back_by_ns(ns_from_ms(limits.read_back_ms)) or 0
        if self._ends_here(booking):
            return min(owed_by + 1, window.closes_at_ns)
        return owed_by + 1
