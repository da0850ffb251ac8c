"""Leads: what takes the trust away, how soon, what gives it back, and what must not take it."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from gating.frontends import FRONTENDS, Declaration, SampleBlock
from gating.leads import Leads, LeadsState, electrodes_of
from gating.sample_clock import BlockTimes
from gating.settings import LeadSettings

HP6 = FRONTENDS["healthypi6"].declaration
NO_FLAGS = replace(HP6, electrodes=())
CYTON = FRONTENDS["cyton"].declaration
Wave = Callable[[np.ndarray], np.ndarray]


def _times(backlog_ms: float = 0.0) -> BlockTimes:
    """Make times of which only the backlog matters."""
    return BlockTimes(0, 2e6, 0, 1.0, backlog_ms, None)


def _ecg(t: np.ndarray, rr_s: float = 1.0) -> np.ndarray:
    """Draw P, QRS and T of 1.2 mV at 60 bpm with 20 µV of noise, 80 µV of wander and 5 µV of mains."""
    phase = (t + 0.5 * rr_s) % rr_s - 0.5 * rr_s
    waves = ((120.0, -0.16, 0.02), (-150.0, -0.025, 0.010), (1200.0, 0.0, 0.011), (-250.0, 0.027, 0.010))
    x = sum(a * np.exp(-0.5 * ((phase - m) / s) ** 2) for a, m, s in (*waves, (300.0, 0.28, 0.045)))
    noise = np.random.default_rng(5).normal(0.0, 20.0, len(t))
    ecg: np.ndarray = x + noise + 80.0 * np.sin(2 * np.pi * 0.25 * t) + 5.0 * np.sin(2 * np.pi * 50.0 * t)
    return ecg


def _walk(
    lead_ii: np.ndarray, declaration: Declaration = NO_FLAGS, samples: int = 16, rate_hz: float = 500.0
) -> Iterator[tuple[float, LeadsState]]:
    """Give (signal time at the end of the block in s, state) block by block; only lead II carries the wave."""
    leads = Leads(LeadSettings(), declaration)
    t = np.arange(len(lead_ii)) / rate_hz
    other = _ecg(t)
    x = np.stack((other, lead_ii, other), axis=1)
    for first in range(0, len(x) - samples + 1, samples):
        block = SampleBlock(
            leads=("I", "II", "V1"),
            microvolts=x[first : first + samples],
            rate_hz=rate_hz,
            first_index=first,
            electrodes=declaration.electrodes,
            electrodes_off=np.zeros((samples, len(declaration.electrodes)), dtype=np.bool_),
            lost_before=0,
        )
        yield (first + samples) / rate_hz, leads.take(block, _times())


OPEN: dict[str, tuple[Wave, str]] = {
    "hum of 50 Hz": (lambda t: 1000.0 * np.sin(2 * np.pi * 50.0 * t), "hum"),
    "hum of 60 Hz": (lambda t: 1000.0 * np.cos(2 * np.pi * 60.0 * t), "hum"),
    "noise": (lambda t: np.random.default_rng(3).normal(0.0, 500.0, len(t)), "noise"),
    "slow drift": (lambda t: 10_000.0 * t, "runs away"),
    "fast drift": (lambda t: -100_000.0 * t, "baseline"),
    "step to another offset": (lambda t: np.full(len(t), 40_000.0), "baseline off"),
    "rail": (lambda t: np.full(len(t), 1e9), "rail"),
}


@pytest.mark.parametrize("case", OPEN)
@pytest.mark.parametrize(("declaration", "samples"), [(NO_FLAGS, 16), (NO_FLAGS, 1), (CYTON, 1)])
def test_an_open_electrode_shows_itself_within_240_ms(case: str, declaration: Declaration, samples: int) -> None:
    """On a box without flags, hum, noise, drift or rail take the trust within 240 ms of signal."""
    rate_hz = declaration.rate_hz
    for opens_s in (5.0, 5.37, 5.613):
        t = np.arange(round(7.0 * rate_hz)) / rate_hz
        wave, word = OPEN[case]
        signal = np.where(t < opens_s, _ecg(t), np.clip(wave(t - opens_s), -declaration.rail_uv, declaration.rail_uv))
        states = list(_walk(signal, declaration, samples, rate_hz))
        before = [state.leads[1].trusted for at_s, state in states if 1.2 < at_s < opens_s]
        assert all(before)
        lost_s, state = next((at_s, state) for at_s, state in states if at_s > opens_s and not state.leads[1].trusted)
        assert lost_s - opens_s <= 0.240
        assert (True, False, True) == state.mask
        assert word in str(state.leads[1].reason) or "baseline" in str(state.leads[1].reason)
        assert not states[-1][1].leads[1].trusted


def test_a_flat_line_shows_within_a_second() -> None:
    """Less than 20 µV from peak to peak: 1.05 s."""
    t = np.arange(3500) / 500.0
    signal = np.where(t < 5.0, _ecg(t), 7.0 * np.sin(t))
    lost_s = next(at_s for at_s, state in _walk(signal) if at_s > 5.0 and not state.leads[1].trusted)
    assert 0.9 < lost_s - 5.0 <= 1.05
    assert ("II", "flat line") == [(s.lead, s.reason) for s in list(_walk(signal))[-1][1].leads][1]


@pytest.mark.parametrize(
    "wave",
    [
        _ecg,
        lambda t: 2.5 * _ecg(t),
        lambda t: _ecg(t, 0.5),
        lambda t: _ecg(t) + np.random.default_rng(1).normal(0.0, 40.0, len(t)),
        lambda t: _ecg(t) + 1200.0 * np.exp(-0.5 * (((t + 0.2) % 1.0 - 0.5) / 0.05) ** 2),
        lambda t: _ecg(t) + 2500.0 * np.exp(-0.5 * (((t + 0.1) % 3.0 - 1.5) / 0.045) ** 2),
        lambda t: _ecg(t) + 120_000.0 + 500.0 * np.sin(2 * np.pi * 0.1 * t),
    ],
    ids=["plain", "3 mV", "120 bpm", "40 µV noise", "tall T", "wide PVC", "offset and wander"],
)
def test_ordinary_signals_keep_the_trust(wave: Wave) -> None:
    """Patients' noise, wander, tall T waves, wide beats and electrode offsets are no open electrodes."""
    signal = wave(np.arange(10_000) / 500.0)
    assert {True} == {state.leads[1].trusted for at_s, state in _walk(signal) if at_s > 1.2}


def test_trust_comes_back_after_a_good_second() -> None:
    """Hum from 3 s to 4 s: trusted again 1 s after the end, with the reason told meanwhile."""
    t = np.arange(4000) / 500.0
    signal = _ecg(t) + np.where((t > 3.0) & (t < 4.0), 1000.0 * np.sin(2 * np.pi * 50.0 * t), 0.0)
    states = list(_walk(signal))
    back_s = next(at_s for at_s, state in states if at_s > 4.0 and state.leads[1].trusted)
    assert 1.0 <= back_s - 4.0 <= 1.1
    assert "settling after: hum" in str(next(s.leads[1].reason for at_s, s in states if at_s > 4.5))


def test_a_stream_is_not_trusted_before_its_first_second() -> None:
    """Nobody has seen the lead yet."""
    states = list(_walk(_ecg(np.arange(1000) / 500.0)))
    assert (False, False, False) == states[0][1].mask
    assert "settling after: the signal begins" == states[3][1].leads[1].reason
    assert 1.0 == pytest.approx(next(at_s for at_s, state in states if state.leads[1].trusted), abs=0.04)


@pytest.mark.parametrize(
    ("electrode", "mask"),
    [
        ("RA", (False, False, False)),
        ("LA", (False, True, False)),
        ("LL", (True, False, False)),
        ("V1", (True, True, False)),
    ],
)
def test_a_flag_takes_the_leads_that_rest_on_the_electrode(electrode: str, mask: tuple[bool, ...]) -> None:
    """At once, for one flagged sample, by Wilson's terminal for the chest lead; and names it."""
    leads = Leads(LeadSettings(), HP6)
    signal = _ecg(np.arange(1000) / 500.0)
    for first in range(0, 992, 16):
        rows = np.repeat(signal[first : first + 16, None], 3, axis=1)
        off = np.zeros((16, 4), dtype=np.bool_)
        if first == 976:
            off[15, HP6.electrodes.index(electrode)] = True
        state = leads.take(SampleBlock(HP6.leads, rows, 500.0, first, HP6.electrodes, off, 0), _times())
    assert mask == state.mask
    assert (electrode,) == state.electrodes_off
    assert f"electrode {electrode} off" in [one.reason for one in state.leads]


@pytest.mark.parametrize(
    ("lost", "backlog_ms", "reason"), [(12, 0.0, "samples lost"), (0, 150.0, "samples were held back")]
)
def test_a_hole_and_a_backlog_take_all_leads(lost: int, backlog_ms: float, reason: str) -> None:
    """More than 20 ms of lost samples, or samples older than 100 ms on arrival."""
    leads = Leads(LeadSettings(), NO_FLAGS)
    signal = _ecg(np.arange(1000) / 500.0)
    for first in range(0, 960, 16):
        rows = np.repeat(signal[first : first + 16, None], 3, axis=1)
        bad = first == 944
        block = SampleBlock(HP6.leads, rows, 500.0, first, (), np.zeros((16, 0), dtype=np.bool_), lost if bad else 0)
        state = leads.take(block, _times(backlog_ms if bad else 0.0))
    assert (False, False, False) == state.mask
    assert reason in str(state.leads[0].reason)


def test_a_lost_frame_that_can_be_bridged_takes_nothing() -> None:
    """10 samples at 500 Hz are 20 ms: not more than a detector may bridge."""
    leads = Leads(LeadSettings(), NO_FLAGS)
    signal = _ecg(np.arange(1000) / 500.0)
    for first in range(0, 960, 16):
        rows = np.repeat(signal[first : first + 16, None], 3, axis=1)
        block = SampleBlock(HP6.leads, rows, 500.0, first, (), np.zeros((16, 0), dtype=np.bool_), 10 * (first == 944))
        state = leads.take(block, _times())
    assert (True, True, True) == state.mask


def test_the_electrodes_of_each_lead() -> None:
    """Limb leads rest on two electrodes, chest leads on theirs and Wilson's three."""
    assert ("RA", "LL") == electrodes_of("MLII")
    assert ("V5", "RA", "LA", "LL") == electrodes_of("V5")
    assert ("RA", "LA", "LL") == electrodes_of("aVF")
