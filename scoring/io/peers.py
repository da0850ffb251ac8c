"""Who results are sent to and orders asked of: the `[scoring.peers.NAME]` tables of a site's TOML."""

import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from scoring.io.errors import SeriesError

AeTitle = Annotated[str, Meta(min_length=1, max_length=16)]


class Peer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One peer: `host` and `port` for C-STORE and worklist, or `url` for STOW-RS."""

    host: str = ""
    port: Annotated[int, Meta(ge=1, le=65535)] = 104
    called_ae: AeTitle = "ANY-SCP"
    calling_ae: AeTitle = "DIASTOLE"
    url: str = ""  # of the DICOMweb service, e.g. https://archive.example/dicom-web
    token_file: str | None = None  # a bearer token for `url`, alone in a file
    tls_ca_file: str | None = None  # who may have signed the peer's certificate; for `host`, naming it turns TLS on
    tls_cert_file: str | None = None  # our own certificate and key
    tls_key_file: str | None = None
    timeout_s: Annotated[float, Meta(gt=0, le=600)] = 30.0

    def __post_init__(self) -> None:
        """Refuse a peer that is reached two ways or none, or half a certificate."""
        if bool(self.host) == bool(self.url):
            raise ValueError("give either `host` (with `port`) or `url`")
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("give `tls_cert_file` and `tls_key_file` together")
        if self.token_file is not None and not self.url.startswith("https://"):
            raise ValueError("a token goes to an https `url` only")


def read_peer(site: Path, name: str) -> Peer:
    """Read one peer; its files are counted from the site file's folder.

    Raises
    ------
    SeriesError
        If the site file cannot be read, has no such peer, or the peer is none; the text names the cure.
    """
    try:
        told = tomllib.loads(site.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SeriesError(f"{site} cannot be read as TOML ({error}); give a site file with --site.") from error
    section = told.get("scoring", {})
    peers = section.get("peers", {}) if isinstance(section, dict) else {}
    if not isinstance(peers, dict) or name not in peers:
        known = ", ".join(sorted(peers)) if peers else "none"
        raise SeriesError(f"{site} has no [scoring.peers.{name}]; it knows: {known}.")
    try:
        peer = msgspec.convert(peers[name], Peer)
    except msgspec.ValidationError as error:
        raise SeriesError(f"{site}, [scoring.peers.{name}]: {error}; docs/results.md lists the keys.") from error
    files = ("token_file", "tls_ca_file", "tls_cert_file", "tls_key_file")
    beside = {one: str(site.resolve().parent / path) for one in files if (path := getattr(peer, one)) is not None}
    return msgspec.structs.replace(peer, **beside)
