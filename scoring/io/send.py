"""A confirmed result -> a peer: the last look before it leaves, then C-STORE or STOW-RS, object by object."""

import hashlib
import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pydicom
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset

from scoring.io.associations import PeerFailed, associated
from scoring.io.errors import SeriesError
from scoring.io.peers import Peer
from scoring.io.results.manifest import Manifest, belonging
from scoring.io.revisions import number_of, read_report, revisions
from scoring.volume import Refusal

# its tracebacks of failed tries, with the url in them, are no text for a user: `Answer` and `PeerFailed` tell of them
logging.getLogger("retrying").addHandler(logging.NullHandler())

CREATED, WARNING = 0x0000, 0xB000  # of a C-STORE; 0xBxxx: taken, with a remark


@dataclass(frozen=True, slots=True)
class Parcel:
    """What may leave: the DICOM objects of a confirmed revision, by file name."""

    revision: int
    objects: Mapping[str, Dataset]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer said to one object."""

    name: str
    taken: bool
    said: str


def pack(folder: Path) -> Parcel | Refusal:
    """Take the latest revision of a result and look at it for the last time.

    Raises
    ------
    SeriesError
        If the folder holds no result, or one that cannot be read.
    """
    there = revisions(folder)
    if not there:
        raise SeriesError(f"{folder} holds no result; give the folder that `diastole score --results` wrote.")
    latest = there[-1]
    number = number_of(latest)
    if read_report(latest).draft:
        return Refusal((f"Revision {number} is a draft: it is never sent until a named person confirms it.",))
    manifest = _manifest(latest)
    reasons, objects = [], {}
    names = sorted({path.name for path in latest.iterdir()} - {"manifest.json"})
    for name in sorted({*names, *manifest.files}):
        data = (latest / name).read_bytes() if name in names else b""
        if hashlib.sha256(data).hexdigest() != manifest.files.get(name):
            reasons.append(f"{name} is not what was made for revision {number}; confirm the result anew.")
            continue
        if name.endswith(".dcm"):
            objects[name] = pydicom.dcmread(io.BytesIO(data))
            if belonging(objects[name]) != manifest.belongs_to:
                reasons.append(f"{name} is of another patient, study or order than the scored slices; it stays here.")
    if not reasons and not objects:
        reasons.append(f"Revision {number} holds no DICOM object; there is nothing to send.")
    return Refusal(tuple(reasons)) if reasons else Parcel(number, objects)


def send(parcel: Parcel, peer: Peer) -> tuple[Answer, ...]:
    """Send every object; what the peer already has it is given again under the same UIDs, so twice is once.

    Raises
    ------
    PeerFailed
        If the peer does not answer at all.
    """
    return _stow(parcel, peer) if peer.url else _store(parcel, peer)


def _store(parcel: Parcel, peer: Peer) -> tuple[Answer, ...]:
    """Send by C-STORE over one association."""
    answers = []
    with associated(peer, [dataset.SOPClassUID for dataset in parcel.objects.values()]) as link:
        for name, dataset in parcel.objects.items():
            try:
                status = link.send_c_store(dataset)
            except (ValueError, RuntimeError):  # no context for this class, or the association is gone
                answers.append(Answer(name, False, "the peer does not take this kind of object, or broke off"))
                continue
            code = status.get("Status")
            if code is None:
                answers.append(Answer(name, False, f"no answer in {peer.timeout_s:g} s"))
            else:
                taken = code == CREATED or code & 0xF000 == WARNING
                remark = ", it changed or dropped something" if taken and code != CREATED else ""
                answers.append(Answer(name, taken, f"status {code:04X}h{remark}"))
    return tuple(answers)


def _stow(parcel: Parcel, peer: Peer) -> tuple[Answer, ...]:
    """Send by STOW-RS, one request for each object, so that each has its own answer."""
    answers = []
    with requests.Session() as session:
        client = DICOMwebClient(url=peer.url, session=_prepared(session, peer), timeout=peer.timeout_s)
        client.set_http_retry_params(retry=False)  # one answer for one try; who sends again decides it
        for name, dataset in parcel.objects.items():
            try:
                stored = client.store_instances([dataset], study_instance_uid=str(dataset.StudyInstanceUID))
            except requests.HTTPError as error:
                code = "no status" if error.response is None else f"HTTP {error.response.status_code}"
                answers.append(Answer(name, False, code))
            except requests.RequestException as error:
                raise PeerFailed(f"The peer's url does not answer ({type(error).__name__}).") from error
            else:
                failed = stored.get("FailedSOPSequence")
                answers.append(Answer(name, not failed, "refused by the archive" if failed else "stored"))
    return tuple(answers)


def _prepared(session: requests.Session, peer: Peer) -> requests.Session:
    """Give a session its certificates and token."""
    if peer.tls_ca_file is not None:
        session.verify = peer.tls_ca_file
    if peer.tls_cert_file is not None and peer.tls_key_file is not None:
        session.cert = (peer.tls_cert_file, peer.tls_key_file)
    if peer.token_file is not None:
        try:
            token = Path(peer.token_file).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SeriesError("The peer's token_file cannot be read; check its path in the site file.") from error
        session.headers["Authorization"] = f"Bearer {token}"
    return session


def _manifest(revision: Path) -> Manifest:
    """Read the manifest of a revision."""
    try:
        return msgspec.json.decode((revision / "manifest.json").read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise SeriesError(f"{revision.name} has no manifest.json that can be read; write the result anew.") from error
