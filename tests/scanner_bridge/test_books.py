"""Small parts of the session: the gate's clock, the ledger, the counts."""

from hypothesis import given
from hypothesis import strategies as st

from gating.messages import Pong
from scanner_bridge.ledger import Ledger, Rate, Refusals
from scanner_bridge.peer_clock import PeerClock
from scanner_bridge.plan import plan_from
from scanner_bridge.settings import LimitSettings, PlanSettings

MS = 1_000_000
S = 1_000_000_000


def answer(clock: PeerClock, token: str, sent: int, there: int, back: int, offset: int) -> bool:
    """Play one round trip with the given one-way times."""
    clock.ping(token, sent)
    return clock.pong(Pong(token=token, ping_at_ns=sent, gate_at_ns=sent + there + offset), sent + there + back)


@given(st.integers(0, 20 * MS), st.integers(0, 20 * MS), st.integers(-(10**15), 10**15))
def test_the_true_offset_lies_within_the_doubt(there: int, back: int, offset: int) -> None:
    """However lopsided the way, the offset is wrong by at most half the round trip."""
    clock = PeerClock(3.0)
    assert answer(clock, "a", 5 * S, there, back, offset)
    estimate, doubt = clock.estimate(5 * S + there + back)
    assert doubt is not None
    assert abs(estimate - offset) <= doubt + 1


def test_the_quickest_of_the_last_pongs_counts() -> None:
    """A slow answer does not spoil a good one."""
    clock = PeerClock(3.0)
    answer(clock, "a", 1 * S, 1 * MS, 1 * MS, 500 * MS)
    answer(clock, "b", 2 * S, 30 * MS, 1 * MS, 500 * MS)
    _, doubt = clock.estimate(2 * S + 31 * MS)
    assert doubt is not None
    assert doubt < 2 * MS


def test_an_old_measurement_is_none() -> None:
    """After three seconds of silence the clock is unknown."""
    clock = PeerClock(3.0)
    answer(clock, "a", 1 * S, 1 * MS, 1 * MS, 0)
    assert clock.estimate(4 * S)[1] is not None
    assert clock.estimate(4 * S + 3 * MS)[1] is None


def test_an_offset_that_grew_old_is_still_the_best_guess() -> None:
    """A gate that is silent for a while: nothing is permitted, but what is told is not suddenly on another clock."""
    clock = PeerClock(3.0)
    answer(clock, "a", 1 * S, 0, 0, -(10**15))
    assert (-(10**15), None) == clock.estimate(9 * S)


def test_a_stepped_clock_forgets_what_was_measured_before() -> None:
    """A suspended host comes back with another offset: only the new one counts (hazards.md T4)."""
    clock = PeerClock(3.0)
    answer(clock, "a", 1 * S, 0, 0, 0)
    answer(clock, "b", 2 * S, 1 * MS, 1 * MS, -700 * MS)
    assert -700 * MS == clock.estimate(2 * S + 2 * MS)[0]


def test_an_answer_counts_once_and_only_if_asked_for() -> None:
    """Made up, doubled and mismatched pongs are none."""
    clock = PeerClock(3.0)
    clock.ping("a", 1 * S)
    assert not clock.pong(Pong(token="b", ping_at_ns=1 * S, gate_at_ns=0), 1 * S)
    assert not clock.pong(Pong(token="a", ping_at_ns=2 * S, gate_at_ns=0), 1 * S)
    assert answer(clock, "c", 3 * S, 0, 0, 0)
    assert not clock.pong(Pong(token="c", ping_at_ns=3 * S, gate_at_ns=0), 3 * S)


def test_dose_is_the_sum_of_the_beam_over_the_full_collimation() -> None:
    """DLP counts 4 cm per exposure, repeats included; CTDIvol is its mean over the slabs that got any."""
    plan = plan_from(PlanSettings())
    ledger = Ledger(plan)
    ledger.start_over()
    ledger.enter(0, "exposed", 196.0)
    ledger.enter(1, "cut", 98.0)
    ledger.enter(1, "exposed", 196.0)
    assert 490.0 == ledger.beam_on_ms
    assert abs(ledger.dlp_mgycm - 490.0 * plan.ctdivol_mgy_per_ms * 4.0) < 1e-9
    assert abs(ledger.ctdivol_mgy - ledger.dlp_mgycm / 8.0) < 1e-9
    assert ((0, 1), 2, 1) == (ledger.steps_exposed, ledger.next_step, ledger.next_attempt)


def test_a_missed_beat_costs_neither_dose_nor_an_attempt() -> None:
    """No beam, no attempt."""
    ledger = Ledger(plan_from(PlanSettings()))
    ledger.start_over()
    ledger.enter(0, "missed", 0.0)
    assert (0.0, 0, 1) == (ledger.beam_on_ms, ledger.next_step, ledger.next_attempt)
    assert 0.0 == ledger.ctdivol_mgy


def test_only_forgeries_latch() -> None:
    """A hundred late triggers are counted; three forgeries are too many."""
    refusals = Refusals(LimitSettings())
    assert not any(refusals.count("expired", at) for at in range(100))
    assert [False, False, True] == [refusals.count("bad-signature", at) for at in (0, 5 * S, 9 * S)]


def test_a_rate_lets_so_many_pass_per_second() -> None:
    """And counts what it did not."""
    rate = Rate(10)
    assert 10 == sum(rate.allow(at) for at in range(50))
    assert 40 == rate.suppressed
    assert rate.allow(1 * S)
