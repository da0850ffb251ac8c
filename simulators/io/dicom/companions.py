"""What goes beside the slices of a simulated scan: its ECG, its dose report, and, if asked for, one enhanced object."""

from collections.abc import Sequence
from pathlib import Path

from gating.messages import Beat, Held
from gating.units import ms_from_ns
from scanner_bridge.dose import ctdivol_mgy_per_mas
from simulators.ecg_box import Source
from simulators.io.dicom.dose import CONSTANT_ANGLE, SEQUENCED, IrradiationEvent, write_dose
from simulators.io.dicom.enhanced import write_enhanced
from simulators.io.dicom.slices import SERIES_EVENT, CardiacTags
from simulators.io.dicom.study import StudyIdentity
from simulators.io.dicom.waveform import write_ecg
from simulators.report import ScanLog, of_kind
from simulators.scout import LENGTH_MM, SCOUT_MA, SLIT_MM, TABLE_MM_PER_S, scout_mas
from simulators.study import StudyVolume

BEFORE_S, AFTER_S = 5.0, 3.0  # of the ECG, about the exposures
SCOUT_LEAD_S = 60.0  # of the first scout, before the patient's time 0


def write_companions(
    out: Path,
    log: ScanLog,
    volume: StudyVolume,
    cardiac: Sequence[CardiacTags],
    *,
    seed: int,
    started_at_ns: int,
    ecg: Source | None,
    enhanced: bool,
) -> None:
    """Write `ecg.dcm`, `dose.dcm` and, if asked for, `enhanced.dcm`; what an earlier scan left there goes.

    Parameters
    ----------
    out
        Folder of the scan.
    log
        What was heard and what was true.
    volume, cardiac
        The slices and their beats.
    seed
        Of the study's UIDs.
    started_at_ns
        Host time of patient time 0.
    ecg
        Where the samples came from; None: from a recording, which is a file already.
    enhanced
        Whether the enhanced object is wanted.
    """
    for name in ("ecg.dcm", "dose.dcm", "enhanced.dcm"):
        (out / name).unlink(missing_ok=True)
    identity = StudyIdentity(volume.plan, seed)
    on_s = [(beam.on_at_ns - started_at_ns) / 1e9 for beam in log.beams]
    off_s = [(beam.off_at_ns - started_at_ns) / 1e9 for beam in log.beams]
    if ecg is not None:
        first = max(int((min(on_s) - BEFORE_S) * ecg.rate_hz), 0)
        count = int((max(off_s) + AFTER_S) * ecg.rate_hz) - first
        samples_uv, _ = ecg.samples(first, count)
        confirmed = [beat for beat in of_kind(log, Beat) if beat.stage == "confirmed"]
        write_ecg(
            out / "ecg.dcm",
            identity,
            samples_uv,
            ecg.leads,
            ecg.rate_hz,
            first_at_s=first / ecg.rate_hz,
            r_at_s=[(beat.r_at_ns - started_at_ns) / 1e9 for beat in confirmed],
        )
    scouts = _scouts(volume)
    began_s = -SCOUT_LEAD_S if scouts else min(on_s)
    events = [*scouts, _series(log)]
    write_dose(out / "dose.dcm", identity, events, identity.at(began_s), identity.at(max(off_s)))
    if enhanced:
        write_enhanced(out / "enhanced.dcm", identity, volume, cardiac, len(of_kind(log, Held)))


def _series(log: ScanLog) -> IrradiationEvent:
    """Sum up the exposures of the series, whether or not their slabs could be used."""
    plan = log.plan
    beam_ms = sum(ms_from_ns(beam.off_at_ns - beam.on_at_ns) for beam in log.beams)
    steps = {beam.step for beam in log.beams}
    dlp = beam_ms * plan.dlp_mgycm_per_ms
    return IrradiationEvent(
        name=SERIES_EVENT,
        kind=SEQUENCED,
        beam_s=beam_ms * 1e-3,
        per_rotation_s=plan.half_scan_ms * 1e-3,
        length_mm=len(steps) * plan.collimation_mm,
        single_mm=plan.collimation_mm / plan.slices_per_step,
        total_mm=plan.collimation_mm,
        sources=plan.sources,
        kvp=plan.kvp,
        tube_current_ma=plan.tube_current_ma,
        ctdivol_mgy=dlp / (len(steps) * plan.collimation_mm / 10.0),
        dlp_mgycm=dlp,
    )


def _scouts(volume: StudyVolume) -> list[IrradiationEvent]:
    """List the scouts that the plan counts, the dose shared by both."""
    plan = volume.plan
    if not plan.scout_dlp_mgycm:
        return []
    each = plan.scout_dlp_mgycm / 2
    return [
        IrradiationEvent(
            name=name,
            kind=CONSTANT_ANGLE,
            beam_s=LENGTH_MM / TABLE_MM_PER_S,
            per_rotation_s=None,
            length_mm=LENGTH_MM,
            single_mm=SLIT_MM,
            total_mm=SLIT_MM,
            sources=1,
            kvp=plan.kvp,
            tube_current_ma=SCOUT_MA,
            ctdivol_mgy=ctdivol_mgy_per_mas(plan.kvp) * scout_mas(),
            dlp_mgycm=each,
        )
        for name in ("scout from the front", "scout from the side")
    ]
