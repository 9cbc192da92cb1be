"""Opening what was fitted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.core import IndexNotFound
from rag_rec.index import ItemIndex
from rag_rec.retrieval.fusion.fit import FOLDER
from rag_rec.retrieval.fusion.stacked import Evidence
from rag_rec.retrieval.fusion.weights import Weighting
from rag_rec.retrieval.item_item.content import VIEWS
from rag_rec.retrieval.ranker.features import Features
from rag_rec.retrieval.ranker.item_statistics import ItemStats
from rag_rec.retrieval.ranker.lambdamart import Ranker


@dataclass(frozen=True, slots=True)
class Fitted:
    """What an index version holds of retrieval.

    Attributes:
        evidence: The sources.
        popular: Popularity, ``float32 [n]``.
        ranker: The ranker, if one was fitted.
        given: The ranker of given candidates, if one was fitted.
        weighting: How the sources are summed.
    """

    evidence: Evidence
    popular: NDArray[np.float32]
    ranker: Ranker | None
    given: Ranker | None
    weighting: Weighting


def load_sources(index: ItemIndex, decay: float | None) -> Fitted:
    """What `fit_sources` wrote, with another decay of the history if one is given.

    Raises:
        IndexNotFound: If the version does not hold it.
    """
    folder = index.folder / FOLDER
    said = index.manifest.retrieval
    weights = {name: source["weight"] for name, source in said["sources"].items()}
    weighting = Weighting(weights, decay or said["decay"], said["replay"])
    try:
        matrices = {name: _load(folder / f"{name}.npz") for name in weights}
        popular = np.load(folder / "popular.npy", allow_pickle=False)
        evidence = Evidence(matrices, weights)
        del matrices  # the sum is made next, and is as large
        _ = evidence.fused  # now, not when the first user asks
        rankers = _load_rankers(index, evidence, weighting.decay)
        return Fitted(evidence, popular, *rankers, weighting)
    except FileNotFoundError as error:
        raise IndexNotFound(f"{folder} is incomplete; rebuild with rag-rec index") from error


def _load_rankers(
    index: ItemIndex, evidence: Evidence, decay: float
) -> tuple[Ranker | None, Ranker | None]:
    retrieval, folder = index.manifest.retrieval, index.folder / FOLDER
    if retrieval["fusion"] != "ranker":
        return None, None
    views = {name: _load(folder / "stats" / f"view_{name}.npz") for name in VIEWS}
    stats = ItemStats.load(folder / "stats")
    features = Features(evidence, stats, views, np.asarray(index.item_vectors), decay)
    ranker = Ranker(folder / "ranker.txt", features, retrieval["config"]["ranker"]["depth"])
    if retrieval["config"]["given"] is None:
        return ranker, None
    return ranker, Ranker(folder / "given.txt", features, retrieval["config"]["given"]["depth"])


def _load(path: Path) -> sparse.csr_array:
    return sparse.csr_array(sparse.load_npz(path))
