"""What the electrodes see: the true beats as a 12-lead ECG, with noise, wander, mains and electrodes that come off.

The three waves of a beat come from neurokit2's ECGSYN model, each integrated alone, once a process. A beat is built
around its R-peak at exact times: the QRS keeps its width, the T wave follows RR, the P wave lies before the R-peak.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from simulators.heart import BeatKind, TrueBeat, breathing_depth
from simulators.scenario import Fault, Scenario

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
ELECTRODES = ("RA", "LA", "LL", "V1", "V2", "V3", "V4", "V5", "V6")
FLAGGED = ("RA", "LA", "LL", "V1")  # those that a scenario can take off

_LIMBS = {
    # weights of RA, LA, LL (Einthoven, Goldberger)
    "I": (-1.0, 1.0, 0.0), "II": (-1.0, 0.0, 1.0), "III": (0.0, -1.0, 1.0),
    "aVR": (1.0, -0.5, -0.5), "aVL": (-0.5, 1.0, -0.5), "aVF": (-0.5, -0.5, 1.0),
}  # fmt: skip
_WILSON = (-1.0 / 3.0, -1.0 / 3.0, -1.0 / 3.0)
_MEASURED = ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")
_SINUS_UV = {
    # peaks of P, Q, R, S, T in a normal adult: axis near 50 degrees, transition at V3-V4
    "I": (70.0, -50.0, 750.0, -120.0, 200.0),
    "II": (120.0, -80.0, 1200.0, -170.0, 310.0),
    "V1": (50.0, 0.0, 250.0, -950.0, -60.0),
    "V2": (60.0, 0.0, 450.0, -1300.0, 400.0),
    "V3": (60.0, 0.0, 800.0, -900.0, 450.0),
    "V4": (60.0, -40.0, 1300.0, -500.0, 420.0),
    "V5": (60.0, -70.0, 1300.0, -200.0, 350.0),
    "V6": (60.0, -80.0, 1000.0, -80.0, 280.0),
}
_PVC_UV = {
    # wide main wave and T of a beat from the right outflow tract: tall in II, left-bundle look in V1
    "I": (500.0, -200.0),
    "II": (1800.0, -550.0),
    "V1": (-1500.0, 500.0),
    "V2": (-1700.0, 600.0),
    "V3": (-900.0, 400.0),
    "V4": (900.0, -300.0),
    "V5": (1300.0, -400.0),
    "V6": (1200.0, -400.0),
}
_PVC_STRETCH = 2.5  # of the sinus R wave: a QRS of about 150 ms
_PVC_NOTCH = (0.45, 0.030)  # second hump: share of the main wave, seconds after it
_WITH_P: tuple[BeatKind, ...] = ("sinus", "normal")
_FIBRILLATION_UV = {"I": 20.0, "II": 35.0, "V1": 60.0, "V2": 45.0, "V3": 30.0, "V4": 20.0, "V5": 20.0, "V6": 20.0}
_FIBRILLATION_HZ = (5.3, 6.4, 7.7)

_MODEL_RATE_HZ = 1000
_MODEL_DEG = (-55.0, -12.0, 0.0, 12.0, 100.0)  # where P, Q, R, S, T peak, at 60 bpm
_MODEL_WIDTH = (0.16, 0.08, 0.08, 0.08, 0.4)
_MODEL_STRENGTH = 1000.0  # high above the slow swing that the model adds, and its solver's tolerance
_GRID_S = 1e-4
_BEFORE_S, _AFTER_S = 0.35, 0.7  # what the table of a wave spans around R
_QRS_ONSET_S = 0.045  # before R
_QT_LIMITS_S = (0.25, 0.48)
_T_END_BEFORE_NEXT_R_S = 0.06

_NEIGHBOUR = 0.1  # of an open limb electrode's artefact in a chest lead: the box's driven leg takes out the rest
_DRIFT_S = 0.5  # from the electrode's fall to the rail
_RAIL_UV = 1e6  # beyond every converter's rail: the encoder clips
_CHUNKS_KEPT = 4


@dataclass(frozen=True, slots=True)
class Waves:
    """The shapes of one beat on a grid of `_GRID_S` around R, in microvolts [time, lead]; leads as in `LEADS`."""

    p: Floats
    qrs: Floats
    t: Floats
    t_end_s: float  # after R, by the tangent at the steepest fall, as tabled


@lru_cache(maxsize=1)
def waves() -> dict[str, Waves]:
    """Make the tables of a sinus and of a premature ventricular beat, once a process (takes seconds).

    Returns
    -------
    dict
        `sinus` and `pvc`; in both the extremum of the QRS of lead II lies at time 0 within one step of the grid.

    Notes
    -----
    Shapes: ECGSYN (McSharry 2003, doi:10.1109/TBME.2003.808805) as in neurokit2. Our deviations:

    - The waves are integrated one at a time and weighted with our own table per lead, since `method="multileads"` gives
      lead II a T wave five times as tall as its R.
    - P and QRS are narrower than the model's defaults (PR 160 ms, QRS 90 ms).
    - III and the augmented leads follow from I and II, as in every electrocardiograph.
    """
    p, q, r, s, t = (_model_wave(index) for index in range(5))
    grid = _grid()
    amplitudes = np.array([_SINUS_UV[lead] for lead in _MEASURED])
    qrs = np.stack((q, r, s), axis=1) @ amplitudes[:, 1:4].T
    qrs = _centred(qrs)
    steepest = int(np.argmin(np.gradient(t)))
    t_end_s = float(grid[steepest] - t[steepest] / (np.gradient(t, grid)[steepest]))
    sinus = Waves(_twelve(np.outer(p, amplitudes[:, 0])), _twelve(qrs), _twelve(np.outer(t, amplitudes[:, 4])), t_end_s)

    share, later_s = _PVC_NOTCH
    wave = CubicSpline(grid, r)
    wide = wave(grid / _PVC_STRETCH) + share * wave((grid - later_s) / _PVC_STRETCH)
    wide = np.asarray(wide / wide.max(), dtype=np.float64)
    ventricular = np.array([_PVC_UV[lead] for lead in _MEASURED])
    qrs = _centred(np.outer(wide, ventricular[:, 0]))
    pvc = Waves(np.zeros_like(sinus.p), _twelve(qrs), _twelve(np.outer(t, ventricular[:, 1])), t_end_s)
    for table in (sinus.p, sinus.qrs, sinus.t, pvc.p, pvc.qrs, pvc.t):
        table.setflags(write=False)  # one table serves all signals of the process
    return {"sinus": sinus, "pvc": pvc}


def _grid() -> Floats:
    """Give the times of the tables, in seconds after R."""
    return np.arange(round(-_BEFORE_S / _GRID_S), round(_AFTER_S / _GRID_S) + 1, dtype=np.float64) * _GRID_S


def _model_wave(index: int) -> Floats:
    """Integrate one wave of ECGSYN alone (P, Q, R, S or T) and cut it around one R, with peak 1, on the grid."""
    import warnings

    with warnings.catch_warnings():
        # What its many dependencies deprecate is not ours to mend; a wrong shape would fail our own tests.
        warnings.simplefilter("ignore")
        from neurokit2 import ecg_simulate

        signal = ecg_simulate(
            duration=4,
            sampling_rate=_MODEL_RATE_HZ,
            heart_rate=60,
            heart_rate_std=0,
            noise=0,
            method="ecgsyn",
            random_state=1,
            ti=_MODEL_DEG,
            ai=tuple(_MODEL_STRENGTH if wave == index else 0.0 for wave in range(5)),
            bi=_MODEL_WIDTH,
        )
    # The model starts at an R-peak and turns once a second: the third one lies at 2 s.
    times = np.arange(len(signal)) / _MODEL_RATE_HZ - 2.0
    grid = _grid()
    peak_s = _MODEL_DEG[index] / 360.0
    half_s = 5.0 * _MODEL_WIDTH[index] / (2.0 * math.pi)
    near = (times > -_BEFORE_S - 0.05) & (times < _AFTER_S + 0.05)
    cut = np.asarray(CubicSpline(times[near], np.asarray(signal, dtype=np.float64)[near])(grid))
    # The model relaxes and breathes a little below its waves; a straight line under five widths takes that out.
    ends = np.interp([peak_s - half_s, peak_s + half_s], grid, cut)
    cut = cut - np.interp(grid, [peak_s - half_s, peak_s + half_s], ends)
    cut[np.abs(grid - peak_s) > half_s] = 0.0
    return np.asarray(cut / cut.max(), dtype=np.float64)


def _centred(qrs: Floats) -> Floats:
    """Shift a table of measured leads so that the extremum of lead II lies at time 0."""
    grid = _grid()
    at = _summit_s(grid, np.abs(qrs[:, _MEASURED.index("II")]))
    return np.asarray(CubicSpline(grid, qrs)(np.clip(grid + at, grid[0], grid[-1])))


def _summit_s(grid: Floats, curve: Floats) -> float:
    """Give the time of a curve's maximum, by a parabola over 4 ms around the highest point."""
    top = int(np.argmax(curve))
    reach = round(0.002 / _GRID_S)
    near = slice(top - reach, top + reach + 1)
    a, b, _ = np.polyfit(grid[near] - grid[top], curve[near], 2)
    return float(grid[top] - b / (2.0 * a))


def _twelve(measured: Floats) -> Floats:
    """Add III, aVR, aVL and aVF to the leads of `_MEASURED` [time, lead]."""
    i, ii = measured[:, 0], measured[:, 1]
    derived = np.stack((i, ii, ii - i, -(i + ii) / 2.0, i - ii / 2.0, ii - i / 2.0), axis=1)
    return np.concatenate((derived, measured[:, 2:]), axis=1)


def lead_matrix(leads: tuple[str, ...]) -> Floats:
    """Give the weights [lead, electrode] of the potentials of `ELECTRODES` in each lead.

    Raises
    ------
    ValueError
        If a lead is none of the twelve.
    """
    unknown = [lead for lead in leads if lead not in LEADS]
    if unknown:
        raise ValueError(f"There is no lead {unknown[0]}; the twelve are {', '.join(LEADS)}.")
    matrix = np.zeros((len(leads), len(ELECTRODES)))
    for row, lead in enumerate(leads):
        matrix[row, :3] = _LIMBS.get(lead, _WILSON)
        if lead not in _LIMBS:
            matrix[row, ELECTRODES.index(lead)] = 1.0
    return matrix


def qt_s(rr_s: float) -> float:
    """QT interval from the interval before: 521 - 2.0 HR ms, men (Chest 1981;80:613, ct-simulation.md section 5)."""
    return min(max((521.0 - 2.0 * 60.0 / rr_s) / 1e3, _QT_LIMITS_S[0]), _QT_LIMITS_S[1])


class EcgSignal:
    """The samples of a simulated patient. Sample `i` is taken `i / rate_hz` after patient time 0.

    Parameters
    ----------
    scenario
        Breathing, noise and faults; `box.drift_ppm` says how far the box's converter is off its declared rate.
    beats
        The true beats, as long as samples will be asked for: after the last one the heart stands still.
    rng
        A generator, of which one draw is taken, or a seed.
    rate_hz
        The declared rate. The attribute `rate_hz` is the true one: declared times (1 + drift).
    leads
        Any of the twelve.
    flagged
        The electrodes that the box has flags for; () for a box without, whose open leads show as the fault says.

    Notes
    -----
    Everything is made in chunks of about one second with a seed of their own, so the answer depends neither on the
    order nor on the size of the calls.
    """

    def __init__(
        self,
        scenario: Scenario,
        beats: tuple[TrueBeat, ...],
        rng: np.random.Generator | int,
        rate_hz: float,
        leads: tuple[str, ...] = ("I", "II", "V1"),
        flagged: tuple[str, ...] = FLAGGED,
    ) -> None:
        self.rate_hz = rate_hz * (1.0 + scenario.box.drift_ppm * 1e-6)
        self.leads = leads
        self.electrodes = flagged
        self.beats = beats
        self._scenario = scenario
        self._seed = rng if isinstance(rng, int) else int(rng.integers(2**62))
        self._matrix = lead_matrix(leads)
        columns = [LEADS.index(lead) for lead in leads]
        self._waves = {
            name: Waves(one.p[:, columns], one.qrs[:, columns], one.t[:, columns], one.t_end_s)
            for name, one in waves().items()
        }
        fibrillation = np.array([[_FIBRILLATION_UV[lead] for lead in _MEASURED]])
        self._fibrillation_uv = _twelve(fibrillation)[0, columns]
        ends = [60.0 / scenario.rhythm.rate_bpm] if beats else []
        r_at_s = np.array([beat.r_at_s for beat in beats])
        # with a usual beat before the first and after the last one, of which only the times are used
        self._r_at_s = np.concatenate((r_at_s[:1] - ends, r_at_s, r_at_s[-1:] + ends))
        self._phases = np.random.default_rng([self._seed, 0]).uniform(0.0, 2.0 * math.pi, (8, len(ELECTRODES)))
        at = np.flatnonzero(np.any(self._matrix != 0.0, axis=0))
        self._weights = self._matrix[:, at]
        self._used = np.concatenate((at, at + len(ELECTRODES)))
        turns = np.stack((np.cos(self._phases), np.sin(self._phases)), axis=1)  # [wave, sine and cosine, electrode]
        self._turns = np.ascontiguousarray(turns[:, :, at])
        self._faults = tuple(fault for fault in scenario.faults if fault.kind == "electrode-off")
        self._per_chunk = max(1, round(rate_hz))
        self._chunks: OrderedDict[int, tuple[Floats, Booleans]] = OrderedDict()

    def samples(self, first: int, count: int) -> tuple[Floats, Booleans]:
        """Give samples `first` to `first + count`: microvolts [sample, lead] and flags [sample, electrode]."""
        numbers = range(first // self._per_chunk, (first + max(count, 1) - 1) // self._per_chunk + 1)
        microvolts, off = zip(*(self._chunk(number) for number in numbers), strict=True)
        begin = first - numbers[0] * self._per_chunk
        if len(numbers) == 1:
            return microvolts[0][begin : begin + count], off[0][begin : begin + count]
        return np.concatenate(microvolts)[begin : begin + count], np.concatenate(off)[begin : begin + count]

    def _chunk(self, number: int) -> tuple[Floats, Booleans]:
        """Make one chunk, or take it from the few kept."""
        if number in self._chunks:
            return self._chunks[number]
        times_s = (number * self._per_chunk + np.arange(self._per_chunk)) / self.rate_hz
        microvolts = self._heart(times_s) * self._scenario.ecg.amplitude
        microvolts += self._disturbance(number, times_s)
        off = np.zeros((len(times_s), len(self.electrodes)), dtype=np.bool_)
        for fault in self._faults:
            self._take_off(fault, number, times_s, microvolts, off)
        microvolts.setflags(write=False)
        off.setflags(write=False)
        self._chunks[number] = microvolts, off
        if len(self._chunks) > _CHUNKS_KEPT:
            self._chunks.popitem(last=False)
        return microvolts, off

    def _heart(self, times_s: Floats) -> Floats:
        """Give the heart's own part [sample, lead] in microvolts."""
        microvolts = np.zeros((len(times_s), len(self.leads)))
        low, high = np.searchsorted(self._r_at_s[1:-1], [times_s[0] - 2.0 * _AFTER_S, times_s[-1] + _BEFORE_S])
        for number in range(int(low), int(high)):
            beat = self.beats[number]
            shape = self._waves["pvc" if beat.kind == "pvc" else "sinus"]
            since = times_s - beat.r_at_s
            _add(microvolts, shape.qrs, since)
            rr_s, next_rr_s = self._intervals(number)
            end_s = min(qt_s(rr_s) - _QRS_ONSET_S, max(next_rr_s - _T_END_BEFORE_NEXT_R_S, 0.12))
            _add(microvolts, shape.t, since * (shape.t_end_s / end_s))
            if beat.kind in _WITH_P:
                _add(microvolts, shape.p, since)
        if self._scenario.rhythm.kind == "af":
            for wave, hertz in enumerate(_FIBRILLATION_HZ):
                slow = 0.8 * np.sin(2.0 * math.pi * 0.31 * (wave + 1) * times_s + self._phases[7, wave])
                angle = 2.0 * math.pi * hertz * times_s + slow + self._phases[6, wave]
                microvolts += np.outer(np.sin(angle), self._fibrillation_uv) / len(_FIBRILLATION_HZ)
        return microvolts

    def _intervals(self, number: int) -> tuple[float, float]:
        """Give the intervals before and after a beat in seconds; what lies outside the record is a usual one."""
        before, here, after = self._r_at_s[number : number + 3]
        return float(here - before), float(after - here)

    def _disturbance(self, number: int, times_s: Floats) -> Floats:
        """Give what each lead adds [sample, lead] through its electrodes: noise, muscle, mains, wander."""
        story, respiration = self._scenario.ecg, self._scenario.respiration
        count = len(times_s)
        rng = np.random.default_rng([self._seed, 1, number])
        tone, next_tone = (
            float(np.random.default_rng([self._seed, 2, k]).uniform(0.3, 1.7)) for k in (number, number + 1)
        )
        white = rng.standard_normal((count + 1, 2 * len(ELECTRODES)))[:, self._used]
        broad, muscle = np.split(white, 2, axis=1)
        muscle = np.diff(muscle, axis=0) * np.linspace(tone, next_tone, count, endpoint=False)[:, None]
        # a limb lead is the difference of two electrodes: each has 1/sqrt(2) of what the lead shows
        total = story.noise_uv / math.sqrt(2.0) * (0.8 * broad[1:] + 0.6 / math.sqrt(2.0) * muscle)
        # what is slow is smooth: a sine of any phase is two columns, shared by all electrodes
        depth = np.linspace(breathing_depth(respiration, times_s[0]), breathing_depth(respiration, times_s[-1]), count)
        steady = np.ones(count)
        breath = (respiration.rate_per_min / 60.0, 0.35 * story.wander_uv, depth)
        slow = [(hertz, 0.15 * story.wander_uv, steady) for hertz in (0.037, 0.071, 0.13)]
        for row, (hertz, amplitude_uv, envelope) in enumerate(
            [(story.mains_hz, 0.5 * story.mains_uv, steady), breath, *slow]
        ):
            angle = 2.0 * math.pi * hertz * times_s
            waves_uv = amplitude_uv * envelope * np.stack((np.sin(angle), np.cos(angle)))
            total += waves_uv.T @ self._turns[row]
        return total @ self._weights.T

    def _take_off(self, fault: Fault, number: int, times_s: Floats, microvolts: Floats, off: Booleans) -> None:
        """Write an open electrode into a chunk: its flag, if the box has one, and what its leads then show."""
        until_s = math.inf if fault.until_s is None else fault.until_s
        gone = (times_s >= fault.at_s) & (times_s < until_s)
        if not gone.any():
            return
        if fault.electrode in self.electrodes:
            off[gone, self.electrodes.index(fault.electrode)] = True
        rng = np.random.default_rng([self._seed, 3, number, ELECTRODES.index(fault.electrode)])
        noise = rng.standard_normal(len(times_s))
        weights = self._matrix[:, ELECTRODES.index(fault.electrode)]
        for column, weight in enumerate(weights):
            if weight == 0.0:
                continue
            chest = self.leads[column].startswith("V") and fault.electrode != self.leads[column]
            shown = _artefact(fault.shows_as, times_s - fault.at_s, noise, self._scenario.ecg.mains_hz)
            if not chest:
                microvolts[gone, column] = math.copysign(1.0, weight) * shown[gone]
            elif fault.shows_as in ("hum", "noise"):
                microvolts[gone, column] += math.copysign(_NEIGHBOUR, weight) * shown[gone]


def _artefact(shows_as: str, since_s: Floats, noise: Floats, mains_hz: float) -> Floats:
    """Give what a lead shows when one of its electrodes is open, in microvolts.

    hum: mains of 2 mV; drift: a run to the rail; rail: there at once; noise: 0.6 mV broadband; flat: 1 microvolt.
    """
    hum = np.sin(2.0 * math.pi * mains_hz * since_s)
    if shows_as == "hum":
        return 2000.0 * hum * (1.0 + 0.2 * np.sin(2.0 * math.pi * 0.7 * since_s)) + 30.0 * noise
    if shows_as == "drift":
        return _RAIL_UV * np.clip(since_s / _DRIFT_S, 0.0, 1.0) ** 2 + 100.0 * hum
    if shows_as == "rail":
        return np.full(len(since_s), _RAIL_UV)
    if shows_as == "noise":
        return 600.0 * noise
    return noise


def _add(microvolts: Floats, table: Floats, since_s: Floats) -> None:
    """Add a tabled wave at the times after R, by linear interpolation; rising times; nothing outside the table."""
    place = (since_s + _BEFORE_S) / _GRID_S
    begin, end = np.searchsorted(place, [0.0, len(table) - 1.0])
    if begin >= end:
        return
    place = place[begin:end]
    row = place.astype(np.int64)
    share = (place - row)[:, None]
    microvolts[begin:end] += table[row] * (1.0 - share) + table[row + 1] * share
