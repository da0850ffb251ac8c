"""The site file of a demo, written out of a scenario."""

from pathlib import Path

import msgspec

from gating.settings import MqttSettings
from simulators.scenario import Scenario
from simulators.stage import gate_settings, plan_settings


def site_toml(
    site: str,
    scenario: Scenario,
    *,
    mqtt: MqttSettings,
    out: Path,
    keys: Path,
    serial_port: str,
    gantry_port: int,
    page_port: int,
) -> str:
    """Write the site file: everything that is not said here keeps its default."""
    gate = gate_settings(scenario)
    sections: dict[str, dict[str, object]] = {
        "mqtt": {"host": mqtt.host, "port": mqtt.port},
        "keys": {"folder": str(keys.resolve())},
        "serial": {"port": serial_port},
        "gate": {"frontend": gate.frontend, "source": gate.source, "simulated": gate.simulated},
        "monitor": {"port": page_port},
        "bridge": {"driver": "gantry"},
        "bridge.driver_options": {"port": gantry_port},
        "bridge.plan": msgspec.structs.asdict(plan_settings(scenario)),
    }
    lines = [f"site = {_value(site)}", f"out = {_value(str(out.resolve()))}"]
    for name, section in sections.items():
        lines += ["", f"[{name}]", *(f"{key} = {_value(value)}" for key, value in section.items() if value is not None)]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    """Write one TOML value; a JSON string is a TOML basic string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return msgspec.json.encode(value).decode()
