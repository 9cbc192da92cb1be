"""Parts of a fit that the next version takes over: views of unchanged texts, a kept fusion."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from scipy import sparse

from rag_rec.core import ConfigError
from rag_rec.index import ItemIndex
from rag_rec.retrieval.base import Matrices
from rag_rec.retrieval.config import RetrievalConfig
from rag_rec.retrieval.fit_data import FitData
from rag_rec.retrieval.fusion.fitted import (
    FOLDER,
    RANKER,
    RANKER_OF_GIVEN,
    VIEWS,
    FusionRecord,
    save_stats,
)
from rag_rec.retrieval.fusion.learn import Fusion
from rag_rec.retrieval.matrices import load_array
from rag_rec.retrieval.ranker.item_statistics import ItemStats
from rag_rec.retrieval.ranker.lambdamart import NewItems
from rag_rec.retrieval.weighting.weights import Weighting

_KEPT = "kept from an earlier version: "
_DESCRIBED = ("item_id", "title", "brand", "categories", "description")


def taken_over_views(index: ItemIndex, before: Path, config: RetrievalConfig) -> Matrices | None:
    """Return the views of the version before, in the rows of this one.

    Views compare texts, every one with every other, so they are the same as long as no text is
    new, gone or another: then all are taken over. Where two items are as near, which of them is
    the last that is kept may differ from a build.

    Args:
        index: The version that is built.
        before: The folder of the version before.
        config: The settings of the fit.

    Returns:
        None if a text changed, the settings are others, or the version before holds no views.
    """
    earlier, folder = ItemIndex(before), before / FOLDER / VIEWS
    if not folder.is_dir() or not _is_alike(earlier, config):
        return None
    now, then = (one.items.select(_DESCRIBED) for one in (index, earlier))
    if not now.sort("item_id").equals(then.sort("item_id")):
        return None
    rows = np.array([earlier.row_of[item_id] for item_id in index.item_ids], np.int64)
    if not np.array_equal(index.item_vectors, earlier.vectors_of(rows)):
        return None
    views = {path.stem: load_array(folder, path.stem) for path in sorted(folder.iterdir())}
    return {name: sparse.csr_array(view[rows][:, rows]) for name, view in views.items()}


def kept_fusion(
    data: FitData, views: Matrices, before: Path, config: RetrievalConfig, folder: Path
) -> Fusion:
    """Return the fusion of the version before, with the numbers of items as they are now.

    Args:
        data: The log and the catalog.
        views: The views of the sources.
        before: The folder of the version before.
        config: The settings of the fit.
        folder: Receives the ranker.

    Raises:
        ConfigError: If it was fitted with other settings.
    """
    earlier = ItemIndex(before)
    if not _is_alike(earlier, config):
        raise ConfigError(
            "the fusion cannot be kept: it was fitted with other settings of retrieval; update "
            "without --keep-fusion"
        )
    record = FusionRecord.model_validate(earlier.manifest.retrieval)
    for name in (RANKER, RANKER_OF_GIVEN):
        if (path := before / FOLDER / name).exists():
            shutil.copy(path, folder / name)
    if record.fusion == "ranker":
        save_stats(folder, ItemStats.fit(data), views)
    weights = {name: source.weight for name, source in record.sources.items()}
    why = record.fusion_why.removeprefix(_KEPT)
    return Fusion(
        record.fusion,
        f"{_KEPT}{why}",
        Weighting(weights, record.decay, record.replay, record.replay_decay),
        NewItems(record.new_places, record.new_bonus),
    )


def _is_alike(earlier: ItemIndex, config: RetrievalConfig) -> bool:
    return earlier.manifest.retrieval["config"] == config.as_document()
