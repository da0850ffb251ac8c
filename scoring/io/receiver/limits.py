"""Limits that a child process puts on itself before it reads anything foreign."""

import resource

MIB = 2**20
PLENTY_S = 10**7


def confine(memory_mib: int, *, may_write: bool) -> None:
    """Limit memory, files and core dumps of this process; without leave it cannot write a byte to any file."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_mib * MIB, memory_mib * MIB))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    if not may_write:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def allow_cpu(seconds: int) -> None:
    """Grant so much processor time from now on; beyond it the system kills the process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + seconds, PLENTY_S))
