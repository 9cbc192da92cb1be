"""Candidates that are made together are those that are made one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_rec import Candidate
from rag_rec.retrieval.fusion.candidates import candidates_of, ranks_by_source

NAMES = ("x", "y", "z")
RANKS = st.lists(st.tuples(*(st.integers(0, 2) for _ in NAMES)), max_size=5)


@given(RANKS)
def test_ranks_by_source_are_those_of_a_plain_loop(rows: list[tuple[int, ...]]) -> None:
    ranks = np.array(rows, np.int64).reshape(-1, len(NAMES))
    expected = [{name: rank for name, rank in zip(NAMES, row, strict=True) if rank} for row in rows]
    assert ranks_by_source(NAMES, ranks) == expected


@given(st.lists(st.tuples(st.text(), st.floats(allow_nan=False)), max_size=5))
def test_candidates_made_together_are_the_constructors(rows: list[tuple[str, float]]) -> None:
    sources = [{"x": at} for at in range(len(rows))]
    ids, scores = [item for item, _ in rows], [score for _, score in rows]
    made = candidates_of(ids, scores, sources)
    assert made == [Candidate(*row) for row in zip(ids, scores, sources, strict=True)]
    for one in made:
        with pytest.raises(AttributeError):
            one.score = 0.0  # pyright: ignore[reportAttributeAccessIssue]
