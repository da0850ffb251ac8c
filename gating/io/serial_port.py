"""The serial port of the ECG box: pyserial in a thread, each chunk stamped once, at the read.

`read(1)` and then `in_waiting`: the first byte ends the wait, the rest comes without one. Never `read(n)` with a
timeout, which would hold samples back (io.md section 3.3).
"""

import contextlib
import errno
import termios
import threading
import time
from collections.abc import Callable

import serial

from gating.errors import DeviceError

READ_TIMEOUT_S = 0.05  # only how soon a silent port notices that it shall stop
REOPEN_EVERY_S = 0.5
MAX_CHUNK = 65_536

_BROKEN = (OSError, termios.error)
"""What a port throws when its device is gone: pyserial's SerialException is an OSError, termios.error is not."""


def open_port(port: str, baud: int) -> serial.Serial:
    """Open a port raw, exclusively, with the adapter's latency as low as its driver allows.

    Raises
    ------
    DeviceError
        If it is missing, busy, not ours to open, or no serial port at all.
    """
    try:
        device = serial.Serial(port, baud, timeout=READ_TIMEOUT_S, write_timeout=1.0, exclusive=True)
    except _BROKEN as error:
        raise DeviceError(_why(port, error)) from error
    except ValueError as error:
        raise DeviceError(f"The serial port {port} cannot run at {baud} baud ({error}); mend [serial].") from error
    # pseudo-terminals and some drivers have no such switch; the default is only slower, and `check` tells it
    with contextlib.suppress(ValueError, NotImplementedError, OSError):
        device.set_low_latency_mode(True)
    return device


def _why(port: str, error: Exception) -> str:
    """Turn a failure to open into a sentence and its cure."""
    number = getattr(error, "errno", None) or (error.args[0] if error.args else None)
    if number == errno.ENOENT:
        return f"There is no serial port {port}; plug the ECG box in, or mend `port` in [serial]."
    if number in {errno.EAGAIN, errno.EBUSY}:
        return f"The serial port {port} is in use by another program; close that one (another `diastole gate`?)."
    if number in {errno.EACCES, errno.EPERM}:
        return f"The serial port {port} may not be opened by you; join its group (Debian: `adduser $USER dialout`)."
    return f"The serial port {port} cannot be opened ({error}); check that it is the ECG box's."


class SerialReader:
    """Reads a port in a thread for ever: hands on stamped chunks, tells a loss, opens again every 0.5 s.

    Parameters
    ----------
    port, baud
        The device and its speed.
    start, stop
        Bytes that make the box send and stop sending; written at each opening and at the end.
    now_ns
        The host's monotonic clock.
    """

    def __init__(
        self,
        port: str,
        baud: int,
        *,
        start: bytes = b"",
        stop: bytes = b"",
        now_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.port = port
        self._baud = baud
        self._start = start
        self._stop = stop
        self._now_ns = now_ns
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._device: serial.Serial | None = None

    def open(self) -> None:
        """Open the port for the first time, in the caller's thread, so that a wrong port is told at once.

        Raises
        ------
        DeviceError
            As `open_port`; also if the box does not take its start bytes.
        """
        device = open_port(self.port, self._baud)
        try:
            device.write(self._start)
        except _BROKEN as error:
            _close(device)
            raise DeviceError(
                f"The box at {self.port} does not take its start command ({error}); re-plug it."
            ) from error
        self._device = device

    def run(
        self, chunk: Callable[[bytes, int], None], lost: Callable[[str], object], found: Callable[[], object]
    ) -> None:
        """Start the reading thread. The three callbacks run in that thread and must not block.

        `chunk` gets bytes and their stamp, `lost` a sentence once per loss, `found` is told when the port is open
        again.
        """
        self._thread = threading.Thread(target=self._read_for_ever, args=(chunk, lost, found), name="serial-reader")
        self._thread.start()

    def close(self) -> None:
        """Stop reading, tell the box to stop, close the port."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._device is not None:
            with contextlib.suppress(*_BROKEN):  # we are leaving: a box that is gone needs no stop command
                self._device.write(self._stop)
            _close(self._device)
            self._device = None

    def _read_for_ever(
        self, chunk: Callable[[bytes, int], None], lost: Callable[[str], object], found: Callable[[], object]
    ) -> None:
        """Read until told to end; re-open what was lost."""
        while not self._ended.is_set():
            try:
                if self._device is None:
                    self.open()
                    found()
                self._read(chunk)
            except DeviceError:
                self._ended.wait(REOPEN_EVERY_S)  # the loss was told already; the port is not back yet
            except _BROKEN as error:
                if self._device is not None:
                    _close(self._device)
                    self._device = None
                lost(f"The serial port {self.port} was unplugged ({error}); plug it in again.")
                self._ended.wait(REOPEN_EVERY_S)

    def _read(self, chunk: Callable[[bytes, int], None]) -> None:
        """Read chunks until the end or an error of the port."""
        device = self._device
        while device is not None and not self._ended.is_set():
            data = device.read(1)
            if not data:
                continue
            now_ns = self._now_ns()
            waiting = min(device.in_waiting, MAX_CHUNK)
            chunk(data + device.read(waiting) if waiting else data, now_ns)


def _close(device: serial.Serial) -> None:
    """Close a port whose device may be gone."""
    with contextlib.suppress(*_BROKEN):
        device.close()
