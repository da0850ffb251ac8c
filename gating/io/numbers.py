"""The numbers of the detector's judge, from the file that the training wrote."""

import hashlib
import tomllib
from functools import lru_cache
from pathlib import Path

import msgspec

from gating.errors import SettingsError
from gating.figures import FIGURES, TRUST_FIGURES
from gating.judge import Judge, NetworkNumbers, network_of

SHIPPED = Path(__file__).resolve().parents[1] / "numbers" / "r_peak.toml"
HEADER = """# The judge of R-peaks (gating/judge.py): three small networks, written by `python -m training` alone.
# confirm: is this candidate a beat, about 60 ms after its peak. provisional: the same, at once. trust: are the beats
# found now right. Each: the figures it looks at (gating/figures.py), their mean and one over their width, then two
# hidden layers of rectified units (one row of weights per input) and the last sum, which is the logarithm of the odds.
"""
LINE = 118


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    confirm: NetworkNumbers
    provisional: NetworkNumbers
    trust: NetworkNumbers


@lru_cache(maxsize=4)
def read_judge(path: Path = SHIPPED) -> Judge:
    """Read the judge's numbers; the shipped ones once a process.

    Raises
    ------
    SettingsError
        If the file is missing or was made for another version.
    """
    try:
        text = path.read_text(encoding="utf-8")
        numbers = msgspec.convert(tomllib.loads(text), _File)
        return Judge(
            confirm=network_of(numbers.confirm, FIGURES),
            provisional=network_of(numbers.provisional, FIGURES),
            trust=network_of(numbers.trust, TRUST_FIGURES),
            fingerprint=hashlib.sha256(text.encode()).hexdigest()[:16],
        )
    except (OSError, ValueError) as error:  # TOML's and msgspec's errors are ValueErrors
        raise SettingsError(
            f"The detector's numbers {path} cannot be used ({error}); install Diastole again."
        ) from error


def write_numbers(networks: dict[str, NetworkNumbers], path: Path | None = None) -> None:
    """Write the numbers of a training."""
    (path or SHIPPED).write_text(HEADER + "".join(_section(name, one) for name, one in networks.items()), "utf-8")


def _section(name: str, numbers: NetworkNumbers) -> str:
    """Write one network as a TOML table."""
    lines = [f"\n[{name}]"]
    for key, value in msgspec.structs.asdict(numbers).items():
        if isinstance(value, float):
            lines.append(f"{key} = {value:g}")
        elif value and isinstance(value[0], tuple):
            rows = ",\n".join(_wrapped("  [" + ", ".join(f"{one:g}" for one in row) + "]") for row in value)
            lines.append(f"{key} = [\n{rows},\n]")
        else:
            items = [f'"{one}"' if isinstance(one, str) else f"{one:g}" for one in value]
            lines.append(_wrapped(f"{key} = [" + ", ".join(items) + "]"))
    return "\n".join(lines) + "\n"


def _wrapped(line: str) -> str:
    """Break a long array where a comma stands."""
    out, rest = [], line
    while len(rest) > LINE:
        cut = rest.rfind(", ", 0, LINE) + 1
        out.append(rest[:cut])
        rest = "    " + rest[cut:].lstrip()
    return "\n".join([*out, rest])
