"""The whole chain in virtual time: safe by an independent oracle, and complete."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from itertools import product

import pytest

from gating.gate import Gate
from gating.io.numbers import read_judge
from gating.messages import Message
from gating.units import NS_PER_S, Nanoseconds
from simulators.io.scenarios import load_scenario, scenario_names
from simulators.report import exposures
from simulators.scenario import reseeded
from simulators.stage import gate_settings, hearts_beats, log_of
from simulators.virtual_scan import START_NS, BusFaults, GateCall
from tests.system.virtual import Verdict, judge, judge_named, run_scan, without_flags

SEEDS = 20
STORIES = ("steady", "rsa", "pvc", "af", "lead-off")
WORST_BUS = BusFaults(drop=0.02, duplicate=0.1, late=0.02, forge=0.02, replay=0.1)


@pytest.fixture(scope="module")
def workers() -> Iterator[Executor]:
    """Two worker processes that have imported the chain."""
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@pytest.fixture(scope="module")
def hundred(workers: Executor) -> list[Verdict]:
    """100 scans: 20 seeds of each story."""
    began_s = time.perf_counter()
    verdicts = list(workers.map(judge_named, ((name, seed, None) for name, seed in product(STORIES, range(SEEDS)))))
    wall_s = time.perf_counter() - began_s
    simulated_s = sum(one.simulated_s for one in verdicts)
    print(f"\n100 scans, {simulated_s:.0f} simulated s in {wall_s:.0f} s on 2 processes: {simulated_s / wall_s:.0f} x")
    for name in STORIES:
        mine = [one for one in verdicts if one.scenario == name]
        beams = sum(len(one.exposures) for one in mine)
        print(
            f"{name:<10} complete {sum(one.complete for one in mine):>2} of {len(mine)}, exposures {beams}, "
            f"held {sum(one.held for one in mine)}, inhibits {sum(len(one.inhibits) for one in mine)}, "
            f"violations {sum(len(one.violations) for one in mine)}"
        )
    return verdicts


def test_the_oracle_is_clean_over_100_scans(hundred: list[Verdict]) -> None:
    """No invariant is broken in any of 100 scans, and beams there were."""
    assert [] == [(one.scenario, one.seed, one.violations) for one in hundred if one.violations]
    assert 300 < sum(len(one.exposures) for one in hundred)


@pytest.mark.parametrize(("stories", "share"), [(("steady", "rsa"), 0.99), (("pvc", "af"), 0.95)])
def test_the_scans_are_completed(hundred: list[Verdict], stories: tuple[str, ...], share: float) -> None:
    """Safety never comes from doing nothing: >= 99 % of steady and RSA scans, >= 95 % of PVC and AF scans complete."""
    mine = [one for one in hundred if one.scenario in stories]
    incomplete = [(one.scenario, one.seed, one.why_not) for one in mine if not one.complete]
    assert len(mine) - len(incomplete) >= share * len(mine), incomplete


def test_a_lead_that_stays_off_ends_the_scan_with_what_was_done(hundred: list[Verdict]) -> None:
    """LL comes off in mid-scan and stays off: some steps are exposed, none after; the reason names the electrode."""
    mine = [one for one in hundred if one.scenario == "lead-off"]
    assert [] == [one.seed for one in mine if one.complete]
    assert {"electrode LL is off"} == {reason for one in mine for reason in one.inhibits[:1]}
    assert all(one.exposures for one in mine)


def test_a_steady_rhythm_takes_seven_beats(hundred: list[Verdict]) -> None:
    """Four steps and three table moves in skipped beats, each exposure once."""
    beats = Counter(one.exposures[-1].beat - one.exposures[0].beat + 1 for one in hundred if one.scenario == "steady")
    assert {7: SEEDS} == beats


def test_the_true_centre_is_where_it_was_planned(hundred: list[Verdict]) -> None:
    """In a steady rhythm the 95th percentile of |true centre - planned centre| is at most 20 ms."""
    errors = sorted(
        abs((e.centre_after_r_ms["true"] or 1e9) - (e.centre_after_r_ms["planned"] or 0))
        for one in hundred
        if one.scenario == "steady"
        for e in one.exposures
    )
    assert errors[int(0.95 * len(errors))] <= 20.0


def test_a_bad_bus_adds_nothing(workers: Executor) -> None:
    """Messages lost, late, doubled, forged and replayed: the oracle stays clean, and refusals were exercised."""
    jobs = ((name, seed, WORST_BUS) for name, seed in product(("steady", "pvc"), range(8)))
    verdicts = list(workers.map(judge_named, jobs))
    print(f"\nbad bus: complete {sum(one.complete for one in verdicts)} of {len(verdicts)}")
    assert [] == [(one.scenario, one.seed, one.violations) for one in verdicts if one.violations]
    assert sum(one.refused for one in verdicts) > 0
    assert sum(len(one.exposures) for one in verdicts) > 0


def test_a_broker_that_goes_away_ends_the_scan_safely() -> None:
    """The broker carries nothing from 19 s on: no beam begins after the lease has run out."""
    verdict = judge(load_scenario("steady"), BusFaults(down_s=((19.0, 60.0),)))
    assert () == verdict.violations
    assert not verdict.complete
    last_ns = max(one.opens_at_ns["actual"] for one in verdict.exposures)
    assert last_ns <= START_NS + 19 * NS_PER_S + 150_000_000


@pytest.mark.parametrize(
    ("electrode", "shows_as"), list(product(("RA", "LA", "LL"), ("hum", "drift", "rail", "noise", "flat")))
)
def test_an_open_electrode_on_a_box_without_flags_is_noticed(electrode: str, shows_as: str) -> None:
    """Each of RA, LA, LL: no beam begins later than 300 ms after it opens (1.1 s where it shows as a flat line)."""
    scenario = without_flags(load_scenario("steady"), electrode, shows_as, at_s=19.3)
    verdict = judge(scenario)
    assert () == verdict.violations
    assert verdict.inhibits, "it must be noticed"
    assert verdict.exposures, "and the scan was under way"


@pytest.mark.parametrize("name", scenario_names())
def test_every_story_ends_as_it_expects(name: str) -> None:
    """What a packaged scenario states under `expected` is what a whole run of it shows, and the oracle is clean."""
    story = load_scenario(name)
    verdict = judge(story)
    assert () == verdict.violations
    if story.expected.complete is not None:
        assert story.expected.complete == verdict.complete
    if story.expected.why_not is not None:
        assert any(story.expected.why_not in reason for reason in verdict.inhibits)


def test_two_runs_of_a_seed_are_identical() -> None:
    """Every message at every place, every beam and every audit record is the same."""
    one, two = (run_scan(reseeded(load_scenario("pvc"), 3)) for _ in range(2))
    assert one.passed == two.passed
    assert one.beams == two.beams
    assert one.audit == two.audit


def test_the_gates_calls_replay_to_identical_messages() -> None:
    """A bug report is a test: a fresh gate given the recorded calls says the same."""
    scenario = reseeded(load_scenario("pvc"), 4)
    run = run_scan(scenario)
    gate = Gate(gate_settings(scenario), read_judge())
    assert [call.returned for call in run.calls] == [_again(gate, call) for call in run.calls]


def _again(gate: Gate, call: GateCall) -> tuple[Message, ...]:
    now_ns = Nanoseconds(call.now_ns)
    if isinstance(call.argument, bytes):
        return gate.receive(call.argument, now_ns)
    if isinstance(call.argument, Message):
        return gate.hear(call.argument, now_ns)
    return gate.wake(now_ns)


def test_no_decision_knows_what_time_it_is() -> None:
    """Shifted by 1,000 hours, the same beats are exposed at the same instants after the start."""
    scenario = load_scenario("steady")
    found = []
    for started_at_ns in (START_NS, START_NS + 3_600_000 * NS_PER_S):
        run = run_scan(scenario, started_at_ns=started_at_ns)
        log = log_of(run, hearts_beats(scenario))
        found.append(
            [(e.true_beat, e.step, e.outcome, e.opens_at_ns["actual"] - started_at_ns) for e in exposures(log)]
        )
    assert found[0] == found[1]
