"""Who may connect, and how much each address has used: what no peer of the settings allows is refused."""

import hashlib
import ipaddress
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from scoring.io.receiver.guard import MIB
from scoring.io.receiver.settings import PeerSettings, ReceiverSettings

HOUR_S = 3600.0
MOST_ADDRESSES = 1024  # remembered at once; a network of a peer may be wide

Denial = Literal[
    "no-peers", "unknown-address", "too-many-connections", "wrong-called-title", "unknown-peer", "wrong-certificate",
    "peer-quota", "shut-out", "stopping",
]  # fmt: skip
REJECTION: dict[Denial, tuple[int, int, int]] = {  # result, source, reason of PS3.8 table 9-21
    "wrong-called-title": (1, 1, 7),
    "unknown-peer": (1, 1, 3),
    "wrong-certificate": (1, 1, 3),
    "too-many-connections": (2, 3, 2),
    "peer-quota": (2, 3, 2),
    "stopping": (2, 3, 1),
}


@dataclass(slots=True)
class Usage:
    """What one address has used."""

    connections: int = 0
    hour_began_s: float = 0.0
    received_bytes: int = 0
    strikes: int = 0
    minute_began_s: float = 0.0
    faults: int = 0
    shut_out_until_s: float = 0.0


@dataclass(slots=True)
class Admission:
    """Judges connections and requests, and keeps the books; every time is an argument, monotonic."""

    settings: ReceiverSettings
    used: dict[str, Usage] = field(default_factory=dict)
    denied: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    stopping: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def connect(self, address: str, now_s: float) -> Denial | None:
        """Let an address in, or say why not; who is let in has to `leave`.

        Twice the limit of associations may connect, so that a peer beyond it gets an answer and no dead line.
        """
        limits = self.settings.limits
        with self._lock:
            denial: Denial | None = None
            if not self.settings.peers:
                denial = "no-peers"
            elif not self._at(address):
                denial = "unknown-address"
            elif self.connections >= 2 * limits.associations:
                denial = "too-many-connections"
            else:
                usage = self._usage(address, now_s)
                if usage is not None and now_s < usage.shut_out_until_s:
                    denial = "shut-out"
                elif usage is None or usage.connections >= 2 * limits.associations_per_peer:
                    denial = "too-many-connections"
                else:
                    usage.connections += 1
                    self.connections += 1
            if denial is not None:
                self.denied[denial] += 1
            return denial

    def leave(self, address: str) -> None:
        """Count a connection out."""
        with self._lock:
            self.connections -= 1
            self.used[address].connections -= 1

    def judge(self, address: str, called: str, calling: str, certificate: bytes, now_s: float) -> PeerSettings | Denial:
        """Find the peer that a request comes from, or say why it is rejected."""
        limits = self.settings.limits
        with self._lock:
            usage = self._usage(address, now_s)
            by_title = [peer for peer in self._at(address) if peer.ae_title == calling]
            found = [peer for peer in by_title if _certified(peer, certificate)]
            denial: Denial | None = None
            if self.stopping:
                denial = "stopping"
            elif called != self.settings.ae_title:
                denial = "wrong-called-title"
            elif not by_title:
                denial = "unknown-peer"
            elif not found:
                denial = "wrong-certificate"
            elif usage is None or usage.received_bytes >= limits.peer_mib_per_hour * MIB:
                denial = "peer-quota"
            elif self.connections > limits.associations or usage.connections > limits.associations_per_peer:
                denial = "too-many-connections"
            if denial is None:
                return found[0]
            self.denied[denial] += 1
            return denial

    def spend(self, address: str, count: int, now_s: float) -> bool:
        """Count received bytes; False when the address has used up its hour, or is shut out."""
        with self._lock:
            usage = self._usage(address, now_s)
            if usage is None:
                return False
            usage.received_bytes += count
            if now_s < usage.shut_out_until_s:
                return False
            return usage.received_bytes <= self.settings.limits.peer_mib_per_hour * MIB

    def fault(self, address: str, now_s: float) -> None:
        """Count what no healthy peer does; an address that does it too often is shut out for a while.

        So an attack costs the receiver a few connections a minute. A peer that shares its address with the attacker is
        shut out with it.
        """
        with self._lock:
            usage = self._usage(address, now_s)
            if usage is None:
                return
            if now_s - usage.minute_began_s > 60.0:
                usage.minute_began_s, usage.faults = now_s, 0
            usage.faults += 1
            if usage.faults > self.settings.limits.faults_per_minute:
                usage.shut_out_until_s = now_s + self.settings.limits.shut_out_s

    def strike(self, address: str, now_s: float) -> None:
        """Remember that an object of this address killed an examiner."""
        with self._lock:
            usage = self._usage(address, now_s)
            if usage is not None:
                usage.strikes += 1

    def struck(self, address: str, now_s: float) -> bool:
        """Tell whether an address has hurt an examiner within its hour."""
        with self._lock:
            usage = self._usage(address, now_s)
            return usage is None or usage.strikes > 0

    def _at(self, address: str) -> list[PeerSettings]:
        """Peers whose network holds an address; an IPv4 address inside IPv6 is that IPv4 address."""
        here = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(here, "ipv4_mapped", None)
        return [peer for peer in self.settings.peers if (mapped or here) in ipaddress.ip_network(peer.network)]

    def _usage(self, address: str, now_s: float) -> Usage | None:
        """Books of an address, its hour begun anew where it is over; None when too many addresses are remembered."""
        usage = self.used.get(address)
        if usage is None:
            idle = [
                name for name, one in self.used.items() if one.connections == 0 and now_s - one.hour_began_s > HOUR_S
            ]
            for name in idle if len(self.used) >= MOST_ADDRESSES else ():
                del self.used[name]
            if len(self.used) >= MOST_ADDRESSES:
                return None
            usage = self.used[address] = Usage(hour_began_s=now_s)
        if now_s - usage.hour_began_s > HOUR_S:
            usage.hour_began_s, usage.received_bytes, usage.strikes = now_s, 0, 0
        return usage


def _certified(peer: PeerSettings, certificate: bytes) -> bool:
    """Tell whether a peer that is bound to one certificate showed it."""
    wanted = peer.certificate_sha256
    return wanted is None or wanted == hashlib.sha256(certificate).hexdigest()
