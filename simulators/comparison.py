"""The same hearts under different gating policies: what each policy would have exposed, and where.

A *case* is one heart, its true motion and one breath-hold. Every policy meets the same cases, so that what differs
between two rows is the policy alone.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from gating.errors import SettingsError
from gating.messages import AcquisitionPlan
from gating.settings import GateSettings, WindowSettings
from simulators.beat_scan import BeatScan, scan_beats
from simulators.heart import TrueBeat, true_beats
from simulators.motion import DIASTOLE_SD_MS, SYSTOLE_SD_MS, TRUNCATE_SD, MotionClock, RestOffsets
from simulators.scenario import Scenario, reseeded

LONGEST_S = 75.0
"""Of patient time that one scan can need."""

BEFORE_HOLD_S = 30.0
"""Of a recorded heart that the gate hears before the breath is held."""

MOST_PERCENT, MOST_CENTRE_MS, MOST_PADDING_MS = 100.0, 1000.0, 300.0

POLICY_HELP = (
    "least_blur_dose, least_blur_dose:systole, least_blur_dose:diastole, least_blur_dose:interval_before, "
    "percent_rr:75, absolute_ms:300, vendor_table; the last three with a padding in ms: percent_rr:75+40"
)


@dataclass(frozen=True, slots=True)
class Policy:
    """One gating policy, by the words it was asked for with."""

    name: str
    window: WindowSettings


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One heart and one breath-hold."""

    name: str  # seed 3, or 101 from 45 s
    seed: int
    beats: tuple[TrueBeat, ...]
    motion: MotionClock
    hold_begins_at_s: float


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, and the 5th and 95th percentile; None where nothing was measured."""

    median: float | None
    p5: float | None
    p95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFigures:
    """What one policy came to over all cases. Shares are 0..1."""

    policy: str
    scans: int
    completed: int  # in one breath-hold
    motion_free: int  # completed, and no slab moved 1 mm
    slabs_planned: int
    slabs_exposed: int
    slabs_at_rest: int
    exposures: int  # with those that were cut
    cut: int
    cancelled: int  # withdrawn before the beam
    phase_error_ms: Spread  # absolute, against the middle of the patient's rest in that beat
    blur_mm: Spread  # of the artery that moves most, during the temporal resolution
    beats: Spread  # of the completed scans
    breath_hold_s: Spread  # of the completed scans
    dose_msv: Spread  # of all scans, cut exposures counted
    mean_dose_msv: float
    mean_padding_ms: float | None
    held: dict[str, int]  # beats that were waited for and not booked, by reason
    ended: dict[str, int]  # scans that are not complete, by reason

    @property
    def rest_share(self) -> float:
        """Of the planned slabs, those that were exposed at rest: what a policy refuses counts against it."""
        return self.slabs_at_rest / self.slabs_planned if self.slabs_planned else 0.0

    @property
    def rest_share_exposed(self) -> float | None:
        """Of the exposed slabs, those at rest."""
        return self.slabs_at_rest / self.slabs_exposed if self.slabs_exposed else None


def parse_policy(text: str, site: WindowSettings | None = None) -> Policy:
    """Read a policy: its name, after a colon its number or word, after a plus its padding in ms.

    Parameters
    ----------
    text
        As in `POLICY_HELP`.
    site
        The settings that everything unsaid is taken from; the defaults if None.

    Raises
    ------
    SettingsError
        If there is no such policy, or its number is none or makes no sense.
    """
    base = WindowSettings() if site is None else site
    head, plus, padding = text.strip().partition("+")
    name, colon, value = head.partition(":")
    change: dict[str, object] = {"policy": name}
    if plus:
        change["padding_ms"] = _number(text, padding, MOST_PADDING_MS)
    match name, value:
        case "least_blur_dose", "systole" | "diastole" if not plus:
            change["phase"] = value
        case "least_blur_dose", "interval_before" | "absolute_ms" if not plus:
            change["irregular"] = value
        case "least_blur_dose", "" if not plus and not colon:
            pass
        case "percent_rr", _ if colon:
            change["percent_rr"] = _number(text, value, MOST_PERCENT)
        case "absolute_ms", _ if colon:
            change["absolute_centre_ms"] = _number(text, value, MOST_CENTRE_MS)
        case "percent_rr" | "absolute_ms" | "vendor_table", "" if not colon:
            pass
        case _:
            raise SettingsError(f"There is no policy {text!r}; take one of: {POLICY_HELP}.")
    return Policy(text.strip(), msgspec.convert({**msgspec.structs.asdict(base), **change}, WindowSettings))


def _number(text: str, digits: str, most: float) -> float:
    """Read the number of a policy."""
    try:
        value = float(digits)
    except ValueError:
        value = float("nan")
    if not 0.0 <= value <= most:
        raise SettingsError(f"In the policy {text!r}, {digits!r} must be a number from 0 to {most:g}.")
    return value


# --- hearts ------------------------------------------------------------------------------------------------------


def drawn_offsets(seed: int, spread: float, *, systole_ms: float = 0.0, diastole_ms: float = 0.0) -> RestOffsets:
    """Draw how a patient's rest phases lie: the published spread times `spread`, around the offsets given.

    The same seed gives the same patient at any spread, and the draw of `simulators.motion.rest_offsets`.
    """
    draws = np.random.default_rng([seed, 7]).standard_normal(2)
    systole, diastole = np.clip(draws, -TRUNCATE_SD, TRUNCATE_SD) * spread
    return RestOffsets(
        systole_ms=systole_ms + float(systole) * SYSTOLE_SD_MS,
        diastole_ms=diastole_ms + float(diastole) * DIASTOLE_SD_MS,
    )


def scenario_cases(scenario: Scenario, seeds: Sequence[int], spread: float = 1.0) -> tuple[Case, ...]:
    """Draw the patients of a scenario, one for each seed."""
    cases = []
    for seed in seeds:
        beats = true_beats(reseeded(scenario, seed), LONGEST_S, np.random.default_rng([seed, 1]))
        rest = scenario.rest_phase
        offsets = drawn_offsets(seed, spread, systole_ms=rest.systole_offset_ms, diastole_ms=rest.diastole_offset_ms)
        motion = MotionClock([beat.r_at_s for beat in beats], offsets, [beat.atria for beat in beats])
        cases.append(Case(f"seed {seed}", seed, beats, motion, scenario.respiration.hold_begins_at_s))
    return tuple(cases)


def recorded_cases(name: str, beats: Sequence[TrueBeat], seeds: Sequence[int], spread: float = 1.0) -> tuple[Case, ...]:
    """Take breath-holds from a recorded heart, spread evenly over the record; the motion is drawn by seed.

    Parameters
    ----------
    name
        Of the record.
    beats
        All of its beats, in seconds of the record.
    seeds
        One case for each.
    spread
        Of the rest phases, in published spreads.

    Raises
    ------
    SettingsError
        If the record is too short for one scan.

    Notes
    -----
    Nobody told the recorded patient to hold the breath: what the hold does to the rate is not in these cases.
    """
    at_s = np.array([beat.r_at_s for beat in beats])
    needed_s = BEFORE_HOLD_S + 25.0
    lasts_s = float(at_s[-1] - at_s[0]) if len(at_s) > 1 else 0.0
    if lasts_s < needed_s:
        raise SettingsError(f"{name} holds {lasts_s:.0f} s of beats; a comparison needs {needed_s:.0f} s or more.")
    cases = []
    for place, seed in enumerate(seeds):
        from_s = float(at_s[0]) + (lasts_s - needed_s) * (place + 0.5) / len(seeds)
        chosen = np.flatnonzero((at_s >= from_s) & (at_s < from_s + LONGEST_S)).tolist()
        cut = tuple(
            TrueBeat(number, float(at_s[k] - from_s), beats[k].kind, beats[k].symbol)
            for number, k in enumerate(chosen, start=1)
        )
        atria = [beat.atria for beat in cut]
        motion = MotionClock([beat.r_at_s for beat in cut], drawn_offsets(seed, spread), atria)
        cases.append(Case(f"{name} from {from_s:.0f} s", seed, cut, motion, BEFORE_HOLD_S))
    return tuple(cases)


def same_heart_cases(
    name: str, beats: tuple[TrueBeat, ...], hold_begins_at_s: float, seeds: Sequence[int], spread: float = 1.0
) -> tuple[Case, ...]:
    """Give one heart and one breath-hold, as a journal tells of them, with the motion of several drawn patients.

    Raises
    ------
    SettingsError
        If there are too few beats, or none before the breath-hold.
    """
    if len(beats) < 2 or beats[0].r_at_s > hold_begins_at_s:
        raise SettingsError(f"{name} tells of {len(beats)} beats and of none before the breath-hold; take another one.")
    at_s, atria = [beat.r_at_s for beat in beats], [beat.atria for beat in beats]
    return tuple(
        Case(
            f"{name}, rest phases {seed}",
            seed,
            beats,
            MotionClock(at_s, drawn_offsets(seed, spread), atria),
            hold_begins_at_s,
        )
        for seed in seeds
    )


# --- scans and figures -------------------------------------------------------------------------------------------


def scans(
    cases: Sequence[Case], policies: Sequence[Policy], plan: AcquisitionPlan, settings: GateSettings
) -> Iterator[tuple[Policy, Case, BeatScan]]:
    """Scan every case under every policy, case by case."""
    gates = [msgspec.structs.replace(settings, window=policy.window) for policy in policies]
    for case in cases:
        for policy, gate in zip(policies, gates, strict=True):
            scan = scan_beats(case.beats, case.motion, plan, gate, hold_begins_at_s=case.hold_begins_at_s)
            yield policy, case, scan


def figures(policy: Policy, done: Sequence[BeatScan]) -> PolicyFigures:
    """Sum up the scans of one policy."""
    whole = [one for scan in done for one in scan.whole]
    complete = [scan for scan in done if scan.ended is None]
    doses = [scan.dose_msv for scan in done]
    return PolicyFigures(
        policy=policy.name,
        scans=len(done),
        completed=len(complete),
        motion_free=sum(all(one.at_rest for one in scan.whole) for scan in complete),
        slabs_planned=sum(len(scan.plan.table_mm) for scan in done),
        slabs_exposed=len(whole),
        slabs_at_rest=sum(one.at_rest for one in whole),
        exposures=sum(len(scan.exposures) for scan in done),
        cut=sum(scan.repeats for scan in done),
        cancelled=sum(scan.cancelled for scan in done),
        phase_error_ms=spread_of([abs(one.phase_error_ms) for one in whole]),
        blur_mm=spread_of([max(one.movement_mm) for one in whole]),
        beats=spread_of([float(scan.beats) for scan in complete]),
        breath_hold_s=spread_of([scan.breath_hold_s for scan in complete]),
        dose_msv=spread_of(doses),
        mean_dose_msv=float(np.mean(doses)) if doses else 0.0,
        mean_padding_ms=float(np.mean([one.trigger.padding_ms for one in whole])) if whole else None,
        held=dict(Counter(reason for scan in done for reason in scan.held).most_common()),
        ended=dict(Counter(scan.ended for scan in done if scan.ended is not None).most_common()),
    )


def spread_of(values: Sequence[float]) -> Spread:
    """Give the median and the 5th and 95th percentile."""
    if not values:
        return Spread(None, None, None)
    low, middle, high = np.percentile(values, [5.0, 50.0, 95.0])
    return Spread(float(middle), float(low), float(high))
