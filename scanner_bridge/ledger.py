"""The books of the bridge: steps, attempts, beam time and dose; and what was refused, and why."""

from collections import deque

from gating.messages import AcquisitionPlan, ExposureOutcome
from gating.units import NS_PER_S
from scanner_bridge.settings import LimitSettings

FORGED = frozenset({"unsigned", "unknown-key", "bad-signature", "wrong-role"})
"""Refusals that no honest process causes; duplicates, late and malformed messages come from honest ones too."""

MAX_REASONS = 32  # different reasons counted by name; the rest are counted together


class Ledger:
    """Which steps are exposed, which comes next, and what the patient got. Dose outlives a session; it never falls."""

    def __init__(self, plan: AcquisitionPlan) -> None:
        self._plan = plan
        self._steps_exposed: set[int] = set()
        self._irradiated: set[int] = set()
        self._total_beam_ms = 0.0
        self.next_step: int | None = None
        self.next_attempt: int | None = None
        self.session_beam_ms = 0.0
        self.breath_holds = 0

    def start_over(self) -> None:
        """Begin a full scan: every step anew. The dose stays."""
        self._steps_exposed.clear()
        self._begin_at(0)

    def resume(self) -> None:
        """Go on after an interruption in a new breath-hold: the last exposed step again, as the overlapping slab."""
        self._begin_at(max(self._steps_exposed))

    def _begin_at(self, step: int) -> None:
        """Set the first step of a session."""
        self.next_step, self.next_attempt = step, 1
        self.session_beam_ms = 0.0

    def close(self) -> None:
        """End the session: nothing comes next."""
        self.next_step = self.next_attempt = None

    @property
    def resumable(self) -> bool:
        """Whether some steps, but not all, are exposed."""
        return 0 < len(self._steps_exposed) < len(self._plan.table_mm)

    @property
    def repeats_left(self) -> bool:
        """Whether the next attempt is one that the plan allows."""
        return self.next_attempt is not None and self.next_attempt <= 1 + self._plan.max_repeats

    def enter(self, step: int, outcome: ExposureOutcome, beam_ms: float) -> None:
        """Book the outcome of one accepted trigger."""
        self._total_beam_ms += beam_ms
        self.session_beam_ms += beam_ms
        if beam_ms > 0:
            self._irradiated.add(step)
        if outcome == "exposed":
            self._steps_exposed.add(step)
            last = step + 1 >= len(self._plan.table_mm)
            self.next_step, self.next_attempt = (None, None) if last else (step + 1, 1)
        elif outcome in {"cut", "redo"} and self.next_attempt is not None:
            self.next_attempt += 1

    @property
    def steps_exposed(self) -> tuple[int, ...]:
        """The steps exposed, in order."""
        return tuple(sorted(self._steps_exposed))

    @property
    def beam_on_ms(self) -> float:
        """Beam time of the patient, all sessions and attempts."""
        return self._total_beam_ms

    @property
    def dlp_mgycm(self) -> float:
        """Dose-length product: the scout, and each exposure with the full collimation."""
        return self._plan.scout_dlp_mgycm + self._slabs_dlp_mgycm

    @property
    def ctdivol_mgy(self) -> float:
        """CTDIvol, the mean over the slabs that got any beam: their DLP over their length; no scout."""
        length_cm = len(self._irradiated) * self._plan.collimation_mm / 10.0
        return self._slabs_dlp_mgycm / length_cm if length_cm else 0.0

    @property
    def _slabs_dlp_mgycm(self) -> float:
        return self._total_beam_ms * self._plan.dlp_mgycm_per_ms

    @property
    def effective_msv(self) -> float:
        """Effective dose by the plan's factor; the scout's counts."""
        return self._plan.scout_msv + self._total_beam_ms * self._plan.msv_per_ms


class Refusals:
    """Counts refusals by reason, and tells when forgeries come too often. Bounded for any input."""

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._counts: dict[str, int] = {}
        self._forged: deque[int] = deque(maxlen=limits.forged_count)

    def count(self, reason: str, now_ns: int) -> bool:
        """Count one; True when this one is the last of too many forgeries in too short a time."""
        key = reason if reason in self._counts or len(self._counts) < MAX_REASONS else "other"
        self._counts[key] = self._counts.get(key, 0) + 1
        if reason not in FORGED:
            return False
        self._forged.append(now_ns)
        full = len(self._forged) == self._limits.forged_count
        return full and now_ns - self._forged[0] <= self._limits.forged_window_s * NS_PER_S

    @property
    def counts(self) -> dict[str, int]:
        """A copy of the counts."""
        return dict(self._counts)


class Rate:
    """At most so many per second; the rest is counted, not kept."""

    def __init__(self, per_s: int) -> None:
        self._per_s = per_s
        self._second_began_ns: int | None = None
        self._used = 0
        self.suppressed = 0

    def allow(self, now_ns: int) -> bool:
        """Tell whether one more may pass now."""
        if self._second_began_ns is None or now_ns - self._second_began_ns >= NS_PER_S:
            self._second_began_ns, self._used = now_ns, 0
        self._used += 1
        if self._used > self._per_s:
            self.suppressed += 1
            return False
        return True
