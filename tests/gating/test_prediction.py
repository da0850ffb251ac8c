"""The next RR interval."""

import numpy as np
import pytest

from gating.beats import ClassifiedBeat
from gating.messages import BeatKind
from gating.prediction import Predictor
from gating.settings import PredictionSettings


def _beat(rr_ms: float | None, kind: BeatKind = "normal", *, follows: bool = False) -> ClassifiedBeat:
    return ClassifiedBeat(number=1, r_at_ns=0, rr_interval_ms=rr_ms, beat_kind=kind, follows_premature=follows)


def _taught(intervals: list[float]) -> Predictor:
    predictor = Predictor(PredictionSettings())
    for interval in intervals:
        predictor.take(_beat(interval))
    return predictor


def test_too_little_is_known_before_four_intervals() -> None:
    """Three intervals foretell nothing."""
    assert _taught([1000.0] * 3).next_rr() is None


def test_the_median_of_the_last_intervals_is_foretold() -> None:
    """Four intervals are remembered."""
    foretold = _taught([500.0, *[1000.0] * 4]).next_rr()
    assert foretold is not None
    assert 1000.0 == foretold.rr_ms


def test_ectopic_intervals_teach_nothing() -> None:
    """A premature interval and the pause after it leave the prediction as it was."""
    predictor = _taught([1000.0] * 8)
    before = predictor.next_rr()
    predictor.take(_beat(650.0, "premature"))
    predictor.take(_beat(1350.0, follows=True))
    assert before == predictor.next_rr()


@pytest.mark.parametrize("sd_ms", [5.0, 30.0])
def test_the_stated_interval_holds(sd_ms: float) -> None:
    """Over 2000 independent intervals the 95 % interval holds in 93 to 98 %."""
    rng = np.random.default_rng(4)
    predictor, held, count = Predictor(PredictionSettings()), 0, 0
    for interval in rng.normal(1000.0, sd_ms, 2000):
        foretold = predictor.next_rr()
        if foretold is not None:
            held += foretold.low_ms <= interval <= foretold.high_ms
            count += 1
        predictor.take(_beat(float(interval)))
    assert 0.93 <= held / count <= 0.98
