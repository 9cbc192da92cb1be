"""How much a list depends on the order in which candidates are shown.

    python -m benchmarks.order_invariance --index DIR [--llm local] [--users 40] [--shuffles 10]

For each user the same candidates are shown in ten random orders. The figure is the mean overlap of
the best five of two such lists, over all pairs, with one prompt a user and with several averaged.
The averaged orders are drawn from the items, not from the order they come in, so their lists cannot
differ: what says how much of the bias of position is left is the overlap of lists that average
other orders (``between seeds``).
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from rag_rec import ItemIndex, Recommender, Settings
from rag_rec.core import Candidate, Evidence, UserHistory
from rag_rec.llm import ChatModel, open_model
from rag_rec.pipeline import RecommendationRequest
from rag_rec.prompting import prompt_folder
from rag_rec.retrieval import open_retriever

BEST = 5


class FixedCandidates:
    """Candidates that were found once, in an order drawn by a seed."""

    def __init__(self, found: dict[str, list[Candidate]], seed: int | None) -> None:
        self._found, self._seed = found, seed

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        """See `Retriever.retrieve`."""
        lists = [list(self._found[history.user_id or ""][:k]) for history in histories]
        for history, some in zip(histories, lists, strict=True):
            if self._seed is not None:
                random.Random(f"{self._seed} {history.user_id}").shuffle(some)
        return lists

    def explain(self, history: UserHistory, item_ids: Sequence[str]) -> dict[str, Evidence]:
        """Explain nothing; reasons are not looked at."""
        del history, item_ids
        return {}


def overlap(lists: Sequence[Sequence[Sequence[str]]]) -> float:
    """Return the mean share of items that two lists of a user have in common."""
    pairs = [
        len(set(one[user]) & set(other[user])) / BEST
        for one, other in combinations(lists, 2)
        for user in range(len(one))
    ]
    return sum(pairs) / len(pairs)


def best_of(
    index: ItemIndex, model: ChatModel, found: dict[str, list[Candidate]], prompt: str,
    *, order: int | None, seed: int,
) -> list[list[str]]:  # fmt: skip
    """Return the best five of every user under one order of the candidates."""
    retriever = FixedCandidates(found, order)
    recommender = Recommender(
        index, model, Settings(prompt=prompt, seed=seed, k=BEST), retriever=retriever
    )
    states = recommender.run(RecommendationRequest(user) for user in found)
    return [[slot.item_id for slot in state.made().items] for state in states]


def main() -> None:
    """Measure, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--llm", default="local")
    parser.add_argument("--users", type=int, default=40)
    parser.add_argument("--shuffles", type=int, default=10)
    parser.add_argument("--permutations", type=int, nargs="*", default=[1, 4])
    options = parser.parse_args()
    index, model = ItemIndex.open(options.index), open_model(options.llm)
    assert model
    users = random.Random(7).sample(list(index.user_ids), options.users)
    candidates = open_retriever(index).retrieve([index.history(user) for user in users], 20)
    found = dict(zip(users, candidates, strict=True))
    shipped = (prompt_folder() / "scores.toml").read_text()
    figures: dict[str, dict[str, float]] = {}
    for n in options.permutations:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "scores.toml"
            path.write_text(f"{shipped}permutations = {n}\n")
            by_order = [
                best_of(index, model, found, str(path), order=order, seed=0)
                for order in range(options.shuffles if n == 1 else 2)
            ]
            figures[str(n)] = {"between orders": overlap(by_order)}
            if n > 1:
                by_seed = [
                    best_of(index, model, found, str(path), order=None, seed=seed)
                    for seed in range(options.shuffles)
                ]
                figures[str(n)]["between seeds"] = overlap(by_seed)
    document = {
        "llm": options.llm,
        "users": len(users),
        "shuffles": options.shuffles,
        "overlap": figures,
    }
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
