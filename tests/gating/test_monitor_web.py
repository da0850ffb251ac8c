"""The page's web side and its command: who is let in, what goes out, and how it starts and ends."""

import asyncio
import contextlib
import json
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest
import typer.testing
import websockets.asyncio.client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from gating import messages as m
from gating.errors import PeerError, SettingsError
from gating.monitor import cli
from gating.monitor.app import address_of, bind, host_is_ours, make_app, page_server, serve
from gating.monitor.hub import Hub
from gating.monitor.strip import encode_strip
from gating.settings import MonitorSettings
from tests.gating.page_stories import (
    BLOCK,
    GATE,
    S,
    Said,
)

# --- the web side ----------------------------------------------------------------------------------------


@dataclass
class Site:
    """A page server on a free port."""

    hub: Hub
    port: int
    sent: list[m.OperatorRequest]
    broken: bool = False

    @property
    def host(self) -> str:
        """What a browser would put into `Host`."""
        return f"127.0.0.1:{self.port}"

    def page(self, origin: str | None = "", query: str = "") -> websockets.asyncio.client.connect:
        """Open a page's WebSocket; by default from our own origin."""
        ours = f"http://{self.host}" if origin == "" else origin
        headers = {} if ours is None else {"Origin": ours}
        return websockets.asyncio.client.connect(
            f"ws://{self.host}/live{query}", additional_headers=headers, proxy=None, open_timeout=5
        )


@contextlib.asynccontextmanager
async def serving(token: str | None = None) -> AsyncIterator[Site]:
    """Serve pages of an empty model."""
    options = MonitorSettings(port=0)
    listener = bind(options)
    hub = Hub("site", lambda: 10 * S)
    site = Site(hub, listener.getsockname()[1], [])

    async def publish(request: m.OperatorRequest) -> None:
        """Stand in for the bus."""
        if site.broken:
            raise PeerError("No connection to the MQTT broker, so nothing was sent; is it running?")
        site.sent.append(request)

    server = page_server(make_app(hub, publish, options, token))
    task = asyncio.create_task(serve(server, listener, hub.run()))
    try:
        yield site
    finally:
        server.should_exit = True
        await task


def played(story: Callable[[Site], Coroutine[object, object, None]], token: str | None = None) -> None:
    """Play a story against a page server."""

    async def play() -> None:
        """Serve and play."""
        async with serving(token) as site:
            await story(site)

    asyncio.run(asyncio.wait_for(play(), 20))


def test_a_page_gets_state_and_strip() -> None:
    """The first thing a page gets is the whole state; then the strip as it comes, and each change."""

    async def story(site: Site) -> None:
        """Play it."""
        async with site.page() as page:
            assert "state" == json.loads(await page.recv())["kind"]
            site.hub.hear(Said(BLOCK))
            site.hub.hear(Said(GATE))
            got = [await page.recv() for _ in range(4)]
            assert [encode_strip(BLOCK, 0, 10_000.0)] == [one for one in got if isinstance(one, bytes)]
            assert "go" == json.loads([one for one in got if isinstance(one, str)][-1])["gate"]["advice"]

    played(story)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", None, "http://127.0.0.1:1", "ftp://127.0.0.1"])
def test_a_foreign_origin_is_refused(origin: str | None) -> None:
    """A page that came from elsewhere, or a client that hides where it came from, gets nothing (hazards.md W2)."""

    async def story(site: Site) -> None:
        """Play it."""
        with pytest.raises(InvalidStatus) as refusal:
            async with site.page(origin):
                pass
        assert 403 == refusal.value.response.status_code

    played(story)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"request":"arm"}', 1008),
        ('{"request":"mark","name":"x"}', 1008),
        ("[]", 1008),
        ("\x00", 1008),
        ("x" * 300, 1009),
        ("x" * 5000, 1009),
        (b'{"request":"mark"}', 1009),
    ],
    ids=["arm", "unknown field", "no object", "no JSON", "too large", "far too large", "binary"],
)
def test_a_page_may_say_little(text: str | bytes, code: int) -> None:
    """Anything but the three small requests closes the page, and nothing reaches the bus."""

    async def story(site: Site) -> None:
        """Play it."""
        async with site.page() as page:
            await page.send(text)
            with pytest.raises(ConnectionClosed) as end:
                while True:
                    await page.recv()
            assert end.value.rcvd is not None
            assert code == end.value.rcvd.code
        assert [] == site.sent

    played(story)


def test_requests_go_out_and_are_answered() -> None:
    """Mark, hold and rehearse go to the bus in the page's name; a mark shows on the strip; too many are held back."""

    async def story(site: Site) -> None:
        """Play it."""
        async with site.page() as page:
            for request in ("mark", "hold", "rehearse", "hold", "hold", "hold"):
                await page.send(json.dumps({"request": request}))
            answers: list[bool] = []
            while len(answers) < 6:
                told = json.loads(await page.recv())
                if told["kind"] == "answer":
                    answers.append(told["sent"])
            assert [True] * 5 + [False] == answers
        assert ["mark", "hold", "rehearse", "hold", "hold"] == [one.request for one in site.sent]
        assert {"page"} == {one.name for one in site.sent}
        assert (10_000.0,) == site.hub.model.state(0).marks_ms

    played(story)


def test_a_request_that_the_bus_did_not_take_is_told() -> None:
    """Without a broker the page hears that its request did not go, and no mark is shown."""

    async def story(site: Site) -> None:
        """Play it."""
        site.broken = True
        async with site.page() as page:
            await page.send('{"request":"mark"}')
            told = {"kind": ""}
            while told["kind"] != "answer":
                told = json.loads(await page.recv())
            assert not told["sent"]
        assert () == site.hub.model.state(0).marks_ms

    played(story)


def test_a_page_that_goes_is_forgotten() -> None:
    """When a page closes, the hub keeps nothing of it."""

    async def story(site: Site) -> None:
        """Play it."""
        async with site.page() as page:
            await page.recv()
            assert 1 == len(site.hub.pages)
        async with asyncio.timeout(5):
            while site.hub.pages:
                await asyncio.sleep(0.01)

    played(story)


def test_the_token() -> None:
    """Where a token is set, a page without it gets nothing."""

    async def story(site: Site) -> None:
        """Play it."""
        for query in ("", "?token=wrong", "?token=%C3%A9"):
            with pytest.raises(InvalidStatus):
                async with site.page(query=query):
                    pass
        async with site.page(query="?token=abcdefgh12345678") as page:
            await page.recv()

    played(story, "abcdefgh12345678")


def test_static_files_and_their_guards() -> None:
    """The page and its modules are served with safety headers; foreign host names and other paths are not."""

    def fetch(site: Site, path: str, host: str) -> tuple[int, dict[str, str], bytes]:
        request = urllib.request.Request(f"http://{site.host}{path}", headers={"Host": host})  # our own server
        try:
            with urllib.request.urlopen(request, timeout=5) as response:  # our own server
                return response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), b""

    async def story(site: Site) -> None:
        """Play it."""
        status, headers, body = await asyncio.to_thread(fetch, site, "/", site.host)
        assert (200, "nosniff", "no-store") == (status, headers["x-content-type-options"], headers["cache-control"])
        assert "default-src 'self'" in headers["content-security-policy"]
        assert b"no medical device" in body
        assert 200 == (await asyncio.to_thread(fetch, site, "/main.js", f"localhost:{site.port}"))[0]
        assert 421 == (await asyncio.to_thread(fetch, site, "/", "rebound.example"))[0]
        assert 404 == (await asyncio.to_thread(fetch, site, "/../app.py", site.host))[0]

    played(story)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:8750", True),
        ("[::1]:8750", True),
        ("localhost", True),
        ("ct-room-1:8750", True),
        ("evil.example:8750", False),
        ("", False),
        ("[", False),
    ],
)
def test_host_names(host: str, expected: bool) -> None:
    """Only addresses, `localhost` and the settings' names are ours, so no foreign name can be pointed here."""
    assert expected == host_is_ours(host, MonitorSettings(names=("ct-room-1",)))


# --- the command -----------------------------------------------------------------------------------------


def test_a_taken_port_is_told() -> None:
    """A second page on the same port is refused in one sentence with the cure."""
    with (
        contextlib.closing(bind(MonitorSettings(port=0))) as first,
        pytest.raises(SettingsError, match=r"cannot be served .* choose another with --port"),
    ):
        bind(MonitorSettings(port=first.getsockname()[1]))


def test_the_address() -> None:
    """The printed address is one that a browser can open, with the token where one is set."""
    with contextlib.closing(bind(MonitorSettings(host="0.0.0.0", port=0))) as listener:  # the case under test
        assert f"http://127.0.0.1:{listener.getsockname()[1]}/?token=t" == address_of(listener, "t")


def test_the_token_file(tmp_path: Path) -> None:
    """A token is the file's first line; a short or missing one is refused with the cure."""
    path = tmp_path / "token"
    path.write_text("abcdefgh12345678\nsecond line\n")
    assert "abcdefgh12345678" == cli.read_token(path)
    path.write_text("short\n")
    with pytest.raises(SettingsError, match="write a longer one"):
        cli.read_token(path)
    with pytest.raises(SettingsError, match=r"mend monitor\.token_file"):
        cli.read_token(tmp_path / "none")


def test_help_has_an_example() -> None:
    """`diastole monitor --help` shows how it is called."""
    shown = typer.testing.CliRunner().invoke(cli.app, ["monitor", "--help"])
    assert (0, True) == (shown.exit_code, "diastole monitor --config site.toml" in shown.output)


@pytest.fixture
def site_file(tmp_path: Path, key_folder: Path) -> Callable[[int], Path]:
    """Write a site file whose folder of keys holds public keys only, as on a monitor's host."""

    def write(broker_port: int) -> Path:
        keys = tmp_path / "keys"
        keys.mkdir()
        for public in key_folder.glob("*.pub"):
            shutil.copy(public, keys)
        path = tmp_path / "site.toml"
        path.write_text(f'site = "page"\n[keys]\nfolder = "keys"\n[mqtt]\nport = {broker_port}\n')
        return path

    return write


@contextlib.asynccontextmanager
async def monitor_process(site_file: Path) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """Run `diastole monitor` as a user does; give its port, and end it politely."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "diastole", "monitor", "--config", str(site_file), "--port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        told = (await asyncio.wait_for(process.stdout.readline(), 20)).decode()
        assert told.startswith("Page: http://127.0.0.1:")
        yield told.removeprefix("Page: http://").strip("/\n"), process
    finally:
        process.terminate()
        _, complaints = await process.communicate()
        assert (0, b"") == (process.returncode, b"Traceback" if b"Traceback" in complaints else b"")


@pytest.mark.processes
def test_the_process_reads_the_bus_without_a_key(
    site_file: Callable[[int], Path], embedded: Any, make_bus: Callable[..., Any], run_bus: Callable[..., Any]
) -> None:
    """`diastole monitor` shows what the gate signed, counts what nobody signed, and passes a hold on unsigned."""

    async def story() -> None:
        """Play gate and page around the real process and a real broker."""
        gate = make_bus("gate", embedded.port, m.OperatorRequest, site="page")
        async with (
            monitor_process(site_file(embedded.port)) as (host, _),
            run_bus(gate) as ear,
            websockets.asyncio.client.connect(f"ws://{host}/live", origin=Origin(f"http://{host}"), proxy=None) as page,
            aiomqtt.Client("127.0.0.1", embedded.port) as stranger,
        ):

            async def state_where(true: Callable[[Any], object]) -> None:
                """Wait for a state of the page."""
                while True:
                    told = json.loads(await page.recv())
                    if told["kind"] == "state" and true(told):
                        return

            await state_where(lambda state: state["broker_up"])
            await gate.publish(msgspec.structs.replace(GATE, at_ns=time.monotonic_ns()))
            await state_where(lambda state: state["gate"] and state["gate"]["advice"] == "go")
            await stranger.publish("gating/page/gate/status", m.encode(GATE))
            await state_where(lambda state: state["refused"] == {"unsigned": 1})
            await page.send('{"request":"hold"}')
            while not ear.heard:
                await asyncio.sleep(0.01)
            assert [("hold", None)] == [(one.message.request, one.key_id) for one in ear.heard]

    asyncio.run(asyncio.wait_for(story(), 40))


@pytest.mark.processes
def test_the_process_lives_without_a_broker(site_file: Callable[[int], Path]) -> None:
    """Without a broker the page is there all the same, and says so."""

    async def story() -> None:
        """Look at a page whose broker is not there."""
        async with (
            monitor_process(site_file(1)) as (host, _),
            websockets.asyncio.client.connect(f"ws://{host}/live", origin=Origin(f"http://{host}"), proxy=None) as page,
        ):
            text = ""
            while "127.0.0.1:1" not in text:
                told = json.loads(await page.recv())
                text = told["broker_text"]
                assert not told["broker_up"]

    asyncio.run(asyncio.wait_for(story(), 40))
