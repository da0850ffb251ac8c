"""Where many studies run: on processes of this machine, or on the workers of a Dask cluster.

Both are executors of futures, so nothing else knows which it is. A cluster is somebody else's: it is joined and left,
never started, scaled or stopped.
"""

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gating.errors import DeviceError, SettingsError

if TYPE_CHECKING:
    from distributed import Client

CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class Engine:
    """Something that runs studies."""

    pool: Executor
    workers: Callable[[], int]  # how many can run at once, now
    broken: tuple[type[BaseException], ...]  # what a future raises when a worker died, and not its study

    @contextmanager
    def failing_clearly(self) -> Iterator[None]:
        """Say what to do when workers die."""
        try:
            yield
        except self.broken as error:
            text = "Workers died in the middle of a study, for want of memory perhaps"
            raise DeviceError(
                f"{text}; run the same command again with fewer at once: what is done is kept."
            ) from error


@contextmanager
def on_processes(count: int) -> Iterator[Engine]:
    """Run studies on so many processes of this machine."""
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), initializer=_quiet)
    try:
        yield Engine(pool, lambda: count, (BrokenProcessPool,))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _quiet() -> None:
    """Leave Ctrl-C to the parent: it stops the pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def on_cluster(address: str) -> Iterator[Engine]:
    """Run studies on the workers of a Dask cluster that runs already.

    Parameters
    ----------
    address
        Of its scheduler, "tcp://host:8786".

    Raises
    ------
    SettingsError
        If the package `distributed` is missing, nobody answers there, there is no worker, or a worker has not the same
        Diastole as this process.
    """
    if find_spec("distributed") is None:
        raise SettingsError("--scheduler needs the package distributed; pip install 'diastole[cluster]'.")
    from distributed import Client
    from distributed.client import FutureCancelledError
    from distributed.scheduler import KilledWorker

    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        text = f"No Dask scheduler answers at {address} within {CONNECT_S:.0f} s"
        raise SettingsError(f"{text}; start one there (dask scheduler), or mend --scheduler.") from error
    try:
        _same_version(_versions(client), address)
        yield Engine(
            client.get_executor(), lambda: max(len(client.nthreads()), 1), (KilledWorker, FutureCancelledError)
        )
    finally:
        client.close()


def _versions(client: "Client") -> dict[str, str | None]:
    """Ask each worker which Diastole it has."""

    def of_worker() -> str | None:  # local, so that it travels as code: a worker without Diastole can answer
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("diastole")
        except PackageNotFoundError:
            return None

    return dict(client.run(of_worker))


def _same_version(found: dict[str, str | None], address: str) -> None:
    """Refuse workers whose studies would not be those of this process."""
    if not found:
        raise SettingsError(f"The scheduler at {address} has no worker; start some (dask worker {address}).")
    own = version("diastole")
    for worker, one in found.items():
        if one != own:
            has = "no diastole" if one is None else f"diastole {one}"
            raise SettingsError(f"The worker {worker} has {has}, this process {own}; install the same one there.")
