"""The gate's clock against the bridge's, by Ping and Pong (Cristian's method: half the round trip is the doubt)."""

from collections import OrderedDict, deque
from dataclasses import dataclass

from gating.messages import Ping, Pong
from gating.units import NS_PER_S

REMEMBERED = 8  # pongs; the one with the shortest round trip counts
OUTSTANDING = 8  # pings without an answer; older ones are forgotten
DRIFT_PPM = 100  # of two hosts' clocks against each other, assumed for the age of a measurement (hazards.md T3)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One round trip."""

    offset_ns: int  # gate's clock minus bridge's clock, at the middle of the round trip
    doubt_ns: int  # half the round trip
    at_ns: int


class PeerClock:
    """Offset and uncertainty of the gate's clock, the best of the last few pongs."""

    def __init__(self, fresh_s: float) -> None:
        self._fresh_ns = round(fresh_s * NS_PER_S)
        self._pings: OrderedDict[str, int] = OrderedDict()
        self._answered: OrderedDict[str, int] = (
            OrderedDict()
        )  # the gate's clock in the answer to each of the last pings
        self._measured: deque[Measurement] = deque(maxlen=REMEMBERED)

    def ping(self, token: str, now_ns: int) -> Ping:
        """Make the next Ping and remember it."""
        self._pings[token] = now_ns
        if len(self._pings) > OUTSTANDING:
            self._pings.popitem(last=False)
        return Ping(token=token, at_ns=now_ns)

    def pong(self, pong: Pong, now_ns: int) -> bool:
        """Take an answer; False if no such Ping is waiting (late, doubled or made up)."""
        sent_ns = self._pings.pop(pong.token, None)
        if sent_ns is None or sent_ns != pong.ping_at_ns:
            return False
        self._answered[pong.token] = pong.gate_at_ns
        if len(self._answered) > OUTSTANDING:
            self._answered.popitem(last=False)
        doubt_ns = (now_ns - sent_ns + 1) // 2
        newest = Measurement(pong.gate_at_ns - (sent_ns + now_ns) // 2, doubt_ns, now_ns)
        if self._measured and not self._agrees(newest):
            self._measured.clear()  # one of the clocks stepped: what was measured before is about another clock
        self._measured.append(newest)
        return True

    def contradicts(self, pong: Pong) -> bool:
        """Tell whether a ping that was answered got another answer: a gate answers once, so these are two gates."""
        return self._answered.get(pong.token, pong.gate_at_ns) != pong.gate_at_ns

    def _agrees(self, newest: Measurement) -> bool:
        """Tell whether a measurement can be about the same clock as the ones before."""
        return all(abs(newest.offset_ns - old.offset_ns) <= newest.doubt_ns + self._doubt_ns(old, newest.at_ns)
                   for old in self._measured)  # fmt: skip

    @staticmethod
    def _doubt_ns(measured: Measurement, now_ns: int) -> int:
        """Give a measurement's doubt, grown with its age."""
        return measured.doubt_ns + (now_ns - measured.at_ns) * DRIFT_PPM // 1_000_000

    def estimate(self, now_ns: int) -> tuple[int, int | None]:
        """Give offset and uncertainty in ns; uncertainty None, with the last offset known, if none was measured lately.

        An offset within its own doubt cannot be told from one clock for both, which is what one host has: it counts
        as zero, so that no instant moves by the jitter of a measurement, and is added to the doubt.
        """
        fresh = [one for one in self._measured if now_ns - one.at_ns <= self._fresh_ns]
        known = fresh or self._measured  # what is told must not jump to another clock because a gate falls silent
        if not known:
            return (0, None)
        best = min(known, key=lambda one: self._doubt_ns(one, now_ns))
        doubt_ns = self._doubt_ns(best, now_ns)
        one_clock = abs(best.offset_ns) <= doubt_ns
        offset_ns = 0 if one_clock else best.offset_ns
        return (offset_ns, doubt_ns + abs(best.offset_ns - offset_ns) if fresh else None)
