"""The child process that examines objects: one job a line in, one answer a line out, until the input ends."""

import os
import sys

import msgspec

from scoring.io.receiver.examine import dataset_offset, examine
from scoring.io.receiver.limits import allow_cpu, confine
from scoring.io.receiver.records import Examined, Job, Rejected
from scoring.io.receiver.settings import ExamineSettings


def main(settings: ExamineSettings) -> None:
    """Confine this process, then answer."""
    confine(settings.memory_mib, may_write=False)
    for line in sys.stdin.buffer:
        job = msgspec.json.decode(line, type=Job)
        allow_cpu(settings.cpu_s)
        answer = _answer(job, settings)
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()


def _answer(job: Job, settings: ExamineSettings) -> Examined | Rejected:
    """Read the file, never through a link, and examine it."""
    try:
        handle = os.open(job.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(handle, "rb") as file:  # noqa: PTH123 - a handle, not a path
            data = file.read()
        return examine(data[dataset_offset(data) :], job.syntax, job.sop_class, job.instance_uid, settings)
    except MemoryError:
        return Rejected(reason="too-large", text="reading it takes more memory than an object may take")


if __name__ == "__main__":
    main(msgspec.json.decode(sys.argv[1], type=ExamineSettings))
