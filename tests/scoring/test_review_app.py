"""The review as the page talks to it: who may ask, what is refused, and that nothing is lost or overwritten."""

import asyncio
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from scoring.io.revisions import digest_of, read_report, revisions, write_revision
from scoring.review.app import ReviewServer, address_of, bind, make_app, review_server
from scoring.review.desk import Desk
from scoring.review.opening import Told, open_review

TOKEN = "a-token-that-is-good-once"
NOW = "2026-03-04T10:11:12+01:00"
BAR, SPOT = (1, 4, 6, 4, 12, 250.0), (3, 20, 4, 20, 4, 420.0)
BAR_AT, SPOT_AT = [1, 4, 4], [3, 20, 20]
LAD_BAR = {"kind": "give", "islands": [BAR_AT], "vessel": "LAD"}
NONE_SPOT = {"kind": "give", "islands": [SPOT_AT], "vessel": None}


@pytest.fixture
def series(tmp_path: Path, write_series: Callable[..., Any]) -> Path:
    """A series with a bar and a spot, on the disk."""
    write_series(tmp_path / "slices", BAR, SPOT)
    return tmp_path / "slices"


class Browser(httpx.Client):
    """A browser at a served review; it sends its own `Origin`, and stays where it is sent."""

    def __init__(self, address: str) -> None:
        super().__init__(base_url=address, headers={"origin": address}, follow_redirects=True, timeout=60.0)


@pytest.fixture
def serve_desk() -> Iterator[Callable[[Desk], str]]:
    """Serve a desk on a free port of this computer until the test ends; gives its address without the token."""
    running: list[tuple[ReviewServer, threading.Thread, socket.socket, Desk]] = []

    def serve_desk(desk: Desk) -> str:
        listener, server = bind(0), review_server(make_app(desk, TOKEN))
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])), name="review")
        thread.start()
        running.append((server, thread, listener, desk))
        return address_of(listener, TOKEN).partition("/?")[0]

    yield serve_desk
    for server, thread, listener, desk in running:
        server.should_exit = True
        thread.join(10)
        listener.close()
        desk.close()
        assert not thread.is_alive()


@pytest.fixture
def sit(serve_desk: Callable[[Desk], str]) -> Iterator[Callable[..., Browser]]:
    """Sit down at a review: a browser that came by the printed address."""
    browsers = []

    def sit(folder: Path, out: Path, **more: Any) -> Browser:
        browsers.append(Browser(serve_desk(Desk(open_review(Told(folder, out=out, **more)), lambda: NOW))))
        browsers[-1].headers["x-diastole-key"] = browsers[-1].post("/api/open", json={"token": TOKEN}).json()["key"]
        return browsers[-1]

    yield sit
    for browser in browsers:
        browser.close()


def state_of(browser: Browser) -> dict[str, Any]:
    """What the page would show."""
    state: dict[str, Any] = browser.get("/api/state").json()
    return state


def step(browser: Browser, edit: dict[str, Any]) -> dict[str, Any]:
    """Do one edit; it must be done."""
    answer = browser.post("/api/step", json={"seen": state_of(browser)["number"], "step": edit})
    assert 200 == answer.status_code, answer.text
    state: dict[str, Any] = answer.json()
    return state


def save(browser: Browser, state: str = "confirmed", name: str = "Dr Ada", **more: Any) -> Any:
    """Ask for a revision."""
    asked = {"seen": state_of(browser)["number"], "state": state, "reviewer": name, **more}
    return browser.post("/api/save", json=asked)


# --- who may ask ------------------------------------------------------------------------------------------


def test_the_token_is_good_once_and_only_for_that_browser(
    series: Path, tmp_path: Path, serve_desk: Callable[[Desk], str]
) -> None:
    """The first browser gets the key; a second one with the same address, and one with none, get nothing."""
    address = serve_desk(Desk(open_review(Told(series, out=tmp_path / "out")), lambda: NOW))
    with Browser(address) as wrong, Browser(address) as first, Browser(address) as second:
        assert 403 == wrong.post("/api/open", json={"token": "a-guess"}).status_code
        assert 400 == wrong.post("/api/open", json={"word": TOKEN}).status_code
        assert 403 == wrong.post("/api/open", json={"token": TOKEN}, headers={"origin": "null"}).status_code
        answer = first.post("/api/open", json={"token": TOKEN})
        assert 200 == answer.status_code
        assert "set-cookie" not in answer.headers
        assert 200 == first.get("/api/state", headers={"x-diastole-key": answer.json()["key"]}).status_code
        assert 403 == second.post("/api/open", json={"token": TOKEN}).status_code
        for path in ("series", "volume", "islands", "state"):
            assert 403 == second.get(f"/api/{path}?token={TOKEN}").status_code, path
            assert 403 == second.get(f"/api/{path}", headers={"x-diastole-key": TOKEN}).status_code, path
        for path in ("step", "save", "left"):
            assert 403 == second.post(f"/api/{path}", json={}).status_code, path


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:9", "192.168.0.7"])
def test_a_foreign_host_is_refused(series: Path, tmp_path: Path, sit: Callable[..., Browser], host: str) -> None:
    """A name that an attacker owns can be pointed here; it is not ours."""
    browser = sit(series, tmp_path / "out")
    assert 421 == browser.get("/api/state", headers={"host": host}).status_code


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1:9"])
def test_a_page_from_elsewhere_changes_nothing(
    series: Path, tmp_path: Path, sit: Callable[..., Browser], origin: str
) -> None:
    """Even with the key."""
    browser = sit(series, tmp_path / "out")
    answer = browser.post("/api/step", json={"seen": 1, "step": LAD_BAR}, headers={"origin": origin})
    assert 403 == answer.status_code
    assert "0" == state_of(browser)["totals"]["total"]["shown"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"not json", 400, id="no JSON"),
        pytest.param(b'{"seen":1,"step":{"kind":"erase"}}', 400, id="unknown kind"),
        pytest.param(b'{"seen":1,"step":{"kind":"give","islands":[[1,4,4]],"vessel":"PDA"}}', 400, id="unknown vessel"),
        pytest.param(b'{"seen":1,"step":{"kind":"give","islands":[[1,4]],"vessel":"LM"}}', 400, id="half a pixel"),
        pytest.param(b'{"seen":1,"step":{"kind":"undo"},"path":"/etc"}', 400, id="unknown field"),
        pytest.param(b'{"seen":1,"step":{"kind":"head","series":"","base":0,"began_at":""}}', 400, id="no step"),
        pytest.param(b'{"seen":1,"step":{"kind":"give","islands":[[1,5,5]],"vessel":"LM"}}', 422, id="no such island"),
        pytest.param(b'{"seen":1,"step":{"kind":"cut","slice":99,"points":[[1,1]]}}', 422, id="no such slice"),
        pytest.param(b'{"seen":7,"step":{"kind":"undo"}}', 409, id="another state"),
        pytest.param(b" " * 200_000, 413, id="too long"),
    ],
)
def test_a_malformed_request_is_refused_and_changes_nothing(
    series: Path, tmp_path: Path, sit: Callable[..., Browser], body: bytes, code: int
) -> None:
    """Each with a sentence; the state stays, and no journal is begun."""
    browser = sit(series, tmp_path / "out")
    before = state_of(browser)
    answer = browser.post("/api/step", content=body, headers={"content-type": "application/json"})
    assert code == answer.status_code
    assert answer.text.rstrip("\n")
    assert before == state_of(browser)
    assert not (tmp_path / "out").exists()


def test_answers_are_sent_at_once() -> None:
    """Asyncio turns Nagle's wait off only where the socket names its protocol: an answer would come 40 ms later."""
    with bind(0) as listener:
        assert socket.IPPROTO_TCP == listener.proto


def test_every_answer_has_the_safety_headers(series: Path, tmp_path: Path, sit: Callable[..., Browser]) -> None:
    """Also the refused ones."""
    browser = sit(series, tmp_path / "out")
    for answer in (browser.get("/"), browser.get("/api/state"), browser.get("/", headers={"host": "x"})):
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
        assert "no-store" == answer.headers["cache-control"]
        assert "nosniff" == answer.headers["x-content-type-options"]


def test_nothing_that_is_sent_names_the_patient(series: Path, tmp_path: Path, sit: Callable[..., Browser]) -> None:
    """The series has a pseudonym; name and number of the patient stay in the files."""
    browser = sit(series, tmp_path / "out")
    sent = b"".join(browser.get(f"/api/{name}").content for name in ("series", "state", "islands", "volume"))
    assert b"Secret" not in sent
    assert b"P-1" not in sent
    assert re.fullmatch("[0-9a-f]{16}", browser.get("/api/series").json()["series"])


# --- editing ----------------------------------------------------------------------------------------------


def test_the_running_score_follows_the_edits(series: Path, tmp_path: Path, sit: Callable[..., Browser]) -> None:
    """72 pixels of weight 2 and 16 of weight 4, 0.25 mm2 each: 36 and 16; undo and redo give the same again."""
    browser = sit(series, tmp_path / "out")
    assert 36.0 == step(browser, LAD_BAR)["totals"]["total"]["agatston"]
    both = step(browser, {"kind": "give", "islands": [SPOT_AT], "vessel": "RCA"})
    assert (52.0, "11-100") == (both["totals"]["total"]["agatston"], both["totals"]["category"])
    assert 16.0 == both["totals"]["vessels"]["RCA"]["agatston"]
    assert 36.0 == step(browser, {"kind": "undo"})["totals"]["total"]["agatston"]
    assert both["totals"] == step(browser, {"kind": "redo"})["totals"]


def test_the_slices_come_as_whole_hu(series: Path, tmp_path: Path, sit: Callable[..., Browser]) -> None:
    """16 bits a pixel, little-endian, in the order of slice, row and column."""
    hu = np.frombuffer(sit(series, tmp_path / "out").get("/api/volume").content, dtype="<i2").reshape(6, 32, 32)
    assert (250, 40, 420) == (hu[1, 4, 4], hu[0, 0, 0], hu[3, 23, 23])


def test_a_refused_series_says_why_and_takes_no_edit(
    tmp_path: Path, write_series: Callable[..., Any], sit: Callable[..., Browser]
) -> None:
    """With a contrast agent there are slices and reasons; with a slice missing there are reasons alone."""
    write_series(tmp_path / "bright", BAR, ContrastBolusAgent="Iodine")
    write_series(tmp_path / "gap", BAR)
    (tmp_path / "gap" / "slice002.dcm").unlink()
    for name, slices, reason in (("bright", 6, "contrast agent"), ("gap", 0, "Slices are missing")):
        browser = sit(tmp_path / name, tmp_path / f"{name} out")
        state = state_of(browser)
        assert slices == browser.get("/api/series").json()["slices"]
        assert not state["editable"]
        assert reason in state["reasons"][0]
        assert 422 == browser.post("/api/step", json={"seen": state["number"], "step": LAD_BAR}).status_code
        assert 422 == save(browser).status_code


# --- saving -----------------------------------------------------------------------------------------------


def test_a_confirmation_needs_a_name_and_a_decision_on_each_lesion(
    series: Path, tmp_path: Path, sit: Callable[..., Browser]
) -> None:
    """Without either nothing is written; then a revision says who, when, and what the reader gave."""
    browser, out = sit(series, tmp_path / "out"), tmp_path / "out"
    step(browser, LAD_BAR)
    assert "Who confirms?" in save(browser, name="  ").json()["error"]
    assert "1 lesion(s) wait" in save(browser).json()["error"]
    assert () == revisions(out)
    step(browser, NONE_SPOT)
    state = save(browser).json()
    report = read_report(revisions(out)[0])
    assert report.review is not None
    assert ("confirmed", "Dr Ada", NOW, 1, "") == msgspec.structs.astuple(report.review)
    assert ("36", "scored") == (report.score.shown, report.status)
    assert f"Confirmed by Dr Ada, {NOW}" == state["standing"]["words"]
    assert "PROPOSED - NOT REVIEWED" == step(browser, LAD_BAR)["standing"]["words"]


def test_what_nobody_decided_stays_only_if_the_reader_says_so(
    series: Path, tmp_path: Path, sit: Callable[..., Browser]
) -> None:
    """Then it is decided, as shown: the spot counts nowhere."""
    browser = sit(series, tmp_path / "out")
    step(browser, LAD_BAR)
    state = save(browser, rest_stays=True).json()
    assert (0, 36.0) == (state["undecided"], state["totals"]["total"]["agatston"])
    assert 1 == len(revisions(tmp_path / "out"))


def test_a_correction_supersedes_and_never_overwrites(
    series: Path, tmp_path: Path, sit: Callable[..., Browser]
) -> None:
    """The second revision names the digest of the first, which stays as it was."""
    browser, out = sit(series, tmp_path / "out"), tmp_path / "out"
    step(browser, LAD_BAR)
    assert 200 == save(browser, "draft", "").status_code
    first = (revisions(out)[0] / "score.json").read_bytes()
    step(browser, NONE_SPOT)
    assert 200 == save(browser).status_code
    one, two = revisions(out)
    reviews = [read_report(path).review for path in (one, two)]
    assert reviews[0] is not None
    assert ("draft", "", 1) == (reviews[0].state, reviews[0].reviewer, reviews[0].revision)
    assert reviews[1] is not None
    assert (2, digest_of(one)) == (reviews[1].revision, reviews[1].supersedes)
    assert first == (one / "score.json").read_bytes()


def test_a_draft_of_nothing_new_is_refused(series: Path, tmp_path: Path, sit: Callable[..., Browser]) -> None:
    """A stray key puts no draft in the place of a confirmed result; an edit taken back is none."""
    browser, out = sit(series, tmp_path / "out"), tmp_path / "out"
    step(browser, LAD_BAR)
    assert 200 == save(browser, rest_stays=True).status_code
    step(browser, NONE_SPOT)
    step(browser, {"kind": "undo"})
    answer = save(browser, "draft", "")
    assert (422, True) == (answer.status_code, answer.json()["state"]["standing"]["confirmed"])
    assert "Nothing has changed since revision 1" in answer.json()["error"]
    assert 1 == len(revisions(out))


def test_a_stale_save_is_refused_and_loses_nothing(series: Path, tmp_path: Path, sit: Callable[..., Browser]) -> None:
    """Another page wrote a revision meanwhile: ours is not written; its edits wait for the next page."""
    browser, out = sit(series, tmp_path / "out"), tmp_path / "out"
    step(browser, LAD_BAR)
    other = sit(series, out)
    step(other, {"kind": "give", "islands": [BAR_AT, SPOT_AT], "vessel": "RCA"})
    assert 200 == save(other).status_code
    waiting = state_of(browser)["undecided"]
    answer = save(browser, rest_stays=True)
    assert 409 == answer.status_code
    assert waiting == answer.json()["state"]["undecided"]
    assert "Another page wrote revision 1 meanwhile" in answer.json()["error"]
    assert ["revision-0001"] == [path.name for path in revisions(out)]
    assert "36" == state_of(browser)["totals"]["total"]["shown"]


def test_a_state_that_another_tab_changed_is_shown_first(
    series: Path, tmp_path: Path, sit: Callable[..., Browser]
) -> None:
    """An edit made on an older state is refused with the new one."""
    browser = sit(series, tmp_path / "out")
    seen = state_of(browser)["number"]
    step(browser, LAD_BAR)
    answer = browser.post("/api/step", json={"seen": seen, "step": NONE_SPOT})
    assert 409 == answer.status_code
    assert state_of(browser) == answer.json()["state"]


def test_a_number_that_is_taken_at_the_last_moment_is_not_overwritten(
    series: Path, tmp_path: Path, sit: Callable[..., Browser]
) -> None:
    """A revision that somebody else put there stays what it is."""
    browser, out = sit(series, tmp_path / "out"), tmp_path / "out"
    step(browser, LAD_BAR)
    write_revision(out, 1, {"score.json": b"theirs"})
    assert 409 == save(browser, rest_stays=True).status_code
    assert b"theirs" == (out / "revision-0001" / "score.json").read_bytes()
