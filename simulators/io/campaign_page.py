"""The report of a campaign."""

import html
from collections.abc import Sequence

from simulators.campaign import Campaign, Row, Summary

HEADS = ("scenario", "policy", "scanner", "complete", "score error %, mean (SD)", "worst %", "mSv", "hold s")
NOTICE = "Simulated patients and scanners. Research and engineering software, no medical device."
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:84rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "table{border-collapse:collapse}td,th{padding:.3rem .7rem;border-bottom:1px solid #d0d7de;text-align:left}"
    "td{white-space:nowrap}svg{display:block}img{max-width:100%}small{color:#57606a}"
)
WIDTH, ROW, MOST_PERCENT = 420, 18, 50.0


def page(asked: Campaign, found: list[Summary], rows: list[Row], pictures: Sequence[str]) -> str:
    """Write the report: the table, every study's score error as a dot, and the pictures by their names."""
    heads = "".join(f"<th>{html.escape(one)}</th>" for one in (*HEADS, "each study: score error, -50 to +50 %"))
    lines = []
    for one in found:
        mine = [
            row["score_error_percent"]
            for row in rows
            if (row["scenario"], row["policy"], row["scanner"]) == (one.scenario, one.policy, one.scanner)
        ]
        shown = "".join(f"<td>{html.escape(cell)}</td>" for cell in cells(one))
        lines.append(f"<tr>{shown}<td>{_dots([float(x) for x in mine if isinstance(x, int | float)])}</td></tr>")
    images = "".join(f'<p><img src="{html.escape(one)}" alt="{html.escape(one)}"></p>' for one in pictures)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(asked.name)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{html.escape(asked.name)}</h1><p>{len(rows)} whole virtual studies. "
        f"Score error: Agatston of the slices against the same heart held still.</p><table><tr>{heads}</tr>"
        f"{''.join(lines)}</table>{images}<p><small>{NOTICE}</small></p></body></html>\n"
    )


def _dots(errors: list[float]) -> str:
    """Draw each error as a dot on one line; the middle is none, what lies beyond the ends stands at them."""
    middle, half = WIDTH / 2, WIDTH / 2 - 6
    spots = (middle + half * min(max(one / MOST_PERCENT, -1.0), 1.0) for one in errors)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{ROW / 2}" r="3.5" fill="#0a7d4f" fill-opacity=".45"/>' for x in spots)
    line = f'<line x1="{middle}" x2="{middle}" y1="0" y2="{ROW}" stroke="#8c959f"/>'
    return f'<svg width="{WIDTH}" height="{ROW}" role="img" aria-label="score errors">{line}{dots}</svg>'


def cells(one: Summary) -> tuple[str, ...]:
    """Give a summary's cells, as `HEADS` names them."""
    mean, sd = one.error_mean, one.error_sd
    error = "-" if mean is None or sd is None else f"{mean:+.1f} ({sd:.1f})"
    return (
        one.scenario,
        one.policy,
        one.scanner,
        f"{one.complete}/{one.studies}",
        error,
        "-" if one.error_worst is None else f"{one.error_worst:+.1f}",
        "-" if one.dose_msv is None else f"{one.dose_msv:.2f}",
        "-" if one.breath_hold_s is None else f"{one.breath_hold_s:.1f}",
    )
