"""What tests of several rooms share: the plan, a scanner's status, and where recorded ECG lies."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import msgspec
import pytest
from xdist.scheduler import LoadScopeScheduling

from gating.messages import AcquisitionPlan, Armed, ScannerStatus, plan_hash

# no deadline: these machines are noisy; the same examples every time: a red run can be repeated
hypothesis.settings.register_profile("diastole", deadline=None, derandomize=True)
hypothesis.settings.load_profile("diastole")

ROOT = Path(__file__).resolve().parents[1]
REAL_TIME = re.compile(r"pytest\.mark\.(processes|mosquitto|browser)\b")  # of files with a clock, a browser, a broker


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Shares the tests out between workers by file; all files that run in real time stay on one worker."""

    def _split_scope(self, nodeid: str) -> str:
        """Name the group of a test."""
        file = ROOT / nodeid.split("::", 1)[0]
        return "real time" if REAL_TIME.search(file.read_text(encoding="utf-8")) else file.name


@pytest.hookimpl(optionalhook=True)  # a run without xdist is a run, too
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Take our scheduler: what runs in real time would not stand the same beside itself."""
    return ByFile(config, log)


@pytest.fixture(scope="session")
def recorded_ecg() -> Path:
    """The folder of recorded ECG (with `mitdb` in it), or a skip that says how to get it."""
    folder = Path(os.environ.get("DIASTOLE_ECG_DATA", ROOT.parent / "shared" / "data" / "ecg"))
    if not (folder / "mitdb").is_dir():
        pytest.skip("no recorded ECG: set DIASTOLE_ECG_DATA to a folder that holds PhysioNet's mitdb")
    return folder


@pytest.fixture(scope="session")
def a_plan() -> AcquisitionPlan:
    """A plan of four steps of 36 mm at 280 ms rotation."""
    return AcquisitionPlan(
        plan_id="test",
        patient="P-0001",
        table_mm=(-54.0, -18.0, 18.0, 54.0),
        collimation_mm=40.0,
        slices_per_step=12,
        slice_thickness_mm=3.0,
        rotation_ms=280.0,
        fan_deg=52.0,
        feather_deg=20.0,
        sources=1,
        half_scan_ms=196.0,
        temporal_resolution_ms=140.0,
        kvp=120.0,
        tube_current_ma=290.0,
        matrix=512,
        fov_mm=220.0,
        centre_x_mm=0.0,
        centre_y_mm=0.0,
        kernel_cutoff=0.5,
        ctdivol_mgy_per_ms=0.02,
        dlp_mgycm_per_ms=0.08,
        msv_per_ms=0.00112,
        msv_per_mgycm=0.014,
        msv_factor_source="test",
        scout_dlp_mgycm=0.0,
        reference_dlp_mgycm=None,
        table_move_ms=700.0,
        max_repeats=1,
        max_padding_ms=100.0,
        max_exposure_ms=300.0,
        beam_on_limit_ms=2400.0,
        dose_ceiling_msv=3.0,
        settle_s=3.0,
        breath_hold_limit_s=20.0,
        arm_limit_s=120.0,
    )


@pytest.fixture(scope="session")
def an_armed(a_plan: AcquisitionPlan) -> Armed:
    """The bridge's word that session s1 is armed."""
    return Armed(
        session="s1",
        nonce="n1",
        plan=a_plan,
        plan_hash=plan_hash(a_plan),
        gate_key_id="gate-key",
        lead_ms=20.0,
        at_ns=0,
        ends_at_ns=120_000_000_000,
    )


@pytest.fixture
def make_status(a_plan: AcquisitionPlan) -> Callable[..., ScannerStatus]:
    """Make a status of a simulated scanner that is armed and settled at step 0, with any field changed."""
    usual = ScannerStatus(
        at_ns=0,
        state="armed",
        reasons=(),
        challenge="c",
        plan=a_plan,
        plan_hash=plan_hash(a_plan),
        session="s1",
        driver="gantry",
        control="exposure",
        simulated=True,
        lead_ms=20.0,
        next_step=0,
        next_attempt=1,
        table_settled_at_ns=0,
        steps_exposed=(),
        beam_on_ms=0.0,
        ctdivol_mgy=0.0,
        dlp_mgycm=0.0,
        effective_msv=0.0,
        hold_began_at_ns=None,
        refused={},
        clock_offset_ns=0,
        clock_uncertainty_ns=0,
    )

    def make(**changes: object) -> ScannerStatus:
        return msgspec.structs.replace(usual, **changes)

    return make
