"""Texts to embed ahead, in shards on disk: a file of texts each, and one of vectors once done.

::

    index/.staged/
      items-000003-5f0c…e1.parquet    texts of some batches; column ``batch`` says which
      items-000003-5f0c…e1.npy        their vectors, float32 [n, d]; appears whole or not at all

A batch is what one process gives its embedder at once. Neighbours in a batch change the last bits
of a vector, because texts of like length are padded together; so a shard holds whole batches, and
whoever embeds it gives the embedder one batch after the other. The name holds a digest of the
texts, their grouping and the embedder: what a killed build finished, the next one takes over.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import polars as pl
import xxhash
from polars.exceptions import PolarsError

from rag_rec.core import OnDone, StorageError, one_line
from rag_rec.index.embedders.text import Embedder, Vectors

SHARD_TEXTS = 4096


@dataclass(frozen=True, slots=True)
class Shard:
    """Some batches of texts of one table.

    Attributes:
        path: The file of texts.
        table: Name of the table.
        batches: Number of texts and digest of each batch.
    """

    path: Path
    table: str
    batches: tuple[tuple[int, bytes], ...]

    @property
    def n(self) -> int:
        """Number of texts."""
        return sum(n for n, _ in self.batches)


class ShardEmbedder(ABC):
    """An embedder for whole tables: `embed_shards` is called before the index is written.

    It is an `Embedder` as well, of the same name and digest as the one it holds.

    Args:
        embedder: Makes the vectors.
        shard_texts: Texts a shard, more or less: a shard ends with the batch that reaches them.
    """

    def __init__(self, embedder: Embedder, *, shard_texts: int = SHARD_TEXTS) -> None:
        self.inner = embedder
        self.shard_texts = shard_texts

    @property
    def name(self) -> str:
        """Name of the embedder inside."""
        return self.inner.name

    @property
    def digest(self) -> str:
        """Digest of the embedder inside."""
        return self.inner.digest

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self.inner.dimension

    def embed(self, texts: Sequence[str], on_done: OnDone | None = None) -> Vectors:
        """Embed a few texts in this process; see `Embedder.embed`."""
        return self.inner.embed(texts, on_done)

    @abstractmethod
    def embed_shards(self, shards: Sequence[Shard], on_done: Callable[[Shard], None]) -> None:
        """Leave the vectors of every shard beside it, as `embed_shard` does.

        Args:
            shards: Those without vectors.
            on_done: Called with each as soon as its vectors are there, in any order.
        """


class Staging:
    """Writes the shards of an index; files of other texts are removed at the end.

    Args:
        folder: Where; made when it is not there.
        made_with: Identifies what a vector depends on besides its batch: weights and precision.
        shard_texts: Texts a shard, more or less.
    """

    def __init__(self, folder: Path, made_with: str, shard_texts: int) -> None:
        self._folder, self._made_with, self._shard_texts = folder, made_with, shard_texts
        self._shards: list[Shard] = []
        self._table = ""
        self._waiting: list[list[str]] = []
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, table: str, texts: list[str]) -> None:
        """Add the next batch; batches of a table follow one another."""
        if table != self._table:
            self._write()
            self._table = table
        self._waiting.append(texts)
        if sum(map(len, self._waiting)) >= self._shard_texts:
            self._write()

    def finish(self) -> list[Shard]:
        """Return all shards in order."""
        self._write()
        names = {path.name for one in self._shards for path in (one.path, vectors_path(one.path))}
        for path in self._folder.iterdir():
            if path.name not in names:
                path.unlink()
        return self._shards

    def _write(self) -> None:
        if not self._waiting:
            return
        batches = tuple((len(texts), _digest(texts)) for texts in self._waiting)
        state = hashlib.sha256(self._made_with.encode())
        for n, digest in batches:
            state.update(n.to_bytes(8, "little") + digest)
        name = f"{self._table}-{len(self._shards):06d}-{state.hexdigest()[:32]}.parquet"
        frame = pl.DataFrame({
            "batch": np.repeat(np.arange(len(batches), dtype=np.int32), [n for n, _ in batches]),
            "text": [text for texts in self._waiting for text in texts],
        })  # fmt: skip
        path = self._folder / name
        fresh = self._folder / f"{name}.new"
        frame.write_parquet(fresh)
        fresh.replace(path)
        self._shards.append(Shard(path, self._table, batches))
        self._waiting = []


class EmbeddedAhead:
    """An `Embedder` that reads vectors of shards; it is given the same batches in the same order.

    Args:
        embedder: The one that made the vectors.
        shards: All of them, in order.
        n_taken_over: Their texts whose vectors were there already.
    """

    def __init__(self, embedder: Embedder, shards: Sequence[Shard], n_taken_over: int) -> None:
        self.n_taken_over = n_taken_over
        self.name = embedder.name
        self.digest = embedder.digest
        self.dimension = embedder.dimension
        self._batches = self._read(shards)

    def embed(self, texts: Sequence[str], on_done: OnDone | None = None) -> Vectors:
        """Return the vectors of the next batch.

        Raises:
            StorageError: If it is another batch, or its vectors are gone.
        """
        path, digest, vectors = next(self._batches, (Path(), b"", None))
        if vectors is None or digest != _digest(texts):
            raise StorageError("does not hold these texts; build the index again", path=path)
        if on_done:
            on_done(len(texts))
        return vectors

    def _read(self, shards: Sequence[Shard]) -> Iterator[tuple[Path, bytes, Vectors | None]]:
        for shard in shards:
            vectors = shard_vectors(shard.path, shard.n, self.dimension)
            start = 0
            for n, digest in shard.batches:
                part = None if vectors is None else np.asarray(vectors[start : start + n])
                yield shard.path, digest, part
                start += n


def vectors_path(path: Path) -> Path:
    """Return where the vectors of a shard's file of texts are."""
    return path.with_suffix(".npy")


def shard_vectors(path: Path, n: int, dimension: int) -> Vectors | None:
    """Return the vectors of a shard, mapped, float32 ``[n, dimension]``; None without any."""
    try:
        found: Vectors = np.load(vectors_path(path), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == (n, dimension) and found.dtype == np.float32 else None


def embed_shard(path: Path, embedder: Embedder) -> None:
    """Write the vectors of a shard, unless they are there.

    They are on the disk before their file has its name, so a writer may be killed at any moment,
    and two may write the same shard.

    Raises:
        StorageError: If its texts cannot be read or its vectors cannot be written.
    """
    with naming_storage(path):
        frame = pl.read_parquet(path)
    if shard_vectors(path, frame.height, embedder.dimension) is not None:
        return
    batches = frame.partition_by("batch", maintain_order=True)
    vectors = np.concatenate([embedder.embed(one["text"].to_list()) for one in batches])
    fresh = path.with_name(f"{path.stem}.{uuid4().hex}.new")
    with naming_storage(path):
        with fresh.open("wb") as file:
            np.save(file, vectors.astype(np.float32, copy=False), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(vectors_path(path))


@contextmanager
def naming_storage(path: Path) -> Generator[None]:
    """Say in one line why a shard cannot be read, or its vectors not written.

    Raises:
        StorageError: If the block fails at a file.
    """
    try:
        yield
    except (OSError, PolarsError) as error:
        raise StorageError(
            f"cannot be read or written by a worker ({one_line(str(error))[:160]}); the index must "
            "be on storage that all of them share",
            path=path,
        ) from error


def _digest(texts: Sequence[str]) -> bytes:
    state = xxhash.xxh3_128()
    for text in texts:
        content = text.encode()
        state.update(len(content).to_bytes(8, "little") + content)
    return state.digest()
