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
from numba import njit

from gating.filters import Floats

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


@njit(cache=True, nogil=True, error_model="numpy")
def log_odds(network: Network, figures: Floats) -> float:
    """Give the log odds of the network for these figures."""
    hidden = network.first_bias.copy()
    for j in range(network.mean.shape[0]):
        value = (figures[j] - network.mean[j]) * network.scale[j]
        value = min(max(value, -WIDEST), WIDEST)
        for i in range(hidden.shape[0]):
            hidden[i] += value * network.first[j, i]
    more = network.second_bias.copy()
    for j in range(hidden.shape[0]):
        if hidden[j] > 0.0:
            for i in range(more.shape[0]):
                more[i] += hidden[j] * network.second[j, i]
    odds = network.last_bias[0]
    for i in range(more.shape[0]):
        if more[i] > 0.0:
            odds += more[i] * network.last[i]
    return odds


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def probability(odds: float) -> float:
    """Turn log odds into a probability."""
    return 1.0 / (1.0 + np.exp(-odds))
