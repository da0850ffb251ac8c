"""A scenario set up for virtual time: the patient, the box, the gantry and the settings of gate and bridge.

The demo builds the same things from the same functions, so that a seed means the same on real wires.
"""

import msgspec
import numpy as np

from gating.errors import SettingsError
from gating.frontends import FRONTENDS
from gating.judge import Judge
from gating.settings import GateSettings, WindowSettings
from scanner_bridge.dose import PROTOCOL_KVP, ctdivol_mgy_per_mas
from scanner_bridge.driver import Capabilities
from scanner_bridge.plan import plan_from
from scanner_bridge.settings import BridgeSettings, PlanSettings
from simulators.anatomy import make_patient
from simulators.ecg_box import EcgBox, Source, patient_source
from simulators.exposure import Physics
from simulators.gantry import Gantry
from simulators.heart import TrueBeat, true_beats
from simulators.report import BeamAt, BeatAt, ScanLog
from simulators.scenario import Scanner, Scenario
from simulators.scout import LENGTH_MM, Scout, current_ma, scout_mas, slabs, take_scouts
from simulators.virtual_scan import START_NS, BusFaults, VirtualRun, VirtualScan
from simulators.x_rays import voltages

LONGEST_S = 75.0  # of patient time that a scan can need: learning, hold, limits


def stream(scenario: Scenario, purpose: int) -> np.random.Generator:
    """Give the random numbers of one purpose of a scenario: 1 heart, 2 wires, 3 gantry angle, 7 rest phases."""
    return np.random.default_rng([scenario.seed, purpose])


def seed_angle_deg(scenario: Scenario) -> float:
    """Give the gantry's angle at its time 0, from the scenario or its seed."""
    drawn = float(stream(scenario, 3).uniform(0, 360))
    return drawn if scenario.scanner.seed_angle_deg is None else scenario.scanner.seed_angle_deg


def physics(scenario: Scenario) -> Physics:
    """Give how much of a real scanner a scenario simulates.

    Raises
    ------
    SettingsError
        If its one energy is asked to stand for another voltage than 120 kV, or there is no spectrum of it.
    """
    scanner = scenario.scanner
    if not scanner.polychromatic and scanner.kvp != PROTOCOL_KVP:
        text = f"One energy of 70 keV stands for {PROTOCOL_KVP} kV, not for {scanner.kvp}"
        raise SettingsError(f"{text}; set polychromatic = true in [scanner] of the scenario {scenario.name}.")
    if scanner.polychromatic and scanner.kvp not in voltages():
        text = f"There is no spectrum of {scanner.kvp} kV; there are {', '.join(map(str, voltages()))}"
        raise SettingsError(f"{text}: mend kvp in [scanner] of the scenario {scenario.name}.")
    return Physics(scanner.polychromatic, scanner.focal_spot_mm)


def plan_settings(scenario: Scenario) -> PlanSettings:
    """Give the plan that a scenario's scanner is asked for: centred on the heart, or planned on scouts.

    Raises
    ------
    SettingsError
        If the scanner cannot be simulated, or a noise target is given without scouts to read it off.
    """
    scanner, usual = scenario.scanner, PlanSettings()
    physics(scenario)
    if scanner.noise_target_hu is not None and not scanner.scout:
        text = "A noise_target_hu needs a scout to read the body off"
        raise SettingsError(f"{text}; set scout = true in [scanner] of the scenario {scenario.name}.")
    feed_mm = scanner.slices_per_step * usual.slice_thickness_mm
    asked = msgspec.structs.replace(
        usual,
        plan_id=f"calcium-{scenario.name}",
        patient=f"SIM-{scenario.seed:04d}",
        steps=scanner.steps,
        first_table_mm=-feed_mm * (scanner.steps - 1) / 2,
        slices_per_step=scanner.slices_per_step,
        collimation_mm=scanner.collimation_mm,
        sources=scanner.sources,
        rotation_ms=scanner.rotation_ms,
        tube_current_ma=scanner.tube_current_ma,
        kvp=scanner.kvp,
        matrix=scanner.matrix,
        table_move_ms=scanner.table_move_ms,
        reference_dlp_mgycm=scanner.reference_dlp_mgycm,
        effective_dose=scanner.effective_dose,
    )
    scout = scouts_of(scenario)
    return asked if scout is None else _planned(scout, asked, scanner)


def scouts_of(scenario: Scenario) -> Scout | None:
    """Give the scouts of a scenario's patient, if any are taken."""
    if not scenario.scanner.scout:
        return None
    return take_scouts(make_patient(scenario, scenario.seed), PlanSettings().fan_deg)


def _planned(scout: Scout, asked: PlanSettings, scanner: Scanner) -> PlanSettings:
    """Plan on the scouts: range, field of view and, with a noise target, the current; their dose is counted."""
    steps, first_mm = slabs(scout, asked.slices_per_step * asked.slice_thickness_mm)
    wanted, current = scanner.noise_target_hu, asked.tube_current_ma
    return msgspec.structs.replace(
        asked,
        steps=steps,
        first_table_mm=first_mm,
        fov_mm=scout.fov_mm,
        centre_x_mm=scout.centre_mm[0],
        centre_y_mm=scout.centre_mm[1],
        scout_dlp_mgycm=2 * ctdivol_mgy_per_mas(scanner.kvp) * scout_mas() * LENGTH_MM / 10.0,
        tube_current_ma=current
        if wanted is None
        else current_ma(scout, asked, wanted, polychromatic=scanner.polychromatic),
    )


def gate_settings(scenario: Scenario) -> GateSettings:
    """Give the settings of the gate for a scenario's box: all defaults, and the word `simulated`."""
    return GateSettings(frontend=scenario.box.frontend, source=f"scenario {scenario.name}", simulated=True)


def hearts_beats(scenario: Scenario) -> tuple[TrueBeat, ...]:
    """Give the true beats of a scenario, longer than any scan."""
    return true_beats(scenario, LONGEST_S, stream(scenario, 1))


def ecg_of(scenario: Scenario) -> Source:
    """Give the samples of a scenario's patient, as its box converts them."""
    return patient_source(scenario, FRONTENDS[scenario.box.frontend], hearts_beats(scenario))


def set_up(
    scenario: Scenario,
    capabilities: Capabilities,
    judge: Judge,
    *,
    faults: BusFaults | None = None,
    started_at_ns: int = START_NS,
    wires: int = 2,
    window: WindowSettings | None = None,
) -> VirtualScan:
    """Put a scenario on the stage of virtual time.

    `wires` picks another draw of all delays, `window` another gating policy than the default.
    """
    return _stage(
        scenario,
        ecg_of(scenario),
        msgspec.structs.replace(gate_settings(scenario), window=window or WindowSettings()),
        capabilities,
        judge,
        faults=faults,
        started_at_ns=started_at_ns,
        wires=wires,
    )


def set_up_record(
    record: Source,
    name: str,
    scenario: Scenario,
    capabilities: Capabilities,
    judge: Judge,
    *,
    faults: BusFaults | None = None,
    started_at_ns: int = START_NS,
    wires: int = 2,
) -> VirtualScan:
    """Put a recorded ECG on the stage in place of the patient's: the scenario gives all but the heart.

    `record` must be made for the scenario's box: its leads, its flags and its rate with the drift.
    """
    gate = GateSettings(frontend=scenario.box.frontend, source=f"record {name}", simulated=True)
    return _stage(scenario, record, gate, capabilities, judge, faults=faults, started_at_ns=started_at_ns, wires=wires)


def _stage(
    scenario: Scenario,
    source: Source,
    gate: GateSettings,
    capabilities: Capabilities,
    judge: Judge,
    *,
    faults: BusFaults | None,
    started_at_ns: int,
    wires: int,
) -> VirtualScan:
    """Join a source of ECG with the box, the gantry, the plan and the operator of a scenario."""
    asked = plan_settings(scenario)
    return VirtualScan(
        box=EcgBox(source, FRONTENDS[scenario.box.frontend], scenario.box, scenario.faults, started_at_ns),
        gate=gate,
        judge=judge,
        bridge=BridgeSettings(driver="gantry", plan=asked),
        plan=plan_from(asked),
        gantry=Gantry(scenario.scanner, seed_angle_deg(scenario)),
        capabilities=capabilities,
        hold_begins_at_s=scenario.respiration.hold_begins_at_s,
        rng=stream(scenario, wires),
        faults=faults,
        started_at_ns=started_at_ns,
    )


def log_of(run: VirtualRun, beats: tuple[TrueBeat, ...]) -> ScanLog:
    """Make the log that an observer of this run would have kept."""
    return ScanLog(
        plan=run.plan,
        heard=run.heard(),
        beats=tuple(
            BeatAt(beat.number, beat.r_at_s, run.started_at_ns + round(beat.r_at_s * 1e9), beat.kind, beat.atria)
            for beat in beats
            if beat.r_at_s <= (run.ended_at_ns - run.started_at_ns) / 1e9 + 3.0
        ),
        beams=tuple(
            BeamAt(beam.step, beam.attempt, beam.on_at_ns, beam.off_at_ns, beam.table_mm, beam.start_angle_deg)
            for beam in run.beams
        ),
    )
