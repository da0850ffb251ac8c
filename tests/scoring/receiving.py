"""A receiver as a process of its own, and a client of bare bytes that may send it anything."""

import hashlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pydicom
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT, DEFLATED = str(ExplicitVRLittleEndian), "1.2.840.10008.1.2.1.99"
ROOT = Path(__file__).resolve().parents[2]
PEER = '[[scoring.receiver.peers]]\nae_title = "SCANNER"\nnetwork = "127.0.0.0/9"\n'
QUICK = "[scoring.receiver.draft]\nquiet_s = 0.4\nready = false\n"
PATIENCE_S = 60.0  # for a loaded machine; nothing here waits so long unless it fails


class Node:
    """A running `diastole receive` with its store."""

    def __init__(self, folder: Path, *, peers: str = PEER, head: str = "", more: str = QUICK) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.site, self.store, self.log = folder / "site.toml", folder / "store", folder / "log.jsonl"
        self.site.write_text(f'site = "test"\n[scoring.receiver]\nport = 0\n{head}\n{more}\n{peers}', encoding="utf-8")
        self.start()

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        command = [sys.executable, "-m", "diastole", "receive", "--site", str(self.site), "--store", str(self.store)]
        before = len(self.ready())
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        self.wait(lambda: len(self.ready()) > before, "ready")
        self.port = int(self.ready()[-1]["port"])

    def ready(self) -> list[dict[str, Any]]:
        """Log lines that say it is ready: one for each start."""
        return [one for one in self.lines() if one.get("event") == "ready"]

    def lines(self) -> list[dict[str, Any]]:
        """Log lines so far; a line that is no JSON fails the test that asks."""
        text = self.log.read_text() if self.log.exists() else ""
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def status(self) -> dict[str, Any]:
        """Content of `status.json`."""
        return dict(json.loads((self.store / "status.json").read_text()))

    def told(self, sent: Sequence[pydicom.Dataset]) -> dict[str, Any]:
        """What `status.json` says of the series of these data sets."""
        name = hashlib.sha256(str(sent[0].SeriesInstanceUID).encode()).hexdigest()[:16]
        return next((dict(one) for one in self.status()["series"] if one["series"] == name), {"state": "unknown"})

    def wait(self, true: Callable[[], object], what: str) -> None:
        """Wait until something holds, as long as the process lives."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not true():
            assert self.process.poll() is None, f"the receiver ended: {self.log.read_text()[-2000:]}"
            assert time.monotonic() < deadline_s, f"not {what}: {self.log.read_text()[-2000:]}"
            time.sleep(0.02)

    def wait_state(self, sent: Sequence[pydicom.Dataset], *states: str) -> dict[str, Any]:
        """Wait until the series of these data sets has one of the states."""
        self.wait(lambda: self.told(sent)["state"] in states, f"{states}")
        return self.told(sent)

    def memory_kib(self, name: str = "VmRSS") -> int:
        """Memory of the receiver's own process."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(text.split(f"{name}:")[1].split()[0])

    def stop(self) -> int:
        """End as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=PATIENCE_S)

    def files(self) -> list[str]:
        """Every file of the store below its root."""
        return sorted(str(path.relative_to(self.store)) for path in self.store.rglob("*") if not path.is_dir())


class Line:
    """A TCP connection that speaks the upper layer by hand."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S, source_address=(source, 0))

    def __enter__(self) -> "Line":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def associate(
        self, calling: str = "SCANNER", called: str = "DIASTOLE", syntax: str = EXPLICIT, sop_class: str = CT
    ) -> bytes:
        """Request an association with one context and return the answer's PDU, empty when the line was cut."""
        self.socket.sendall(associate_request(calling, called, syntax, sop_class))
        return self.pdu()

    def pdu(self) -> bytes:
        """Receive one PDU; empty when the line was cut. Silence is a `TimeoutError`."""
        try:
            head = self._exactly(6)
            return head + self._exactly(struct.unpack(">BxL", head)[1]) if head else b""
        except ConnectionError:
            return b""

    def store(self, instance: str | bytes, data: bytes, sop_class: str = CT, piece: int = 60_000) -> int | None:
        """Send one C-STORE request and return the status; None when the line was cut instead."""
        try:
            self.fragment(3, store_command(instance, sop_class))
            for start in range(0, max(1, len(data)), piece):
                self.fragment(2 if start + piece >= len(data) else 0, data[start : start + piece])
        except OSError:
            return None
        answer = self.pdu()
        if not answer.startswith(b"\x04"):
            return None
        where = answer.index(struct.pack("<HHL", 0x0000, 0x0900, 2)) + 8
        return int(struct.unpack("<H", answer[where : where + 2])[0])

    def fragment(self, control: int, data: bytes, context: int = 1) -> int:
        """Send one P-DATA-TF with one fragment and return its size."""
        pdu = fragment(control, data, context)
        self.socket.sendall(pdu)
        return len(pdu)

    def release(self) -> None:
        """End the association as a peer does."""
        self.socket.sendall(struct.pack(">BxLL", 5, 4, 0))
        self.pdu()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                return b""
            data += piece
        return data


def fragment(control: int, data: bytes, context: int = 1) -> bytes:
    """Encode a P-DATA-TF with one fragment: bit 0 of the control is set for a command, bit 1 for the last one."""
    body = struct.pack(">LBB", len(data) + 2, context, control) + data
    return struct.pack(">BxL", 4, len(body)) + body


def associate_request(calling: str, called: str, syntax: str = EXPLICIT, sop_class: str = CT) -> bytes:
    """Encode an A-ASSOCIATE-RQ (PS3.8 9.3.2)."""

    def item(kind: int, data: bytes) -> bytes:
        return struct.pack(">BxH", kind, len(data)) + data

    context = item(0x20, b"\x01\0\0\0" + item(0x30, sop_class.encode()) + item(0x40, syntax.encode()))
    user = item(0x50, item(0x51, struct.pack(">L", 16384)) + item(0x52, b"1.2.3.4"))
    names = called.ljust(16).encode() + calling.ljust(16).encode()
    body = struct.pack(">Hxx", 1) + names + b"\0" * 32 + item(0x10, b"1.2.840.10008.3.1.1.1") + context + user
    return struct.pack(">BxL", 1, len(body)) + body


def store_command(instance: str | bytes, sop_class: str = CT) -> bytes:
    """Encode the command set of a C-STORE request (PS3.7 table 9.3-1)."""
    name = instance if isinstance(instance, bytes) else instance.encode()

    def element(number: int, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        return struct.pack("<HHL", 0, number, len(value)) + value

    words = [(0x0100, 1), (0x0110, 1), (0x0700, 0), (0x0800, 1)]
    elements = element(0x0002, sop_class.encode()) + b"".join(element(n, struct.pack("<H", v)) for n, v in words)
    elements += element(0x1000, name)
    return element(0x0000, struct.pack("<L", len(elements))) + elements


def encoded(dataset: pydicom.Dataset, *, implicit: bool = False) -> bytes:
    """Encode a data set as little endian, without preamble and file meta group."""
    writer = DicomBytesIO()
    writer.is_little_endian, writer.is_implicit_VR = True, implicit
    write_dataset(writer, dataset)
    return bytes(writer.getvalue())


def send(port: int, datasets: Sequence[pydicom.Dataset], source: str = "127.0.0.1") -> list[int | None]:
    """Send data sets over one association and release it."""
    with Line(port, source) as line:
        assert line.associate().startswith(b"\x02")
        answers = [line.store(str(one.SOPInstanceUID), encoded(one)) for one in datasets]
        line.release()
    return answers


def tool(name: str) -> str | None:
    """Path of a program of dcmtk; a venv's scripts of the same names are another package's, and no binaries."""
    found = [Path(folder) / name for folder in os.environ["PATH"].split(os.pathsep)]
    return next((str(path) for path in found if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"), None)
