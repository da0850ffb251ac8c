"""Scenarios from the package or from a file: TOML for people, JSON as one process hands it to another."""

from importlib.resources import files
from pathlib import Path

import msgspec

from gating.errors import SettingsError
from simulators.anatomy import make_patient
from simulators.scenario import Scenario, parse_scenario

SUFFIX = ".toml"


def scenario_names() -> tuple[str, ...]:
    """Give the names of the scenarios that come with the package."""
    folder = files("simulators") / "scenarios"
    return tuple(sorted(one.name.removesuffix(SUFFIX) for one in folder.iterdir() if one.name.endswith(SUFFIX)))


def load_scenario(name_or_path: str | Path) -> Scenario:
    """Read a scenario by the name of a packaged one, or from a TOML or JSON file.

    Raises
    ------
    SettingsError
        If there is no such scenario or file, its text is not a scenario, or there can be no such patient.
    """
    asked = str(name_or_path)
    if asked in scenario_names():
        text = (files("simulators") / "scenarios" / f"{asked}{SUFFIX}").read_text(encoding="utf-8")
        return parse_scenario(text, asked)
    path = Path(name_or_path)
    if not path.is_file():
        known = ", ".join(scenario_names())
        raise SettingsError(f"There is no scenario {asked!r}; name a TOML file or one of: {known}.")
    try:
        if path.suffix == ".json":
            return _whole(msgspec.json.decode(path.read_bytes(), type=Scenario), asked)
        return _whole(parse_scenario(path.read_text(encoding="utf-8"), asked), asked)
    except msgspec.DecodeError as error:
        raise SettingsError(f"Scenario file {asked}: {error}; see simulators/README.md for the keys.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"Scenario file {asked} cannot be read ({error}); check its rights.") from error


def _whole(scenario: Scenario, asked: str) -> Scenario:
    """Make the patient once, so that an anatomy that cannot be is told before anything starts."""
    try:
        make_patient(scenario, scenario.seed)
    except ValueError as error:
        raise SettingsError(f"Scenario file {asked}: {error}; mend [anatomy].") from error
    return scenario
