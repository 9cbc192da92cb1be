"""What goes together and what comes next are learned from the log."""

from __future__ import annotations

import numpy as np

from rag_rec.list_types import Affinity, Steps
from rag_rec.retrieval import Histories


def test_steps_know_which_comes_first() -> None:
    log = Histories.of([[0, 1, 2], [0, 1, 2], [0, 2]], 4)
    steps = Steps(log).block(np.arange(4), np.arange(4))
    assert steps[0, 1] > 0 > steps[1, 0]
    assert steps[0, 2] > 0
    assert not steps[3].any()


def test_affinity_backs_off_from_items_to_categories_to_text() -> None:
    baskets = Histories.of([[0, 1], [0, 1], [2, 3]], 6)
    groups = np.array([0, 1, 0, 1, 0, -1])
    vectors = np.eye(6, dtype=np.float32)
    block = Affinity(baskets, groups, vectors).block(np.arange(6), np.arange(6))
    assert block[0, 1] > block[4, 1] > 0, "4 was never taken, but its category goes with 1's"
    assert block[5, 1] == 0
    assert np.allclose(block, block.T)
