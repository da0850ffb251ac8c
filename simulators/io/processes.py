"""The processes of a demo: each started as its user would start it, its output kept, all of them ended together."""

import asyncio
import contextlib
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from gating.errors import DeviceError, DiastoleError, SettingsError

START_S = 40.0  # for one process to say that it is ready, on a busy machine
LOOK_S = 0.5  # between two looks whether another process has ended
STOP_S = 5.0  # for all of them together
STOP_ONE_S = 2.0  # before the next one is asked
LINE_LIMIT = 1 << 16
WRONG_INPUT = 2  # the exit code of a command that was given wrong settings or input


class Processes:
    """Starts `diastole` commands and reads their first words; on leaving, the last started ends first."""

    def __init__(self, log_folder: Path) -> None:
        self._folder = log_folder
        self._running: list[tuple[str, asyncio.subprocess.Process]] = []
        self._readers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """Make the folder for the outputs."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all of them."""
        await self.stop()

    async def start(self, name: str, *arguments: str) -> asyncio.Queue[str]:
        """Start one command; gives the queue of its output lines, of which the oldest are dropped when nobody reads."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "diastole",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=LINE_LIMIT,
        )
        self._running.append((name, process))
        lines: asyncio.Queue[str] = asyncio.Queue(maxsize=256)
        self._readers.append(asyncio.create_task(self._read(name, process, lines)))
        return lines

    async def say(self, name: str, lines: asyncio.Queue[str], key: str) -> object:
        """Wait until the process says `key` in a JSON line; gives what it says of it."""
        return (await self.words(name, lines, key))[key]

    async def words(self, name: str, lines: asyncio.Queue[str], key: str) -> dict[str, object]:
        """Wait for the JSON line of a process that holds `key`; gives the whole line.

        Raises
        ------
        DeviceError
            If it, or another one meanwhile, ends by itself, with its last words; or if it stays silent.
        SettingsError
            If it ends because its settings or input are wrong.
        """
        last = ""
        try:
            async with asyncio.timeout(START_S):
                while True:
                    line = await self._line(lines)
                    if line == "":
                        break
                    last = line
                    with contextlib.suppress(msgspec.DecodeError):
                        said = msgspec.json.decode(line)
                        if isinstance(said, dict) and key in said:
                            return said
        except TimeoutError as error:
            text = f"The process {name} did not come up in {START_S:.0f} s; its output is in {self._folder}."
            raise DeviceError(text) from error
        raise await self._why_ended(name, last)

    async def _line(self, lines: asyncio.Queue[str]) -> str:
        """Wait for the next line of one process, and meanwhile for the end of any other."""
        while True:
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(lines.get(), LOOK_S)
            if lines.empty() and (gone := self.ended()) is not None:
                said = (self._folder / f"{gone}.log").read_text(errors="replace").strip().splitlines()
                raise await self._why_ended(gone, said[-1] if said else "")

    async def _why_ended(self, name: str, last: str) -> DiastoleError:
        """Turn the last words of a process into an error; one that refused its input has said all in one sentence."""
        process = next(process for known, process in self._running if known == name)
        sentence = last.partition(": ")[2] if last.startswith("diastole ") else ""
        if sentence and await process.wait() == WRONG_INPUT:
            return SettingsError(sentence)
        words = (sentence or last or "no word").rstrip(".")
        return DeviceError(f"The process {name} ended at once: {words}. Its output is in {self._folder}.")

    def ended(self) -> str | None:
        """Name a process that has ended by itself."""
        return next((name for name, process in self._running if process.returncode is not None), None)

    async def stop(self) -> None:
        """Ask each to end, the last started first, and kill what has not ended within `STOP_S`."""
        now_s = asyncio.get_running_loop().time
        deadline_s = now_s() + STOP_S
        for _, process in reversed(self._running):
            if process.returncode is None:
                process.terminate()
                await _ended(process, min(STOP_ONE_S, deadline_s - now_s()))
        for _, process in self._running:
            if not await _ended(process, deadline_s - now_s()):
                process.kill()
                await process.wait()
        self._running.clear()
        for reader in self._readers:
            await reader
        self._readers.clear()

    async def _read(self, name: str, process: asyncio.subprocess.Process, lines: asyncio.Queue[str]) -> None:
        if process.stdout is None:
            raise AssertionError("every process is started with a pipe")
        with (self._folder / f"{name}.log").open("wb") as log:
            async for raw in process.stdout:
                log.write(raw)
                log.flush()
                if lines.full():
                    lines.get_nowait()
                lines.put_nowait(raw.decode(errors="replace").strip() or " ")
        if lines.full():
            lines.get_nowait()
        lines.put_nowait("")


async def _ended(process: asyncio.subprocess.Process, seconds: float) -> bool:
    """Wait so long for a process to end; tells whether it has."""
    if process.returncode is None and seconds > 0:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), seconds)
    return process.returncode is not None
