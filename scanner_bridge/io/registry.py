"""The drivers that are installed: entry points of the group `diastole.scanner_drivers`. None is picked by itself."""

from importlib.metadata import entry_points

from gating.errors import SettingsError
from scanner_bridge.driver import ScannerDriver
from scanner_bridge.settings import BridgeSettings

GROUP = "diastole.scanner_drivers"


def names() -> tuple[str, ...]:
    """Name every installed driver."""
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def create(name: str, options: dict[str, object], *, real_scanner: bool = False) -> ScannerDriver:
    """Make the driver of that name.

    Raises
    ------
    SettingsError
        If no such driver is installed, its options are wrong, or it moves a real scanner and the site does not say so.
    """
    found = [point for point in entry_points(group=GROUP) if point.name == name]
    if not found:
        raise SettingsError(f"There is no scanner driver {name!r}; installed are {', '.join(names())}.")
    driver: ScannerDriver = found[0].load()(options)
    capabilities = driver.capabilities
    if not capabilities.simulated and capabilities.control != "none" and not real_scanner:
        raise SettingsError(
            f"Driver {name} moves a real scanner; if that is meant, write real_scanner = true beside it in [bridge]."
        )
    return driver


def create_from(settings: BridgeSettings) -> ScannerDriver:
    """Make the driver that a site names; `null`, which refuses all, if it names none."""
    return create(settings.driver, settings.driver_options, real_scanner=settings.real_scanner)
