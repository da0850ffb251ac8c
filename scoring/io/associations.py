"""Associations that we open with a peer, plain or over TLS, each with its time limits and closed whatever happens."""

import contextlib
import ssl
from collections.abc import Iterator, Sequence

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association

from scoring.io.errors import SeriesError
from scoring.io.peers import Peer

SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]


class PeerFailed(Exception):
    """A peer did not answer, or not as the standard has it; the text says so in one sentence."""


@contextlib.contextmanager
def associated(peer: Peer, classes: Sequence[str]) -> Iterator[Association]:
    """Open an association for some SOP classes.

    Raises
    ------
    PeerFailed
        If the peer is not there or rejects the association.
    SeriesError
        If the peer has no host, or its TLS files cannot be used.
    """
    if not peer.host:
        raise SeriesError("This peer has a url and no host; a worklist and C-STORE need `host` and `port`.")
    entity = AE(ae_title=peer.calling_ae)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = peer.timeout_s
    entity.connection_timeout = peer.timeout_s
    for uid in sorted(set(classes)):
        entity.add_requested_context(uid, SYNTAXES)
    link = entity.associate(peer.host, peer.port, ae_title=peer.called_ae, tls_args=_tls(peer))
    if not link.is_established:
        why = "rejected the association; check the AE titles" if link.is_rejected else "did not answer"
        raise PeerFailed(f"The peer {why} (calling {peer.calling_ae}, called {peer.called_ae}).")
    try:
        yield link
    finally:
        if link.is_established:
            link.release()


def _tls(peer: Peer) -> tuple[ssl.SSLContext, str] | None:
    """Make the TLS context; None for a plain connection."""
    if peer.tls_ca_file is None and peer.tls_cert_file is None:
        return None
    try:
        context = ssl.create_default_context(cafile=peer.tls_ca_file)
        if peer.tls_cert_file is not None:
            context.load_cert_chain(peer.tls_cert_file, peer.tls_key_file)
    except (OSError, ssl.SSLError) as error:
        raise SeriesError(
            f"The peer's TLS files cannot be used ({error}); check their paths in the site file."
        ) from error
    return context, peer.host
