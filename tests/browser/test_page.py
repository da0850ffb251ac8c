"""The page in a real chromium, fed by a scripted source through a real server: no broker, no gate."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

pytestmark = pytest.mark.browser

WALL: ViewportSize = {"width": 1920, "height": 1080}
DESK: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}

HEAD_AND_BAND = """() => {
  const canvas = document.getElementById("strip");
  const { width, height } = canvas;
  const g = canvas.getContext("2d");
  const near = (d, i, r, g, b, by) => [r, g, b].every((c, k) => Math.abs(d[i + k] - c) < by);
  const bottom = g.getImageData(0, height - 3, width, 1).data;
  const middle = g.getImageData(0, Math.round(0.5 * height), width, 1).data;
  const heads = [], bands = [];
  for (let x = 0; x < width; x++) {
    if (near(bottom, 4 * x, 0x50, 0x61, 0x6f, 4)) heads.push(x);
    if (near(middle, 4 * x, 0x7f, 0xb4, 0xff, 40)) bands.push(x);
  }
  return { head: heads.at(-1) ?? null, bands };
}"""
"""Where the head of the sweep and the edges of planned or booked windows are, from the canvas's own pixels."""

COLOURED = """() => {
  const canvas = document.getElementById("strip");
  const d = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let count = 0;
  for (let i = 0; i < d.length; i += 4) {
    if (Math.max(d[i], d[i + 1], d[i + 2]) - Math.min(d[i], d[i + 1], d[i + 2]) > 60) count += 1;
  }
  return count;
}"""
"""How many pixels of the strip have a colour that one can see."""

TARGETS = """() => Object.fromEntries([...document.querySelectorAll("#controls button")].map((button) => {
  const { width, height } = button.getBoundingClientRect();
  return [button.innerText, Math.min(width, height)];
}))"""
"""The lesser side of every control, measured in one go: the leads' buttons are made anew when the best lead changes."""


class StageLike(Protocol):
    """The stage of conftest.py."""

    story: Any
    address: str

    def stop(self) -> None:
        """End the server."""


@pytest.fixture
def errors() -> list[str]:
    """What the page's scripts complained of."""
    return []


@pytest.fixture
def page(chromium: Browser, errors: list[str]) -> Iterator[Page]:
    """A fresh page; its scripts must not complain."""
    page = chromium.new_page(viewport=DESK)
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert [] == errors


def test_go_with_heart_rate_and_what_it_is(page: Page, stage: StageLike) -> None:
    """A steady rhythm shows GO, its figures, that it is simulated and no medical device, at a smooth frame rate."""
    page.goto(stage.address)
    expect(page.locator("#word")).to_have_text("GO")
    expect(page.locator("#hr")).to_have_text("60")
    expect(page.locator("#rr")).to_have_text("1000")
    expect(page.locator("#sd")).to_have_text("14")
    expect(page.locator("#simulated")).to_be_visible()
    expect(page.locator("#simulated")).to_have_text("SIMULATED")
    expect(page.locator("#disclaimer")).to_contain_text("no medical device")
    expect(page.locator("#links")).to_contain_text("scanner up")
    page.wait_for_timeout(3000)
    assert 20 < float(page.evaluate("document.documentElement.dataset.fps"))
    assert 500 > float(page.locator("#delay-ms").inner_text())


def test_unknown_is_two_dashes(page: Page, stage: StageLike) -> None:
    """While the gate learns, the page says WAIT with the reason, and `--` for every figure it does not know."""
    stage.story.learning = True
    page.goto(stage.address)
    expect(page.locator("#word")).to_have_text("WAIT")
    expect(page.locator("#reason")).to_have_text("learning the rhythm: 3 of 8 beats")
    for figure in ("#hr", "#rr", "#sd", "#premature"):
        expect(page.locator(figure)).to_have_text("--")


def test_the_window_is_drawn_before_it_comes(page: Page, stage: StageLike) -> None:
    """The planned window stands right of the sweep's head, on the strip itself, while its time is still to come."""
    stage.story.armed = stage.story.scanning = True
    stage.story.fates = ("held",)  # every beat has a window, and the table never moves
    page.goto(stage.address)
    expect(page.locator("#word")).to_have_text("GO")
    seen = 0
    deadline = time.monotonic() + 15
    while seen < 3 and time.monotonic() < deadline:
        pixels = page.evaluate(HEAD_AND_BAND)
        ahead = [x for x in pixels["bands"] if pixels["head"] is not None and x > pixels["head"] + 5]
        seen += bool(ahead)
        if ahead:
            assert 1.2 * 25 * 96 / 25.4 + 3 > ahead[-1] - pixels["head"]  # inside the erase bar
        page.wait_for_timeout(60)
    assert seen >= 3


def test_what_became_of_the_windows(page: Page, stage: StageLike) -> None:
    """Fired, held and missed are counted; the steps, the dose and the breath-hold are told."""
    stage.story.armed = stage.story.scanning = True
    stage.story.fates = ("exposed", "held", "missed")
    page.goto(stage.address)
    expect(page.locator("#outcomes")).to_contain_text("fired 1 · held 1 · missed 1")
    expect(page.locator("#step")).to_contain_text("2 of 4")
    expect(page.locator("#msv")).to_have_text("0.26")
    expect(page.locator("#dlp-plan")).to_have_text("of 62.7 planned: no reference level set")
    assert "mSv/(mGy cm)" in (page.locator("#msv-box").get_attribute("title") or "")
    expect(page.locator("#hold-limit")).to_have_text("of 20 s")
    expect(page.locator("#refused")).to_have_text("1")


def test_lead_off_says_which(page: Page, stage: StageLike) -> None:
    """An electrode that came off shows NO-GO with its name, and no heart rate."""
    page.goto(stage.address)
    expect(page.locator("#word")).to_have_text("GO")
    stage.story.lead_off = True
    expect(page.locator("#word")).to_have_text("NO-GO")
    expect(page.locator("#reason")).to_have_text("lead RA off")
    expect(page.locator("#hr")).to_have_text("--")


def test_no_data_within_two_seconds_and_back(page: Page, stage: StageLike) -> None:
    """When nothing comes, the page turns grey and says NO DATA within 2 s, by its own clock; and it comes back."""
    page.goto(stage.address)
    expect(page.locator("#word")).to_have_text("GO")
    page.wait_for_timeout(1500)
    assert 0 < page.evaluate(COLOURED)
    stage.story.playing = False
    stopped = time.monotonic()
    page.locator("#no-data").wait_for(state="visible")
    assert 2.0 > time.monotonic() - stopped
    expect(page.locator("#no-data")).to_contain_text("NO DATA")
    assert 0 == page.evaluate(COLOURED)
    expect(page.locator("#hr")).to_have_text("--", timeout=500)
    expect(page.locator("#word")).to_have_text("NO DATA", timeout=1000)
    assert 2.5 > time.monotonic() - stopped
    stage.story.playing = True
    page.locator("#no-data").wait_for(state="hidden")
    expect(page.locator("#word")).to_have_text("GO")


def test_a_dead_monitor_is_told_too(page: Page, stage: StageLike) -> None:
    """When the monitor itself is gone, no state comes; the page still turns grey, and says whom it does not hear."""
    page.goto(stage.address)
    expect(page.locator("#word")).to_have_text("GO")
    stage.stop()
    stopped = time.monotonic()
    page.locator("#no-data").wait_for(state="visible")
    assert 2.0 > time.monotonic() - stopped
    expect(page.locator("#word")).to_have_text("NO DATA")
    expect(page.locator("#reason")).to_contain_text("not heard the monitor")
    expect(page.locator("#session-state")).to_have_text("--")


@pytest.mark.parametrize("size", [WALL, DESK, PHONE], ids=["wall", "desk", "phone"])
def test_it_fits(page: Page, stage: StageLike, size: ViewportSize) -> None:
    """Nothing overflows sideways, on a wall or desk nothing at all; every control is a 44 px target."""
    page.set_viewport_size(size)
    stage.story.armed = stage.story.scanning = stage.story.lead_off = True
    page.goto(stage.address)
    expect(page.locator("#word")).to_have_text("NO-GO")
    expect(page.locator("#leads button")).to_have_count(3)
    wide, high = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
    assert size["width"] >= wide
    if size is not PHONE:
        assert size["height"] >= high
    targets = page.evaluate(TARGETS)
    assert len(targets) >= 9
    assert {} == {name: least for name, least in targets.items() if least < 44}


def test_keys(page: Page, stage: StageLike) -> None:
    """F freezes and says so, 1-3 choose the lead, + and - the gain, S the speed; M, H and R ask the bus."""
    page.goto(stage.address)
    expect(page.locator("#word")).to_have_text("GO")
    page.keyboard.press("f")
    expect(page.locator("#frozen")).to_be_visible()
    page.keyboard.press("f")
    expect(page.locator("#frozen")).to_be_hidden()
    page.keyboard.press("1")
    expect(page.locator("#leads [aria-pressed=true]")).to_have_text("I")
    before = page.locator("#gain").inner_text()
    page.keyboard.press("+")
    expect(page.locator("#gain")).not_to_have_text(before)
    page.keyboard.press("-")
    expect(page.locator("#gain")).to_have_text(before)
    page.keyboard.press("s")
    expect(page.locator("#speed-value")).to_have_text("50 mm/s")
    for key, request in (("m", "mark"), ("h", "hold"), ("r", "rehearse")):
        page.keyboard.press(key)
        expect(page.locator("#answer")).to_have_text(f"{request} sent")
        assert request == stage.story.sent[-1].request


def test_a_rehearsal_from_the_wish_to_the_advice(page: Page, stage: StageLike) -> None:
    """R: breathe in, then the wish goes out; hold with the seconds left; breathe; then figures and one advice."""
    page.goto(stage.address)
    expect(page.locator("#word")).to_have_text("GO")
    page.keyboard.press("r")
    expect(page.locator("#coach-word")).to_have_text("Breathe in")
    assert [] == stage.story.sent
    expect(page.locator("#coach-word")).to_have_text("Hold your breath")
    assert ["rehearse"] == [request.request for request in stage.story.sent]
    expect(page.locator("#coach-detail")).to_have_text("2 s left, rehearsal")
    expect(page.locator("#coach-word")).to_have_text("Breathe")
    page.keyboard.press("b")
    expect(page.locator("#rehearsal-word")).to_have_text("GO")
    expect(page.locator("#rehearsal-reason")).to_contain_text("7 beats in a breath-hold of 11 s")
    told = {"#told-held": "60", "#told-beats": "7 (7 to 8)", "#told-hold": "11 (10 to 12) s", "#told-free": "94 %"}
    for where, text in told.items():
        expect(page.locator(where)).to_have_text(text)
    expect(page.locator("#check-hold")).to_have_text("Can hold the breath for 13 s")
    expect(page.locator("#checked")).to_have_text("0 of 8")
    page.locator("#checks label").first.click()
    expect(page.locator("#checked")).to_have_text("1 of 8")
    page.locator("#before-close").click()
    expect(page.locator("#coach")).to_be_hidden(timeout=15_000)


def test_the_patient_sees_one_word(page: Page, stage: StageLike) -> None:
    """P fills the screen with what to do, in the scan's own hold too; P again gives the page back."""
    page.goto(stage.address)
    expect(page.locator("#word")).to_have_text("GO")
    page.keyboard.press("p")
    expect(page.locator("#coach")).to_be_visible()
    expect(page.locator("#coach-word")).to_have_text("Breathe calmly")
    box = page.locator("#coach").bounding_box()
    assert box is not None
    assert (DESK["width"], DESK["height"]) == (box["width"], box["height"])
    stage.story.armed = stage.story.scanning = True
    expect(page.locator("#coach-word")).to_have_text("Hold your breath")
    expect(page.locator("#coach-detail")).to_contain_text("s left")
    page.keyboard.press("p")
    expect(page.locator("#hr")).to_be_visible()


def test_a_request_that_did_not_go_is_told(page: Page, stage: StageLike) -> None:
    """A hold that the broker did not take is not silently lost."""
    page.goto(stage.address)
    expect(page.locator("#word")).to_have_text("GO")
    stage.story.broker_gone = True
    page.keyboard.press("h")
    expect(page.locator("#answer")).to_contain_text("hold not sent: No connection to the MQTT broker")


@pytest.mark.skipif("DIASTOLE_PICTURES" not in os.environ, reason="set DIASTOLE_PICTURES to a folder to take pictures")
@pytest.mark.parametrize(("size", "name"), [(WALL, "wall"), (PHONE, "phone")], ids=["wall", "phone"])
def test_pictures(page: Page, stage: StageLike, size: ViewportSize, name: str) -> None:
    """Pictures of the page waiting, scanning, with a lead off and without data, for a person to look at."""
    folder = Path(os.environ["DIASTOLE_PICTURES"])
    page.set_viewport_size(size)
    story = stage.story
    story.learning = True
    page.goto(stage.address)
    page.wait_for_timeout(6000)
    page.screenshot(path=folder / f"{name}-waiting.png")
    story.learning = False
    page.locator("#rehearse").click()
    page.wait_for_timeout(1500)
    page.screenshot(path=folder / f"{name}-breathe-in.png")
    page.wait_for_timeout(3000)
    page.screenshot(path=folder / f"{name}-rehearsing.png")
    page.wait_for_timeout(2500)
    page.locator("#prepare").click()
    page.wait_for_timeout(600)
    page.screenshot(path=folder / f"{name}-rehearsed.png")
    page.locator("#before-close").click()
    page.locator("#patient").click()
    page.wait_for_timeout(600)
    page.screenshot(path=folder / f"{name}-patient.png")
    page.locator("#patient").click()
    story.armed = story.scanning = True
    page.wait_for_timeout(7600)
    page.screenshot(path=folder / f"{name}-scanning.png")
    story.lead_off = True
    page.wait_for_timeout(2500)
    page.screenshot(path=folder / f"{name}-lead-off.png")
    story.playing = False
    page.wait_for_timeout(2500)
    page.screenshot(path=folder / f"{name}-no-data.png")
