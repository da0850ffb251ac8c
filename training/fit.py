"""Fit a small network by stochastic descent, in plain numpy of single precision.

The same seed gives the same network where the libraries sum alike; `make train` sees to that.

Reference: Adam, Kingma and Ba 2015, arXiv:1412.6980. Our deviations: a cosine from the first rate to nothing, weights
per row, and figures that are held within four widths, as the detector holds them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from gating.judge import WIDEST, Network, NetworkNumbers

Singles = NDArray[np.float32]
BATCH, RATE, DECAY = 1024, 3e-3, 1e-5
DIGITS = 5  # of the numbers that are shipped


@dataclass(frozen=True)
class Size:
    """How large a network is: units in its two layers, how many are averaged, and how long each is fitted."""

    first: int
    second: int
    networks: int
    epochs: int


def fit(figures: Singles, labels: Singles, weights: Singles, size: Size, seed: int) -> Network:
    """Fit the mean of a few networks to labels 0 and 1; it is written as one network with blocks.

    Parameters
    ----------
    figures : array of float32, shape (row, figure)
    labels : array of float32, shape (row,)
    weights : array of float32, shape (row,)
    size : Size
    seed : int
    """
    mean = np.average(figures, axis=0, weights=weights).astype(np.float32)
    width = np.sqrt(np.average((figures - mean) ** 2, axis=0, weights=weights)).astype(np.float32)
    scale = (1.0 / np.maximum(width, 1e-3)).astype(np.float32)
    inputs = np.clip((figures - mean) * scale, -WIDEST, WIDEST).astype(np.float32)
    share = (weights / weights.mean()).astype(np.float32)
    parts = [_descend(inputs, labels, share, size, 10 * seed + number) for number in range(size.networks)]
    second = np.zeros((size.first * size.networks, size.second * size.networks))
    for number, part in enumerate(parts):
        rows = slice(number * size.first, (number + 1) * size.first)
        second[rows, number * size.second : (number + 1) * size.second] = part[2]
    return Network(
        mean=_rounded(mean),
        scale=_rounded(scale),
        first=_rounded(np.concatenate([part[0] for part in parts], axis=1)),
        first_bias=_rounded(np.concatenate([part[1] for part in parts])),
        second=_rounded(second),
        second_bias=_rounded(np.concatenate([part[3] for part in parts])),
        last=_rounded(np.concatenate([part[4] for part in parts]) / size.networks),
        last_bias=_rounded(np.mean([part[5] for part in parts], axis=0)),
    )


def _rounded(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Round to the digits that are shipped, so that what is measured is what is shipped."""
    wide = np.asarray(values, dtype=np.float64)
    size = np.where(wide == 0.0, 1.0, np.abs(wide))
    unit = 10.0 ** (np.floor(np.log10(size)) - DIGITS + 1)
    return np.ascontiguousarray(np.round(wide / unit) * unit)


def _descend(inputs: Singles, labels: Singles, share: Singles, size: Size, seed: int) -> list[Singles]:
    """Fit one network by Adam."""
    generator = np.random.default_rng(seed)
    rows, columns = inputs.shape
    shapes = [(columns, size.first), (size.first,), (size.first, size.second), (size.second,), (size.second,), (1,)]
    spreads = [np.sqrt(2.0 / columns), 0.0, np.sqrt(2.0 / size.first), 0.0, np.sqrt(1.0 / size.second), 0.0]
    values = [
        (generator.normal(0.0, spread, shape) if spread else np.zeros(shape)).astype(np.float32)
        for shape, spread in zip(shapes, spreads, strict=True)
    ]
    means = [np.zeros_like(value) for value in values]
    squares = [np.zeros_like(value) for value in values]
    steps, step = size.epochs * -(-rows // BATCH), 0
    for _ in range(size.epochs):
        order = generator.permutation(rows)
        for begin in range(0, rows, BATCH):
            pick = order[begin : begin + BATCH]
            step += 1
            rate = RATE * 0.5 * (1.0 + np.cos(np.pi * step / steps)) + 1e-5
            for number, downhill in enumerate(_slopes(values, inputs[pick], labels[pick], share[pick])):
                slope = downhill + np.float32(DECAY) * values[number]
                means[number] += np.float32(0.1) * (slope - means[number])
                squares[number] += np.float32(0.001) * (slope * slope - squares[number])
                fair = means[number] / np.float32(1.0 - 0.9**step)
                spread = np.sqrt(squares[number] / np.float32(1.0 - 0.999**step)) + np.float32(1e-8)
                values[number] -= np.float32(rate) * fair / spread
    return values


def _slopes(values: Sequence[Singles], inputs: Singles, labels: Singles, share: Singles) -> list[Singles]:
    """Give the slopes of the mean logistic loss of one batch."""
    first = np.maximum(inputs @ values[0] + values[1], 0.0)
    second = np.maximum(first @ values[2] + values[3], 0.0)
    odds = second @ values[4] + values[5]
    error = ((expit(odds) - labels) * share / np.float32(len(labels))).astype(np.float32)
    back = np.outer(error, values[4]) * (second > 0.0)
    deep = (back @ values[2].T) * (first > 0.0)
    return [
        inputs.T @ deep,
        deep.sum(axis=0),
        first.T @ back,
        back.sum(axis=0),
        second.T @ error,
        error.sum(keepdims=True),
    ]


def numbers_of(network: Network, figures: Sequence[str]) -> NetworkNumbers:
    """Write a network as it stands in the file."""

    def rows(table: NDArray[np.float64]) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(float(value) for value in row) for row in table)

    def row(values: NDArray[np.float64]) -> tuple[float, ...]:
        return tuple(float(value) for value in values)

    return NetworkNumbers(
        figures=tuple(figures),
        mean=row(network.mean),
        scale=row(network.scale),
        first=rows(network.first),
        first_bias=row(network.first_bias),
        second=rows(network.second),
        second_bias=row(network.second_bias),
        last=row(network.last),
        last_bias=float(network.last_bias[0]),
    )


def linear(figures: Sequence[str], slopes: dict[str, float], bias: float) -> Network:
    """Make a network that is a plain logistic function of a few figures."""
    first = np.zeros((len(figures), 2))
    for name, slope in slopes.items():
        first[figures.index(name)] = slope, -slope
    return Network(
        mean=np.zeros(len(figures)),
        scale=np.ones(len(figures)),
        first=first,
        first_bias=np.array([bias, -bias]),
        second=np.eye(2),
        second_bias=np.zeros(2),
        last=np.array([1.0, -1.0]),
        last_bias=np.zeros(1),
    )
