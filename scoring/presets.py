"""The settings of the definitions in use, by name: two right programs can disagree, so they stand side by side.

References
----------
Agatston 1990, doi:10.1016/0735-1097(90)90282-T. The vendors' minimum areas and thresholds as a validated open
program for the QRM phantom has them (van Praagh 2021, doi:10.1002/mp.14912): Philips 0.5 mm2, volume and mass from
100 mg/cm3 of hydroxyapatite, 99 / 0.88 HU; GE as published in 1990; Siemens none; Canon three pixels. A paper on a
later Siemens version says 0.5 mm2.

Our deviations:

- these are for comparison only: no vendor's program was run, and each has more rules than are published;
- all other decisions are ours for all of them (scoring/README.md, section 1), so that one row differs from the next by
  nothing but what is written here.
"""

from typing import Literal, get_args

from msgspec.structs import replace

from scoring.settings import ScoreSettings

PresetName = Literal["agatston1990", "siemens", "philips", "ge", "canon"]
PRESET_NAMES: tuple[PresetName, ...] = get_args(PresetName)
OWN = "own settings"
# what a user declares or wants to be told of; none of it moves a number
BESIDE_THE_NUMBER = (
    "kv_mode",
    "contrast_check",
    "max_blood_pool_hu",
    "max_noise_sd_hu",
    "uncertain_noise_sd_hu",
    "few_units",
    "very_high_from",
    "cardiologist",
)
PHILIPS_VOLUME_HU = 99.0 / 0.88  # 100 mg/cm3 of hydroxyapatite


def preset(name: PresetName) -> ScoreSettings:
    """Give the settings of a definition."""
    reference = ScoreSettings()
    match name:
        case "siemens":
            return replace(reference, min_area_mm2=0.0)
        case "philips":
            return replace(reference, min_area_mm2=0.5, volume_threshold_hu=PHILIPS_VOLUME_HU)
        case "canon":
            return replace(reference, min_area_mm2=0.0, min_pixels=3)
        case "agatston1990" | "ge":
            return reference


def with_rules_of(name: PresetName, settings: ScoreSettings) -> ScoreSettings:
    """Keep a user's settings, with what a definition says about area and threshold."""
    rules = preset(name)
    return replace(
        settings,
        min_area_mm2=rules.min_area_mm2,
        min_pixels=rules.min_pixels,
        volume_threshold_hu=rules.volume_threshold_hu,
    )


def name_of(settings: ScoreSettings) -> str:
    """Name the definition that settings follow."""
    reference = ScoreSettings()
    bare = replace(settings, **{name: getattr(reference, name) for name in BESIDE_THE_NUMBER})
    return next((name for name in PRESET_NAMES if bare == preset(name)), OWN)
