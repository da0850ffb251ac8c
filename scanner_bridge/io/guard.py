"""The bridge's side of the watchdog: starts the process, feeds it from the event loop, hears what it says."""

import asyncio
import json
import sys
from collections.abc import Callable

from gating.errors import DeviceError
from scanner_bridge.settings import BridgeSettings


class Guard:
    """The watchdog process of one bridge.

    The heartbeat is written by the event loop itself, so a loop that hangs falls silent like one that died.
    """

    def __init__(self, settings: BridgeSettings, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._say = say
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Run the watchdog; `say` is called with each of its words: ready, stopped, lost.

        Raises
        ------
        DeviceError
            When the watchdog ends: a bridge without one does not go on.
        """
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scanner_bridge.io.watchdog"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        orders = {
            "driver": self._settings.driver,
            "options": self._settings.driver_options,
            "silence_ms": self._settings.watchdog.silence_ms,
        }
        process.stdin.write(json.dumps(orders).encode() + b"\n")
        beats = asyncio.create_task(self._beat(process.stdin))
        try:
            while line := await process.stdout.readline():
                self._say(line.decode().strip())
            raise DeviceError(
                "The bridge's watchdog ended, and without it nothing may be exposed; start the bridge again."
            )
        finally:
            beats.cancel()
            process.stdin.close()
            await process.wait()

    async def _beat(self, pipe: asyncio.StreamWriter) -> None:
        """Write one byte now and then; a pipe that is full means that nobody reads, which `run` notices by its end."""
        while not pipe.is_closing():
            pipe.write(b".")
            await asyncio.sleep(self._settings.watchdog.beat_ms / 1000)
