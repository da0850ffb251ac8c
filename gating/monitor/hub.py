"""From decoded messages to the pages that look: one model, and for every page a short queue that drops the oldest.

The hub never waits for a page, and a page never holds up another one or the bus. It takes decoded messages (`Heard` and
`Refused` of the bus look like this), so it is tested without a broker. A queue holds strip frames only; of the states
just the newest is kept, since each is whole.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from gating.messages import EcgBlock, Message
from gating.monitor.page import PageModel

MAX_FRAMES = 50  # strip frames queued per page: 2 s at 25/s; older ones are of no use on a sweep
MAX_PAGES = 16
STATE_EVERY_S = 0.25  # a page hears from its monitor at least so often
STATE_AT_MOST_EVERY_S = 0.03  # bursts of messages become one state


class HeardMessage(Protocol):
    """What the bus hands over for an authentic message."""

    @property
    def message(self) -> Message:
        """The message itself."""
        ...

    @property
    def key_id(self) -> str | None:
        """Who signed it; None for the unsigned request of a page."""
        ...

    @property
    def arrived_at_ns(self) -> int:
        """When it arrived, on the monitor's clock."""
        ...


class RefusedMessage(Protocol):
    """What the bus hands over for a message that is not authentic."""

    @property
    def reason(self) -> str:
        """Reason code."""
        ...


class PageRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a page may say. None of it can permit anything."""

    request: Literal["mark", "hold", "rehearse"]


class PageAnswer(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="answer"):
    """Whether a page's request went out, and if not why."""

    request: str
    sent: bool
    text: str


class Page:
    """One connected page: its newest state and a bounded queue of strip frames."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque(maxlen=MAX_FRAMES)
        self._answers: deque[bytes] = deque(maxlen=8)
        self._state: bytes | None = None
        self._wake = asyncio.Event()
        self.dropped = 0

    def put_frame(self, frame: bytes) -> None:
        """Queue a strip frame; when the page is slow the oldest one goes."""
        self.dropped += len(self._frames) == MAX_FRAMES
        self._frames.append(frame)
        self._wake.set()

    def put_state(self, state: bytes) -> None:
        """Replace the state that waits, if any."""
        self._state = state
        self._wake.set()

    def put_answer(self, answer: PageAnswer) -> None:
        """Queue the answer to a request."""
        self._answers.append(msgspec.json.encode(answer))
        self._wake.set()

    async def next(self) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """Wait, then give the texts (state first) and the strip frames that are due."""
        await self._wake.wait()
        self._wake.clear()
        texts = (() if self._state is None else (self._state,)) + tuple(self._answers)
        frames = tuple(self._frames)
        self._state = None
        self._answers.clear()
        self._frames.clear()
        return texts, frames


class Hub:
    """The one model and the pages that look at it. Runs on one event loop; no call but `run` waits."""

    def __init__(self, site: str, now_ns: Callable[[], int]) -> None:
        self.model = PageModel(site)
        self.pages: set[Page] = set()
        self._now_ns = now_ns
        self._changed = asyncio.Event()

    def hear(self, heard: HeardMessage) -> None:
        """Take an authentic message; an unsigned one is a page's own request and shows nothing."""
        if heard.key_id is None:
            return
        if isinstance(heard.message, EcgBlock):
            if self.pages:
                frame = self.model.strip(heard.message, self._now_ns())
                for page in self.pages:
                    page.put_frame(frame)
            return
        version = self.model.version
        self.model.hear(heard.message, heard.arrived_at_ns)
        if self.model.version != version:
            self._changed.set()

    def refuse(self, refused: RefusedMessage) -> None:
        """Count a message that is not authentic."""
        self.model.refuse(refused.reason)
        self._changed.set()

    def link(self, up: bool, text: str) -> None:
        """Take the state of the connection to the broker."""
        self.model.link(up, text)
        self._changed.set()

    def mark(self) -> None:
        """Set a person's mark now."""
        self.model.mark(self._now_ns())
        self._changed.set()

    def join(self) -> Page | None:
        """Let one more page in; None when the house is full."""
        if len(self.pages) >= MAX_PAGES:
            return None
        page = Page()
        page.put_state(self.encoded_state())
        self.pages.add(page)
        return page

    def leave(self, page: Page) -> None:
        """Forget a page."""
        self.pages.discard(page)

    def encoded_state(self) -> bytes:
        """Encode the whole state as of now."""
        return msgspec.json.encode(self.model.state(self._now_ns()))

    async def run(self) -> None:
        """Send the state to all pages at every change, and four times a second in any case."""
        while True:
            with contextlib.suppress(TimeoutError):  # nothing changed: the pages hear so all the same
                async with asyncio.timeout(STATE_EVERY_S):
                    await self._changed.wait()
            self._changed.clear()
            if self.pages:
                state = self.encoded_state()
                for page in self.pages:
                    page.put_state(state)
            await asyncio.sleep(STATE_AT_MOST_EVERY_S)
