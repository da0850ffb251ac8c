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
        """Give the number of units of the largest network, in both layers together."""
        return max(len(net.first_bias) + len(net.second_bias) for net in (self.confirm, self.provisional, self.trust))


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
    first, second, last = network.first, network.second, network.last
    hidden, more = units[: first.shape[1]], units[first.shape[1] : first.shape[1] + second.shape[1]]
    assign(hidden, network.first_bias)
    assign(more, network.second_bias)
    for j in range(first.shape[0]):
        value = (figures[j] - network.mean[j]) * network.scale[j]
        value = min(max(value, -WIDEST), WIDEST)
        for i in range(first.shape[1]):
            hidden[i] += value * first[j, i]
    for j in range(first.shape[1]):
        value = hidden[j]
        if value > 0.0:
            for i in range(second.shape[1]):
                more[i] += value * second[j, i]
    odds = network.last_bias[0]
    for i in range(second.shape[1]):
        if more[i] > 0.0:
            odds += more[i] * last[i]
    return odds


@inlined
def probability(odds: float) -> float:
    """Turn log odds into a probability."""
    return 1.0 / (1.0 + np.exp(-odds))
