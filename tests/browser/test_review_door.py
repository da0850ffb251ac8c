"""Who comes in at the review page, in a real chromium: one browser, and no other program on this computer."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.browser.review_rig import Rig, served, write_series

pytestmark = pytest.mark.browser


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """A served review of a small series."""
    write_series(tmp_path / "slices")
    with served(tmp_path / "slices", tmp_path / "out") as rig:
        yield rig


@pytest.fixture
def reader(chromium: Browser) -> Iterator[BrowserContext]:
    """The browser of a reader."""
    context = chromium.new_context()
    yield context
    context.close()


@pytest.fixture
def neighbour() -> Iterator[tuple[str, list[str]]]:
    """A page of somebody else on this computer; it keeps all that a browser tells it."""
    told: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        """Keeps what it is told."""

        def do_GET(self) -> None:
            """Answer anything."""
            told.append(str(self.headers) + self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, name="neighbour")
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", told
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_another_port_of_this_computer_learns_no_key(
    rig: Rig, reader: BrowserContext, neighbour: tuple[str, list[str]]
) -> None:
    """A browser gives cookies to every port of a host; the key of a review goes nowhere else."""
    page = reader.new_page()
    page.goto(rig.address)
    expect(page.locator("body")).to_have_attribute("data-ready", "true")
    key = page.evaluate("localStorage.getItem('diastole.review.key')")
    address, told = neighbour
    page.goto(address)
    assert told
    assert not [one for one in told if key in one or "cookie" in one.lower()]
    assert page.evaluate("localStorage.getItem('diastole.review.key')") is None


def test_the_printed_address_opens_one_browser(rig: Rig, reader: BrowserContext, chromium: Browser) -> None:
    """There again, and in a second tab; another browser is told how to open the review."""
    for _ in range(2):
        page = reader.new_page()
        page.goto(rig.address)
        expect(page.locator("body")).to_have_attribute("data-ready", "true")
        assert "token" not in page.url
    other = chromium.new_context()
    page = other.new_page()
    page.goto(rig.address)
    expect(page.locator("#loading")).to_contain_text("opens once, by the printed address")
    assert page.locator("#series").inner_text() == "--"
    other.close()


def test_a_zero_says_that_lesions_wait(rig: Rig, reader: BrowserContext) -> None:
    """Before anybody has looked there is no class, for nothing given is no zero."""
    page = reader.new_page()
    page.goto(rig.address)
    expect(page.locator("#total")).to_have_text("0")
    expect(page.locator("#class")).to_have_text("so far: 5 lesions wait")
