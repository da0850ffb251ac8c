"""The storage SCP: admits connections, reads their request under guard, and only then lets pynetdicom speak.

One thread for each connection, ended by deadlines; the thread that accepts never waits for a peer.
"""

import contextlib
import gc
import itertools
import logging
import socket
import ssl
import time
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    SegmentationStorage,
)
from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made at import
from pynetdicom.transport import RequestHandler, ThreadedAssociationServer

from scoring.io.receiver.admission import REJECTION, Admission
from scoring.io.receiver.errors import ReceiverError
from scoring.io.receiver.guard import (
    KIB,
    MIB,
    Fault,
    GuardedDimse,
    GuardedSocket,
    Held,
    Refused,
    Watch,
    read_request,
    rejection,
    shake_hands,
    titles,
)  # fmt: skip
from scoring.io.receiver.intake import Intake, Sender
from scoring.io.receiver.records import FAULTS, STATUS, Rejected
from scoring.io.receiver.settings import ReceiverSettings, tls_context
from scoring.io.receiver.telling import Teller

# The lossless ones first; JPEG 2000 and JPEG-LS also lossy, which the header tells and the scorer notes or refuses
SYNTAXES = [
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, JPEGLSLossless, JPEG2000Lossless,
    RLELossless, JPEGLSNearLossless, JPEG2000,
]  # fmt: skip
CLASSES = [CTImageStorage, EnhancedCTImageStorage, SegmentationStorage]
COLLECT_EVERY_S = 30.0
LINGER_S, MOST_LINGER_BYTES = 1.0, 64 * KIB  # so that a rejected peer reads why, and no more


class GuardedHandler(RequestHandler):
    """Makes one association of a request that was read and admitted."""

    def __init__(self, request: socket.socket, client_address: Any, server: "ReceiverServer", first: bytes, peer: str):
        self._first, self._peer = first, peer
        super().__init__(request, client_address, server)

    def handle(self) -> None:
        """Run the association to its end in this connection's thread."""
        server: ReceiverServer = self.server  # type: ignore[assignment]  # the one of ours
        association = self._create_association()
        number, address = next(server.numbers), self.client_address[0]
        watch = Watch(
            limits=server.settings.limits,
            held=server.held,
            spend=lambda count: server.admission.spend(address, count, time.monotonic()),
            tell=lambda fault: server.told(fault, address, self._peer),
            ends_at_s=time.monotonic() + server.settings.limits.association_s,
        )
        dul = association.dul
        dul.event_queue.get_nowait()  # the guarded socket announces the connection itself
        dul.socket = GuardedSocket(association, self.request, self._first, watch)
        dimse = association.dimse = GuardedDimse(association, watch)
        dul.daemon = True
        association.bind(evt.EVT_C_STORE, server.store, [number, address, self._peer])
        try:
            association.start()
            association.join()
            dul.join(LINGER_S)
        finally:
            dimse.release()
            server.intake.leave(number)


class ReceiverServer(ThreadedAssociationServer):
    """Accepts connections for the receiver's one AE title."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, settings: ReceiverSettings, intake: Intake, admission: Admission, tell: Teller) -> None:
        self.settings, self.intake, self.admission, self.tell = settings, intake, admission, tell
        self.held = Held(settings.limits.held_mib * MIB)
        self.numbers = itertools.count(1)
        self._collected_s = time.monotonic()
        self._tls = None if settings.tls is None else tls_context(settings.tls)
        silence_pynetdicom()
        try:
            super().__init__(
                _application(settings), (settings.host, settings.port), settings.ae_title, _contexts(settings)
            )
        except OSError as error:
            raise ReceiverError(
                f"{settings.host}:{settings.port} cannot be listened on ({error.strerror}); give an address of this "
                "machine and a free port in [scoring.receiver]."
            ) from error
        self.ae._servers.append(self)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept, and nothing else: TLS begins in the connection's own thread."""
        assert self.socket is not None
        return self.socket.accept()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - the base's signature
        """Let only addresses of peers in; what is refused here costs no thread."""
        denial = self.admission.connect(client_address[0], time.monotonic())
        if denial is not None:
            self.tell("connection refused", reason=denial, address=client_address[0])
        return denial is None

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start the thread of a connection; a system that has no more threads loses this connection and no other."""
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            self.admission.leave(client_address[0])
            self.tell("connection refused", reason="no-threads", address=client_address[0])
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Live one connection from its request to its end."""
        address, deadline_s = client_address[0], time.monotonic() + self.settings.limits.associate_s
        try:
            certificate = b""
            if self._tls is not None:
                request, certificate = shake_hands(request, self._tls, deadline_s)
            first = read_request(request, deadline_s)
            called, calling = titles(first)
            peer = self.admission.judge(address, called, calling, certificate, time.monotonic())
            if isinstance(peer, str):
                self.admission.fault(address, time.monotonic())
                self.tell("association rejected", reason=peer, address=address)
                _reject(request, *REJECTION[peer])
            else:
                GuardedHandler(request, client_address, self, first, peer.ae_title)
        except Refused as refused:
            self.told(refused.fault, address)
        except Exception as error:  # whatever a peer sends, the receiver lives on
            self.told("protocol", address, error=type(error).__name__)
        finally:
            self.admission.leave(address)
            self.shutdown_request(request)

    def told(self, fault: Fault, address: str, peer: str | None = None, error: str | None = None) -> None:
        """Count and say why a connection was ended by us."""
        if fault != "held-full":  # which is the fault of all
            self.admission.fault(address, time.monotonic())
        self.tell("connection ended", reason=fault, address=address, peer=peer, error=error)

    def service_actions(self) -> None:
        """Collect the rings of objects that ended associations leave, by the clock and not by the connection."""
        now_s = time.monotonic()
        if now_s - self._collected_s > COLLECT_EVERY_S:
            self._collected_s = now_s
            gc.collect()

    def store(self, event: evt.Event, number: int, address: str, peer: str) -> Dataset:
        """Answer one C-STORE request."""
        request: Any = event.request  # a C_STORE, which its own types do not say
        now_s = time.monotonic()
        with request.DataSet.getbuffer() as data:
            count = len(data)
            outcome = self.intake.take(
                Sender(number, self.admission.struck(address, now_s)),
                str(event.context.transfer_syntax),
                str(request.AffectedSOPClassUID),
                str(request.AffectedSOPInstanceUID),
                data,
            )
        request.DataSet = None
        dimse = event.assoc.dimse
        if isinstance(dimse, GuardedDimse):
            dimse.release(count)
        event.assoc.dul._idle_timer.restart()
        answer = Dataset()
        answer.Status = 0x0000
        if isinstance(outcome, Rejected):
            if outcome.reason in {"examiner-died", "examiner-slow"}:
                self.admission.strike(address, now_s)
            if outcome.reason in FAULTS:
                self.admission.fault(address, now_s)
            answer.Status = STATUS[outcome.reason]
            answer.ErrorComment = outcome.text[:64]
            self.tell("object rejected", reason=outcome.reason, peer=peer, text=outcome.text)
        else:
            self.tell.count("object", "again" if outcome.again else "stored")
        return answer

    def end(self) -> None:
        """Stop accepting and abort what is open."""
        self.admission.stopping = True
        self.shutdown()
        for association in self.active_associations:
            with contextlib.suppress(RuntimeError):
                association.abort()


def silence_pynetdicom() -> None:
    """Keep pynetdicom and pydicom from logging what peers send: names, titles, identifiers."""
    _config.LOG_HANDLER_LEVEL = "none"
    for name in ("pynetdicom", "pydicom"):
        logger = logging.getLogger(name)
        logger.handlers = [logging.NullHandler()]
        logger.propagate = False
        logger.setLevel(logging.CRITICAL + 1)


def _application(settings: ReceiverSettings) -> AE:
    """Application entity with our timeouts."""
    entity = AE(ae_title=settings.ae_title)
    limits = settings.limits
    entity.maximum_pdu_size = limits.pdu_kib * KIB
    entity.maximum_associations = 2 * limits.associations  # the books are kept before it hears of one
    entity.require_called_aet = True
    entity.require_calling_aet = [peer.ae_title for peer in settings.peers]
    entity.acse_timeout, entity.dimse_timeout, entity.network_timeout = limits.associate_s, limits.idle_s, limits.idle_s
    entity.implementation_version_name = "DIASTOLE"
    return entity


def _contexts(settings: ReceiverSettings) -> Any:
    """Presentation contexts that are accepted: C-ECHO, and storage of three classes."""
    entity = AE(ae_title=settings.ae_title)
    entity.add_supported_context(Verification)
    for storage in CLASSES:
        entity.add_supported_context(storage, SYNTAXES)
    return entity.supported_contexts


def _reject(sock: socket.socket | ssl.SSLSocket, result: int, source: int, reason: int) -> None:
    """Answer with an A-ASSOCIATE-RJ and let the peer read it before the line is cut."""
    with contextlib.suppress(OSError):
        sock.settimeout(LINGER_S)
        sock.sendall(rejection(result, source, reason))
        if not isinstance(sock, ssl.SSLSocket):
            sock.shutdown(socket.SHUT_WR)
        deadline_s, left = time.monotonic() + LINGER_S, MOST_LINGER_BYTES
        while left > 0 and time.monotonic() < deadline_s:
            data = sock.recv(min(left, 4 * KIB))
            if not data:
                return
            left -= len(data)
