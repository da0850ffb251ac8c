"""Write the generated schema of `score.json`: `python -m scoring.io.schemas`."""

import json
from pathlib import Path

from scoring.report import score_schema

FOLDER = Path(__file__).parent.parent / "schema"


def schema_files() -> dict[str, str]:
    """Text of each generated file, by name."""
    return {"score.schema.json": json.dumps(score_schema(), indent=2, sort_keys=True) + "\n"}


def main() -> None:
    """Write all of them."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in schema_files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
