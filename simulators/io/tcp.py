"""Serves a simulated gantry over TCP: one connection that commands, any number that may only stop.

A commander that goes away, by whatever end, is a stop. Truth is written line by line as it happens.
"""

import asyncio
import json
import socket
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from gating.errors import SettingsError
from scanner_bridge.drivers.gantry_wire import LineDecoder, encode_line
from simulators.gantry import Gantry

MOST_CONNECTIONS = 16


class GantryServer:
    """One gantry behind one port."""

    def __init__(self, gantry: Gantry, truth: TextIO | None = None) -> None:
        self._gantry = gantry
        self._truth = truth
        self._commander: _Connection | None = None
        self._connections: set[_Connection] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; gives the port, which the system chooses if it is 0.

        Raises
        ------
        SettingsError
            If the address is taken or not ours.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(lambda: _Connection(self), host, port)
        except OSError as error:
            raise SettingsError(f"The gantry cannot listen on {host}:{port} ({error}); name another port.") from error
        listening: int = self._server.sockets[0].getsockname()[1]
        return listening

    async def close(self) -> None:
        """Stop the beam, close every connection and the port."""
        self._deliver(self._gantry.stop(time.monotonic_ns()))
        if self._timer is not None:
            self._timer.cancel()
        for connection in tuple(self._connections):
            connection.close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def admit(self, connection: "_Connection") -> bool:
        """Take a new connection, unless there are too many."""
        if len(self._connections) >= MOST_CONNECTIONS:
            return False
        self._connections.add(connection)
        return True

    def command(self, connection: "_Connection", data: bytes) -> bool:
        """Take bytes of a connection that wants to command; False if another one does already."""
        if self._commander not in {None, connection}:
            return False
        self._commander = connection
        self._deliver(self._gantry.receive(data, time.monotonic_ns()))
        return True

    def stop(self) -> None:
        """Take a stop of a stop-only connection."""
        self._deliver(self._gantry.stop(time.monotonic_ns()))

    def leave(self, connection: "_Connection") -> None:
        """See a connection go; the commander's end is a stop."""
        self._connections.discard(connection)
        if connection is self._commander:
            self._commander = None
            self.stop()

    def _deliver(self, said: bytes) -> None:
        """Send what the gantry says, write down what its beam did, and wake it when it asks for it."""
        if said and self._commander is not None:
            self._commander.send(said)
        if self._truth is not None:
            for beam in self._gantry.drain_truth():
                self._truth.write(json.dumps(asdict(beam)) + "\n")
                self._truth.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due_ns = self._gantry.wake_at_ns
        if due_ns is not None:
            delay_s = max(0.0, (due_ns - time.monotonic_ns()) / 1e9)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._wake)

    def _wake(self) -> None:
        """Wake the gantry."""
        self._timer = None
        self._deliver(self._gantry.wake(time.monotonic_ns()))


class _Connection(asyncio.Protocol):
    """One connection: says with its first line whether it commands or may only stop."""

    def __init__(self, server: GantryServer) -> None:
        self._server = server
        self._transport: asyncio.WriteTransport | None = None
        self._decoder = LineDecoder()
        self._role = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, without Nagle's delay."""
        assert isinstance(transport, asyncio.WriteTransport)
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport = transport
        if not self._server.admit(self):
            self._refuse()

    def data_received(self, data: bytes) -> None:
        """Hand bytes to the gantry once it is known who speaks."""
        if self._role == "control":
            self._server.command(self, data)
            return
        for line in self._decoder.feed(data):
            if self._role == "" and line.verb == "HELLO":
                self._role = line.word()
                if self._role == "control":
                    # The decoder may hold the rest of this very packet: the gantry has its own and gets it whole.
                    if not self._server.command(self, data):
                        self._refuse()
                    return
            elif line.verb == "STOP" and self._role == "stop":
                self._server.stop()
            elif line.verb == "PING" and self._role == "stop":
                self.send(encode_line("PONG", line.integers()[0], 0))

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the name is asyncio's
        """Tell the server."""
        self._transport = None
        self._server.leave(self)

    def send(self, data: bytes) -> None:
        """Send, if there is still somebody."""
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()

    def _refuse(self) -> None:
        """Say that somebody else commands, and hang up."""
        self._role = "refused"
        self.send(encode_line("BUSY"))
        self.close()


async def serve(gantry: Gantry, *, host: str = "127.0.0.1", port: int = 0, truth: Path | None = None) -> None:
    """Serve a gantry until cancelled; prints one JSON line `{"port": N}` and appends to the truth file.

    Raises
    ------
    SettingsError
        If the port is taken or the truth file cannot be written.
    """
    file: TextIO | None = None
    if truth is not None:
        try:
            truth.parent.mkdir(parents=True, exist_ok=True)
            file = truth.open("a", encoding="utf-8")
        except OSError as error:
            raise SettingsError(
                f"The gantry cannot write {truth} ({error.strerror}); name a folder of yours."
            ) from error
    server = GantryServer(gantry, file)
    try:
        listening = await server.start(host, port)
        sys.stdout.write(json.dumps({"port": listening}) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()
    finally:
        await server.close()
        if file is not None:
            file.close()
