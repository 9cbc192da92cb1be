"""Measure retrieval on its own: the fusion, each source, yardsticks, strata, costs."""

from __future__ import annotations

import resource
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rag_rec.core import (
    IndexNotFound,
    OnStep,
    ScratchFolder,
    StaleIndex,
    StorageError,
    one_step,
)
from rag_rec.data import Dataset, hide_items
from rag_rec.evaluation.metrics.accuracy import Ranks, ranks_of
from rag_rec.evaluation.protocols import SplitOptions, setting_of, split_by
from rag_rec.evaluation.rankings import baseline_rankings, given_ranks, histories_of
from rag_rec.evaluation.retrieval_report import FittedWith, RetrievalReport, Row
from rag_rec.evaluation.yardsticks.against_sources import against_sources
from rag_rec.evaluation.yardsticks.audit import Audit
from rag_rec.evaluation.yardsticks.strata import TAKERS, figures, strata_of, strata_rows
from rag_rec.index import Embedder, ItemIndex
from rag_rec.retrieval import Diagnostics, RetrievalConfig, build_index

_CEILINGS = (20, 50, 100)


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


def evaluate_retrieval(
    dataset: Dataset, options: RetrievalOptions | None = None
) -> RetrievalReport:
    """Fit retrieval on a split and measure its rankings."""
    options = options or RetrievalOptions()
    split = of_rows = split_by(dataset, options)
    if options.hidden_items:
        of_rows = hide_items(split, options.hidden_items)
        split = replace(split, fit=of_rows.fit)
    mask, lists, ks = options.mask_history, options.candidates, options.ks
    reused = options.index is not None and _is_fitted(options.index, split.fit, options)
    cost: dict[str, Row] = {"fit": {}, "retrieval": {}}
    with ScratchFolder("fit") as scratch:
        with _noted(cost["fit"]):
            fitted = open_fitted(split.fit, options, scratch, reused=reused)
        cost["fit"]["index_reused"] = reused
        index = fitted.index
        targets = np.array([index.find(item_id) for item_id in split.targets], np.int32)
        asked = histories_of(split, mask_history=mask)
        depth = min(max(*ks, *_CEILINGS), index.n_items)
        with one_step(options.on_step, "retrieving"), _noted(cost["retrieval"]):
            rankings = {"fusion": fitted.fusion(asked, depth)}
        with one_step(options.on_step, "measuring each source"):
            rankings |= fitted.parts(asked, depth, mask=mask)
            rankings |= baseline_rankings(fitted, asked, depth, mask=mask)
        with one_step(options.on_step, "auditing the data"):
            audit = Audit(fitted, asked, mask=mask)
            rankings |= audit.rankings(depth)
            ranks = {name: ranks_of(ranking, targets) for name, ranking in rankings.items()}
            shortcuts = audit.shortcuts(targets, ranks)
        given = {} if lists is None else given_ranks(fitted, split, asked, lists)
        index.close()
    strata = strata_of(split, set(of_rows.targets) if options.hidden_items else None)
    ceilings = {f"ceiling of the top {n}": _ceiling(ranks["fusion"], n) for n in _CEILINGS}
    named = {f"given candidates: {name}": found for name, found in given.items()}
    measured = strata.get(TAKERS, slice(None))
    others = {name: found for name, found in ranks.items() if name != "fusion"}
    return {
        **setting_of(dataset, of_rows, options),
        "mask_history": mask,
        **_fitted_with(index.manifest.retrieval),
        "rows": [
            figures(name, found[measured], ks) for name, found in (ranks | ceilings | named).items()
        ],
        "strata": strata_rows(strata, ranks["fusion"], ks),
        "source_strata": [
            {"source": name, **row}
            for name, found in others.items()
            for row in strata_rows(strata, found, ks)
        ],
        "against_sources": [asdict(found) for found in against_sources(strata, ranks)],
        "shortcuts": asdict(shortcuts),
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


def _ceiling(ranks: Ranks, n: int) -> Ranks:
    """Return the ranks that a perfect order of the first ``n`` would give."""
    return np.where(ranks <= n, 1, ranks)


def _fitted_with(record: Mapping[str, Any]) -> FittedWith:
    return {
        "fusion": record["fusion"],
        "fusion_why": record["fusion_why"],
        "solve": record["solve"],
        "solve_why": record["solve_why"],
        "weights": {name: source["weight"] for name, source in record["sources"].items()},
        "decay": record["decay"],
        "replay": record["replay"],
        "replay_decay": record["replay_decay"],
        "new_places": record["new_places"],
        "new_bonus": record["new_bonus"],
    }
