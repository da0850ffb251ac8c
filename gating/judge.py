"""The judge: small networks that turn the figures of a candidate into the odds that it is a beat.

Each network has two hidden layers of rectified units. The figures are centred, scaled and held within four widths, so
that nothing unheard of makes it sure. Its numbers come from a file (`gating/numbers/r_peak.toml`), which the training
script makes; this room knows nothing of files.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np

from gating.filters import Floats
from gating.kernel import assign, inlined

WIDEST = 4.0  # widths from the mean; further off counts as this


class Network(NamedTuple):
    """The numbers of one network, ready for the kernels."""

    mean: Floats  # [figure]
    scale: Floats  # [figure], one over the width
    first: Floats  # [figure, unit]
    first_bias: Floats
    second: Floats  # [unit, unit]
    second_bias: Floats
    last: Floats  # [unit]
    last_bias: Floats  # [1]


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """All networks of the detector, and a name for exactly these numbers."""

    confirm: Network  # confirmed or not, about 60 ms after the peak
    provisional: Network  # told at once or not
    trust: Network  # how probable it is that the beats found now are right
    fingerprint: str

    @property
    def units(self) -> int:
        """Give the number of figures and units of the largest network, all layers together."""
        nets = (self.confirm, self.provisional, self.trust)
        return max(len(net.mean) + len(net.first_bias) + len(net.second_bias) for net in nets)


class NetworkNumbers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One network as it stands in the file."""

    figures: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    first: tuple[tuple[float, ...], ...]
    first_bias: tuple[float, ...]
    second: tuple[tuple[float, ...], ...]
    second_bias: tuple[float, ...]
    last: tuple[float, ...]
    last_bias: float


def network_of(numbers: NetworkNumbers, figures: Sequence[str]) -> Network:
    """Make a network of the numbers in the file.

    Raises
    ------
    ValueError
        If the file was made for other figures than this code measures, or its tables do not fit together.
    """
    if tuple(figures) != numbers.figures:
        raise ValueError("the numbers were made for other figures; run the training again")

    def array(values: object) -> Floats:
        return np.array(values, dtype=np.float64, order="C")

    network = Network(
        mean=array(numbers.mean),
        scale=array(numbers.scale),
        first=array(numbers.first),
        first_bias=array(numbers.first_bias),
        second=array(numbers.second),
        second_bias=array(numbers.second_bias),
        last=array(numbers.last),
        last_bias=array([numbers.last_bias]),
    )
    units, more = len(network.first_bias), len(network.second_bias)
    fits = (
        network.mean.shape == network.scale.shape == (len(figures),)
        and network.first.shape == (len(figures), units)
        and network.second.shape == (units, more)
        and network.last.shape == (more,)
    )
    if not fits:
        raise ValueError("the tables of a network do not fit together")
    return network


@inlined
def log_odds(network: Network, figures: Floats, units: Floats) -> float:
    """Give the log odds of the network for these figures; `units` [Judge.units] is for scratch."""
    count, more = network.first.shape[0], network.first.shape[0] + network.first.shape[1]
    last = network.last.shape[0]
    held, hidden, deeper = units[:count], units[count:more], units[more : more + last]
    for j in range(count):
        value = (figures[j] - network.mean[j]) * network.scale[j]
        held[j] = min(max(value, -WIDEST), WIDEST)
    _layer(network.first, network.first_bias, held, hidden)
    _layer(network.second, network.second_bias, hidden, deeper)
    odds = network.last_bias[0]
    for i in range(last):
        odds += deeper[i] * network.last[i]
    return odds


@inlined
def _layer(weights: Floats, bias: Floats, values: Floats, units: Floats) -> None:
    """Fill `units` with the rectified sums of the values by their weights [value, unit].

    Four values at once, for the sums then stay in registers; each sum goes from the first value to the last all the
    same, so that its digits do not depend on it.
    """
    assign(units, bias)
    whole = values.shape[0] // 4 * 4
    for j in range(0, whole, 4):
        a, b, c, d = values[j], values[j + 1], values[j + 2], values[j + 3]
        for i in range(units.shape[0]):
            one = units[i] + a * weights[j, i] + b * weights[j + 1, i]
            units[i] = one + c * weights[j + 2, i] + d * weights[j + 3, i]
    for j in range(whole, values.shape[0]):
        for i in range(units.shape[0]):
            units[i] += values[j] * weights[j, i]
    for i in range(units.shape[0]):
        units[i] = max(units[i], 0.0)


@inlined
def probability(odds: float) -> float:
    """Turn log odds into a probability."""
    return 1.0 / (1.0 + np.exp(-odds))
