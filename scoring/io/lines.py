"""Files that grow by whole lines: what a kill cut off is cut away before anything is added or believed."""

from pathlib import Path


def whole_lines(path: Path) -> list[bytes]:
    """Read the whole lines of a file, and cut a last one away that has no end; nothing when there is no such file."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return whole.splitlines()
