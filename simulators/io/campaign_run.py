"""The studies of a campaign on whatever runs them, one line a study in a file that survives a kill.

`studies.jsonl` is the campaign: a study is done when its line is whole. What was cut off in the middle of a line is cut
away, and its study is run again; nothing is lost, nothing stands there twice.
"""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from pathlib import Path

import msgspec

from gating.errors import SettingsError
from gating.io.numbers import read_judge
from gating.messages import BreathHold
from scanner_bridge.drivers.gantry import CAPABILITIES
from scoring.io.engines import Engine
from scoring.io.lines import whole_lines
from simulators.campaign import Campaign, Job, Row, as_person, person_of
from simulators.comparison import parse_policy
from simulators.io.outcome import Story, scores
from simulators.io.scenarios import load_scenario
from simulators.report import exposures, of_kind
from simulators.scenario import Scenario, reseeded
from simulators.stage import hearts_beats, log_of, set_up

STUDIES = "studies.jsonl"
AHEAD = 4  # studies that wait for each process


def load_campaign(path: Path) -> Campaign:
    """Read a campaign's TOML file.

    Raises
    ------
    SettingsError
        If it cannot be read, or has keys or values that a campaign does not know.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Campaign)
    except OSError as error:
        raise SettingsError(f"The campaign {path} cannot be read ({error.strerror}); check its name.") from error
    except msgspec.DecodeError as error:
        raise SettingsError(f"The campaign {path}: {error}; see simulators/README.md for the keys.") from error


def scenario_of(job: Job, campaign: Campaign) -> Scenario:
    """Give the story of a study: the scenario with the job's seed and scanner, and the person of the cohort.

    Raises
    ------
    SettingsError
        If there is no such scenario.
    """
    story = load_scenario(job.scenario)
    story = reseeded(msgspec.structs.replace(story, scanner=job.scanner.of(story.scanner)), job.seed)
    return story if campaign.cohort is None else as_person(story, person_of(campaign.cohort, job.seed))


def run_job(job: Job, story: Scenario) -> Row:
    """Run one whole study: box, gate, bridge and gantry in virtual time, then the twin and the score.

    It reads no file but the package's own, so that any machine that has the package can run it.
    """
    began_s = time.perf_counter()
    policy = parse_policy(job.policy)
    run = set_up(story, CAPABILITIES, read_judge(), window=policy.window).run()
    log = log_of(run, hearts_beats(story))
    gating, score, frozen = scores(log, Story(story, run.started_at_ns, "campaign"))
    done = exposures(log)
    moving, still = (None if one is None else one.agatston for one in (score, frozen))
    off = None
    if moving is not None and still is not None and moving["total"] is not None and still["total"]:
        off = 100.0 * (moving["total"] / still["total"] - 1.0)
    ended = gating["ended"]
    dose, beats = gating["dose"], gating["beats"]
    assert isinstance(dose, dict)
    assert isinstance(beats, dict)
    held = next(iter(of_kind(log, BreathHold)), None)
    off_ns = [beam.off_at_ns for beam in log.beams]
    return {
        "key": job.key,
        "scenario": job.scenario,
        "policy": job.policy,
        "scanner": job.scanner.name,
        "seed": job.seed,
        "group": story.anatomy.group,
        "age": story.anatomy.age if story.anatomy.group is not None else None,
        "body": story.anatomy.body,
        "rate_bpm": story.rhythm.rate_bpm,
        "complete": gating["complete"],
        "ended": None if not isinstance(ended, dict) else ", ".join(ended["reasons"]),
        "exposures": len(done),
        "cut": sum(one.outcome != "exposed" for one in done),
        "beats": beats["scan"],
        "breath_hold_s": (max(off_ns) - held.began_at_ns) / 1e9 if off_ns and held is not None else None,
        "dose_msv": dose["effective_msv"],
        "agatston": None if moving is None else moving["total"],
        "agatston_frozen": None if still is None else still["total"],
        "score_error_percent": off,
        **{f"agatston_{vessel}": None if moving is None else moving[vessel] for vessel in ("LM", "LAD", "LCX", "RCA")},
        "wall_s": time.perf_counter() - began_s,
    }


def read_rows(folder: Path) -> list[Row]:
    """Read the studies that are done; a line that was cut off is cut away.

    Raises
    ------
    SettingsError
        If the file holds something else.
    """
    path = folder / STUDIES
    try:
        rows = [msgspec.json.decode(line, type=Row) for line in whole_lines(path)]
    except msgspec.DecodeError as error:
        raise SettingsError(f"The file {path} is none of a campaign ({error}); choose another --out.") from error
    if any("key" not in row for row in rows):
        raise SettingsError(f"The file {path} is none of a campaign (a study has no key); choose another --out.")
    return rows


def run_all(todo: Sequence[Job], campaign: Campaign, folder: Path, engine: Engine) -> Iterator[Row]:
    """Run studies; each row is on disk before it is given.

    Raises
    ------
    DeviceError
        If workers die; what is done is kept.
    """
    with (folder / STUDIES).open("ab") as file, engine.failing_clearly():
        waiting: set[Future[Row]] = set()
        left = iter(todo)
        try:
            while True:
                while len(waiting) < AHEAD * engine.workers() and (job := next(left, None)) is not None:
                    waiting.add(engine.pool.submit(run_job, job, scenario_of(job, campaign)))
                if not waiting:
                    return
                ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for one in ended:
                    row = one.result()
                    file.write(msgspec.json.encode(row) + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                    yield row
        finally:
            for one in waiting:
                one.cancel()
