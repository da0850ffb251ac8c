"""Pictures of an evaluation: errors on the trace, delays, trust, tolerances. Imported only when asked for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from gating.errors import SettingsError
from gating.evaluation import Outcome, calibration, counts_at, pooled
from gating.io.evaluate import RecordRun, prepared

mpl.use("Agg")

Floats = NDArray[np.float64]

INK, GREY, FAINT = "#1b1f24", "#6e7781", "#d0d7de"
TRUE, BAD, FIRST = "#0a7d4f", "#c4320a", "#3b6fd4"
PEERS = ("#8250df", "#bf8700", "#57606a", "#d15704", "#0e8a9c", "#a0447a")
PANELS = 6
HALF_S = 1.5
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


def draw(runs: Sequence[RecordRun], folder: Path, prefix: str = "") -> list[Path]:
    """Draw four pictures of one condition; gives their files.

    Raises
    ------
    SettingsError
        If a file cannot be written.
    """
    from matplotlib import pyplot

    first, confirmed = pooled(run.first_told for run in runs), pooled(run.confirmed for run in runs)
    peers = {name: pooled(run.peers[name] for run in runs) for name in runs[0].peers}
    written: list[Path] = []
    with mpl.rc_context(STYLE):
        figures = {
            "errors": _errors(max(runs, key=_how_bad), of=len(runs)),
            "delays": _delays(first, confirmed),
            "trust": _trust(confirmed),
            "tolerances": _tolerances(first, confirmed, peers),
        }
        for name, figure in figures.items():
            path = folder / f"{prefix}{name}.png"
            try:
                figure.savefig(path)
            except OSError as error:
                raise SettingsError(f"The file {path} cannot be written ({error.strerror}); mend --plots.") from error
            written.append(path)
            pyplot.close(figure)
    return written


def _how_bad(run: RecordRun) -> int:
    counts = counts_at(run.confirmed, 150.0)
    return counts.fn + counts.fp


# --- errors on the trace --------------------------------------------------------------------------------


def _errors(run: RecordRun, *, of: int) -> Any:
    """Show where the worst record's confirmed beats went wrong, with the ECG around."""
    from matplotlib import pyplot

    record, beats, _, _ = prepared(run.job)
    counts = counts_at(run.confirmed, 150.0)
    moments, heading = _moments(run)
    figure, axes = pyplot.subplots(max(1, (len(moments) + 1) // 2), 2, figsize=(13, 8.6), squeeze=False)
    rank, beats_scored = f", the worst of {of}" if of > 1 else "", len(run.confirmed.beat_sample)
    figure.suptitle(
        f"Record {run.name}{rank}: {counts.fn} of {beats_scored} beats missed, {counts.fp} false\n{heading}",
        x=0.015,
        ha="left",
        fontsize=13,
    )
    for axis, (at, what, colour) in zip(axes.flat, moments, strict=False):
        _panel(
            axis,
            run,
            record.microvolts[:, 0] * 1e-3,
            beats.sample.astype(np.float64),
            at,
            f"{what}, {_clock(at / run.rate_hz)}",
            colour,
        )
        axis.set_ylabel(f"{run.leads[0]}, mV")
    for axis in axes.flat[len(moments) :]:
        axis.set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel("time in the record, s")
    marks = [
        pyplot.Line2D([], [], color=INK, marker="v", linestyle="", label="annotated beat"),
        pyplot.Line2D([], [], color=TRUE, marker="^", linestyle="", label="confirmed, right"),
        pyplot.Line2D([], [], color=BAD, marker="^", linestyle="", label="confirmed, false"),
        pyplot.Line2D([], [], color=BAD, marker="v", linestyle="", label="annotated, missed"),
    ]
    figure.legend(handles=marks, loc="lower center", ncols=4, frameon=False)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    return figure


def _moments(run: RecordRun) -> tuple[list[tuple[float, str, str]], str]:
    """Choose what to show: errors spread over the record, then, where panels are left, the greatest errors of time."""
    result = run.confirmed
    missed = result.beat_sample[np.isnan(result.beat_error_ms)]
    false = result.told_sample[np.isnan(result.told_error_ms)]
    wrong = sorted([(at, "missed beat", BAD) for at in missed] + [(at, "false beat", BAD) for at in false])
    chosen = sorted({round(place) for place in np.linspace(0, len(wrong) - 1, PANELS)}) if wrong else []
    moments = [wrong[place] for place in chosen]
    found = np.flatnonzero(np.isfinite(result.beat_error_ms))
    worst = found[np.argsort(-np.abs(result.beat_error_ms[found]), kind="stable")][: PANELS - len(moments)]
    moments += [
        (float(result.beat_sample[k]), f"told {result.beat_error_ms[k]:+.1f} ms from the annotation", TRUE)
        for k in sorted(worst)
    ]
    shown = f"In the middle of the panels: {len(chosen)} of these {len(wrong)} errors"
    return moments, shown if len(chosen) == PANELS else f"{shown}, and the greatest errors of time"


def _panel(axis: Any, run: RecordRun, millivolts: Floats, beats: Floats, at: float, title: str, colour: str) -> None:
    """Draw 3 s of ECG with both kinds of marks."""
    rate = run.rate_hz
    begin, end = max(0, round(at - HALF_S * rate)), min(len(millivolts), round(at + HALF_S * rate))
    trace = millivolts[begin:end]
    axis.plot(np.arange(begin, end) / rate, trace, color=INK, linewidth=0.9)
    span = max(float(np.ptp(trace)), 0.2)
    high, low = float(trace.max()) + 0.12 * span, float(trace.min()) - 0.12 * span
    axis.axvspan((at - 0.15 * rate) / rate, (at + 0.15 * rate) / rate, color=colour, alpha=0.10, linewidth=0)
    result = run.confirmed
    missed, false = (
        result.beat_sample[np.isnan(result.beat_error_ms)],
        result.told_sample[np.isnan(result.told_error_ms)],
    )
    told = np.array([one.r_sample for one in run.decisions if one.kind == "confirmed"])
    for samples, wrong, place, marker, good in ((beats, missed, high, "v", INK), (told, false, low, "^", TRUE)):
        for sample in samples[(samples >= begin) & (samples < end)]:
            axis.plot(sample / rate, place, marker, color=BAD if sample in wrong else good, markersize=7, clip_on=False)
    axis.set_xlim(begin / rate, end / rate)
    axis.set_ylim(low - 0.08 * span, high + 0.08 * span)
    axis.set_title(title[0].upper() + title[1:])


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:04.1f} min"


# --- heaps ----------------------------------------------------------------------------------------------


def _delays(first: Outcome, confirmed: Outcome) -> Any:
    """Show how long after the annotated beat it was known."""
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(10, 5.2))
    parts = [("first word", first, FIRST), ("confirmed", confirmed, TRUE)]
    delays = [one.beat_delay_ms[np.isfinite(one.beat_delay_ms)] for _, one, _ in parts]
    both = np.concatenate([*delays, np.zeros(1)])
    low, high = np.percentile(both, 0.05) - 5.0, np.percentile(both, 99.95) + 5.0
    wide = max(2.0, float(confirmed.period_ms.max()))  # a bin narrower than a sample would show a comb
    bins = np.arange(np.floor(low / wide) * wide, high + wide, wide)
    for (name, _, colour), delay in zip(parts, delays, strict=True):
        if not len(delay):
            continue
        p50, p99 = np.percentile(delay, (50, 99))
        label = f"{name}: median {p50:.0f} ms, p99 {p99:.0f} ms, max {delay.max():.0f} ms"
        axis.hist(np.clip(delay, bins[0], bins[-1]), bins=bins, color=colour, alpha=0.75, label=label)
        axis.axvline(p50, color=colour, linewidth=1.2)
        axis.axvline(p99, color=colour, linewidth=1.2, linestyle=":")
    axis.set_yscale("log")
    axis.set_ylim(bottom=0.8)
    axis.set_xlabel("from the annotated R-peak to the sample that decided, ms")
    axis.set_ylabel(f"beats in {wide:.1f} ms")
    medians = [f"{np.median(delay):.0f} ms" if len(delay) else "never" for delay in delays]
    axis.set_title(f"Half of the beats are told within {medians[0]} of the R-peak and confirmed within {medians[1]}")
    figure.legend(frameon=False, title="solid line: median; dotted: 99 of 100 beats", loc="lower center", ncols=2)
    figure.tight_layout(rect=(0, 0.11, 1, 1))
    return figure


def _trust(confirmed: Outcome) -> Any:
    """Show trust as stated against the share of true beats, and how many beats stated it."""
    from matplotlib import pyplot

    result = calibration(confirmed)
    filled = [one for one in result.bins if one.told]
    figure, (axis, below) = pyplot.subplots(2, 1, figsize=(7, 7.6), sharex=True, gridspec_kw={"height_ratios": (3, 1)})
    axis.plot((0, 1), (0, 1), color=GREY, linewidth=1, linestyle="--", label="trust as it should be")
    spread = [1.96 * np.sqrt(max(one.true_share * (1 - one.true_share), 0.25 / one.told) / one.told) for one in filled]
    stated, share = [one.mean_trust for one in filled], [one.true_share for one in filled]
    reach = [np.minimum(share, spread), np.minimum(1 - np.array(share), spread)]
    axis.errorbar(
        stated, share, yerr=reach, fmt="o", color=TRUE, capsize=3, clip_on=False, label="confirmed beats, 95 % interval"
    )
    axis.set_ylabel("share of them that were true beats")
    axis.set_ylim(-0.03, 1.03)
    axis.set_title(
        f"Trust differs from the share of true beats by {100 * result.expected_error:.2f} points of 100 on average"
    )
    axis.legend(frameon=False, loc="lower right")
    below.bar([(one.from_trust + one.to_trust) / 2 for one in filled], [one.told for one in filled], 0.09, color=FAINT)
    for one in filled:
        below.annotate(str(one.told), ((one.from_trust + one.to_trust) / 2, one.told), ha="center", va="bottom")
    below.set_yscale("log")
    below.set_ylim(0.5, 8 * max((one.told for one in filled), default=1))
    below.set_ylabel("beats")
    below.set_xlabel("trust as stated")
    below.set_xlim(0, 1)
    figure.tight_layout()
    return figure


def _tolerances(first: Outcome, confirmed: Outcome, peers: dict[str, Outcome]) -> Any:
    """Show Se and +P against the tolerance of time."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(12, 5.2), sharey=True)
    at_ms = np.unique(np.round(np.geomspace(8.0, 150.0, 80), 1))
    lines = [("confirmed", confirmed, TRUE, 2.2), ("first word (provisional)", first, FIRST, 1.6)]
    lines += [(name, one, PEERS[k % len(PEERS)], 1.2) for k, (name, one) in enumerate(peers.items())]
    lowest = 100.0
    for name, one, colour, width in lines:
        each = [counts_at(one, tolerance_ms) for tolerance_ms in at_ms]
        shares = np.array([(c.se_percent, c.ppv_percent) for c in each])
        style = "--" if name in peers else "-"
        for axis, values in zip(axes, shares.T, strict=True):
            axis.plot(at_ms, values, style, color=colour, linewidth=width, label=name)
        if name == "confirmed":
            lowest = float(np.nanmin(np.append(shares, 99.0)))
    for axis, what in zip(axes, ("Beats found (Se)", "Told beats that are right (+P)"), strict=True):
        axis.set_xscale("log")
        axis.set_xticks((8, 16, 32, 64, 100, 150), labels=("8", "16", "32", "64", "100", "150"))
        axis.minorticks_off()
        axis.set_xlabel("tolerance of time, ms")
        axis.set_title(what)
        axis.grid(color=FAINT, linewidth=0.6)
    axes[0].set_ylabel("share, %")
    axes[0].set_ylim(max(0.0, lowest - max(1.0, 0.2 * (100.0 - lowest))), 100.1)
    figure.legend(*axes[0].get_legend_handles_labels(), frameon=False, loc="lower center", ncols=6)
    near = counts_at(confirmed, 16.0).se_percent
    figure.suptitle(
        f"{near:.1f} % of the beats are confirmed at a time within 16 ms of the annotation", x=0.015, ha="left"
    )
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    return figure
