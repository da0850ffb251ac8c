"""The simulated operator: arms when gate and scanner are ready, begins the hold with the patient, sees the end.

A pure device like the others: messages and time in, requests and the next wake-up out; the demo signs what it says.
"""

from typing import Literal

from gating.messages import GateStatus, Message, OperatorRequest, ScannerStatus
from gating.units import ns_from_ms

OVER = frozenset({"complete", "ended", "fault"})
LAST_WORDS_NS = ns_from_ms(300)  # reports that are still under way when the session is over
GIVE_UP_NS = ns_from_ms(15_000)  # not armed so long after the patient began to hold: nobody can hold on


class Operator:
    """One operator of one scan.

    Parameters
    ----------
    hold_at_ns
        When the patient begins to hold the breath, host time.
    """

    def __init__(self, hold_at_ns: int) -> None:
        self._hold_at_ns = hold_at_ns
        self._status: ScannerStatus | None = None
        self._armed_at_ns: int | None = None
        self._hold_begun = False
        self._over_at_ns: int | None = None

    def hear(self, message: Message, now_ns: int) -> tuple[OperatorRequest, ...]:
        """Take a message from the bus."""
        if isinstance(message, ScannerStatus):
            self._status = message
            if message.state in OVER and self._armed_at_ns is not None and self._over_at_ns is None:
                self._over_at_ns = now_ns
        if isinstance(message, GateStatus) and message.state == "ready" and self._may_arm():
            self._armed_at_ns = now_ns
            return (self._request("arm"),)
        return self.wake(now_ns)

    def wake(self, now_ns: int) -> tuple[OperatorRequest, ...]:
        """Let time pass: the hold begins at its instant, or as soon as the bridge is armed if that is later."""
        in_session = self._status is not None and self._status.session is not None
        if not in_session or self._hold_begun or now_ns < self._hold_at_ns:
            return ()
        self._hold_begun = True
        return (self._request("begin-hold"),)

    @property
    def wake_at_ns(self) -> int | None:
        """When the operator wants to be woken; once the instant is past, the word that the session is armed does it."""
        in_session = self._status is not None and self._status.session is not None
        return self._hold_at_ns if in_session and not self._hold_begun else None

    def is_done(self, now_ns: int) -> bool:
        """Tell whether the scan is over and its last words were heard, or nothing will come of it."""
        if self._over_at_ns is not None:
            return now_ns - self._over_at_ns > LAST_WORDS_NS
        return not self._hold_begun and now_ns > self._hold_at_ns + GIVE_UP_NS

    def _may_arm(self) -> bool:
        status = self._status
        if status is None or self._armed_at_ns is not None:
            return False
        return status.state == "disarmed" and status.clock_uncertainty_ns is not None

    def _request(self, what: Literal["arm", "begin-hold"]) -> OperatorRequest:
        """Make a request; the latest challenge shows that it is no replay."""
        if self._status is None:
            raise AssertionError("the operator asks only what a status has invited")
        return OperatorRequest(
            request=what, name="operator", plan_hash=self._status.plan_hash, challenge=self._status.challenge
        )
