"""Origins of candidates that are read together are those that are read one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rag_rec.retrieval.fusion.provenance import ranks_by_source

NAMES = ("x", "y", "z")
RANKS = st.lists(st.tuples(*(st.integers(0, 2) for _ in NAMES)), max_size=5)


@given(RANKS)
def test_ranks_by_source_are_those_of_a_plain_loop(rows: list[tuple[int, ...]]) -> None:
    ranks = np.array(rows, np.int64).reshape(-1, len(NAMES))
    expected = [{name: rank for name, rank in zip(NAMES, row, strict=True) if rank} for row in rows]
    assert ranks_by_source(NAMES, ranks) == expected
