"""A data set becomes an index: embed, store, fit retrieval, swap in as one version."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rag_rec.data import Dataset
from rag_rec.index import Embedder, Manifest, OnStep, SentenceTransformerEmbedder, write_index
from rag_rec.retrieval.config import RetrievalConfig
from rag_rec.retrieval.fusion.fit import fit_sources


def build_index(
    dataset: Dataset,
    folder: str | Path,
    *,
    embedder: Embedder | None = None,
    retrieval: RetrievalConfig | None = None,
    rebuild: bool = False,
    on_step: OnStep | None = None,
) -> tuple[Manifest, int]:
    """Builds or updates the index at ``folder`` and makes the new version current.

    Vectors of texts that did not change are taken over from the version before, so updating is
    building again with the new data.

    Args:
        dataset: What to index.
        folder: The index; made when it is not there.
        embedder: Makes the vectors; all-MiniLM-L6-v2 by default.
        retrieval: How retrieval is fitted; the defaults suit most data.
        rebuild: Embed everything again.
        on_step: Told of progress.

    Returns:
        The manifest, and how many texts were embedded.

    Raises:
        IndexLocked: If another process is writing this index.
    """
    return write_index(
        dataset,
        Path(folder),
        embedder or SentenceTransformerEmbedder(),
        finish=partial(fit_sources, config=retrieval, on_step=on_step),
        reuse=not rebuild,
        on_step=on_step,
    )
