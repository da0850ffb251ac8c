"""One clinical story: the patient's rhythm, breath and anatomy, what goes wrong, the scanner, and what is expected.

A scenario is TOML text (see `scenarios/`), read by `simulators.io` and parsed here; unknown keys are refused by name.
Patient time counts seconds from the first sample of the ECG box.
"""

import tomllib
from typing import Literal

import msgspec

from gating.errors import SettingsError


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all sections share: frozen, named values only."""


class Respiration(Section, frozen=True):
    """Breathing, and what it does to the heart rate and to the position of the heart."""

    rate_per_min: float = 15.0
    rsa_bpm: float = 2.0  # peak rate change by *slow* breathing; 0.43 of it is left at 15/min (gating.md section 5)
    hold_begins_at_s: float = 14.0  # the patient begins to hold the breath; the operator says so at the same instant
    hold_fails_after_s: float | None = None  # free breathing from then on
    hold_rate_change_bpm: float = -4.0  # settled change during the hold
    caudal_mm: float = 4.9  # heart displacement per tidal breath (Shechter 2004)
    drift_mm_per_s: float = 0.3  # diaphragm drift during the hold


class RhythmStory(Section, frozen=True):
    """The heart's own rhythm."""

    kind: Literal["sinus", "af"] = "sinus"
    rate_bpm: float = 60.0
    noise_ms: float = 6.0  # white beat-to-beat noise, SD
    wave_ms: float = 4.0  # amplitude of the 0.1 Hz wave
    af_range_bpm: float = 70.0
    pvc_every_beats: float | None = None  # mean distance of ventricular premature beats; None: none
    pvc_coupling: tuple[float, float] = (0.6, 0.8)  # of the running RR
    pauses_at_s: tuple[float, ...] = ()
    pause_ms: float = 2500.0


class EcgStory(Section, frozen=True):
    """What the electrodes add."""

    noise_uv: float = 15.0
    wander_uv: float = 80.0
    mains_uv: float = 5.0
    mains_hz: float = 50.0
    amplitude: float = 1.0


class Box(Section, frozen=True):
    """The ECG box and its line."""

    frontend: str = "healthypi6"
    samples_per_block: int = 16
    drift_ppm: float = 20.0
    link_delay_ms: float = 1.0


class RestPhase(Section, frozen=True):
    """How this patient's rest phases lie against the published mean, in ms. Unknown to the gate.

    `drawn`: drawn from the published spread with the scenario's seed; the offsets are then added to the draw.
    """

    drawn: bool = False
    systole_offset_ms: float = 0.0
    diastole_offset_ms: float = 0.0


class Anatomy(Section, frozen=True):
    """The body and its calcium. Lesions are drawn from the seed.

    With a `group` ("white M"; see `burden.SCORES`) and an `age` the patient's score is drawn from those of such people,
    or is that at the `level` (0..1) given, and `lesions` and `radius_mm` are not used.
    """

    seed: int | None = None  # None: the scenario's seed
    body: Literal["small", "medium", "large"] = "small"  # 300 x 204, 350 x 250, 400 x 300 mm
    heart_scale: float = 1.0
    heart_drawn: bool = False  # size and place drawn about those
    group: str | None = None
    age: float = 60.0
    level: float | None = None
    others: tuple[Literal["stent", "valve", "aortic-wall"], ...] = ()  # dense, and not to be scored
    lesions: dict[str, int] = msgspec.field(default_factory=lambda: {"LM": 1, "LAD": 4, "LCX": 2, "RCA": 3})
    density_mg_per_cc: tuple[float, float] = (250.0, 700.0)
    radius_mm: tuple[float, float] = (1.0, 2.4)


class Scanner(Section, frozen=True):
    """What the simulated scanner can do."""

    rotation_ms: float = 280.0
    sources: int = 1
    steps: int = 4
    slices_per_step: int = 12
    collimation_mm: float = 40.0  # 20, 40, 80 or 160 mm on today's scanners; the feed must fit into it
    tube_current_ma: float = 290.0
    kvp: int = 120
    polychromatic: bool = False  # a spectrum of kvp in water and hydroxyapatite; else 70 keV, which stands for 120 kV
    focal_spot_mm: float | None = None  # blurs the views, with the width of a channel; None: ideal rays
    scout: bool = False  # range, field of view and, with a noise target, the current come from two scouts
    noise_target_hu: float | None = None  # SD in the middle of the heart
    reference_dlp_mgycm: float | None = None  # the site's reference level of a calcium scan
    effective_dose: Literal["legacy chest", "ICRP 103 calcium"] = "legacy chest"  # the factor from DLP to mSv
    matrix: int = 512
    table_move_ms: float = 700.0
    seed_angle_deg: float | None = None  # None: drawn from the seed


class Fault(Section, frozen=True):
    """One thing that goes wrong, from `at_s` (patient time) to `until_s` (None: for good)."""

    kind: Literal[
        "electrode-off",  # `electrode` says which, `shows_as` how it looks on a box without flags
        "unplug",  # the serial line goes away
        "garbage",  # bytes that are no frames
        "stall",  # bytes are held back, then come in a burst
    ]
    at_s: float
    until_s: float | None = None
    electrode: Literal["RA", "LA", "LL", "V1"] = "LL"
    shows_as: Literal["flat", "hum", "drift", "rail", "noise"] = "hum"


class Expected(Section, frozen=True):
    """What a whole run of this story must show."""

    complete: bool | None = None  # None: either way
    why_not: str | None = None  # stands in the reason of an inhibit


class Scenario(Section, frozen=True):
    """The whole story."""

    name: str
    story: str
    seed: int = 1
    rhythm: RhythmStory = RhythmStory()
    respiration: Respiration = Respiration()
    ecg: EcgStory = EcgStory()
    box: Box = Box()
    rest_phase: RestPhase = RestPhase()
    anatomy: Anatomy = Anatomy()
    scanner: Scanner = Scanner()
    faults: tuple[Fault, ...] = ()
    expected: Expected = Expected()


def parse_scenario(text: str, origin: str) -> Scenario:
    """Parse a scenario from TOML text; `origin` names it in an error.

    Raises
    ------
    SettingsError
        If the text is not TOML, has an unknown key, or a value of a wrong type.
    """
    try:
        return msgspec.convert(tomllib.loads(text), Scenario)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"Scenario {origin} is not TOML ({error}); mend that line.") from error
    except msgspec.ValidationError as error:
        raise SettingsError(f"Scenario {origin}: {error}; see simulators/README.md for the keys.") from error


def reseeded(scenario: Scenario, seed: int) -> Scenario:
    """Give the same story with another seed."""
    return msgspec.structs.replace(scenario, seed=seed)
