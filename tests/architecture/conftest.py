"""The syntax trees of all product files, read once."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gating", "scanner_bridge", "scoring", "simulators")
WORLD = {"io", "drivers", "monitor", "review"}


@pytest.fixture(scope="session")
def product_files() -> dict[str, ast.Module]:
    """Every product file below the packages, by its path from the root, parsed."""
    return {
        str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8"))
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


@pytest.fixture(scope="session")
def pure_files(product_files: dict[str, ast.Module]) -> dict[str, ast.Module]:
    """The files outside the folders that may touch the world, the wire codecs among the drivers included."""
    return {
        name: tree
        for name, tree in product_files.items()
        if not WORLD & set(Path(name).parts[:-1]) or name.endswith("_wire.py")
    }
