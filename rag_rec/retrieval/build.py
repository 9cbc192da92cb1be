"""Building an index: embed, store, fit retrieval, swap in as one version."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from rag_rec.core import OnStep, one_step
from rag_rec.data import Dataset
from rag_rec.index import (
    Embedder,
    ItemIndex,
    LiveLog,
    Manifest,
    SentenceTransformerEmbedder,
    current_version,
    item_texts,
    write_index,
)
from rag_rec.retrieval.base import Matrices, fit_all
from rag_rec.retrieval.config import RetrievalConfig
from rag_rec.retrieval.fit_data import FitData
from rag_rec.retrieval.fusion.fitted import FOLDER, FusionRecord, SourceRecord
from rag_rec.retrieval.fusion.learn import fit_fusion
from rag_rec.retrieval.fusion.taken_over import kept_fusion, taken_over_views
from rag_rec.retrieval.matrices import save_arrays
from rag_rec.retrieval.stacked import factors_of
from rag_rec.retrieval.weighting.weights import Weighting


def build_index(
    dataset: Dataset,
    folder: str | Path,
    *,
    embedder: Embedder | None = None,
    retrieval: RetrievalConfig | None = None,
    rebuild: bool = False,
    replace: bool = False,
    on_step: OnStep | None = None,
) -> tuple[Manifest, int]:
    """Build or update the index at ``folder`` and make the new version current.

    An update replaces the tables that the data set was given and keeps the others; items that are
    no longer in the catalog are retired (see `rag_rec.data.updated`). The manifest's notices say
    so. Vectors of texts that did not change are taken over from the version before.

    Args:
        dataset: The data to index.
        folder: The index; made when it is not there.
        embedder: Makes the vectors; all-MiniLM-L6-v2 by default.
        retrieval: How retrieval is fitted; the defaults suit most data.
        rebuild: True to embed everything again.
        replace: True to keep nothing of the index's data: tables that are not given are dropped.
        on_step: Receives progress.

    Returns:
        The manifest, and the number of texts that were embedded.

    Raises:
        IndexLocked: If another process is writing this index.
        StaleIndex: If tables have to be kept of an index that another version wrote.
    """
    return write_index(
        dataset,
        Path(folder),
        embedder or SentenceTransformerEmbedder(),
        finish=partial(_fit, config=retrieval or RetrievalConfig(), on_step=on_step),
        reuse=not rebuild,
        replace=replace,
        on_step=on_step,
    )


def update_index(
    folder: str | Path,
    *,
    embedder: Embedder | None = None,
    retrieval: RetrievalConfig | None = None,
    keep_fusion: bool = False,
    on_step: OnStep | None = None,
) -> tuple[Manifest, int]:
    """Put the live changes of an index into its next version, and make that current.

    Changes that arrive meanwhile stay live. However it ends, none is lost or counted twice.
    Without live changes the version stays as it is.

    Args:
        folder: The index.
        embedder: The embedder of the index; by default loaded by name.
        retrieval: How retrieval is fitted; the defaults suit most data.
        keep_fusion: Keep the weights and the ranker of the version before, which takes a
            fraction of the time. The sources are fitted with every event all the same.
        on_step: Receives progress.

    Returns:
        The manifest, and the number of texts that were embedded.

    Raises:
        ConfigError: If the fusion is to be kept and was fitted with other settings.
        IndexNotFound: If there is no index.
        IndexLocked: If another process is writing this index.
        StaleIndex: If another version of this library wrote it.
    """
    _, manifest = current_version(Path(folder))
    live = LiveLog(Path(folder))
    last = live.last()
    live.close()
    if last <= manifest.live_seq:
        return manifest, 0
    embedder = embedder or SentenceTransformerEmbedder(manifest.embedder.name)
    manifest.check_embedder(embedder)
    config = retrieval or RetrievalConfig()
    return write_index(
        None,
        Path(folder),
        embedder,
        finish=partial(_fit, config=config, keep_fusion=keep_fusion, on_step=on_step),
        on_step=on_step,
    )


def _fit(
    version: Path,
    before: Path | None,
    *,
    config: RetrievalConfig,
    keep_fusion: bool = False,
    on_step: OnStep | None,
) -> dict[str, Any]:
    """Fit retrieval on a version folder, store it there, and return its part of the manifest."""
    index = ItemIndex(version)
    data = FitData.of(index, item_texts(index.items), config.budget)
    folder = version / FOLDER
    folder.mkdir()
    with one_step(on_step, "comparing texts"):
        views = None if before is None else taken_over_views(index, before, config)
        if views is None:
            views = {}
            for source in config.sources:
                views |= source.views(data)
        of_texts = [source for source in config.sources if not source.uses_log]
        given = views | fit_all(of_texts, data, views)
    if keep_fusion and before is not None:
        fusion = kept_fusion(data, views, before, config, folder)
    else:
        with one_step(on_step, "learning the fusion"):
            fusion = fit_fusion(data, given, views, config, folder)
    with one_step(on_step, "fitting sources"):
        matrices = fit_all(config.sources, data, given)
    silent = sparse.csr_array((data.n_items, data.n_items), dtype=np.float32)
    weights = fusion.weighting.sources
    matrices = {name: found if weights[name] else silent for name, found in matrices.items()}
    save_arrays(folder, matrices)
    save_arrays(folder, {config.popularity.name: config.popularity.fit(data)})
    record = FusionRecord(
        fusion=fusion.kind,
        fusion_why=fusion.why,
        new_places=fusion.new.places,
        new_bonus=fusion.new.bonus,
        **_describe_solve(data, config),
        decay=fusion.weighting.decay,
        replay=fusion.weighting.replay,
        replay_decay=fusion.weighting.replay_decay,
        sources=_describe_sources(config, matrices, fusion.weighting),
        config=config.as_document(),
    )
    return record.model_dump(mode="json")


def _describe_sources(
    config: RetrievalConfig, matrices: Matrices, weighting: Weighting
) -> dict[str, SourceRecord]:
    factors = factors_of(matrices, weighting.sources)
    return {
        source.name: SourceRecord(
            weight=weighting.sources[source.name] if source.name in factors else 0.0,
            factor=factors.get(source.name, 0.0),
            entries=int(matrices[source.name].nnz),
            sentence=source.sentence,
            features=source.features,
        )
        for source in config.sources
    }


def _describe_solve(data: FitData, config: RetrievalConfig) -> dict[str, str]:
    budget = config.budget
    n_head, n_taken = len(budget.dense_head(data.log)), np.count_nonzero(data.log.counts())
    why = f"{n_taken} items with events, of which {n_head} fit {budget.memory_gib:g} GiB"
    whole = n_head == n_taken
    return {
        "solve": "dense" if whole else "dense head, co-occurrence tail",
        "solve_why": why,
        "neighbours": "every pair compared"
        if budget.compares_all(data.n_items)
        else "within clusters, and by rare words",
    }
