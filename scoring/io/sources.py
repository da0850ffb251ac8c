"""What a path is: a folder, a folder of folders, one file, or a zip; and the files that it holds, read one by one.

No path that comes out of an archive is ever used: what it names is read from the archive into memory, within bounds.
"""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from scoring.io.errors import SeriesError

NOT_DICOM = {".json", ".jsonl", ".html", ".txt", ".csv", ".md", ".pdf", ".png", ".jpg", ".toml", ".xml", ".log"}
MAX_FILES = 4000  # of one series; a calcium scan has 40 to 300
MAX_FILE_BYTES = 256 * 2**20
MAX_TOTAL_BYTES = 2 * 2**30
MAX_RATIO = 200  # of a zip's entry; CT images shrink by 2 to 5
MAX_DEPTH = 8  # of folders in folders


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source, not read yet."""

    name: str  # for messages
    read: Callable[[], bytes]

    @property
    def no_dicom(self) -> bool:
        """True when by its name it cannot be an image."""
        return PurePosixPath(self.name).suffix.lower() in NOT_DICOM or PurePosixPath(self.name).name == "DICOMDIR"


def files_of(source: Path) -> list[SourceFile]:
    """List the files of a source, in the order of their names.

    A folder stands for the files in it, not for those in its subfolders, unless it holds none that could be an image:
    then it is an export with folders in it, and all are looked through.

    Raises
    ------
    SeriesError
        If there is no such path, or it holds more than a series can.
    """
    if source.is_dir():
        direct = _in_folder(source)
        return direct if any(not one.no_dicom for one in direct) else _in_folders(source) or direct
    if not source.is_file():
        raise SeriesError(f"{source} is not there; give the folder that holds the slices of one series, or a zip.")
    if zipfile.is_zipfile(source):
        return _in_zip(source)
    return [_file(source, source.name)]


def _in_folder(folder: Path) -> list[SourceFile]:
    """List the files of one folder."""
    paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    if len(paths) > MAX_FILES:
        raise SeriesError(f"{folder} holds {len(paths)} files, more than {MAX_FILES}; give the folder of one series.")
    return [_file(path, path.name) for path in paths]


def _in_folders(folder: Path) -> list[SourceFile]:
    """List the files of a folder's folders, links not followed."""
    found: list[SourceFile] = []
    waiting = [(folder, 0)]
    while waiting:
        at, depth = waiting.pop()
        for path in sorted(at.iterdir(), reverse=True):
            if path.name.startswith(".") or path.is_symlink():
                continue
            if path.is_dir() and depth < MAX_DEPTH:
                waiting.append((path, depth + 1))
            elif path.is_file():
                found.append(_file(path, str(path.relative_to(folder))))
        if len(found) > MAX_FILES:
            raise SeriesError(f"{folder} holds more than {MAX_FILES} files; give the folder of one series.")
    return sorted(found, key=lambda one: one.name)


def _file(path: Path, name: str) -> SourceFile:
    """Make the entry of a file on the disk."""

    def read() -> bytes:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise SeriesError(f"{name} is larger than {MAX_FILE_BYTES >> 20} MiB; take it out of the folder.")
        return path.read_bytes()

    return SourceFile(name, read)


def _in_zip(path: Path) -> list[SourceFile]:
    """List the files of a zip; what it promises is held against bounds before anything is inflated."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
        raise SeriesError(f"{path.name} is a damaged zip; make it again.") from error
    if len(entries) > MAX_FILES:
        raise SeriesError(f"{path.name} holds {len(entries)} files, more than {MAX_FILES}; give one series.")
    if sum(entry.file_size for entry in entries) > MAX_TOTAL_BYTES:
        raise SeriesError(f"{path.name} inflates to more than {MAX_TOTAL_BYTES >> 20} MiB; give one series.")
    for entry in entries:
        if entry.file_size > MAX_FILE_BYTES or entry.file_size > MAX_RATIO * max(entry.compress_size, 1024):
            raise SeriesError(f"{path.name} holds a file that inflates beyond all bounds; take it out.")
        if entry.flag_bits & 1:
            raise SeriesError(f"{path.name} is encrypted; unpack it and give the folder.")
    return [_entry(path, entry) for entry in sorted(entries, key=lambda one: one.filename)]


def _entry(path: Path, entry: zipfile.ZipInfo) -> SourceFile:
    """Make the entry of a file in a zip."""

    def read() -> bytes:
        try:
            with zipfile.ZipFile(path) as archive, archive.open(entry) as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError) as error:
            raise SeriesError(f"{path.name} is a damaged zip; make it again.") from error
        if len(data) > MAX_FILE_BYTES:
            raise SeriesError(f"{path.name} holds a file that inflates beyond all bounds; take it out.")
        return data

    return SourceFile(PurePosixPath(entry.filename).name or "a file", read)
