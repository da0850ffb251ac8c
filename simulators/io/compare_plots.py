"""Pictures of a comparison. Imported only when it is drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from gating.errors import SettingsError
from simulators.beat_scan import AT_REST_MM, BeatScan
from simulators.io.twin_scores import TwinScore

mpl.use("Agg")

INK, GREY = "#1b1f24", "#6e7781"
COLOURS = ("#0a7d4f", "#3b6fd4", "#c4320a", "#8250df", "#bf8700", "#0e8a9c", "#57606a", "#a0447a")
STYLE = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "figure.dpi": 110,
}


def draw(
    title: str, done: Mapping[str, Sequence[BeatScan]], scores: Mapping[str, Sequence[TwinScore]], folder: Path
) -> list[Path]:
    """Draw two pictures: how well the windows lay, and what the scans cost; gives their files.

    Raises
    ------
    SettingsError
        If a file cannot be written.
    """
    from matplotlib import pyplot

    written = []
    with mpl.rc_context(STYLE):
        for name, figure in (("rest", _rest(title, done)), ("cost", _cost(title, done, scores))):
            path = folder / f"{name}.png"
            try:
                figure.savefig(path)
            except OSError as error:
                raise SettingsError(f"The file {path} cannot be written ({error.strerror}); mend --out.") from error
            written.append(path)
            pyplot.close(figure)
    return written


def _rest(title: str, done: Mapping[str, Sequence[BeatScan]]) -> Any:
    """Show the share of planned slabs at rest, the phase error and the movement."""
    from matplotlib import pyplot

    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(15, 5.2))
    figure.suptitle(f"{title}: where the exposures lay", x=0.01, ha="left", fontsize=13)
    names = list(done)
    places = np.arange(len(names))
    planned = [sum(len(scan.plan.table_mm) for scan in one) for one in done.values()]
    rest = [sum(e.at_rest for scan in one for e in scan.whole) for one in done.values()]
    exposed = [sum(len(scan.whole) for scan in one) for one in done.values()]
    shares = 100 * np.array(rest) / np.maximum(planned, 1)
    left.barh(places, 100 * np.array(exposed) / np.maximum(planned, 1), color="#d0d7de", label="exposed, moving")
    bars = left.barh(places, shares, color=[COLOURS[k % len(COLOURS)] for k in range(len(names))])
    left.bar_label(bars, labels=[f"{share:.1f} %" for share in shares], padding=4, color=INK)
    left.set_yticks(places, names)
    left.invert_yaxis()
    left.set_xlim(0, 118)
    left.set_xlabel("planned slabs exposed at rest, % (grey: exposed, moving)")
    for place, (name, scans) in enumerate(done.items()):
        colour = COLOURS[place % len(COLOURS)]
        whole = [one for scan in scans for one in scan.whole]
        if not whole:
            continue
        for axis, values in (
            (middle, [one.phase_error_ms for one in whole]),
            (right, [max(one.movement_mm) for one in whole]),
        ):
            axis.ecdf(values, color=colour, label=name)
    middle.axvline(0.0, color=GREY, linewidth=0.8)
    middle.set_xlabel("centre against the middle of the patient's rest, ms")
    middle.set_ylabel("share of the exposed slabs")
    right.axvline(AT_REST_MM, color=GREY, linewidth=0.8)
    right.set_xlabel("movement during the temporal resolution, mm (line: at rest)")
    right.set_ylabel("share of the exposed slabs")
    figure.legend(*right.get_legend_handles_labels(), frameon=False, loc="upper right", ncols=min(len(names), 4))
    figure.tight_layout()
    return figure


def _cost(title: str, done: Mapping[str, Sequence[BeatScan]], scores: Mapping[str, Sequence[TwinScore]]) -> Any:
    """Show dose, beats and breath-hold of every scan, and the score error where there is one."""
    from matplotlib import pyplot

    panels: list[tuple[str, list[list[float]]]] = [
        ("dose of all scans, mSv", [[scan.dose_msv for scan in one] for one in done.values()]),
        (
            "beats of the completed scans",
            [[float(scan.beats) for scan in one if scan.ended is None] for one in done.values()],
        ),
        (
            "breath-hold of the completed scans, s",
            [[scan.breath_hold_s for scan in one if scan.ended is None] for one in done.values()],
        ),
    ]
    if any(scores.values()):
        errors = [[s.error_percent for s in scores[name] if s.error_percent is not None] for name in done]
        panels.append(("Agatston error against the still heart, %", errors))
    figure, axes = pyplot.subplots(1, len(panels), figsize=(5 * len(panels), 5.2))
    figure.suptitle(f"{title}: what the scans cost", x=0.01, ha="left", fontsize=13)
    for axis, (label, values) in zip(axes, panels, strict=True):
        for place, one in enumerate(values):
            wobble = np.linspace(-0.25, 0.25, len(one)) if len(one) > 1 else np.zeros(len(one))
            axis.scatter(one, place + wobble, s=10, alpha=0.6, color=COLOURS[place % len(COLOURS)])
        axis.set_yticks(range(len(done)), list(done) if axis is axes[0] else [""] * len(done))
        axis.set_ylim(len(done) - 0.5, -0.5)
        axis.set_xlabel(label)
    figure.tight_layout()
    return figure
