"""What retrieval is: the `Retriever` protocol, and the sources it is made of.

A source is fitted once, when the index is built, and leaves an item-item matrix: row = an item of
the history, column = a candidate, value = how strongly the first speaks for the second. A user's
scores are then one sparse product, history weights times matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.index import ItemIndex, Vectors
from rag_rec.types import Candidate, UserHistory


@runtime_checkable
class Retriever(Protocol):
    """Proposes candidates."""

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        """Candidates of each user, best first, at most ``k``, one list a history.

        No candidate is in the history (unless its constraints allow that), excluded or
        unavailable; there are fewer than ``k`` only when fewer items are eligible.
        """
        ...


@dataclass(frozen=True, slots=True)
class FitData:
    """What sources are fitted on. Users are ``u``, events ``e``, items ``n``, dimension ``d``.

    Attributes:
        n_items: Number of items.
        starts: ``int64 [u + 1]``; events of user i are ``starts[i]:starts[i + 1]``.
        events: ``int32 [e]``, ``item_ix`` in time order within a user.
        times: ``float64 [e]``, unix seconds, NaN where unknown.
        texts: Text of each item.
        titles: Title of each item; empty where unknown.
        item_vectors: ``float32 [n, d]``, unit rows.
        review_vectors: ``float32 [r, d]``, unit rows.
        review_items: ``int32 [r]``, ``item_ix`` of each review.
    """

    n_items: int
    starts: NDArray[np.int64]
    events: NDArray[np.int32]
    times: NDArray[np.float64]
    texts: list[str]
    titles: list[str]
    item_vectors: Vectors
    review_vectors: Vectors
    review_items: NDArray[np.int32]

    @classmethod
    def of(cls, index: ItemIndex, texts: list[str]) -> FitData:
        """The data of an index version."""
        log = index.interactions
        rows = index.items.select("item_id").with_row_index("item_ix")
        placed = log.join(rows, on="item_id", how="left", maintain_order="left")
        lengths = log["user_id"].rle().struct.field("len").to_numpy()
        return cls(
            n_items=index.n_items,
            starts=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
            events=placed["item_ix"].to_numpy().astype(np.int32),
            times=log["timestamp"].to_numpy().astype(np.float64),
            texts=texts,
            titles=index.items["title"].to_list(),
            item_vectors=index.item_vectors,
            review_vectors=index.review_vectors,
            review_items=index.review_items,
        )


class Source(Protocol):
    """One kind of evidence for "who had this may want that"."""

    name: str

    def fit(self, data: FitData) -> sparse.csr_array:
        """Matrix ``float32 [n, n]``, non-negative, zero diagonal, a bounded number a row."""
        ...


def keep_strongest(matrix: sparse.csr_array, n: int) -> sparse.csr_array:
    """The ``n`` largest positive entries of each row, diagonal removed, columns sorted."""
    matrix = sparse.csr_array(matrix, dtype=np.float32)
    rows: list[NDArray[np.int32]] = []
    values: list[NDArray[np.float32]] = []
    for row in range(matrix.shape[0]):
        span = slice(matrix.indptr[row], matrix.indptr[row + 1])
        columns, data = matrix.indices[span], matrix.data[span]
        good = (data > 0) & (columns != row)
        columns, data = columns[good], data[good]
        if len(data) > n:
            best = np.argpartition(-data, n - 1)[:n]
            columns, data = columns[best], data[best]
        order = np.argsort(columns)
        rows.append(columns[order].astype(np.int32))
        values.append(data[order])
    return from_rows(rows, values, matrix.shape[1])


def from_rows(
    rows: Sequence[NDArray[np.int32]], values: Sequence[NDArray[np.float32]], n_columns: int
) -> sparse.csr_array:
    """A sparse matrix from each row's columns and values."""
    pointers = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    columns = np.concatenate([np.empty(0, np.int32), *rows])
    data = np.concatenate([np.empty(0, np.float32), *values])
    return sparse.csr_array((data, columns, pointers), shape=(len(rows), n_columns))


def cosine_neighbours(vectors: Vectors, n: int, block: int = 512) -> sparse.csr_array:
    """The ``n`` nearest other rows of each unit row by cosine; zero rows have none."""
    total = len(vectors)
    rows: list[NDArray[np.int32]] = []
    values: list[NDArray[np.float32]] = []
    for start in range(0, total, block):
        scores = vectors[start : start + block] @ vectors.T
        scores[np.arange(len(scores)), np.arange(start, start + len(scores))] = 0
        width = min(n, total)
        best = np.argpartition(-scores, width - 1, axis=1)[:, :width]
        best.sort(axis=1)
        picked = np.take_along_axis(scores, best, axis=1)
        for columns, data in zip(best, picked, strict=True):
            good = data > 0
            rows.append(columns[good].astype(np.int32))
            values.append(data[good].astype(np.float32))
    return from_rows(rows, values, total)
