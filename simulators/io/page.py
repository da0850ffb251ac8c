"""The gating part of `report.html`: planned beside true, what was held, what it cost. All text is escaped."""

import base64
from collections.abc import Mapping, Sequence
from html import escape

from gating.reasons import in_words


def appendix(report: Mapping[str, object], scouts_png: bytes | None = None) -> str:
    """Render the gating part of a report, as it stands in `report.json`, as one HTML section; the scouts go into it."""
    parts = [
        "<section><style>h3 { font-size: 13px; margin: 14px 0 4px; }</style><h2>Gating (simulated scan)</h2>",
        _verdict(report),
        _score(report),
        _rehearsal(_map(report.get("rehearsal"))),
        _overrides(_rows(report.get("overrides"))),
        _exposures(_rows(report["exposures"])),
        _held(_rows(report["held"])),
        _dose(_map(report["dose"])),
        _scout(_map(report.get("scout")), scouts_png),
        _latency(report),
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _rows(value: object) -> Sequence[Mapping[str, object]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, Sequence) else []


def _map(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _one_based(step: object) -> str:
    """Count steps from 1 for people, as the page does."""
    return str(step + 1) if isinstance(step, int) else "–"


def _number(value: object, digits: int = 0, *, sign: bool = False) -> str:
    """Format a number; a dash where it is not known."""
    if not isinstance(value, int | float):
        return "–"
    return f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    titles = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>"


def _verdict(report: Mapping[str, object]) -> str:
    story = f"Scenario {report['scenario']}, seed {report['seed']}. "
    if report["complete"]:
        return f"<p>{escape(story)}All slabs exposed, in {report['breath_holds']} breath-hold(s).</p>"
    missing = ", ".join(_one_based(step) for step in _list(report["steps_missing"]))
    ended = _words(_map(report["ended"]).get("reasons")) or "no reason was given"
    stopped = sorted({_words(row["reasons"]) for row in _rows(report["inhibits"])})
    if stopped:
        ended = f"inhibited ({' / '.join(stopped)}), then {ended}"
    text = f"{story}Not complete: step(s) {missing} missing, so there is no total. It ended because: {ended}."
    return f"<p><strong>{escape(text)}</strong></p>"


def _score(report: Mapping[str, object]) -> str:
    measured, truth = _map(report["agatston"]), _map(_map(report["truth"]).get("agatston_frozen"))
    if measured.get("total") is None:
        return ""
    head = ["Agatston", *map(str, measured)]
    rows = [
        ["beating heart", *(_number(value, 1) for value in measured.values())],
        ["held still (truth)", *(_number(truth.get(name), 1) for name in measured)],
    ]
    error = _number(report["score_error_percent"], 1, sign=True)
    return f"<h3>Score beside the truth</h3>{_table(head, rows)}<p>Error by motion: {error} %.</p>"


def _rehearsal(told: Mapping[str, object]) -> str:
    """Put what a rehearsal foretold beside what came."""
    if not told:
        return ""
    cells = []
    for name, key, digits in (
        ("beats", "beats", 0),
        ("breath-hold, s", "breath_hold_s", 1),
        ("dose, mSv", "dose_msv", 2),
    ):
        one = _map(told.get(key))
        low, high = _number(one.get("low"), digits), _number(one.get("high"), digits)
        held = {True: "yes", False: "no"}.get(one.get("held") is True) if one.get("held") is not None else "–"
        figures = (_number(one.get("predicted"), digits), f"{low} to {high}", _number(one.get("actual"), digits))
        cells.append([name, *figures, str(held)])
    advice = f"{str(told.get('advice')).upper()}: {_words(told.get('reasons'))}"
    table = _table(["", "foretold", "90 %", "came", "held"], cells)
    return f"<h3>Rehearsal beside the scan</h3><p>{escape(advice)}</p>{table}"


def _overrides(rows: Sequence[Mapping[str, object]]) -> str:
    """Name who armed against an advice, and why."""
    if not rows:
        return ""
    cells = [[str(row["name"]), str(row["reason"])] for row in rows]
    return f"<h3>Armed against the advice</h3>{_table(['by', 'because'], cells)}"


def _exposures(rows: Sequence[Mapping[str, object]]) -> str:
    if not rows:
        return "<p>There was no exposure.</p>"
    head = [
        "step",
        "beat",
        "phase",
        "planned centre, ms after R",
        "true",
        "RR foretold, ms",
        "true",
        "began, ms late",
        "at rest, foretold",
        "blur foretold, mm",
        "padding, ms",
        "outcome",
    ]
    cells = []
    for row in rows:
        centre, rr, opens = _map(row["centre_after_r_ms"]), _map(row["rr_ms"]), _map(row["opens_at_ns"])
        planned, actual = opens.get("planned"), opens.get("actual")
        late = (actual - planned) / 1e6 if isinstance(planned, int) and isinstance(actual, int) else None
        step = f"{_one_based(row['step'])}" + (f" (attempt {row['attempt']})" if row["attempt"] != 1 else "")
        figures = [
            _number(x, 0) for x in (centre.get("planned"), centre.get("true"), rr.get("predicted"), rr.get("true"))
        ]
        window = _map(row["window"])
        at_rest = window.get("at_rest")
        worth = [
            f"{100 * at_rest:.0f} %" if isinstance(at_rest, float) else "-",
            _number(window.get("blur_mm"), 1),
            _number(row["padding_ms"], 0),
        ]
        begun = _number(late, 1, sign=True)
        cells.append([step, str(row["beat"]), str(row["phase"]), *figures, begun, *worth, str(row["outcome"])])
    return f"<h3>Exposures</h3>{_table(head, cells)}"


def _held(rows: Sequence[Mapping[str, object]]) -> str:
    if not rows:
        return ""
    cells = [[str(row["beat"]), str(row["why"]), _words(row["reasons"])] for row in rows]
    return f"<h3>Beats held</h3>{_table(['beat', 'why', 'reasons'], cells)}"


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def _words(reasons: object) -> str:
    return "; ".join(in_words(str(reason)) for reason in _list(reasons))


def _dose(dose: Mapping[str, object]) -> str:
    head = ["mAs", "CTDIvol, mGy", "DLP, mGy cm", "of it the scout", "reference level", "effective, mSv"]
    names = ("mas", "ctdivol_mgy", "dlp_mgycm", "scout_dlp_mgycm", "reference_dlp_mgycm", "effective_msv")
    row = [_number(dose.get(name), 2) for name in names]
    source = f"Factor {dose.get('msv_per_mgycm')} mSv/(mGy cm): {dose.get('msv_factor_source')}."
    return f"<h3>Dose, every exposure counted</h3>{_table(head, [row])}<p>{escape(source)}</p>"


def _scout(scout: Mapping[str, object], picture: bytes | None) -> str:
    if not scout:
        return ""
    low, high = (_number(one) for one in _list(scout["range_mm"]))
    read = f"Range {low} to {high} mm, field of view {_number(scout['fov_mm'])} mm"
    water = (_number(scout[name]) for name in ("water_front_to_back_mm", "water_side_to_side_mm"))
    text = f"{read}; the body is {' x '.join(water)} mm of water through the heart."
    data = "" if picture is None else base64.b64encode(picture).decode()  # the page loads nothing
    image = f'<p><img src="data:image/png;base64,{data}" alt="Scouts with the range" style="max-width:100%"></p>'
    return f"<h3>Planned on scouts</h3><p>{escape(text)}</p>{image if data else ''}"


def _latency(report: Mapping[str, object]) -> str:
    rows = []
    for name, key in (
        ("sample that confirmed the beat to accepted", "trigger_latency_ms"),
        ("R-peak to accepted", "r_to_accept_ms"),
    ):
        one = _map(report[key])
        rows.append([name, _number(one.get("n")), _number(one.get("median"), 1), _number(one.get("max"), 1)])
    return f"<h3>Latency</h3>{_table(['ms', 'n', 'median', 'max'], rows)}"
