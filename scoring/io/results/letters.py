"""The PDF's two fonts, which come with reportlab, and what becomes of letters that they lack."""

import unicodedata
from pathlib import Path

import reportlab
from reportlab import rl_config
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

rl_config.useA85 = 0  # streams as bytes, not as text: a fifth smaller, and half of the time was spent on writing them

REGULAR, BOLD = "Vera", "VeraBd"
LACKING = (
    "Letters that this document's font lacks are written plain or as [U+code point]; "
    "score.json and report.html hold them as they are."
)


def register_fonts() -> None:
    """Make the fonts known to reportlab; once is enough, twice does no harm."""
    folder = Path(reportlab.__file__).parent / "fonts"
    for name in (REGULAR, BOLD):
        pdfmetrics.registerFont(TTFont(name, str(folder / f"{name}.ttf")))


def printable(text: str) -> str:
    """Write a text in letters that the font has: a letter's plain form, or its code point in brackets.

    The text stays readable by a machine and is never silently empty: a name in another script is a row of code points,
    and the page says where the letters themselves stand (`LACKING`).
    """
    return "".join(_letter(letter) for letter in text)


def lacks(text: str) -> bool:
    """Tell whether a text has to be changed to be printed."""
    return printable(text) != text


def _letter(letter: str) -> str:
    """Print one letter."""
    if _has(letter) or letter in "\n\t":
        return letter
    plain = "".join(one for one in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(one))
    return plain if plain and all(_has(one) for one in plain) else f"[U+{ord(letter):04X}]"


def _has(letter: str) -> bool:
    """Tell whether both fonts draw a letter."""
    return all(ord(letter) in pdfmetrics.getFont(name).face.charToGlyph for name in (REGULAR, BOLD))
