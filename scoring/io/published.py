"""Reads the published numbers that come with the package, and what a person told."""

from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import msgspec

from scoring.io.errors import SeriesError
from scoring.mass_score import PhantomReading, SizeClass
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
    return _told(path, Person, "tell of a person")


class CalibrationTold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a user tells for the mass."""

    phantom: PhantomReading | None = None
    size: SizeClass | None = None  # of the patient: small below 320 mm of lateral thickness, large above 380 mm


def read_calibration(path: Path) -> CalibrationTold:
    """Read a calibration, TOML or JSON by the file's ending.

    Raises
    ------
    SeriesError
        If the file cannot be read, or holds something else, with the cure.
    """
    return _told(path, CalibrationTold, "tell of a calibration")


def _told(path: Path, kind: type[T], does: str) -> T:
    decode = msgspec.json.decode if path.suffix == ".json" else msgspec.toml.decode
    try:
        return decode(path.read_bytes(), type=kind)
    except OSError as error:
        raise SeriesError(f"{path} cannot be read ({error.strerror}); give the path of an existing file.") from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SeriesError(f"{path} does not {does} ({error}); scoring/README.md lists the keys.") from error
