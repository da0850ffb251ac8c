"""Recorded ECG from files: WFDB (PhysioNet) and CSV. For offline use; never imported by the gate's process."""

import csv
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gating.errors import RecordError

MICROVOLTS = {"uV": 1.0, "µV": 1.0, "μV": 1.0, "mV": 1e3, "V": 1e6}
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}

BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")
"""What WFDB's annotators mark as a beat. Rhythm and noise marks are none, nor are the waves of ventricular flutter."""

ANNOTATOR = "atr"
LEAST_SAMPLES = 10


@dataclass(frozen=True, slots=True, eq=False)
class RecordedBeats:
    """The beat annotations of a record, in rising order."""

    sample: NDArray[np.int64]  # of the annotated peak
    symbols: tuple[str, ...]
    flutter: tuple[tuple[int, int], ...] = ()  # first and last sample of each episode: no beats are annotated there


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One recorded ECG."""

    name: str
    leads: tuple[str, ...]
    rate_hz: float
    microvolts: NDArray[np.float64]  # [sample, lead]; where the file holds no value, the last one before it
    beats: RecordedBeats | None  # None: the record has no annotations


def read_record(path: str | Path) -> Record:
    """Read a CSV file by its suffix, or else a WFDB record (with or without `.hea` or `.dat`).

    Raises
    ------
    RecordError
        If there is no such record, or it cannot be read as what it claims to be.
    """
    return read_csv(path) if Path(path).suffix.lower() == ".csv" else read_wfdb(path)


def read_wfdb(path: str | Path) -> Record:
    """Read a WFDB record with its `atr` annotations; signals that are no voltages are left out.

    Raises
    ------
    RecordError
        If a file is missing or damaged, or no signal is a voltage.
    """
    base = Path(path)
    if base.suffix in {".hea", ".dat", f".{ANNOTATOR}"}:
        base = base.with_suffix("")
    if not base.with_name(base.name + ".hea").is_file():
        raise RecordError(f"There is no record {base}: {base.name}.hea is missing; name a WFDB record or a .csv file.")
    try:
        import wfdb
    except ImportError as error:
        raise RecordError(f"To read {base} the package wfdb is needed; pip install 'diastole[records]'.") from error
    try:
        record = wfdb.rdrecord(str(base))
        annotated = base.with_name(f"{base.name}.{ANNOTATOR}").is_file()
        marks = wfdb.rdann(str(base), ANNOTATOR) if annotated else None
    except Exception as error:
        # wfdb throws whatever its parsing meets; for us it all means that the file is not what it says it is
        raise RecordError(f"The record {base} is damaged ({_first_line(error)}); copy it again.") from error
    volts = [column for column, unit in enumerate(record.units) if unit in MICROVOLTS]
    if record.p_signal is None or not volts:
        units = ", ".join(f"{lead} in {unit}" for lead, unit in zip(record.sig_name, record.units, strict=True))
        raise RecordError(f"The record {base} holds no ECG ({units}); Diastole needs signals in uV, mV or V.")
    scale = np.array([MICROVOLTS[record.units[column]] for column in volts])
    microvolts = _without_holes(np.asarray(record.p_signal, dtype=np.float64)[:, volts] * scale, str(base))
    beats = None
    if marks is not None:
        kept = [place for place, symbol in enumerate(marks.symbol) if symbol in BEAT_SYMBOLS]
        sample = np.asarray(marks.sample, dtype=np.int64)[kept]
        flutter = _flutter(zip(marks.sample, marks.symbol, strict=True), int(record.sig_len) - 1)
        beats = RecordedBeats(sample, tuple(marks.symbol[place] for place in kept), flutter)
    return Record(base.name, tuple(record.sig_name[c] for c in volts), float(record.fs), microvolts, beats)


def _flutter(marks: Iterable[tuple[int, str]], last: int) -> tuple[tuple[int, int], ...]:
    """Give the episodes of ventricular flutter, `[` to `]`; one without its other end reaches to the record's."""
    episodes: list[tuple[int, int]] = []
    begun: int | None = None
    for at, symbol in marks:
        if symbol == "[" and begun is None:
            begun = int(at)
        elif symbol == "]" and (begun is not None or not episodes):
            episodes.append((begun or 0, int(at)))
            begun = None
    return (*episodes, (begun, last)) if begun is not None else tuple(episodes)


def read_csv(path: str | Path) -> Record:
    """Read a CSV file whose header names a unit in every column.

    The columns are `time_s` (or `time_ms`, `time_us`), then one per lead such as `II_mV` or `V1_uV`; a column `beat`
    may hold a WFDB symbol in the row of each R-peak. Times must be evenly spaced, to half a sample.

    Raises
    ------
    RecordError
        If a unit is missing, a value is no number, or the times are uneven; with the line.
    """
    base = Path(path)
    try:
        with base.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RecordError(
            f"The file {base} cannot be read ({_first_line(error)}); check its name and rights."
        ) from error
    if len(rows) <= LEAST_SAMPLES:
        raise RecordError(f"The file {base} holds {max(len(rows) - 1, 0)} samples; a recording has more.")
    header = [name.strip() for name in rows[0]]
    time_scale, voltages, beat_column = _columns(header, base)
    numbers = [0, *voltages]
    values = np.empty((len(rows) - 1, len(numbers)))
    symbols: list[tuple[int, str]] = []
    for line, row in enumerate(rows[1:], start=2):
        try:
            values[line - 2] = [float(row[column]) if row[column].strip() else np.nan for column in numbers]
            symbol = "" if beat_column is None else row[beat_column].strip()
        except (ValueError, IndexError) as error:
            raise RecordError(f"Line {line} of {base} is no row of numbers ({','.join(row)[:60]}); mend it.") from error
        if symbol and symbol not in BEAT_SYMBOLS:
            raise RecordError(f"Line {line} of {base} has the beat {symbol!r}, which is no WFDB symbol; mend it.")
        if symbol:
            symbols.append((line - 2, symbol))
    rate_hz = _rate_hz(values[:, 0] * time_scale, base)
    microvolts = _without_holes(values[:, 1:] * np.array([scale for _, scale in voltages.values()]), str(base))
    beats = None
    if beat_column is not None:
        beats = RecordedBeats(np.array([at for at, _ in symbols], dtype=np.int64), tuple(s for _, s in symbols))
    return Record(base.stem, tuple(lead for lead, _ in voltages.values()), rate_hz, microvolts, beats)


def _columns(header: list[str], base: Path) -> tuple[float, dict[int, tuple[str, float]], int | None]:
    """Read the header: the unit of time in seconds, the lead and scale of each voltage, the column of beats."""
    time = re.fullmatch(r"time_(\w+)", header[0])
    if time is None or time[1] not in SECONDS:
        raise RecordError(f"The first column of {base} is {header[0]!r}; it must be time_s, time_ms or time_us.")
    voltages: dict[int, tuple[str, float]] = {}
    beat_column = None
    for column, name in enumerate(header[1:], start=1):
        lead, _, unit = name.rpartition("_")
        if name == "beat":
            beat_column = column
        elif lead and unit in MICROVOLTS:
            voltages[column] = lead, MICROVOLTS[unit]
        else:
            raise RecordError(f"The column {name!r} of {base} names no unit; call it e.g. II_mV or II_uV.")
    if not voltages:
        raise RecordError(f"The file {base} has no lead; add a column such as II_mV.")
    return SECONDS[time[1]], voltages, beat_column


def _rate_hz(times_s: NDArray[np.float64], base: Path) -> float:
    """Give the rate of evenly spaced times."""
    period_s = (times_s[-1] - times_s[0]) / (len(times_s) - 1)
    even = times_s[0] + period_s * np.arange(len(times_s))
    if not period_s > 0.0 or not np.all(np.abs(times_s - even) <= 0.5 * period_s):
        worst = int(np.argmax(np.abs(times_s - even))) + 2
        raise RecordError(f"The times of {base} are not evenly spaced (see line {worst}); resample it first.")
    return float(1.0 / period_s)


def _without_holes(microvolts: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    """Hold the last value where the file has none: a flat piece, as a real input would show."""
    bad = ~np.isfinite(microvolts)
    if bad.all(axis=0).any():
        raise RecordError(f"A signal of {name} holds no value at all; take that lead out of the file.")
    if bad.any():
        places = np.where(bad, 0, np.arange(len(microvolts))[:, None])
        held = np.take_along_axis(microvolts, np.maximum.accumulate(places, axis=0), axis=0)
        microvolts = np.where(np.isfinite(held), held, 0.0)
    microvolts.setflags(write=False)
    return microvolts


def _first_line(error: Exception) -> str:
    """Give the first line of an error's text, or its name where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0] or type(error).__name__
