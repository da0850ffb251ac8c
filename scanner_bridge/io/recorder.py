"""Audit records on their way to disk: written in a thread, as many at once as are waiting, none left behind."""

import asyncio
from collections.abc import Callable

from gating.errors import SettingsError
from scanner_bridge.io.audit import AuditLog
from scanner_bridge.session import Append

MOST_WAITING = 1024


class Recorder:
    """The queue before one audit log."""

    def __init__(self, audit: AuditLog, durable: Callable[[int], None]) -> None:
        self._audit = audit
        self._durable = durable
        self._waiting: asyncio.Queue[Append] = asyncio.Queue(maxsize=MOST_WAITING)
        self._failed = False

    def put(self, append: Append) -> None:
        """Take one record; never waits.

        Raises
        ------
        SettingsError
            If the disk does not keep up.
        """
        if self._waiting.full():
            raise SettingsError(f"The disk of {self._audit.path} is slower than the audit log; use a faster one.")
        self._waiting.put_nowait(append)

    async def run(self) -> None:
        """Write for ever; `durable` is called with the number of the last record that is safe.

        Raises
        ------
        SettingsError
            If the log cannot be written.
        """
        while True:
            batch = [await self._waiting.get()]
            while not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            writing = asyncio.ensure_future(self._write(batch))
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                await writing  # the bridge ends: what was taken is written all the same
                raise
            self._durable(batch[-1].number)

    async def _write(self, batch: list[Append]) -> None:
        """Write one batch in a thread."""
        try:
            await asyncio.to_thread(self._audit.append, *(append.record for append in batch))
        except OSError as error:
            self._failed = True
            raise SettingsError(
                f"Audit log {self._audit.path} cannot be written ({error.strerror}); make room."
            ) from error

    async def finish(self) -> None:
        """Write what is still waiting, unless the log has failed already."""
        batch = [self._waiting.get_nowait() for _ in range(self._waiting.qsize())]
        if batch and not self._failed:
            await self._write(batch)
