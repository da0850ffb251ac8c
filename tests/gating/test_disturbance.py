"""Disturbances: hum, muscle, wander, electrode motion and pacer spikes are told apart; the heart is none of them."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gating.disturbance import Disturbance, Disturbances
from gating.io.records import read_record
from gating.noise_stress import AGREES, noise_power, signal_power

Floats = NDArray[np.float64]
SINUS = (
    (120.0, -0.16, 0.02),
    (-150.0, -0.025, 0.010),
    (1200.0, 0.0, 0.011),
    (-250.0, 0.027, 0.010),
    (300.0, 0.28, 0.045),
)
PVC = ((1800.0, 0.0, 0.035), (800.0, 0.05, 0.03), (-550.0, 0.3, 0.06))


def _beat(t: Floats, at_s: float, waves: tuple[tuple[float, float, float], ...] = SINUS) -> Floats:
    """Draw one beat."""
    return np.asarray(sum(a * np.exp(-0.5 * ((t - at_s - m) / s) ** 2) for a, m, s in waves))


def _ecg(rate_hz: float, seconds: float = 12.0, rhythm: str = "sinus") -> Floats:
    """Draw a clean ECG of 15 µV of noise and 80 µV of wander; AF with random intervals, a PVC every fourth beat."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    rng = np.random.default_rng(7)
    x = rng.normal(0.0, 15.0, len(t)) + 80.0 * np.sin(2 * np.pi * 0.25 * t) / 2
    at_s, number = 0.4, 0
    while at_s < seconds:
        early = rhythm == "pvc" and number % 4 == 3
        x += _beat(t, at_s - 0.3 * early, PVC if early else SINUS[1:] if rhythm == "af" else SINUS)
        at_s += float(rng.uniform(0.5, 1.1)) if rhythm == "af" else 0.5 if rhythm == "fast" else 0.9
        number += 1
    return x


def _told(x: Floats, rate_hz: float, samples: int = 60) -> list[Disturbance | None]:
    """Give what is told of one lead, block by block, from 4 s on."""
    watch = Disturbances(1, rate_hz)
    told = []
    for first in range(0, len(x) - samples + 1, samples):
        watch.take(x[first : first + samples, None])
        if first >= 4.0 * rate_hz:
            told.append(watch.now(0))
    return told


def _moved(t: Floats) -> Floats:
    """Draw a moving electrode: jumps at random times that fade within 0.3 s."""
    rng = np.random.default_rng(11)
    jumps = [(a, b) for a, b in zip(rng.uniform(0.0, t[-1], 60), rng.normal(0.0, 900.0, 60), strict=True)]
    return np.asarray(sum(b * np.where(t >= a, np.exp(-np.maximum(t - a, 0.0) / 0.3), 0.0) for a, b in jumps))


def _added(kind: str, t: Floats) -> Floats:
    """Draw one disturbance by its name."""
    if kind == "muscle":
        return np.random.default_rng(3).normal(0.0, 80.0, len(t))
    if kind == "wander":
        return np.asarray(1000.0 * np.sin(2 * np.pi * 0.3 * t))
    if kind == "electrode motion":
        return _moved(t)
    if kind == "pacer spikes":
        x = np.zeros(len(t))
        x[np.searchsorted(t, np.arange(0.75, t[-1], 1.0))] = 20_000.0
        return x
    return np.asarray(120.0 * np.sin(2 * np.pi * float(kind.split(maxsplit=1)[0]) * t + 1.0))


@pytest.mark.parametrize("rate_hz", [128.0, 250.0, 360.0, 500.0, 1000.0, 2000.0])
@pytest.mark.parametrize("rhythm", ["sinus", "fast", "af", "pvc"])
def test_the_heart_alone_is_no_disturbance(rhythm: str, rate_hz: float) -> None:
    """At every rate, P, QRS and T, narrow or wide, regular or not, are called nothing."""
    told = Counter(one and one.kind for one in _told(_ecg(rate_hz, rhythm=rhythm), rate_hz))
    assert {None} == set(told)


@pytest.mark.parametrize("rate_hz", [250.0, 360.0, 500.0, 1000.0])
@pytest.mark.parametrize("kind", ["50 Hz", "60 Hz", "50.4 Hz", "muscle", "wander", "electrode motion", "pacer spikes"])
def test_each_disturbance_is_told_by_its_name(kind: str, rate_hz: float) -> None:
    """What was added to a clean ECG is what is told first, in 90 % of the time; motion, which rests, in 80 %."""
    x = _ecg(rate_hz)
    told = _told(x + _added(kind, np.arange(len(x)) / rate_hz), rate_hz)
    name = "mains" if "Hz" in kind else kind
    least = 0.8 if kind == "electrode motion" else 0.9
    assert least <= sum(one is not None and one.kind == name for one in told) / len(told)


@pytest.mark.parametrize(
    ("kind", "text", "low_uv", "high_uv"),
    [
        ("50 Hz", "50 Hz mains hum, 0.24 mV", 235.0, 245.0),
        ("60 Hz", "60 Hz mains hum, 0.2", 230.0, 245.0),
        ("59.6 Hz", "60 Hz mains hum, 0.2", 230.0, 245.0),
        ("muscle", "muscle noise, 0.4", 400.0, 500.0),
        ("wander", "baseline wander, ", 1000.0, 2000.0),
        ("pacer spikes", "pacer spikes, 1 a second", 18_000.0, 22_000.0),
    ],
)
def test_the_words_state_kind_and_size(kind: str, text: str, low_uv: float, high_uv: float) -> None:
    """The text names the disturbance and its size, which is the size that was added."""
    x = _ecg(500.0)
    last = _told(x + _added(kind, np.arange(len(x)) / 500.0), 500.0)[-1]
    assert last is not None
    assert text in last.text
    assert low_uv <= last.size_uv <= high_uv


@pytest.mark.parametrize("mains_hz", [45.0, 53.0, 57.0, 65.0])
def test_a_line_that_is_no_mains_is_not_called_mains(mains_hz: float) -> None:
    """A sine that is far from 50 and 60 Hz is not said to be either."""
    x = _ecg(500.0)
    told = _told(x + _added(f"{mains_hz} Hz", np.arange(len(x)) / 500.0), 500.0)
    assert not any(one is not None and one.kind == "mains" for one in told)


@pytest.mark.parametrize("rate_hz", [100.0, 128.0])
@pytest.mark.parametrize("kind", ["50 Hz", "60 Hz", "muscle", "pacer spikes"])
def test_what_a_slow_rate_cannot_show_is_not_told(kind: str, rate_hz: float) -> None:
    """At 100 and 128 Hz hum, muscle and spikes cannot be told apart, so none of them is named."""
    x = _ecg(rate_hz)
    told = _told(x + _added(kind, np.arange(len(x)) / rate_hz), rate_hz)
    assert not {"mains", "muscle", "pacer spikes"} & {one.kind for one in told if one is not None}


@pytest.mark.parametrize("rate_hz", [250.0, 500.0, 1000.0])
def test_a_narrow_and_high_r_wave_is_no_pacer_spike(rate_hz: float) -> None:
    """A QRS of 40 ms and 5 mV, the narrowest of a newborn and the highest of EC13, is no spike."""
    t = np.arange(round(10.0 * rate_hz)) / rate_hz
    x = np.maximum(0.0, 1.0 - np.abs((t + 0.5) % 0.7 - 0.35) / 0.020) * 5000.0
    assert {None} == {one and one.kind for one in _told(x, rate_hz)}


@pytest.mark.parametrize(("height_uv", "width_samples"), [(2000.0, 1), (-2000.0, 2), (700_000.0, 2)])
def test_pacer_pulses_of_ec13_are_told(height_uv: float, width_samples: int) -> None:
    """Pulses of 2 to 700 mV of either sign and up to 2 ms are told at 1000 Hz, and a lone one is not."""
    t = np.arange(10_000) / 1000.0
    pulse = height_uv * ((np.arange(10_000) + 600) % 900 < width_samples)  # 0.1 s before each R-peak
    assert {"pacer spikes"} == {one and one.kind for one in _told(_ecg(1000.0, 10.0) + pulse, 1000.0)}
    lone = np.where((t > 4.5) & (t < 5.4), pulse, 0.0)
    assert {None} == {one and one.kind for one in _told(_ecg(1000.0, 10.0) + lone, 1000.0)}


@pytest.mark.parametrize(("spikes", "rate_hz", "expected"), [(0.0, 1000.0, False), (3000.0, 1000.0, True)])
def test_spikes_on_any_lead_make_it_paced(spikes: float, rate_hz: float, expected: bool) -> None:
    """A pacer that only one of two leads shows is seen; without spikes nothing is paced."""
    pulse = spikes * ((np.arange(10_000) + 600) % 900 < 2)
    watch = Disturbances(2, rate_hz)
    watch.take(np.stack([_ecg(rate_hz, 10.0), _ecg(rate_hz, 10.0) + pulse], axis=1))
    assert expected == watch.paced()


@pytest.mark.parametrize("samples", [1, 7, 90, 1000])
def test_the_answer_does_not_depend_on_the_blocks(samples: int) -> None:
    """However the stream is cut, what is told at the end is the same to the last bit."""
    x = _ecg(360.0, 7.0)[:2520]
    t = np.arange(len(x)) / 360.0
    leads = np.stack([x + _added(kind, t) for kind in ("50 Hz", "muscle", "electrode motion", "pacer spikes")], axis=1)
    whole, cut = Disturbances(4, 360.0), Disturbances(4, 360.0)
    whole.take(leads)
    for first in range(0, len(leads), samples):
        cut.take(leads[first : first + samples])
    expected = [whole.all_now(lead) for lead in range(4)]
    assert all(expected)
    assert expected == [cut.all_now(lead) for lead in range(4)]


def test_two_disturbances_are_both_told_the_worst_first() -> None:
    """Hum of 0.24 mV upon muscle noise of 0.5 mV: both stand in the answer; leads do not mix."""
    x = _ecg(500.0)
    t = np.arange(len(x)) / 500.0
    watch = Disturbances(2, 500.0)
    watch.take(np.stack((x + _added("50 Hz", t) + _added("muscle", t), x), axis=1))
    assert {"mains", "muscle"} == {one.kind for one in watch.all_now(0)}
    assert watch.all_now(0)[0] == watch.now(0)
    assert () == watch.all_now(1)


def test_nothing_is_told_before_two_seconds_and_what_ends_is_gone_three_seconds_later() -> None:
    """The first 2 s are not judged; hum that is switched off is no longer told after 3 s."""
    x = _ecg(500.0)
    t = np.arange(len(x)) / 500.0
    watch = Disturbances(1, 500.0)
    noisy = (x + np.where(t < 6.0, _added("50 Hz", t), 0.0))[:, None]
    watch.take(noisy[:950])
    assert watch.now(0) is None
    watch.take(noisy[950:3000])
    assert watch.now(0) is not None
    watch.take(noisy[3000:4500])
    assert watch.now(0) is None


@pytest.mark.recorded
@pytest.mark.parametrize(("noise", "kind"), [("bw", "wander"), ("ma", "muscle"), ("em118", "electrode motion")])
def test_recorded_noise_is_told_by_its_name(noise: str, kind: str, recorded_ecg: Path) -> None:
    """Of what is told of records 115 and 122 with recorded noise at 6 dB, 70 % at least is the noise's own name."""
    pytest.importorskip("wfdb", reason="reading records needs the extra `records`")
    if not (recorded_ecg / "nstdb" / f"{noise}.hea").is_file():
        pytest.skip("no recorded noise: put PhysioNet's nstdb beside mitdb")
    added = read_record(recorded_ecg / "nstdb" / noise).microvolts[7200:28800, 0]
    told: Counter[str | None] = Counter()
    for name in ("115", "122"):
        record = read_record(recorded_ecg / "mitdb" / name)
        assert record.beats is not None
        ratio = signal_power(record.microvolts[:, 0], record.beats.sample, 360.0) / noise_power(added, 360.0)
        mixed = record.microvolts[108_000:129_600, 0] + AGREES * np.sqrt(ratio) * 10.0**-0.3 * (added - added.mean())
        told.update(None if one is None else one.kind for one in _told(mixed, 360.0, 90))
    said = sum(told.values()) - told[None]
    assert 0.7 <= told[kind] / said
    assert 0.4 <= said / sum(told.values())
