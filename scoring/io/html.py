"""`report.html`: one page width that a cardiologist reads and prints; self-contained, every text escaped."""

import base64
from collections.abc import Mapping, Sequence
from html import escape

import msgspec

from scoring.io.png import VESSEL_COLOURS, WINDOW_CENTRE_HU, WINDOW_WIDTH_HU, lesion_picture, main_slice
from scoring.io.words import findings_in_words, quality_rows, standing_in_words, state_of, very_high_in_words
from scoring.lesions import Lesion
from scoring.report import LesionEntry, ScoreReport, SumEntry
from scoring.score import Score
from scoring.standing import Standing
from scoring.volume import Refusal, Volume

MAX_PICTURES = 60  # of one page
MAX_LESIONS = 300  # rows of the table; only noise gives so many, and `score.json` holds all
MAX_CANDIDATES = 40  # rows of candidates on the page; `score.json` holds all

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 14px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: #1b1f24; background: #fff;
  max-width: 860px; margin: 0 auto; padding: 24px; }
h1 { font-size: 22px; margin: 0; } h2 { font-size: 15px; margin: 24px 0 8px; border-bottom: 1px solid #d0d7de; }
header { display: flex; justify-content: space-between; align-items: baseline; gap: 12px; flex-wrap: wrap; }
.badge { border: 2px solid #9a6700; color: #7a5200; border-radius: 4px; padding: 0 8px; font-weight: 700; }
.badge.draft { border-color: #b42318; color: #b42318; } .state { color: #57606a; }
.statement { color: #57606a; margin: 2px 0 14px; }
.cards { display: grid; grid-template-columns: minmax(0, 1.3fr) repeat(3, minmax(0, 1fr)); gap: 10px; }
.card { border: 1px solid #d0d7de; border-radius: 6px; padding: 8px 12px; }
.card b { display: block; font-size: 24px; line-height: 1.25; font-variant-numeric: tabular-nums; white-space: nowrap; }
.card.first b { font-size: 38px; } .card small { color: #57606a; }
.refused { border: 2px solid #b42318; border-radius: 6px; padding: 8px 14px; margin: 12px 0; }
.refused strong { color: #b42318; } .refused ul { margin: 4px 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 3px 8px; border-bottom: 1px solid #eaeef2; }
th { color: #57606a; font-weight: 600; } th:first-child, td:first-child { text-align: left; }
td { white-space: nowrap; } .settings td { white-space: normal; overflow-wrap: anywhere; }
tr.total td { font-weight: 700; border-top: 2px solid #1b1f24; }
.settings td, .settings th { text-align: left; padding: 1px 8px; font-size: 12px; }
.columns { display: grid; grid-template-columns: 1fr 1fr; gap: 0 24px; align-items: start; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(175px, 1fr)); gap: 12px; }
figure { margin: 0; border: 1px solid #d0d7de; border-radius: 6px; overflow: hidden; break-inside: avoid; }
figure img { display: block; width: 100%; height: auto; background: #000; }
figcaption { padding: 5px 8px 7px; font-size: 12px; line-height: 1.4; }
figcaption b { font-size: 13px; }
.dot { display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 5px; }
ul.notes { margin: 4px 0; padding-left: 18px; } .hint { color: #57606a; font-size: 12px; margin: 4px 0; }
footer { margin-top: 24px; color: #57606a; font-size: 12px; border-top: 1px solid #d0d7de; padding-top: 6px; }
@media (max-width: 640px) { .cards { grid-template-columns: 1fr 1fr; } .columns { grid-template-columns: 1fr; } }
@media print { @page { size: A4; margin: 12mm; } body { padding: 0; max-width: none; font-size: 11px; }
  .card b { font-size: 18px; } .card.first b { font-size: 28px; } h2 { margin-top: 12px; break-after: avoid; }
  .figures { grid-template-columns: repeat(5, minmax(0, 1fr)); gap: 8px; }
  figcaption, figcaption b { font-size: 9.5px; } figcaption { padding: 3px 6px; }
  th, td { padding: 1px 8px; } .settings td, .settings th { font-size: 9.5px; padding: 0 6px; }
  tr { break-inside: avoid; } * { print-color-adjust: exact; } }
"""


def render(report: ScoreReport, outcome: Score | Refusal, volume: Volume | None, appendix: str = "") -> str:
    """Render the page; the numbers come from the report, the pictures from the volume and the lesions.

    `appendix` is HTML that stands below the score as it is; its maker has escaped it.
    """
    lesions: tuple[Lesion, ...] = () if isinstance(outcome, Refusal) else outcome.lesions
    others: tuple[Lesion, ...] = () if isinstance(outcome, Refusal) else outcome.candidates
    body = [
        f"<header><h1>Coronary calcium score</h1>{_badges(report)}</header>",
        f'<p class="statement">{escape(report.statement)}</p>',
        _reasons(report),
        _cards(report) if report.status == "scored" else "",
        _very_high(report),
        _list("In words", findings_in_words(report)),
        _standing(report.standing),
        _vessel_table(report),
        _quality(report),
        _figures("Pictures", report.lesions, lesions, volume),
        _lesion_table("Lesions", report.lesions, MAX_LESIONS),
        _candidates(report),
        # with a total, what lies outside the map is bone and the like; without one, a reader needs to see it
        "" if report.status == "scored" else _figures("Pictures of candidates", report.candidates, others, volume),
        _definitions(report),
        _list("Notes", report.notes),
        appendix,
        _facts(report),
    ]
    version = escape(f"Diastole {report.diastole_version}, {report.schema}. {report.statement}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">"
        f"<title>Coronary calcium score</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + f"\n<footer>{version}</footer>\n</body></html>\n"
    )


def _badges(report: ScoreReport) -> str:
    """Mark what is simulated and what nobody has confirmed; name who confirmed the rest."""
    simulated = '<span class="badge">SIMULATED</span>' if report.simulated else ""
    kind = "badge draft" if report.draft else "state"
    return f'{simulated}<span class="{kind}">{escape(state_of(report))}</span>'


def _reasons(report: ScoreReport) -> str:
    """Box with the reasons why there is no number."""
    if not report.reasons:
        return ""
    title = "Not scored" if report.status == "refused" else "No total"
    items = "".join(f"<li>{escape(reason)}</li>" for reason in report.reasons)
    return f'<div class="refused"><strong>{title}</strong><ul>{items}</ul></div>'


def _cards(report: ScoreReport) -> str:
    """Show the number, its class, CAC-DRS and the volume, large."""
    total = report.score.total
    volume = "" if total is None else f"{total.volume_mm3:.1f} mm³"
    grade = (report.cac_drs or "").removeprefix("CAC-DRS ")
    cards = (
        ("card first", report.score.shown or "", "Agatston score"),
        ("card", report.category or ("" if total is None else "none"), "Class"),
        ("card", grade, "CAC-DRS"),
        ("card", volume, f"Volume ({report.score.volume_mode})"),
    )
    inner = "".join(
        f'<div class="{kind}"><small>{escape(name)}</small><b>{escape(text)}</b></div>' for kind, text, name in cards
    )
    return f'<div class="cards">{inner}</div>'


def _very_high(report: ScoreReport) -> str:
    """Box of a very high score: it must not be overlooked."""
    words = very_high_in_words(report)
    return "" if words is None else f'<div class="refused"><strong>{escape(words)}</strong></div>'


def _standing(standing: Standing | None) -> str:
    """Say what it means for the person, as a list."""
    return "" if standing is None else _list("For this person", standing_in_words(standing))


def _quality(report: ScoreReport) -> str:
    """Tabulate the quality of the images."""
    if report.quality is None:
        return ""
    return _fact_table("Quality of the images", dict(quality_rows(report.quality)))


def _definitions(report: ScoreReport) -> str:
    """Tabulate what the definitions in use make of the same series."""
    if not report.by_definition:
        return ""
    massed = any(row.mass_mg is not None for row in report.by_definition)
    rows = []
    for row in report.by_definition:
        mass = f"<td>{row.mass_mg:.2f}</td>" if row.mass_mg is not None else ""
        name = escape(row.definition) + (" (this report)" if row.definition == report.score.definition else "")
        rows.append(
            f"<tr><td>{name}</td><td>{row.agatston:.1f}</td><td>{escape(row.category or 'none')}</td>"
            f"<td>{row.volume_mm3:.1f}</td>{mass}<td>{escape(row.rule)}</td></tr>"
        )
    mass = "<th>Mass mg</th>" if massed else ""
    head = (
        "<tr><th>Definition</th><th>Agatston</th><th>Class</th>"
        f"<th>Volume mm³ ({report.score.volume_mode})</th>{mass}<th>An island has</th></tr>"
    )
    hint = "What is published of each definition, all else as in the settings; no vendor's program was run."
    return f'<h2>Side by side</h2><p class="hint">{hint}</p><table>{head}{"".join(rows)}</table>'


def _dot(vessel: str | None) -> str:
    """Coloured dot of a vessel; the name always stands beside it."""
    return f'<span class="dot" style="background:{VESSEL_COLOURS.get(vessel, VESSEL_COLOURS[None])}"></span>'


def _vessel_table(report: ScoreReport) -> str:
    """Tabulate the vessels and the total."""
    total = report.score.total
    if total is None:
        return ""

    def row(name: str, part: SumEntry, kind: str = "") -> str:
        mass = f"<td>{part.mass_mg:.2f}</td>" if part.mass_mg is not None else ""
        cells = (
            f"<td>{part.agatston:.1f}</td><td>{part.volume_mm3:.1f}</td>{mass}"
            f"<td>{part.lesions}</td><td>{part.pixels}</td>"
        )
        return f"<tr{kind}><td>{name}</td>{cells}</tr>"

    rows = [row(_dot(name) + escape(name), part) for name, part in report.score.by_vessel.items()]
    rows.append(row("Total", total, ' class="total"'))
    mass = "<th>Mass mg</th>" if total.mass_mg is not None else ""
    head = f"<tr><th>Vessel</th><th>Agatston</th><th>Volume mm³</th>{mass}<th>Lesions</th><th>Pixels</th></tr>"
    return f"<h2>Vessels</h2><table>{head}{''.join(rows)}</table>"


def _figures(title: str, entries: Sequence[LesionEntry], lesions: Sequence[Lesion], volume: Volume | None) -> str:
    """Picture of every lesion, the island outlined."""
    if not entries or volume is None:
        return ""
    figures = []
    for entry, lesion in list(zip(entries, lesions, strict=True))[:MAX_PICTURES]:
        data = base64.b64encode(lesion_picture(volume, lesion)).decode()
        index = main_slice(lesion)
        vessel = entry.vessel or "no vessel"
        count = len({island.slice for island in entry.islands})
        spans = "1 slice" if count == 1 else f"{count} slices"
        figures.append(
            f'<figure><img width="320" height="320" alt="Lesion {entry.number}, {escape(vessel)}, slice {index + 1}" '
            f'src="data:image/png;base64,{data}"><figcaption><b>{_dot(entry.vessel)}{entry.number} · '
            f"{escape(vessel)} · {entry.agatston:.1f}</b><br>"
            f"{spans}; here {index + 1}, at {volume.positions_mm[index]:.1f} mm<br>"
            f"peak {entry.peak_hu:.0f} HU, weight {entry.weight}</figcaption></figure>"
        )
    left = len(entries) - len(figures)
    more = f" The first {MAX_PICTURES} are shown; {left} more are listed." if left else ""
    hint = (
        f"Window {WINDOW_WIDTH_HU:.0f} / {WINDOW_CENTRE_HU:.0f} HU; the outline runs outside the counted pixels. "
        f"Agatston score behind each name. x to the left, y to the back, z to the head.{more}"
    )
    return f'<h2>{title}</h2><p class="hint">{hint}</p><div class="figures">{"".join(figures)}</div>'


def _lesion_table(title: str, entries: Sequence[LesionEntry], limit: int) -> str:
    """Tabulate lesions."""
    if not entries:
        return ""
    rows = []
    for entry in entries[:limit]:
        slices = sorted({island.slice + 1 for island in entry.islands})
        span = f"{slices[0]}–{slices[-1]}" if len(slices) > 1 else f"{slices[0]}"
        area = sum(island.area_mm2 for island in entry.islands)
        x, y, z = (round(value, 1) + 0.0 for value in entry.centre_mm)  # + 0.0: never minus zero
        rows.append(
            f"<tr><td>{_dot(entry.vessel)}{entry.number}</td><td>{escape(entry.vessel or '–')}</td><td>{span}</td>"
            f"<td>{area:.1f}</td><td>{entry.peak_hu:.0f}</td><td>{entry.weight}</td><td>{entry.agatston:.1f}</td>"
            f"<td>{entry.volume_mm3:.1f}</td><td>{x:.1f}, {y:.1f}, {z:.1f}</td></tr>"
        )
    head = (
        "<tr><th>No.</th><th>Vessel</th><th>Slices</th><th>Area mm²</th><th>Peak HU</th><th>Weight</th>"
        "<th>Agatston</th><th>Volume mm³</th><th>Centre x, y, z mm</th></tr>"
    )
    left = len(entries) - len(rows)
    more = f'<p class="hint">{left} more are listed in score.json.</p>' if left else ""
    return f"<h2>{title}</h2><table>{head}{''.join(rows)}</table>{more}"


def _candidates(report: ScoreReport) -> str:
    """Name what was found outside the map; without a map, list it."""
    count = len(report.candidates)
    if not count:
        return ""
    if report.score.total is not None:
        return (
            f'<p class="hint">{count} further bright structure(s) outside the vessel map (bone, valves) '
            "are listed in score.json and not scored.</p>"
        )
    return _lesion_table("Candidates, not scored", report.candidates, MAX_CANDIDATES)


def _list(title: str, texts: Sequence[str]) -> str:
    """Headed list of sentences."""
    if not texts:
        return ""
    return f'<h2>{title}</h2><ul class="notes">{"".join(f"<li>{escape(text)}</li>" for text in texts)}</ul>'


def _facts(report: ScoreReport) -> str:
    """Show settings and provenance side by side, small."""
    parts = [("Settings", msgspec.to_builtins(report.settings))]
    if report.provenance is not None:
        parts.append(("Series", msgspec.to_builtins(report.provenance)))
    if report.acquisition is not None:
        facts = msgspec.to_builtins(report.acquisition)
        parts.append(("Acquisition", {key: value for key, value in facts.items() if key != "notes"}))
    half = [_fact_table(*part) for part in parts]
    return f'<div class="columns"><div>{half[0]}</div><div>{"".join(half[1:])}</div></div>'


def _fact_table(title: str, facts: Mapping[str, object]) -> str:
    """Tabulate names and values."""

    def text(value: object) -> str:
        if value is None:
            return "–"
        if isinstance(value, (list, tuple)):
            return ", ".join(text(item) for item in value)
        if isinstance(value, bool):
            return "yes" if value else "no"
        return f"{value:g}" if isinstance(value, float) else str(value)

    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text(value))}</td></tr>" for name, value in facts.items())
    return f'<h2>{title}</h2><table class="settings">{rows}</table>'
