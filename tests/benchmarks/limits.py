"""Limits with what was measured beside them, and tables as markdown: every figure is printed before any limit fails."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pytest

from gating.evaluation import Counts, Delays


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit, what was measured, and whether it holds; what could not be measured does not hold."""

    what: str
    expected: str
    measured: str
    holds: bool


def at_most(what: str, limit: float, measured: float, unit: str = "") -> Limit:
    """Ask for no more than a limit."""
    return Limit(what, f"<= {limit:g}{unit}", f"{number(measured, 3)}{unit}", measured <= limit)


def at_least(what: str, limit: float, measured: float, unit: str = "") -> Limit:
    """Ask for no less than a limit."""
    return Limit(what, f">= {limit:g}{unit}", f"{number(measured, 3)}{unit}", measured >= limit)


def below(what: str, limit: float, measured: float, unit: str = "") -> Limit:
    """Ask for less than a limit."""
    return Limit(what, f"< {limit:g}{unit}", f"{number(measured, 3)}{unit}", measured < limit)


def hold(limits: Sequence[Limit]) -> None:
    """Print all limits as a table; then fail if one does not hold, and name each of those."""
    rows = [(one.what, one.expected, one.measured, "yes" if one.holds else "**NO**") for one in limits]
    table("Limits", ("limit", "expected", "measured", "holds"), rows)
    broken = [f"{one.what}: expected {one.expected}, measured {one.measured}" for one in limits if not one.holds]
    if broken:
        pytest.fail("\n".join(["limits that do not hold:", *broken]), pytrace=False)


def table(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table as markdown, its first column to the left and the others to the right."""
    print(f"\n\n{title}\n")
    print(f"| {' | '.join(heads)} |")
    print(f"|---|{'--:|' * (len(heads) - 1)}")
    for row in rows:
        print(f"| {' | '.join(str(cell) for cell in row)} |", flush=True)


def number(value: float, digits: int = 1) -> str:
    """Write a number; a dash where there is none. A whole one stays whole."""
    if math.isnan(value):
        return "-"
    return str(int(value)) if isinstance(value, int) else f"{value:.{digits}f}"


def share(value: float) -> str:
    """Write a percentage; 100 only where nothing is missing."""
    return "100" if value == 100.0 else number(value, 2)


def both_shares(counts: Counts) -> str:
    """Write Se and +P in one cell."""
    return f"{share(counts.se_percent)}/{share(counts.ppv_percent)}"


def counted(counts: Counts) -> list[str]:
    """Write the cells `FN, FP, FN + FP, Se %, +P %`."""
    whole = [str(counts.fn), str(counts.fp), str(counts.fn + counts.fp)]
    return [*whole, share(counts.se_percent), share(counts.ppv_percent)]


COUNTED = ("FN", "FP", "FN + FP", "Se %", "+P %")


def delayed(delay: Delays) -> list[str]:
    """Write the cells `median, p95, p99, max` of a delay in ms."""
    return [number(value) for value in (delay.median_ms, delay.p95_ms, delay.p99_ms, delay.max_ms)]


DELAYED = ("median", "p95", "p99", "max ms")
