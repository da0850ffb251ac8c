"""A recorded ECG as the source of a simulated box.

Resampled without delay: a cubic spline through the recorded samples, taken at the exact times of the box's converter;
where the box is slower than the record, a symmetric (zero-phase) low-pass goes before it. What was recorded at second
t leaves as what happened at second t.
"""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import signal
from scipy.interpolate import CubicSpline

from gating.errors import SettingsError
from gating.frontends import Declaration
from gating.io.records import Record
from simulators.ecg_box import converter_rate_hz
from simulators.heart import TrueBeat, recorded_beats

FLAG = {"I": "LA", "II": "LL", "V1": "V1"}  # the electrode that is said to be off when a lead has no source
NAMES = {"I": ("I", "MLI"), "II": ("II", "MLII"), "V1": ("V1", "MV1", "MCL1")}
NAMELESS = re.compile(r"(ECG|EKG|LEAD|CH|CHANNEL|SIGNAL)?\d*")
CHEST = re.compile(r"V[2-9]")
TAPS = 101


@dataclass(frozen=True)
class Mapping:
    """Which recorded lead is sent as which lead of the box."""

    sources: tuple[int | None, ...]  # per lead of the box, the column of the record
    lines: tuple[str, ...]  # the same for people


def map_leads(recorded: tuple[str, ...], wanted: tuple[str, ...]) -> Mapping:
    """Choose a source for every lead of the box; each recorded lead is used once.

    By name first; then any chest lead as V1; then a lead without a telling name as II. What is left is sent as
    lead-off.

    Raises
    ------
    SettingsError
        If no lead of the box has a source.
    """
    plain = [re.sub(r"[\s_-]", "", name).upper().removeprefix("LEAD") or name.upper() for name in recorded]
    sources: list[int | None] = []
    for lead in wanted:
        names = NAMES.get(lead, (lead,))
        found = [column for column, name in enumerate(plain) if name in names]
        if lead == "V1":
            found += [column for column, name in enumerate(plain) if CHEST.fullmatch(name)]
        if lead == "II":
            found += [column for column, name in enumerate(plain) if NAMELESS.fullmatch(name)]
        sources.append(found[0] if found else None)
    if all(source is None for source in sources):
        raise SettingsError(
            f"None of the recorded leads ({', '.join(recorded)}) can be sent as {', '.join(wanted)}; "
            "take another record or another --frontend."
        )
    lines = tuple(
        f"{lead}: no source, sent as lead-off ({FLAG.get(lead, lead)})"
        if source is None
        else f"{recorded[source]} -> {lead}"
        for lead, source in zip(wanted, sources, strict=True)
    )
    return Mapping(tuple(sources), lines)


class RecordSource:
    """The samples of a record as a box with this declaration converts them; all electrodes are off where it ends.

    Parameters
    ----------
    record
        The record.
    declaration
        Leads, flags and rate of the box.
    from_s
        Second of the record that becomes patient time 0.
    speed
        Recorded seconds per second. Other than 1 it is for looking only: the heart beats at another rate.
    drift_ppm
        How far the converter is off the declared rate.
    """

    def __init__(
        self,
        record: Record,
        declaration: Declaration,
        *,
        from_s: float = 0.0,
        speed: float = 1.0,
        drift_ppm: float = 0.0,
    ) -> None:
        recorded_s = len(record.microvolts) / record.rate_hz
        if not 0.0 <= from_s < recorded_s:
            raise SettingsError(f"The record {record.name} is {recorded_s:.0f} s long; --from must lie within.")
        if not 0.1 <= speed <= 10.0:
            raise SettingsError(f"A speed of {speed:g} is not within 0.1 to 10; choose another --speed.")
        self.leads = declaration.leads
        self.electrodes = declaration.electrodes
        self.rate_hz = converter_rate_hz(declaration) * (1.0 + drift_ppm * 1e-6)
        self.mapping = map_leads(record.leads, declaration.leads)
        self.duration_s = (recorded_s - from_s) / speed
        self._record, self._from_s, self._speed = record, from_s, speed
        missing = [FLAG.get(lead, lead) for lead, source in self._pairs if source is None]
        self._off = np.array([electrode in missing for electrode in declaration.electrodes], dtype=np.bool_)

    @property
    def _pairs(self) -> list[tuple[str, int | None]]:
        """The leads of the box, each with its column of the record."""
        return list(zip(self.leads, self.mapping.sources, strict=True))

    @cached_property
    def beats(self) -> tuple[TrueBeat, ...]:
        """The annotated beats as true beats in patient time; () where the record has none."""
        marks = self._record.beats
        if marks is None:
            return ()
        times_s = (marks.sample / self._record.rate_hz - self._from_s) / self._speed
        kept = [(float(at), symbol) for at, symbol in zip(times_s, marks.symbols, strict=True) if at >= 0.0]
        return recorded_beats((at for at, _ in kept), (symbol for _, symbol in kept))

    @cached_property
    def _spline(self) -> CubicSpline:
        """The recorded leads that are sent, as functions of patient time."""
        used = [source for source in self.mapping.sources if source is not None]
        microvolts = self._record.microvolts[:, used]
        played_hz = self._record.rate_hz * self._speed
        if self.rate_hz < played_hz:
            # symmetric taps, cut at their centre: no delay
            taps = signal.firwin(TAPS, 0.45 * self.rate_hz, fs=played_hz)
            padded = np.pad(microvolts, ((TAPS // 2, TAPS // 2), (0, 0)), mode="edge")
            microvolts = signal.fftconvolve(padded, taps[:, None], mode="valid", axes=0)
        times_s = (np.arange(len(microvolts)) / self._record.rate_hz - self._from_s) / self._speed
        return CubicSpline(times_s, microvolts)

    def samples(self, first: int, count: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Give samples `first` to `first + count`: microvolts [sample, lead] and flags [sample, electrode]."""
        times_s = np.arange(first, first + count) / self.rate_hz
        ended = times_s > self.duration_s - 1.0 / (self._speed * self._record.rate_hz) + 1e-9
        microvolts = np.zeros((count, len(self.leads)))
        present = [column for column, (_, source) in enumerate(self._pairs) if source is not None]
        microvolts[:, present] = self._spline(times_s)
        microvolts[ended] = 0.0
        return microvolts, ended[:, None] | self._off
