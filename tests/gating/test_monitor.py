"""The page's model and its hub: what is folded in, and what goes out."""

import asyncio
import itertools
import struct
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gating import messages as m
from gating.monitor.hub import MAX_FRAMES, MAX_PAGES, Hub, Page
from gating.monitor.page import KEEP, LISTEN, PageModel
from gating.monitor.strip import STRIP_HEAD, encode_strip, untrusted_leads
from tests.gating.page_stories import (
    ACCEPTED,
    BEAT,
    BLOCK,
    CANCEL,
    EXPOSED,
    GATE,
    INHIBIT,
    MISSED,
    MS,
    REFUSED,
    RHYTHM,
    TRIGGER,
    NotBelieved,
    S,
    Said,
    model_of,
)

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
