"""What retrieval finds, measured: the fusion, each source alone, ceilings, strata, costs."""

from __future__ import annotations

import gzip
import resource
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_rec.builder import build_index
from rag_rec.dataset import Dataset
from rag_rec.errors import DataError
from rag_rec.evaluate.metrics import ndcg, ranks_of, recall, standard_error
from rag_rec.evaluate.split import PROTOCOLS, Split, leave_last_out
from rag_rec.index import Embedder, ItemIndex
from rag_rec.retrieve import FusedRetriever, RetrievalConfig
from rag_rec.retrieve.evidence import best
from rag_rec.retrieve.matrices import row_of
from rag_rec.types import Constraints, Interaction, UserHistory

Rankings = NDArray[np.int32]
Row = dict[str, Any]

_BATCH = 1024
_CEILINGS = (20, 50, 100)
_SHORT, _LONG = 5, 20
_HEAD_SHARE = 0.2
GIVEN = 20
"""Given candidates that are ranked, as in arXiv 2305.08845."""


@dataclass(frozen=True, slots=True)
class Options:
    """How retrieval is measured.

    Attributes:
        protocol: A name of `PROTOCOLS`.
        mask_history: Whether items of the history may not be listed.
        ks: List lengths.
        n_target: Which event from the end is the target; 2 measures on validation.
        retrieval: How retrieval is fitted.
        index: Where the index is kept; a folder that is deleted afterwards if None.
        embedder: Makes the vectors; the default one if None.
        candidates: Given candidates by user; only these users are asked for.
    """

    protocol: str = "leave-last-out"
    mask_history: bool = True
    ks: tuple[int, ...] = (5, 10, 20, 50)
    n_target: int = 1
    retrieval: RetrievalConfig | None = None
    index: Path | None = None
    embedder: Embedder | None = None
    candidates: Mapping[str, Sequence[str]] | None = None


@dataclass(slots=True)
class Clock:
    """Seconds a step took and the largest memory of the process by its end."""

    seconds: float = 0.0
    peak_gib: float = 0.0

    def run(self, step: Callable[[], Any]) -> Any:
        """Runs a step and notes its cost."""
        started = time.perf_counter()
        result = step()
        self.seconds += time.perf_counter() - started
        self.peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        return result

    def as_row(self) -> Row:
        """Rounded, for the report."""
        return {"seconds": round(self.seconds, 1), "peak_gib": round(self.peak_gib, 2)}


def evaluate_retrieval(dataset: Dataset, options: Options | None = None) -> Row:
    """Fits retrieval on a split and measures what it finds.

    Returns:
        ``rows`` (name, and for each k recall, ndcg and their standard errors), ``strata`` of the
        fusion, ``cost`` of fit and retrieval, and what was measured.
    """
    options = options or Options()
    hidden = PROTOCOLS[options.protocol] + options.n_target - 1
    split = leave_last_out(dataset, hidden=hidden, n_target=options.n_target)
    if options.candidates is not None:
        split = split.only(options.candidates)
    fit, retrieval = Clock(), Clock()
    with tempfile.TemporaryDirectory() as scratch:
        retriever = fit.run(lambda: open_fitted(split.fit, options, Path(scratch)))
        index = retriever.index
        targets = np.array([index.find(item_id) for item_id in split.targets], np.int32)
        asked = histories_of(split, mask_history=options.mask_history)
        depth = min(max(*options.ks, *_CEILINGS), index.n_items)
        fused = retrieval.run(lambda: fused_rankings(retriever, asked, depth))
        ranks = {"fusion": ranks_of(fused, targets)}
        for name, ranking in single_rankings(retriever, asked, depth, options):
            ranks[name] = ranks_of(ranking, targets)
        given = {} if options.candidates is None else given_ranks(retriever, split, options)
        index.close()
    rows = [_row(name, found, options.ks) for name, found in ranks.items()]
    for depth in _CEILINGS:
        found = np.where(ranks["fusion"] <= depth, 1, ranks["fusion"])
        rows.append(_row(f"ceiling of the top {depth}", found, options.ks))
    rows += [_row(f"given candidates: {name}", found, options.ks) for name, found in given.items()]
    return {
        **_what(dataset, split, options, retriever),
        "rows": rows,
        "strata": _strata(split, ranks["fusion"], options.ks),
        "cost": {"fit": fit.as_row(), "retrieval": retrieval.as_row()},
    }


def read_candidates(path: Path) -> dict[str, list[str]]:
    """Lines ``user item item ...``, plain or gzip.

    Raises:
        DataError: If the file cannot be read.
    """
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
            parts = [line.split() for line in lines]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read ({error})", path=path) from error
    return {line[0]: line[1:] for line in parts if line}


def open_fitted(dataset: Dataset, options: Options, scratch: Path) -> FusedRetriever:
    """Indexes a data set, with whatever ``rag-rec index`` does, and opens it."""
    folder = options.index or scratch / "index"
    build_index(dataset, folder, embedder=options.embedder, retrieval=options.retrieval)
    return FusedRetriever(ItemIndex.open(folder, options.embedder))


def histories_of(split: Split, *, mask_history: bool) -> list[UserHistory]:
    """What is known of each user when asked."""
    constraints = Constraints(allow_seen=not mask_history, allow_out_of_stock=True)
    return [
        UserHistory(
            user_id=user,
            events=tuple(Interaction.model_construct(item_id=item_id) for item_id in items),
            constraints=constraints,
        )
        for user, items in zip(split.users, split.inputs, strict=True)
    ]


def fused_rankings(retriever: FusedRetriever, asked: Sequence[UserHistory], depth: int) -> Rankings:
    """The retriever's own order, ``[u, depth]``, -1 where a list is shorter."""
    rankings = np.full((len(asked), depth), -1, np.int32)
    for start in range(0, len(asked), _BATCH):
        found = retriever.rank(asked[start : start + _BATCH], depth)
        for row, (items, _) in enumerate(found, start):
            rankings[row, : len(items)] = items
    return rankings


def single_rankings(
    retriever: FusedRetriever, asked: Sequence[UserHistory], depth: int, options: Options
) -> list[tuple[str, Rankings]]:
    """Each source alone, the sum with fixed weights, popularity, chance; unseen items only."""
    users = retriever.histories(asked)
    weights = retriever.history_weights(asked)
    evidence = retriever.evidence
    matrices = {"fixed weights": evidence.fused}
    matrices |= {name: evidence.matrix(name) for name in evidence.names}
    found: list[tuple[str, Rankings]] = []
    for name, matrix in matrices.items():
        if name == "fixed weights" and retriever.ranker is None:
            continue
        ranking = np.full((len(asked), depth), -1, np.int32)
        for start in range(0, len(asked), _BATCH):
            product = weights[start : start + _BATCH] @ matrix
            for row in range(product.shape[0]):
                items, values = row_of(product, row)
                user = start + row
                free = ~np.isin(items, users.row(user)) | (not options.mask_history)
                chosen, _ = best(items[free], values[free], depth)
                ranking[user, : len(chosen)] = chosen
        found.append((name, ranking))
    rng = np.random.default_rng(0)
    popular = retriever.by_popularity.astype(np.int32)
    orders = {
        "popularity": lambda: popular,
        "random": lambda: rng.choice(len(popular), min(len(popular), 4 * depth), replace=False),
    }
    for name, order in orders.items():
        ranking = np.full((len(asked), depth), -1, np.int32)
        for user in range(len(asked)):
            seen = users.row(user) if options.mask_history else []
            head = order()[: depth + len(users.row(user))]
            kept = head[~np.isin(head, seen)][:depth]
            ranking[user, : len(kept)] = kept
        found.append((name, ranking))
    if not options.mask_history:
        found.append(("history replayed", _replayed(users, depth)))
    return found


def given_ranks(
    retriever: FusedRetriever, split: Split, options: Options
) -> dict[str, NDArray[np.int64]]:
    """Rank of the target among each user's first given candidates; ties count against it.

    A target that is not among them takes the place of the last one.
    """
    find, n = retriever.index.find, GIVEN
    lists = []
    for user, target in zip(split.users, split.targets, strict=True):
        some = list((options.candidates or {})[user])[:n]
        lists.append(some if target in some else [*some[: n - 1], target])
    candidates = np.array([[find(item_id) for item_id in some] for some in lists], np.int32)
    at = np.array([some.index(t) for some, t in zip(lists, split.targets, strict=True)])
    asked = histories_of(split, mask_history=options.mask_history)
    popular = np.empty(retriever.index.n_items)
    popular[retriever.by_popularity] = -np.arange(len(popular))
    found = {"fusion": retriever.score(asked, candidates), "popularity": popular[candidates]}
    weights = retriever.history_weights(asked)
    for name in retriever.evidence.names:
        matrix = retriever.evidence.matrix(name)
        found[name] = np.concatenate(
            [
                np.take_along_axis(
                    (weights[start : start + _BATCH] @ matrix).toarray(),
                    candidates[start : start + _BATCH],
                    1,
                )
                for start in range(0, len(asked), _BATCH)
            ]
        )
    return {
        name: (scores >= np.take_along_axis(scores, at[:, None], 1)).sum(axis=1)
        for name, scores in found.items()
    }


def _replayed(users: Any, depth: int) -> Rankings:
    """Each user's own items, latest first."""
    ranking = np.full((len(users), depth), -1, np.int32)
    for user in range(len(users)):
        own = list(dict.fromkeys(users.row(user)[::-1].tolist()))[:depth]
        ranking[user, : len(own)] = own
    return ranking


def _row(name: str, ranks: NDArray[np.int64], ks: Sequence[int]) -> Row:
    row: Row = {"name": name, "users": len(ranks)}
    for k in ks:
        for metric, values in (("recall", recall(ranks, k)), ("ndcg", ndcg(ranks, k))):
            row[f"{metric}@{k}"] = float(values.mean()) if len(values) else None
            row[f"{metric}@{k} se"] = standard_error(values)
    return row


def _strata(split: Split, ranks: NDArray[np.int64], ks: Sequence[int]) -> list[Row]:
    """The fusion by length of the history and by how popular the target is in what was fitted."""
    lengths = np.array([len(items) for items in split.inputs])
    counts = split.fit.interactions["item_id"].value_counts(sort=True)
    head = set(counts["item_id"].head(int(_HEAD_SHARE * split.fit.items.height)))
    known = set(counts["item_id"])
    place = np.array([0 if t not in known else 2 if t in head else 1 for t in split.targets])
    groups: Mapping[str, NDArray[np.bool_]] = {
        f"history of up to {_SHORT - 1}": lengths < _SHORT,
        f"history of {_SHORT} to {_LONG - 1}": (lengths >= _SHORT) & (lengths < _LONG),
        f"history of {_LONG} or more": lengths >= _LONG,
        "target cold (not in the fit)": place == 0,
        "target in the tail": place == 1,
        "target in the most popular fifth": place == 2,
    }
    return [_row(name, ranks[mask], ks) for name, mask in groups.items() if mask.any()]


def _what(dataset: Dataset, split: Split, options: Options, retriever: FusedRetriever) -> Row:
    retrieval = retriever.index.manifest.retrieval
    return {
        "protocol": options.protocol,
        "target": "test" if options.n_target == 1 else "validation",
        "mask_history": options.mask_history,
        "items": dataset.items.height,
        "users": len(split.users),
        "interactions": dataset.interactions.height,
        "fitted_interactions": split.fit.interactions.height,
        **{name: retrieval[name] for name in ("fusion", "fusion_why", "solve", "solve_why")},
    }
