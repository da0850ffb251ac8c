"""What a detector told, against annotated beats: counts, delays, errors of time, trust. Offline; the gate needs none.

Method
------
ANSI/AAMI EC57 beat by beat. A told beat and an annotated one within the tolerance (150 ms) make a pair, one to one,
*the closest pairs first*; of equals the earlier. A pair is a true positive, an annotated beat without one is missed
(FN), a told beat without one is false (FP). The learning period is matched too and not counted, so a pair across its
end does no harm. Inside ventricular flutter, 150 ms more on either side, nothing is missed and nothing false.

Deviations from EC57's `bxb`: it pairs in the order of time, which differs only where two beats lie within 150 ms of
one; closest first, the pairs of a tighter tolerance are those of a wider one that are close enough. Nothing is
left out at the end of a record.

References
----------
ANSI/AAMI EC57:2012, section 4.3. PhysioNet WFDB, `bxb`. Reklewski et al. 2024, Sensors 24(5):1698 (tight tolerances).
Guo et al. 2017, ICML (expected calibration error).
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Kind = Literal["provisional", "confirmed", "withdrawn"]

TOLERANCE_MS = 150.0
TOLERANCES_MS = (8.0, 16.0, 32.0, 64.0, 100.0, 150.0)
FLUTTER_MARGIN_S = 0.150
SHORT_S = 10.0  # of a record too short for the learning period, so much is not scored
PREMATURE = 0.8  # of the mean of the last RR intervals
PREMATURE_RR = 8
LEAST_RR = 4  # fewer tell no usual interval
KNOWN_MS = (35.0, 85.0)
TRUST_BINS = 10


@dataclass(frozen=True, slots=True)
class Decision:
    """One word of the detector on one beat."""

    number: int
    kind: Kind
    r_sample: float
    emitted_sample: float  # the sample that decided
    trust: float
    armed: bool


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """The beats that one detector told, in rising order of their R; a peer that looks ahead emits nothing in time."""

    r_sample: Floats
    emitted_sample: Floats
    trust: Floats
    armed: Booleans


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The annotated beats of one record and what of them counts."""

    beats: Floats  # sample numbers, rising
    rate_hz: float
    first: float  # sample number from which beats count
    flutter: tuple[tuple[float, float], ...] = ()  # first and last sample of each episode

    def counts(self, samples: Floats) -> Booleans:
        """Tell which of these sample numbers lie where beats are scored."""
        good: Booleans = samples >= self.first
        margin = FLUTTER_MARGIN_S * self.rate_hz
        for first, last in self.flutter:
            good &= (samples < first - margin) | (samples > last + margin)
        return good


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One detector's beats beside the annotated ones, those that count; the outcomes of records can be pooled."""

    beat_sample: Floats  # [beat] of the annotation
    beat_error_ms: Floats  # [beat] R as told minus annotation; NaN: missed
    beat_delay_ms: Floats  # [beat] sample that decided minus annotation; NaN: missed, or told offline
    beat_armed: Booleans  # [beat]
    beat_premature: Booleans  # [beat]
    beat_centred_ms: Floats  # [beat] error less the median error in its record
    period_ms: Floats  # [beat] of its record's samples
    told_sample: Floats  # [told]
    told_error_ms: Floats  # [told] NaN: false
    told_trust: Floats  # [told]
    told_armed: Booleans  # [told]


@dataclass(frozen=True, slots=True)
class Counts:
    """Beats found, missed and false at one tolerance; the shares are NaN where there is nothing to share."""

    tolerance_ms: float
    tp: int
    fn: int
    fp: int
    se_percent: float
    ppv_percent: float


@dataclass(frozen=True, slots=True)
class Delays:
    """From the annotated beat to the sample that made it known."""

    median_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Errors:
    """R as told minus the annotation; centred: each record's own median taken out."""

    bias_ms: float
    median_ms: float
    sd_ms: float
    sd_centred_ms: float
    p95_abs_ms: float
    within_one_sample_percent: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One detector at one stage."""

    beats: int
    counts: Counts  # at 150 ms
    tolerances: tuple[Counts, ...]
    delay: Delays
    error: Errors


@dataclass(frozen=True, slots=True)
class Armed:
    """The beats that may book an exposure."""

    armed: int
    ppv_percent: float
    share_of_beats_percent: float


@dataclass(frozen=True, slots=True)
class Premature:
    """Annotated beats that came early, and how many were known in time, provisional or confirmed."""

    beats: int
    known_35_ms_percent: float
    known_85_ms_percent: float


@dataclass(frozen=True, slots=True)
class TrustBin:
    """Confirmed beats of like trust."""

    from_trust: float
    to_trust: float
    told: int
    mean_trust: float
    true_share: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Trust as stated against the share of beats that were true."""

    bins: tuple[TrustBin, ...]
    expected_error: float


# --- what was told --------------------------------------------------------------------------------------


def first_words(decisions: Iterable[Decision]) -> Told:
    """Take the first word on each beat, provisional or confirmed at once; one withdrawn later was told all the same."""
    first: dict[int, Decision] = {}
    for one in decisions:
        if one.kind != "withdrawn":
            first.setdefault(one.number, one)
    return _told(list(first.values()))


def confirmed_words(decisions: Iterable[Decision]) -> Told:
    """Take the confirmed beats."""
    return _told([one for one in decisions if one.kind == "confirmed"])


def told_offline(samples: Iterable[float]) -> Told:
    """Take the beats of a detector that saw the whole record: no time of telling, no trust."""
    r_sample = np.sort(np.asarray(list(samples), dtype=np.float64))
    nothing = np.full(len(r_sample), np.nan)
    return Told(r_sample, nothing, nothing, np.zeros(len(r_sample), dtype=np.bool_))


def _told(words: list[Decision]) -> Told:
    words = sorted(words, key=lambda one: one.r_sample)
    return Told(
        np.array([one.r_sample for one in words], dtype=np.float64),
        np.array([one.emitted_sample for one in words], dtype=np.float64),
        np.array([one.trust for one in words], dtype=np.float64),
        np.array([one.armed for one in words], dtype=np.bool_),
    )


# --- matching -------------------------------------------------------------------------------------------


def scored_from(samples: int, rate_hz: float, learning_s: float) -> tuple[float, bool]:
    """Give the first sample that is scored, and whether the record is too short for the learning period.

    A record shorter than twice that period is scored after its first 10 s.
    """
    if samples < 2.0 * learning_s * rate_hz:
        return min(SHORT_S, learning_s) * rate_hz, True
    return learning_s * rate_hz, False


def match(beats: Floats, told: Floats, tolerance: float) -> Integers:
    """Pair annotated beats with told ones, one to one, the closest first.

    Parameters
    ----------
    beats, told : arrays of float64
        Sample numbers, rising.
    tolerance : float
        Largest distance of a pair, in samples, itself allowed.

    Returns
    -------
    array of int64, one per annotated beat
        The place of its partner in `told`; -1: none.
    """
    begin = np.searchsorted(told, beats - tolerance, side="left")
    end = np.searchsorted(told, beats + tolerance, side="right")
    pairs = [
        (abs(told[k] - beat), place, k)
        for place, beat in enumerate(beats)
        for k in range(int(begin[place]), int(end[place]))
    ]
    partner = np.full(len(beats), -1, dtype=np.int64)
    taken: set[int] = set()
    for _, place, k in sorted(pairs):
        if partner[place] < 0 and k not in taken:
            partner[place] = k
            taken.add(k)
    return partner


def outcome(truth: Truth, told: Told) -> Outcome:
    """Match what was told of one record, and keep what counts."""
    to_ms = 1e3 / truth.rate_hz
    partner = match(truth.beats, told.r_sample, TOLERANCE_MS / to_ms)
    paired = partner >= 0
    beat_error_ms = np.full(len(truth.beats), np.nan)
    beat_delay_ms = np.full(len(truth.beats), np.nan)
    beat_armed = np.zeros(len(truth.beats), dtype=np.bool_)
    told_error_ms = np.full(len(told.r_sample), np.nan)
    beat_error_ms[paired] = (told.r_sample[partner[paired]] - truth.beats[paired]) * to_ms
    beat_delay_ms[paired] = (told.emitted_sample[partner[paired]] - truth.beats[paired]) * to_ms
    beat_armed[paired] = told.armed[partner[paired]]
    told_error_ms[partner[paired]] = beat_error_ms[paired]
    beat_counts, told_counts = truth.counts(truth.beats), truth.counts(told.r_sample)
    # the partner of a beat that counts does so too, though it lies just before the border, and the other way round
    told_counts[partner[paired]] = beat_counts[paired]
    error_ms = beat_error_ms[beat_counts]
    known = error_ms[np.isfinite(error_ms)]
    return Outcome(
        beat_sample=truth.beats[beat_counts],
        beat_error_ms=error_ms,
        beat_delay_ms=beat_delay_ms[beat_counts],
        beat_armed=beat_armed[beat_counts],
        beat_premature=premature_beats(truth)[beat_counts],
        beat_centred_ms=error_ms - (np.median(known) if len(known) else 0.0),
        period_ms=np.full(len(error_ms), to_ms),
        told_sample=told.r_sample[told_counts],
        told_error_ms=told_error_ms[told_counts],
        told_trust=told.trust[told_counts],
        told_armed=told.armed[told_counts],
    )


def premature_beats(truth: Truth) -> Booleans:
    """Tell which annotated beats end an RR interval below 80 % of the mean of the last 8 before it.

    An interval that holds an episode of flutter is none.
    """
    rr = np.diff(truth.beats)
    for first, last in truth.flutter:
        rr[(truth.beats[:-1] <= last) & (truth.beats[1:] >= first)] = np.nan
    early = np.zeros(len(truth.beats), dtype=np.bool_)
    for k in range(len(rr)):
        before = rr[max(0, k - PREMATURE_RR) : k]
        before = before[np.isfinite(before)]
        early[k + 1] = len(before) >= LEAST_RR and rr[k] < PREMATURE * before.mean()
    return early


def pooled(outcomes: Iterable[Outcome]) -> Outcome:
    """Put the beats of all records into one heap, for the gross figures."""
    each = list(outcomes)
    return Outcome(**{one.name: np.concatenate([getattr(part, one.name) for part in each]) for one in fields(Outcome)})


# --- figures --------------------------------------------------------------------------------------------


def counts_at(result: Outcome, tolerance_ms: float) -> Counts:
    """Count at one tolerance; a pair further apart is a beat missed and a false one."""
    tp = int((np.abs(result.beat_error_ms) <= tolerance_ms).sum())
    fn = len(result.beat_error_ms) - tp
    fp = len(result.told_error_ms) - int((np.abs(result.told_error_ms) <= tolerance_ms).sum())
    return Counts(tolerance_ms, tp, fn, fp, percent(tp, tp + fn), percent(tp, tp + fp))


def figures(result: Outcome) -> Figures:
    """Give the figures of one record, or of all."""
    each = tuple(counts_at(result, tolerance_ms) for tolerance_ms in TOLERANCES_MS)
    found = np.isfinite(result.beat_error_ms)
    error_ms, period_ms = result.beat_error_ms[found], result.period_ms[found]
    delay_ms = result.beat_delay_ms[np.isfinite(result.beat_delay_ms)]
    p50, p95, p99, most = _percentiles(delay_ms, (50, 95, 99, 100))
    exact = int((np.abs(error_ms) <= period_ms * (1 + 1e-4)).sum())  # r is told in whole nanoseconds
    return Figures(
        beats=len(result.beat_error_ms),
        counts=each[-1],
        tolerances=each,
        delay=Delays(p50, p95, p99, most),
        error=Errors(
            bias_ms=float(error_ms.mean()) if len(error_ms) else np.nan,
            median_ms=_percentiles(error_ms, (50,))[0],
            sd_ms=float(error_ms.std()) if len(error_ms) else np.nan,
            sd_centred_ms=float(result.beat_centred_ms[found].std()) if len(error_ms) else np.nan,
            p95_abs_ms=_percentiles(np.abs(error_ms), (95,))[0],
            within_one_sample_percent=percent(exact, len(error_ms)),
        ),
    )


def average(each: Iterable[Figures]) -> tuple[float, float]:
    """Give Se and +P averaged over the records, each of the same weight; a record without a share is left out."""
    listed = list(each)
    shares = np.array([(one.counts.se_percent, one.counts.ppv_percent) for one in listed]).reshape(-1, 2)
    means = [float(column[np.isfinite(column)].mean()) if np.isfinite(column).any() else np.nan for column in shares.T]
    return means[0], means[1]


def armed(confirmed: Outcome) -> Armed:
    """Give how right the armed beats were, and how many of the true ones were armed."""
    true = confirmed.told_armed & np.isfinite(confirmed.told_error_ms)
    count = int(confirmed.told_armed.sum())
    share = percent(int(confirmed.beat_armed.sum()), len(confirmed.beat_armed))
    return Armed(count, percent(int(true.sum()), count), share)


def premature(first: Outcome, confirmed: Outcome) -> Premature:
    """Give how many premature beats were known 35 and 85 ms after their annotated R, by either word."""
    known_ms = np.fmin(first.beat_delay_ms, confirmed.beat_delay_ms)[first.beat_premature]
    shares = [percent(int((known_ms <= limit_ms).sum()), len(known_ms)) for limit_ms in KNOWN_MS]
    return Premature(len(known_ms), shares[0], shares[1])


def calibration(confirmed: Outcome) -> Calibration:
    """Compare the trust of the confirmed beats with the share of them that were true, in ten bins.

    The expected error is the mean distance of the two over the bins, weighted by their beats.
    """
    true = np.isfinite(confirmed.told_error_ms)
    trust = confirmed.told_trust
    place = np.minimum((trust * TRUST_BINS).astype(np.int64), TRUST_BINS - 1)
    bins = []
    for k in range(TRUST_BINS):
        inside = place == k
        told = int(inside.sum())
        stated, share = (float(trust[inside].mean()), float(true[inside].mean())) if told else (np.nan, np.nan)
        bins.append(TrustBin(k / TRUST_BINS, (k + 1) / TRUST_BINS, told, stated, share))
    apart = sum(one.told * abs(one.mean_trust - one.true_share) for one in bins if one.told)
    return Calibration(tuple(bins), apart / len(trust) if len(trust) else np.nan)


def percent(part: int, whole: int) -> float:
    """Give a share in percent; NaN of nothing."""
    return 100.0 * part / whole if whole else float("nan")


def _percentiles(values: Floats, which: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(np.percentile(values, which).tolist()) if len(values) else (float("nan"),) * len(which)
