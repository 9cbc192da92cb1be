"""Measure retrieval on its own: the fusion, each source alone, ceilings, strata, costs."""

from __future__ import annotations

import resource
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_rec.core import (
    IndexNotFound,
    OnStep,
    ScratchFolder,
    StaleIndex,
    StorageError,
    one_step,
)
from rag_rec.data import Dataset, Split, hide_items
from rag_rec.evaluation.metrics.accuracy import ndcg, ranks_of, recall, standard_error
from rag_rec.evaluation.protocols import SplitOptions, setting_of, split_by
from rag_rec.evaluation.rankings import baseline_rankings, given_ranks, histories_of
from rag_rec.index import Embedder, ItemIndex
from rag_rec.retrieval import Diagnostics, RetrievalConfig, build_index

Row = dict[str, Any]

_CEILINGS = (20, 50, 100)
_SHORT, _LONG = 5, 20
_HEAD_SHARE = 0.2
_OF_MANIFEST = ("fusion", "fusion_why", "solve", "solve_why")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalOptions(SplitOptions):
    """Settings of a measurement of retrieval, those of the split included.

    Attributes:
        mask_history: False to list items of the history too.
        ks: List lengths.
        retrieval: How retrieval is fitted.
        index: Folder of the index, which is kept; one that is deleted afterwards if None.
        embedder: Makes the vectors; the default one if None.
        on_step: Receives progress.
    """

    mask_history: bool = True
    ks: tuple[int, ...] = (5, 10, 20, 50)
    retrieval: RetrievalConfig | None = None
    index: Path | None = None
    embedder: Embedder | None = None
    on_step: OnStep | None = None


@contextmanager
def _noted(cost: Row) -> Generator[None]:
    """Note the seconds of a step, and the largest memory of the process by its end."""
    started = time.perf_counter()
    yield
    cost["seconds"] = round(time.perf_counter() - started, 1)
    cost["peak_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def evaluate_retrieval(dataset: Dataset, options: RetrievalOptions | None = None) -> Row:
    """Fit retrieval on a split and measure its rankings.

    Returns:
        ``rows`` (name, and for each k recall, ndcg and their standard errors), ``strata`` of the
        fusion, ``cost`` of fit and retrieval, and the protocol.
    """
    options = options or RetrievalOptions()
    split = split_by(dataset, options)
    if options.hidden_items:
        split = hide_items(split, options.hidden_items)
    mask, lists = options.mask_history, options.candidates
    reused = options.index is not None and _is_fitted(options.index, split.fit, options)
    cost: dict[str, Row] = {"fit": {}, "retrieval": {}}
    with ScratchFolder("fit") as scratch:
        with _noted(cost["fit"]):
            fitted = open_fitted(split.fit, options, scratch, reused=reused)
        cost["fit"]["index_reused"] = reused
        index = fitted.index
        targets = np.array([index.find(item_id) for item_id in split.targets], np.int32)
        asked = histories_of(split, mask_history=mask)
        depth = min(max(*options.ks, *_CEILINGS), index.n_items)
        with one_step(options.on_step, "retrieving"), _noted(cost["retrieval"]):
            rankings = {"fusion": fitted.fusion(asked, depth)}
        with one_step(options.on_step, "measuring each source"):
            rankings |= fitted.parts(asked, depth, mask=mask)
            rankings |= baseline_rankings(fitted, asked, depth, mask=mask)
        ranks = {name: ranks_of(ranking, targets) for name, ranking in rankings.items()}
        given = {} if lists is None else given_ranks(fitted, split, asked, lists)
        index.close()
    named = {f"given candidates: {name}": found for name, found in given.items()}
    for n in _CEILINGS:
        found = np.where(ranks["fusion"] <= n, 1, ranks["fusion"])
        ranks |= {f"ceiling of the top {n}": found}
    return {
        **setting_of(dataset, split, options),
        "mask_history": options.mask_history,
        **{name: index.manifest.retrieval[name] for name in _OF_MANIFEST},
        "rows": [_row(name, found, options.ks) for name, found in (ranks | named).items()],
        "strata": _strata(split, ranks["fusion"], options.ks),
        "cost": cost,
    }


def open_fitted(
    dataset: Dataset, options: RetrievalOptions, scratch: Path, *, reused: bool = False
) -> Diagnostics:
    """Index a data set as ``rag-rec index`` does, and open the result.

    With ``reused`` the index that was kept is opened as it is.
    """
    folder = options.index or scratch / "index"
    if not reused:
        build_index(
            dataset,
            folder,
            embedder=options.embedder,
            retrieval=options.retrieval,
            on_step=options.on_step,
        )
    return Diagnostics(ItemIndex.open(folder, options.embedder))


def _is_fitted(folder: Path, dataset: Dataset, options: RetrievalOptions) -> bool:
    """Return True if a kept index has the same layout, data and settings."""
    try:
        manifest = ItemIndex.open(folder, options.embedder).manifest
    except (IndexNotFound, StaleIndex, StorageError):
        return False
    wanted = (options.retrieval or RetrievalConfig()).as_document()
    return (manifest.dataset_digest, manifest.retrieval["config"]) == (dataset.digest, wanted)


def _row(name: str, ranks: NDArray[np.int64], ks: Sequence[int]) -> Row:
    row: Row = {"name": name, "users": len(ranks)}
    for k in ks:
        for metric, values in (("recall", recall(ranks, k)), ("ndcg", ndcg(ranks, k))):
            row[f"{metric}@{k}"] = float(values.mean()) if len(values) else None
            row[f"{metric}@{k} se"] = standard_error(values)
    return row


def _strata(split: Split, ranks: NDArray[np.int64], ks: Sequence[int]) -> list[Row]:
    """Return the fusion by length of the history and by popularity of the target in the fit."""
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
