"""A scenario set up for virtual time: the patient, the box, the gantry and the settings of gate and bridge.

The demo builds the same things from the same functions, so that a seed means the same on real wires.
"""

import msgspec
import numpy as np

from gating.frontends import FRONTENDS
from gating.judge import Judge
from gating.messages import AcquisitionPlan
from gating.settings import GateSettings, WindowSettings
from scanner_bridge.driver import Capabilities
from scanner_bridge.plan import plan_from
from scanner_bridge.settings import BridgeSettings, PlanSettings
from simulators.ecg_box import EcgBox, Source, patient_source
from simulators.gantry import Gantry
from simulators.heart import TrueBeat, true_beats
from simulators.report import BeamAt, BeatAt, ScanLog
from simulators.scenario import Scenario
from simulators.virtual_scan import START_NS, BusFaults, VirtualRun, VirtualScan

LONGEST_S = 75.0  # of patient time that a scan can need: learning, hold, limits


def stream(scenario: Scenario, purpose: int) -> np.random.Generator:
    """Give the random numbers of one purpose of a scenario: 1 heart, 2 wires, 3 gantry angle, 7 rest phases."""
    return np.random.default_rng([scenario.seed, purpose])


def seed_angle_deg(scenario: Scenario) -> float:
    """Give the gantry's angle at its time 0, from the scenario or its seed."""
    drawn = float(stream(scenario, 3).uniform(0, 360))
    return drawn if scenario.scanner.seed_angle_deg is None else scenario.scanner.seed_angle_deg


def plan_settings(scenario: Scenario) -> PlanSettings:
    """Give the plan that a scenario's scanner is asked for, centred on the heart at z = 0."""
    scanner = scenario.scanner
    usual = PlanSettings()
    feed_mm = scanner.slices_per_step * usual.slice_thickness_mm
    return PlanSettings(
        plan_id=f"calcium-{scenario.name}",
        patient=f"SIM-{scenario.seed:04d}",
        steps=scanner.steps,
        first_table_mm=-feed_mm * (scanner.steps - 1) / 2,
        slices_per_step=scanner.slices_per_step,
        sources=scanner.sources,
        rotation_ms=scanner.rotation_ms,
        tube_current_ma=scanner.tube_current_ma,
        matrix=scanner.matrix,
        table_move_ms=scanner.table_move_ms,
    )


def gate_settings(scenario: Scenario) -> GateSettings:
    """Give the settings of the gate for a scenario's box: all defaults, and the word `simulated`."""
    return GateSettings(frontend=scenario.box.frontend, source=f"scenario {scenario.name}", simulated=True)


def hearts_beats(scenario: Scenario) -> tuple[TrueBeat, ...]:
    """Give the true beats of a scenario, longer than any scan."""
    return true_beats(scenario, LONGEST_S, stream(scenario, 1))


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
    signal = patient_source(scenario, FRONTENDS[scenario.box.frontend], hearts_beats(scenario))
    return _stage(
        scenario,
        signal,
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
    plan: AcquisitionPlan = plan_from(plan_settings(scenario))
    return VirtualScan(
        box=EcgBox(source, FRONTENDS[scenario.box.frontend], scenario.box, scenario.faults, started_at_ns),
        gate=gate,
        judge=judge,
        bridge=BridgeSettings(driver="gantry", plan=plan_settings(scenario)),
        plan=plan,
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
