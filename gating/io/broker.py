"""The embedded MQTT broker of the demo: amqtt, MQTT 3.1.1, in a process of its own.

For a laptop and for tests. A site takes mosquitto with `set_tcp_nodelay true`: a Python broker queues without bound
when the processor is busy (io.md section 2.4). asyncio sets TCP_NODELAY on every socket it accepts by itself.
"""

import asyncio
import contextlib
import ipaddress
import logging
import signal
import warnings
from collections.abc import Callable
from pathlib import Path

from gating.errors import PeerError, SettingsError

MAX_CONNECTIONS = 64
USERS = ("gate", "bridge", "operator", "monitor")
PUBLISHES = {
    "gate": ["gating/+/gate/#"],
    "bridge": ["gating/+/scanner/#"],
    "operator": ["gating/+/operator/#"],
    "monitor": ["gating/+/page/#"],
}
"""What each user of a password file may publish: the same division that the signatures enforce. All may read all."""


def add_user_to(password_file: Path | None, user: str, password: str) -> None:
    """Add a line `user:argon2-hash` to a password file, or replace the user's line.

    Raises
    ------
    SettingsError
        If no file is named or it cannot be written, the name is none of the four users, or the password is empty.
    """
    from pwdlib import PasswordHash
    from pwdlib.hashers.argon2 import Argon2Hasher

    if password_file is None:
        raise SettingsError("No password file is named; give --password-file, or users_file in [mqtt].")
    if user not in USERS:
        raise SettingsError(f"The broker knows only the users {', '.join(USERS)}, not {user!r}.")
    if not password:
        raise SettingsError("An empty password protects nothing; give one.")
    try:
        lines = password_file.read_text(encoding="utf-8").splitlines() if password_file.exists() else []
        kept = [line for line in lines if not line.startswith(f"{user}:")]
        password_file.touch(mode=0o600)
        hashed = PasswordHash((Argon2Hasher(),)).hash(password)
        password_file.write_text("\n".join([*kept, f"{user}:{hashed}"]) + "\n", encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{password_file} cannot be written ({error.strerror}); name a file of yours.") from error


def plugins_for(password_file: Path | None) -> dict[str, dict[str, object]]:
    """Name the broker's plugins explicitly: the default set logs every packet."""
    if password_file is None:
        return {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    return {
        "amqtt.plugins.authentication.FileAuthPlugin": {"password_file": str(password_file)},
        "amqtt.plugins.topic_checking.TopicAccessControlListPlugin": {
            "publish_acl": PUBLISHES,
            "acl": {user: ["gating/#"] for user in USERS},
        },
    }


def check_exposure(host: str, password_file: Path | None) -> None:
    """Refuse an anonymous broker that other machines could reach.

    Raises
    ------
    SettingsError
        If there is no password file and the host is not a loopback address, or the password file is missing.
    """
    if password_file is not None:
        if not password_file.is_file():
            raise SettingsError(
                f"The broker's password file {password_file} is missing; "
                "add users with `diastole broker --password-file FILE --add-user gate`."
            )
        return
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise SettingsError(
            f"A broker without passwords listens on 127.0.0.1 only, not on {host}; give it a --password-file."
        )


async def serve(host: str, port: int, *, password_file: Path | None = None, ready: Callable[[int], None]) -> None:
    """Run the broker until cancelled; `ready` is told the port (a free one for port 0).

    Raises
    ------
    SettingsError
        If it would be open to other machines without passwords, or amqtt is not installed.
    PeerError
        If the port is taken.
    """
    check_exposure(host, password_file)
    try:
        from amqtt.broker import Broker
        from amqtt.errors import BrokerError
    except ImportError as error:
        raise SettingsError(
            "The embedded broker is not installed; run `pip install 'diastole[embedded]'`, or use mosquitto."
        ) from error
    # a client that vanished is daily life for a broker; amqtt logs a traceback for some of them
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    listener = {"type": "tcp", "bind": f"{host}:{port}", "max_connections": MAX_CONNECTIONS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # `acl` is deprecated, its successor not yet accepted
        broker = Broker({"listeners": {"default": listener}, "plugins": plugins_for(password_file)})
    try:
        await broker.start()
    except BrokerError as error:
        raise PeerError(
            f"Port {port} on {host} is taken or not allowed ({error}); stop the other broker, or give another --port."
        ) from error
    try:
        server = broker._servers["default"].instance  # amqtt has no public way to ask for the port it was given
        ready(server.sockets[0].getsockname()[1])
        await asyncio.Event().wait()
    finally:
        await broker.shutdown()


async def serve_until_told(
    host: str, port: int, *, password_file: Path | None = None, ready: Callable[[int], None]
) -> None:
    """Run the broker until SIGINT or SIGTERM."""
    task = asyncio.ensure_future(serve(host, port, password_file=password_file, ready=ready))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task
