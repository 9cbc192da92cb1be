"""Embedding before an index is written: stage the texts, embed their shards, read the vectors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag_rec.core import OnStep, one_step
from rag_rec.index.embedders.known import FRESH, KnownVectors, places, text_hashes
from rag_rec.index.embedders.shards import (
    EmbeddedAhead,
    Shard,
    ShardEmbedder,
    Staging,
    shard_vectors,
)
from rag_rec.index.embedders.text import Embedder, SentenceTransformerEmbedder


@dataclass(frozen=True, slots=True)
class TextTable:
    """The texts of one table, in the slices in which they will be added.

    Attributes:
        name: `ITEMS` or `REVIEWS`.
        n: Number of rows.
        slices: The texts.
    """

    name: str
    n: int
    slices: Iterable[list[str]]


def embedded_ahead(
    tables: Sequence[TextTable],
    embedder: Embedder,
    previous: Path | None,
    folder: Path,
    on_step: OnStep | None,
) -> EmbeddedAhead | None:
    """Embed the texts that have no vector yet in shards, if the embedder is one for shards.

    Args:
        tables: All tables, in the order in which they will be written.
        embedder: Makes the vectors.
        previous: A version whose vectors are taken over.
        folder: Where shards lie; what a build that was killed left there is taken over.
        on_step: Receives progress.

    Returns:
        An embedder that has the vectors already; None if the embedder is not for shards.
    """
    if not isinstance(embedder, ShardEmbedder):
        return None
    inner = embedder.inner
    recipe = inner.recipe if isinstance(inner, SentenceTransformerEmbedder) else ""
    staging = Staging(folder, f"{embedder.digest}, {recipe}", embedder.shard_texts)
    with one_step(on_step, "staging texts"):
        for table in tables:
            for texts in _fresh_slices(table, previous):
                staging.add(table.name, texts)
        shards = staging.finish()
    todo = [one for one in shards if shard_vectors(one.path, one.n, embedder.dimension) is None]
    progress = _Progress(tables, todo, on_step)
    if todo:
        embedder.embed_shards(todo, progress.add)
    n_taken_over = sum(one.n for one in shards) - sum(one.n for one in todo)
    return EmbeddedAhead(embedder, shards, n_taken_over)


class _Progress:
    """Reports of each table how many of its rows have a vector, or need none."""

    def __init__(
        self, tables: Sequence[TextTable], todo: Sequence[Shard], on_step: OnStep | None
    ) -> None:
        self._on_step = on_step
        self._rows = {table.name: table.n for table in tables}
        self._left = dict.fromkeys(self._rows, 0)
        for shard in todo:
            self._left[shard.table] += shard.n
        for table in self._rows:
            self._report(table)

    def add(self, shard: Shard) -> None:
        self._left[shard.table] -= shard.n
        self._report(shard.table)

    def _report(self, table: str) -> None:
        if self._on_step:
            rows = self._rows[table]
            self._on_step(f"embedding {table}", rows - self._left[table], rows)


def _fresh_slices(table: TextTable, previous: Path | None) -> Iterator[list[str]]:
    """Yield the texts of each slice that will be embedded, where there are any."""
    known = KnownVectors(previous, table.name) if previous else None
    for texts in table.slices:
        rows = places(texts, text_hashes(texts), known).tolist()
        if fresh := [text for text, row in zip(texts, rows, strict=True) if row == FRESH]:
            yield fresh
