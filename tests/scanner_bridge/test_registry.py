"""The installed drivers, and which of them may be used."""

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from typing import Any

import pytest

from gating.errors import SettingsError
from scanner_bridge.driver import Capabilities
from scanner_bridge.io import registry
from scanner_bridge.settings import BridgeSettings


class RealDriver:
    """A driver that claims to move a real scanner."""

    capabilities = Capabilities(
        name="real",
        control="exposure",
        timed_start=True,
        ends_beam_itself=True,
        simulated=False,
        lead_ns=0,
        max_exposure_ns=0,
    )

    def __init__(self, options: Mapping[str, object]) -> None:
        self.options = options


@pytest.fixture
def real_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the real driver."""
    point = EntryPoint("real", f"{__name__}:RealDriver", registry.GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda *_: RealDriver)

    def points(**_: Any) -> list[EntryPoint]:
        return [point]

    monkeypatch.setattr(registry, "entry_points", points)


def test_null_and_gantry_are_installed() -> None:
    """The distribution brings two drivers."""
    assert {"null", "gantry"} <= set(registry.names())


def test_a_site_that_names_none_gets_the_one_that_refuses_all() -> None:
    """The default controls nothing."""
    assert "none" == registry.create_from(BridgeSettings()).capabilities.control


def test_an_unknown_driver_is_refused_with_the_list() -> None:
    """A typing error is answered with what there is."""
    with pytest.raises(SettingsError, match=r"installed are.*gantry.*null"):
        registry.create("gantri", {})


def test_unknown_options_are_refused_by_name() -> None:
    """Each driver judges its own options."""
    with pytest.raises(SettingsError, match="prot"):
        registry.create("gantry", {"prot": 1234})
    with pytest.raises(SettingsError, match="host"):
        registry.create("null", {"host": "x"})


def test_a_real_scanner_must_be_meant(real_installed: None) -> None:
    """A driver that is not simulated needs a second word in the site file (hazards.md B9)."""
    with pytest.raises(SettingsError, match="real_scanner = true"):
        registry.create_from(BridgeSettings(driver="real"))
    assert registry.create_from(BridgeSettings(driver="real", real_scanner=True))
