"""The waveforms by which heart-rate meters are tested (IEC 60601-2-27, ANSI/AAMI EC13), with the instants of their QRS.

Built from the published descriptions of the tests, not copied from a recording: the rates, sizes and lengths are those
of the standard; the shapes of the beats between them are ours. No heart, no noise, no chance.

References
----------
hazards.md section 1.1: IEC 60601-2-27 clause 201.7.9.2.9.101 b, ANSI/AAMI EC13 5.1.2.1. Our deviations:

- each test begins with `LEAD_IN_S` at 80 bpm, so that a gate has learned what a beat is; where the standard asks what
  is shown after 20 s, the rhythm lasts 30 s;
- bigeminy: the premature beat comes at 0.4 of two mean intervals; slow and rapid alternation are pairs of such beats;
- ventricular tachycardia 4a and 4b is a wave of that rate whose size swings by a fifth over two seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Wave = tuple[float, float, float]  # at s after the R-peak, height of the R-peak, SD s
Beat = tuple[float, str]  # s, shape

LEAD_IN_S, LASTS_S = 20.0, 30.0
LEAD_IN_RR_S = 0.75
QRS_UV = 1000.0
PREMATURE = 0.4  # of two mean intervals

NARROW: tuple[Wave, ...] = ((-0.028, -0.12, 0.008), (0.0, 1.0, 0.011), (0.030, -0.22, 0.010))
SHAPES: dict[str, tuple[Wave, ...]] = {
    "narrow": (*NARROW, (0.26, 0.15, 0.040)),
    "wide": ((-0.02, 0.55, 0.028), (0.018, 0.85, 0.030), (0.075, -0.45, 0.030), (0.30, -0.30, 0.055)),
    "turned": ((-0.02, -0.55, 0.028), (0.018, -0.85, 0.030), (0.075, 0.45, 0.030), (0.30, 0.30, 0.055)),
    "bare": NARROW,
}
VENTRICULAR = ("wide", "turned")
T_LASTS_S, QT_S = 0.180, 0.350
"""Of the tall T test."""


@dataclass(frozen=True, slots=True, eq=False)
class Waveform:
    """One test: the signal of lead II, and where its beats are."""

    microvolts: Floats  # [sample]
    qrs_at_s: Floats
    symbols: tuple[str, ...]  # of each QRS, as WFDB writes them: N narrow, V wide
    begins_s: float  # where the lead-in ends and what is tested begins


def _ectopy(mean_rr_s: float, per_pair: int) -> Callable[[float], list[Beat]]:
    """Give a narrow and a wide beat in turn, the wide one premature; `per_pair` of each before the other's turn."""

    def beats(from_s: float) -> list[Beat]:
        found, at_s = [], from_s
        early, late = 2 * PREMATURE * mean_rr_s, 2 * (1.0 - PREMATURE) * mean_rr_s
        while at_s < from_s + LASTS_S:
            for shape, interval in (("narrow", early), ("wide", late)):
                for _ in range(per_pair):
                    found.append((at_s, shape))
                    at_s += interval
        return found

    return beats


def _steady(rr_s: float, *shapes: str) -> Callable[[float], list[Beat]]:
    return lambda from_s: [(from_s + k * rr_s, shapes[k % len(shapes)]) for k in range(int(np.ceil(LASTS_S / rr_s)))]


BEATS: dict[str, Callable[[float], list[Beat]]] = {
    "3a": _ectopy(60 / 80, 1),
    "3b": _ectopy(60 / 60, 2),
    "3c": _ectopy(60 / 120, 2),
    "3d": _steady(60 / 90, "wide", "turned"),
    "step-80-120": _steady(60 / 120, "narrow"),
    "step-80-40": _steady(60 / 40, "narrow"),
    "standstill": lambda _: [],
    "tall-t": _steady(60 / 80, "bare"),
}
TACHYCARDIAS: dict[str, tuple[float, float]] = {"4a": (206.0, 1000.0), "4b": (195.0, 2000.0)}  # bpm, peak to valley uV

NAMES: dict[str, str] = {
    "3a": "ventricular bigeminy, 80 bpm",
    "3b": "slow alternating ventricular bigeminy, 60 bpm",
    "3c": "rapid alternating ventricular bigeminy, 120 bpm",
    "3d": "bidirectional systoles, 90 bpm",
    "step-80-120": "a step from 80 to 120 bpm",
    "step-80-40": "a step from 80 to 40 bpm",
    "standstill": "80 bpm, then none",
    "tall-t": "80 bpm with T waves of `size` mV over a QRS of 1 mV",
    "4a": "ventricular tachycardia, 206 bpm, 1 mV",
    "4b": "ventricular tachycardia, 195 bpm, 2 mV",
}


def meter_test(name: str, rate_hz: float, size: float = 1.0) -> Waveform:
    """Make one test at any rate.

    Parameters
    ----------
    name
        One of `NAMES`.
    rate_hz
        Sample `i` is taken at `i / rate_hz`.
    size
        Of the tachycardias (half, full and double size are asked for); of `tall-t` the height of the T wave in mV.

    Returns
    -------
    Waveform
        In microvolts; `LEAD_IN_S` at 80 bpm come first.

    Raises
    ------
    KeyError
        If there is no such test.
    """
    tachycardia = TACHYCARDIAS.get(name)
    lead_in = "bare" if name == "tall-t" else "narrow"
    beats = [(at, lead_in) for at in np.arange(0.5, LEAD_IN_S, LEAD_IN_RR_S).tolist()]
    begins_s = beats[-1][0] + LEAD_IN_RR_S
    beats += [] if tachycardia else BEATS[name](begins_s)
    at_s = np.arange(round((begins_s + LASTS_S) * rate_hz)) / rate_hz
    microvolts = np.zeros(len(at_s))
    for beat_s, shape in beats:
        for after, height, sd in SHAPES[shape]:
            microvolts += QRS_UV * height * np.exp(-0.5 * ((at_s - beat_s - after) / sd) ** 2)
        if name == "tall-t":
            into = (at_s - beat_s - (QT_S - 0.05 - T_LASTS_S)) / T_LASTS_S  # Q begins 50 ms before the R-peak
            microvolts += 1000.0 * size * np.where((into > 0) & (into < 1), np.sin(np.pi * np.clip(into, 0, 1)), 0.0)
    if tachycardia is not None:
        bpm, peak_to_valley_uv = tachycardia
        since = at_s - begins_s
        swing = 1.0 + 0.2 * np.sin(np.pi * since)
        wave = 0.5 * size * peak_to_valley_uv * swing * np.sin(2 * np.pi * bpm / 60.0 * since)
        microvolts += np.where(since > 0.0, wave, 0.0)
    held = [(beat_s, shape) for beat_s, shape in beats if beat_s < begins_s + LASTS_S]
    symbols = tuple("V" if shape in VENTRICULAR else "N" for _, shape in held)
    return Waveform(microvolts, np.array([beat_s for beat_s, _ in held]), symbols, begins_s)
