"""The fitted fusion in an index version: its record in the manifest, its files, opening it.

::

    evidence/
      NAME.npz           the matrix of a source
      popularity.npy     popularity, float32 [n]
      ranker.txt         LightGBM's model, if one was fitted
      given.txt          the ranker of given candidates, if one was asked for
      stats/             numbers of single items for the ranker
      views/NAME.npz     further matrices for the ranker
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_rec.core import IndexNotFound, Model
from rag_rec.index import ItemIndex
from rag_rec.retrieval.base import HistoryWeights, Matrices
from rag_rec.retrieval.fusion.stacked import StackedSources
from rag_rec.retrieval.fusion.weights import Weighting
from rag_rec.retrieval.item_item import Popularity
from rag_rec.retrieval.matrices import load_array, save_arrays
from rag_rec.retrieval.ranker.features import Features
from rag_rec.retrieval.ranker.item_statistics import ItemStats
from rag_rec.retrieval.ranker.lambdamart import Ranker

FOLDER, RANKER, RANKER_OF_GIVEN = "evidence", "ranker.txt", "given.txt"
_STATS, _VIEWS = "stats", "views"


class SourceRecord(Model):
    """One fitted source; see `rag_rec.retrieval.Source`.

    Attributes:
        weight: Its weight in the sum.
        factor: The weight over the standard deviation of its matrix; 0 without entries.
        entries: Entries of its matrix.
        sentence: Explains a candidate by an item of the history.
        features: History weights under which the ranker sees its scores.
    """

    weight: float
    factor: float
    entries: int
    sentence: str
    features: tuple[HistoryWeights, ...]


class FusionRecord(Model):
    """The manifest's record of how retrieval was fitted.

    Attributes:
        fusion: ``ranker`` or ``fixed weights``.
        fusion_why: Why it is that.
        solve: How the closed forms were solved.
        solve_why: Why they were.
        neighbours: How texts were compared.
        decay: An event of a history counts for 1/e less for every so many events after it.
        replay: Weight of the history itself, where its items may be listed again.
        sources: The sources, in the order they are stacked.
        config: The settings; see `RetrievalConfig.as_document`.
    """

    fusion: str
    fusion_why: str
    solve: str
    solve_why: str
    neighbours: str
    decay: float
    replay: float
    sources: dict[str, SourceRecord]
    config: dict[str, Any]


def save_stats(folder: Path, stats: ItemStats, views: Matrices) -> None:
    """Write the matrices and numbers that only the ranker reads."""
    for name in (_STATS, _VIEWS):
        (folder / name).mkdir()
    stats.save(folder / _STATS)
    save_arrays(folder / _VIEWS, views)


@dataclass(frozen=True, slots=True)
class FittedFusion:
    """The retrieval of an index version.

    Attributes:
        sources: The fitted sources.
        sentences: The sentence of each source.
        popularity: Popularity, ``float32 [n]``.
        weighting: How the sources are summed.
        ranker: The ranker, if one was fitted.
        ranker_of_given: The ranker of given candidates, if one was fitted.
    """

    sources: StackedSources
    sentences: Mapping[str, str]
    popularity: NDArray[np.float32]
    weighting: Weighting
    ranker: Ranker | None
    ranker_of_given: Ranker | None

    @classmethod
    def load(cls, index: ItemIndex, decay: float | None) -> FittedFusion:
        """Open it, with another decay of the history if one is given.

        Raises:
            IndexNotFound: If the version does not hold it.
        """
        folder = index.folder / FOLDER
        record = FusionRecord.model_validate(index.manifest.retrieval)
        weights = {name: source.weight for name, source in record.sources.items()}
        weighting = Weighting(weights, decay or record.decay, record.replay)
        try:
            sources = StackedSources({name: load_array(folder, name) for name in weights}, weights)
            _ = sources.fused  # now, not when the first user asks
            rankers = _load_rankers(index, record, sources, weighting.decay)
            return cls(
                sources,
                {name: source.sentence for name, source in record.sources.items()},
                load_array(folder, Popularity.name),
                weighting,
                *rankers,
            )
        except FileNotFoundError as error:
            raise IndexNotFound(f"{folder} is incomplete; rebuild with rag-rec index") from error


def _load_rankers(
    index: ItemIndex, record: FusionRecord, sources: StackedSources, decay: float
) -> tuple[Ranker | None, Ranker | None]:
    folder = index.folder / FOLDER
    if record.fusion != "ranker":
        return None, None
    views = folder / _VIEWS
    features = Features(
        sources,
        {name: source.features for name, source in record.sources.items()},
        stats=ItemStats.load(folder / _STATS),
        views={path.stem: load_array(views, path.stem) for path in views.iterdir()},
        vectors=np.asarray(index.item_vectors),
        decay=decay,
    )
    ranker, given = (
        Ranker(folder / name, features, record.config[part]["depth"])
        if record.config[part] is not None
        else None
        for name, part in ((RANKER, "ranker"), (RANKER_OF_GIVEN, "given"))
    )
    return ranker, given
