"""A hand that is quicker than the desk, in a real chromium: each key means what the keys before it have made."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.review_rig import served, write_series

pytestmark = pytest.mark.browser

SLOW_DESK = """(() => {
  const ask = window.fetch.bind(window);
  window.fetch = async (path, ...rest) => {
    if (path === "api/step") await new Promise((done) => setTimeout(done, 250));
    return ask(path, ...rest);
  };
})();"""
"""Every edit is on its way for a quarter of a second."""


ZERO_THEN_LAST_ROW = """() => {
  document.dispatchEvent(new KeyboardEvent("keydown", { key: "0", bubbles: true }));
  document.querySelector("#list li:last-child").click();
}"""
"""A key and a click in one breath: the click finds the list as it was before the key's edit."""


@pytest.fixture
def page(tmp_path: Path, chromium: Browser) -> Iterator[Page]:
    """The page of a small series, at a desk that takes its time."""
    write_series(tmp_path / "slices")
    with served(tmp_path / "slices", tmp_path / "out") as rig:
        context = chromium.new_context(viewport={"width": 1440, "height": 900})
        context.add_init_script(SLOW_DESK)
        page = context.new_page()
        page.goto(rig.address)
        expect(page.locator("body")).to_have_attribute("data-ready", "true")
        yield page
        context.close()


def shown(page: Page) -> list[str]:
    """Tell what the list says of each lesion."""
    return [text.split("\n")[0] for text in page.locator("#list .vessel").all_inner_texts()]


def press(page: Page, keys: str) -> None:
    """Press keys without waiting for anything."""
    for key in keys.split():
        page.keyboard.press(key)


def test_a_lesion_is_given_whole_right_after_an_undo(page: Page) -> None:
    """Of two islands one is taken out and put back; the vessel that follows at once goes to both."""
    press(page, "N N 2 i ArrowUp 0")
    expect(page.locator("#total")).to_have_text("36")
    press(page, "Control+z i 3")
    expect(page.get_by_role("button", name="LCX, key 3")).to_contain_text("72")
    assert ["?", "?", "LCX", "?", "?"] == shown(page)


def test_keys_in_a_row_give_each_lesion_its_own_vessel(page: Page) -> None:
    """Spine, then four deposits, as quickly as a keyboard can."""
    press(page, "0 N 1 N 2 N 3 N 4")
    expect(page.locator("#waiting")).to_have_text("All 5 lesions are decided")
    assert ["none", "LM", "LAD", "LCX", "RCA"] == shown(page)


def test_enter_goes_on_from_what_it_kept(page: Page) -> None:
    """Three times Enter keeps three lesions, not one of them thrice."""
    press(page, "Enter Enter Enter 4")
    expect(page.locator("#waiting")).to_contain_text("1 of 5")
    assert ["none", "none", "none", "RCA", "?"] == shown(page)


def test_a_click_on_a_row_means_the_lesion_that_stood_there(page: Page) -> None:
    """An edit on its way that divides a lesion moves the rows behind it; the click still means what was seen."""
    press(page, "N N 2 i ArrowUp")
    expect(page.locator("#total")).to_have_text("72")
    page.evaluate(ZERO_THEN_LAST_ROW)
    press(page, "i 4")
    expect(page.locator("#total")).to_have_text("40")  # 36 of the island that is left, 4 of the last deposit
    assert ["?", "?", "LAD", "none", "?", "RCA"] == shown(page)
