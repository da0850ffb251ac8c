"""The scan told in the terminal, a line for each thing that a person would want to know, and its summary."""

from collections.abc import Callable, Mapping
from pathlib import Path

from gating.messages import (
    Armed,
    BreathHold,
    Cancel,
    ExposureReport,
    GateStatus,
    Held,
    Inhibit,
    Message,
    ScannerStatus,
    TriggerAnswer,
)
from gating.reasons import in_words

PASSING = frozenset({"moving", "armed", "booked", "exposing"})  # each step goes through all four: its report tells it


class Teller:
    """Tells what is new; the same thing is said once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._last: dict[str, str] = {}

    def tell(self, message: Message) -> None:
        """Tell one message, if it is news."""
        match message:
            case GateStatus():
                rate = "--" if message.heart_rate_bpm is None else f"{message.heart_rate_bpm:.0f} bpm"
                why = message.reasons[0] if message.reasons else ""
                self._news("gate", f"gate    {message.advice.upper():<5} {rate}", f"  {why}", key=message.advice)
            case ScannerStatus() if message.state not in PASSING:
                why = f": {in_words(message.reasons[0])}" if message.reasons else ""
                self._news("scanner", f"scanner {message.state}", why, key=message.state)
            case Armed():
                dose = message.plan.planned_dlp_mgycm * message.plan.msv_per_mgycm
                self._say(
                    f"armed   session {message.session}: {len(message.plan.table_mm)} steps, {dose:.2f} mSv planned"
                )
            case BreathHold(ended_at_ns=None):
                self._say(f"hold    the breath is held, {message.limit_s:.0f} s at most")
            case ExposureReport():
                why = f": {_words(message.reasons)}" if message.reasons else ""
                attempt = f", attempt {message.attempt}" if message.attempt > 1 else ""
                self._say(f"step {message.step + 1}  beat {message.beat}{attempt} {message.outcome}{why}")
            case Held():
                self._say(f"held    beat {message.beat}: {_words(message.reasons)}")
            case Cancel():
                self._say(f"cancel  beat {message.beat}: {_words(message.reasons)}")
            case Inhibit():
                self._say(f"INHIBIT {_words(message.reasons)}")
            case TriggerAnswer(accepted_at_ns=None):
                self._say(f"refused beat {message.beat}: {_words(message.reasons)}")
            case _:
                return

    def _news(self, what: str, text: str, more: str, *, key: str) -> None:
        if self._last.get(what) != key:
            self._last[what] = key
            self._say(text + more)


def _words(reasons: tuple[str, ...]) -> str:
    return "; ".join(map(in_words, reasons))


MADE = ("slices/", "labels.seg.dcm", "ecg.dcm", "dose.dcm", "enhanced.dcm", "scout.png")  # where the scan made them


def summary(report: Mapping[str, object], out: Path) -> list[str]:
    """Sum a report up in a few lines."""
    lines = [""]
    agatston, truth = report["agatston"], report["truth"]
    dose, latency = report["dose"], report["trigger_latency_ms"]
    if isinstance(agatston, dict) and isinstance(truth, dict) and agatston["total"] is not None:
        frozen = truth["agatston_frozen"]
        parts = ", ".join(f"{name} {value:.0f}" for name, value in agatston.items() if name != "total")
        error = report["score_error_percent"]
        beside = "the truth is 0" if error is None else f"{error:+.1f} % by motion"
        lines.append(f"Agatston {agatston['total']:.0f} ({parts}); held still {frozen['total']:.0f}: {beside}")
    else:
        lines.append(f"No total: {_missing(report)}")
    if isinstance(dose, dict):
        scout, level = dose["scout_dlp_mgycm"], dose["reference_dlp_mgycm"]
        of_it = f", {scout:.1f} for the scouts" if scout else ""
        against = "" if level is None else f" ({100 * dose['dlp_mgycm'] / level:.0f} % of the reference level)"
        lines.append(
            f"Dose     CTDIvol {dose['ctdivol_mgy']:.2f} mGy, DLP {dose['dlp_mgycm']:.1f} mGy cm{of_it}{against}, "
            f"{dose['effective_msv']:.2f} mSv (factor {dose['msv_per_mgycm']})"
        )
    if isinstance(latency, dict) and latency["n"]:
        lines.append(
            f"Latency  confirming sample to accepted trigger: median {latency['median']:.1f} ms, "
            f"max {latency['max']:.1f} ms, n = {latency['n']}"
        )
    made = [name for name in MADE if (out / name).exists()] if report["exposures"] else []
    lines.append(f"Results  {', '.join((f'{out}/report.html', 'report.json', *made, 'truth/'))}")
    return lines


def _missing(report: Mapping[str, object]) -> str:
    """Say which steps are missing, counted from 1 as everywhere else, and how it ended."""
    steps, ended = report["steps_missing"], report["ended"]
    if not isinstance(steps, list) or not steps:
        return "the series could not be scored; report.json says why."
    which = ", ".join(str(step + 1) for step in steps)
    text = f"the scan did not complete, {'step' if len(steps) == 1 else 'steps'} {which} missing."
    if isinstance(ended, dict) and ended["reasons"]:
        text += f" Last word of the scanner: {ended['state']}, {_words(tuple(ended['reasons']))}."
    return text
