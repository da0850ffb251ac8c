"""C-STORE over TLS with certificates on both sides."""

import datetime
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, evt

from scoring.io.errors import SeriesError
from scoring.io.peers import Peer
from scoring.io.send import Answer, Parcel, send

CLASS = "1.2.840.10008.5.1.4.1.1.88.22"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1 and its key."""
    folder = tmp_path_factory.mktemp("keys")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = (
        made.serial_number(1).not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
    )
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = made.add_extension(address, critical=False).add_extension(x509.BasicConstraints(True, None), critical=True)
    certificate = made.sign(key, hashes.SHA256())
    (folder / "own.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    kind = serialization.PrivateFormat.PKCS8
    (folder / "own.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, serialization.NoEncryption()))
    return folder


@pytest.fixture(scope="module")
def port(keys: Path) -> Iterator[int]:
    """A storage server that demands a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(keys / "own.crt"))
    context.load_cert_chain(keys / "own.crt", keys / "own.key")
    context.verify_mode = ssl.CERT_REQUIRED
    entity = AE()
    entity.add_supported_context(CLASS)
    handlers: list[Any] = [(evt.EVT_C_STORE, lambda _event: 0x0000)]
    server = entity.start_server(("127.0.0.1", 0), block=False, ssl_context=context, evt_handlers=handlers)
    assert server is not None
    assert server.socket is not None
    yield int(server.socket.getsockname()[1])
    server.shutdown()


def _parcel() -> Parcel:
    """Make a parcel of one small object."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.PatientID = CLASS, "1.2.3", "P-1"
    return Parcel(1, {"measurements.sr.dcm": dataset})


def test_with_our_certificate_the_object_is_taken(keys: Path, port: int) -> None:
    """The peer's certificate is checked against the site's authority, and ours by the peer."""
    own = str(keys / "own.crt")
    peer = Peer(host="127.0.0.1", port=port, tls_ca_file=own, tls_cert_file=own, tls_key_file=str(keys / "own.key"))
    assert (Answer("measurements.sr.dcm", True, "status 0000h"),) == send(_parcel(), peer)


def test_a_certificate_that_is_not_there_is_wrong_input() -> None:
    """The sentence names the cure."""
    with pytest.raises(SeriesError, match="TLS files cannot be used"):
        send(_parcel(), Peer(host="127.0.0.1", port=1, tls_ca_file="/nowhere/ca.crt"))
