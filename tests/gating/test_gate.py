"""The gate as a whole: blocks of a made ECG in, messages out, in made-up time."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from gating.frontends.frontend import SampleBlock
from gating.gate import Gate
from gating.io.numbers import read_judge
from gating.messages import (
    Armed,
    Beat,
    BreathHold,
    Cancel,
    EcgBlock,
    ExposureReport,
    GateStatus,
    Held,
    Inhibit,
    KeepAlive,
    Message,
    Ping,
    Pong,
    ScannerStatus,
    Trigger,
    TriggerAnswer,
)
from gating.settings import GateSettings
from gating.units import NS_PER_MS, NS_PER_S, Nanoseconds

RATE_HZ = 500.0
BLOCK = 16
LEADS = ("I", "II", "V1")
ELECTRODES = ("RA", "LA", "LL", "V1")
START_NS = 50 * NS_PER_S


def ecg(r_s: Sequence[float], seconds: float) -> NDArray[np.float64]:
    """Make an ECG [sample, lead] with a QRS of 1.2, 1.5 and -1 mV at each instant, a T wave, and a little noise."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    wave = np.zeros_like(t)
    for r in r_s:
        wave += 1000 * np.exp(-(((t - r) / 0.010) ** 2)) - 180 * np.exp(-(((t - r - 0.035) / 0.012) ** 2))
        wave += 180 * np.exp(-(((t - r - 0.30) / 0.045) ** 2))
    noise = np.random.default_rng(1).normal(0, 8, (len(t), 3))
    samples: NDArray[np.float64] = wave[:, None] * np.array([0.8, 1.4, -0.9]) + noise
    return samples


@dataclass
class Bench:
    """A gate, fed block by block as a box would, with a bridge that answers by hand."""

    gate: Gate = field(default_factory=lambda: Gate(GateSettings(simulated=True), read_judge()))
    said: list[tuple[int, Message]] = field(default_factory=list)
    now_ns: int = START_NS

    def feed(self, samples: NDArray[np.float64], *, off: tuple[str, ...] = (), begin: int = 0) -> None:
        """Feed samples in blocks; each arrives when its last sample is taken."""
        flags = np.tile([name in off for name in ELECTRODES], (BLOCK, 1))
        for first in range(0, len(samples) - BLOCK + 1, BLOCK):
            self.now_ns = START_NS + round((begin + first + BLOCK - 1) / RATE_HZ * NS_PER_S) + 2 * NS_PER_MS
            block = SampleBlock(LEADS, samples[first : first + BLOCK], RATE_HZ, begin + first, ELECTRODES, flags, 0)
            self._keep(self.gate.take(block, Nanoseconds(self.now_ns)))

    def hear(self, message: Message) -> None:
        """Let the gate hear a message now."""
        self._keep(self.gate.hear(message, Nanoseconds(self.now_ns)))

    def of(self, kind: type[Message]) -> list[Message]:
        """List what the gate said of one kind."""
        return [message for _, message in self.said if isinstance(message, kind)]

    def _keep(self, messages: Iterable[Message]) -> None:
        self.said += [(self.now_ns, message) for message in messages]


R_60 = [0.5 + k for k in range(40)]


@pytest.fixture
def armed_bench(an_armed: Armed, make_status: Callable[..., ScannerStatus]) -> Iterator[Bench]:
    """A gate that has seen 12 s of a steady heart, is armed and settled in the hold since 8 s."""
    bench = Bench()
    bench.feed(ecg(R_60, 12.0))
    bench.hear(make_status(at_ns=bench.now_ns))
    bench.hear(an_armed)
    bench.hear(BreathHold(session="s1", began_at_ns=START_NS + 8 * NS_PER_S, limit_s=20.0))
    bench.said.clear()
    yield bench


def rest(samples: NDArray[np.float64], begin_s: float) -> NDArray[np.float64]:
    """Cut the samples from a second on, a whole number of blocks in."""
    return samples[_at(begin_s) :]


def _at(second: float) -> int:
    return int(second * RATE_HZ) // BLOCK * BLOCK


def test_beats_are_told_with_their_instants() -> None:
    """After learning, each R-peak is confirmed once, within 3 ms of the truth, and no earlier than it happened."""
    bench = Bench()
    bench.feed(ecg(R_60, 12.0))
    confirmed = [(at, m) for at, m in bench.said if isinstance(m, Beat) and m.stage == "confirmed"]
    true_ns = [START_NS + round(r * NS_PER_S) for r in R_60]
    errors_ms = [min(abs(m.r_at_ns - r) for r in true_ns) / NS_PER_MS for _, m in confirmed]
    assert len(confirmed) >= 8
    assert max(errors_ms) < 3.0
    assert len({m.number for _, m in confirmed}) == len(confirmed)
    assert all(at - m.r_at_ns < 150 * NS_PER_MS for at, m in confirmed)


def test_status_and_strip_go_to_the_page() -> None:
    """The page gets a status four times a second, at most 25 strips a second, and every sample once."""
    bench = Bench()
    bench.feed(ecg(R_60, 12.0))
    strips = [m for m in bench.of(EcgBlock) if isinstance(m, EcgBlock)]
    assert 12.0 * 25 >= len(strips)
    assert sum(len(m.microvolts[0]) for m in strips) > 0.98 * 12.0 * RATE_HZ
    last = bench.of(GateStatus)[-1]
    assert isinstance(last, GateStatus)
    assert ("ready", "go", True) == (last.state, last.advice, last.simulated)
    assert last.heart_rate_bpm == pytest.approx(60.0, abs=0.2)


def test_without_arming_there_is_no_message_of_permission() -> None:
    """No Trigger and no KeepAlive leaves a gate that is not armed."""
    bench = Bench()
    bench.feed(ecg(R_60, 12.0))
    assert [] == bench.of(Trigger) + bench.of(KeepAlive)


def test_a_beat_books_one_window_in_mid_diastole(armed_bench: Bench) -> None:
    """At 60 bpm the window opens 652 ms after R, is 196 ms long, and expires 20 ms before it opens."""
    armed_bench.feed(rest(ecg(R_60, 14.0), 12.0), begin=_at(12.0))
    triggers = [m for m in armed_bench.of(Trigger) if isinstance(m, Trigger)]
    assert 1 == len(triggers), "the next beat waits for the bridge's report"
    one = triggers[0]
    assert ("diastole", 0, 1) == (one.phase, one.step, one.attempt)
    assert 652.0 == pytest.approx((one.opens_at_ns - one.r_at_ns) / NS_PER_MS, abs=4)
    assert 196.0 == pytest.approx((one.closes_at_ns - one.opens_at_ns) / NS_PER_MS)
    assert 20.0 == pytest.approx((one.opens_at_ns - one.expires_at_ns) / NS_PER_MS)


def test_the_lease_is_renewed_at_least_every_40_ms_for_120_ms(armed_bench: Bench) -> None:
    """Keep-alives come with every trusted block, name the latest beat, and end 120 ms after the newest sample."""
    armed_bench.feed(rest(ecg(R_60, 14.0), 12.0), begin=_at(12.0))
    leases = [(at, m) for at, m in armed_bench.said if isinstance(m, KeepAlive)]
    gaps_ms = [(b - a) / NS_PER_MS for (a, _), (b, _) in itertools.pairwise(leases)]
    assert max(gaps_ms) <= 40.0
    assert {120 * NS_PER_MS} == {m.good_until_ns - m.newest_sample_at_ns for _, m in leases}
    numbers = [m.sequence for m in armed_bench.of(KeepAlive) + armed_bench.of(Trigger)]  # type: ignore[attr-defined]  # both have one
    assert len(set(numbers)) == len(numbers)


def test_the_next_step_is_booked_after_the_report(
    armed_bench: Bench, make_status: Callable[..., ScannerStatus]
) -> None:
    """The gate books again only on a status that is newer than the report of the last trigger."""
    samples = ecg(R_60, 18.0)
    armed_bench.feed(rest(samples, 12.0)[: _at(1.9)], begin=_at(12.0))
    first = armed_bench.of(Trigger)[0]
    assert isinstance(first, Trigger)
    armed_bench.hear(_report(first, armed_bench.now_ns))
    armed_bench.hear(make_status(at_ns=armed_bench.now_ns, state="moving", table_settled_at_ns=None, next_step=1))
    armed_bench.feed(samples[_at(13.9) : _at(14.9)], begin=_at(13.9))
    assert 1 == len(armed_bench.of(Trigger)), "the table moves"
    armed_bench.hear(make_status(at_ns=armed_bench.now_ns, next_step=1, table_settled_at_ns=armed_bench.now_ns))
    armed_bench.feed(samples[_at(14.9) : _at(16.9)], begin=_at(14.9))
    steps = [m.step for m in armed_bench.of(Trigger) if isinstance(m, Trigger)]
    assert [0, 1] == steps


def _report(trigger: Trigger, now_ns: int) -> ExposureReport:
    return ExposureReport(
        session="s1",
        sequence=trigger.sequence,
        beat=trigger.beat,
        step=trigger.step,
        attempt=trigger.attempt,
        outcome="exposed",
        reasons=(),
        planned_open_at_ns=trigger.opens_at_ns,
        planned_close_at_ns=trigger.closes_at_ns,
        opened_at_ns=trigger.opens_at_ns,
        closed_at_ns=trigger.closes_at_ns,
        table_mm=-54.0,
        start_angle_deg=0.0,
        at_ns=now_ns,
    )


def test_a_premature_beat_before_the_window_cancels_it(armed_bench: Bench) -> None:
    """A beat 560 ms after the last cancels the window at 652 ms before it opens, and is itself held."""
    r_s = [*R_60[:13], 13.06, 14.5, 15.5]
    armed_bench.feed(rest(ecg(r_s, 16.0), 12.0), begin=_at(12.0))
    trigger, cancel = armed_bench.of(Trigger)[0], armed_bench.of(Cancel)[0]
    assert isinstance(trigger, Trigger)
    assert isinstance(cancel, Cancel)
    assert trigger.beat == cancel.beat
    assert cancel.at_ns < trigger.opens_at_ns
    held = armed_bench.of(Held)[0]
    assert isinstance(held, Held)
    assert ("premature beat",) == held.reasons


def test_a_lead_off_inhibits_with_the_first_flagged_block(armed_bench: Bench) -> None:
    """LL off: an Inhibit that names it within one block, no lease after it, and 8 good beats until it comes back."""
    samples = ecg([0.5 + k for k in range(60)], 40.0)
    armed_bench.feed(samples[_at(12.0) : _at(12.2)], begin=_at(12.0))
    off_at_ns = armed_bench.now_ns
    armed_bench.feed(samples[_at(12.2) : _at(14.2)], begin=_at(12.2), off=("LL",))
    inhibit = armed_bench.of(Inhibit)[0]
    assert isinstance(inhibit, Inhibit)
    assert (False, "electrode LL is off") == (inhibit.latched, inhibit.reasons[0])
    assert inhibit.at_ns - off_at_ns < 60 * NS_PER_MS
    assert all(at <= inhibit.at_ns for at, m in armed_bench.said if isinstance(m, KeepAlive))
    armed_bench.said.clear()
    armed_bench.feed(samples[_at(14.2) : _at(30.0)], begin=_at(14.2))
    first = next(at for at, m in armed_bench.said if isinstance(m, KeepAlive))
    beats = [at for at, m in armed_bench.said if isinstance(m, Beat) and m.stage == "confirmed" and at <= first]
    assert 8 <= len(beats) <= 11


def test_silence_inhibits_when_the_gate_is_woken(armed_bench: Bench) -> None:
    """No block for more than 150 ms: the gate asked to be woken for it, and inhibits."""
    wake_at = armed_bench.gate.wake_at_ns
    assert wake_at is not None
    assert wake_at - armed_bench.now_ns < 160 * NS_PER_MS
    armed_bench.now_ns += 200 * NS_PER_MS
    out = armed_bench.gate.wake(Nanoseconds(armed_bench.now_ns))
    reasons = [m.reasons for m in out if isinstance(m, Inhibit)]
    assert [("no ECG samples for 0.2 s",)] == reasons


def test_a_lost_line_ends_the_session(armed_bench: Bench) -> None:
    """Unplugged: a latched Inhibit, and nothing of permission until armed again."""
    out = armed_bench.gate.lost("serial line lost", Nanoseconds(armed_bench.now_ns))
    assert [True] == [m.latched for m in out if isinstance(m, Inhibit)]
    armed_bench.said.clear()
    armed_bench.feed(ecg(R_60, 12.0), begin=_at(20.0))
    assert [] == armed_bench.of(Trigger) + armed_bench.of(KeepAlive)


def test_a_refused_trigger_frees_the_next_beat(armed_bench: Bench) -> None:
    """A refusal is no end: the next beat is booked."""
    samples = ecg(R_60, 16.0)
    armed_bench.feed(samples[_at(12.0) : _at(12.9)], begin=_at(12.0))
    first = armed_bench.of(Trigger)[0]
    assert isinstance(first, Trigger)
    answer = TriggerAnswer(
        session="s1",
        sequence=first.sequence,
        beat=first.beat,
        step=0,
        attempt=1,
        accepted_at_ns=None,
        reasons=("expired",),
        at_ns=0,
    )
    armed_bench.hear(answer)
    armed_bench.feed(samples[_at(12.9) : _at(13.9)], begin=_at(12.9))
    assert 2 == len(armed_bench.of(Trigger))


def test_a_session_that_is_not_ours_is_ignored(an_armed: Armed, make_status: Callable[..., ScannerStatus]) -> None:
    """Armed for another gate's key: no permission leaves this one, and the page is told why."""
    bench = Bench(gate=Gate(GateSettings(key_id="mine"), read_judge()))
    bench.feed(ecg(R_60, 12.0))
    bench.hear(make_status(at_ns=bench.now_ns))
    bench.hear(an_armed)
    bench.feed(rest(ecg(R_60, 14.0), 12.0), begin=_at(12.0))
    assert [] == bench.of(KeepAlive)
    last = bench.of(GateStatus)[-1]
    assert isinstance(last, GateStatus)
    assert ("the bridge armed another gate; stop one of the two",) == last.reasons


def test_a_ping_is_answered_with_the_gates_clock() -> None:
    """The bridge measures the clocks by it."""
    out = Gate(GateSettings(), read_judge()).hear(Ping(token="t", at_ns=5), Nanoseconds(77))
    assert [Pong(token="t", ping_at_ns=5, gate_at_ns=77)] == [m for m in out if isinstance(m, Pong)]


def test_what_is_returned_depends_on_the_calls_alone() -> None:
    """Two gates fed alike say alike."""
    one, two = Bench(), Bench()
    samples = ecg(R_60, 6.0)
    one.feed(samples)
    two.feed(samples)
    assert one.said == two.said


def test_a_status_from_before_the_arming_does_not_disarm(
    an_armed: Armed, make_status: Callable[..., ScannerStatus]
) -> None:
    """QoS 0 may be overtaken: an old status without a session, heard after Armed, changes nothing."""
    bench = Bench()
    bench.feed(ecg(R_60, 12.0))
    armed = msgspec.structs.replace(an_armed, at_ns=bench.now_ns)
    bench.hear(armed)
    bench.hear(make_status(at_ns=bench.now_ns - NS_PER_MS, state="disarmed", session=None))
    bench.feed(rest(ecg(R_60, 13.0), 12.0), begin=_at(12.0))
    assert bench.of(KeepAlive)
    bench.said.clear()
    bench.hear(make_status(at_ns=bench.now_ns, state="ended", session=None))
    bench.feed(rest(ecg(R_60, 14.0), 13.0), begin=_at(13.0))
    assert [] == bench.of(KeepAlive)


def test_a_doubled_arming_changes_nothing(armed_bench: Bench, an_armed: Armed) -> None:
    """QoS 1 may bring `Armed` twice: the hold, the booking and the sequence that only rises are still the first's."""
    armed_bench.feed(rest(ecg(R_60, 12.9), 12.0), begin=_at(12.0))
    before = [m.sequence for m in armed_bench.of(KeepAlive) if isinstance(m, KeepAlive)]
    armed_bench.said.clear()
    armed_bench.hear(an_armed)
    armed_bench.feed(ecg([*R_60[:13], 13.06], 13.9)[_at(12.9) :], begin=_at(12.9))
    after = [m.sequence for m in armed_bench.of(KeepAlive) if isinstance(m, KeepAlive)]
    assert max(before) < min(after), "the bridge would take a lower sequence for an old message"
    assert 1 == len(armed_bench.of(Cancel)), "the window booked before is still the gate's to withdraw"


def test_an_arming_that_is_over_is_not_entered_again(armed_bench: Bench, an_armed: Armed) -> None:
    """The gate has latched its session off: the same `Armed` again, replayed or late, gives no lease."""
    armed_bench.gate.lost("serial line lost", Nanoseconds(armed_bench.now_ns))
    armed_bench.feed(ecg(R_60, 12.0), begin=_at(20.0))
    armed_bench.said.clear()
    armed_bench.hear(an_armed)
    armed_bench.feed(ecg(R_60, 14.0)[_at(12.0) :], begin=_at(32.0))
    assert [] == armed_bench.of(KeepAlive)
    armed_bench.hear(msgspec.structs.replace(an_armed, session="s2", nonce="n2", at_ns=armed_bench.now_ns))
    armed_bench.feed(ecg(R_60, 16.0)[_at(14.0) :], begin=_at(34.0))
    assert {"s2"} == {m.session for m in armed_bench.of(KeepAlive) if isinstance(m, KeepAlive)}


def test_a_status_from_before_the_clocks_were_known_does_not_silence_later_ones(
    an_armed: Armed, make_status: Callable[..., ScannerStatus]
) -> None:
    """A bridge on a host that is up for longer: before the first Pong its status bears its own clock, far ahead."""
    ahead_ns = 10**15
    bench = Bench()
    bench.hear(make_status(at_ns=START_NS + ahead_ns, state="disarmed", session=None, clock_uncertainty_ns=None))
    bench.feed(ecg(R_60, 12.0))
    bench.hear(make_status(at_ns=bench.now_ns, clock_offset_ns=-ahead_ns))
    bench.hear(an_armed)
    bench.hear(BreathHold(session="s1", began_at_ns=START_NS + 8 * NS_PER_S, limit_s=20.0))
    bench.feed(rest(ecg(R_60, 14.0), 12.0), begin=_at(12.0))
    assert 1 == len(bench.of(Trigger))


def test_a_status_that_was_overtaken_is_not_taken_for_the_newest(
    armed_bench: Bench, make_status: Callable[..., ScannerStatus]
) -> None:
    """Ordered by the bridge's own clock, so that a measured offset that falls in between does not turn them round."""
    armed_bench.hear(make_status(at_ns=armed_bench.now_ns + NS_PER_MS, state="moving", clock_offset_ns=-NS_PER_S))
    armed_bench.hear(make_status(at_ns=armed_bench.now_ns + 2 * NS_PER_MS, clock_offset_ns=-NS_PER_S + 5 * NS_PER_MS))
    armed_bench.feed(rest(ecg(R_60, 14.0), 12.0), begin=_at(12.0))
    assert [] == armed_bench.of(Trigger)


def test_a_doubled_ping_is_answered_once() -> None:
    """Two answers to one ping are how a bridge knows two gates that share a key: one gate must never look like it."""
    gate = Gate(GateSettings(), read_judge())
    answers = [gate.hear(Ping(token=token, at_ns=5), Nanoseconds(now)) for token, now in (("t", 7), ("t", 8), ("u", 9))]
    pongs = [[m.token for m in out if isinstance(m, Pong)] for out in answers]
    assert [["t"], [], ["u"]] == pongs


def test_an_arming_before_any_lead_is_trusted_is_not_taken(
    an_armed: Armed, make_status: Callable[..., ScannerStatus]
) -> None:
    """The leads that must stay are fixed at arming: with none, LL could come off in mid-scan and lead I would go on."""
    bench = Bench()
    samples = ecg([0.5 + k for k in range(60)], 20.0)
    bench.hear(make_status())
    bench.hear(an_armed)
    bench.feed(samples[: _at(16.0)])
    bench.said.clear()
    bench.feed(samples[_at(16.0) : _at(18.0)], begin=_at(16.0), off=("LL",))
    assert [] == bench.of(KeepAlive), "there is no permission to lose"
    status = bench.of(GateStatus)[-1]
    assert isinstance(status, GateStatus)
    assert status.session is None


def test_why_an_arming_was_not_taken_is_told(an_armed: Armed) -> None:
    """And the cure: arm again when the gate is ready."""
    bench = Bench()
    bench.hear(an_armed)
    bench.feed(ecg(R_60, 12.0))
    status = bench.of(GateStatus)[-1]
    assert isinstance(status, GateStatus)
    assert ("armed before a lead could be trusted; arm again",) == status.reasons
