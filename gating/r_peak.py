"""Samples -> R-peaks: provisional at once, then confirmed or withdrawn. Causal, multi-lead, the same for every cut.

Theory of operation
-------------------
1. `filters` gives each lead `smooth` (for time and shape), `slope` and `energy`, from exact integers.
   The leads' energies, each over its own QRS level and weighted by its quality now, make one strength.
2. Where the strength rises over a low threshold a candidate opens. Its peak is the greater deflection of the lead that
   is timed (`fiducial`).
3. From 3 ms after the peak on a candidate is looked at four times, and told as *provisional* as soon as a small network
   is sure enough of its `figures`; surer the earlier.
4. `confirm_after_ms` after its peak a candidate is judged by another network and is *confirmed*, which is final, or, if
   it was told, *withdrawn*. In doubt the judge waits for the rest of a wide beat, 10 ms at most. There is no
   search-back: long after a beat smaller ones become candidates instead. A wave that proved to be none, for a QRS came
   right behind it, is doubted from then on (`mistaken`).
5. A third network says how probable it is that the beats found now are right. Below `least_trust` a beat is shown, but
   not armed.

The search (`search`, its state in `track`) is compiled; this room gives it a face. The networks' numbers are made by
`training/`; see gating/README.md for what was measured.

References: levels between QRS and noise peaks after Hamilton and Tompkins, doi:10.1109/TBME.1986.325695; slopes that
tell a T wave after Pan and Tompkins, doi:10.1109/TBME.1985.325532. Our deviations:

- moving sums instead of IIR band-passes, and several leads;
- trained networks at fixed delays after the peak instead of a threshold at the maximum of the energy;
- no search-back: nobody can expose in the past.
"""

import math
from typing import Literal, NamedTuple

import numpy as np

from gating.filters import Floats
from gating.judge import Judge
from gating.qrs import SHARE, TRUST
from gating.sample_clock import BlockTimes
from gating.search import advance
from gating.settings import RPeakSettings
from gating.track import CONFIRMED, EVENT_FLOATS, EVENT_INTEGERS, LEARNED, ROW_COLUMNS, change_trust, relearn, track_for

Stage = Literal["provisional", "confirmed", "withdrawn"]
STAGES: tuple[Stage, ...] = ("provisional", "confirmed", "withdrawn")
REFERENCE_LEADS = ("II", "MLII")
PIECE = 32768  # samples handed on together: memory is bounded, and a call of 30 µs does not count
MOST_EVENTS = 1024  # of one piece before the rest of it is taken
ARM_AFTER = 3  # beats that must be known before one may arm


class RPeak(NamedTuple):
    """One R-peak at one stage. A confirmed one is final; the number stays the same through all stages.

    `r_at_ns` is that of the extremum while provisional, and that of the crest (`fiducial`) once confirmed.
    """

    number: int
    stage: Stage
    r_at_ns: int
    uncertainty_ns: int  # standard error of the mark
    confidence: float  # 0..1: that this is a beat
    lead: str  # that was timed
    decided_at_ns: int  # time of the sample that decided
    trust: float = 0.0  # 0..1: how probable it is that the beats found now are right
    armed: bool = False  # may book an exposure: confirmed, and the signal is to be trusted
    why_not: str | None = None  # in words, of a confirmed beat that is not armed


class RPeakDetector:
    """Finds R-peaks in the trusted leads of one stream.

    Parameters
    ----------
    settings : RPeakSettings
    leads : tuple of str
        The names of the leads, 1 to 12. The time is that of II or MLII where there is one, else of the best lead.
    rate_hz : float
        100 to 2000.
    judge : Judge
        The networks, as `gating.io.numbers` reads them.
    rows : int
        For the training only: so many rows of figures are kept in `rows`.
    """

    def __init__(
        self, settings: RPeakSettings, leads: tuple[str, ...], rate_hz: float, judge: Judge, rows: int = 0
    ) -> None:
        self._names = leads
        self._settings = settings
        self._judge = judge
        reference = next((k for k, lead in enumerate(leads) if lead in REFERENCE_LEADS), 0)
        self._track = track_for(len(leads), rate_hz, reference, judge.units)
        self._limits = np.array([1e-3 * settings.confirm_after_ms, 1e-3 * settings.refractory_ms, settings.learn_s])
        self._trusted: tuple[bool, ...] = (False,) * len(leads)
        self._piece = np.zeros((PIECE, len(leads)))
        self._integers = np.zeros((MOST_EVENTS, EVENT_INTEGERS), dtype=np.int64)
        self._floats = np.zeros((MOST_EVENTS, EVENT_FLOATS))
        self._left_over: list[RPeak] = []
        self._rows = np.zeros((rows, ROW_COLUMNS))
        self._row_count = 0

    def relearn(self) -> None:
        """Forget what a beat looks like and learn it anew; numbers go on, and what was told and not decided falls."""
        self._left_over += self._told(relearn(self._track, self._integers, self._floats))

    @property
    def learned(self) -> bool:
        """Tell whether the detector knows what a beat looks like."""
        return bool(self._track.place[LEARNED])

    @property
    def best_lead(self) -> str | None:
        """Name the lead that counts most now; None while none does."""
        shares = self._track.usual.leads[:, SHARE]
        best = int(shares.argmax())
        return self._names[best] if shares[best] > 0.0 else None

    @property
    def trust(self) -> float:
        """Give the trust as of the last confirmed beat, 0..1."""
        return float(self._track.usual.beat[TRUST])

    @property
    def rows(self) -> Floats:
        """Give the figures of all decisions so far, for the training; see `search` for the columns."""
        return self._rows[: self._row_count]

    def take(self, microvolts: Floats, trusted: tuple[bool, ...], times: BlockTimes) -> tuple[RPeak, ...]:
        """Take the samples of one block; give the R-peaks that they make known.

        Parameters
        ----------
        microvolts : array of float64, shape (samples, leads)
            The signal in microvolts, at the rate given at the beginning.
        trusted : tuple of bool, one per lead
            No beat is found from a lead that is not trusted; without any, nothing is told.
        times : BlockTimes
            When the samples were, on the host's clock, in nanoseconds.

        Returns
        -------
        tuple of RPeak
            In the order of their decision.
        """
        peaks, self._left_over = self._left_over, []
        if trusted != self._trusted:
            mask = np.array(trusted, dtype=np.int64)
            self._trusted = trusted
            peaks += self._told(change_trust(self._track, mask, self._integers, self._floats))
        for first in range(0, len(microvolts), PIECE):
            piece = microvolts[first : first + PIECE]
            self._piece[: len(piece)] = piece
            done = 0
            while done < len(piece):
                taken, events, self._row_count = advance(
                    self._track,
                    self._judge.confirm,
                    self._judge.provisional,
                    self._judge.trust,
                    self._limits,
                    self._piece,
                    done,
                    len(piece),
                    times.first_at_ns,
                    float(times.period_ns),
                    first,
                    self._integers,
                    self._floats,
                    self._rows,
                    self._row_count,
                )
                done = taken
                peaks += self._told(events)
        return tuple(peaks)

    def _told(self, count: int) -> list[RPeak]:
        """Turn the kernel's events into R-peaks; in columns, for a day of ECG read at once has 200,000 of them."""
        if not count:
            return []
        stage, number, lead, r_at_ns, error_ns, decided_at_ns, known = self._integers[:count].T.tolist()
        confidence, trust = self._floats[:count].T.tolist()
        least = self._settings.least_trust
        armed = [s == CONFIRMED and t >= least and n >= ARM_AFTER for s, t, n in zip(stage, trust, known, strict=True)]
        why_not = [
            None if a or s != CONFIRMED else _why_not(t, n, least)
            for s, a, t, n in zip(stage, armed, trust, known, strict=True)
        ]
        names, stages = [self._names[k] for k in lead], [STAGES[s] for s in stage]
        columns = (number, stages, r_at_ns, error_ns, confidence, names, decided_at_ns, trust, armed, why_not)
        return list(map(RPeak._make, zip(*columns, strict=True)))


def _why_not(trust: float, known: int, least: float) -> str:
    """Tell in words why a confirmed beat may not arm, so many being known."""
    if known < ARM_AFTER:
        return "the QRS is not known well yet"
    # what is below the least must not read as if it were there: so it is cut, not rounded
    return f"the ECG is {math.floor(1e4 * trust) / 100:g} % to be trusted, {100 * least:g} % are needed"
