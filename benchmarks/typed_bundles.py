"""Bundles on human-made ones: the rank of a left-out item, and built bundles against greedy.

Protocol. Sessions are split into 5 parts. For each part, co-purchase is learned from the bundles
and sessions of the other four; a bundle of the part (two items and more) loses each of its items
in turn, and all items of the domain that are not in it are ranked by mean affinity to the rest.
The weights of the three kinds of evidence are chosen on part 0 and scored on parts 1 to 4.

    python benchmarks/typed_bundles.py --data ../shared/data
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import polars as pl

from rag_rec import Bundle, Constraints, Recommender, build_index, load_sample
from rag_rec.index import SentenceTransformerEmbedder
from rag_rec.list_types import Affinity, ListContext, construct, list_type_of
from rag_rec.list_types.affinity import Weights
from rag_rec.list_types.bundle import BundleObjective
from rag_rec.list_types.local_search import greedy
from rag_rec.list_types.objective import Pool
from rag_rec.retrieval import Histories

FOLDER = Path(".cache/typed")
PARTS = 5
GRID = [
    Weights(pairs, groups, text)
    for pairs in (0.0, 1.0) for groups in (0.0, 0.3, 1.0) for text in (0.0, 0.3, 1.0, 3.0)
    if pairs or groups or text
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--only", choices=["clothing", "food", "built"])
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores")
    for domain in ("clothing", "food"):
        if options.only in {None, domain}:
            _left_out(options.data / "bundles" / domain, domain)
    if options.only in {None, "built"}:
        _built()


def _left_out(folder: Path, domain: str) -> None:
    titles = pl.read_csv(folder / "item_titles.csv", infer_schema=False)
    ids = {item: row for row, item in enumerate(titles["item ID"].to_list())}
    categories = dict(pl.read_csv(folder / "item_categories.csv", infer_schema=False).iter_rows())
    leaves = [
        categories.get(item, "").split("],")[0].strip("[]").rsplit(",", 1)[-1] for item in ids
    ]
    numbers = {leaf: n for n, leaf in enumerate(dict.fromkeys(leaves))}
    groups = np.array([numbers[leaf] if leaf else -1 for leaf in leaves])
    vectors = _vectors(domain, titles["titles"].to_list())
    session_of = dict(pl.read_csv(folder / "session_bundle.csv", infer_schema=False)
                      .select("bundle ID", "session ID").iter_rows())  # fmt: skip
    sessions = sorted(set(session_of.values()))
    shuffled = np.random.default_rng(0).permutation(sessions)
    part_of = {session: n % PARTS for n, session in enumerate(shuffled)}
    bundles: dict[str, list[int]] = {}
    for bundle, item in pl.read_csv(folder / "bundle_item.csv", infer_schema=False).iter_rows():
        if item in ids and bundle in session_of:
            bundles.setdefault(bundle, []).append(ids[item])
    baskets: dict[str, list[int]] = {}
    for session, item in pl.read_csv(folder / "session_item.csv", infer_schema=False).iter_rows():
        if item in ids and session in part_of:
            baskets.setdefault(session, []).append(ids[item])

    def evaluate(part: int, weights: list[Weights]) -> dict[object, list[float]]:
        kept = [b for name, b in bundles.items() if part_of[session_of[name]] != part]
        kept += [b for name, b in baskets.items() if part_of[name] != part]
        log = Histories.of(kept, len(ids))
        counts = log.counts()
        # affinity is a weighted sum: each kind of evidence is looked up once
        kinds = [Affinity(log, groups, vectors, weights=Weights(*row)) for row in np.eye(3)]
        ranks: dict[object, list[float]] = {w: [] for w in weights} | {"popular": []}
        everything = np.arange(len(ids))
        for name, items in bundles.items():
            members = np.array(sorted(set(items)))
            if part_of[session_of[name]] != part or len(members) < 2:
                continue
            parts = [kind.block(members, everything) for kind in kinds]
            for at, target in enumerate(members):
                others = np.delete(np.arange(len(members)), at)
                free = np.ones(len(ids), bool)
                free[members[others]] = False
                pairs, categories, text = (part[others].mean(axis=0) for part in parts)
                for w in weights:
                    scores = w.pairs * pairs + w.groups * categories + w.text * text
                    ranks[w].append(_rank(scores, target, free))
                ranks["popular"].append(_rank(counts, target, free))
        return ranks

    chosen = evaluate(0, GRID)
    best = max(GRID, key=lambda w: _mrr(chosen[w]))
    print(f"\n{domain}: {len(ids)} items, {len(bundles)} bundles; chosen on part 0: {best}")
    pairs_only = Weights(1.0, 0.0, 0.0)
    rows: dict[object, list[float]] = {}
    for part in range(1, PARTS):
        for key, found in evaluate(part, [best, pairs_only, Weights(0, 0, 1), Weights()]).items():
            rows.setdefault(key, []).extend(found)
    names = {best: "chosen weights", pairs_only: "co-occurrence", "popular": "popularity",
             Weights(0, 0, 1): "text only", Weights(): "the defaults"}  # fmt: skip
    print(f"{len(rows[best])} cases")
    print(f"{'':<16}{'MRR':>7}{'hit@10':>8}{'hit@50':>8}{'median rank':>13}")
    for key, found in rows.items():
        at = np.array(found)
        hits = f"{(at <= 10).mean():>8.3f}{(at <= 50).mean():>8.3f}"
        print(f"{names[key]:<16}{_mrr(found):>7.4f}{hits}{np.median(at):>13.0f}")


def _rank(scores: np.ndarray, target: int, free: np.ndarray) -> float:
    """Rank from 1; ties count half, so that a constant score is no better than chance."""
    others = scores[free]
    return 1 + float((others > scores[target]).sum()) + ((others == scores[target]).sum() - 1) / 2


def _mrr(ranks: list[float]) -> float:
    return float(np.mean(1 / np.array(ranks)))


def _vectors(domain: str, titles: list[str]) -> np.ndarray:
    file = FOLDER / f"bundles-{domain}.npy"
    if not file.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        np.save(file, SentenceTransformerEmbedder().embed([title or "-" for title in titles]))
    return np.load(file)


def _built() -> None:
    folder = FOLDER / "index"
    if not folder.exists():
        build_index(load_sample(), folder)
    with Recommender.open(folder, "none") as recommender:
        index = recommender.index
        context = ListContext(index, recommender.retriever)
        users = [u for u in sorted(index.user_ids) if len(index.history(u).events) >= 3][:200]
        rows: dict[str, list[tuple[float, float, float, bool]]] = {}
        kind = Bundle(size=4, budget=80)
        for user in users:
            history = index.history(user)
            found = list_type_of(kind).candidates(context, [(kind, history)], 0)[0]
            items = [index.item_by_id(c.item_id) for c in found]
            pool = Pool.of(items, Constraints(), 0)
            at = np.array([index.find(item.item_id) for item in items])
            objective = BundleObjective(pool, context.affinity.block(at, at), budget=kind.budget)
            ways = {
                "greedy by relevance": _first(objective, kind.size),
                "greedy on the objective": greedy(objective, [], kind.size, objective.value),
                "greedy + local search": construct(objective, kind.size),
            }
            for name, chosen in ways.items():
                price = sum(items[p].price or 0 for p in chosen)
                rows.setdefault(name, []).append(
                    (
                        objective.value(chosen),
                        objective.compatibility(chosen),
                        price,
                        len(chosen) == 4,
                    )
                )
    print(f"\nbundles of 4 within 80, {len(users)} users of the sample")
    print(f"{'':<26}{'objective':>10}{'compatibility':>15}{'price':>8}{'over 80':>9}{'full':>7}")
    for name, found in rows.items():
        value, together, price, _ = np.array(found, float).mean(axis=0)
        over = sum(row[2] > 80 + 1e-6 for row in found)
        full = np.mean([row[3] for row in found])
        print(f"{name:<26}{value:>10.3f}{together:>15.3f}{price:>8.2f}{over:>9}{full:>7.1%}")


def _first(objective: BundleObjective, size: int) -> list[int]:
    chosen: list[int] = []
    for position in range(objective.n):
        if len(chosen) < size and objective.admits([*chosen, position]):
            chosen.append(position)
    return chosen


if __name__ == "__main__":
    main()
