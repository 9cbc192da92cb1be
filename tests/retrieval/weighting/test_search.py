"""The search for weights finds what was planted."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from rag_rec.retrieval import Histories, SearchConfig
from rag_rec.retrieval.stacked import StackedSources
from rag_rec.retrieval.weighting.search import search_weights
from rag_rec.retrieval.weighting.weights import Weighting

N_ITEMS = 60


def planted(rng: np.random.Generator) -> tuple[StackedSources, Histories, np.ndarray]:
    """What comes next follows the event before the last by the rule of source ``true``."""
    step = np.zeros((N_ITEMS, N_ITEMS), np.float32)
    step[np.arange(N_ITEMS), (np.arange(N_ITEMS) + 7) % N_ITEMS] = 1
    noise = rng.random((N_ITEMS, N_ITEMS)).astype(np.float32)
    np.fill_diagonal(noise, 0)
    matrices = {"noise": sparse.csr_array(noise), "true": sparse.csr_array(step)}
    rows = [rng.permutation(N_ITEMS)[:4].tolist() for _ in range(400)]
    came_next = np.array([(row[1] + 7) % N_ITEMS for row in rows], np.int32)
    kept = [u for u, row in enumerate(rows) if came_next[u] not in row]
    weights = {"noise": 1.0, "true": 1.0}
    past = Histories.of([rows[u] for u in kept], N_ITEMS)
    return StackedSources(matrices, weights), past, came_next[kept]


def test_the_search_turns_to_the_source_that_knows() -> None:
    sources, past, came_next = planted(np.random.default_rng(3))
    start = Weighting({"noise": 1.0, "true": 0.05}, decay=2.0)
    found = search_weights(sources, past, came_next, start, SearchConfig())
    assert found.sources["true"] / found.sources["noise"] > 0.5
    again = search_weights(sources, past, came_next, start, SearchConfig())
    assert again == found


def test_switched_off_nothing_changes() -> None:
    sources, past, came_next = planted(np.random.default_rng(3))
    start = Weighting({"noise": 1.0, "true": 0.05}, decay=2.0)
    assert search_weights(sources, past, came_next, start, SearchConfig(enabled=False)) == start


def test_the_replay_gets_weight_where_people_come_back() -> None:
    sources, past, _ = planted(np.random.default_rng(5))
    start = Weighting({"noise": 1.0, "true": 0.05}, replay=0.05)
    last = np.array([past.row(user)[-1] for user in range(len(past))], np.int32)
    found = search_weights(sources, past, last, start, SearchConfig())
    assert found.replay > 4 * start.replay
