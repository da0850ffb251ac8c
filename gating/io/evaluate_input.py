"""Which records and which noise an evaluation takes: everything that can be wrong is said before the long work."""

import os
from pathlib import Path

from gating.errors import RecordError, SettingsError
from gating.io.evaluate import Noise, chosen_leads
from gating.io.records import ANNOTATOR, MICROVOLTS, read_record

NOISE_FILES = {"em": ("em", "em118"), "ma": ("ma",), "bw": ("bw",)}


def find_records(paths: list[Path], picks: tuple[str, ...] = ()) -> list[Path]:
    """Name the records of some paths: records, CSV files, or folders of which every annotated record is taken.

    Raises
    ------
    RecordError
        If something is not there or has no annotations.
    SettingsError
        If a record to be picked is in none of the folders.
    """
    found: list[Path] = []
    for path in paths:
        found += _in_folder(path) if path.is_dir() else [_annotated(path)]
    names = {path.name for path in found} | {path.stem for path in found}
    absent = [pick for pick in picks if pick not in names]
    if absent:
        raise SettingsError(f"--records {','.join(absent)}: not there; there are {', '.join(p.name for p in found)}.")
    return list(dict.fromkeys(path for path in found if not picks or {path.name, path.stem} & set(picks)))


def _in_folder(folder: Path) -> list[Path]:
    """Give the annotated records of a folder, by name."""
    headers = sorted(folder.glob("*.hea"))
    found = [header.with_suffix("") for header in headers if header.with_suffix(f".{ANNOTATOR}").is_file()]
    if not found:
        raise RecordError(
            f"The folder {folder} holds no annotated record; evaluate needs .hea files with .{ANNOTATOR} beside them."
        )
    return found


def _annotated(path: Path) -> Path:
    """Check one record by its files; a CSV file shows when it is read."""
    if path.suffix.lower() == ".csv":
        if not path.is_file():
            raise RecordError(f"There is no file {path}; check its name.")
        if read_record(path).beats is None:
            raise RecordError(f"The file {path} has no column `beat`; evaluate needs the reference beats.")
        return path
    base = path.with_suffix("") if path.suffix in {".hea", ".dat", f".{ANNOTATOR}"} else path
    if not base.with_name(f"{base.name}.hea").is_file():
        raise RecordError(f"There is no record or folder {path}; name a folder, a WFDB record or a .csv file.")
    if not base.with_name(f"{base.name}.{ANNOTATOR}").is_file():
        raise RecordError(
            f"The record {base} has no annotations; evaluate needs the reference beats in {base.name}.{ANNOTATOR}."
        )
    return base


def check_leads(wanted: str, records: list[Path]) -> None:
    """See by the headers whether every record has the leads asked for.

    Raises
    ------
    SettingsError
        If one has not.
    """
    if wanted.strip().lower() == "all":
        return
    for path in records:
        chosen_leads(wanted, _leads(path), str(path))


def _leads(path: Path) -> tuple[str, ...]:
    """Name the voltages of a record."""
    if path.suffix.lower() == ".csv":
        return read_record(path).leads
    try:
        import wfdb

        header = wfdb.rdheader(str(path))
        pairs = list(zip(header.sig_name, header.units, strict=True))
    except Exception:
        # whatever is wrong with the header: reading the whole record says it in a sentence
        return read_record(path).leads
    return tuple(name for name, unit in pairs if unit in MICROVOLTS)


def find_noise(kind: str, folder: Path | None, records: list[Path]) -> str:
    """Find the file of one kind of noise: in the folder named, in DIASTOLE_ECG_DATA, or beside the records' folder.

    Raises
    ------
    SettingsError
        If there is no such kind.
    RecordError
        If its file is nowhere.
    """
    if kind not in NOISE_FILES:
        raise SettingsError(f"There is no noise {kind!r}; --noise takes {', '.join(NOISE_FILES)}.")
    data = os.environ.get("DIASTOLE_ECG_DATA")
    folders = [folder] if folder is not None else [Path(data) / "nstdb"] if data else []
    if folder is None:
        folders += [record.resolve().parent.parent / "nstdb" for record in records]
    for place in dict.fromkeys(folders):
        for name in NOISE_FILES[kind]:
            if (place / f"{name}.hea").is_file():
                return str(place / name)
    names = " or ".join(f"{name}.hea" for name in NOISE_FILES[kind])
    looked = ", ".join(str(place) for place in dict.fromkeys(folders))
    raise RecordError(f"The noise {names} is not in {looked}; name the folder of PhysioNet's nstdb by --noise-dir.")


def noises(kind: str | None, snr: str | None, folder: Path | None, records: list[Path]) -> list[Noise | None]:
    """Read `--noise` and `--snr`, a number or a list such as `24,18,12`; without both the records stay as they are.

    Raises
    ------
    SettingsError
        If one is there without the other, or has no sense.
    """
    if kind is None and snr is None:
        return [None]
    if kind is None or snr is None:
        raise SettingsError("--noise and --snr go together, e.g. --noise em --snr 12.")
    try:
        ratios = [float(one) for one in snr.split(",")]
    except ValueError as error:
        raise SettingsError(
            f"--snr {snr!r} is no number of decibels nor a list of them; e.g. --snr 24,12,6."
        ) from error
    if not all(-60.0 <= ratio <= 120.0 for ratio in ratios):
        raise SettingsError(f"--snr {snr!r} is out of range; it takes -60 to 120 dB.")
    path = find_noise(kind, folder, records)
    return [Noise(kind, path, ratio) for ratio in dict.fromkeys(ratios)]
