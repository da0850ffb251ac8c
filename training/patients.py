"""Simulated patients for the training: many hearts, leads and rhythms, drawn wide rather than true to life.

The simulators of the product draw a typical adult; here tall P and T waves, wide QRS, turned axes and all the rhythms
are wanted in numbers. Waves are sums of Gaussians (McSharry 2003, doi:10.1109/TBME.2003.808805, without its dynamics).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RHYTHMS = ("sinus", "sinus", "pvc", "pac", "bigeminy", "runs", "af")
PREMATURE_SHARE = {"sinus": 0.0, "pvc": 0.08, "pac": 0.08, "bigeminy": 0.0, "runs": 0.03, "af": 0.04}


@dataclass(frozen=True, eq=False)
class Patient:
    """One simulated recording and where its beats are."""

    microvolts: Floats  # [sample, lead]
    beats: NDArray[np.int64]  # sample numbers of the R-peaks of the first lead


def patient(seed: int, rate_hz: float, minutes: float, leads: int) -> Patient:
    """Draw one patient."""
    rng = np.random.default_rng([77, seed])
    rhythm = RHYTHMS[seed % len(RHYTHMS)]
    span_s = 60.0 * minutes
    rr_s, kinds = _rhythm(rng, rhythm, int(span_s / 0.25))
    r_at_s = 0.6 + np.concatenate(([0.0], np.cumsum(rr_s)))
    r_at_s = r_at_s[r_at_s < span_s - 1.0]
    kinds = ["N", *kinds][: len(r_at_s)]
    signal = np.zeros((int(span_s * rate_hz), leads))
    _beats(rng, signal, rate_hz, r_at_s, kinds, atrial=rhythm != "af")
    times_s = np.arange(len(signal)) / rate_hz
    if rhythm == "af":
        for hertz in (4.8, 6.1, 7.3):
            turn = 2.0 * np.pi * hertz * times_s + 2.0 * np.sin(0.7 * times_s) + rng.uniform(0.0, 6.0)
            signal += rng.uniform(10.0, 50.0) * np.sin(turn)[:, None]
    signal += rng.normal(0.0, rng.choice([4.0, 10.0, 20.0, 40.0]), signal.shape)
    breath = 2.0 * np.pi * rng.uniform(0.1, 0.4) * times_s + rng.uniform(0.0, 6.0)
    signal += rng.uniform(10.0, 200.0) * np.sin(breath)[:, None]
    if rng.random() < 0.3:
        signal += rng.uniform(5.0, 60.0) * np.sin(2.0 * np.pi * rng.choice([50, 60]) * times_s)[:, None]
    return Patient(signal, np.rint(r_at_s * rate_hz).astype(np.int64))


def _rhythm(rng: np.random.Generator, rhythm: str, count: int) -> tuple[Floats, list[str]]:
    """Draw RR intervals (s) and the kind of beat that ends each: N, V, A, or B for an aberrant A."""
    if rhythm == "af":
        base_s = rng.uniform(0.45, 1.0)
        rr_s = np.clip(base_s * (1.0 + 0.22 * rng.standard_normal(count)), 0.28, 2.2)
        return rr_s, ["V" if one < PREMATURE_SHARE["af"] else "N" for one in rng.random(count)]
    usual_s, phase, drift, number = 60.0 / rng.uniform(42.0, 130.0), 0.0, rng.uniform(-0.1, 0.1), 0
    intervals: list[float] = []
    kinds: list[str] = []
    share = PREMATURE_SHARE[rhythm]
    while len(intervals) < count:
        number += 1
        phase += usual_s * rng.uniform(0.2, 0.3) * 2.0 * np.pi
        breathing = rng.choice([0.01, 0.03, 0.08]) * np.sin(phase)
        rr_s_now = usual_s * (1.0 + breathing + 0.01 * rng.standard_normal() + drift * np.sin(number / 40.0))
        chance = rng.random()
        if (rhythm == "bigeminy" and number % 2 == 0) or (rhythm in {"pvc", "runs"} and chance < share):
            early = rng.uniform(0.45, 0.8)
            run = int(rng.integers(1, 6)) if rhythm == "runs" else 1
            for place in range(run):
                intervals.append(max(0.25, rr_s_now * early) if place == 0 else rng.uniform(0.3, 0.5))
                kinds.append("V")
            intervals.append(rr_s_now * (2.0 - early) if rng.random() < 0.8 else rr_s_now)
            kinds.append("N")
        elif rhythm == "pac" and chance < share:
            intervals.append(rr_s_now * rng.uniform(0.5, 0.85))
            kinds.append("A" if rng.random() < 0.7 else "B")
        elif rhythm == "pac" and chance < share + 0.01:
            intervals.append(rr_s_now * rng.uniform(1.6, 2.3))
            kinds.append("N")
        else:
            intervals.append(rr_s_now)
            kinds.append("N")
    return np.array(intervals[:count]), kinds[:count]


def _add(signal: Floats, rate_hz: float, at_s: float, width_s: float, sizes: Floats) -> None:
    """Add a Gaussian wave to all leads."""
    first, last = max(0, int((at_s - 5.0 * width_s) * rate_hz)), int((at_s + 5.0 * width_s) * rate_hz) + 2
    near = np.arange(first, min(len(signal), last))
    if len(near):
        signal[near] += np.exp(-0.5 * ((near / rate_hz - at_s) / width_s) ** 2)[:, None] * sizes


def _beats(
    rng: np.random.Generator, signal: Floats, rate_hz: float, r_at_s: Floats, kinds: list[str], *, atrial: bool
) -> None:
    """Add all beats, with the sizes and widths of one patient."""
    leads = signal.shape[1]

    def spread(sigma: float) -> Floats:
        wide: Floats = np.exp(rng.normal(0.0, sigma, leads))
        return wide

    width_s = rng.uniform(0.008, 0.013) * (1.8 if rng.random() < 0.2 else 1.0)
    r_uv = 1000.0 * spread(0.45) * rng.choice([-1, 1], leads, p=[0.3, 0.7])
    p = rng.uniform(0.03, 0.18) * rng.choice([1.0, 1.0, 1.0, 1.0, 2.2, 3.0]) * spread(0.3)
    q, s = -rng.uniform(0.0, 0.2, leads), -rng.uniform(0.0, 0.6, leads)
    t = rng.uniform(0.1, 0.45) * rng.choice([1.0, 1.0, 1.0, 2.0, 4.0, 6.0]) * spread(0.4)
    t = t * rng.choice([1, -1], leads, p=[0.8, 0.2])
    pr_s, qt_s = rng.uniform(0.11, 0.22), rng.uniform(0.33, 0.42)
    v_uv = r_uv * rng.uniform(0.6, 1.8) * rng.choice([-1, 1], leads) * spread(0.3)
    v_width_s, v_s = rng.uniform(0.020, 0.035), -rng.uniform(0.0, 0.9, leads)
    depth, hertz = rng.uniform(0.0, 0.25), rng.uniform(0.15, 0.35)
    p_width_s, t_width_s = rng.uniform(0.014, 0.024), rng.uniform(0.035, 0.07)
    t = np.clip(t, -0.6 * t_width_s / width_s, 0.6 * t_width_s / width_s)  # no T is as steep as its QRS
    before_s = np.diff(r_at_s, prepend=r_at_s[0] - 0.8)
    after_s = np.append(np.diff(r_at_s), 1.0)
    for at_s, kind, before, after in zip(r_at_s, kinds, before_s, after_s, strict=True):
        size = 1.0 + depth * np.sin(2.0 * np.pi * hertz * at_s) + 0.03 * rng.standard_normal()
        t_at_s = qt_s * np.sqrt(min(max(before, 0.4), 1.5))
        if kind == "V":
            _add(signal, rate_hz, at_s, v_width_s, v_uv * size)
            _add(signal, rate_hz, at_s + v_width_s * rng.uniform(1.6, 1.9), 0.9 * v_width_s, v_uv * v_s * size)
            _add(signal, rate_hz, at_s + min(0.85 * t_at_s, 0.36), 1.1 * t_width_s, -0.35 * v_uv * size)
            continue
        wide_s = width_s * (1.6 if kind == "B" else 1.0)
        odd = rng.uniform(0.5, 1.2) if kind == "B" else 1.0
        if atrial:
            _add(signal, rate_hz, at_s - pr_s * (1.0 if kind == "N" else 0.9), p_width_s, p * np.abs(r_uv))
        _add(signal, rate_hz, at_s - 2.3 * wide_s, 0.7 * wide_s, q * r_uv * size)
        _add(signal, rate_hz, at_s, wide_s, r_uv * size * odd)
        _add(signal, rate_hz, at_s + 2.4 * wide_s, 0.85 * wide_s, s * r_uv * size)
        _add(signal, rate_hz, at_s + 0.78 * min(t_at_s, 0.75 * after), t_width_s, t * r_uv * size)
