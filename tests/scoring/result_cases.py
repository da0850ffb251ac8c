"""What the tests of results share: a small series of two vessels, who confirmed it, and a site file with peers."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from scoring.io.scored_series import ScoredSeries
from scoring.lesions import VESSELS, Labels
from scoring.report import Review

BLOCKS = [(1, 5, 2, 5, 2, 250.0), (2, 5, 2, 5, 3, 410.0), (4, 20, 2, 20, 2, 150.0)]  # 8 on LAD, 1 on RCA
CONFIRMED = Review(state="confirmed", reviewer="Jane Roe", reviewed_at="2026-03-04T10:20:30+01:00", revision=1)
MakeCase = Callable[..., tuple[ScoredSeries, tuple[Dataset, ...]]]


def two_vessels() -> Labels:
    """Give LAD the upper half and RCA the lower."""
    labels = np.zeros((6, 32, 32), dtype=np.uint8)
    labels[:, :16], labels[:, 16:] = VESSELS.index("LAD") + 1, VESSELS.index("RCA") + 1
    return Labels(labels)


def site_file(folder: Path, **peers: dict[str, object]) -> Path:
    """Write a site file with some peers."""
    lines = []
    for name, keys in peers.items():
        lines.append(f"[scoring.peers.{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    path = folder / "site.toml"
    path.write_text("\n".join(lines) + "\n")
    return path
