"""The bus: signed messages over MQTT 3.1.1, one connection per `Bus`, and nothing ever queued for later.

MQTT gives no correctness here, only transport: sequence, nonce, expiry and signature are in the payload. A publish
while the broker is away fails at once, since a late trigger is worse than a lost one.
"""

import asyncio
import contextlib
import functools
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from pathlib import Path
from typing import Literal, cast

import aiomqtt

from gating.errors import PeerError, SettingsError
from gating.io.envelope import MAX_ENVELOPE_BYTES, PAGE_REQUESTS, Heard, RefusalReason, Refused, Signed, seal, unseal
from gating.io.keys import Keyring
from gating.messages import CHANNELS, PAGE_TOPIC, Message, OperatorRequest, encode, topic_of
from gating.settings import MqttSettings

__all__ = ["MAX_ENVELOPE_BYTES", "Bus", "BusRole", "Heard", "RefusalReason", "Refused", "Signed", "seal", "unseal"]

BusRole = Literal["gate", "bridge", "operator", "monitor"]
ACK_TIMEOUT_S = 0.5  # of a QoS 1 publish: the lease (120 ms) is over long before
KEEPALIVE_S = 3  # MQTT's own ping: a broker that vanished without a word is noticed within 2 x this
CONNECT_TIMEOUT_S = 5.0
MAX_IN_FLIGHT = 32  # publishes waiting for the socket or their ack
FIRST_BACKOFF_S = 0.1
LAST_BACKOFF_S = 2.0
SUBSCRIPTION_REFUSED = 0x80  # MQTT 3.1.1 section 3.9.3
BAD_CREDENTIALS = frozenset({4, 5, 134, 135})  # CONNACK of 3.1.1, and paho's translation of it
NODELAY = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)  # without it a QoS 1 trigger takes 30-90 ms


class _Doorstep(asyncio.Queue[aiomqtt.Message]):
    """In place of aiomqtt's inbox: hands each message straight on, so that nothing waits here unseen.

    What this process cannot take yet stays in the socket: a flood slows its sender and fills no memory of ours.
    """

    def __init__(self, deliver: Callable[[aiomqtt.Message], bool], maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._deliver = deliver

    def put_nowait(self, item: aiomqtt.Message) -> None:
        """Hand one message on; one that could not be handed on ends the connection's loop."""
        if not self._deliver(item):
            super().put_nowait(item)


class Bus:
    """One MQTT connection of one role: says what is heard, signs what is sent, reconnects for ever.

    Parameters
    ----------
    settings
        The broker. `{role}` in `username` and `password_file` becomes the role's name.
    site
        The second level of every topic.
    keyring
        Own private key (none for the monitor) and the peers' public keys.
    role
        Who this process is; a message of another sender cannot be published.
    listen
        The kinds to subscribe to; `OperatorRequest` includes the page's unsigned requests.
    now_ns
        The host's monotonic clock.
    """

    def __init__(
        self,
        settings: MqttSettings,
        site: str,
        keyring: Keyring,
        *,
        role: BusRole,
        listen: Collection[type[Message]],
        now_ns: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._site = site
        self._keyring = keyring
        self._role = role
        self._now_ns = now_ns
        self._topics = [(f"gating/{site}/{CHANNELS[kind].topic}", int(CHANNELS[kind].qos)) for kind in listen]
        if OperatorRequest in listen:
            self._topics.append((f"gating/{site}/{PAGE_TOPIC}", int(CHANNELS[OperatorRequest].qos)))
        self._username, self._password = credentials(settings, role)
        self._client: aiomqtt.Client | None = None
        self._in_flight = 0
        self._failure: Exception = AssertionError("aiomqtt yielded a message that nobody kept")

    @property
    def connected(self) -> bool:
        """Whether a publish could leave now."""
        return self._client is not None

    @property
    def broker(self) -> str:
        """Name the broker for people."""
        return f"{self._settings.host}:{self._settings.port}"

    async def run(self, hear: Callable[[Heard | Refused], None], link: Callable[[bool, str], None]) -> None:
        """Connect, subscribe, call back for all that is heard, reconnect; ends only by cancellation.

        Both callbacks run on the event loop and must not block. `link` is told each change and each new reason of
        failure, never the same text twice in a row.
        """
        backoff_s, told = 0.0, ""
        while True:
            try:
                async with self._connection(hear) as client:
                    backoff_s, told = 0.0, ""
                    link(True, f"Connected to the MQTT broker at {self.broker}.")
                    async for _ in client.messages:  # yields only after `hear` failed: see _Doorstep
                        break
                    raise self._failure
            except PeerError as error:
                if str(error) != told:
                    told = str(error)
                    link(False, told)
            await asyncio.sleep(backoff_s)
            backoff_s = min(LAST_BACKOFF_S, max(FIRST_BACKOFF_S, 2 * backoff_s))

    async def publish(self, message: Message) -> None:
        """Sign and send one message at its channel's QoS; returns when it left (QoS 0) or was acknowledged (QoS 1).

        The order of two calls is the order on the wire, awaited or not.

        Raises
        ------
        PeerError
            At once when not connected or when the broker does not keep up; after ACK_TIMEOUT_S without an ack.
        ValueError
            If this role may not send this kind, or it is too large.
        """
        topic, data = self._prepare(message)
        if self._client is None:
            raise PeerError(f"No connection to the MQTT broker at {self.broker}, so nothing was sent; is it running?")
        if self._in_flight >= MAX_IN_FLIGHT:
            raise PeerError(f"The MQTT broker at {self.broker} does not keep up, so nothing was sent; relieve it.")
        self._in_flight += 1
        try:
            qos = CHANNELS[type(message)].qos
            await self._client.publish(topic, data, qos=qos, retain=False, timeout=ACK_TIMEOUT_S)
        except aiomqtt.MqttError as error:
            raise PeerError(
                f"The MQTT broker at {self.broker} did not take a {type(message).__name__} ({error}); is it running?"
            ) from error
        finally:
            self._in_flight -= 1

    @contextlib.asynccontextmanager
    async def loopback(self, topic: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Open two further connections, one that asks and one that echoes; gives the round trip, to be awaited.

        All at QoS 1, as trigger and answer are: the ask's acknowledgement and the echo are two small packets to one
        socket, and Nagle's algorithm in the broker holds the second one back.
        """
        back = asyncio.Event()
        echoes: set[asyncio.Task[None]] = set()

        def heard_back(_: aiomqtt.Message) -> bool:
            """Note the return."""
            back.set()
            return True

        def echo(_: aiomqtt.Message) -> bool:
            """Answer at once."""
            task = asyncio.ensure_future(far.publish(f"{topic}/echo", b"echo", qos=1, timeout=ACK_TIMEOUT_S))
            echoes.add(task)
            task.add_done_callback(echoes.discard)
            return True

        async def trip() -> None:
            """Go there and back once."""
            back.clear()
            try:
                await near.publish(topic, b"ask", qos=1, timeout=ACK_TIMEOUT_S)
                await asyncio.wait_for(back.wait(), ACK_TIMEOUT_S)
            except (aiomqtt.MqttError, TimeoutError) as error:
                raise PeerError(
                    f"The MQTT broker at {self.broker} does not bring {topic} back to {self._who()} ({error}); "
                    "grant it in the broker's access list."
                ) from error

        async with self._open(heard_back, [(f"{topic}/echo", 1)]) as near, self._open(echo, [(topic, 1)]) as far:
            yield trip
            await asyncio.gather(*echoes, return_exceptions=True)

    def _prepare(self, message: Message) -> tuple[str, bytes]:
        """Give topic and bytes of a message; only the page's tightening requests may go unsigned."""
        if self._role == "monitor":
            if not isinstance(message, OperatorRequest) or message.request not in PAGE_REQUESTS:
                raise ValueError(f"The monitor may send only {', '.join(sorted(PAGE_REQUESTS))}.")
            return f"gating/{self._site}/{PAGE_TOPIC}", encode(message)
        if CHANNELS[type(message)].sender != self._role:
            raise ValueError(f"A {type(message).__name__} is not the {self._role}'s to send.")
        return topic_of(self._site, message), seal(message, self._keyring)

    @contextlib.asynccontextmanager
    async def _connection(self, hear: Callable[[Heard | Refused], None]) -> AsyncIterator[aiomqtt.Client]:
        """Be connected, as far as `publish` is concerned, for the time of a context."""
        async with self._open(functools.partial(self._deliver, hear), self._topics) as client:
            self._client = client
            try:
                yield client
            finally:
                self._client = None

    @contextlib.asynccontextmanager
    async def _open(
        self, deliver: Callable[[aiomqtt.Message], bool], topics: list[tuple[str, int]]
    ) -> AsyncIterator[aiomqtt.Client]:
        """Connect and subscribe; afterwards close whatever is open. A failure of the broker's side is a PeerError."""
        client = self._make_client(functools.partial(_Doorstep, deliver))
        try:
            await _enter(client)
            try:
                await self._subscribe(client, topics)
                yield client
            finally:
                await _leave(client)
        except aiomqtt.MqttError as error:
            raise PeerError(self._why(error)) from error

    def _make_client(self, doorstep: Callable[..., _Doorstep]) -> aiomqtt.Client:
        """Make a client of MQTT 3.1.1 with a clean session, TCP_NODELAY, and no queue that outlives the connection."""
        client = aiomqtt.Client(
            self._settings.host,
            self._settings.port,
            identifier=f"{self._role}-{secrets.token_hex(6)}",
            username=self._username,
            password=self._password,
            protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=True,
            timeout=CONNECT_TIMEOUT_S,
            keepalive=KEEPALIVE_S,
            # aiomqtt only ever calls it with maxsize=, so a partial serves as the class
            queue_type=cast("type[asyncio.Queue[aiomqtt.Message]]", doorstep),
            max_inflight_messages=MAX_IN_FLIGHT,
            tls_params=None
            if self._settings.tls_ca_file is None
            else aiomqtt.TLSParameters(ca_certs=self._settings.tls_ca_file),
            socket_options=NODELAY,
        )
        client.pending_calls_threshold = MAX_IN_FLIGHT
        return client

    async def _subscribe(self, client: aiomqtt.Client, topics: list[tuple[str, int]]) -> None:
        """Subscribe to topics; a refused one is the broker's rights."""
        if not topics:
            return
        granted = await client.subscribe(topics)
        for (topic, _), code in zip(topics, granted, strict=True):
            if _number(code) >= SUBSCRIPTION_REFUSED:
                raise PeerError(
                    f"The MQTT broker at {self.broker} does not let {self._who()} read {topic}; "
                    "grant it in the broker's access list."
                )

    def _deliver(self, hear: Callable[[Heard | Refused], None], raw: aiomqtt.Message) -> bool:
        """Stamp, judge and hand on one message; an error of the receiver is kept for `run`, past paho's `except`."""
        now_ns = self._now_ns()
        data = raw.payload if isinstance(raw.payload, bytes) else b""
        heard = unseal(self._site, raw.topic.value, data, retained=raw.retain, keyring=self._keyring, now_ns=now_ns)
        try:
            hear(heard)
        except Exception as error:
            self._failure = error
            return False
        return True

    def _who(self) -> str:
        """Name the user for people."""
        return "anonymous users" if self._username is None else f"user {self._username!r}"

    def _why(self, error: aiomqtt.MqttError) -> str:
        """Turn a failure of the connection into a sentence and its cure."""
        if isinstance(error, aiomqtt.MqttCodeError) and _number(error.rc) in BAD_CREDENTIALS:
            return (
                f"The MQTT broker at {self.broker} refuses {self._who()}; "
                "check username and password_file in [mqtt] of the site file."
            )
        if "onnection refused" in str(error):
            return f"No MQTT broker answers at {self.broker}; start it (`diastole broker`), or mend [mqtt]."
        return f"The connection to the MQTT broker at {self.broker} failed ({error}); is it running?"


def _number(code: object) -> int:
    """Read paho's two kinds of return code alike."""
    number = getattr(code, "value", code)
    return number if isinstance(number, int) else 0


async def _enter(client: aiomqtt.Client) -> None:
    """Connect; a cancellation waits for aiomqtt's connecting thread, which would leave an open socket behind."""
    entering = asyncio.ensure_future(client.__aenter__())
    try:
        await asyncio.shield(entering)
    except asyncio.CancelledError:
        with contextlib.suppress(aiomqtt.MqttError):  # we are leaving: how connecting ended is of no use any more
            await entering
            await client.__aexit__(None, None, None)
        raise


async def _leave(client: aiomqtt.Client) -> None:
    """Disconnect; a broker that is gone already needs no goodbye."""
    with contextlib.suppress(aiomqtt.MqttError):
        await client.__aexit__(None, None, None)


def credentials(settings: MqttSettings, role: BusRole) -> tuple[str | None, str | None]:
    """Give user and password of a role: the first line of its password file.

    Raises
    ------
    SettingsError
        If the password file cannot be read, or there is one without a user.
    """
    username = None if settings.username is None else settings.username.replace("{role}", role)
    if settings.password_file is None:
        return username, None
    path = Path(settings.password_file.replace("{role}", role))
    if username is None:
        raise SettingsError("[mqtt] has a password_file but no username; give both, or none.")
    try:
        return username, path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The MQTT password file {path} cannot be read ({error}); mend [mqtt].") from error
