"""What hostile peers do to a receiver, for the tests and for the figures."""

import contextlib
import os
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from pydicom.uid import generate_uid

from tests.scoring.receiving import ROOT, Line, Node

MIB = 2**20
HUGE = 600 * MIB


def peak_kib(node: Node, act: Callable[[], object]) -> int:
    """Memory that an act adds to the receiver's process at its peak."""
    Path(f"/proc/{node.process.pid}/clear_refs").write_text("5")  # the peak begins anew
    before = node.memory_kib()
    act()
    return node.memory_kib("VmHWM") - before


def pour(line: Line, head: bytes, count: int) -> int:
    """Send a head and so many bytes after it, until the receiver cuts the line; how many it took."""
    sent, block = 0, bytes(MIB)
    with contextlib.suppress(OSError):
        line.socket.settimeout(5.0)
        line.socket.sendall(head)
        while sent < count:
            sent += line.socket.send(block)
    return sent


def hostile(port: int, source: str, index: int, data: bytes, until: threading.Event) -> None:
    """Attack without end, each peer in its own way."""
    ways: list[Callable[[Line], object]] = [
        lambda line: pour(line, struct.pack(">BxL", 1, HUGE), 8 * MIB),
        lambda _: until.wait(1.0),
        lambda line: line.socket.sendall(os.urandom(4096)),
        lambda line: (line.associate(), pour(line, struct.pack(">BxL", 4, HUGE), 8 * MIB)),
        lambda line: (line.associate(), line.store(generate_uid(), os.urandom(50_000))),
        lambda line: (line.associate(), line.store("../../x", data)),
        lambda line: (line.associate(calling="STRANGER"), until.wait(0.2)),
        lambda line: (line.associate(), line.fragment(0, b"\0" * 10_000), until.wait(1.0)),
    ]
    while not until.is_set():
        with contextlib.suppress(OSError), Line(port, source) as line:
            ways[index % len(ways)](line)
        until.wait(0.05)


@contextlib.contextmanager
def besieged(port: int, data: bytes) -> Iterator[None]:
    """Let 19 hostile peers, each from an address of its own, attack a port as long as the block lasts.

    They live in a process of their own, so that the good peer shares no interpreter with them.
    """
    command = [sys.executable, "-m", "tests.scoring.attacks", str(port), data.hex()]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as attackers:
        assert attackers.stdin is not None
        assert attackers.stdout is not None
        try:
            assert b"begun\n" == attackers.stdout.readline()
            yield
        finally:
            attackers.stdin.close()  # ends them
            attackers.wait()


def main(port: int, data: bytes, peers: int = 19) -> None:
    """Attack until the standard input ends."""
    until = threading.Event()
    for number in range(peers):
        arguments = (port, f"127.0.0.{number + 10}", number, data, until)
        threading.Thread(target=hostile, args=arguments, daemon=True).start()
    time.sleep(0.5)
    print("begun", flush=True)
    sys.stdin.read()


def deflated_bomb(data: bytes) -> bytes:
    """Deflate a data set with 400 MiB of zeros behind it."""
    machine = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = machine.compress(data + struct.pack("<HH2sHL", 0x7FE1, 0x1001, b"OB", 0, 400 * MIB))
    return bomb + b"".join(machine.compress(bytes(MIB)) for _ in range(400)) + machine.flush()


def nested_sequences(depth: int) -> bytes:
    """Encode sequences of known length inside each other."""
    deep = b""
    for _ in range(depth):
        item = struct.pack("<HHL", 0xFFFE, 0xE000, len(deep)) + deep
        deep = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, len(item)) + item
    return deep


if __name__ == "__main__":
    main(int(sys.argv[1]), bytes.fromhex(sys.argv[2]))
