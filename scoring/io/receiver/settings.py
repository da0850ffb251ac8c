"""Frozen settings of the receiver, from the `[scoring.receiver]` section of a site file.

Unknown keys are refused by name. Every default is a number with its reason beside it. Nobody may store anything until
the site names a peer.
"""

import ipaddress
import ssl
import tomllib
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from scoring.io.receiver.errors import ReceiverError
from scoring.settings import ScoreSettings

Positive = Annotated[float, Meta(gt=0)]
Count = Annotated[int, Meta(ge=1)]
AeTitle = Annotated[
    str, Meta(pattern=r"^[!-\[\]-~]([ -\[\]-~]{0,14}[!-\[\]-~])?$")
]  # PS3.5 AE: no backslash, no control
Fingerprint = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all sections share: frozen, and no unknown keys."""


class PeerSettings(Section, frozen=True):
    """One node that may store: its AE title, from this address or network and no other."""

    ae_title: AeTitle
    network: str  # an address or a network in CIDR notation: 192.0.2.7, 192.0.2.0/28, ::1
    certificate_sha256: Fingerprint | None = None  # with TLS: this very certificate, of those that are accepted

    def __post_init__(self) -> None:
        """Refuse what is no network; host bits are forgiven to nobody, for the reader would take them for one host."""
        try:
            ipaddress.ip_network(self.network)
        except ValueError as error:
            raise ValueError(f"network {self.network!r} is no address or network ({error})") from error


class TlsSettings(Section, frozen=True):
    """TLS with certificates on both sides; relative paths count from the site file's folder."""

    certificate: str  # of the receiver, PEM
    key: str  # its private key, PEM without a pass phrase
    accept: tuple[str, ...]  # PEM files: the certificates of the peers, or of the authority that signed them


class LimitSettings(Section, frozen=True):
    """What one peer, and all together, may use. Sources: hazards.md D4 to D8."""

    pdu_kib: Annotated[int, Meta(ge=4, le=1024)] = 128  # announced to peers; a longer P-DATA is never read
    object_mib: Count = 256  # one object; an Enhanced CT of 300 frames has 150
    held_mib: Count = 512  # objects on their way to the disk, of all peers together
    associations: Count = 24
    associations_per_peer: Count = 4  # by address
    peer_mib_per_hour: Count = 8192  # by address: 300 series of 48 slices
    faults_per_minute: Count = 30  # by address: broken protocol, damaged objects; beyond it, it is shut out ...
    shut_out_s: Positive = 60.0  # ... for so long
    files_per_series: Annotated[int, Meta(ge=1, le=4000)] = 4000  # what `diastole score` reads of one folder
    store_gib: Positive = 50.0  # all of the store; full, it refuses, and deletes nothing by itself
    free_mib: Annotated[int, Meta(ge=0)] = 512  # stays free on the disk, for the results
    associate_s: Positive = 10.0  # from the connection to the whole request, TLS handshake included
    pdu_s: Positive = 20.0  # one PDU from its first byte to its last
    object_s: Positive = 180.0  # one object from its first PDU to its last
    idle_s: Positive = 30.0  # an association in which nothing happens
    association_s: Positive = 3600.0  # an association altogether
    quarantine_files: Annotated[int, Meta(ge=0)] = 200  # rejected objects kept for a person, the first ones
    quarantine_mib: Annotated[int, Meta(ge=0)] = 512


class ExamineSettings(Section, frozen=True):
    """Limits of the child process that parses an object first (hazards.md D4)."""

    processes: Annotated[int, Meta(ge=2, le=16)] = 2  # one stays free for peers that never hurt one
    memory_mib: Annotated[int, Meta(ge=512)] = 1024
    cpu_s: Annotated[int, Meta(ge=1, le=20)] = 5  # a slice takes 0.01
    wall_s: Positive = 15.0
    inflated_mib: Count = 256  # of a deflated object, and of decoded pixels
    depth: Annotated[int, Meta(ge=1, le=64)] = 16  # of nested sequences; an Enhanced CT has 4
    elements: Count = 400_000  # an Enhanced CT of 300 frames has 20,000


class DraftSettings(Section, frozen=True):
    """When a series counts as complete, and what the child process that scores it may use."""

    quiet_s: Annotated[float, Meta(ge=0)] = 10.0  # without a new slice, when no header tells the number of images
    quiet_counted_s: Annotated[float, Meta(ge=0)] = 0.0  # when the number that the headers tell is there
    ready: bool = True  # a scoring process waits, loaded and checked: 2 s of work sooner, for 170 MB
    memory_mib: Annotated[int, Meta(ge=1024)] = 4096
    cpu_s: Annotated[int, Meta(ge=1)] = 300
    wall_s: Positive = 600.0


class ReceiverSettings(Section, frozen=True):
    """All of the receiver."""

    host: str = "127.0.0.1"  # the address to listen on; an address of the scanner's network to be reached
    port: Annotated[int, Meta(ge=0, le=65535)] = 11112  # 0 takes a free one
    ae_title: AeTitle = "DIASTOLE"  # a request that calls another title is rejected
    peers: tuple[PeerSettings, ...] = ()  # empty: everybody is refused
    tls: TlsSettings | None = None
    limits: LimitSettings = LimitSettings()
    examine: ExamineSettings = ExamineSettings()
    draft: DraftSettings = DraftSettings()
    score: ScoreSettings = ScoreSettings()  # of the drafts


def read_receiver(path: Path) -> ReceiverSettings:
    """Read the `[scoring.receiver]` section of a site file; relative paths in it count from the file's folder.

    Raises
    ------
    ReceiverError
        If the file cannot be read or is no TOML, the section is missing, or a key or value in it is wrong.
    """
    try:
        site = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReceiverError(f"The site file {path} cannot be read ({error.strerror}); give it with --site.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ReceiverError(f"The site file {path} is not TOML ({error}); mend that line.") from error
    scoring = site.get("scoring")
    section = scoring.get("receiver") if isinstance(scoring, dict) else None
    if section is None:
        raise ReceiverError(f"Site file {path} has no section [scoring.receiver]; docs/receive.md shows one.")
    settings = parse_receiver(section, str(path))
    if settings.tls is None:
        return settings
    folder = path.resolve().parent
    tls = msgspec.structs.replace(
        settings.tls,
        certificate=str(folder / settings.tls.certificate),
        key=str(folder / settings.tls.key),
        accept=tuple(str(folder / name) for name in settings.tls.accept),
    )
    return msgspec.structs.replace(settings, tls=tls)


def parse_receiver(section: object, origin: str) -> ReceiverSettings:
    """Parse the section; `origin` names the file in an error.

    Raises
    ------
    ReceiverError
        If a key is unknown, or a value has a wrong type or lies outside its range.
    """
    try:
        settings = msgspec.convert(section, ReceiverSettings)
    except msgspec.ValidationError as error:
        raise ReceiverError(f"[scoring.receiver] in {origin}: {error}; see docs/receive.md for the keys.") from error
    pinned = [peer.ae_title for peer in settings.peers if peer.certificate_sha256 is not None]
    if pinned and settings.tls is None:
        raise ReceiverError(
            f"[scoring.receiver] in {origin}: peer {pinned[0]} has a certificate_sha256 but there is no "
            "[scoring.receiver.tls]; add it, or leave the fingerprint out."
        )
    return settings


def tls_context(tls: TlsSettings) -> ssl.SSLContext:
    """Make the context of a server that shows its certificate and wants one of the accepted from each peer.

    Raises
    ------
    ReceiverError
        If a file is missing, no PEM, or key and certificate do not belong together.
    """
    if not tls.accept:
        raise ReceiverError("[scoring.receiver.tls] accepts no certificate; list the peers' PEM files in `accept`.")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # BCP 195, as PS3.15 B.9 asks
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(tls.certificate, tls.key, password="")
        for name in tls.accept:
            context.load_verify_locations(name)
    except OSError as error:  # ssl.SSLError is one
        why = error.strerror or type(error).__name__
        raise ReceiverError(
            f"[scoring.receiver.tls]: certificate, key or an accepted certificate cannot be used ({why}); "
            "give PEM files that belong together, the key without a pass phrase."
        ) from error
    return context
