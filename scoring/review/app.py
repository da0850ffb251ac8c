"""The web side of the review: static files, and a handful of requests that this computer's own page may send.

The address that the command prints holds a token that is good once: the page changes it for a key, which every request
must carry in a header. It is no cookie, for a browser sends those to every port of a host: to other users' programs on
this computer too. Against foreign web pages (hazards.md W2) the `Host` must be ours, and what changes anything must
come from a page that came from here. Nothing is sent in the clear over a network: we listen on 127.0.0.1 only.
"""

import asyncio
import contextlib
import hmac
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from scoring.io.errors import SeriesError
from scoring.review.desk import Desk, DeskError, StaleError
from scoring.review.journal import Step
from scoring.review.view import Kind, PageState

STATIC = Path(__file__).parent / "static"
HOST = "127.0.0.1"
KEY_HEADER = "x-diastole-key"
MAX_BODY_BYTES = 128 * 1024  # a long cut has some hundred points
HEADERS = {
    b"content-security-policy": (
        b"default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cache-control": b"no-store",
}

T = TypeVar("T")


class OpenAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token of the printed address."""

    token: str


class Opened(msgspec.Struct, frozen=True):
    """What every later request must carry."""

    key: str


class StepAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An edit, an undo or a redo."""

    seen: int
    step: Step


class LeftAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do with the edits of an earlier page."""

    seen: int
    take: bool


class SaveAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A draft or a confirmation."""

    seen: int
    state: Kind
    reviewer: str = ""
    rest_stays: bool = False
    whole_heart: bool | None = None  # None: as it was


class Refused(msgspec.Struct, frozen=True):
    """Why a request was not done, and what is so instead."""

    error: str
    state: PageState | None


class Lock:
    """One token, good once, and the key that it is changed for."""

    def __init__(self, token: str) -> None:
        self._token: str | None = token  # None: used
        self._key = secrets.token_urlsafe(32)

    def open(self, token: str) -> str | None:
        """Give the key for the token, the first time; None for another token, or later."""
        if self._token is None or not _equal(token, self._token):
            return None
        self._token = None
        return self._key

    def fits(self, key: str) -> bool:
        """Whether this is the key."""
        return _equal(key, self._key)


class Guard:
    """Refuses foreign hosts, requests without the key, foreign origins and long bodies; adds the safety headers."""

    def __init__(self, app: ASGIApp, lock: Lock) -> None:
        self._app = app
        self._lock = lock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge a request before the app sees it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [(k, v) for k, v in message["headers"] if k.lower() not in HEADERS]
                message = {**message, "headers": [*kept, *HEADERS.items()]}
            await send(message)

        answer = self._judged(scope)
        await (self._app if answer is None else answer)(scope, receive, send_guarded)

    def _judged(self, scope: Scope) -> Response | None:
        """Give the answer to a request that goes no further; None: it may."""
        headers, port = Headers(scope=scope), scope["server"][1]
        host = headers.get("host", "")
        if host not in {f"{HOST}:{port}", f"localhost:{port}"}:
            return PlainTextResponse("This host is not known here by that name; use the printed address.\n", 421)
        # everything beside the desk and the door is a file of the program, the same for all
        asks_the_desk = scope["path"].startswith("/api/") and scope["path"] != "/api/open"
        if asks_the_desk and not self._lock.fits(headers.get(KEY_HEADER, "")):
            return _closed()
        if scope["method"] not in {"GET", "HEAD"}:
            if headers.get("origin", "") != f"http://{host}":
                return PlainTextResponse("A page from elsewhere may not change a review.\n", 403)
            length = headers.get("content-length", "")
            if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
                return PlainTextResponse("That request is too long.\n", 413)
        return None


def _closed() -> Response:
    """Answer who has no key."""
    text = "This page opens once, by the printed address, in one browser; to open it elsewhere, start it anew.\n"
    return PlainTextResponse(text, 403)


def _equal(one: str, other: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


class Api:
    """The requests of the page, one after the other: a desk has one reader."""

    def __init__(self, desk: Desk, lock: Lock) -> None:
        self._desk = desk
        self._lock = lock
        self._turn = asyncio.Lock()

    async def open(self, request: Request) -> Response:
        """Change the token for the key, once."""
        try:
            asked = msgspec.json.decode(await request.body(), type=OpenAsked)
        except msgspec.MsgspecError as error:
            return _json(Refused(f"The page sent what is no request ({error}); load it again.", None), 400)
        key = self._lock.open(asked.token)
        return _closed() if key is None else _json(Opened(key))

    async def series(self, _: Request) -> Response:
        """Tell what stays."""
        return _json(self._desk.facts())

    async def volume(self, _: Request) -> Response:
        """Give the slices."""
        return Response(await asyncio.to_thread(self._desk.pixels), media_type="application/octet-stream")

    async def islands(self, _: Request) -> Response:
        """Tell where the islands are."""
        return _json(await self._in_turn(self._desk.islands))

    async def state(self, _: Request) -> Response:
        """Tell all that changes."""
        return _json(await self._in_turn(self._desk.state))

    async def step(self, request: Request) -> Response:
        """Do one edit, or take one back."""
        return await self._asked(request, StepAsked, lambda asked: self._desk.step(asked.seen, asked.step))

    async def left(self, request: Request) -> Response:
        """Take over what an earlier page left behind, or pass it over."""
        return await self._asked(request, LeftAsked, lambda asked: self._desk.take_left(asked.seen, asked.take))

    async def save(self, request: Request) -> Response:
        """Write a revision."""
        return await self._asked(
            request,
            SaveAsked,
            lambda asked: self._desk.save(
                asked.seen, asked.state, asked.reviewer, asked.rest_stays, whole_heart=asked.whole_heart
            ),
        )

    async def _asked(self, request: Request, kind: type[T], do: Callable[[T], PageState]) -> Response:
        """Read a request as what it must be, do it, and say what is so afterwards."""
        try:
            asked = msgspec.json.decode(await request.body(), type=kind)
        except msgspec.MsgspecError as error:
            return _json(Refused(f"The page sent what is no request ({error}); load it again.", None), 400)
        try:
            return _json(await self._in_turn(lambda: do(asked)))
        except (DeskError, SeriesError) as error:
            code = 409 if isinstance(error, StaleError) else 422 if isinstance(error, DeskError) else 500
            return _json(Refused(str(error), await self._in_turn(self._desk.state)), code)

    async def _in_turn(self, do: Callable[[], T]) -> T:
        """Work beside the loop, one at a time."""
        async with self._turn:
            return await asyncio.to_thread(do)


def _json(value: object, status: int = 200) -> Response:
    """Encode an answer."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def make_app(desk: Desk, token: str) -> ASGIApp:
    """Join the parts: `/api/...` is the desk, everything else a static file."""
    lock = Lock(token)
    api = Api(desk, lock)
    routes = [
        Route("/api/open", api.open, methods=["POST"]),
        Route("/api/series", api.series),
        Route("/api/volume", api.volume),
        Route("/api/islands", api.islands),
        Route("/api/state", api.state),
        Route("/api/step", api.step, methods=["POST"]),
        Route("/api/left", api.left, methods=["POST"]),
        Route("/api/save", api.save, methods=["POST"]),
        Mount("/", StaticFiles(directory=STATIC, html=True)),
    ]
    return Guard(Starlette(routes=routes), lock)


def bind(port: int) -> socket.socket:
    """Take the port on this computer only; 0 takes any free one.

    Raises
    ------
    SeriesError
        If it is taken.
    """
    # with its protocol by name asyncio sends at once; without, each answer waits 40 ms for the browser to acknowledge
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(16)  # from now on a page may come: the address is told before the server runs
    except (OSError, OverflowError) as error:
        listener.close()
        raise SeriesError(f"The page cannot be served at port {port} ({error}); choose another with --port.") from error
    return listener


def address_of(listener: socket.socket, token: str) -> str:
    """Give the page's address for a browser on this computer."""
    return f"http://{HOST}:{listener.getsockname()[1]}/?token={token}"


class ReviewServer(uvicorn.Server):
    """uvicorn, but signals are the caller's business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def review_server(app: ASGIApp) -> ReviewServer:
    """Set uvicorn up for one reader on this computer."""
    return ReviewServer(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            limit_concurrency=64,
            timeout_graceful_shutdown=2,
        )
    )


async def serve(server: ReviewServer, listener: socket.socket) -> None:
    """Serve until a signal ends it; a request that is being done is finished first."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, setattr, server, "should_exit", True)
    await server.serve(sockets=[listener])
