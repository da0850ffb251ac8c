"""A fast, wide wave that fills the time between beats: ventricular tachycardia or flutter, which has no QRS to find.

Theory of operation. A heart that beats in time lies still for most of a beat: outside QRS and T wave the signal stays
near its middle. In a fast ventricular rhythm it never does. The last `SPAN_S` of each trusted lead, less a straight
line, are looked at: the share of the time that they lie further from the middle than `AWAY` of their greatest distance,
and how often they cross it. Where both speak for a wave on most leads, the heart is not to be gated on, whether or not
R-peaks are found in it.

Reference: threshold crossing sample count for ventricular fibrillation, Arafat 2011, doi:10.1007/s11760-009-0136-1.
Our deviations:

- 0.8 s instead of 3 s, so that it is known within a second (hazards.md E10), and a threshold to match;
- crossings of the middle tell a wave from drift and from noise.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SPAN_S = 0.8
BIN_S = 0.008  # samples are averaged over this: above it is muscle, not heart
AWAY, FILLED = 0.25, 0.70  # of the greatest distance; share of the time
CROSSINGS_HZ = (4.2, 14.0)  # twice the rate: 126 to 420 bpm
HELD_S = 0.2  # what is seen for less is chance; with the span, known within a second
LEAST_UV = 150.0  # greatest distance from the middle
MOST_LEADS = 0.5  # share of the trusted leads that must show it


class FastWaves:
    """Watches all leads, whatever their number and rate. State: `SPAN_S` of bins.

    `seen` is what stands against gating, in words; None while there is no fast wave.
    """

    def __init__(self) -> None:
        self._rate_hz = 0.0
        self._bins = self._rest = np.zeros((0, 0))
        self.forget()

    def forget(self) -> None:
        """Start anew after a gap."""
        self._count, self._waves_s = 0, 0.0
        self.seen: str | None = None
        self._rest = self._rest[:0]

    def take(self, microvolts: Floats, rate_hz: float, trusted: tuple[bool, ...]) -> None:
        """Take the samples of a block, microvolts [sample, lead], and which leads may be trusted now."""
        if rate_hz != self._rate_hz or microvolts.shape[1] != self._bins.shape[1]:
            self._begin(microvolts.shape[1], rate_hz)
        samples = np.concatenate([self._rest, microvolts])
        fresh = len(samples) // self._per_bin
        self._rest = samples[fresh * self._per_bin :]
        if not fresh:
            return
        binned = samples[: fresh * self._per_bin].reshape(fresh, self._per_bin, -1).mean(axis=1)
        self._bins = np.concatenate([self._bins, binned])[-len(self._bins) :]
        self._count = min(self._count + fresh, len(self._bins))
        leads = np.flatnonzero(np.array(trusted))
        waves_hz = self._wave_hz(self._bins[:, leads]) if self._count == len(self._bins) and len(leads) else None
        self._waves_s = 0.0 if waves_hz is None else self._waves_s + fresh * self._per_bin / rate_hz
        self.seen = None
        if waves_hz is not None and self._waves_s >= HELD_S:
            self.seen = f"a fast wave of {60 * waves_hz:.0f} per minute without rest between beats"

    def _begin(self, leads: int, rate_hz: float) -> None:
        self._rate_hz, self._per_bin = rate_hz, max(1, round(BIN_S * rate_hz))
        self._bins, self._rest = np.zeros((round(SPAN_S * rate_hz / self._per_bin), leads)), np.zeros((0, leads))
        line = np.arange(len(self._bins)) - (len(self._bins) - 1) / 2.0
        self._line = line / np.sqrt((line * line).sum())
        self.forget()

    def _wave_hz(self, bins: Floats) -> float | None:
        """Give the rate of a wave that fills the span on most leads, bins [bin, lead]; None if there is none."""
        away = bins - bins.mean(axis=0)
        away = away - self._line[:, None] * (self._line[:, None] * away).sum(axis=0)
        away = away - np.median(away, axis=0)
        far = np.abs(away).max(axis=0)
        filled = (np.abs(away) > AWAY * far).mean(axis=0)
        crosses = np.diff(np.signbit(away), axis=0)
        crossed_hz = crosses.sum(axis=0) / SPAN_S
        low, high = CROSSINGS_HZ
        waves = (far > LEAST_UV) & (filled > FILLED) & (crossed_hz >= low) & (crossed_hz <= high)
        if waves.mean() < MOST_LEADS:
            return None
        at = [np.flatnonzero(lead) * self._per_bin / self._rate_hz for lead in crosses[:, waves].T]
        return float(np.median([(len(one) - 1) / (2.0 * (one[-1] - one[0])) for one in at]))
