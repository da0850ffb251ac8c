"""Window, vetoes and now to Trigger or a refusal; and the one counter that all messages of permission share.

`Permit` is the gate's half of the lease: it exists only while a session is armed, and makes every message of
permission, so that the nonce and the rising sequence cannot be forgotten anywhere.
"""

from dataclasses import dataclass

from gating.messages import Armed, Cancel, Inhibit, KeepAlive, ScannerStatus, Trigger, plan_hash
from gating.prediction import Prediction
from gating.settings import InterlockSettings, WindowSettings
from gating.units import NS_PER_S, ms_from_ns, ns_from_ms
from gating.window import Window

RESTART_NS = 5 * NS_PER_S  # a bridge's clock so far back is the clock of a host that was started anew


def overtaken(status: ScannerStatus, latest: ScannerStatus) -> bool:
    """Tell whether a status is older than the latest one, by the bridge's own clock.

    `at_ns` is on our clock as the bridge knows it, and jumps when it comes to know it better.
    """
    later_ns = (status.at_ns - status.clock_offset_ns) - (latest.at_ns - latest.clock_offset_ns)
    return -RESTART_NS < later_ns < 0


@dataclass(frozen=True, slots=True)
class Booking:
    """A trigger that was sent and is not yet settled by the bridge's report."""

    trigger: Trigger

    def is_over(self, now_ns: int) -> bool:
        """Tell whether the bridge should long have reported, so that waiting on is of no use."""
        return now_ns > self.trigger.closes_at_ns + ns_from_ms(1000)

    def ended_by(self, number: int, r_at_ns: int) -> str | None:
        """Say in what way an R-peak ends the beat of this window before it has closed; None: it does not."""
        if number <= self.trigger.beat or r_at_ns >= self.trigger.closes_at_ns:
            return None
        after_ms = ms_from_ns(r_at_ns - self.trigger.r_at_ns)
        return f"R-peak {after_ms:.0f} ms after the beat's own, before the window closed"


def why_not_armed(armed: Armed, key_id: str | None, needed: frozenset[str]) -> str | None:
    """Say why this gate does not take an arming; `needed` names the leads that are trusted now. None: it does."""
    if key_id is not None and armed.gate_key_id != key_id:
        return "the bridge armed another gate; stop one of the two"
    if armed.plan_hash != plan_hash(armed.plan):
        return "the plan is not what its hash says; bridge and gate differ in their version"
    return None if needed else "armed before a lead could be trusted; arm again"


class Permit:
    """The permission of one armed session."""

    def __init__(self, armed: Armed, first_sequence: int) -> None:
        self.armed = armed
        self.sequence = first_sequence

    def _next(self) -> int:
        self.sequence += 1
        return self.sequence

    def trigger(
        self,
        window: Window,
        *,
        beat: int,
        r_at_ns: int,
        step: int,
        attempt: int,
        prediction: Prediction | None,
        settings: WindowSettings,
        sample_arrived_at_ns: int,
        now_ns: int,
    ) -> Trigger:
        """Make the appointment of one beat."""
        foretold = None if window.phase == "absolute-systole" else prediction
        return Trigger(
            session=self.armed.session,
            nonce=self.armed.nonce,
            sequence=self._next(),
            plan_hash=self.armed.plan_hash,
            beat=beat,
            step=step,
            attempt=attempt,
            r_at_ns=r_at_ns,
            opens_at_ns=window.opens_at_ns,
            closes_at_ns=window.closes_at_ns,
            centre_at_ns=window.centre_at_ns,
            latest_open_at_ns=window.opens_at_ns + ns_from_ms(settings.open_tolerance_ms),
            expires_at_ns=self.expires_at_ns(window),
            phase=window.phase,
            predicted_rr_ms=None if foretold is None else foretold.rr_ms,
            predicted_rr_low_ms=None if foretold is None else foretold.low_ms,
            predicted_rr_high_ms=None if foretold is None else foretold.high_ms,
            padding_ms=window.padding_ms,
            reasons=window.reasons,
            policy=window.policy,
            at_rest=window.at_rest,
            blur_mm=window.blur_mm,
            dose_msv=window.dose_msv,
            padding_msv=window.padding_msv,
            sample_arrived_at_ns=sample_arrived_at_ns,
            issued_at_ns=now_ns,
        )

    def expires_at_ns(self, window: Window) -> int:
        """Give the instant after which the bridge could not command the driver in time."""
        return window.opens_at_ns - ns_from_ms(self.armed.lead_ms)

    def keep_alive(self, beat: int, newest_sample_at_ns: int, settings: InterlockSettings) -> KeepAlive:
        """Renew the lease from the newest trusted sample."""
        return KeepAlive(
            session=self.armed.session,
            nonce=self.armed.nonce,
            sequence=self._next(),
            beat=beat,
            newest_sample_at_ns=newest_sample_at_ns,
            good_until_ns=newest_sample_at_ns + ns_from_ms(settings.keep_alive_ms),
        )

    def cancel(self, beat: int, reasons: tuple[str, ...], now_ns: int) -> Cancel:
        """Withdraw the trigger of one beat."""
        return Cancel(
            session=self.armed.session,
            nonce=self.armed.nonce,
            sequence=self._next(),
            beat=beat,
            reasons=reasons,
            at_ns=now_ns,
        )

    def inhibit(self, reasons: tuple[str, ...], now_ns: int, *, latched: bool) -> Inhibit:
        """Withdraw all permission."""
        return Inhibit(
            session=self.armed.session,
            nonce=self.armed.nonce,
            sequence=self._next(),
            latched=latched,
            reasons=reasons,
            at_ns=now_ns,
        )
