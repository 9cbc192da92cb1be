"""The fitted fusion in an index version: its record in the manifest and its files.

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

from pathlib import Path
from typing import Any

from rag_rec.core import Model
from rag_rec.index import ItemIndex
from rag_rec.retrieval.base import HistoryWeights, Matrices
from rag_rec.retrieval.matrices import load_array, padded, save_arrays
from rag_rec.retrieval.ranker.features import Features
from rag_rec.retrieval.ranker.item_statistics import ItemStats
from rag_rec.retrieval.ranker.lambdamart import NewItems, Ranker
from rag_rec.retrieval.stacked import StackedSources

FOLDER, RANKER, RANKER_OF_GIVEN = "evidence", "ranker.txt", "given.txt"
_STATS, VIEWS = "stats", "views"


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
        fusion: ``ranker``, ``learned weights`` or ``given weights``.
        fusion_why: Why it is that.
        new_places: Candidates of the ranker that are the best items without events.
        new_bonus: What it adds to the scores of such items.
        solve: How the closed forms were solved.
        solve_why: Why they were.
        neighbours: How texts were compared.
        decay: An event of a history counts for 1/e less for every so many events after it.
        replay: Weight of the history itself, where its items may be listed again; may be negative.
        replay_decay: Decay of the history itself.
        sources: The sources, in the order they are stacked.
        config: The settings; see `RetrievalConfig.as_document`.
    """

    fusion: str
    fusion_why: str
    new_places: int
    new_bonus: float
    solve: str
    solve_why: str
    neighbours: str
    decay: float
    replay: float
    replay_decay: float
    sources: dict[str, SourceRecord]
    config: dict[str, Any]


def save_stats(folder: Path, stats: ItemStats, views: Matrices) -> None:
    """Write the matrices and numbers that only the ranker reads."""
    for name in (_STATS, VIEWS):
        (folder / name).mkdir()
    stats.save(folder / _STATS)
    save_arrays(folder / VIEWS, views)


def load_rankers(
    index: ItemIndex, record: FusionRecord, sources: StackedSources, decay: float
) -> tuple[Ranker | None, Ranker | None]:
    """Open the ranker, and that of given candidates; None for one that was not fitted."""
    folder = index.folder / FOLDER
    if record.fusion != "ranker":
        return None, None
    views, n = folder / VIEWS, index.n_items
    features = Features(
        sources,
        {name: source.features for name, source in record.sources.items()},
        stats=ItemStats.load(folder / _STATS).padded(n),
        views={path.stem: padded(load_array(views, path.stem), n) for path in views.iterdir()},
        vectors=index.vector_rows,
        decay=decay,
    )
    new = NewItems(record.new_places, record.new_bonus)
    ranker, given = (
        Ranker(folder / name, features, record.config[part]["depth"], granted)
        if record.config[part] is not None
        else None
        for name, part, granted in (
            (RANKER, "ranker", new),
            (RANKER_OF_GIVEN, "given", NewItems()),
        )
    )
    return ranker, given
