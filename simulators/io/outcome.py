"""After the scan: slices, vessel map, score, truth and report, into one folder.

The same for the demo on real wires and for a study in virtual time: both hand over a `ScanLog` and a `Story`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np

from gating.errors import SettingsError
from gating.messages import AcquisitionPlan
from scoring.io.html import render
from scoring.io.scored_series import Asked, score_series
from scoring.report import ScoreReport, to_json
from scoring.score import Score
from scoring.settings import ScoreSettings
from simulators.anatomy import Patient, make_patient
from simulators.ecg_box import Source
from simulators.exposure import Shot
from simulators.io.dicom.companions import write_companions
from simulators.io.dicom.slices import CardiacTags, write_labels, write_series
from simulators.io.page import appendix
from simulators.io.scout_picture import scout_png
from simulators.io.study_score import score_of
from simulators.motion import Breathing, MotionClock, rest_offsets
from simulators.report import Exposure, ScanLog, dose, exposures, gating_report, steps_exposed
from simulators.scenario import Scenario
from simulators.scout import Scout
from simulators.stage import physics, scouts_of
from simulators.study import Frozen, StudyVolume, acquire
from simulators.territories import territories

Say = Callable[[str], None]
REPORT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Story:
    """What the log alone does not tell: whose scan it was, and where patient time 0 lies on the host's clock."""

    scenario: Scenario
    started_at_ns: int
    source: str  # "scenario" or "record"
    notes: tuple[str, ...] = ()  # how a record's channels were mapped, and the like
    settings: dict[str, object] | None = None
    ecg: Source | None = None  # the samples; None: a recording's, which are in a file of their own
    enhanced: bool = False  # whether the slices are wanted as one enhanced object too
    journal: Path | None = None  # of the gate, where one ran in a process of its own


def open_out(folder: Path) -> Path:
    """Make the folder for the results and see that it can be written.

    Raises
    ------
    SettingsError
        If it cannot, with the cure.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        text = f"The folder {folder} cannot be written ({error.strerror}); choose another one with --out."
        raise SettingsError(text) from error
    return folder


def finish(log: ScanLog, story: Story, out: Path, say: Say) -> dict[str, object]:
    """Reconstruct, score, and write everything; returns what `report.json` holds.

    A scan with missing slabs is reconstructed as far as it goes and gets no total.
    """
    gating = gating_report(log)
    used = _used(log)
    slices = open_out(out / "slices")
    scout = scouts_of(story.scenario)
    (out / "scout.png").unlink(missing_ok=True)  # of an earlier scan
    picture = None if scout is None else scout_png(scout, log.plan)
    if picture is not None:
        (out / "scout.png").write_bytes(picture)
    for old in slices.glob("slice-*.dcm"):
        old.unlink()  # of an earlier scan: two series in one folder would be refused
    report = {
        "report_version": REPORT_VERSION,
        "simulated": True,
        **_identity(story),
        "scout": None if scout is None else _scout(scout),
        **_agatston(None, None),
        **gating,
    }
    if not used:
        page = _bare_page(report)
    else:
        patient, motion = make_patient(story.scenario, story.scenario.seed), _motion(log, story)
        say(f"reconstructing {len(used) * log.plan.slices_per_step} slices")
        volume = _moving(log, story, patient, motion, used)
        labels = territories(patient, motion, volume)
        frozen = _frozen_score(volume, labels, patient, motion, used, story) if gating["complete"] else None
        cardiac = _cardiac(volume, used, story)
        datasets = write_series(slices, volume, cardiac, seed=story.scenario.seed)
        write_labels(out / "labels.seg.dcm", labels, datasets)
        write_companions(
            out,
            log,
            volume,
            cardiac,
            seed=story.scenario.seed,
            started_at_ns=story.started_at_ns,
            ecg=story.ecg,
            enhanced=story.enhanced,
        )
        say("scoring")
        facts = _write_scan_facts(log, gating, story, out)
        scored = score_series(slices, out / "labels.seg.dcm", facts, ScoreSettings(), Asked(journal=story.journal))
        (out / "score.json").write_bytes(to_json(scored.report))
        report |= {**_agatston(scored.report, frozen), "score": msgspec.to_builtins(scored.report)}
        page = render(scored.report, scored.outcome, scored.volume, appendix(report, picture))
    write_json(out / "report.json", report)
    (out / "report.html").write_text(page, encoding="utf-8")
    return report


def scores(log: ScanLog, story: Story) -> tuple[dict[str, object], Score | None, Score | None]:
    """Give what the gating came to, and the scores of a complete scan and of the same heart held; nothing is written.

    The slices are rounded to whole HU as on a disk; an incomplete scan has no score.
    """
    gating, used = gating_report(log), _used(log)
    if not gating["complete"]:
        return gating, None, None
    patient, motion = make_patient(story.scenario, story.scenario.seed), _motion(log, story)
    volume = _moving(log, story, patient, motion, used)
    labels = territories(patient, motion, volume)
    return gating, score_of(volume, labels), _frozen_score(volume, labels, patient, motion, used, story)


def write_json(path: Path, value: object) -> None:
    """Write one JSON file, indented for people."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")


def _bare_page(report: dict[str, object]) -> str:
    head = '<meta charset="utf-8"><title>Diastole: no slices</title>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{appendix(report)}</body></html>\n'


def _identity(story: Story) -> dict[str, object]:
    return {
        "scenario": story.scenario.name,
        "seed": story.scenario.seed,
        "source": story.source,
        "notes": list(story.notes),
        "versions": {"diastole": version("diastole"), "numpy": np.__version__},
        "settings": story.settings or {},
    }


def _scout(scout: Scout) -> dict[str, object]:
    return {
        "range_mm": [scout.bottom_mm, scout.top_mm],
        "fov_mm": scout.fov_mm,
        "centre_mm": list(scout.centre_mm),
        "water_front_to_back_mm": scout.thickness_mm,
        "water_side_to_side_mm": scout.width_mm,
    }


def _used(log: ScanLog) -> dict[int, Exposure]:
    """Pick the exposure that each step is reconstructed from: the whole one."""
    whole = steps_exposed(log)
    return {one.step: one for one in exposures(log) if one.outcome == "exposed" and one.step in whole}


def _motion(log: ScanLog, story: Story) -> MotionClock:
    beats_s = np.array([(beat.r_at_ns - story.started_at_ns) / 1e9 for beat in log.beats])
    rng = np.random.default_rng([story.scenario.seed, 7])
    rest = rest_offsets(story.scenario.rest_phase, rng)
    return MotionClock(beats_s, rest, [beat.atria for beat in log.beats])


def _shots(used: dict[int, Exposure], plan: AcquisitionPlan, story: Story) -> list[Shot]:
    """List the half-scans that are reconstructed, each where it was centred, and the tube's angle there."""
    shots = []
    for step, one in sorted(used.items()):
        into_ms = one.padding_ms / 2 + one.recon_moved_ms
        opened_at_s = (one.opens_at_ns["actual"] - story.started_at_ns) / 1e9 + into_ms / 1e3
        turned_deg = 360.0 * into_ms / plan.rotation_ms
        shots.append(Shot(step, one.table_mm, opened_at_s, one.start_angle_deg + turned_deg))
    return shots


def _moving(
    log: ScanLog, story: Story, patient: Patient, motion: MotionClock, used: dict[int, Exposure]
) -> StudyVolume:
    breathing = Breathing(story.scenario.respiration)
    return acquire(
        patient,
        motion,
        _shots(used, log.plan, story),
        log.plan,
        noise_seed=story.scenario.seed,
        breathing=breathing,
        physics=physics(story.scenario),
    )


def _frozen_score(
    moving: StudyVolume,
    labels: np.ndarray[tuple[int, int, int], np.dtype[np.uint8]],
    patient: Patient,
    motion: MotionClock,
    used: dict[int, Exposure],
    story: Story,
) -> Score:
    """Score the truth: every vessel held at the plan's target phase of a beat of the scan's mean true RR."""
    true_rr = [one.rr_ms["true"] for one in used.values() if one.rr_ms["true"] is not None]
    planned = [
        one.centre_after_r_ms["planned"] for one in used.values() if one.centre_after_r_ms["planned"] is not None
    ]
    frozen = Frozen(rr_ms=float(np.mean(true_rr)), centre_after_r_ms=float(np.mean(planned)))
    still = acquire(
        patient,
        motion,
        moving.shots,
        moving.plan,
        noise_seed=story.scenario.seed,
        breathing=Breathing(story.scenario.respiration),
        frozen=frozen,
        physics=physics(story.scenario),
    )
    return score_of(still, labels)


def _cardiac(volume: StudyVolume, used: dict[int, Exposure], story: Story) -> list[CardiacTags]:
    """Give each slice its cardiac tags, from what the gate planned: a scanner knows no more."""
    rows = []
    for step in volume.step_of_slice:
        one = used[int(step)]
        centre_ms = (one.centre_after_r_ms["planned"] or 0.0) + one.recon_moved_ms
        rr_ms = one.rr_ms["predicted"] or one.rr_ms["true"] or 0.0
        into_ms = one.padding_ms / 2 + one.recon_moved_ms
        trigger_ms = centre_ms - volume.plan.half_scan_ms / 2
        opens_s = (one.opens_at_ns["planned"] - story.started_at_ns) / 1e9
        rows.append(
            CardiacTags(
                r_at_s=opens_s + (into_ms - trigger_ms) / 1e3,
                trigger_time_ms=trigger_ms,
                nominal_interval_ms=rr_ms,
                heart_rate_bpm=60_000 / rr_ms,
                phase_percent=100 * centre_ms / rr_ms,
            )
        )
    return rows


def _write_scan_facts(log: ScanLog, gating: dict[str, object], story: Story, out: Path) -> Path:
    path, delivered = out / "scan.json", dose(log)
    facts = {
        "complete": gating["complete"],
        "steps_exposed": steps_exposed(log),
        "steps_planned": len(log.plan.table_mm),
        "breath_holds": gating["breath_holds"],
        **{name: delivered[name] for name in ("ctdivol_mgy", "dlp_mgycm", "effective_msv")},
        "simulated": True,
        "notes": [f"scenario {story.scenario.name}, seed {story.scenario.seed}", *story.notes],
    }
    write_json(path, facts)
    return path


def _no_score() -> dict[str, float | None]:
    return dict.fromkeys(("total", "LM", "LAD", "LCX", "RCA"))


def _agatston(score: ScoreReport | None, frozen: Score | None) -> dict[str, object]:
    """Put the score beside the truth; no total, no error; a truth of 0 has none either."""
    measured = _no_score()
    if score is not None and score.score.total is not None:
        parts = {name: one.agatston for name, one in score.score.by_vessel.items() if name in measured}
        measured |= {**parts, "total": score.score.total.agatston}
    truth = _no_score() if frozen is None else frozen.agatston
    error = None
    if measured["total"] is not None and truth["total"]:
        error = 100 * (measured["total"] - truth["total"]) / truth["total"]
    return {"agatston": measured, "truth": {"agatston_frozen": truth}, "score_error_percent": error}


def write_lines(path: Path, rows: Sequence[object]) -> None:
    """Write rows as JSON lines."""
    path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
