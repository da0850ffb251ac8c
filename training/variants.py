"""What the judge is trained on: each record as it is, and as noise, other gains, leads and rates would make it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from gating.io.records import read_record
from gating.noise_stress import at_rate, mixed
from training.patients import patient

Floats = NDArray[np.float64]
SIMULATED = 96
LEARNING_S = 300.0
# kind, ratio in dB, weight; of the strongest noise the judge learns little, and the trust that it should have none
NOISES = (
    ("em", 24, 0.2),
    ("em", 18, 0.3),
    ("em", 15, 0.3),
    ("em", 12, 0.3),
    ("em", 9, 0.2),
    ("em", 6, 0.2),
    ("em", 3, 0.05),
    ("em", 0, 0.05),
    ("ma", 9, 0.15),
    ("bw", 3, 0.1),
)
# 360 Hz times one over the other, leads, weight
RATES = ((25, 36, (0, 1), 0.2), (16, 45, (0, 1), 0.2), (16, 45, (0,), 0.3), (25, 18, (0, 1), 0.2))


@dataclass(frozen=True, eq=False)
class Variant:
    """One recording of the training."""

    name: str
    record: str  # records are kept together when folds are made
    microvolts: NDArray[np.float32]  # [sample, lead]
    leads: tuple[str, ...]
    rate_hz: float
    beats: NDArray[np.int64]
    flutter: tuple[tuple[int, int], ...]
    weight: float  # of its rows in the fit
    scored_from_s: float = LEARNING_S


def recorded(path: Path, noises: dict[str, Floats], seed: int) -> list[Variant]:
    """Make all variants of one annotated record; `noises` are at its rate."""
    record = read_record(path)
    if record.beats is None:
        raise ValueError(f"the record {path} has no annotations")
    flutter = record.beats.flutter
    rng = np.random.default_rng([seed, *path.name.encode()])
    made: list[Variant] = []
    clean, beats, rate_hz, names = record.microvolts, record.beats.sample, record.rate_hz, record.leads

    def add(name: str, microvolts: Floats, weight: float, leads: tuple[int, ...] = (0, 1), factor: float = 1.0) -> None:
        made.append(
            Variant(
                name=name,
                record=path.name,
                microvolts=np.ascontiguousarray(microvolts[:, list(leads)], dtype=np.float32),
                leads=tuple(names[k] for k in leads),
                rate_hz=rate_hz * factor,
                beats=np.rint(beats * factor).astype(np.int64),
                flutter=tuple((int(a * factor), int(b * factor)) for a, b in flutter),
                weight=weight,
            )
        )

    add("both", clean, 1.0)
    add("first", clean, 1.0, (0,))
    add("second", clean, 0.4, (1,))
    for kind, ratio_db, weight in NOISES:
        noise = np.roll(noises[kind], int(rng.integers(len(noises[kind]))), axis=0)
        noisy = mixed(clean, beats, rate_hz, noise - np.median(noise, axis=0), ratio_db, LEARNING_S * rate_hz)
        add(f"{kind}{ratio_db} both", noisy, weight)
        add(f"{kind}{ratio_db} first", noisy, weight, (0,))
        if (kind, ratio_db) == ("em", 6):
            one = clean.copy()
            one[:, int(rng.integers(2))] = noisy[:, 0]
            add("em6 one", one, 0.15)
    add("gain", _regained(clean, rate_hz, rng), 0.2)
    for up, down, leads, weight in RATES:
        name = f"{360 * up // down} Hz"
        add(
            name if len(leads) > 1 else f"{name} first",
            resample_poly(clean, up, down, axis=0),
            weight,
            leads,
            up / down,
        )
    return made


def _regained(microvolts: Floats, rate_hz: float, rng: np.random.Generator) -> Floats:
    """Change gain, polarity and order of the leads now and then, as electrodes are moved."""
    changed = microvolts.copy()
    begin, piece = int(40 * rate_hz), int(40 * rate_hz)
    while begin < len(changed):
        part = changed[begin : begin + piece] * rng.choice([0.5, 2.0, 1.0, 1.0]) * rng.choice([-1, 1, 1, 1], size=2)
        changed[begin : begin + piece] = part[:, ::-1] if rng.random() < 0.3 else part
        begin += piece * int(rng.integers(1, 3))
    return changed


def simulated(number: int, noises: dict[str, Floats]) -> list[Variant]:
    """Make the variants of one simulated patient; `noises` are at 360 Hz."""
    rng = np.random.default_rng([5, number])
    rate_hz, leads = float(rng.choice([360, 250, 360, 500])), int(rng.choice([1, 2, 2, 3, 12]))
    drawn = patient(number, rate_hz, 5.0, leads)
    names = tuple(f"L{k + 1}" for k in range(leads))

    def variant(name: str, microvolts: Floats, weight: float) -> Variant:
        return Variant(name, f"s{number}", microvolts.astype(np.float32), names, rate_hz, drawn.beats, (), weight, 10.0)

    kind = str(rng.choice(["em", "ma"]))
    noise = at_rate(np.roll(noises[kind], int(rng.integers(200_000)), axis=0), 360.0, rate_hz)
    ratio_db = float(rng.choice([24, 20, 18, 12, 6, 3]))
    noise = noise - np.median(noise, axis=0)
    noisy = mixed(drawn.microvolts, drawn.beats, rate_hz, noise, ratio_db, 60.0 * rate_hz)
    return [variant("simulated", drawn.microvolts, 0.4), variant("simulated, noisy", noisy, 0.15)]
