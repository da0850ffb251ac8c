"""One scan at the level of beats: the gate's own rooms on true R times, a table that moves, and where the beam fell.

No samples, no wires: a beat is confirmed, and a premature one seen, after the delays that were measured of the whole
chain. What is left is what a gating policy is about: the interval that was foretold, the window that was booked, the
beat that came, and how far the arteries of this patient moved while the beam was on. Hundreds of scans take seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gating.beats import Beats, ClassifiedBeat
from gating.messages import AcquisitionPlan, Armed, CardiacPhase, Trigger, plan_hash
from gating.morphology import Shape
from gating.prediction import Predictor
from gating.r_peak import RPeak
from gating.rhythm import RhythmJudge
from gating.settings import GateSettings
from gating.trigger import Permit
from gating.units import NS_PER_S, ns_from_ms
from gating.window import NoWindow, heart_of, place, recon_centre_at_ns
from simulators.heart import TrueBeat
from simulators.motion import VESSELS, MotionClock

CONFIRMED_AFTER_NS = ns_from_ms(64.0)
"""From the R-peak to the booking: median of the confirmed beats (docs/r-peaks.md)."""

SEEN_AFTER_NS = ns_from_ms(50.0)
"""From an R-peak to the beam that it stops: first word p99 31 ms (docs/r-peaks.md), bus and driver (hazards.md I6)."""

LEAD_NS = ns_from_ms(25.0)
"""The booking must be sent so long before the window opens: the driver's lead of 20 ms, and the bus."""

AT_REST_MM = 1.0

USUAL = Shape(alike=0.99, unlike_ratio=1.0, width_ratio=1.0, size_ratio=1.0)
WIDE = Shape(alike=0.2, unlike_ratio=20.0, width_ratio=1.5, size_ratio=1.3)
"""The shapes of beats, as far as beats without samples have any: medians of MIT-BIH (docs/beats.md)."""

Outcome = Literal["exposed", "cut"]


@dataclass(frozen=True, slots=True)
class BeatExposure:
    """One exposure, and what the heart truly did in it."""

    step: int
    attempt: int
    outcome: Outcome
    trigger: Trigger
    beam_ms: float
    recon_centre_at_ns: int
    phase_error_ms: float  # of that centre against the middle of this patient's rest in this beat
    movement_mm: tuple[float, ...]  # during the temporal resolution, as in `VESSELS`
    rr_ms: float  # of the beat, true
    opened_after_r_ms: float  # since the last true R before the opening, of any beat

    @property
    def at_rest(self) -> bool:
        """Tell whether no artery moved 1 mm."""
        return max(self.movement_mm) < AT_REST_MM


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatScan:
    """A scan: what was exposed, what was not and why, and what it cost."""

    plan: AcquisitionPlan
    exposures: tuple[BeatExposure, ...]
    held: tuple[str, ...]  # the first reason of each beat that was waited for and not booked
    cancelled: int
    ended: str | None  # why it is not complete; None: it is
    beats: int  # true beats from the first that was waited for to the last exposure
    breath_hold_s: float  # from the begin of the hold to the last exposure, or to the limit

    @property
    def whole(self) -> tuple[BeatExposure, ...]:
        """List the exposures that slices are made from."""
        return tuple(one for one in self.exposures if one.outcome == "exposed")

    @property
    def dose_msv(self) -> float:
        """Give the dose of the scout and of all that was exposed, cut or not."""
        return self.plan.scout_msv + sum(one.beam_ms for one in self.exposures) * self.plan.msv_per_ms

    @property
    def repeats(self) -> int:
        """Count the exposures that had to be made again."""
        return sum(one.outcome == "cut" for one in self.exposures)


def scan_beats(
    beats: Sequence[TrueBeat],
    motion: MotionClock,
    plan: AcquisitionPlan,
    settings: GateSettings,
    *,
    hold_begins_at_s: float,
) -> BeatScan:
    """Run one scan over the beats of a patient.

    Parameters
    ----------
    beats
        The true beats, in patient time.
    motion
        Where this patient's arteries are; made from the same beats.
    plan
        What is scanned.
    settings
        The gate's: rhythm, prediction, and the window's policy.
    hold_begins_at_s
        Patient time at which the breath-hold begins.
    """
    return _Scan(beats, motion, plan, settings, round(hold_begins_at_s * NS_PER_S)).run()


def confirmed(number: int, true: TrueBeat) -> tuple[RPeak, Shape]:
    """Give a true beat as the detector would confirm it, and its shape."""
    r_at_ns = round(true.r_at_s * NS_PER_S)
    peak = RPeak(number, "confirmed", r_at_ns, 0, 1.0, "II", r_at_ns + CONFIRMED_AFTER_NS, 1.0, armed=True)
    return peak, WIDE if true.atria == "apart" else USUAL


class _Scan:
    """The state of one scan between beats."""

    def __init__(
        self,
        beats: Sequence[TrueBeat],
        motion: MotionClock,
        plan: AcquisitionPlan,
        settings: GateSettings,
        hold_began_at_ns: int,
    ) -> None:
        self._beats, self._motion, self._plan, self._settings = beats, motion, plan, settings
        self._r_at_ns = [round(beat.r_at_s * NS_PER_S) for beat in beats]
        self._rooms = (Beats(settings.rhythm), RhythmJudge(settings.rhythm), Predictor(settings.prediction))
        self._permit = Permit(armed_for(plan), 0)
        self._hold_began_at_ns = hold_began_at_ns
        self._settled_at_ns = hold_began_at_ns + round(plan.settle_s * NS_PER_S)
        self._ends_at_ns = hold_began_at_ns + round(plan.breath_hold_limit_s * NS_PER_S)
        self._step, self._attempt = 0, 1
        self._phase: CardiacPhase | None = None
        self._exposures: list[BeatExposure] = []
        self._held: list[str] = []
        self._cancelled = 0
        self._holding = False
        self._waited: list[int] = []
        self._ended: str | None = None

    def run(self) -> BeatScan:
        """Take beat after beat until the plan is done or something ends it."""
        complete = False
        for index in range(len(self._beats) - 1):
            beat = self._take(index)
            complete = self._step == len(self._plan.table_mm)
            if complete or self._ended is not None:
                break
            if beat.r_at_ns >= self._settled_at_ns:
                self._waited.append(index)
                self._book(index, beat)
        complete = self._step == len(self._plan.table_mm)
        last = self._exposures[-1] if self._exposures else None
        until_ns = self._ends_at_ns if last is None or not complete else last.trigger.closes_at_ns
        return BeatScan(
            plan=self._plan,
            exposures=tuple(self._exposures),
            held=tuple(self._held),
            cancelled=self._cancelled,
            ended=None if complete else self._ended or "the beats ran out",
            beats=self._waited[-1] - self._waited[0] + 1 if self._waited else 0,
            breath_hold_s=(until_ns - self._hold_began_at_ns) / NS_PER_S,
        )

    def _take(self, index: int) -> ClassifiedBeat:
        """Let the rooms hear of a confirmed beat."""
        beats, rhythm, predictor = self._rooms
        r_at_ns = self._r_at_ns[index]
        if not self._holding and r_at_ns + CONFIRMED_AFTER_NS >= self._hold_began_at_ns:
            self._holding = True
            predictor.hold_breath(self._hold_began_at_ns)
        beat = beats.take(*confirmed(index + 1, self._beats[index]))
        rhythm.take(beat)
        predictor.take(beat)
        return beat

    def _book(self, index: int, beat: ClassifiedBeat) -> None:
        """Book this beat's window and let come what comes, or say why not."""
        _, rhythm, predictor = self._rooms
        now_ns = beat.r_at_ns + CONFIRMED_AFTER_NS
        prediction = predictor.next_rr()
        heart = heart_of(beat, prediction, rhythm.now(now_ns))
        window = place(heart, self._plan, self._settings.window, self._phase)
        if beat.beat_kind != "normal":
            self._held.append(f"{beat.beat_kind} beat")
        elif isinstance(window, NoWindow):
            self._held.append(window.reasons[0])
        elif window.opens_at_ns - LEAD_NS < now_ns:
            self._held.append("too late")
        elif window.closes_at_ns > self._ends_at_ns:
            self._ended = "the breath-hold ended"
        else:
            trigger = self._permit.trigger(
                window,
                beat=index + 1,
                r_at_ns=beat.r_at_ns,
                step=self._step,
                attempt=self._attempt,
                prediction=prediction,
                settings=self._settings.window,
                sample_arrived_at_ns=now_ns,
                now_ns=now_ns,
            )
            self._expose(index, trigger)

    def _expose(self, index: int, trigger: Trigger) -> None:
        """Let the beam be on, unless the next beat comes first."""
        next_r_at_ns = self._r_at_ns[index + 1]
        stops_at_ns = next_r_at_ns + SEEN_AFTER_NS
        if stops_at_ns <= trigger.opens_at_ns:
            self._cancelled += 1
            return
        cut = next_r_at_ns < trigger.closes_at_ns
        off_at_ns = min(stops_at_ns, trigger.closes_at_ns) if cut else trigger.closes_at_ns
        self._phase = trigger.phase
        self._exposures.append(self._exposure(index, trigger, "cut" if cut else "exposed", off_at_ns))
        if not cut:
            self._step, self._attempt = self._step + 1, 1
            self._settled_at_ns = off_at_ns + ns_from_ms(self._plan.table_move_ms)
        elif self._attempt > self._plan.max_repeats:
            self._ended = "no repeat is left"
        else:
            self._attempt += 1

    def _exposure(self, index: int, trigger: Trigger, outcome: Outcome, off_at_ns: int) -> BeatExposure:
        centre_at_ns = recon_centre_at_ns(trigger, self._r_at_ns[index + 1])
        centre_s, half_s = centre_at_ns / NS_PER_S, self._plan.temporal_resolution_ms / 2e3
        rest = self._motion.centre_s(index, "diastole" if trigger.phase == "diastole" else "systole")
        movement = self._motion.movement_mm(centre_s - half_s, centre_s + half_s)
        before = int(np.searchsorted(self._r_at_ns, trigger.opens_at_ns, side="right")) - 1
        return BeatExposure(
            step=trigger.step,
            attempt=trigger.attempt,
            outcome=outcome,
            trigger=trigger,
            beam_ms=(off_at_ns - trigger.opens_at_ns) / 1e6,
            recon_centre_at_ns=centre_at_ns,
            phase_error_ms=(centre_s - rest) * 1e3,
            movement_mm=tuple(float(movement[k]) for k in range(len(VESSELS))),
            rr_ms=(self._r_at_ns[index + 1] - self._r_at_ns[index]) / 1e6,
            opened_after_r_ms=(trigger.opens_at_ns - self._r_at_ns[before]) / 1e6,
        )


def armed_for(plan: AcquisitionPlan) -> Armed:
    """Give the word of a bridge that is armed, as far as a trigger needs it."""
    return Armed(
        session="beats",
        nonce="beats",
        plan=plan,
        plan_hash=plan_hash(plan),
        gate_key_id="beats",
        lead_ms=0.0,
        at_ns=0,
        ends_at_ns=0,
    )
