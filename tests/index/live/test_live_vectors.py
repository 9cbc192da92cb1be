"""Vectors that came or changed are looked up like those of one array."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rag_rec.index.live.live_vectors import LiveVectors


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 99)), max_size=150))
def test_lookups_are_those_of_an_array_that_is_written_to(puts: list[tuple[int, int]]) -> None:
    built = np.arange(12, dtype=np.float32).reshape(4, 3)
    whole = np.zeros((10, 3), np.float32)
    whole[:4] = built
    live = LiveVectors(built, 10)
    for row, value in puts:
        whole[row] = value
        live.put(row, np.full(3, value, np.float32))
    every, asked = np.arange(10), np.array([1, 2, 0], np.float32)
    assert np.array_equal(live[every], whole)
    assert np.array_equal(live[every.reshape(5, 2)], whole.reshape(5, 2, 3))
    assert np.array_equal(live.cosines(asked), whole @ asked)
