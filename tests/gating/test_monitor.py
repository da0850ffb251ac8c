"""The page's model, its hub, and its web side: what is folded in, what goes out, who is let in."""

import asyncio
import contextlib
import itertools
import json
import shutil
import struct
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
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from gating import messages as m
from gating.errors import PeerError, SettingsError
from gating.monitor import cli
from gating.monitor.app import address_of, bind, host_is_ours, make_app, page_server, serve
from gating.monitor.hub import MAX_FRAMES, MAX_PAGES, Hub, Page
from gating.monitor.page import KEEP, LISTEN, PageModel
from gating.monitor.strip import STRIP_HEAD, encode_strip, untrusted_leads
from gating.settings import MonitorSettings

MS = 1_000_000
S = 1_000_000_000

GATE = m.GateStatus(
    at_ns=10 * S,
    boot="b1",
    state="ready",
    advice="go",
    reasons=(),
    leads=tuple(m.LeadStatus(lead=lead, trusted=True) for lead in ("I", "II", "V1")),
    best_lead="II",
    source="healthypi6",
    simulated=False,
    patient_safe=False,
    sample_age_ms=12.0,
    heart_rate_bpm=60.0,
    rr_interval_ms=1000.0,
    steadiness="steady",
    crc_errors=0,
    lost_samples=0,
    session=None,
    hold_began_at_ns=None,
)
TRIGGER = m.Trigger(
    session="s1",
    nonce="secret-nonce",
    sequence=7,
    plan_hash="p",
    beat=4,
    step=0,
    attempt=1,
    r_at_ns=10 * S,
    opens_at_ns=10_600 * MS,
    closes_at_ns=10_800 * MS,
    centre_at_ns=10_700 * MS,
    latest_open_at_ns=10_605 * MS,
    expires_at_ns=10_580 * MS,
    phase="diastole",
    predicted_rr_ms=1000.0,
    predicted_rr_low_ms=960.0,
    predicted_rr_high_ms=1040.0,
    padding_ms=0.0,
    reasons=(),
    sample_arrived_at_ns=10_100 * MS,
    issued_at_ns=10_101 * MS,
)
ACCEPTED = m.TriggerAnswer(
    session="s1", sequence=7, beat=4, step=0, attempt=1, accepted_at_ns=10_103 * MS, reasons=(), at_ns=10_103 * MS
)
REFUSED = msgspec.structs.replace(ACCEPTED, accepted_at_ns=None, reasons=("replayed",))
CANCEL = m.Cancel(session="s1", nonce="n", sequence=8, beat=4, reasons=("premature beat",), at_ns=10_500 * MS)
INHIBIT = m.Inhibit(session="s1", nonce="n", sequence=9, latched=False, reasons=("lead LA off",), at_ns=10_500 * MS)
EXPOSED = m.ExposureReport(
    session="s1",
    sequence=7,
    beat=4,
    step=0,
    attempt=1,
    outcome="exposed",
    reasons=(),
    planned_open_at_ns=TRIGGER.opens_at_ns,
    planned_close_at_ns=TRIGGER.closes_at_ns,
    opened_at_ns=10_602 * MS,
    closed_at_ns=10_798 * MS,
    table_mm=0.0,
    start_angle_deg=0.0,
    at_ns=10_800 * MS,
)
MISSED = msgspec.structs.replace(EXPOSED, outcome="missed", opened_at_ns=None, closed_at_ns=None, reasons=("late",))
BEAT = m.Beat(
    number=4,
    stage="provisional",
    r_at_ns=10 * S,
    uncertainty_ns=MS,
    beat_kind="normal",
    confidence=0.9,
    lead="II",
    rr_interval_ms=1000.0,
    sample_arrived_at_ns=0,
    decided_at_ns=0,
)
RHYTHM = m.Rhythm(
    at_ns=10 * S,
    steadiness="steady",
    beats=8,
    heart_rate_bpm=60.0,
    mean_rr_ms=1000.0,
    sd_rr_ms=14.0,
    range_bpm=3.0,
    premature=1,
    advice="go",
    reasons=(),
)
BLOCK = m.EcgBlock(
    first_at_ns=5 * S,
    rate_hz=500.0,
    leads=("I", "II", "V1"),
    microvolts=((1, 2), (-300_000, 4), (5, 6)),
    electrodes_off=(),
    sequence=3,
)


@dataclass(frozen=True)
class Said:
    """What the bus hands over."""

    message: m.Message
    key_id: str | None = "k"
    arrived_at_ns: int = 10 * S


@dataclass(frozen=True)
class NotBelieved:
    """What the bus hands over for a message that is not authentic."""

    reason: str = "unsigned"


def model_of(*messages: m.Message) -> PageModel:
    """Fold messages into a fresh model, each as it came at 10 s."""
    model = PageModel("site")
    for message in messages:
        model.hear(message, 10 * S)
    return model


# --- the model -------------------------------------------------------------------------------------------


def test_an_empty_page_knows_nothing() -> None:
    """Before anything was heard there is no gate, no scanner and no link, and nothing is simulated."""
    state = PageModel("site").state(0)
    assert (None, None, None, False, False) == (
        state.gate,
        state.scanner,
        state.hold,
        state.broker_up,
        state.simulated,
    )


def test_the_gate_and_its_rhythm_are_told() -> None:
    """The gate's status and the rhythm's figures stand in one place, with the age of the status."""
    gate = model_of(GATE, RHYTHM).state(10_300 * MS).gate
    assert gate is not None
    assert ("go", 60.0, 14.0, 1, 300.0) == (
        gate.advice,
        gate.heart_rate_bpm,
        gate.sd_rr_ms,
        gate.premature,
        gate.age_ms,
    )


def test_an_unknown_rate_hides_older_figures() -> None:
    """Spread and premature beats of an earlier rhythm are not shown beside an unknown heart rate."""
    gate = model_of(RHYTHM, msgspec.structs.replace(GATE, heart_rate_bpm=None)).state(10 * S).gate
    assert gate is not None
    assert (None, None, None) == (gate.heart_rate_bpm, gate.sd_rr_ms, gate.premature)


@pytest.mark.parametrize(
    ("messages", "now_ms", "expected"),
    [
        ((TRIGGER,), 10_200, ("planned", None)),
        ((TRIGGER, ACCEPTED), 10_200, ("booked", None)),
        ((TRIGGER, REFUSED), 10_200, ("held", "an old message again")),
        ((TRIGGER, ACCEPTED, CANCEL), 10_550, ("held", "premature beat")),
        ((TRIGGER, ACCEPTED, INHIBIT), 10_550, ("held", "lead LA off")),
        ((TRIGGER, ACCEPTED, EXPOSED), 10_900, ("fired", None)),
        ((TRIGGER, ACCEPTED, MISSED), 10_900, ("missed", "too late to command the scanner")),
        ((TRIGGER, ACCEPTED, CANCEL, msgspec.structs.replace(EXPOSED, outcome="redo")), 10_900, ("redo", None)),
        ((TRIGGER, ACCEPTED, INHIBIT, msgspec.structs.replace(EXPOSED, outcome="cut")), 10_900, ("cut", None)),
        ((TRIGGER, ACCEPTED), 12_400, ("unreported", "the scanner has not said what became of it")),
        ((TRIGGER, msgspec.structs.replace(CANCEL, sequence=6)), 10_200, ("planned", None)),
        ((TRIGGER, msgspec.structs.replace(CANCEL, beat=5)), 10_200, ("planned", None)),
        ((TRIGGER, msgspec.structs.replace(INHIBIT, session="s0")), 10_200, ("planned", None)),
        ((TRIGGER, ACCEPTED, msgspec.structs.replace(INHIBIT, at_ns=10_900 * MS)), 10_950, ("booked", None)),
    ],
    ids=[
        "planned",
        "booked",
        "refused",
        "cancelled",
        "inhibited",
        "fired",
        "missed",
        "redo",
        "cut",
        "silence",
        "older cancel",
        "other beat",
        "other session",
        "inhibit after it closed",
    ],
)
def test_what_became_of_a_window(
    messages: tuple[m.Message, ...], now_ms: int, expected: tuple[str, str | None]
) -> None:
    """Each story of one trigger ends in its word, whatever the order in which its messages arrived."""
    for order in itertools.permutations(messages):
        (band,) = model_of(*order).state(now_ms * MS).bands
        assert expected == (band.state, band.reason)


def test_a_band_lies_where_the_beam_was() -> None:
    """Before the exposure the band shows the plan, after it what the scanner measured."""
    (planned,) = model_of(TRIGGER).state(10 * S).bands
    (fired,) = model_of(TRIGGER, EXPOSED).state(10 * S).bands
    assert (10_600.0, 10_800.0) == (planned.opens_ms, planned.closes_ms)
    assert (10_602.0, 10_798.0) == (fired.opens_ms, fired.closes_ms)
    assert 11_000.0 == planned.next_r_ms


def test_withdrawn_beats_vanish() -> None:
    """A provisional R mark is replaced when confirmed, and taken away when withdrawn."""
    confirmed = msgspec.structs.replace(BEAT, stage="confirmed")
    withdrawn = msgspec.structs.replace(BEAT, stage="withdrawn")
    assert ["confirmed"] == [mark.stage for mark in model_of(BEAT, confirmed).state(0).beats]
    assert () == model_of(BEAT, withdrawn).state(0).beats


def test_a_new_gate_begins_a_new_page() -> None:
    """A gate that was started anew counts its beats anew; the old marks go."""
    model = model_of(GATE, BEAT)
    model.hear(msgspec.structs.replace(GATE, boot="b2"), 10 * S)
    assert () == model.state(10 * S).beats


@pytest.mark.parametrize(
    ("delay_ns", "same", "now_ms"),
    [
        (2 * MS, True, 20_000.0),
        (5 * S, True, 20_000.0),
        (-3 * S, False, 23_000.0),
        (9_000 * S, False, 20_000.0 - 9_000_000.0),
    ],
    ids=["one host", "a broker that holds all back looks old", "a clock ahead", "another host"],
)
def test_the_gates_clock(delay_ns: int, same: bool, now_ms: float) -> None:
    """On one host the monitor's clock is the gate's, so old data looks old; another clock is mapped by least delay."""
    model = PageModel("site")
    for jitter_ns in (30 * MS, 0, 4 * MS):
        model.hear(GATE, GATE.at_ns + delay_ns + jitter_ns)
    assert (same, now_ms) == (model.same_clock, model.state(20 * S).now_ms)


def test_simulated_if_either_says_so(make_status: Callable[..., m.ScannerStatus]) -> None:
    """Gate or scanner: one of them being simulated is enough."""
    assert not model_of(GATE, make_status(simulated=False)).state(0).simulated
    assert model_of(GATE, make_status(simulated=True)).state(0).simulated
    assert model_of(msgspec.structs.replace(GATE, simulated=True)).state(0).simulated


def test_the_breath_hold(make_status: Callable[..., m.ScannerStatus]) -> None:
    """The hold's begin and limit come from the bridge, and the change of heart rate is told against its begin."""
    hold = m.BreathHold(session="s1", began_at_ns=10 * S, limit_s=20.0)
    slower = msgspec.structs.replace(GATE, heart_rate_bpm=57.0)
    told = model_of(make_status(), GATE, hold, slower, hold).state(10 * S).hold
    assert told is not None
    assert (10_000.0, None, 20.0, 3.0, -3.0) == (
        told.began_ms,
        told.ended_ms,
        told.limit_s,
        told.settle_s,
        told.heart_rate_change_bpm,
    )


def test_a_hold_known_from_the_status_alone(make_status: Callable[..., m.ScannerStatus]) -> None:
    """A page that opened after the hold began still shows it."""
    told = model_of(make_status(hold_began_at_ns=8 * S)).state(10 * S).hold
    assert told is not None
    assert 8_000.0 == told.began_ms


def test_secrets_and_patients_stay_inside(make_status: Callable[..., m.ScannerStatus]) -> None:
    """No nonce, no challenge and no patient's pseudonym leaves for a page (hazards.md P1)."""
    status = make_status(challenge="secret-challenge")
    text = msgspec.json.encode(model_of(GATE, status, TRIGGER, ACCEPTED).state(10 * S)).decode()
    for secret in ("secret-nonce", "secret-challenge", "P-0001"):
        assert secret not in text


def test_what_is_not_authentic_is_counted() -> None:
    """Refused messages are counted by reason, and never shown."""
    model = PageModel("site")
    for reason in ("unsigned", "bad-signature", "unsigned"):
        model.refuse(reason)
    assert {"unsigned": 2, "bad-signature": 1} == model.state(0).refused


@given(st.lists(st.integers(0, 10_000), max_size=300))
@settings(max_examples=20, deadline=None)
def test_memory_is_bounded(numbers: list[int]) -> None:
    """However many beats and triggers come, only the newest are kept."""
    model = PageModel("site")
    for number in numbers:
        model.hear(msgspec.structs.replace(BEAT, number=number), 0)
        model.hear(msgspec.structs.replace(TRIGGER, sequence=number), 0)
        model.mark(number)
    state = model.state(0)
    assert KEEP >= max(len(state.beats), len(state.bands))
    assert 16 >= len(state.marks_ms)


def test_it_listens_to_nothing_it_cannot_fold() -> None:
    """Every kind that the page subscribes to has a channel."""
    assert set(LISTEN) <= set(m.CHANNELS)
    assert m.KeepAlive not in LISTEN


# --- strip frames ----------------------------------------------------------------------------------------


def test_strip_frame() -> None:
    """A frame is head, padded names, and float32 samples, so that a 300 mV electrode offset survives."""
    frame = encode_strip(BLOCK, 0b010, 5_040.0)
    kind, leads, bad, names, count, _, sequence, rate, first, now = STRIP_HEAD.unpack_from(frame)
    assert (1, 3, 0b010, 8, 2, 3, 500.0, 5_000.0, 5_040.0) == (
        kind,
        leads,
        bad,
        names,
        count,
        sequence,
        rate,
        first,
        now,
    )
    assert b"I,II,V1 " == frame[32:40]
    assert (1.0, 2.0, -300_000.0, 4.0, 5.0, 6.0) == struct.unpack("<6f", frame[40:])


@pytest.mark.parametrize(
    ("off", "expected"),
    [((), 0b000), (("RA",), 0b111), (("LL",), 0b110), (("LA",), 0b101), (("V1",), 0b100), (("RL",), 0b000)],
)
def test_electrodes_and_leads(off: tuple[m.Electrode, ...], expected: int) -> None:
    """An electrode that is off spoils just the leads that hang on it; a chest lead hangs on Wilson's terminal too."""
    assert expected == untrusted_leads(msgspec.structs.replace(BLOCK, electrodes_off=off), ())


def test_the_gates_word_on_leads() -> None:
    """A lead that the gate distrusts is marked, though its electrodes are on."""
    assert 0b010 == untrusted_leads(BLOCK, [m.LeadStatus(lead="II", trusted=False, reason="flat")])


# --- the hub ---------------------------------------------------------------------------------------------


def test_a_slow_page_loses_its_oldest_frames() -> None:
    """A page's queue is bounded, drops its oldest frames, and keeps only the newest state."""

    async def story() -> tuple[tuple[bytes, ...], tuple[bytes, ...], int]:
        """Play it."""
        page = Page()
        for n in range(MAX_FRAMES + 7):
            page.put_frame(b"%d" % n)
            page.put_state(b"state %d" % n)
        texts, frames = await page.next()
        return texts, frames, page.dropped

    texts, frames, dropped = asyncio.run(story())
    assert (b"state 56",) == texts
    assert (b"7", b"56", MAX_FRAMES, 7) == (frames[0], frames[-1], len(frames), dropped)


def test_an_unsigned_message_shows_nothing() -> None:
    """The hub shows nothing that nobody signed, not even if the bus hands it over as a page's request."""
    hub = Hub("site", lambda: 10 * S)
    hub.hear(Said(GATE, key_id=None))
    hub.refuse(NotBelieved())
    state = hub.model.state(10 * S)
    assert (None, {"unsigned": 1}) == (state.gate, state.refused)


def test_the_house_may_be_full() -> None:
    """The number of pages is bounded."""
    hub = Hub("site", lambda: 0)
    pages = [hub.join() for _ in range(MAX_PAGES)]
    assert None not in pages
    assert hub.join() is None
    assert pages[0] is not None
    hub.leave(pages[0])
    assert hub.join() is not None


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
