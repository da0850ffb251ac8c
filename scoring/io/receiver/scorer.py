"""The child process that scores one complete series as a draft, writes its revision, and ends."""

import select
import sys
from pathlib import Path

import msgspec

from scoring.io.errors import SeriesError
from scoring.io.evidence import read_evidence
from scoring.io.receiver.limits import allow_cpu, confine
from scoring.io.receiver.records import Draft, DraftJob
from scoring.io.receiver.self_check import self_check
from scoring.io.receiver.settings import DraftSettings
from scoring.io.results.bundle import make_results
from scoring.io.revisions import digest_of, next_number, revisions, write_revision
from scoring.io.scored_series import Asked, ScoredSeries, score_series
from scoring.report import Review
from scoring.settings import ScoreSettings


def draft(job: DraftJob) -> Draft:
    """Score a series as a draft and write the next revision of its result.

    Nothing is written when the series cannot be read as one, or belongs to more than one patient, study or order.
    """
    slices, results = Path(job.slices), Path(job.results)
    settings = msgspec.json.decode(job.settings, type=ScoreSettings)
    try:
        vessel_map = None if job.vessel_map is None else Path(job.vessel_map)
        scored = score_series(slices, vessel_map, None, settings, Asked(propose=True))
        evidence = () if scored.volume is None else read_evidence(slices, scored.volume)
        number, before = next_number(results), revisions(results)
        review = Review(state="draft", revision=number, supersedes=digest_of(before[-1]) if before else "")
        report = msgspec.structs.replace(scored.report, review=review, notes=(*scored.report.notes, *job.notes))
        told = ScoredSeries(report, scored.outcome, scored.volume, scored.labels)
        write_revision(results, number, make_results(told, evidence))
    except SeriesError as error:
        return Draft(state="refused", reasons=(str(error),))
    return Draft(state=report.status, reasons=report.reasons, revision=number)


def main(settings: DraftSettings) -> None:
    """Confine this process, check it while there is time, wait for one job, answer, end."""
    confine(settings.memory_mib, may_write=True)
    waits = not select.select([sys.stdin], [], [], 0.0)[0]
    try:
        wrong = self_check() if waits else ""
    except Exception as error:  # whatever it is, a patient's series must not meet it
        wrong = type(error).__name__
    line = sys.stdin.buffer.readline()
    if not line:
        return
    allow_cpu(settings.cpu_s)
    try:
        if wrong:
            text = f"The scoring process failed its check ({wrong}); install Diastole again."
            answer = Draft(state="failed", reasons=(text,))
        else:
            answer = draft(msgspec.json.decode(line, type=DraftJob))
    except Exception as error:  # a fault of ours or memory that ran out: the receiver says so and lives on
        answer = Draft(state="failed", reasons=(f"The scoring process failed ({type(error).__name__}).",))
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=DraftSettings))
