"""The simulated box on a real pseudo-terminal, in this process and as the command that a user types."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gating.errors import SettingsError
from gating.frontends import FRONTENDS
from simulators.ecg_box import EcgBox, patient_source
from simulators.heart import true_beats
from simulators.io.pty import PtyPort, serve
from simulators.scenario import Box, Fault, Scenario

ROOT = Path(__file__).resolve().parents[2]


def read_for(fd: int, seconds: float) -> bytes:
    """Read whatever comes for some time, or until the other side hangs up."""
    data, end_s = b"", time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        if select.select([fd], [], [], left_s)[0]:
            try:
                piece = os.read(fd, 65536)
            except OSError:
                return data
            if not piece:
                return data
            data += piece
    return data


class Served:
    """A box served by a thread of this process."""

    def __init__(self, frontend: str, seconds: float, truth: Path | None, *faults: Fault) -> None:
        box = Box(frontend=frontend, drift_ppm=0.0)
        scenario = Scenario(name="t", story="t", box=box, faults=faults)
        beats = true_beats(scenario, 30.0, np.random.default_rng(1))
        device = FRONTENDS[frontend]
        source = patient_source(scenario, device, beats)
        source.samples(0, 1)
        self.said: list[dict[str, object]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=serve,
            args=(lambda at_ns: EcgBox(source, device, box, faults, at_ns), beats),
            kwargs={
                "about": {}, "seconds": seconds, "tell": self.said.append, "truth": truth, "stopped": self._stop.is_set,
            },
        )  # fmt: skip
        self._thread.start()

    def wait_for(self, key: str) -> object:
        """Wait until it has told `key`."""
        end_s = time.monotonic() + 10.0
        while time.monotonic() < end_s:
            for said in list(self.said):
                if key in said:
                    return said[key]
            time.sleep(0.005)
        raise AssertionError(f"never told {key}: {self.said}")

    def open(self) -> int:
        """Open its port as a reader."""
        return os.open(str(self.wait_for("port")), os.O_RDWR | os.O_NOCTTY)

    def stop(self) -> None:
        """End it and wait for the thread."""
        self._stop.set()
        self._thread.join(10.0)
        assert not self._thread.is_alive()


Serving = Callable[..., Served]


@pytest.fixture
def serving() -> Iterator[Serving]:
    """Serve boxes that are stopped when the test is over."""
    running: list[Served] = []

    def start(frontend: str = "healthypi6", *faults: Fault, seconds: float = 20.0, truth: Path | None = None) -> Served:
        running.append(Served(frontend, seconds, truth, *faults))
        return running[-1]

    yield start
    for one in running:
        one.stop()


def test_patient_time_begins_with_the_first_reader(serving: Serving) -> None:
    """Nothing runs before somebody opens the port; then the first frame comes 31 ms later, decoded without loss."""
    served = serving()
    served.wait_for("port")
    time.sleep(0.15)
    assert [{"port"}] == [set(said) for said in served.said]
    fd = served.open()
    opened_ns = time.monotonic_ns()
    data = read_for(fd, 1.2)
    os.close(fd)
    started_ns = served.wait_for("started_at_ns")
    assert isinstance(started_ns, int)
    assert -1e6 < started_ns - opened_ns < 0.3e9
    decoder = FRONTENDS["healthypi6"].decoder()
    blocks = decoder.feed(data)
    assert 0 == blocks[0].first_index
    assert (0, 0) == (decoder.faults.crc_errors, decoder.faults.skipped_bytes)
    assert 25 < len(blocks) < 40


def test_a_reader_may_close_and_another_one_open(serving: Serving) -> None:
    """The box sends on to nobody; the next reader finds it in mid-stream."""
    served = serving()
    fd = served.open()
    assert read_for(fd, 0.3)
    os.close(fd)
    time.sleep(0.4)
    fd = served.open()
    data = read_for(fd, 0.4)
    os.close(fd)
    blocks = FRONTENDS["healthypi6"].decoder().feed(data)
    assert 5 < len(blocks) < 20


def test_a_cyton_streams_when_told(serving: Serving) -> None:
    """The start byte reaches the box through the terminal, unechoed and unchanged."""
    served = serving("cyton")
    fd = served.open()
    assert b"" == read_for(fd, 0.2)
    os.write(fd, b"b")
    data = read_for(fd, 0.5)
    os.close(fd)
    assert 90 < len(FRONTENDS["cyton"].decoder().feed(data)) < 140


def test_true_beats_are_written_as_they_happen(serving: Serving, tmp_path: Path) -> None:
    """Each line holds number, patient time, host time and kind, and is there within 0.2 s of the beat."""
    truth = tmp_path / "truth"
    served = serving(truth=truth)
    fd = served.open()
    read_for(fd, 2.5)
    rows = [json.loads(line) for line in (truth / "beats.jsonl").read_text().splitlines()]
    os.close(fd)
    started_ns = served.wait_for("started_at_ns")
    assert isinstance(started_ns, int)
    assert [1, 2] == [row["number"] for row in rows][:2]
    assert {"number", "patient_s", "r_at_ns", "kind", "atria"} == set(rows[0])
    for row in rows:
        assert started_ns + round(row["patient_s"] * 1e9) == row["r_at_ns"]
    last_s = (time.monotonic_ns() - started_ns) / 1e9
    assert rows[-1]["patient_s"] <= last_s < rows[-1]["patient_s"] + 1.4


def test_pulling_the_plug_hangs_up_and_the_heart_goes_on(serving: Serving, tmp_path: Path) -> None:
    """The reader sees a hang-up at the told time; the truth is written on."""
    served = serving("healthypi6", Fault(kind="unplug", at_s=0.6), truth=tmp_path, seconds=2.6)
    fd = served.open()
    began_s = time.monotonic()
    read_for(fd, 5.0)
    assert 0.5 < time.monotonic() - began_s < 1.2
    os.close(fd)
    assert "duration" == served.wait_for("ended")
    rows = (tmp_path / "beats.jsonl").read_text().splitlines()
    assert json.loads(rows[-1])["patient_s"] > 1.2


def test_the_truth_goes_beyond_the_end(serving: Serving, tmp_path: Path) -> None:
    """A box that is stopped right after an exposure still tells of the beat that ended it: 3 s of beats more."""
    served = serving(truth=tmp_path, seconds=1.0)
    fd = served.open()
    assert "duration" == served.wait_for("ended")
    os.close(fd)
    rows = (tmp_path / "beats.jsonl").read_text().splitlines()
    assert 2.5 < json.loads(rows[-1])["patient_s"] < 4.2


def test_a_reader_that_does_not_read_loses_bytes_and_nothing_else(serving: Serving) -> None:
    """The line's buffer is bounded: what finds no room is lost and counted."""
    served = serving(seconds=3.0)
    fd = served.open()
    assert "duration" == served.wait_for("ended")
    os.close(fd)
    lost = next(said["lost_bytes"] for said in served.said if "lost_bytes" in said)
    assert isinstance(lost, int)
    assert lost > 10_000


def test_every_byte_passes_unchanged() -> None:
    """The terminal is raw: no byte is changed, echoed or taken for a signal, in either direction."""
    with PtyPort() as port:
        assert not port.has_reader()
        fd = os.open(port.name, os.O_RDWR | os.O_NOCTTY)
        assert port.has_reader()
        port.write(bytes(range(256)))
        assert bytes(range(256)) == read_for(fd, 0.2)
        os.write(fd, bytes(range(256)))
        assert bytes(range(256)) == port.read(0.5)
        assert b"" == read_for(fd, 0.05)
        os.close(fd)
        assert not port.has_reader()


def test_a_truth_folder_that_cannot_be_written_is_the_settings_fault(tmp_path: Path) -> None:
    """A file where the folder should be is named, with the cure."""
    (tmp_path / "truth").write_text("in the way")
    with pytest.raises(SettingsError, match="--truth"):
        serve(lambda _: pytest.fail("no box"), (), about={}, seconds=1.0, tell=lambda _: None, truth=tmp_path / "truth")


@pytest.mark.processes
def test_the_command_prints_its_port_serves_and_ends_at_sigterm(tmp_path: Path) -> None:
    """`diastole simulate ecg --json` says port and start as JSON lines, idles cheaply, and ends with 0 when asked."""
    command = [sys.executable, "-m", "diastole", "simulate", "ecg", "--json", "--seed", "3", "--truth", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        assert ("healthypi6", 500.0, "steady", 3) == (
            first["frontend"], first["rate_hz"], first["scenario"], first["seed"],
        )  # fmt: skip
        before_s = _processor_s(process.pid)
        time.sleep(0.5)
        assert _processor_s(process.pid) - before_s < 0.1
        fd = os.open(first["port"], os.O_RDWR | os.O_NOCTTY)
        assert isinstance(json.loads(process.stdout.readline())["started_at_ns"], int)
        data = read_for(fd, 1.0)
        assert len(FRONTENDS["healthypi6"].decoder().feed(data)) > 15
        process.send_signal(signal.SIGTERM)
        assert "stopped" == json.loads(process.stdout.readline())["ended"]
        assert 0 == process.wait(10.0)
        os.close(fd)


def _processor_s(pid: int) -> float:
    """Give the processor seconds that a process has used."""
    path = Path(f"/proc/{pid}/stat")
    if not path.exists():
        pytest.skip("no /proc here: the processor time of the box cannot be told")
    fields = path.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
