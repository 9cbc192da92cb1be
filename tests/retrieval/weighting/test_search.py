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


def test_a_longer_memory_is_found_where_old_events_say_what_comes_next() -> None:
    """Two old events point to the next item together, which each new one outweighs alone."""
    step = np.zeros((N_ITEMS, N_ITEMS), np.float32)
    step[np.arange(N_ITEMS), (np.arange(N_ITEMS) + 7) % 30] = 1
    sources = StackedSources({"true": sparse.csr_array(step)}, {"true": 1.0})
    rng = np.random.default_rng(3)
    rows, came_next = [], []
    for _ in range(400):
        old, *new = rng.permutation(30)[:3].tolist()
        wanted = (old + 7) % 30
        if wanted not in (old, old + 30, *new):
            rows.append([old, old + 30, *new])
            came_next.append(wanted)
    past, start = Histories.of(rows, N_ITEMS), Weighting({"true": 1.0}, decay=2.0)
    found = search_weights(sources, past, np.array(came_next, np.int32), start, SearchConfig())
    assert found.decay > start.decay


def test_events_of_items_that_a_user_had_say_nothing_of_new_ones() -> None:
    """Half of the events repeat the last item, which ``again`` knows and no masked list holds."""
    again = np.eye(N_ITEMS, dtype=np.float32)[:, ::-1].copy()
    step = np.roll(np.eye(N_ITEMS, dtype=np.float32), 7, axis=1)
    matrices = {"again": sparse.csr_array(again), "true": sparse.csr_array(step)}
    sources = StackedSources(matrices, {"again": 1.0, "true": 1.0})
    rows = [[N_ITEMS - 1 - n % 30, n % 30] for n in range(300)]
    came_next = np.array([(n % 30 + 7) % N_ITEMS for n in range(100)], np.int32)
    repeats = np.array([N_ITEMS - 1 - n % 30 for n in range(100, 300)], np.int32)
    start = Weighting({"again": 0.2, "true": 1.0})
    past = Histories.of(rows, N_ITEMS)
    found = search_weights(
        sources, past, np.concatenate([came_next, repeats]), start, SearchConfig()
    )
    assert found.sources == start.sources


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


def test_what_was_had_comes_last_where_nobody_comes_back() -> None:
    sources, past, came_next = planted(np.random.default_rng(5))
    every = sources.matrix("noise").toarray() + 1  # every item speaks for every other one
    matrices = {"noise": sparse.csr_array(every), "true": sources.matrix("true")}
    loud = StackedSources(matrices, {"noise": 1.0, "true": 1.0})
    start = Weighting({"noise": 1.0, "true": 0.05}, replay=0.3)
    found = search_weights(loud, past, came_next, start, SearchConfig())
    assert found.replay < 0
