"""The site file: one TOML for all processes of a site, its relative paths counted from its own folder."""

from pathlib import Path

import msgspec

from gating.errors import SettingsError
from gating.settings import SiteSettings, parse_site


def read_site(path: Path) -> SiteSettings:
    """Read a site file and make its paths absolute.

    Raises
    ------
    SettingsError
        If it is missing, not text, not TOML, or has an unknown key or a wrong value; the text names file and cure.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SettingsError(f"There is no site file {path}; give its name with --config.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The site file {path} cannot be read ({error}); give a readable TOML file.") from error
    site = parse_site(text, str(path))
    if not site.site or set(site.site) & set("/+#"):
        raise SettingsError(f"Site file {path}: `site` names a topic level, so it is not empty and has no / + or #.")
    folder = path.resolve().parent
    return msgspec.structs.replace(
        site,
        out=str(folder / site.out),
        keys=msgspec.structs.replace(site.keys, folder=str(folder / site.keys.folder)),
        mqtt=msgspec.structs.replace(
            site.mqtt,
            password_file=_beside(folder, site.mqtt.password_file),
            tls_ca_file=_beside(folder, site.mqtt.tls_ca_file),
            users_file=_beside(folder, site.mqtt.users_file),
        ),
    )


def _beside(folder: Path, path: str | None) -> str | None:
    """Resolve a path that may be absent against a folder; an absolute one stays."""
    return None if path is None else str(folder / path)
