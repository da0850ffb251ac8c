"""The web side of the page: static files and one WebSocket per page, read-only but for three tightening requests.

Against foreign web pages (hazards.md W2): a browser's `Origin` must be the host that it asked for, and that host must
be an address, `localhost` or a name of the settings, so that no name that an attacker owns can be pointed here.
"""

import asyncio
import contextlib
import hmac
import ipaddress
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from gating.errors import PeerError, SettingsError
from gating.messages import OperatorRequest
from gating.monitor.hub import Hub, Page, PageAnswer, PageRequest
from gating.settings import MonitorSettings

STATIC = Path(__file__).parent / "static"
MAX_REQUEST_BYTES = 256
MAX_REQUESTS_PER_S = 5  # of one page; a person's finger is slower
SEND_LIMIT_S = 5.0  # a page that takes nothing for so long is closed; it comes back by itself
CLOSE_POLICY, CLOSE_TOO_BIG, CLOSE_FULL = 1008, 1009, 1013  # RFC 6455 section 7.4.1
HEADERS = {
    b"content-security-policy": b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
}

Publish = Callable[[OperatorRequest], Awaitable[None]]

_request_decoder = msgspec.json.Decoder(PageRequest)


def host_is_ours(host: str, settings: MonitorSettings) -> bool:
    """Whether a `Host` header can only mean us: an address literal, `localhost`, or a name of the settings."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name in settings.names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def origin_is_ours(headers: Headers) -> bool:
    """Whether a WebSocket was opened by a page that came from here; a browser cannot leave `Origin` out."""
    host = headers.get("host", "")
    return headers.get("origin", "") in {f"http://{host}", f"https://{host}"}


class Guard:
    """Refuses foreign host names, and puts the safety headers on everything that goes out."""

    def __init__(self, app: ASGIApp, settings: MonitorSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge the host name first, then let the app answer."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if not host_is_ours(Headers(scope=scope).get("host", ""), self._settings):
            if scope["type"] == "websocket":
                await WebSocket(scope, receive, send).close(CLOSE_POLICY)
            else:
                text = "This host is not known here by that name; add it to monitor.names in the site file.\n"
                await PlainTextResponse(text, 421)(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [(k, v) for k, v in message["headers"] if k.lower() not in HEADERS]
                message = {**message, "headers": [*kept, *HEADERS.items()]}
            await send(message)

        await self._app(scope, receive, send_guarded)


class Live:
    """The WebSocket of the pages."""

    def __init__(self, hub: Hub, publish: Publish, token: str | None) -> None:
        self._hub = hub
        self._publish = publish
        self._token = token

    async def serve(self, socket: WebSocket) -> None:
        """Serve one page until it goes."""
        given = socket.query_params.get("token", "")
        if not origin_is_ours(socket.headers) or not (
            self._token is None or hmac.compare_digest(given.encode(), self._token.encode())
        ):
            await socket.close(CLOSE_POLICY)
            return
        await socket.accept()
        page = self._hub.join()
        if page is None:
            await socket.close(CLOSE_FULL, "too many pages")
            return
        tasks = {asyncio.create_task(self._send(socket, page)), asyncio.create_task(self._read(socket, page))}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._hub.leave(page)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for end in ended:
            if isinstance(end, Exception) and not isinstance(end, (WebSocketDisconnect, TimeoutError)):
                raise end

    async def _send(self, socket: WebSocket, page: Page) -> None:
        """Send what is due; a page too slow for that ends in a TimeoutError and is closed."""
        while True:
            texts, frames = await page.next()
            async with asyncio.timeout(SEND_LIMIT_S):
                for text in texts:
                    await socket.send_text(text.decode())
                for frame in frames:
                    await socket.send_bytes(frame)

    async def _read(self, socket: WebSocket, page: Page) -> None:
        """Hear the page: three small requests, nothing else; anything else closes it."""
        times: deque[float] = deque(maxlen=MAX_REQUESTS_PER_S)
        clock = asyncio.get_running_loop().time
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text") or ""
            if len(text) > MAX_REQUEST_BYTES or message.get("bytes"):
                await socket.close(CLOSE_TOO_BIG)
                return
            try:
                request = _request_decoder.decode(text)
            except msgspec.MsgspecError:
                await socket.close(CLOSE_POLICY, "a page may only mark, hold and rehearse")
                return
            if len(times) == times.maxlen and clock() - times[0] < 1.0:
                page.put_answer(PageAnswer(request=request.request, sent=False, text="too many requests"))
                continue
            times.append(clock())
            page.put_answer(await self._pass_on(request))

    async def _pass_on(self, request: PageRequest) -> PageAnswer:
        """Send a request to the bus, unsigned; say whether it went."""
        try:
            await self._publish(OperatorRequest(request=request.request, name="page"))
        except PeerError as error:
            return PageAnswer(request=request.request, sent=False, text=str(error))
        if request.request == "mark":
            self._hub.mark()
        return PageAnswer(request=request.request, sent=True, text="sent")


def make_app(hub: Hub, publish: Publish, settings: MonitorSettings, token: str | None = None) -> ASGIApp:
    """Join the parts: `/live` is the WebSocket, everything else a static file."""
    live = Live(hub, publish, token)
    routes = [WebSocketRoute("/live", live.serve), Mount("/", StaticFiles(directory=STATIC, html=True))]
    return Guard(Starlette(routes=routes), settings)


def bind(settings: MonitorSettings) -> socket.socket:
    """Take the port.

    Raises
    ------
    SettingsError
        If it is taken, or the host is not ours.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named: so that answers wait for nothing
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(16)  # from now on a page may come: the address is told before the server runs
    except (OSError, OverflowError) as error:
        listener.close()
        raise SettingsError(
            f"The page cannot be served at {settings.host}:{settings.port} ({error}); choose another with --port."
        ) from error
    return listener


def address_of(listener: socket.socket, token: str | None = None) -> str:
    """Give the page's address for a browser on this host."""
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")


class PageServer(uvicorn.Server):
    """uvicorn, but signals are the caller's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def page_server(app: ASGIApp) -> PageServer:
    """Set uvicorn up for a handful of pages on a local network: no compression, small messages, quick goodbyes."""
    return PageServer(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws_max_size=4 * MAX_REQUEST_BYTES,
            ws_max_queue=8,
            ws_ping_interval=5.0,
            ws_ping_timeout=5.0,
            ws_per_message_deflate=False,
            limit_concurrency=64,
            timeout_graceful_shutdown=1,
        )
    )


async def serve(server: PageServer, listener: socket.socket, *others: Coroutine[object, object, None]) -> None:
    """Serve pages beside other work, until the server is told to end or some of the work fails."""
    tasks = [asyncio.create_task(other) for other in others]
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await asyncio.wait({serving, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        await serving
        failed = [task for task in tasks if task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in failed:
        task.result()
