"""The serial port, on pseudo-terminals: missing, busy, unplugged, garbage, and what a good read is."""

import contextlib
import os
import threading
import time
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gating.errors import DeviceError
from gating.io.serial_port import SerialReader, open_port


@dataclass
class Box:
    """The far end of a pseudo-terminal, whose near end has a name that can be given to another terminal."""

    link: Path
    master: int = -1
    slave: int = -1

    def plug(self) -> None:
        """Make a fresh terminal and give it the name."""
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(self.slave))

    def unplug(self) -> None:
        """Take the terminal away."""
        self.link.unlink(missing_ok=True)
        for end in (self.slave, self.master):
            with contextlib.suppress(OSError):
                os.close(end)

    def send(self, data: bytes) -> None:
        """Let the box say something."""
        os.write(self.master, data)

    def received(self) -> bytes:
        """Read what was sent to the box."""
        os.set_blocking(self.master, False)
        try:
            return os.read(self.master, 1000)
        except BlockingIOError:
            return b""


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A plugged box."""
    box = Box(tmp_path / "ecg")
    box.plug()
    yield box
    box.unplug()


@dataclass
class Heard:
    """All that a reader told, with an instant each."""

    chunks: list[tuple[bytes, int]] = field(default_factory=list)
    lost: list[tuple[str, int]] = field(default_factory=list)
    found: list[int] = field(default_factory=list)

    @property
    def data(self) -> bytes:
        """All bytes in their order."""
        return b"".join(chunk for chunk, _ in self.chunks)


@contextlib.contextmanager
def reading(box: Box, **options: bytes) -> Iterator[Heard]:
    """Run a reader at the box's port."""
    heard = Heard()
    reader = SerialReader(str(box.link), 115_200, **options)  # type: ignore[arg-type]  # only start and stop
    reader.open()
    reader.run(
        lambda data, now_ns: heard.chunks.append((data, now_ns)),
        lambda text: heard.lost.append((text, time.monotonic_ns())),
        lambda: heard.found.append(time.monotonic_ns()),
    )
    try:
        yield heard
    finally:
        reader.close()


def wait(true: Callable[[], object], seconds: float = 5.0) -> None:
    """Wait until something is true, or fail."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.002)


def test_all_bytes_arrive_in_order_soon_and_stamped(box: Box) -> None:
    """Twenty blocks: no byte lost, none held back, each stamp between writing and hearing."""
    with reading(box) as heard:
        for number in range(20):
            before_ns = time.monotonic_ns()
            expected = len(heard.data) + 352
            box.send(bytes([number]) * 352)
            wait(lambda expected=expected: len(heard.data) == expected)  # type: ignore[misc]
            assert before_ns <= heard.chunks[-1][1] <= time.monotonic_ns()
        assert b"".join(bytes([number]) * 352 for number in range(20)) == heard.data
        assert [] == heard.lost


def test_garbage_is_handed_on_unchanged(box: Box) -> None:
    """Every byte value passes: the terminal is raw, and judging bytes is the decoder's work."""
    everything = bytes(range(256)) * 4
    with reading(box) as heard:
        box.send(everything)
        wait(lambda: len(heard.data) == len(everything))
        assert everything == heard.data


def test_the_box_is_told_to_start_and_to_stop(box: Box) -> None:
    """Start bytes at opening, stop bytes at the end."""
    with reading(box, start=b"b", stop=b"s"):
        wait(lambda: box.received() == b"b")
    assert b"s" == box.received()


def test_a_missing_port_is_named_with_the_cure(tmp_path: Path) -> None:
    """Plug it in, or mend the settings."""
    with pytest.raises(DeviceError, match=r"There is no serial port .*none; plug the ECG box in"):
        SerialReader(str(tmp_path / "none"), 115_200).open()


def test_a_busy_port_is_named_with_the_cure(box: Box) -> None:
    """Two readers of one port would each get half the bytes: the second is refused."""
    with reading(box), pytest.raises(DeviceError, match="in use by another program"):
        open_port(str(box.link), 115_200)


def test_a_file_that_is_no_port_is_refused(tmp_path: Path) -> None:
    """An ordinary file is not read as a box."""
    (tmp_path / "file").write_text("hello")
    with pytest.raises(DeviceError, match="cannot be opened"):
        open_port(str(tmp_path / "file"), 115_200)


def test_a_senseless_speed_is_a_devices_error(box: Box) -> None:
    """It names the baud rate."""
    with pytest.raises(DeviceError, match="-1 baud"):
        open_port(str(box.link), -1)


def test_an_unplugged_box_is_told_once_within_100_ms(box: Box) -> None:
    """And nothing heard before comes again."""
    with reading(box) as heard:
        box.send(b"before")
        wait(lambda: heard.data == b"before")
        unplugged_ns = time.monotonic_ns()
        box.unplug()
        wait(lambda: heard.lost)
        assert heard.lost[0][1] - unplugged_ns < 100_000_000
        assert "unplugged" in heard.lost[0][0]
        time.sleep(0.7)
        assert (1, b"before") == (len(heard.lost), heard.data)


def test_a_box_plugged_in_again_is_found_and_started_again(box: Box) -> None:
    """Within a second, told, with its start bytes, and its bytes arrive."""
    with reading(box, start=b"b") as heard:
        wait(lambda: box.received() == b"b")
        box.unplug()
        wait(lambda: heard.lost)
        box.plug()
        replugged = time.monotonic()
        wait(lambda: heard.found)
        assert time.monotonic() - replugged < 1.0
        assert b"b" == box.received()
        box.send(b"after")
        wait(lambda: heard.data == b"after")


def test_no_thread_is_left_behind(box: Box) -> None:
    """Closing joins the reading thread, also while the port is away."""
    with reading(box) as heard:
        box.unplug()
        wait(lambda: heard.lost)
    assert "serial-reader" not in {thread.name for thread in threading.enumerate()}
