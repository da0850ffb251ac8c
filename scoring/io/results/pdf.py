"""`report.pdf`: the HTML page set on A4, the same bytes for the same input; every page says what it is and whose.

The blocks come from the page itself (`blocks.py`), so a new table or list there is in the PDF without a line here.
Order: what a cardiologist reads first (score, person, vessels, notes), then pictures, then lists, settings last.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from pydicom.dataset import Dataset
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, Image, KeepTogether, PageTemplate, Paragraph, Spacer
from reportlab.platypus import Table as Grid

from scoring.io.html import render
from scoring.io.results.blocks import Node, read_page
from scoring.io.results.letters import BOLD, LACKING, REGULAR, lacks, printable, register_fonts
from scoring.io.scored_series import ScoredSeries
from scoring.io.words import DRAFT, state_of
from scoring.report import ScoreReport

MARGIN, HEAD, FOOT = 14 * mm, 27 * mm, 17 * mm
WIDTH = A4[0] - 2 * MARGIN
HEIGHT = A4[1] - HEAD - FOOT
FIGURES_A_ROW = 5
LAST = ("Pictures", "Lesions", "Candidates", "Settings")  # sections after those that are read first
INK, GREY, LINE = HexColor("#1b1f24"), HexColor("#57606a"), HexColor("#d0d7de")
RED, AMBER = HexColor("#b42318"), HexColor("#7a5200")


def _style(size: float, font: str = REGULAR, colour: HexColor = INK, **more: object) -> ParagraphStyle:
    """Make a style of one size."""
    return ParagraphStyle("", fontName=font, fontSize=size, leading=size * 1.32, textColor=colour, **more)


BODY, SMALL, TINY = _style(8.5), _style(7.5, colour=GREY), _style(6.6)
LABEL, BIG, BIGGER = _style(7, colour=GREY), _style(15, BOLD), _style(24, BOLD)
TITLE = _style(10.5, BOLD, spaceBefore=7, spaceAfter=2.5, keepWithNext=1)


@dataclass(frozen=True, slots=True)
class Marks:
    """What stands on every page."""

    draft: bool
    simulated: bool
    state: str
    statement: str
    patient: str  # identifiers, never a name


def make_pdf(scored: ScoredSeries, evidence: Sequence[Dataset], page: str | None = None) -> bytes:
    """Make the PDF of a score, of a series without a total, or of a refusal.

    Parameters
    ----------
    scored
        The score; text and numbers come from its report by way of the HTML page.
    evidence
        Headers of the slices: patient ID, accession number and study date stand on every page; empty for a series that
        never became a volume.
    page
        The HTML page, when it is made already.
    """
    register_fonts()
    report = scored.report
    body = read_page(page or render(report, scored.outcome, scored.volume))
    flow = [] if report.draft else [Paragraph(escape(printable(state_of(report))), BODY), Spacer(0, 5)]
    flow += [one for section in _sections(body) for one in _section(section)]
    if lacks(body.text + state_of(report)):
        flow.append(Paragraph(LACKING, SMALL))
    marks = _marks(report, evidence)
    target = io.BytesIO()
    frame = Frame(MARGIN, FOOT, WIDTH, HEIGHT, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)
    document = BaseDocTemplate(
        target, pagesize=A4, pageTemplates=[PageTemplate(frames=[frame])], title="Coronary calcium score",
        author="Diastole", subject=report.statement, invariant=1,
    )  # fmt: skip

    def canvas(*arguments: object, **options: object) -> Canvas:
        return _Counted(*arguments, marks=marks, **options)

    document.build(flow, canvasmaker=canvas)
    return target.getvalue()


class _Counted(Canvas):  # type: ignore[misc]  # reportlab has no types
    """A canvas that waits with its pages until their number is known, then marks each."""

    def __init__(self, *arguments: object, marks: Marks, **options: object) -> None:
        super().__init__(*arguments, **options)
        self._marks = marks
        self._waiting: list[dict[str, object]] = []

    def showPage(self) -> None:  # noqa: N802  # reportlab's name
        """Keep a page."""
        self._waiting.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        """Mark and write all pages."""
        for number, page in enumerate(self._waiting, 1):
            self.__dict__.update(page)
            _mark(self, self._marks, number, len(self._waiting))
            super().showPage()
        super().save()


def _mark(canvas: Canvas, marks: Marks, number: int, of: int) -> None:
    """Draw head and foot of one page."""
    top, right = A4[1] - 14 * mm, A4[0] - MARGIN
    canvas.setFillColor(INK)
    canvas.setFont(BOLD, 13)
    canvas.drawString(MARGIN, top, "Coronary calcium score")
    for text, colour, wanted in ((DRAFT, RED, marks.draft), ("SIMULATED", AMBER, marks.simulated)):
        if wanted:
            width = canvas.stringWidth(text, BOLD, 9.5) + 10
            canvas.setStrokeColor(colour)
            canvas.setFillColor(colour)
            canvas.setLineWidth(1.2)
            canvas.roundRect(right - width, top - 4, width, 15, 2.5)
            canvas.setFont(BOLD, 9.5)
            canvas.drawString(right - width + 5, top, text)
            right -= width + 6
    canvas.setFillColor(GREY)
    canvas.setFont(REGULAR, 7.5)
    canvas.drawString(MARGIN, top - 14, _fitted(canvas, marks.patient, WIDTH))
    canvas.setStrokeColor(LINE)
    canvas.setLineWidth(0.6)
    canvas.line(MARGIN, top - 20, A4[0] - MARGIN, top - 20)
    canvas.line(MARGIN, FOOT - 3, A4[0] - MARGIN, FOOT - 3)
    canvas.setFillColor(RED if marks.draft else INK)
    canvas.setFont(BOLD, 7.5)
    canvas.drawString(MARGIN, FOOT - 14, _fitted(canvas, marks.state, WIDTH))
    canvas.setFillColor(GREY)
    canvas.setFont(REGULAR, 7.5)
    canvas.drawRightString(A4[0] - MARGIN, FOOT - 25, f"Page {number} of {of}")
    canvas.drawString(MARGIN, FOOT - 25, marks.statement)


def _fitted(canvas: Canvas, text: str, width: float) -> str:
    """Shorten a text that would leave the page; its whole stands at the head of the first page or in score.json."""
    if canvas.stringWidth(text, BOLD, 7.5) <= width:
        return text
    while text and canvas.stringWidth(text + "…", BOLD, 7.5) > width:
        text = text[:-1]
    return text + "…"


def _marks(report: ScoreReport, evidence: Sequence[Dataset]) -> Marks:
    """Collect what stands on every page."""
    patient = "No images could be read as a volume, so this page belongs to no patient by itself."
    if evidence:
        header = evidence[0]
        day = str(header.get("StudyDate") or "")
        values = (
            ("Patient ID", header.get("PatientID")),
            ("Accession", header.get("AccessionNumber")),
            ("Study date", f"{day[:4]}-{day[4:6]}-{day[6:]}" if len(day) == 8 else day),
        )
        patient = " · ".join(f"{name} {value or '(none)'}" for name, value in values)
    return Marks(report.draft, report.simulated, printable(state_of(report)), report.statement, printable(patient))


def _sections(body: Node) -> list[list[Node]]:
    """Part the page at its headings and put what is read first first."""
    sections: list[list[Node]] = [[]]
    for node in body.children:
        if not isinstance(node, Node) or node.tag == "header" or "statement" in node.classes:
            continue  # head and foot of every page say it
        if node.tag in {"h2", "footer"} or "columns" in node.classes:
            sections.append([])
        sections[-1].append(node)
    return sorted((one for one in sections if one), key=_rank)


def _rank(section: list[Node]) -> int:
    """Rank a section; those of one rank keep the page's order."""
    if section[0].tag == "footer" or "columns" in section[0].classes:
        return 2
    return int(section[0].tag == "h2" and section[0].text.startswith(LAST))


def _section(nodes: list[Node]) -> list[Flowable]:
    """Set a section; its heading stays with what follows."""
    flow = [one for node in nodes for one in _set(node)]
    if nodes[0].tag == "h2" and len(flow) > 1:
        return [KeepTogether(flow[:2]), *flow[2:]] if isinstance(flow[1], Paragraph) else flow
    return flow


def _set(node: Node) -> list[Flowable]:
    """Set one block of the page."""
    if node.tag == "h2":
        return [Paragraph(_words(node), TITLE)]
    if node.tag == "table":
        return [_table(node)]
    if node.tag == "ul":
        return [Paragraph(_words(item), BODY, bulletText="•") for item in node.nodes("li")]
    if "cards" in node.classes:
        return [_cards(node), Spacer(0, 4)]
    if "refused" in node.classes:
        return [_refused(node), Spacer(0, 4)]
    if "figures" in node.classes:
        return _figures(node)
    if "columns" in node.classes:
        return _columns(node)
    inner = [child for child in node.children if isinstance(child, Node) and child.tag in {"div", "table", "ul", "h2"}]
    if inner:
        return [one for child in inner for one in _set(child)]
    small = node.tag == "footer" or "hint" in node.classes
    return [Paragraph(_words(node), SMALL if small else BODY)] if node.text.strip() else []


def _words(node: Node) -> str:
    """Give the text of a node as reportlab's markup, with the coloured dot of a vessel."""
    dots = [one for one in node.nodes("span") if "dot" in one.classes]
    colour = dots[0].attributes.get("style", "").removeprefix("background:") if dots else ""
    dot = f'<font color="{colour}" size="9">•</font> ' if colour.startswith("#") else ""
    return dot + escape(printable(node.text.strip())).replace("\n", "<br/>")


def _table(node: Node) -> Grid:
    """Set a table: names to the left, numbers to the right; the settings in two small columns."""
    settings = "settings" in node.classes
    small = TINY if settings else _style(8)
    rows, bold = [], []
    for index, row in enumerate(node.nodes("tr")):
        cells = list(row.nodes("td", "th"))
        if "total" in row.classes:
            bold.append(index)
        rows.append(
            [_cell(cell, index in bold, settings or position == 0, small) for position, cell in enumerate(cells)]
        )
    width = max(len(row) for row in rows)
    rows = [[*row, *[""] * (width - len(row))] for row in rows]
    head = all(cell.tag == "th" for cell in next(iter(node.nodes("tr"))).nodes("td", "th"))
    pad = 0.4 if settings else 1.6
    style = [
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE), ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), pad), ("BOTTOMPADDING", (0, 0), (-1, -1), pad),
        ("LEFTPADDING", (0, 0), (-1, -1), 2), ("RIGHTPADDING", (0, 0), (-1, -1), 2),
        *(("LINEABOVE", (0, index), (-1, index), 1.0, INK) for index in bold),
    ]  # fmt: skip
    widths = [WIDTH * 0.24, WIDTH * 0.24] if settings else _widths(node, width)
    return Grid(rows, colWidths=widths, repeatRows=int(head and not settings), style=style, hAlign="LEFT")


def _widths(node: Node, columns: int) -> list[float]:
    """Share the width by the longest text of each column."""
    longest = [3] * columns
    for row in node.nodes("tr"):
        for index, cell in enumerate(row.nodes("td", "th")):
            longest[index] = max(longest[index], len(cell.text))
    return [WIDTH * (part + 2) / sum(one + 2 for one in longest) for part in longest]


def _cell(cell: Node, bold: bool, left: bool, style: ParagraphStyle) -> Paragraph:
    """Set one cell."""
    font = BOLD if bold or (cell.tag == "th" and style is not TINY) else REGULAR
    made = ParagraphStyle(
        "", parent=style, fontName=font, alignment=0 if left else 2, textColor=GREY if cell.tag == "th" else INK
    )
    return Paragraph(_words(cell), made)


def _cards(node: Node) -> Grid:
    """Set the number and its classes, large."""
    cards = [one for one in node.nodes("div") if "card" in one.classes]
    cells = []
    for card in cards:
        label, value = next(card.nodes("small")), next(card.nodes("b"))
        cells.append(
            [Paragraph(_words(label), LABEL), Paragraph(_words(value), BIGGER if "first" in card.classes else BIG)]
        )
    shares = [1.3 if "first" in card.classes else 1.0 for card in cards]
    style = [
        ("BOX", (index, 0), (index, 0), 0.8, LINE) for index in range(len(cards))
    ] + [("VALIGN", (0, 0), (-1, -1), "TOP")]  # fmt: skip
    return Grid([cells], colWidths=[WIDTH * share / sum(shares) for share in shares], style=style)


def _refused(node: Node) -> Grid:
    """Set the reasons why there is no number, in a red frame."""
    title = [Paragraph(_words(one), _style(11, BOLD, RED)) for one in node.nodes("strong")]
    items = [Paragraph(_words(one), BODY, bulletText="•") for one in node.nodes("li")]
    return Grid([[one] for one in [*title, *items]], colWidths=[WIDTH], style=[("BOX", (0, 0), (-1, -1), 1.4, RED)])


def _figures(node: Node) -> list[Flowable]:
    """Set the pictures in rows; a row is never parted."""
    cells = []
    side = WIDTH / FIGURES_A_ROW - 3
    for figure in node.nodes("figure"):
        data = next(figure.nodes("img")).attributes["src"].partition("base64,")[2]
        picture = Image(io.BytesIO(base64.b64decode(data)), width=side, height=side)
        cells.append([picture, Paragraph(_words(next(figure.nodes("figcaption"))), TINY)])
    rows = [cells[start : start + FIGURES_A_ROW] for start in range(0, len(cells), FIGURES_A_ROW)]
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
    style += [("RIGHTPADDING", (0, 0), (-1, -1), 3), ("TOPPADDING", (0, 0), (-1, -1), 3)]
    widths = [WIDTH / FIGURES_A_ROW] * FIGURES_A_ROW
    return [Grid([[*row, *[""] * (FIGURES_A_ROW - len(row))]], colWidths=widths, style=style) for row in rows]


def _columns(node: Node) -> list[Flowable]:
    """Set two columns side by side, or one below the other when they would not fit on a page."""
    halves = [child for child in node.children if isinstance(child, Node)]
    flows = [[one for child in half.children if isinstance(child, Node) for one in _set(child)] for half in halves]
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
    grid = Grid([flows], colWidths=[WIDTH / len(flows)] * len(flows), style=style)
    if grid.wrap(WIDTH, HEIGHT)[1] < HEIGHT - 1:
        return [grid]
    return [one for flow in flows for one in flow]
