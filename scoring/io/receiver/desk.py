"""Looks what has come: an incomplete series waits and says what is missing, a complete one is scored as a draft."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import msgspec

from scoring.io.receiver.children import Child
from scoring.io.receiver.completeness import Completeness, judge
from scoring.io.receiver.guard import MIB
from scoring.io.receiver.intake import Intake, Series
from scoring.io.receiver.jail import Jail
from scoring.io.receiver.records import Draft, DraftJob, Record, digest
from scoring.io.receiver.settings import ReceiverSettings
from scoring.io.receiver.telling import Teller

LOOK_EVERY_S = 0.05
WRITE_EVERY_S = 0.2
MOST_SERIES_TOLD = 500  # in status.json, the latest
MOST_ATTEMPTS = 2  # of a scoring process that failed

State = Literal[
    "receiving", "waiting", "settling", "scoring", "scored", "no-total", "refused", "failed", "identity-conflict",
    "no-slices",
]  # fmt: skip


class SeriesStatus(Record, frozen=True):
    """What `status.json` says of a series."""

    series: str  # first 16 hex digits of the SHA-256 of its UID, as in `score.json`
    state: State
    images: int
    missing: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    refused_objects: int = 0
    result: str | None = None  # folder of the draft, below the store
    changed_at: str = ""  # wall time: a label


class Status(Record, frozen=True, kw_only=True):
    """The whole of `status.json`."""

    schema: Literal["diastole.receiver/1"] = "diastole.receiver/1"
    running: bool
    pid: int
    host: str
    port: int
    ae_title: str
    peers: int
    counts: dict[str, int]
    denied: dict[str, int]
    series: tuple[SeriesStatus, ...]


class Outcome(Record, frozen=True):
    """`outcome.json` of a series: for which objects there is a draft, and which."""

    of: str  # digest of the objects and the map
    draft: Draft


class Desk:
    """One thread that looks, and at most one that waits for a scoring process."""

    def __init__(self, jail: Jail, intake: Intake, settings: ReceiverSettings, tell: Teller) -> None:
        self._jail, self._intake, self._settings, self._tell = jail, intake, settings, tell
        self.told: dict[str, SeriesStatus] = {}
        self._attempts: dict[str, int] = {}
        self._working: threading.Thread | None = None
        self._stop = threading.Event()
        self._argument = msgspec.json.encode(settings.draft).decode()
        self._spare: Child | None = self._new_scorer() if settings.draft.ready else None
        self._thread = threading.Thread(target=self._run, name="desk", daemon=True)

    def start(self, write: Callable[[], None]) -> None:
        """Begin to look; `write` is called when there may be something new to say."""
        self._write = write
        self._thread.start()

    def stop(self, grace_s: float) -> None:
        """End: a scoring that runs may finish within the grace, else it is begun again at the next start."""
        self._stop.set()
        self._thread.join()
        if self._working is not None:
            self._working.join(grace_s)
        if self._spare is not None:
            self._spare.end()

    def _run(self) -> None:
        last_s = 0.0
        while not self._stop.wait(LOOK_EVERY_S):
            with self._intake.lock:
                keys = list(self._intake.unsettled)
            for key in keys:
                try:
                    self._look(key)
                except OSError as error:  # the store, not this series, is at fault; the next look tries again
                    self._tell("store cannot be used", reason=type(error).__name__)
            if time.monotonic() - last_s >= WRITE_EVERY_S:
                last_s = time.monotonic()
                self._write()

    def _look(self, key: str) -> None:
        """Say where a series stands, and have it scored when it is due."""
        with self._intake.lock:
            series = self._intake.series[key]
            complete = judge([one.what for one in series.objects.values()], self._settings.score)
            of, epoch = self._digest(key, series), self._intake.epoch
            state = self._state(series, complete)
        if state != "due":
            self._say(key, series, complete, state)
            if state in {"identity-conflict", "no-slices", "waiting"} and not series.senders:
                self._settle(key, epoch)
            return
        before = self._outcome(key)
        if before is not None and before.of == of:
            self._say(key, series, complete, before.draft.state, before.draft)
            self._settle(key, epoch)
        elif self._working is None or not self._working.is_alive():
            self._say(key, series, complete, "scoring")
            self._working = threading.Thread(target=self._score, args=(key, series, complete, of), daemon=True)
            self._working.start()

    def _state(self, series: Series, complete: Completeness) -> State | Literal["due"]:
        """State of a series; the lock is held."""
        quiet_s = time.monotonic() - series.changed_s
        draft = self._settings.draft
        if "identity" in series.marks:
            return "identity-conflict"
        if complete.state == "no-slices":
            return "no-slices"
        if complete.counted and quiet_s >= draft.quiet_counted_s:
            return "due"
        if series.senders and quiet_s < draft.quiet_s:
            return "receiving"
        if complete.state == "incomplete":
            return "waiting"
        if series.senders or quiet_s < draft.quiet_s:
            return "settling"
        return "due"

    def _score(self, key: str, series: Series, complete: Completeness, of: str) -> None:
        """Have a child score a series and keep what it says."""
        vessel_map = self._intake.map_for(key)
        conflicts = series.marks.count("conflict")
        note = f"{conflicts} object(s) of this series came again with other content and were refused; the first counts."
        with self._jail.folder("results", key):  # made here, so that the child finds a folder and no link
            job = DraftJob(
                slices=str(self._jail.path("series", key, "slices")),
                results=str(self._jail.path("results", key)),
                vessel_map=None
                if vessel_map is None
                else str(self._jail.path("series", vessel_map[0], "slices", f"{vessel_map[1]}.dcm")),
                settings=msgspec.json.encode(self._settings.score),
                notes=(note,) if conflicts else (),
            )
        child = self._spare or self._new_scorer()
        self._spare = None
        answer = child.ask(msgspec.json.encode(job), self._settings.draft.wall_s)
        child.end()
        if self._settings.draft.ready and not self._stop.is_set():
            self._spare = self._new_scorer()
        if answer is None:
            text = "The scoring process was killed by a limit of time or memory ([scoring.receiver.draft])."
            draft = Draft(state="failed", reasons=(text,))
        else:
            draft = msgspec.json.decode(answer, type=Draft)
        self._attempts[of] = self._attempts.get(of, 0) + 1
        if draft.state == "failed" and self._attempts[of] < MOST_ATTEMPTS:
            return  # the next look begins it again
        self._jail.replace("series", key, "outcome.json", data=msgspec.json.encode(Outcome(of=of, draft=draft)))
        self._tell("series", reason=draft.state, series=key[:16], images=complete.images, revision=draft.revision)

    def _say(self, key: str, series: Series, complete: Completeness, state: State, draft: Draft | None = None) -> None:
        """Put a series' standing where `status.json` finds it."""
        reasons = () if draft is None else draft.reasons
        if state == "identity-conflict":
            reasons = ("Objects of this series name another patient, study or order; it is not scored.",)
        revision = None if draft is None or draft.revision is None else f"revision-{draft.revision:04d}"
        told = self.told.pop(key, None)
        now = SeriesStatus(
            series=key[:16],
            state=state,
            images=complete.images,
            missing=() if state == "receiving" else complete.missing,  # the order of arrival is no gap
            reasons=reasons,
            refused_objects=len(series.marks),
            result=None if revision is None else f"results/{key}/{revision}",
            changed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        if told is None or msgspec.structs.replace(told, changed_at="") != msgspec.structs.replace(now, changed_at=""):
            if told is None or told.state != state:
                self._tell("state", series=key[:16], state=state, images=complete.images, missing=now.missing)
            told = now
        self.told[key] = told
        while len(self.told) > MOST_SERIES_TOLD:
            self.told.pop(next(iter(self.told)))

    def _settle(self, key: str, epoch: int) -> None:
        """Look at a series no more until something new comes; something may have come since it was looked at."""
        with self._intake.lock:
            if self._intake.epoch == epoch:
                self._intake.unsettled.discard(key)

    def _digest(self, key: str, series: Series) -> str:
        """Digest of all that a draft rests on; the lock is held."""
        vessel_map = self._intake.map_for(key)
        settings = msgspec.json.encode(self._settings.score).decode()
        return digest(settings, str(vessel_map), *sorted(one.content for one in series.objects.values()))

    def _outcome(self, key: str) -> Outcome | None:
        """Read what became of a series before."""
        data = self._jail.read("series", key, "outcome.json", most_bytes=MIB)
        try:
            return msgspec.json.decode(data, type=Outcome) if data else None
        except msgspec.MsgspecError:
            return None

    def _new_scorer(self) -> Child:
        return Child("scoring.io.receiver.scorer", self._argument)
