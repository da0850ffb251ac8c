"""Reads the published numbers that come with the package, and what a person told."""

from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import msgspec

from scoring.io.errors import SeriesError
from scoring.person import Person
from scoring.published import HoffPercentiles, MesaPercentiles, MesaRisk, Published

T = TypeVar("T")


def read_published() -> Published:
    """Read all tables."""
    return Published(
        mesa_percentiles=_table("mesa_percentiles", MesaPercentiles),
        hoff_percentiles=_table("hoff_percentiles", HoffPercentiles),
        mesa_risk=_table("mesa_risk", MesaRisk),
    )


def _table(name: str, kind: type[T]) -> T:
    return msgspec.toml.decode(files("scoring").joinpath("numbers", f"{name}.toml").read_bytes(), type=kind)


def read_person(path: Path) -> Person:
    """Read a person's answers, TOML or JSON by the file's ending.

    Raises
    ------
    SeriesError
        If the file cannot be read, or an answer is none, with the cure.
    """
    decode = msgspec.json.decode if path.suffix == ".json" else msgspec.toml.decode
    try:
        return decode(path.read_bytes(), type=Person)
    except OSError as error:
        raise SeriesError(f"{path} cannot be read ({error.strerror}); give the path of an existing file.") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SeriesError(f"{path} does not tell of a person ({error}); scoring/README.md lists the keys.") from error
