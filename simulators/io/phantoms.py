"""Named phantoms as a DICOM series, with what they truly hold: for whoever tests a scorer or a viewer."""

from pathlib import Path

import msgspec

from gating.errors import SettingsError
from scanner_bridge.plan import plan_from
from scanner_bridge.settings import PlanSettings
from simulators.exposure import Physics, Shot, view_times_s
from simulators.inserts import PHANTOMS, Insert, calcification_insert, moving_rods
from simulators.io.dicom.slices import write_series
from simulators.io.outcome import open_out, write_json
from simulators.study import scan
from simulators.x_rays import voltages


def write_phantom(
    name: str, out: Path, *, seed: int, speed_mm_per_s: float, direction_deg: float, kvp: int | None, current_ma: float
) -> int:
    """Scan a phantom once and write `slices/` and `phantom.json`; gives the number of slices.

    Parameters
    ----------
    name
        One of `inserts.PHANTOMS`.
    out
        The folder.
    seed
        Of noise, start angle and UIDs.
    speed_mm_per_s, direction_deg
        Of the rods, in the slice's plane; they pass their places in the middle of the exposure.
    kvp
        Voltage of a spectrum; None: one energy, which stands for 120 kV.
    current_ma
        Of the tube.

    Raises
    ------
    SettingsError
        If there is no such phantom or voltage, the insert is asked to move, or the folder cannot be written.
    """
    if name not in PHANTOMS:
        raise SettingsError(f"There is no phantom {name!r}; take one of: {', '.join(PHANTOMS)}.")
    if kvp is not None and kvp not in voltages():
        raise SettingsError(f"There is no spectrum of {kvp} kV; take one of: {', '.join(map(str, voltages()))}.")
    if name == "insert" and speed_mm_per_s:
        raise SettingsError("The insert stands still; leave --speed out, or take the rods.")
    settings = PlanSettings(
        plan_id=f"phantom-{name}",
        patient=f"PHANTOM-{name.upper()}",
        steps=1,
        first_table_mm=0.0,
        kvp=kvp or 120,
        tube_current_ma=current_ma,
        dose_ceiling_msv=1e3,  # nobody lies there
    )
    plan = plan_from(settings)
    shot = Shot(0, 0.0, 0.0, 37.0 * seed % 360.0)
    middle_s = float(view_times_s(shot, plan).mean())
    scene: Insert = calcification_insert() if name == "insert" else moving_rods(speed_mm_per_s, direction_deg, middle_s)
    slices = open_out(open_out(out) / "slices")
    for old in slices.glob("slice-*.dcm"):
        old.unlink()
    volume = scan(scene, [shot], plan, noise_seed=seed, physics=Physics(kvp is not None))
    write_series(slices, volume, None, seed=seed)
    truth = [{**msgspec.to_builtins(rod), "mass_mg": rod.mass_mg} for rod in scene.rods]
    write_json(out / "phantom.json", {"phantom": name, "velocity_mm_per_s": scene.velocity_mm_per_s, "rods": truth})
    return len(volume.hu)
