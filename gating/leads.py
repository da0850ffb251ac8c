"""Which leads may be trusted now, and if not, why, in words.

Theory of operation. Each lead is watched in bins of 20 ms. An electrode that the box flags takes down the leads that
rest on it. On a box without flags an open electrode has to show itself in the signal, and does within 240 ms: as the
converter's rail, as roughness (hum or noise) that lets no quiet bin pass for 180 ms - the widest QRS is rough and
steep for less -, or as a baseline that leaves. Only a flat line takes its second. What went bad must be good for
`restore_s` before it is trusted again, and so must a stream that begins.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gating.frontends.frontend import Declaration, SampleBlock
from gating.sample_clock import BlockTimes
from gating.settings import LeadSettings, SampleClockSettings

Floats = NDArray[np.float64]
STRAIGHT = 1.8  # largest over smallest step of a baseline that runs away; the flank of a wide QRS is steeper midway
LIMB = {"I": ("RA", "LA"), "II": ("RA", "LL"), "III": ("LA", "LL"), "MLII": ("RA", "LL")}
WILSON = ("RA", "LA", "LL")  # what chest leads are measured against; aVR, aVL and aVF rest on all three too


@dataclass(frozen=True, slots=True)
class LeadState:
    """One lead now."""

    lead: str
    trusted: bool
    reason: str | None


@dataclass(frozen=True, slots=True)
class LeadsState:
    """All leads now."""

    leads: tuple[LeadState, ...]
    electrodes_off: tuple[str, ...]

    @property
    def mask(self) -> tuple[bool, ...]:
        """Tell lead by lead whether it is trusted."""
        return tuple(state.trusted for state in self.leads)


def electrodes_of(lead: str) -> tuple[str, ...]:
    """Name the electrodes that a lead rests on; a chest lead needs Wilson's terminal too."""
    chest = (lead,) if lead.startswith("V") else ()
    return LIMB.get(lead, chest + WILSON)


class _Watch:
    """The last second of one lead. Runs are counted as they grow: a bin costs the same however long the memory."""

    def __init__(self, settings: LeadSettings, bin_s: float) -> None:
        self.reason = "the signal begins"
        self.good_bins = 0
        self._rail_samples = settings.rail_samples
        self._rough_uv = settings.open_rough_uv
        self._rough_bins = round(1e-3 * settings.open_ms / bin_s)
        self._flat_uv = settings.flat_uv
        self._flat_bins = round(settings.flat_s / bin_s)
        self._drift_uv = 1e3 * settings.open_drift_mv_per_s * bin_s
        self._offset_uv = settings.open_offset_uv
        self._follow = min(1.0, bin_s / settings.baseline_s)
        self._at_rail: deque[int] = deque(maxlen=round(0.1 / bin_s))
        self._steps: deque[float] = deque(maxlen=self._rough_bins)  # of the bins' means
        self._spans: deque[tuple[float, float]] = deque(maxlen=self._flat_bins)
        self._mean_uv: float | None = None
        self._baseline_uv = 0.0
        self._rough_run = self._drift_run = self._quiet_run = self._off_run = 0

    def blame(self, reason: str) -> None:
        """Note what is bad now."""
        self.reason = reason
        self.good_bins = 0

    def take(self, low: float, high: float, mean: float, rough: float, at_rail: int, flag: str | None) -> None:
        """Judge one more bin: its extremes, its mean, the RMS that a straight line leaves, its samples at the rail."""
        # every watch sees every bin, whatever another one says
        rail, noise, drift, flat = (
            self._saturated(at_rail),
            self._rough(rough),
            self._runs_away(mean),
            self._flat(low, high),
        )
        worst = flag or rail or noise or drift or flat
        if worst is None:
            self.good_bins += 1
        else:
            self.blame(worst)

    def _saturated(self, at_rail: int) -> str | None:
        """At the rail, `rail_samples` within 100 ms."""
        self._at_rail.append(at_rail)
        return "at the converter's rail" if sum(self._at_rail) >= self._rail_samples else None

    def _rough(self, rough: float) -> str | None:
        """No quiet bin for `open_ms`; one that is quiet by chance sets the count back by one."""
        self._rough_run = self._rough_run + 1 if rough >= self._rough_uv else max(0, self._rough_run - 1)
        self._rough_run = min(self._rough_run, self._rough_bins)
        return "hum or noise, as of an open electrode" if self._rough_run >= self._rough_bins else None

    def _runs_away(self, mean: float) -> str | None:
        """Far off the baseline, or the baseline has run one way, straight, for `open_ms`."""
        if self._mean_uv is None:
            self._mean_uv = self._baseline_uv = mean
        step, self._mean_uv = mean - self._mean_uv, mean
        off_uv = mean - self._baseline_uv
        self._baseline_uv += off_uv * self._follow
        self._off_run = self._off_run + 1 if abs(off_uv) > self._offset_uv else 0
        if self._off_run >= 2:
            return "baseline off, as of an open electrode"
        same_way = bool(self._steps) and (step > 0) == (self._steps[-1] > 0)
        self._steps.append(step)
        self._drift_run = (self._drift_run if same_way else 0) + 1 if abs(step) >= self._drift_uv else 0
        if self._drift_run < self._rough_bins:
            return None
        sizes = [abs(one) for one in self._steps]
        straight = max(sizes) <= STRAIGHT * min(sizes)
        return "baseline runs away, as of an open electrode" if straight else None

    def _flat(self, low: float, high: float) -> str | None:
        """Less than `flat_uv` from peak to peak for `flat_s`."""
        self._spans.append((low, high))
        self._quiet_run = self._quiet_run + 1 if high - low < self._flat_uv else 0
        if self._quiet_run < self._flat_bins:
            return None
        span_uv = max(high for _, high in self._spans) - min(low for low, _ in self._spans)
        return "flat line" if span_uv < self._flat_uv else None


class Leads:
    """Watches all leads of one stream."""

    def __init__(
        self,
        settings: LeadSettings,
        declaration: Declaration,
        clock: SampleClockSettings | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock or SampleClockSettings()
        self._rail_uv = declaration.rail_uv - 1.5 * declaration.microvolts_per_count
        self._names: tuple[str, ...] = ()
        self._watches: tuple[_Watch, ...] = ()
        self._rest = np.zeros((0, 0))  # samples of the bin in hand
        self._line = np.zeros((0, 1))  # unit vector of a straight line over one bin
        self._none_at_rail: list[list[int]] = []
        self._bin = 0
        self._bin_s = 0.0

    def take(self, block: SampleBlock, times: BlockTimes) -> LeadsState:
        """Take one block; tell which leads may be trusted at its end."""
        if block.leads != self._names:
            self._begin(block)
        off: tuple[str, ...] = ()
        if block.electrodes_off.any():
            flagged: list[bool] = np.any(block.electrodes_off, axis=0).tolist()
            off = tuple(electrode for electrode, bad in zip(block.electrodes, flagged, strict=True) if bad)
        held_back = times.backlog_ms > self._clock.max_backlog_ms
        gap = 1e3 * block.lost_before / block.rate_hz > self._clock.max_gap_ms
        if gap:
            self._rest = self._rest[:0]
        flags: list[str | None] = [None] * len(self._names)
        if off or held_back:
            flags = [self._flag(lead, off, held_back=held_back) for lead in self._names]
        for watch, flag in zip(self._watches, flags, strict=True):
            if gap:
                watch.blame("samples lost")
            if flag is not None:
                watch.blame(flag)
        for row in self._bins(block.microvolts):
            for watch, one, flag in zip(self._watches, row, flags, strict=True):
                watch.take(*one, flag)
        return LeadsState(tuple(self._state(k) for k in range(len(self._names))), off)

    def _begin(self, block: SampleBlock) -> None:
        """Set up for the leads and the rate of a stream."""
        self._names = block.leads
        self._bin = max(4, round(0.02 * block.rate_hz))
        self._bin_s = self._bin / block.rate_hz
        self._watches = tuple(_Watch(self._settings, self._bin_s) for _ in block.leads)
        self._rest = np.zeros((0, len(block.leads)))
        self._none_at_rail = [[0] * len(block.leads)]
        line = np.arange(self._bin) - (self._bin - 1) / 2
        self._line = (line / np.sqrt((line**2).sum()))[:, None]

    @staticmethod
    def _flag(lead: str, off: tuple[str, ...], *, held_back: bool) -> str | None:
        """Give the reason that lies outside the signal, if any."""
        open_ones = [electrode for electrode in off if electrode in electrodes_of(lead) or electrode == "RL"]
        if open_ones:
            return f"electrode {' and '.join(open_ones)} off"
        return "samples were held back" if held_back else None

    def _bins(self, microvolts: Floats) -> list[list[tuple[float, float, float, float, int]]]:
        """Give low, high, mean, roughness and samples at the rail of the bins that these samples complete."""
        samples = np.concatenate((self._rest, microvolts)) if len(self._rest) else microvolts
        count = len(samples) // self._bin
        self._rest = samples[count * self._bin :]
        if not count:
            return []
        binned = samples[: count * self._bin].reshape(count, self._bin, -1)
        lows, highs = binned.min(axis=1), binned.max(axis=1)
        means = binned.sum(axis=1) / self._bin
        centred = binned - means[:, None, :]
        slopes = (centred * self._line).sum(axis=1)
        power = (centred * centred).sum(axis=1) - slopes * slopes
        rough = np.sqrt(np.maximum(0.0, power) / (self._bin - 2))
        low_rows, high_rows, mean_rows, rough_rows = (stat.tolist() for stat in (lows, highs, means, rough))
        rail_rows = self._none_at_rail * count
        if max(map(max, high_rows)) >= self._rail_uv or min(map(min, low_rows)) <= -self._rail_uv:
            rail_rows = (np.abs(binned) >= self._rail_uv).sum(axis=1).tolist()
        return [
            list(zip(*rows, strict=True))
            for rows in zip(low_rows, high_rows, mean_rows, rough_rows, rail_rows, strict=True)
        ]

    def _state(self, k: int) -> LeadState:
        """Tell how one lead stands."""
        watch = self._watches[k]
        if watch.good_bins * self._bin_s >= self._settings.restore_s:
            return LeadState(self._names[k], trusted=True, reason=None)
        reason = watch.reason if not watch.good_bins else f"settling after: {watch.reason}"
        return LeadState(self._names[k], trusted=False, reason=reason)
