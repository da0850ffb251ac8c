"""The operator's client: arms, begins the breath-hold, disarms, follows the scan; for `diastole arm` and the demo.

A refusal is data: `Declined` with the bridge's reasons in words. Only a missing broker or bridge is an error.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal

from gating.errors import PeerError
from gating.io.bus import Bus, Heard, Refused
from gating.io.keys import Keyring
from gating.messages import (
    AcquisitionPlan,
    Armed,
    BreathHold,
    ExposureReport,
    GateStatus,
    Message,
    OperatorRequest,
    ScannerStatus,
    SessionState,
    TriggerAnswer,
)
from gating.settings import SiteSettings

LISTENS_TO: tuple[type[Message], ...] = (Armed, BreathHold, ExposureReport, GateStatus, ScannerStatus, TriggerAnswer)
AT_REST: frozenset[SessionState] = frozenset({"disarmed", "complete", "ended", "fault"})
POLL_S = 0.01
ANSWER_S = 3.0  # for a bridge that says its status twice a second
UNREAD = 512  # messages that a slow follower may leave unread; the oldest go

WORDS = {
    "no-gate": "the bridge hears no gate; start `diastole gate`, with keys of the same set",
    "two-gates": "two gates are running; stop one of them",
    "clock": "the bridge does not yet know the gate's clock to 10 ms; wait some seconds, or mend the network",
    "no-control": "the scanner driver controls no beam; set `driver` in [bridge]",
    "not-ready": "the scanner is not ready; see to it, and to its driver",
    "nothing-to-resume": "there is no interrupted scan to resume; arm a full one",
    "already-armed": "a session is under way; disarm it first",
    "not-armed": "no session is armed",
    "wrong-challenge": "another request came first; try again",
    "wrong-plan": "the plan has changed; look at it and arm again",
    "unknown-key": "the bridge does not know this operator's key; copy operator.pub to the bridge's host",
    "bad-signature": "the operator's signature is not right; copy the keys again",
    "wrong-role": "this key is not an operator's",
    "no-answer": "the bridge gave no answer; see its log",
}
"""What a bridge's reason means for the person who asked, and the cure."""


@dataclass(frozen=True)
class Declined:
    """The bridge said no, and why."""

    reasons: tuple[str, ...]

    @property
    def text(self) -> str:
        """Say it in words."""
        return "; ".join(WORDS.get(reason, reason) for reason in self.reasons)


def plan_sentence(plan: AcquisitionPlan) -> str:
    """Tell the plan and its dose in a sentence: the scout, each step exposed once, and the ceiling."""
    dlp = plan.planned_dlp_mgycm
    scout = f", {plan.scout_dlp_mgycm:.1f} of them for the scout" if plan.scout_dlp_mgycm else ""
    level = plan.reference_dlp_mgycm
    against = (
        "no reference level is set" if level is None else f"{100 * dlp / level:.0f} % of the reference level {level:g}"
    )
    return (
        f"Plan {plan.plan_id}: {len(plan.table_mm)} steps under {plan.collimation_mm:g} mm, "
        f"{plan.slices_per_step * len(plan.table_mm)} slices of {plan.slice_thickness_mm:g} mm at {plan.kvp:g} kV and "
        f"{plan.tube_current_ma:g} mA; CTDIvol {plan.half_scan_ms * plan.ctdivol_mgy_per_ms:.2f} mGy, "
        f"DLP {dlp:.1f} mGy cm{scout} ({against}); about {dlp * plan.msv_per_mgycm:.2f} mSv, "
        f"at most {plan.dose_ceiling_msv:g} mSv."
    )


def dose_sentence(status: ScannerStatus) -> str:
    """Tell what a session has exposed and delivered."""
    missing = sorted(set(range(len(status.plan.table_mm))) - set(status.steps_exposed))
    slabs = f", steps {', '.join(str(step + 1) for step in missing)} missing" if missing else ""
    return (
        f"{len(status.steps_exposed)} of {len(status.plan.table_mm)} steps exposed{slabs}; delivered "
        f"CTDIvol {status.ctdivol_mgy:.2f} mGy, DLP {status.dlp_mgycm:.1f} mGy cm, {status.effective_msv:.2f} mSv."
    )


class Operator:
    """A connection as the operator. Use as `async with Operator(site) as operator: ...`.

    Parameters
    ----------
    site
        The site file, read.
    name
        The person's name or initials, for the bridge's audit.
    override
        Why this person arms against the advice of a rehearsal; for the audit, the gate's journal and the report.
    also
        Further kinds to listen to.
    heard
        Called with every message, for a caller that shows more than `follow` gives.
    """

    def __init__(
        self,
        site: SiteSettings,
        *,
        name: str = "operator",
        override: str | None = None,
        also: tuple[type[Message], ...] = (),
        heard: Callable[[Message], None] = lambda _: None,
    ) -> None:
        self.status: ScannerStatus | None = None
        self.gate: GateStatus | None = None
        self.armed: Armed | None = None
        self.hold: BreathHold | None = None
        self.refused: dict[str, int] = {}
        self._name, self._override = name, override
        self._heard = heard
        self._link = ""
        self._spent: str | None = None
        self._unread: deque[Message] = deque(maxlen=UNREAD)
        self._task: asyncio.Task[None] | None = None
        self._bus = Bus(
            site.mqtt,
            site.site,
            Keyring(Path(site.keys.folder), "operator"),
            role="operator",
            listen=tuple(dict.fromkeys((*LISTENS_TO, *also))),
            now_ns=time.monotonic_ns,
        )

    async def __aenter__(self) -> "Operator":
        """Connect.

        Raises
        ------
        PeerError
            If the broker does not let us in at the first try.
        """
        self._task = asyncio.ensure_future(self._bus.run(self._hear, self._told))
        await self._until(lambda: self._link != "", ANSWER_S * 2)
        if not self._bus.connected:
            await self.__aexit__(None, None, None)
            raise PeerError(self._link or f"The MQTT broker at {self._bus.broker} does not answer; is it running?")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def scanner(self, seconds: float = ANSWER_S) -> ScannerStatus:
        """Wait for the bridge's status, newer than our last request.

        Raises
        ------
        PeerError
            If no bridge speaks, or none whose signature we know.
        """
        await self._until(lambda: self.status is not None and self.status.challenge != self._spent, seconds)
        if self.status is None:
            strangers = f" ({sum(self.refused.values())} messages were not believed)" if self.refused else ""
            raise PeerError(f"No bridge speaks at {self._bus.broker}{strangers}; start `diastole bridge` there.")
        return self.status

    async def arm(self, *, resume: bool = False, seconds: float = ANSWER_S) -> Armed | Declined:
        """Arm a full scan, or resume an interrupted one; tries once more when its challenge was spent meanwhile."""
        request: Literal["arm", "resume"] = "resume" if resume else "arm"
        self.armed = None
        for _ in range(2):
            declined = await self._ask(request, lambda: self.armed is not None, seconds)
            if declined is None or declined.reasons != ("wrong-challenge",):
                break
        self._unread.clear()  # what `follow` gives begins with the session
        return self.armed or declined or Declined(("no-answer",))

    async def begin_hold(self, seconds: float = ANSWER_S) -> BreathHold | Declined:
        """Begin the breath-hold."""
        self.hold = None
        for _ in range(2):
            declined = await self._ask("begin-hold", lambda: self.hold is not None, seconds)
            if declined is None or declined.reasons != ("wrong-challenge",):
                break
        return self.hold or declined or Declined(("no-answer",))

    async def disarm(self, seconds: float = ANSWER_S) -> ScannerStatus | Declined:
        """End the session; a bridge that is at rest already is as well."""
        await self.scanner(seconds)
        declined = await self._ask("disarm", lambda: self.status is not None and self.status.state in AT_REST, seconds)
        return declined or self.status or Declined(("no-answer",))

    async def follow(self, silent_s: float = 5.0) -> AsyncIterator[Message]:
        """Give every message of the session as it comes, until the bridge is at rest.

        Raises
        ------
        PeerError
            If the bridge or the broker falls silent.
        """
        last = time.monotonic()
        while True:
            while self._unread:
                message = self._unread.popleft()
                yield message
                if isinstance(message, ScannerStatus):
                    last = time.monotonic()
                    if message.state in AT_REST:
                        return
            if time.monotonic() - last > silent_s:
                raise PeerError(f"The bridge fell silent for {silent_s:g} s ({self._link}); see to it and its log.")
            await asyncio.sleep(POLL_S)

    async def _ask(
        self,
        request: Literal["arm", "resume", "begin-hold", "disarm"],
        granted: Callable[[], bool],
        seconds: float,
    ) -> Declined | None:
        """Send a request with the latest challenge and wait until it is granted (None) or declined."""
        before = await self.scanner()
        self._unread.clear()
        self._spent = before.challenge if request != "disarm" else self._spent
        await self._bus.publish(
            OperatorRequest(
                request=request,
                name=self._name,
                plan_hash=before.plan_hash,
                challenge=before.challenge,
                text=self._override if request in ("arm", "resume") else None,
            )
        )
        await self._until(lambda: granted() or self._declined(before) != (), seconds)
        if granted():
            return None
        self._spent = None  # the status that told the refusal carries the challenge for the next try
        return Declined(self._declined(before) or ("no-answer",))

    def _declined(self, before: ScannerStatus) -> tuple[str, ...]:
        """Name the reasons that concern an operator and that the bridge has counted since `before`."""
        if self.status is None:
            return ()
        return tuple(
            reason
            for reason, count in self.status.refused.items()
            if reason in WORDS and count > before.refused.get(reason, 0)
        )

    async def _until(self, true: Callable[[], bool], seconds: float) -> None:
        """Wait until something is true, at most so long."""
        deadline = time.monotonic() + seconds
        while not true() and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)

    def _hear(self, one: Heard | Refused) -> None:
        """Keep the latest of each kind, and everything for `follow`."""
        if isinstance(one, Refused):
            self.refused[one.reason] = self.refused.get(one.reason, 0) + 1
            return
        message = one.message
        match message:
            case ScannerStatus():
                self.status = message
            case GateStatus():
                self.gate = message
            case Armed():
                self.armed = message
            case BreathHold():
                self.hold = message
            case _:
                pass
        self._unread.append(message)
        self._heard(message)

    def _told(self, _: bool, text: str) -> None:
        """Keep the last word about the connection."""
        self._link = text
