"""Where a rehearsal is asked for, recorded and answered, while no session is armed.

Asked for, it begins with the patient's hold and says until when; asked again, it ends early (the patient breathed).
When it is over the answer is one message: figures, forecast for the scanner's plan, one advice. A signal that is lost
on the way is the first reason of an answer without an advice. In a session there is no rehearsal: the heart is scanned.
"""

from collections import deque

from gating.advice import advise, report_of
from gating.beats import ClassifiedBeat
from gating.messages import AcquisitionPlan, RehearsalReport
from gating.rehearsal import NotRehearsed, Rehearsal
from gating.settings import GateSettings

BEFORE = 8  # beats before the hold that are looked at


class RehearsalDesk:
    """Records one rehearsal at a time. State: the last beats, and the rehearsal that runs."""

    def __init__(self, settings: GateSettings) -> None:
        self._settings = settings
        self._before: deque[ClassifiedBeat] = deque(maxlen=BEFORE)
        self._running: Rehearsal | None = None
        self._told: list[RehearsalReport] = []
        self._end_early = False

    @property
    def ends_at_ns(self) -> int | None:
        """When the rehearsal that runs is over; None: none runs."""
        return None if self._running is None else self._running.ends_at_ns

    def ask(self, now_ns: int, *, armed: bool) -> None:
        """Take the wish for a rehearsal, or for the end of the one that runs."""
        if armed:
            self._told.append(RehearsalReport(at_ns=now_ns, reasons=("a session is armed: disarm to rehearse",)))
        elif self._running is not None:
            self._end_early = True
        else:
            self._running = Rehearsal(self._settings.rehearsal, now_ns, tuple(self._before))
            self._told.append(RehearsalReport(at_ns=now_ns, running_until_ns=self._running.ends_at_ns))

    def take(self, beat: ClassifiedBeat, *, armed: bool, af_probability: float | None) -> None:
        """Take one confirmed beat, and whether it was trusted enough to arm."""
        if self._running is None:
            self._before.append(beat)
        else:
            self._running.take(beat, armed=armed, af_probability=af_probability)

    def forget(self) -> None:
        """Start anew after a gap in the signal."""
        self._before.clear()

    def answers(
        self, now_ns: int, *, spoilt: tuple[str, ...], plan: AcquisitionPlan | None, armed: bool
    ) -> list[RehearsalReport]:
        """Give what is to be told now; `spoilt` says why the signal is not to be trusted, first reason first."""
        told, self._told = self._told, []
        running = self._running
        if running is None:
            return told
        if armed:
            running.spoil("a session was armed during the rehearsal")
        elif spoilt:
            running.spoil(spoilt[0])
        if not (armed or self._end_early or now_ns >= running.ends_at_ns):
            return told
        ended = running.end(min(now_ns, running.ends_at_ns))
        self._running, self._end_early = None, False
        advised = None if plan is None or isinstance(ended, NotRehearsed) else advise(ended, plan, self._settings)
        return [*told, report_of(ended, advised, now_ns)]
