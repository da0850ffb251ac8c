"""How alike a beat is to this patient's usual one: the shape of its QRS on all trusted leads.

Theory of operation
-------------------
1. Around a confirmed R-peak each lead is read on a grid of `STEP_MS`, from 100 ms before to 56 ms after it, whatever
   the rate: what there is when a beat is confirmed. The mean of a lead is taken out, for the baseline wanders.
2. The usual beat is kept lead by lead. The first `FIRST` beats choose it: the shape of most of them, or a clearly
   narrower one that comes twice, for ectopic beats may be the most. Beats like it make it follow (respiration, gain).
3. A beat is compared in four figures: the correlation over all leads, and how much less alike it is than this patient's
   beats are to one another; its width, the spread in time of its slopes' power; its size, the root of the power. The
   latter two are ratios to the usual beat's.
4. A new shape that comes `RELEARN` times in a row (`RELEARN_WIDE` if it is wider), each like the one before, is the
   usual one from then on: electrodes were swapped, or a bundle branch block began.

References: correlation with a running template and the width, for ventricular beats: Chazal 2004,
doi:10.1109/TBME.2004.827359 (shape and width of the QRS beside the RR intervals as features). Our deviations:

- causal, and decided 60 ms after the R-peak: the T wave takes no part;
- the spread of the slopes' power stands for the width: no onset and no offset have to be found in noise.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gating.sample_clock import BlockTimes

Floats = NDArray[np.float64]

STEP_MS = 4.0
GRID_MS = np.arange(-100.0, 56.0 + STEP_MS / 2, STEP_MS)
KEPT_MS = 400.0  # of samples before the newest block: a beat is confirmed 60 to 75 ms after its peak
FIRST = 6  # beats that choose the usual one
TWICE = 2  # of them have a shape that may be the usual one
ALIKE = 0.90  # correlation from which on a beat makes the usual one follow
SAME = 0.80  # from which on two beats have one shape
FOLLOW = 0.12  # of a beat alike goes into the usual one
RELEARN, RELEARN_WIDE = 8, 32  # beats of a new shape; of a wider one, which a run of ventricular beats would show too
WIDER = 1.15
LEAST_UV = 20.0  # RMS over the window; a lead that shows less has no shape
REMEMBERED, USUAL_SHARE = (
    24,
    0.4,
)  # beats; the quantile of how unlike they are: with a third of them ectopic it is sinus
LEAST_UNLIKE = 0.01  # one less correlation; below it there is no difference that would mean anything


@dataclass(frozen=True, slots=True)
class Shape:
    """How a beat compares with the usual one of this patient."""

    alike: float  # correlation over all trusted leads, -1..1
    unlike_ratio: float  # how much less alike than this patient's beats usually are: 1 is as usual
    width_ratio: float
    size_ratio: float


class Shapes:
    """Compares beats with the usual one. State: less than half a second of samples, and a few beats.

    Parameters
    ----------
    leads
        How many leads the stream has.
    rate_hz
        Of the stream, 100 to 2000.
    """

    def __init__(self, leads: int, rate_hz: float) -> None:
        self._kept = round(KEPT_MS * rate_hz / 1e3)
        self._samples = np.zeros((0, leads))
        self._newest_at_ns, self._period_ns = 0, 1e9 / rate_hz
        self._usual: Floats | None = None  # [lead, grid]
        self._known = np.zeros(leads, dtype=bool)
        self._first: list[Floats] = []
        self._unlike: deque[float] = deque(maxlen=REMEMBERED)
        self._others: deque[Floats] = deque(maxlen=RELEARN_WIDE)

    def take(self, microvolts: Floats, times: BlockTimes) -> None:
        """Take the samples of one block, microvolts, [sample, lead]."""
        self._samples = np.concatenate([self._samples[-self._kept :], microvolts])
        self._newest_at_ns, self._period_ns = times.newest_at_ns, float(times.period_ns)

    def forget(self) -> None:
        """Start anew after a gap: no window may reach across it."""
        self._samples = self._samples[:0]

    def compare(self, r_at_ns: int, trusted: tuple[bool, ...]) -> Shape | None:
        """Compare the beat at a confirmed R-peak with the usual one, and learn from it.

        Parameters
        ----------
        r_at_ns
            Time of its R-peak; within the last 300 ms.
        trusted
            Lead by lead: the others take no part.

        Returns
        -------
        Shape or None
            None while no usual beat is known, or no trusted lead shows anything.
        """
        beat = self._read(r_at_ns)
        if beat is None:
            return None
        leads = np.array(trusted) & (np.sqrt((beat * beat).mean(axis=1)) > LEAST_UV)
        if not leads.any():
            return None
        if self._usual is None:
            self._choose(beat, leads)
            return None
        compared = leads & self._known
        fresh = leads & ~self._known
        if not compared.any():
            self._usual, self._known = beat.copy(), leads
            return None
        shape = self._compared(beat[compared], self._usual[compared])
        self._learn(beat, leads, fresh, shape)
        return shape

    def _compared(self, beat: Floats, usual: Floats) -> Shape:
        """Compare two beats, [lead, grid], and remember how unlike they are."""
        alike = _alike(beat, usual)
        often = float(np.quantile(self._unlike, USUAL_SHARE)) if self._unlike else 2 * LEAST_UNLIKE
        self._unlike.append(1.0 - alike)
        size = float(np.sqrt((beat * beat).mean() / (usual * usual).mean()))
        ratio = (1.0 - alike + LEAST_UNLIKE) / (often + LEAST_UNLIKE)
        return Shape(alike, ratio, _width(beat) / _width(usual), size)

    def _read(self, r_at_ns: int) -> Floats | None:
        """Read the beat on the grid, [lead, grid], each lead less its mean; None if the samples do not reach."""
        newest = len(self._samples) - 1
        at = newest - (self._newest_at_ns - r_at_ns - GRID_MS * 1e6) / self._period_ns
        if newest < 1 or at[0] < 0.0 or at[-1] > newest + 2.0:
            return None
        at = np.minimum(at, newest)
        whole = np.minimum(at.astype(np.intp), newest - 1)
        part = (at - whole)[:, None]
        beat = (self._samples[whole] * (1.0 - part) + self._samples[whole + 1] * part).T
        return np.asarray(beat - beat.mean(axis=1, keepdims=True))

    def _choose(self, beat: Floats, leads: NDArray[np.bool_]) -> None:
        """Gather the first beats, then take the shape of most of them, or a clearly narrower one that comes twice."""
        self._first.append(beat)
        self._known = leads if len(self._first) == 1 else self._known & leads
        if not self._known.any():
            self._first = []
        if len(self._first) < FIRST:
            return
        seen = [one[self._known] for one in self._first]
        votes = [sum(_alike(one, other) > SAME for other in seen) for one in seen]
        widths = [_width(one) for one in seen]
        most = max(votes)
        narrow = min((k for k, vote in enumerate(votes) if vote >= most - 1), key=lambda k: widths[k])
        rarer = [k for k, vote in enumerate(votes) if vote >= TWICE and WIDER * widths[k] < widths[narrow]]
        narrow = min(rarer, key=lambda k: widths[k], default=narrow)
        like = [one for one, other in zip(self._first, seen, strict=True) if _alike(other, seen[narrow]) > SAME]
        self._usual, self._first = np.mean(like, axis=0), []

    def _learn(self, beat: Floats, leads: NDArray[np.bool_], fresh: NDArray[np.bool_], shape: Shape) -> None:
        """Let the usual beat follow one that is alike, learn leads that came, and take a new shape that stays."""
        if self._usual is None:
            return
        if shape.alike > ALIKE:
            old = leads & ~fresh
            self._usual[old] += FOLLOW * (beat[old] - self._usual[old])
            self._usual[fresh] = beat[fresh]
            self._known = self._known | fresh
            self._others.clear()
            return
        if self._others and _alike(beat[leads], self._others[-1][leads]) < SAME:
            self._others.clear()
        self._others.append(beat)
        if len(self._others) >= (RELEARN_WIDE if shape.width_ratio > WIDER else RELEARN):
            self._usual, self._known = np.mean(list(self._others)[-RELEARN:], axis=0), leads
            self._others.clear()


def _alike(one: Floats, other: Floats) -> float:
    """Give the correlation of two beats over all leads."""
    power = float((one * one).sum() * (other * other).sum())
    return float((one * other).sum() / np.sqrt(power)) if power > 0.0 else 0.0


def _width(beat: Floats) -> float:
    """Give the spread in time of the slopes' power, ms."""
    slopes = np.diff(beat, axis=1)
    power = (slopes * slopes).sum(axis=0)
    total = max(float(power.sum()), 1e-9)
    at = np.arange(len(power)) * STEP_MS
    centre = float((power * at).sum()) / total
    return max(float(np.sqrt((power * (at - centre) ** 2).sum() / total)), STEP_MS)
