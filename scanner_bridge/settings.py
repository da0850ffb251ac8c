"""Frozen settings of the bridge, parsed from the `[bridge]` section of a site file; unknown keys are refused by name.

Every default is a number with its reason beside it. A limit here can only tighten what a plan or a driver allows.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta

from gating.errors import SettingsError
from scanner_bridge.dose import LEAST_KVP, MOST_KVP, PROTOCOL_KVP, FactorName

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all sections share: frozen, and no unknown keys."""


class PlanSettings(Section, frozen=True):
    """What the site scans: range, technique and limits. `plan.plan_from` turns it into the plan."""

    plan_id: str = "calcium"
    patient: str = "P-0001"  # a pseudonym; a name never crosses a process
    steps: Annotated[int, Meta(ge=1, le=32)] = 4
    first_table_mm: float = -54.0  # centre of the first slab; -54, -18, 18, 54 by default (gating.md section 5 item 8)
    slices_per_step: Annotated[int, Meta(ge=1, le=256)] = 12  # the feed is a whole number of slices: 36 mm
    slice_thickness_mm: Positive = 3.0
    collimation_mm: Positive = 40.0
    sources: Annotated[int, Meta(ge=1, le=2)] = 1  # 2: dual source; its current is that of each tube
    rotation_ms: Positive = 280.0
    fan_deg: Positive = 52.0  # the twin's fan (ct-simulation.md)
    feather_deg: NotNegative = 20.0
    kvp: Annotated[int, Meta(ge=LEAST_KVP, le=MOST_KVP)] = PROTOCOL_KVP
    tube_current_ma: Positive = 290.0  # 57 mAs in the half-scan, the 0.9 mSv protocol of gating.md S72
    matrix: Annotated[int, Meta(ge=16, le=1024)] = 512
    fov_mm: Positive = 220.0
    centre_x_mm: float = 0.0
    centre_y_mm: float = 0.0
    kernel_cutoff: Annotated[float, Meta(gt=0, le=1)] = 0.5  # the medium kernel of ct-simulation.md
    table_move_ms: Positive = 700.0
    max_repeats: Annotated[int, Meta(ge=0, le=3)] = 1
    max_padding_ms: NotNegative = 100.0  # scanners offer 0-150 ms at +45 % dose per 100 ms (gating.md S11)
    max_exposure_ms: Positive = 350.0  # hard cap of one exposure, whatever half-scan and padding say
    scout_dlp_mgycm: NotNegative = 0.0  # that the patient got for planning this scan; counted in its dose
    reference_dlp_mgycm: Positive | None = None  # the site's reference level of a calcium scan; None: it has none
    effective_dose: FactorName = "legacy chest"  # the factor from DLP to mSv, and so what the ceiling means
    dose_ceiling_msv: Positive = 2.3  # of the patient, all sessions: the median of CAC protocols (gating.md S75)
    settle_s: NotNegative = 3.0  # the heart rate settles 1-3 s after the hold began (gating.md section 5 item 1)
    breath_hold_limit_s: Annotated[float, Meta(gt=0, le=20)] = 20.0
    arm_limit_s: Annotated[float, Meta(gt=0, le=120)] = 120.0


class LimitSettings(Section, frozen=True):
    """What the bridge checks again on its own clock. Sources: architecture.md section 5, hazards.md T, M and L."""

    min_lead_ms: NotNegative = 20.0  # between command and opening, at least; the driver may need more
    dispatch_margin_ms: NotNegative = 20.0  # a command leaves so long before it would be late: a busy machine's timer
    lease_ms: Annotated[float, Meta(gt=0, le=120)] = 120.0  # of a keep-alive, from the newest sample and from arrival
    max_sample_age_ms: Annotated[float, Meta(gt=0, le=100)] = 100.0  # of the newest sample when the command leaves (I4)
    clock_uncertainty_ms: Annotated[float, Meta(gt=0, le=10)] = 10.0
    clock_fresh_s: Positive = 3.0  # a clock measurement older than this counts for nothing
    late_open_ms: NotNegative = 10.0  # `latest_open` lies at most so long after `opens`
    max_ahead_ms: Positive = 3000.0  # a window further ahead than the longest RR belongs to no current beat
    read_back_ms: Positive = 50.0  # after an instant at which the scanner owed word (software timer p99.9: 42 ms)
    table_timeout_s: Positive = 10.0  # a move that takes longer has failed
    forged_count: Annotated[int, Meta(ge=1, le=3)] = 3  # forged messages ...
    forged_window_s: Positive = 10.0  # ... within this time latch an inhibit (hazards.md M6)
    messages_per_s: Annotated[int, Meta(ge=1, le=1000)] = 100  # more is a flood (hazards.md M8)
    status_every_ms: Positive = 500.0
    ping_every_ms: Positive = 500.0


class WatchdogSettings(Section, frozen=True):
    """The separate process that stops the scanner when the bridge falls silent."""

    silence_ms: Positive = 300.0
    beat_ms: Positive = 50.0  # the bridge's loop writes so often; six may fail


class BridgeSettings(Section, frozen=True):
    """All of the bridge."""

    driver: str = "null"
    driver_options: dict[str, object] = msgspec.field(default_factory=dict)  # judged by the driver itself
    real_scanner: bool = False  # a driver that is not simulated moves only with this (hazards.md B9)
    command_deadline_ms: Positive = 100.0  # a driver that takes longer over a command has failed (hazards.md B2)
    plan: PlanSettings = PlanSettings()
    limits: LimitSettings = LimitSettings()
    watchdog: WatchdogSettings = WatchdogSettings()


def parse_bridge(section: Mapping[str, object], origin: str) -> BridgeSettings:
    """Parse the `[bridge]` section of a site file; `origin` names the file in an error.

    Raises
    ------
    SettingsError
        If a key is unknown, or a value has a wrong type or lies outside its range.
    """
    try:
        return msgspec.convert(dict(section), BridgeSettings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"[bridge] in {origin}: {error}; see scanner_bridge/README.md for the keys.") from error
