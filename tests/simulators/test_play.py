"""What the demo says when something breaks in its event loop."""

import asyncio
import errno
import socket
from collections.abc import Callable, Coroutine

import pytest

from simulators.io.play import _until_told


async def _watch_a_closed_socket() -> None:
    """Do what aiomqtt's thread does when the broker ends while it connects."""
    left, right = socket.socketpair()
    loop, number = asyncio.get_running_loop(), left.fileno()
    left.close()
    right.close()
    loop.call_soon(loop.add_writer, number, print)
    await asyncio.sleep(0.01)


async def _fill_the_disk() -> None:
    def fail() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    asyncio.get_running_loop().call_soon(fail)
    await asyncio.sleep(0.01)


async def _divide_by_nothing() -> None:
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("work", "told"),
    [(_watch_a_closed_socket, 0), (_fill_the_disk, 1), (_divide_by_nothing, 1)],
    ids=["closed socket", "full disk", "our own fault"],
)
def test_a_closed_socket_is_not_told_but_every_other_fault_is(
    work: Callable[[], Coroutine[None, None, None]], told: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A broker that ends during the demo's own ending prints no traceback; a fault of ours does."""
    asyncio.run(_until_told(work()))
    assert told == sum("Exception in callback" in record.message for record in caplog.records)
