"""Pictures of a campaign. Imported only when they are drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from simulators.campaign import Campaign, Row
from simulators.io.compare_plots import COLOURS, GREY, STYLE

mpl.use("Agg")

MOST_PANELS = 6  # scenarios that find room side by side
CATEGORIES = (100.0, 400.0)  # scores at which a patient's class of risk changes, of the clinics' usual ones


def draw(asked: Campaign, rows: Sequence[Row], folder: Path) -> list[str]:
    """Draw the scores beside the truth, and the errors over the heart rate; gives the files' names."""
    from matplotlib import pyplot

    written = []
    with mpl.rc_context(STYLE):
        for name, figure in (("scores", _scores(asked, rows)), ("errors", _errors(asked, rows))):
            figure.savefig(folder / f"{name}.png")
            pyplot.close(figure)
            written.append(f"{name}.png")
    return written


def _series(asked: Campaign) -> list[tuple[str, str, str]]:
    """List what is told apart by colour: each policy on each scanner, with its name."""
    return [
        (policy, scanner.name, f"{policy}, {scanner.name}") for policy in asked.policies for scanner in asked.scanners
    ]


def _scores(asked: Campaign, rows: Sequence[Row]) -> Any:
    """Show each study's score against that of the same heart held still, one panel a scenario."""
    from matplotlib import pyplot

    shown = asked.scenarios[:MOST_PANELS]
    figure, axes = pyplot.subplots(1, len(shown), figsize=(1.5 + 4.5 * len(shown), 5.2), squeeze=False, sharey=True)
    for axis, scenario in zip(axes[0], shown, strict=True):
        most = 10.0
        for k, (policy, scanner, label) in enumerate(_series(asked)):
            pairs = [
                (row["agatston_frozen"], row["agatston"])
                for row in rows
                if (row["scenario"], row["policy"], row["scanner"]) == (scenario, policy, scanner)
            ]
            known = np.array([pair for pair in pairs if None not in pair], dtype=np.float64).reshape(-1, 2)
            most = max(most, float(known.max(initial=0.0)))
            axis.plot(*known.T, "o", ms=5, alpha=0.6, mew=0, color=COLOURS[k % len(COLOURS)], label=label)
        axis.plot((0, most), (0, most), color=GREY, lw=1)
        for edge in CATEGORIES:
            if edge < most:
                axis.axvline(edge, color=GREY, lw=0.6, ls=":")
                axis.axhline(edge, color=GREY, lw=0.6, ls=":")
        axis.set(title=scenario, xlabel="Agatston, heart held still", aspect="equal")
    axes[0, 0].set_ylabel("Agatston, as scanned")
    axes[0, 0].legend(frameon=False, fontsize=8)
    figure.suptitle(f"{asked.name}: scores; dotted: where the class changes", x=0.01, ha="left", fontsize=13)
    figure.tight_layout()
    return figure


def _errors(asked: Campaign, rows: Sequence[Row]) -> Any:
    """Show each study's score error over its heart rate, and what was not completed below."""
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(9, 5.2))
    for k, (policy, scanner, label) in enumerate(_series(asked)):
        mine = [row for row in rows if (row["policy"], row["scanner"]) == (policy, scanner)]
        known = [(row["rate_bpm"], row["score_error_percent"]) for row in mine]
        pairs = np.array([pair for pair in known if None not in pair], dtype=np.float64).reshape(-1, 2)
        lost = [row["rate_bpm"] for row in mine if not row["complete"]]
        colour = COLOURS[k % len(COLOURS)]
        text = f"{label}: {len(mine) - len(lost)} of {len(mine)} complete"
        axis.plot(*pairs.T, "o", ms=5, alpha=0.6, mew=0, color=colour, label=text)
        if lost:
            axis.plot(lost, [0.02 + 0.02 * k] * len(lost), "x", color=colour, transform=axis.get_xaxis_transform())
    axis.axhline(0.0, color=GREY, lw=1)
    axis.set(
        title=f"{asked.name}: score error; crosses: scans that did not complete", xlabel="heart rate of the story, bpm"
    )
    axis.set_ylabel("score against the heart held still, %")
    axis.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    return figure
