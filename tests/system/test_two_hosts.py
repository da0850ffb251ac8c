"""Gate and bridge on two hosts, each with a clock of its own: the same scan, as safe and as complete."""

from typing import Any

import pytest

from gating.io.numbers import read_judge
from gating.messages import ScannerStatus
from gating.units import NS_PER_MS, NS_PER_S
from scanner_bridge.drivers.gantry import CAPABILITIES
from simulators.io.scenarios import load_scenario
from simulators.stage import hearts_beats, log_of, set_up
from tests.system.oracle import Case, violations

DAY_NS = 86_400 * NS_PER_S


class Elsewhere:
    """A session or a gantry's client on a host whose clock is so far ahead; every call ends with its instant."""

    def __init__(self, inner: Any, ahead_ns: int) -> None:
        self._inner = inner
        self._ahead_ns = ahead_ns

    @property
    def wake_at_ns(self) -> int | None:
        """Tell the wake-up on the scan's clock."""
        return None if self._inner.wake_at_ns is None else self._inner.wake_at_ns - self._ahead_ns

    def __getattr__(self, name: str) -> Any:
        """Shift the instant of a call; a command to the gantry has none."""
        call = getattr(self._inner, name)
        return call if name == "command" else lambda *args: call(*args[:-1], args[-1] + self._ahead_ns)


@pytest.mark.parametrize("ahead_ns", [-900 * NS_PER_S, 20 * DAY_NS], ids=["bridge-just-booted", "bridge-up-for-longer"])
def test_a_bridge_on_another_clock_completes_the_scan(ahead_ns: int) -> None:
    """Whichever host has been up for longer: all steps exposed, oracle clean but for what the clocks are in doubt."""
    scenario = load_scenario("steady")
    scan: Any = set_up(scenario, CAPABILITIES, read_judge())
    scan._session, scan._client = Elsewhere(scan._session, ahead_ns), Elsewhere(scan._client, ahead_ns)
    run = scan.run()
    true_r_ns = [beat.r_at_ns for beat in log_of(run, hearts_beats(scenario)).beats]
    doubts_ns = [one.message.clock_uncertainty_ns for one in run.passed if isinstance(one.message, ScannerStatus)]
    doubt_ns = max(doubt_ns for doubt_ns in doubts_ns if doubt_ns is not None)
    assert doubt_ns <= 10 * NS_PER_MS
    assert [] == violations(Case(run.plan, run.passed, run.beams, true_r_ns, clock_doubt_ns=doubt_ns))
    assert [0, 1, 2, 3] == [beam.step for beam in run.beams]
