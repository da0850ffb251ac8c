"""The published set: series whose answers can be worked out on paper, with those answers.

`python -m tests.scoring.paper_series DIR` writes each as a folder `NAME/slices`, `NAME/labels.seg.dcm` beside it,
and `answers.json`, so that another program can be held against the same answers. The definition is that of
scoring/README.md, section 1.
"""

import json
import sys
from pathlib import Path

from tests.scoring.paper_case import Case, datasets, save, write_labels
from tests.scoring.paper_islands import ISLANDS
from tests.scoring.paper_refusals import REFUSED
from tests.scoring.paper_same import SAME
from tests.scoring.paper_vessels import CLAIMED

CASES: tuple[Case, ...] = (*ISLANDS, *SAME, *CLAIMED, *REFUSED)


def write_case(case: Case, folder: Path) -> Path | None:
    """Write `slices` and, where there is a map, `labels.seg.dcm`; give the path of the map."""
    slices = folder / "slices"
    slices.mkdir(parents=True)
    files = datasets(case)
    labels = None
    if case.paints is not None:
        labels = folder / "labels.seg.dcm"
        write_labels(case, labels, [one for _, one in files])
    for name, one in files if case.spoil is None else case.spoil(files):
        save(one, slices / name, case.syntax)
    return labels


def main(folder: Path) -> None:
    """Write the whole set."""
    for case in CASES:
        write_case(case, folder / case.name)
    told = {case.name: case.told() for case in CASES}
    (folder / "answers.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
