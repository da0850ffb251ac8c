"""The fast wave that has no QRS: seen on whatever leads are trusted, at any rate of the stream, and not in noise."""

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from gating.fast_wave import FastWaves

Floats = NDArray[np.float64]


def _sine(bpm: float, rate_hz: float, *, uv: float = 500.0, seconds: float = 2.0) -> Floats:
    at_s = np.arange(round(seconds * rate_hz)) / rate_hz
    return uv * np.sin(2 * np.pi * bpm / 60.0 * at_s)


def _seen_after_s(samples: Floats, rate_hz: float, trusted: tuple[bool, ...], block: int = 4) -> float | None:
    waves = FastWaves()
    for first in range(0, len(samples), block):
        waves.take(samples[first : first + block], rate_hz, trusted)
        if waves.seen is not None:
            return (first + block) / rate_hz
    return None


@pytest.mark.parametrize("rate_hz", [125.0, 250.0, 360.0, 1000.0])
@pytest.mark.parametrize("bpm", [180.0, 250.0, 350.0])
def test_seen_within_a_second_and_a_bit(rate_hz: float, bpm: float) -> None:
    """A wave between 180 and 350 bpm is seen when it has filled the span and been held, at any rate of the stream."""
    after_s = _seen_after_s(_sine(bpm, rate_hz)[:, None], rate_hz, (True,))
    assert after_s is not None
    assert 0.8 < after_s <= 1.15


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param(_sine(250.0, 500.0, uv=100.0), id="too small"),
        pytest.param(_sine(60.0, 500.0), id="as slow as wander"),
        pytest.param(_sine(3000.0, 500.0), id="mains"),
        pytest.param(np.random.default_rng(3).normal(0.0, 300.0, 5000), id="noise"),
        pytest.param(np.zeros(1000), id="flat"),
    ],
)
def test_not_seen(samples: Floats) -> None:
    """Noise, mains, wander and a wave too small to be a heart's are no fast wave."""
    assert _seen_after_s(samples[:, None], 500.0, (True,)) is None


def test_leads_that_are_not_trusted_are_not_asked() -> None:
    """A wave on one lead of three is none, unless the other two may not be trusted."""
    wave = _sine(200.0, 500.0)
    quiet = np.random.default_rng(1).normal(0.0, 10.0, len(wave))
    samples = np.stack([quiet, wave, quiet], axis=1)
    assert _seen_after_s(samples, 500.0, (True, True, True)) is None
    assert _seen_after_s(samples, 500.0, (False, True, False)) is not None
    assert _seen_after_s(samples, 500.0, (False, False, False)) is None


def _fed(*pieces: Floats) -> FastWaves:
    waves = FastWaves()
    for piece in pieces:
        waves.take(piece, 500.0, (True,))
    return waves


def test_it_ends_with_the_wave() -> None:
    """What was seen is said in words, and is gone when the wave is."""
    wave = _sine(200.0, 500.0)[:, None]
    seen = _fed(wave[:500], wave[500:]).seen
    assert seen is not None
    assert re.fullmatch(r"a fast wave of (19\d|20\d) per minute without rest between beats", seen)
    assert _fed(wave[:500], wave[500:], np.zeros((300, 1))).seen is None


def test_it_begins_anew_after_a_gap() -> None:
    """A gap forgets what was seen, and the wave must fill the span again."""
    wave = _sine(200.0, 500.0)[:, None]
    waves = _fed(wave[:500], wave[500:])
    waves.forget()
    assert waves.seen is None
    waves.take(wave[:300], 500.0, (True,))
    assert waves.seen is None


def test_new_leads_begin_anew() -> None:
    """When the stream changes its leads, nothing is carried over."""
    waves = FastWaves()
    waves.take(_sine(200.0, 500.0)[:, None], 500.0, (True,))
    waves.take(np.zeros((8, 2)), 500.0, (True, True))
    assert waves.seen is None
