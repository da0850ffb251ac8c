"""Connected components against those of scipy, which share no line with them."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from scoring.runs import components


@settings(max_examples=150)
@given(st.integers(1, 40), st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=60))
def test_components_are_those_of_scipy(count: int, pairs: list[tuple[int, int]]) -> None:
    """Any pairs: two nodes have one number exactly when scipy says so, and numbers ascend by their first nodes."""
    some = np.array([(a % count, b % count) for a, b in pairs], dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(some), dtype=bool), (some[:, 0], some[:, 1])), shape=(count, count))
    _, expected = connected_components(graph, directed=False)
    order = list(dict.fromkeys(expected.tolist()))
    assert [order.index(one) for one in expected] == components(count, some[:, 0], some[:, 1]).tolist()


def test_a_long_chain_is_one_component() -> None:
    """The worst case of joining by rounds, in an unhelpful order."""
    order = np.random.default_rng(3).permutation(100_000)
    assert 0 == components(100_000, order[:-1], order[1:]).max()
