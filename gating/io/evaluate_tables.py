"""The tables of an evaluation on the terminal."""

from collections.abc import Callable, Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from gating.evaluation import Figures
from gating.io.evaluate_report import Average, EvaluationReport, RecordReport, RunReport, Scores

LEAST_WIDTH = 120  # in columns: a narrower terminal wraps the lines, and nothing is cut off


def console() -> Console:
    """Make the console for the tables, wide enough for all their columns."""
    return Console(highlight=False, width=max(Console().width, LEAST_WIDTH))


def show(report: EvaluationReport, out: Console) -> None:
    """Print everything."""
    for run in report.runs:
        _title(run, out)
        stages: tuple[tuple[str, Callable[[Scores], Figures]], ...] = (
            ("Confirmed beats", lambda scores: scores.confirmed),
            ("First word (provisional, or confirmed at once)", lambda scores: scores.provisional),
        )
        for (title, choose), mean in zip(stages, ("confirmed", "provisional"), strict=True):
            out.print(_stage(title, run, choose, run.average[mean]))
        out.print(_permission(run))
        out.print(_tolerances(run))
        out.print(_trust(run))
        if run.gross.peers:
            out.print(_peers(run))
            out.print(_peers_at_tolerances(run))
            out.print(_peers_by_record(run.records))
        for note in dict.fromkeys(note for one in run.records for note in one.notes):
            out.print(f"Note: {note}", soft_wrap=True)
    if len(report.runs) > 1:
        out.print(_by_noise(report.runs))


def _title(run: RunReport, out: Console) -> None:
    beats = run.gross.confirmed.beats
    noise = "" if run.noise is None else f", noise {run.noise} at {run.snr_db:g} dB"
    count = len(run.records)
    out.print(f"\n{count} record{'s' * (count > 1)}, {beats} annotated beats scored{noise}", style="bold")


def _table(title: str, columns: Iterable[str]) -> Table:
    """Make a table whose first column is text and whose others are numbers."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=True)
    return table


def _stage(title: str, run: RunReport, choose: Callable[[Scores], Figures], mean: Average) -> Table:
    """Per record, gross and average: counts, delays, errors of time."""
    columns = ("record", "beats", "FN", "FP", "Se %", "+P %")
    delays = ("delay p50", "p95", "p99", "max")
    errors = ("error mean", "p50", "SD", "|p95|", "≤ 1 smp %")
    table = _table(f"{title}, within 150 ms; delay of the word and error of its R in ms", columns + delays + errors)
    for record in run.records:
        table.add_row(record.name, *_stage_row(choose(record.scores)))
    table.add_section()
    table.add_row("gross", *_stage_row(choose(run.gross)))
    table.add_row("average", "", "", "", _share(mean.se_percent), _share(mean.ppv_percent))
    return table


def _stage_row(one: Figures) -> list[str]:
    delay, error = one.delay, one.error
    counts = [str(one.beats), str(one.counts.fn), str(one.counts.fp)]
    shares = [_share(one.counts.se_percent), _share(one.counts.ppv_percent)]
    delays = [_ms(value) for value in (delay.median_ms, delay.p95_ms, delay.p99_ms, delay.max_ms)]
    errors = [error.bias_ms, error.median_ms, error.sd_ms, error.p95_abs_ms]
    return counts + shares + delays + [_ms(value) for value in errors] + [_ms(error.within_one_sample_percent)]


def _permission(run: RunReport) -> Table:
    """Per record and gross: armed beats, premature beats known in time, trust."""
    columns = ("record", "armed", "+P of armed %", "true beats armed %", "premature")
    table = _table(
        "Armed beats, premature beats, trust", (*columns, "known ≤ 35 ms %", "known ≤ 85 ms %", "trust off by %")
    )
    for name, scores in [(one.name, one.scores) for one in run.records] + [("gross", run.gross)]:
        if name == "gross":
            table.add_section()
        early = scores.premature
        table.add_row(
            name,
            str(scores.armed.armed),
            _share(scores.armed.ppv_percent),
            _share(scores.armed.share_of_beats_percent),
            str(early.beats),
            _ms(early.known_35_ms_percent),
            _ms(early.known_85_ms_percent),
            _share(100.0 * scores.trust.expected_error),
        )
    return table


def _tolerances(run: RunReport) -> Table:
    """Gross, at every tolerance, both stages."""
    heads = ("confirmed FN", "FP", "Se %", "+P %", "first word FN", "FP", "Se %", "+P %")
    table = _table("At tighter tolerances, gross", ("tolerance", *heads))
    for pair in zip(run.gross.confirmed.tolerances, run.gross.provisional.tolerances, strict=True):
        cells = [(str(c.fn), str(c.fp), _share(c.se_percent), _share(c.ppv_percent)) for c in pair]
        table.add_row(f"{pair[0].tolerance_ms:g} ms", *cells[0], *cells[1])
    return table


def _peers_at_tolerances(run: RunReport) -> Table:
    """Gross, at every tolerance: Se and +P beside the peers', whose offsets are not taken out."""
    heads = [f"{counts.tolerance_ms:g} ms" for counts in run.gross.confirmed.tolerances]
    table = _table("Peers at tighter tolerances, gross: Se % / +P %", ("detector", *heads))
    for name, one in {"ours, confirmed": run.gross.confirmed, **run.gross.peers}.items():
        table.add_row(name, *(f"{_share(c.se_percent)} / {_share(c.ppv_percent)}" for c in one.tolerances))
    return table


def _trust(run: RunReport) -> Table:
    """Trust as stated against the share of true beats."""
    table = _table("Trust of confirmed beats, gross", ("trust", "beats", "stated, mean %", "true %"))
    for one in (one for one in run.gross.trust.bins if one.told):
        shares = (_share(100.0 * one.mean_trust), _share(100.0 * one.true_share))
        table.add_row(f"{one.from_trust:.1f} to {one.to_trust:.1f}", str(one.told), *shares)
    return table


def _peers(run: RunReport) -> Table:
    """Ours, causal on all leads chosen, beside the peers, offline on the first."""
    columns = ("detector", "FN", "FP", "Se %", "+P %", "mean Se %", "mean +P %")
    errors = ("error mean", "SD", "SD centred", "|p95|", "≤ 1 smp %")
    table = _table("Peers (offline, whole record, first lead) beside ours (one causal pass), gross", columns + errors)
    for name, one in {"ours, confirmed": run.gross.confirmed, **run.gross.peers}.items():
        mean = run.average["confirmed" if name.startswith("ours") else name]
        error = one.error
        table.add_row(
            name,
            str(one.counts.fn),
            str(one.counts.fp),
            *(_share(v) for v in (one.counts.se_percent, one.counts.ppv_percent, mean.se_percent, mean.ppv_percent)),
            *(_ms(value) for value in (error.bias_ms, error.sd_ms, error.sd_centred_ms, error.p95_abs_ms)),
            _ms(error.within_one_sample_percent),
        )
    return table


def _peers_by_record(records: Sequence[RecordReport]) -> Table:
    names = list(records[0].scores.peers)
    table = _table("Peers by record: FN + FP", ("record", "ours, confirmed", *names))
    for record in records:
        each = [record.scores.confirmed, *(record.scores.peers[name] for name in names)]
        table.add_row(record.name, *(f"{one.counts.fn} + {one.counts.fp}" for one in each))
    return table


def _by_noise(runs: Sequence[RunReport]) -> Table:
    """Give Se / +P by ratio, ours beside the peers."""
    table = _table(f"Noise {runs[0].noise}, gross: Se % / +P %", ("detector", *(f"{run.snr_db:g} dB" for run in runs)))
    rows: list[tuple[str, Callable[[Scores], Figures]]] = [
        ("ours, confirmed", lambda scores: scores.confirmed),
        ("ours, provisional", lambda scores: scores.provisional),
        *((name, lambda scores, name=name: scores.peers[name]) for name in runs[0].gross.peers),
    ]
    for name, choose in rows:
        each = [choose(run.gross).counts for run in runs]
        table.add_row(name, *(f"{_share(c.se_percent)} / {_share(c.ppv_percent)}" for c in each))
    shares = [(run.gross.armed.share_of_beats_percent, run.gross.armed.ppv_percent) for run in runs]
    table.add_row("ours, armed", *(f"{_share(share)} / {_share(ppv)}" for share, ppv in shares))
    return table


def _share(value: float) -> str:
    """Write a percentage; a dash where there is none."""
    return "-" if value != value else f"{value:.2f}"  # noqa: PLR0124 - only NaN differs from itself


def _ms(value: float) -> str:
    """Write a number with one decimal; a dash where there is none."""
    return "-" if value != value else f"{value:.1f}"  # noqa: PLR0124 - only NaN differs from itself
