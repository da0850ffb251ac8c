"""TLS with certificates on both sides."""

import socket
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from scoring.io.receiver.errors import ReceiverError
from scoring.io.receiver.settings import parse_receiver, tls_context
from tests.scoring.receiving import QUICK, Line, Node, encoded

TLS = '[scoring.receiver.tls]\ncertificate = "own.pem"\nkey = "own.key"\naccept = ["scanner.pem"]\n'


def certificate(folder: Path, name: str) -> None:
    """Write a key and a certificate that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / f"{name}.key").write_bytes(private)
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of the receiver, of its scanner, and of a stranger."""
    folder = tmp_path_factory.mktemp("secure")
    for name in ("own", "scanner", "stranger"):
        certificate(folder, name)
    return folder


@pytest.fixture(scope="module")
def node(keys: Path) -> Iterator[Node]:
    """A receiver that speaks TLS only."""
    node = Node(keys, more=TLS + QUICK)
    yield node
    assert 0 == node.stop()


def secure(node: Node, keys: Path, name: str | None) -> Line:
    """Connect with a certificate, or with none."""
    context = ssl.create_default_context(cafile=str(keys / "own.pem"))
    context.check_hostname = False
    if name is not None:
        context.load_cert_chain(keys / f"{name}.pem", keys / f"{name}.key")
    line = Line(node.port)
    line.socket = context.wrap_socket(line.socket)
    return line


def test_an_accepted_certificate_opens_the_line(node: Node, keys: Path, ct_slice: Callable[..., Any]) -> None:
    """The scanner's own certificate: the association stands and an object is stored."""
    one = ct_slice(np.full((16, 16), 40.0), 3.0, 1)
    with secure(node, keys, "scanner") as line:
        assert 2 == line.associate()[0]
        assert 0 == line.store(str(one.SOPInstanceUID), encoded(one))
        line.release()


@pytest.mark.parametrize("name", ["stranger", None])
def test_without_an_accepted_certificate_nothing_is_heard(node: Node, keys: Path, name: str | None) -> None:
    """Another certificate or none: the handshake fails, before a byte of DICOM."""
    with pytest.raises((ssl.SSLError, ConnectionError)), secure(node, keys, name) as line:
        if line.associate() == b"":
            raise ConnectionError


def test_a_peer_without_tls_is_cut_off_and_blocks_nobody(node: Node, keys: Path) -> None:
    """One that says nothing, one that speaks DICOM in clear: the next one with a certificate is served at once."""
    with socket.create_connection(("127.0.0.1", node.port)), Line(node.port) as clear:
        assert not clear.associate().startswith(b"\x02")
        with secure(node, keys, "scanner") as line:
            assert 2 == line.associate()[0]


def test_certificates_that_cannot_be_used_are_named(keys: Path) -> None:
    """A key of another certificate, a missing file, nobody accepted: one sentence, with the cure."""
    wrong = [
        ("own.pem", "stranger.key", ["scanner.pem"]),
        ("none.pem", "own.key", ["scanner.pem"]),
        ("own.pem", "own.key", []),
        ("own.pem", "own.key", ["own.key"]),
    ]
    for shown, key, accepted in wrong:
        told = {"certificate": f"{keys / shown}", "key": f"{keys / key}", "accept": [f"{keys / n}" for n in accepted]}
        tls = parse_receiver({"tls": told}, "site.toml").tls
        assert tls is not None
        with pytest.raises(ReceiverError, match=r"\[scoring.receiver.tls\]"):
            tls_context(tls)
