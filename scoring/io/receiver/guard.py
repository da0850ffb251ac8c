"""What stands between a peer's bytes and pynetdicom: nothing is read because a peer says how long it is.

pynetdicom reads a PDU of any declared length, before any association, and puts what it decodes into queues without a
bound (hazards.md D5). So the first PDU of a connection is read here, with a cap and
a deadline, and judged before pynetdicom hears of the connection; after that its socket and its DIMSE provider are the
two classes below, which know the negotiated maximum.
"""

import queue
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ, DIMSEMessage
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

from scoring.io.receiver.settings import LimitSettings

KIB, MIB = 2**10, 2**20
MOST_ASSOCIATE_BYTES = 256 * KIB  # 128 contexts of ten syntaxes have 100; hazards.md D5 allows 1 MiB
MOST_OTHER_BYTES = 64  # releases and aborts have 4
MOST_COMMAND_BYTES = 16 * KIB  # of a C-STORE request; 300 are usual
ASSOCIATE_RQ, P_DATA_TF = 0x01, 0x04
TITLES = slice(10, 42)  # called and calling AE title in an A-ASSOCIATE-RQ (PS3.8 table 9-11)
NO_PDU = bytearray(b"\xff\x00\x00\x00\x00\x00")  # pynetdicom answers an unknown type with an A-ABORT

Fault = Literal[
    "pdu-too-long", "no-associate-request", "too-slow", "closed", "object-too-large", "held-full", "peer-quota",
    "protocol", "too-old",
]  # fmt: skip


class Refused(Exception):
    """A connection ends here; `fault` says why."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault: Fault = fault


class Held:
    """Bytes of objects that are on their way to the disk, of all peers together."""

    def __init__(self, most_bytes: int) -> None:
        self._left = most_bytes
        self._lock = threading.Lock()

    def take(self, count: int) -> bool:
        """Reserve bytes; False when there are not so many left."""
        with self._lock:
            if count > self._left:
                return False
            self._left -= count
            return True

    def give(self, count: int) -> None:
        """Give reserved bytes back."""
        with self._lock:
            self._left += count


@dataclass(frozen=True, slots=True)
class Watch:
    """What the guards of one connection share."""

    limits: LimitSettings
    held: Held
    spend: Callable[[int], bool]  # counts received bytes against the peer's hour; False when it is used up
    tell: Callable[[Fault], None]  # hears why a connection was ended
    ends_at_s: float  # monotonic: no association is older


def read_exactly(sock: socket.socket, count: int, deadline_s: float) -> bytearray:
    """Read so many bytes until a monotonic instant.

    Raises
    ------
    Refused
        If they do not come in time, or the peer closes before.
    """
    data = bytearray(count)
    view = memoryview(data)
    while view:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise Refused("too-slow")
        sock.settimeout(left_s)
        try:
            got = sock.recv_into(view)
        except TimeoutError as error:
            raise Refused("too-slow") from error
        except OSError as error:
            raise Refused("closed") from error
        if got == 0:
            raise Refused("closed")
        view = view[got:]
    return data


def read_request(sock: socket.socket, deadline_s: float) -> bytes:
    """Read the A-ASSOCIATE-RQ with which a connection must begin.

    Raises
    ------
    Refused
        If the first PDU is another one, declares more than it may, or comes too slowly.
    """
    head = read_exactly(sock, 6, deadline_s)
    kind, length = struct.unpack(">BxL", head)
    if kind != ASSOCIATE_RQ:
        raise Refused("no-associate-request")
    if not TITLES.stop - 6 <= length <= MOST_ASSOCIATE_BYTES:
        raise Refused("pdu-too-long")
    return bytes(head + read_exactly(sock, length, deadline_s))


def titles(request: bytes) -> tuple[str, str]:
    """Take the called and the calling AE title out of a request."""
    called, calling = request[TITLES][:16], request[TITLES][16:]
    return called.decode("latin-1").strip(), calling.decode("latin-1").strip()


def rejection(result: int, source: int, reason: int) -> bytes:
    """Encode an A-ASSOCIATE-RJ (PS3.8 table 9-21)."""
    return struct.pack(">BxLxBBB", 0x03, 4, result, source, reason)


class GuardedSocket(AssociationSocket):
    """pynetdicom's socket, which refuses a PDU by its header and gives each a deadline."""

    def __init__(self, assoc: Association, sock: socket.socket, request: bytes, watch: Watch) -> None:
        super().__init__(assoc, client_socket=sock)
        self._ahead = bytearray(request)  # read already; pynetdicom reads it from here
        self._watch = watch
        self._in_body = False
        self._condemned = False
        self._deadline_s = 0.0

    @property
    def ready(self) -> bool:
        """True when there is something to read, and this connection is not condemned."""
        return not self._condemned and (bool(self._ahead) or super().ready)

    def recv(self, nr_bytes: int) -> bytearray:
        """Read a header, then a body, in turns, as pynetdicom's reader asks for them."""
        if self._ahead:
            taken, self._ahead = self._ahead[:nr_bytes], self._ahead[nr_bytes:]
            return taken
        if self.socket is None:
            raise OSError("the connection is closed")
        try:
            if not self._in_body:
                return self._header(self.socket)
            self._in_body = False
            data = read_exactly(self.socket, nr_bytes, self._deadline_s)
        except Refused as refused:
            if refused.fault != "closed":
                self.condemn(refused.fault)
            raise OSError(refused.fault) from refused
        finally:
            if self.socket is not None:
                self.socket.settimeout(self._watch.limits.idle_s)  # of what pynetdicom sends
        if not self._watch.spend(nr_bytes + 6):
            self.condemn("peer-quota")
            raise OSError("peer-quota")  # the connection ends without an answer, as a full line does
        return data

    def condemn(self, fault: Fault) -> None:
        """Read nothing more from this peer."""
        if not self._condemned:
            self._condemned = True
            self._watch.tell(fault)

    def _header(self, sock: socket.socket) -> bytearray:
        """Read a header and let its body be read only when it is not longer than was negotiated."""
        self._deadline_s = time.monotonic() + self._watch.limits.pdu_s
        head = read_exactly(sock, 6, self._deadline_s)
        kind, length = struct.unpack(">BxL", head)
        if length > (self._watch.limits.pdu_kib * KIB if kind == P_DATA_TF else MOST_OTHER_BYTES):
            self.condemn("pdu-too-long")
            return NO_PDU.copy()
        if time.monotonic() > self._watch.ends_at_s:
            self.condemn("too-old")
            return NO_PDU.copy()
        self._in_body = length > 0
        return head


class GuardedDimse(DIMSEServiceProvider):
    """pynetdicom's DIMSE provider, total on any fragments and with a bound on what it holds.

    One request at a time, for more are not negotiated; C-STORE and C-ECHO only; and no fragment is kept that would pass
    the limit of an object or of all objects together.
    """

    def __init__(self, assoc: Association, watch: Watch) -> None:
        super().__init__(assoc)
        self._watch = watch
        self._lock = threading.Lock()
        self._reserved = 0  # bytes, of the fragments here and of the request that waits or is served
        self._object = 0
        self._command = 0
        self._began_s = 0.0

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take fragments; anything that is not as it should be ends the association."""
        try:
            self._take(primitive)
        except Refused as refused:
            self._end(refused.fault)
        except Exception:  # pydicom and pynetdicom raise what they meet in a command set
            self._end("protocol")

    def release(self, count: int | None = None) -> None:
        """Give back what an object that was served had reserved; everything at the end of the association."""
        with self._lock:
            count = self._reserved if count is None else min(count, self._reserved)
            self._reserved -= count
        self._watch.held.give(count)

    def _take(self, primitive: P_DATA) -> None:
        """Count, then let pynetdicom decode, then accept a request or refuse it."""
        for context_id, data in primitive.presentation_data_value_list:
            if len(data) < 1 or context_id not in self.assoc._accepted_cx:
                raise Refused("protocol")
            self._count(data[0] & 1 == 1, len(data) - 1)
        if self.message is None:
            self.message = DIMSEMessage()
        if not self.message.decode_msg(primitive, self.assoc):
            return
        if not isinstance(self.message, C_STORE_RQ | C_ECHO_RQ) or not self.msg_queue.empty():
            raise Refused("protocol")
        number = int(self.message.context_id or 0)
        request: Any = self.message.message_to_primitive()
        if not request.is_valid_request:  # pynetdicom would ignore it, and its sender would wait
            raise Refused("protocol")
        self.message = None
        self._object = self._command = 0
        try:
            self.msg_queue.put_nowait((number, request))
        except queue.Full as error:
            raise Refused("protocol") from error

    def _count(self, of_command: bool, count: int) -> None:
        """Reserve the bytes of one fragment."""
        limits = self._watch.limits
        if self._object == self._command == 0:
            self._began_s = time.monotonic()
        if time.monotonic() - self._began_s > limits.object_s:
            raise Refused("too-slow")
        if of_command:
            self._command += count
            if self._command > MOST_COMMAND_BYTES:
                raise Refused("protocol")
            return
        self._object += count
        if self._object > limits.object_mib * MIB:
            raise Refused("object-too-large")
        if not self._watch.held.take(count):
            raise Refused("held-full")
        with self._lock:
            self._reserved += count

    def _end(self, fault: Fault) -> None:
        """Drop what came and let the state machine abort the association."""
        self.message = None
        sock = self.dul.socket
        if isinstance(sock, GuardedSocket):
            sock.condemn(fault)
        self.dul.event_queue.put("Evt19")  # "unrecognized or invalid PDU": A-ABORT (PS3.8 table 9-10)


def shake_hands(sock: socket.socket, context: ssl.SSLContext, deadline_s: float) -> tuple[ssl.SSLSocket, bytes]:
    """Begin TLS in the thread of this connection alone; also the peer's certificate, DER.

    Raises
    ------
    Refused
        If the peer is too slow, shows no certificate or one that is not accepted.
    """
    sock.settimeout(max(0.01, deadline_s - time.monotonic()))
    try:
        secure = context.wrap_socket(sock, server_side=True)
    except TimeoutError as error:
        raise Refused("too-slow") from error
    except OSError as error:  # ssl.SSLError is one
        raise Refused("closed") from error
    return secure, secure.getpeercert(binary_form=True) or b""
