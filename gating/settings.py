"""Frozen settings of the gate, one section per room, from TOML; an unknown key is refused by name.

Every default is a number with its reason beside it. Times are in the unit that the name ends in.
"""

import tomllib
from typing import Literal

import msgspec

from gating.errors import SettingsError


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all sections share: frozen, and no unknown keys."""


class SampleClockSettings(Section, frozen=True):
    """How arrival stamps become sample times."""

    window_s: float = 10.0  # of arrival stamps that the lower envelope rests on
    max_drift_ppm: float = 10_000.0  # 1 %: the box is not what it says it is (hazards.md S5)
    max_backlog_ms: float = 100.0  # older than this on arrival: the samples were held back (hazards.md S6)
    max_gap_ms: float = 20.0  # lost samples that a detector may bridge (hazards.md S4)


class LeadSettings(Section, frozen=True):
    """When a lead is not to be trusted."""

    flat_uv: float = 20.0  # peak to peak over `flat_s` (hazards.md E1)
    flat_s: float = 1.0
    rail_samples: int = 3  # in 100 ms (hazards.md E2)
    restore_s: float = 1.0  # a lead must be good for so long before it is trusted again
    open_ms: float = 180.0  # an open electrode must show itself for so long; the widest QRS is rough and steep for less
    open_rough_uv: float = 120.0  # RMS in 20 ms beside a straight line; patients' noise is 15-40 µV
    open_drift_mv_per_s: float = 6.0  # steadily one way; a T wave's flank is shorter, a patient's wander slower
    open_offset_uv: float = 6000.0  # off the baseline for 40 ms; no QRS is so high
    baseline_s: float = 0.5  # how fast the baseline follows


class RPeakSettings(Section, frozen=True):
    """The detector."""

    # the judge knows the time since the last beat; before this only a QRS may be told that shows the last one mistaken
    refractory_ms: float = 120.0
    confirm_after_ms: float = 60.0  # after the peak; the S downstroke must be seen (ecg.md section 3)
    learn_s: float = 1.3  # the levels; the first beat behind it is confirmed
    least_trust: float = 0.9985  # below it a beat is shown and does not arm


class RhythmSettings(Section, frozen=True):
    """What counts as steady. Sources: gating.md sections 2.2 and 4.2, hazards.md E5-E10."""

    beats: int = 8  # RR intervals that the figures rest on
    premature_below: float = 0.85  # of the running RR: RR 15 % shorter than average (Spacelabs, gating.md S35)
    early_below: float = 0.93  # of the running RR, where it also lies `early_sd` below it (ours: late-coupled beats)
    early_sd: float = 4.0  # of the last intervals, robust
    pause_above: float = 1.8  # of the running RR (gating.md S35)
    steady_sd_ms: float = 50.0  # of the normal intervals; about 3 bpm at 60 bpm (gating.md S55)
    steady_again_sd_ms: float = 40.0  # hysteresis: variable until it falls below this (ours)
    irregular_beats: int = 16  # RR intervals that irregularity is judged on
    irregular_above: float = 0.10  # median |successive difference| over median RR: AF lies near 0.2, sinus below 0.05
    regular_below: float = 0.06  # hysteresis: irregular until it falls below this
    min_rate_bpm: float = 35.0
    max_rate_bpm: float = 140.0  # two beats in a row above it inhibit (hazards.md E10)


class PredictionSettings(Section, frozen=True):
    """The next RR interval."""

    coverage: float = 0.95  # of the stated interval; at most 0.99
    min_beats: int = 4  # sinus intervals that must be known


class TableRow(Section, frozen=True):
    """One row of a scanner's table: below this mean heart rate, the centre lies at this share of RR."""

    below_bpm: float
    percent_rr: float


class WindowSettings(Section, frozen=True):
    """Where the exposure lies."""

    policy: Literal["least_blur_dose", "percent_rr", "absolute_ms", "vendor_table"] = "least_blur_dose"
    phase: Literal["auto", "systole", "diastole"] = "auto"  # which rests least_blur_dose may choose
    coverage: float = (
        0.90  # least probability of rest that a window is wanted to have; the best counts where none has it
    )
    irregular: Literal["absolute_ms", "interval_before"] = "absolute_ms"  # where systole lies in fibrillation
    absolute_centre_ms: float = 300.0  # AF: single best phase after R (gating.md S60, S61)
    percent_rr: float = 75.0  # centre of percent_rr, of the mean of the last RR intervals (the scanners' way)
    vendor_table: tuple[TableRow, ...] = (  # diastole below 70 bpm, systole from there on (gating.md S13, S14)
        TableRow(below_bpm=70.0, percent_rr=75.0),
        TableRow(below_bpm=1000.0, percent_rr=40.0),
    )
    padding_ms: float = 0.0  # of the fixed policies
    earliest_open_ms: float = 190.0  # after R; an earlier window is moved or refused (ecg.md section 3)
    guard_before_next_r_ms: float = 10.0  # the window must close so long before the earliest next R foretold
    open_tolerance_ms: float = 5.0  # latest_open_at minus opens_at


class RehearsalSettings(Section, frozen=True):
    """The rehearsal of the breath-hold, and what is advised from it."""

    hold_s: float = 18.0  # how long the patient is asked to hold: a scan of 7 beats needs 10 to 15 s
    least_s: float = 12.0
    least_beats: int = 8  # usable ones in the hold
    least_before: int = 4
    draws: int = 1000  # of the forecast
    complete_above: float = 0.95  # chance to complete in one breath-hold, below which it is not GO
    complete_below: float = 0.50  # NO-GO
    gain_for_change: float = 0.10  # of the share at rest: what another policy must be better by
    settled_drift_bpm: float = 5.0  # per 10 s; more: the rate still falls or rises (S16: good to 5 bpm)
    least_at_rest: float = 0.10  # share of the slabs, below which a lower rate is worth waiting for
    calm_bpm: float = 65.0  # the rate above which a site pays twice the dose (gating.md S7)
    most_ectopic_share: float = 0.15  # of the beats in the hold
    af_above: float = 0.5  # probability


class InterlockSettings(Section, frozen=True):
    """The vetoes' limits."""

    keep_alive_ms: float = 120.0  # good_until minus the newest trusted sample (architecture.md section 5)
    max_sample_age_ms: float = 100.0
    keep_alive_every_ms: float = 40.0
    min_beats: int = 8  # confirmed beats before the first window, and after an inhibit
    max_crc_share: float = 0.01  # of the frames of one second (hazards.md S3)
    standstill_min_s: float = 2.0  # without an R-peak: max(this, 1.5 RR), at most `standstill_max_s` (hazards.md E9)
    standstill_max_s: float = 3.0
    silence_ms: float = 150.0  # without a block: the line is dead (hazards.md G3)
    lead_margin_ms: float = 10.0  # between issuing a trigger and its expiry, at least


class GateSettings(Section, frozen=True):
    """All rooms of the gate."""

    frontend: str = "healthypi6"
    source: str = "serial"
    simulated: bool = False
    boot: str = "unnamed"  # drawn by the shell at start
    key_id: str | None = None  # of the gate's own key; an Armed for another gate is not ours
    sample_clock: SampleClockSettings = SampleClockSettings()
    leads: LeadSettings = LeadSettings()
    r_peak: RPeakSettings = RPeakSettings()
    rhythm: RhythmSettings = RhythmSettings()
    prediction: PredictionSettings = PredictionSettings()
    window: WindowSettings = WindowSettings()
    rehearsal: RehearsalSettings = RehearsalSettings()
    interlocks: InterlockSettings = InterlockSettings()


class MqttSettings(Section, frozen=True):
    """The broker. Relative paths count from the site file's folder.

    `{role}` in `username` and `password_file` becomes gate, bridge, operator or monitor: one site file then serves all
    processes, each as a user of its own, as a broker with an access list wants it.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    username: str | None = None
    password_file: str | None = None  # its first line
    tls_ca_file: str | None = None
    users_file: str | None = None  # for `diastole broker`: `user:argon2-hash` lines; None: anonymous, loopback only


class KeySettings(Section, frozen=True):
    """Where the keys lie: the own private key and the peers' public keys."""

    folder: str = "keys"  # <role>.key (own, mode 0600) and <role>.pub; relative to the site file's folder


class SerialSettings(Section, frozen=True):
    """The serial port of the ECG box."""

    port: str  # a name that stays: /dev/serial/by-id/...
    baud: int | None = None  # None: what the frontend declares


class MonitorSettings(Section, frozen=True):
    """The radiographer's page."""

    host: str = "127.0.0.1"  # the page is not secret inside the room, but nobody serves it to a network by accident
    port: int = 8750  # 0: any free one
    names: tuple[str, ...] = ()  # of this host in a browser, beside localhost and addresses (hazards.md W2)
    token_file: str | None = None  # if set, the page's address must end in ?token=<first line of this file>


class SiteSettings(Section, frozen=True):
    """A whole site file. Each process reads its own section; `bridge` and `scoring` are checked by theirs."""

    site: str
    out: str = "out"  # journal and audit
    mqtt: MqttSettings = MqttSettings()
    keys: KeySettings = KeySettings()
    serial: SerialSettings | None = None
    gate: GateSettings = GateSettings()
    monitor: MonitorSettings = MonitorSettings()
    bridge: dict[str, object] = msgspec.field(default_factory=dict)
    scoring: dict[str, object] = msgspec.field(default_factory=dict)


def parse_site(text: str, origin: str) -> SiteSettings:
    """Parse a site file from TOML text; `origin` names it in an error.

    Raises
    ------
    SettingsError
        If the text is not TOML, has an unknown key, or a value of a wrong type.
    """
    try:
        return msgspec.convert(tomllib.loads(text), SiteSettings)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"Site file {origin} is not TOML ({error}); mend that line.") from error
    except msgspec.ValidationError as error:
        raise SettingsError(f"Site file {origin}: {error}; see gating/README.md for the keys.") from error
