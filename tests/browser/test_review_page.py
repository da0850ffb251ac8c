"""The review page in a real chromium, on a small series through the real server: by keyboard alone, and by mouse."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from scoring.io.revisions import digest_of, read_report, revisions
from scoring.quality import Measured
from tests.browser.review_rig import Rig, served, write_series

pytestmark = pytest.mark.browser

DESK: ViewportSize = {"width": 1440, "height": 900}
SMALL: ViewportSize = {"width": 1024, "height": 768}
LESIONS = 5  # in the order of their place: spine, then four deposits
# 16 pixels of weight 2, 72 of 4 (36 in each of two slices), 25 of 3 and 16 of 1, 0.25 mm2 each
SCORES = {"LM": 8.0, "LAD": 72.0, "LCX": 18.75, "RCA": 4.0}

TARGETS = """() => Object.fromEntries([...document.querySelectorAll("button, #list li")]
.filter((e) => e.offsetParent).map((e) => {
  const { width, height } = e.getBoundingClientRect();
  return [e.id || e.innerText, Math.min(width, height)];
}))"""
"""The lesser side of everything that one can hit."""

OVERFLOW = """() => [...document.querySelectorAll("button, header, nav, #list li")].filter((e) => e.offsetParent
  && (e.scrollWidth > e.clientWidth + 1 || e.getBoundingClientRect().right > innerWidth + 1))
  .map((e) => e.id || e.innerText)"""
"""What runs over its own edge or the window's."""


@pytest.fixture
def sources(tmp_path: Path) -> list[Any]:
    """The series on the disk."""
    return write_series(tmp_path / "slices")


@pytest.fixture
def rig(tmp_path: Path, sources: list[Any]) -> Iterator[Rig]:
    """A served review of it, with an empty map."""
    with served(tmp_path / "slices", tmp_path / "out") as rig:
        yield rig


@pytest.fixture
def come(chromium: Browser) -> Iterator[Callable[..., Page]]:
    """Come to a page by its address, in a browser of its own; its scripts must not complain."""
    contexts, errors = [], []

    def come(address: str, viewport: ViewportSize = DESK) -> Page:
        contexts.append(chromium.new_context(viewport=viewport))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda said: errors.append(said.text) if "Content Security" in said.text else None)
        page.goto(address)
        expect(page.locator("body")).to_have_attribute("data-ready", "true")
        return page

    yield come
    for context in contexts:
        context.close()
    assert [] == errors


def press(page: Page, keys: str) -> None:
    """Press keys, one after the other."""
    for key in keys.split():
        page.keyboard.press(key)


def place(page: Page, row: float, column: float) -> tuple[float, float]:
    """Where a pixel of the image is on the screen."""
    at = page.evaluate(
        """([row, column]) => { const { x, y } = diastole.stage.toStage(row, column);
        const box = document.getElementById("stage").getBoundingClientRect(); return [box.left + x, box.top + y]; }""",
        [row, column],
    )
    return at[0], at[1]


def drag(page: Page, start: tuple[float, float], stop: tuple[float, float], button: Any = "left") -> None:
    """Press, move in steps, release."""
    page.mouse.move(*start)
    page.mouse.down(button=button)
    page.mouse.move(*stop, steps=6)
    page.mouse.up(button=button)


def label_all(page: Page) -> None:
    """Give the spine to nothing and the deposits to the four vessels, by keys alone."""
    press(page, "0 N 1 N 2 N 3 N 4")
    expect(page.locator("#waiting")).to_have_text(f"All {LESIONS} lesions are decided")


def confirm(page: Page, name: str) -> None:
    """End the review, by keys alone."""
    press(page, "d")
    expect(page.locator("#reviewer")).to_be_focused()
    expect(page.locator("#done-heart")).to_be_hidden()
    page.keyboard.type(name)
    press(page, "Enter")
    expect(page.locator("#standing")).to_contain_text(f"Confirmed by {name}", timeout=60_000)


def test_what_must_always_be_visible(rig: Rig, come: Callable[..., Page]) -> None:
    """What it is, that it is simulated and not reviewed, which series; and never whose."""
    page = come(rig.address)
    expect(page.locator("#disclaimer")).to_have_text("Research software, no medical device")
    expect(page.locator("#simulated")).to_be_visible()
    expect(page.locator("#standing")).to_have_text("PROPOSED - NOT REVIEWED")
    expect(page.locator("#series")).to_have_text(rig.desk.facts().series)
    assert "Secret" not in page.content()
    assert "token" not in page.url


def test_by_keyboard_alone_from_the_first_lesion_to_the_confirmed_result(
    rig: Rig, come: Callable[..., Page], sources: list[Any]
) -> None:
    """The score is that on paper; the result opened again has the same, nothing waits, and a correction follows it."""
    page = come(rig.address)
    label_all(page)
    expect(page.locator("#total")).to_have_text("103")
    expect(page.locator("#class")).to_have_text("class 101-400, CAC-DRS A2/N4")
    confirm(page, "Dr Ada")
    report = read_report(revisions(rig.out)[0])
    assert SCORES == {name: part.agatston for name, part in report.score.by_vessel.items()}
    with served(rig.out) as again:
        later = come(again.address)
        expect(later.locator("#standing")).to_contain_text("Confirmed by Dr Ada", timeout=60_000)
        expect(later.locator("#total")).to_have_text("103")
        expect(later.locator("#waiting")).to_have_text(f"All {LESIONS} lesions are decided")
        press(later, "N 0")
        expect(later.locator("#standing")).to_have_text("PROPOSED - NOT REVIEWED")
        confirm(later, "Dr Bo")
    one, two = revisions(rig.out)
    corrected = read_report(two)
    assert corrected.review is not None
    assert digest_of(one) == corrected.review.supersedes
    assert SCORES | {"LM": 0.0} == {name: part.agatston for name, part in corrected.score.by_vessel.items()}


def test_done_asks_for_a_name_and_shows_what_waits(rig: Rig, come: Callable[..., Page]) -> None:
    """Nothing is written before both are answered; a lesion in the list is one click away."""
    page = come(rig.address)
    press(page, "0 d")
    expect(page.locator("#done-list button")).to_have_count(LESIONS - 1)
    press(page, "Enter")
    expect(page.locator("#done-error")).to_have_text("Who confirms? Write your name.")
    page.keyboard.type("Dr Ada")
    press(page, "Enter")
    expect(page.locator("#done-error")).to_contain_text("decide on each")
    assert () == revisions(rig.out)
    page.locator("#done-list button").nth(1).click()
    expect(page.locator("#list [aria-selected=true]")).to_have_attribute("data-number", "3")
    press(page, "d")
    page.locator("#done-rest").check()
    page.locator("#done-yes").click()
    expect(page.locator("#standing")).to_contain_text("Confirmed by Dr Ada", timeout=60_000)
    assert 1 == len(revisions(rig.out))


def test_a_cut_heart_has_no_class_until_the_reader_says_that_it_is_whole(
    tmp_path: Path, sources: list[Any], come: Callable[..., Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Done shows what the images say, with a box to tick that is empty."""
    said = Measured(aorta=None, blood_pool=None, coverage="incomplete", reasons=("It goes on above.",))
    monkeypatch.setattr("scoring.io.scored_series.measured_in", lambda _: said)
    with served(tmp_path / "slices", tmp_path / "out") as rig:
        page = come(rig.address)
        label_all(page)
        expect(page.locator("#class")).to_have_text("no class")
        press(page, "d")
        expect(page.locator("#done-heart-text")).to_contain_text("It goes on above.")
        expect(page.locator("#done-whole")).not_to_be_checked()
        page.locator("#done-whole").check()
        page.locator("#reviewer").fill("Dr Ada")
        press(page, "Enter")
        expect(page.locator("#standing")).to_contain_text("Confirmed by Dr Ada", timeout=60_000)
        expect(page.locator("#class")).to_have_text("class 101-400, CAC-DRS A2/N4")
    assert "person" == read_report(revisions(rig.out)[0]).settings.coverage_check


def test_by_mouse_a_lesion_is_clicked_and_given_its_vessel(rig: Rig, come: Callable[..., Page]) -> None:
    """A click on its pixels selects it; the button says whose it is, and is then pressed."""
    page = come(rig.address)
    page.locator("#list li").nth(1).click()
    expect(page.locator("#place")).to_contain_text("slice 2 / 8")
    page.mouse.click(*place(page, 76, 48))
    expect(page.locator("#list [aria-selected=true]")).to_have_attribute("data-number", "1")
    page.mouse.click(*place(page, 22, 32))
    expect(page.locator("#list [aria-selected=true]")).to_have_attribute("data-number", "2")
    page.get_by_role("button", name="RCA, key 4").click()
    expect(page.get_by_role("button", name="RCA, key 4")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#total")).to_have_text("8")


def test_wheel_and_drags_scroll_window_move_and_zoom(rig: Rig, come: Callable[..., Page]) -> None:
    """Wheel up goes one slice to the head; right drag is the window; left drag moves; Ctrl and wheel zoom in place."""
    page = come(rig.address)
    page.locator("#list li").nth(1).click()
    middle = place(page, 48, 48)
    page.mouse.move(*middle)
    page.mouse.wheel(0, -120)
    expect(page.locator("#place")).to_contain_text("slice 3 / 8")
    press(page, "PageUp")
    expect(page.locator("#place")).to_contain_text("slice 8 / 8")
    drag(page, middle, (middle[0] + 50, middle[1] - 30), "right")
    expect(page.locator("#window")).to_have_text("Own window   W 450  L 80")
    press(page, "w")
    expect(page.locator("#window")).to_have_text("Mediastinum   W 350  L 50")
    drag(page, middle, (middle[0] + 40, middle[1] + 25))
    assert (middle[0] + 40, middle[1] + 25) == pytest.approx(place(page, 48, 48), abs=1)
    at = place(page, 60, 60)
    page.mouse.move(*at)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -240)
    page.keyboard.up("Control")
    page.wait_for_function("() => diastole.stage.view.zoom > 1.5")
    assert at == pytest.approx(place(page, 60, 60), abs=1)


def test_a_cut_parts_a_lesion_and_is_taken_back(rig: Rig, come: Callable[..., Page]) -> None:
    """A line across the bar makes two parts; the smaller is selected, removed, and given back by undo."""
    page = come(rig.address)
    press(page, "N N 2 x")
    expect(page.locator("#tool")).to_contain_text("CUT")
    expect(page.locator("#total")).to_have_text("72")
    slice_3 = page.locator("#place").inner_text()
    drag(page, place(page, 27.5, 53.5), place(page, 35.5, 53.5))
    expect(page.locator("#answer")).to_contain_text("Cut into 2 parts")
    expect(page.locator("#total")).to_have_text("69")
    expect(page.locator("#single")).to_have_attribute("aria-pressed", "true")
    press(page, "0")
    expect(page.locator("#total")).to_have_text("60")
    press(page, "u u")
    expect(page.locator("#total")).to_have_text("72")
    press(page, "r")
    expect(page.locator("#total")).to_have_text("69")
    assert slice_3 == page.locator("#place").inner_text()


def test_one_island_is_edited_alone(rig: Rig, come: Callable[..., Page]) -> None:
    """In one slice of two: the other keeps its vessel, and whole lesions are edited again after I."""
    page = come(rig.address)
    press(page, "N N 2")
    expect(page.locator("#total")).to_have_text("72")
    press(page, "i ArrowUp 0")
    expect(page.locator("#total")).to_have_text("36")
    expect(page.locator("#list li")).to_have_count(LESIONS + 1)
    press(page, "Control+z i 3")
    expect(page.get_by_role("button", name="LCX, key 3")).to_contain_text("72")


def test_tab_goes_through_the_lesions_and_on(rig: Rig, come: Callable[..., Page]) -> None:
    """No trap: behind the last lesion Tab leaves the image."""
    page = come(rig.address)
    for number in range(2, LESIONS + 1):
        press(page, "Tab")
        expect(page.locator("#list [aria-selected=true]")).to_have_attribute("data-number", str(number))
    expect(page.locator("#stage")).to_be_focused()
    press(page, "Tab")
    expect(page.locator("#stage")).not_to_be_focused()
    press(page, "Shift+Tab Shift+Tab")
    expect(page.locator("#list [aria-selected=true]")).to_have_attribute("data-number", str(LESIONS - 1))


def test_enter_keeps_what_is_shown_and_goes_to_what_waits(rig: Rig, come: Callable[..., Page]) -> None:
    """Kept without a vessel it is decided, and counts nowhere."""
    page = come(rig.address)
    press(page, "Enter")
    expect(page.locator("#list [aria-selected=true]")).to_have_attribute("data-number", "2")
    expect(page.locator("#waiting")).to_contain_text(f"{LESIONS - 1} of {LESIONS} lesions wait")
    expect(page.locator("#total")).to_have_text("0")


def test_edits_of_a_page_that_died_are_offered(tmp_path: Path, rig: Rig, come: Callable[..., Page]) -> None:
    """The next page can take them over with one button."""
    first = come(rig.address)
    press(first, "N 1 N 2")
    expect(first.locator("#total")).to_have_text("80")
    rig.desk.close()
    with served(tmp_path / "slices", tmp_path / "out") as again:
        page = come(again.address)
        expect(page.locator("#left-text")).to_contain_text("2 edit(s)")
        page.locator("#left-yes").click()
        expect(page.locator("#total")).to_have_text("80")
        expect(page.locator("#left")).to_be_hidden()


def test_a_refused_series_shows_its_reasons(tmp_path: Path, come: Callable[..., Page]) -> None:
    """No number, no edits: what is wrong, and the cure."""
    write_series(tmp_path / "gap")
    (tmp_path / "gap" / "slice4.dcm").unlink()
    with served(tmp_path / "gap") as rig:
        page = come(rig.address)
        expect(page.locator("#refused")).to_contain_text("Slices are missing")
        expect(page.locator("#total")).to_have_text("--")
        expect(page.locator("#done")).to_be_disabled()


@pytest.mark.parametrize("viewport", [DESK, SMALL], ids=["1440", "1024"])
def test_targets_are_large_and_nothing_runs_over(rig: Rig, come: Callable[..., Page], viewport: ViewportSize) -> None:
    """44 px for a finger, the image takes most of the width, and no text leaves its button."""
    page = come(rig.address, viewport)
    label_all(page)
    small = {name: size for name, size in page.evaluate(TARGETS).items() if size < 44}
    assert {} == small
    assert [] == page.evaluate(OVERFLOW)
    assert page.evaluate("document.documentElement.scrollHeight") <= viewport["height"]
    box = page.locator("#stage").bounding_box()
    assert box is not None
    assert 0.5 * viewport["width"] < box["width"]
