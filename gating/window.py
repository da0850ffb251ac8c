"""Prediction, rest-phase model and temporal resolution to the exposure window.

Start and centre of a window are two numbers: here a window is made from its *centre* after R, and opens half a
half-scan earlier. Padding is 0 for now, and the reconstruction is centred on the planned centre.
"""

from dataclasses import dataclass
from typing import Literal

from gating.messages import AcquisitionPlan, CardiacPhase, Steadiness
from gating.prediction import Prediction
from gating.settings import WindowSettings
from gating.units import ns_from_ms


@dataclass(frozen=True, slots=True)
class Window:
    """One exposure window, in ns of the host clock; `centre_at_ns` is its midpoint."""

    phase: CardiacPhase
    opens_at_ns: int
    centre_at_ns: int
    closes_at_ns: int
    padding_ms: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoWindow:
    """Why this beat offers no window."""

    reasons: tuple[str, ...]


def systole_centre_ms(rr_ms: float) -> float:
    """Give the centre of the end-systolic rest after R.

    References
    ----------
    Mao 2001, Invest Radiol 36:363: onsets of 100 ms exposures by heart rate, fitted as 205 + 0.12 RR; the centre lies
    50 ms later (gating.md section 4.3).
    """
    return 255.0 + 0.12 * rr_ms


def diastole_centre_ms(rr_ms: float) -> float:
    """Give the centre of the mid-diastolic rest after R.

    References
    ----------
    Otton 2013, PMC3570333: 74 % of RR at 55 bpm and 77 % at 75 bpm, linear in RR (gating.md section 4.3).
    """
    return 90.0 + 0.66 * rr_ms


def place(
    r_at_ns: int,
    prediction: Prediction | None,
    steadiness: Steadiness,
    plan: AcquisitionPlan,
    settings: WindowSettings,
    preferred: CardiacPhase | None,
) -> Window | NoWindow:
    """Place the window of the beat that began at `r_at_ns`.

    An irregular rhythm gets the absolute systolic window, which needs no prediction. Otherwise `preferred` (the phase
    that this scan began with) is kept while it fits, so that the slabs of one scan show one phase; a diastolic
    window that would not close before the earliest next R foretold gives way to systole.
    """
    if settings.phase == "absolute-systole" or (settings.phase == "auto" and steadiness == "irregular"):
        why = "irregular rhythm" if steadiness == "irregular" else "asked for by the settings"
        return _window(
            "absolute-systole", r_at_ns, settings.absolute_centre_ms, plan, settings, (f"{why}: fixed time",)
        )
    if prediction is None:
        return NoWindow(("the next RR is not known yet",))
    rate = 60_000 / prediction.rr_ms
    phase: CardiacPhase
    if settings.phase in ("systole", "diastole"):
        phase, why = settings.phase, "asked for by the settings"
    elif preferred in ("systole", "diastole"):
        phase, why = preferred, "the phase this scan began with"
    elif rate < settings.diastole_below_bpm:
        phase, why = "diastole", f"{rate:.0f} bpm is below {settings.diastole_below_bpm:.0f}"
    else:
        phase, why = "systole", f"{rate:.0f} bpm is not below {settings.diastole_below_bpm:.0f}"
    if phase == "diastole":
        centre = diastole_centre_ms(prediction.rr_ms)
        closes = centre + plan.half_scan_ms / 2
        if closes + settings.guard_before_next_r_ms <= prediction.low_ms:
            return _window("diastole", r_at_ns, centre, plan, settings, (why,))
        why = f"diastole would end {closes:.0f} ms after R, the next R may come at {prediction.low_ms:.0f} ms"
    return _window("systole", r_at_ns, systole_centre_ms(prediction.rr_ms), plan, settings, (why,))


def _window(
    phase: Literal["systole", "diastole", "absolute-systole"],
    r_at_ns: int,
    centre_ms: float,
    plan: AcquisitionPlan,
    settings: WindowSettings,
    reasons: tuple[str, ...],
) -> Window | NoWindow:
    half = plan.half_scan_ms / 2
    if centre_ms - half < settings.earliest_open_ms:
        centre_ms = settings.earliest_open_ms + half
        reasons = (
            *reasons,
            f"moved to open {settings.earliest_open_ms:.0f} ms after R, the earliest that can be booked",
        )
    return Window(
        phase=phase,
        opens_at_ns=r_at_ns + ns_from_ms(centre_ms - half),
        centre_at_ns=r_at_ns + ns_from_ms(centre_ms),
        closes_at_ns=r_at_ns + ns_from_ms(centre_ms + half),
        padding_ms=0.0,
        reasons=reasons,
    )
