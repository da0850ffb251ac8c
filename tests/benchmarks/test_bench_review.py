"""The review page under a reader's hands: frames a second, an edit to its total, and a whole study by keys."""

import os
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from scoring.io.dicom_in import read_labels
from scoring.io.revisions import read_report, revisions
from scoring.labelling import Give, begin, first_pixel
from scoring.lesions import VESSELS
from simulators.io.play_virtual import study
from simulators.io.scenarios import load_scenario
from tests.benchmarks.limits import at_least, at_most, hold, table
from tests.browser.review_rig import Rig, served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1200)]

KEY_S = 0.35  # between two keys: a hand that does not hurry

FRAMES = """async ([name, seconds]) => {
  const { stage, look } = diastole;
  const key = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  const acts = {
    scroll: (n) => key(n % 80 < 40 ? "ArrowUp" : "ArrowDown"),
    pan: (n) => { stage.view.column += n % 60 < 30 ? 2 : -2; stage.draw(); },
    zoom: (n) => stage.zoom(n % 60 < 30 ? 1.04 : 1 / 1.04),
    window: (n) => { look.width += n % 60 < 30 ? 8 : -8; stage.draw(); },
  };
  const before = stage.frames, start = performance.now();
  for (let n = 0; performance.now() - start < 1000 * seconds; n += 1) {
    acts[name](n);
    await new Promise(requestAnimationFrame);
  }
  return (stage.frames - before) / ((performance.now() - start) / 1000);
}"""
"""Do one thing at every frame of the screen, and count the frames that were painted."""

LATENCY = """async (times) => {
  const took = [];
  for (let n = 0; n < times; n += 1) {
    const done = new Promise((resolve) => {
      const watch = new MutationObserver(() => { watch.disconnect(); resolve(); });
      watch.observe(document.getElementById("list"), { childList: true });
    });
    const start = performance.now();
    document.dispatchEvent(new KeyboardEvent("keydown", { key: String(1 + n % 4), bubbles: true }));
    await done;
    took.push(performance.now() - start);
  }
  return took;
}"""
"""From the key to the new totals on the page, in ms."""


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A whole simulated study, 48 slices of 512 x 512; DIASTOLE_STUDY names one that was made before."""
    if not any("benchmarks" in str(argument) for argument in request.config.args):
        pytest.skip("takes minutes: run by `make bench`")
    if "DIASTOLE_STUDY" in os.environ:
        return Path(os.environ["DIASTOLE_STUDY"])
    folder = tmp_path_factory.mktemp("study") / "steady"
    study(load_scenario("steady"), folder, lambda _: None)
    return folder


@pytest.fixture
def rig(patient: Path, tmp_path: Path) -> Iterator[Rig]:
    """A review of it that begins with an empty map."""
    with served(patient / "slices", tmp_path / "out", scan=patient / "scan.json") as rig:
        yield rig


@pytest.fixture
def page(rig: Rig) -> Iterator[Page]:
    """The page at a desk's size."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium on the path (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(rig.address)
        expect(page.locator("body")).to_have_attribute("data-ready", "true", timeout=60_000)
        yield page
        browser.close()


def test_frames_and_edits(rig: Rig, page: Page) -> None:
    """Scrolling, moving, zooming and windowing at the pace of the screen; an edit at the pace of the hand."""
    frames = {name: float(page.evaluate(FRAMES, [name, 3.0])) for name in ("scroll", "pan", "zoom", "window")}
    page.keyboard.press("F")
    page.locator("#list li").nth(7).click()
    took = sorted(page.evaluate(LATENCY, 40))
    inside = []
    for _ in range(40):
        state = rig.desk.state()
        start = time.perf_counter()
        rig.desk.step(state.number, _none_first(rig))
        inside.append(1000 * (time.perf_counter() - start))
    table("Frames a second, 60 nominal", ("what", "frames/s"), [(k, f"{v:.1f}") for k, v in frames.items()])
    rows = [("key to total, on the page", took), ("of that in the desk", sorted(inside))]
    table("An edit, ms", ("", "median", "p95"), [(n, f"{statistics.median(v):.0f}", f"{v[37]:.0f}") for n, v in rows])
    hold(
        [
            *(at_least(f"frames a second, {name}", 50, value) for name, value in frames.items()),
            at_most("an edit to its total, median", 50, statistics.median(took), " ms"),
        ]
    )


def _none_first(rig: Rig) -> Give:
    """An edit of one lesion."""
    return Give((rig.desk.islands()[0].first,), None)


def test_a_whole_study_by_keys(rig: Rig, page: Page, patient: Path) -> None:
    """A key every 0.35 s, from the first lesion to the confirmed result, whose score is that of the given map."""
    state, volume = rig.desk.state(), rig.desk._opened.before.volume
    assert volume is not None
    truth = begin(volume, read_labels(patient / "labels.seg.dcm", volume), rig.desk._report.settings)
    vessels = {first_pixel(i): v for i, v in zip(truth.now.islands, truth.now.vessels, strict=True)}
    islands, keys = rig.desk.islands(), []
    for lesion in state.lesions:
        vessel = vessels[islands[lesion.islands[0]].first]
        keys += ["0" if vessel is None else str(VESSELS.index(vessel) + 1), "n"]
    keys[-1] = "d"  # instead of a lesion behind the last one
    keys += [*"Ada", "Enter"]
    start = time.monotonic()
    for number, key in enumerate(keys):
        time.sleep(max(0.0, start + number * KEY_S - time.monotonic()))
        page.keyboard.press(key)
    expect(page.locator("#standing")).to_contain_text("Confirmed by Ada", timeout=60_000)
    seconds = time.monotonic() - start
    written, given = read_report(revisions(rig.out)[0]), read_report(patient)
    table(
        "A study by keys",
        ("lesions", "keys", "seconds", "Agatston written", "of the given map"),
        [(len(state.lesions), len(keys), f"{seconds:.1f}", written.score.shown, given.score.shown)],
    )
    assert given.score.by_vessel == written.score.by_vessel
    hold([at_most("seconds for a whole study", 60, seconds, " s")])
