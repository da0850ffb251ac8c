"""Keys, brokers and waiting for the tests of the gate's io room."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gating.errors import PeerError
from gating.io.bus import Bus, Heard, Refused
from gating.io.keys import Keyring, make_keys
from gating.messages import Message
from gating.settings import MqttSettings


def free_port() -> int:
    """Ask the system for a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@dataclass
class BrokerProcess:
    """A broker in its own process, killed and started again at the same port when a test says so."""

    command: Callable[[int], list[str]]
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        self.process = subprocess.Popen(self.command(self.port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.02)
        raise AssertionError("the broker did not start")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it, by default politely."""
        if self.process is not None:
            os.kill(self.process.pid, number)
            self.process.wait(10)
            self.process = None


@pytest.fixture(scope="session")
def embedded_command() -> Callable[[int], list[str]]:
    """How the embedded broker is started as a user does."""
    return lambda port: [sys.executable, "-m", "diastole", "broker", "--port", str(port)]


@pytest.fixture(scope="session")
def embedded(embedded_command: Callable[[int], list[str]]) -> Iterator[BrokerProcess]:
    """An embedded broker that all tests share; each uses a site of its own."""
    broker = BrokerProcess(embedded_command)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def own_embedded(embedded_command: Callable[[int], list[str]]) -> Iterator[BrokerProcess]:
    """An embedded broker for a test that kills it."""
    broker = BrokerProcess(embedded_command)
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Callable[[str], BrokerProcess]]:
    """Start a mosquitto with extra lines of configuration; skips where there is none."""
    binary = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if binary is None:
        pytest.skip("mosquitto is not installed (Debian: apt-get install mosquitto)")
    brokers: list[BrokerProcess] = []

    def start(extra: str = "allow_anonymous true\n") -> BrokerProcess:
        def command(port: int) -> list[str]:
            config = tmp_path / "mosquitto.conf"
            config.write_text(f"listener {port} 127.0.0.1\nset_tcp_nodelay true\npersistence false\nuser root\n{extra}")
            return [binary, "-c", str(config)]

        broker = BrokerProcess(command)
        broker.start()
        brokers.append(broker)
        return broker

    yield start
    for broker in brokers:
        broker.stop()


@pytest.fixture(scope="session")
def key_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fresh pair for each role."""
    folder = tmp_path_factory.mktemp("site") / "keys"
    make_keys(folder)
    return folder


@dataclass
class Ear:
    """A running bus and all that it told."""

    bus: Bus
    heard: list[Heard] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    links: list[tuple[bool, str]] = field(default_factory=list)

    def hear(self, one: Heard | Refused) -> None:
        """Keep what was heard."""
        if isinstance(one, Heard):
            self.heard.append(one)
        else:
            self.refused.append(one)

    def link(self, up: bool, text: str) -> None:
        """Keep what was told of the connection."""
        self.links.append((up, text))

    @property
    def messages(self) -> list[Message]:
        """The believed messages."""
        return [one.message for one in self.heard]


async def until(true: Callable[[], object], seconds: float = 8.0) -> None:
    """Wait until something is true, or fail."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.005)


@pytest.fixture(name="until")
def until_fixture() -> Callable[..., object]:
    """Give `until` to tests, which cannot import a conftest."""
    return until


@contextlib.asynccontextmanager
async def run_bus(bus: Bus, *, wait: bool = True) -> AsyncIterator[Ear]:
    """Run a bus in the background, connected unless `wait` is False."""
    ear = Ear(bus)
    task = asyncio.ensure_future(bus.run(ear.hear, ear.link))
    try:
        if wait:
            await until(lambda: task.done() or bus.connected)
        yield ear
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, PeerError):
            await task


@pytest.fixture(name="run_bus")
def run_bus_fixture() -> Callable[..., object]:
    """Give `run_bus` to tests."""
    return run_bus


@pytest.fixture
def make_bus(key_folder: Path) -> Callable[..., Bus]:
    """Make a bus of a role at a port; the other arguments are those of `Bus`."""

    def make(role: str, port: int, *listen: type[Message], site: str = "test", **settings: str) -> Bus:
        ring = Keyring(key_folder, None if role == "monitor" else role)  # type: ignore[arg-type]  # a test's literal
        mqtt = MqttSettings(port=port, **settings)
        return Bus(mqtt, site, ring, role=role, listen=listen, now_ns=time.monotonic_ns)  # type: ignore[arg-type]

    return make
