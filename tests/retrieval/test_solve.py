"""The inverse behind the closed forms, with and without items that are eliminated first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from rag_rec.retrieval.item_item.solve import ridge_inverse


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(1, 40), st.floats(0, 0.3), st.integers(0, 99))
def test_the_inverse_is_that_of_numpy(n: int, n_users: int, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    users = (rng.random((n_users, n)) < share).astype(np.float32)
    gram = users.T @ users
    found = ridge_inverse(sparse.csr_array(gram), 5.0)
    assert found == pytest.approx(np.linalg.inv(gram + 5 * np.eye(n)), abs=1e-6)
    assert found == pytest.approx(found.T, abs=1e-7)


def test_a_matrix_that_is_not_positive_definite_is_refused() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        ridge_inverse(sparse.csr_array(np.array([[1.0, 5.0], [5.0, 1.0]])), 1.0)
