"""Embedding over Ray Data: one embedder an actor, one shard a task, on a laptop or on a cluster.

Shards lie beside the index, which must therefore be on storage that the nodes share. Only names of
shards travel through Ray. An actor that dies is started again and its shard embedded once more.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from rag_rec.core import ConfigError, RagRecError, StorageError, begin_ray, import_ray, one_line
from rag_rec.index.embedders.shards import (
    SHARD_TEXTS,
    Shard,
    ShardEmbedder,
    embed_shard,
    naming_storage,
    shard_vectors,
)
from rag_rec.index.embedders.text import Embedder, SentenceTransformerEmbedder

_TRIES = 8  # actors that may die at one shard
_NOT_SENT = (TypeError, AttributeError, ValueError, RuntimeError, OSError, pickle.PicklingError)


class RayEmbedder(ShardEmbedder):
    """Embed the texts of an index in actors of Ray; the vectors are one process's, byte for byte.

    That holds for processors that compute alike: a cluster's nodes should be of one kind.

    Args:
        embedder: Makes the vectors; all-MiniLM-L6-v2 by default. Actors open a
            `SentenceTransformerEmbedder` by its name; another one is sent to them.
        actors: Number of actors, each with one CPU; 0 for one a CPU of the cluster.
        shard_texts: Texts a shard, more or less; a killed actor loses at most one.

    Raises:
        ConfigError: If Ray is missing or the embedder cannot be sent.
    """

    def __init__(
        self,
        embedder: Embedder | None = None,
        *,
        actors: int = 0,
        shard_texts: int = SHARD_TEXTS,
    ) -> None:
        self._ray = import_ray()
        self._actors = actors
        super().__init__(embedder or SentenceTransformerEmbedder(), shard_texts=shard_texts)
        try:
            self._ray.cloudpickle.dumps(self.inner)
        except _NOT_SENT as error:
            raise ConfigError(
                f"the embedder {type(self.inner).__name__} cannot be sent to actors of Ray "
                f"({one_line(str(error))}); give a SentenceTransformerEmbedder, or one that can "
                "be pickled"
            ) from error

    def embed_shards(self, shards: Sequence[Shard], on_done: Callable[[Shard], None]) -> None:
        """See `ShardEmbedder.embed_shards`.

        Raises:
            RagRecError: If an actor cannot open the embedder, opens another one, or does not see
                the files of this process.
            StorageError: If this process does not see the files of an actor.
        """
        by_path = {str(shard.path.absolute()): shard for shard in shards}
        cpus = begin_ray(self._ray)
        n = min(self._actors or cpus, len(shards))
        made = self._ray.data.from_items(
            [{"path": path} for path in by_path], override_num_blocks=len(by_path)
        ).map_batches(
            _EmbeddingActor,
            fn_constructor_args=(self.inner, self.digest),
            batch_size=1,
            batch_format="numpy",
            compute=self._ray.data.ActorPoolStrategy(size=n, max_tasks_in_flight_per_actor=1),
            num_cpus=1,
        )
        try:
            with redirect_stdout(sys.stderr):  # where Ray's threads say that an actor died
                self._collect(made, by_path, on_done)
        except self._ray.exceptions.RayError as error:
            raise RagRecError(
                "an actor of Ray failed; its traceback stands above. Finished shards are kept: the "
                "same command goes on"
            ) from error

    def _collect(
        self, made: Any, by_path: Mapping[str, Shard], on_done: Callable[[Shard], None]
    ) -> None:
        for batch in made.iter_batches(batch_size=None, batch_format="numpy"):
            for path, error in zip(batch["path"], batch["error"], strict=True):
                if error:
                    raise RagRecError(str(error))
                shard = by_path[str(path)]
                if shard_vectors(shard.path, shard.n, self.dimension) is None:
                    raise StorageError(
                        "was embedded, but its vectors are not here; the index must be on storage "
                        "that all nodes share",
                        path=shard.path,
                    )
                on_done(shard)


class _EmbeddingActor:
    """The embedder in a process of Ray."""

    def __init__(self, embedder: Embedder, digest: str) -> None:
        self._embedder = embedder
        self._error = ""
        try:
            if embedder.digest != digest:
                self._error = (
                    f"'{embedder.name}' has other weights on a node than here; give a folder on "
                    "storage that all nodes share"
                )
        except RagRecError as error:
            self._error = str(error)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Embed shards; return their paths, and what went wrong."""
        return {"path": batch["path"], "error": [self._embed(Path(p)) for p in batch["path"]]}

    def _embed(self, path: Path) -> str:
        try:
            if not self._error:
                _count_try(path)
                embed_shard(path, self._embedder)
        except RagRecError as error:
            return str(error)
        return self._error


def _count_try(path: Path) -> None:
    """Note beside a shard that it is begun; Ray itself would begin it again for ever.

    Raises:
        StorageError: If too many actors began it and did not finish, or it cannot be noted.
    """
    tries = path.with_suffix(".tries")
    with naming_storage(path), tries.open("ab") as file:
        file.write(b".")
    if tries.stat().st_size > _TRIES:
        raise StorageError(
            f"{_TRIES} actors died while they embedded it; they may need more memory", path=path
        )
