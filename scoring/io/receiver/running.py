"""Puts the parts together and runs them until told; and says what would stop them, without running."""

import fcntl
import os
import resource
import signal
import threading
import time
from pathlib import Path
from types import FrameType

import msgspec

from scoring.io.receiver.admission import Admission
from scoring.io.receiver.children import Examiners
from scoring.io.receiver.desk import Desk, Status
from scoring.io.receiver.errors import ReceiverError
from scoring.io.receiver.guard import MIB
from scoring.io.receiver.intake import Intake
from scoring.io.receiver.jail import Jail
from scoring.io.receiver.server import ReceiverServer
from scoring.io.receiver.settings import ReceiverSettings, tls_context
from scoring.io.receiver.telling import Teller

MEMORY_MIB = 6144  # of addresses, the last line behind all other limits; what is held is bounded by `held_mib`
GRACE_S = 5.0


def run(settings: ReceiverSettings, store: Path) -> None:
    """Receive until SIGINT or SIGTERM.

    Raises
    ------
    ReceiverError
        If the store or the address cannot be used, or another receiver has the store.
    """
    told = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a handler
        told.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    receiver = Receiver(settings, store)
    try:
        receiver.start()
        told.wait()
    finally:
        receiver.stop()


class Receiver:
    """All parts of one receiver."""

    def __init__(self, settings: ReceiverSettings, store: Path) -> None:
        self.tell = Teller()
        threading.excepthook = lambda told: self.tell("thread ended", reason=told.exc_type.__name__)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MIB * MIB, resource.getrlimit(resource.RLIMIT_AS)[1]))
        self._settings = settings
        self._jail = Jail(store)
        self._lock = _lock(self._jail)
        self._examiners = Examiners(settings.examine)
        self.intake = Intake(self._jail, settings, self._examiners, time.monotonic)
        self.admission = Admission(settings)
        try:
            self._server = ReceiverServer(settings, self.intake, self.admission, self.tell)
        except ReceiverError:
            self._examiners.end()
            raise
        self._desk = Desk(self._jail, self.intake, settings, self.tell)
        self._written = b""
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="accept", daemon=True
        )

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to accept."""
        self._desk.start(self._write_status)
        self._thread.start()
        self._write_status()
        if not self._settings.peers:
            self.tell("nobody may store: [scoring.receiver] names no peers, so every connection is refused")
        self.tell("ready", host=self._settings.host, port=self.port, peers=len(self._settings.peers))

    def stop(self) -> None:
        """End cleanly: nothing is accepted any more, what is open is aborted, nothing is left half written."""
        if self._thread.is_alive():
            self._server.end()
        self._desk.stop(GRACE_S)
        self._examiners.end()
        self._write_status(running=False)
        self.tell("ended")
        os.close(self._lock)

    def _write_status(self, *, running: bool = True) -> None:
        """Write `status.json` whole, when it says something new."""
        status = Status(
            running=running,
            pid=os.getpid(),
            host=self._settings.host,
            port=self.port,
            ae_title=self._settings.ae_title,
            peers=len(self._settings.peers),
            counts=dict(self.tell.counts),
            denied=dict(self.admission.denied),
            series=tuple(reversed(list(self._desk.told.values()))),
        )
        data = msgspec.json.format(msgspec.json.encode(status), indent=2) + b"\n"
        if data == self._written:
            return
        try:
            self._jail.replace("status.json", data=data)
            self._written = data
        except OSError as error:
            self.tell("status.json cannot be written", reason=error.strerror)


def read_status(store: Path) -> Status:
    """Read what a receiver says of a store.

    Raises
    ------
    ReceiverError
        If there is no `status.json`, or it is none of this version.
    """
    path = store / "status.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Status)
    except OSError as error:
        raise ReceiverError(f"{path} cannot be read ({error.strerror}); give the --store of a receiver.") from error
    except msgspec.MsgspecError as error:
        raise ReceiverError(f"{path} is of another version ({error}); start the receiver once.") from error


def is_running(status: Status) -> bool:
    """Tell whether the process that wrote a status is there still."""
    try:
        os.kill(status.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return status.running
    return status.running


def obstacles(settings: ReceiverSettings, store: Path) -> tuple[str, ...]:
    """Say what would stop or hinder a receiver, each in one sentence with its cure."""
    found = []
    if not settings.peers:
        found.append("Nobody may store: name the scanner in [[scoring.receiver.peers]] (ae_title, network).")
    if settings.tls is not None:
        try:
            tls_context(settings.tls)
        except ReceiverError as error:
            found.append(str(error))
    try:
        jail = Jail(store)
    except ReceiverError as error:
        return (*found, str(error))
    try:
        os.close(_lock(jail))
    except ReceiverError as error:
        found.append(str(error))
    if jail.strangers_may_write():
        found.append(f"Others may write into {store}, or own it; make it yours alone (chmod 700).")
    used_gib = jail.used_bytes() / 1024 / MIB
    if used_gib >= settings.limits.store_gib:
        found.append(f"The store holds {used_gib:.1f} GiB, its limit; raise store_gib or move series away.")
    if jail.free_bytes() < settings.limits.free_mib * MIB:
        found.append("The disk has less left than has to stay free; free some, or lower free_mib.")
    jail.close()
    try:
        admission = Admission(settings)
        server = ReceiverServer(settings, None, admission, Teller())  # type: ignore[arg-type]  # it accepts nothing
        server.server_close()
    except ReceiverError as error:
        found.append(str(error))
    return tuple(found)


def _lock(jail: Jail) -> int:
    """Take the store for this process alone."""
    with jail.folder() as root:
        handle = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=root)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise ReceiverError(f"Another receiver has the store {jail.root}; stop it, or give another --store.") from error
    return handle
