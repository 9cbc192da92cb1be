"""Sequences on the sample's planted orders, and slates on a catalog full of near duplicates.

python benchmarks/typed_orders.py
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from rag_rec import Constraints, Recommender, Slate, build_index, load_sample
from rag_rec.data import SAMPLE_FOLDER
from rag_rec.list_types import Steps, Theme, construct
from rag_rec.list_types.objective import Pool
from rag_rec.list_types.play_sequence import SequenceObjective
from rag_rec.list_types.slate import SlateObjective, compose_page
from rag_rec.retrieval import Histories

FOLDER = Path(".cache/typed")
PLANTED = SAMPLE_FOLDER / "planted.json"
FREE = Constraints(allow_out_of_stock=True)
COPIES = 4


def main() -> None:
    folder = FOLDER / "index"
    if not folder.exists():
        build_index(load_sample(), folder)
    print(f"{os.cpu_count()} cores")
    with Recommender.open(folder, "none") as recommender:
        _orders(recommender)
        _slates(recommender)


def _orders(recommender: Recommender) -> None:
    planted = json.loads(PLANTED.read_text())
    index = recommender.index
    log = Histories.of_index(index)
    rng = np.random.default_rng(0)
    histories = [log.row(user) for user in range(len(log))]
    ways = {
        "as it was": histories,
        "reversed": [row[::-1] for row in histories],
        "shuffled": [rng.permutation(row) for row in histories],
    }
    known = [p for p in planted["bought_after"] if p["observed"] > 0]
    pairs = [(index.find(p["first"]), index.find(p["second"])) for p in known]
    print(f"\nplanted orders: {len(planted['bought_after'])}, {len(pairs)} of them seen in the log")
    print(f"{'log':<12}{'pairs in order':>16}{'undecided':>11}{'in built sequences':>20}")
    for name, rows in ways.items():
        steps = Steps(Histories.of(rows, index.n_items), window=5)
        values = [steps.block(np.array([a]), np.array([b]))[0, 0] for a, b in pairs]
        right = np.mean([(v > 0) + 0.5 * (v == 0) for v in values])
        undecided = np.mean([v == 0 for v in values])
        built = _built(steps, planted["sets"], {(a, b) for a, b in pairs}, index)
        print(f"{name:<12}{right:>16.1%}{undecided:>11.1%}{built[0]:>14.1%} ({built[1]})")


def _built(steps: Steps, sets: list[dict], pairs: set, index: object) -> tuple[float, int]:
    """Share of planted pairs in order in sequences built of each planted set, and their number."""
    right = total = 0
    rng = np.random.default_rng(1)
    for one in sets:
        ids = [str(item) for item in rng.permutation(one["items"])]
        rows = np.array([index.find(item) for item in ids])
        items = [index.item(int(row)) for row in rows]
        pool = Pool(items, np.ones(len(items)), FREE, FREE)
        objective = SequenceObjective(
            pool, steps.block(rows, rows), np.zeros(len(rows), np.float32)
        )
        order = [int(rows[p]) for p in construct(objective, len(rows))]
        for at, first in enumerate(order):
            for second in order[at + 1 :]:
                right += (first, second) in pairs
                total += (first, second) in pairs or (second, first) in pairs
    return right / total, total


def _slates(recommender: Recommender) -> None:
    """Every candidate stands `COPIES` times in the pool, with the relevance of the original."""
    index = recommender.index
    users = [u for u in sorted(index.user_ids) if len(index.history(u).events) >= 3][:100]
    kind, n = Slate(rows=3, per_row=4), 20
    rng = np.random.default_rng(0)
    table: dict[str, list[tuple[float, float, float]]] = {}
    for user in users:
        found = recommender.retriever.retrieve([index.history(user)], n)[0]
        rows = np.repeat([index.find(c.item_id) for c in found], COPIES)
        noise = rng.normal(0, 0.02, (len(rows), index.item_vectors.shape[1]))
        vectors = index.item_vectors[rows] + noise
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        items = [
            index.item(int(row)).model_copy(update={"item_id": f"{row}-{n}"})
            for n, row in enumerate(rows)
        ]
        relevance = np.repeat(1 - np.arange(n) / n, COPIES)
        pool = Pool(items, relevance, FREE, FREE)
        themes = [Theme(str(row), frozenset(range(row, len(items), 3))) for row in range(kind.rows)]
        empty: list[list[int]] = [[] for _ in themes]
        for weight in (0.0, 0.1, 0.3, 0.5, 0.7):
            objective = SlateObjective(pool, (vectors @ vectors.T).astype(np.float32), weight)
            for name, page in (
                ("each row", _greedy(objective, themes, kind.per_row, whole_page=False)),
                ("greedy", _greedy(objective, themes, kind.per_row)),
                ("joint", [p for row in compose_page(objective, themes, 4, empty) for p in row]),
            ):
                copies = len(page) - len({int(rows[p]) for p in page})
                table.setdefault(f"{name} {weight}", []).append(
                    (float(relevance[page].mean()), objective.diversity(page), copies)
                )
    print(f"\nslates of 3 x 4, {len(users)} users, {n} candidates x {COPIES} near-identical copies")
    print(f"{'diversity weight':<20}{'relevance':>10}{'diversity':>11}{'copies a page':>15}")
    curves: dict[str, list[tuple[float, float]]] = {}
    for name, found in table.items():
        relevance, diversity, copies = np.array(found).mean(axis=0)
        curves.setdefault(name.rsplit(" ", 1)[0], []).append((relevance, diversity))
        print(f"{name:<20}{relevance:>10.3f}{diversity:>11.3f}{copies:>15.2f}")
    for relevance, diversity in curves["joint"][1:]:
        others = {n: _at_relevance(curves[n], relevance) for n in ("each row", "greedy")}
        above = ", ".join(f"{diversity - other:+.4f} of {n}" for n, other in others.items())
        print(f"at relevance {relevance:.3f} joint diversity {diversity:.3f}: {above}")


def _greedy(
    objective: SlateObjective, themes: list[Theme], per_row: int, *, whole_page: bool = True
) -> list[int]:
    """Row after row, the next best for the page so far, or for its row; nothing is taken back."""
    page: list[int] = []
    for theme in themes:
        row: list[int] = []
        for _ in range(per_row):
            free = [p for p in sorted(theme.members) if p not in (*page, *row)]
            before = [*page, *row] if whole_page else row
            row.append(max(free, key=lambda p: objective.value([*before, p])))
        page += row
    return page


def _at_relevance(curve: list[tuple[float, float]], relevance: float) -> float:
    """Diversity where a curve of (relevance, diversity) has some relevance, by interpolation."""
    return float(np.interp(relevance, *np.array(sorted(curve)).T))


if __name__ == "__main__":
    main()
