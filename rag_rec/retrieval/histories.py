"""`Histories`: many users' events as two arrays, and the weights given to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rag_rec.core import UserHistory
from rag_rec.index import ItemIndex


def shares_of(keys: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return one over the number of times that each key is there, in the order of the keys."""
    _, place, n_times = np.unique(keys, return_inverse=True, return_counts=True)
    return (1 / n_times[place]).astype(np.float32)


@dataclass(frozen=True)
class Histories:
    """Events of ``u`` users, oldest first.

    Attributes:
        n_items: Number of items ``n``.
        starts: ``int64 [u + 1]``; events of user i are ``starts[i]:starts[i + 1]``.
        items: ``int32 [e]``, ``item_ix``, or -1 for an item that is not in the catalog.
    """

    n_items: int
    starts: NDArray[np.int64]
    items: NDArray[np.int32]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int] | NDArray[np.int32]], n_items: int) -> Histories:
        """Return the histories of users with these ``item_ix``, one sequence a user."""
        starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        parts = [np.asarray(row, np.int32) for row in rows]
        return cls(n_items, starts, np.concatenate([np.empty(0, np.int32), *parts]))

    @classmethod
    def of_index(cls, index: ItemIndex) -> Histories:
        """Return the log of an index version, one row a user, in the log's order."""
        log = index.interactions
        rows = index.items.select("item_id").with_row_index("item_ix")
        placed = log.join(rows, on="item_id", how="left", maintain_order="left")
        lengths = log["user_id"].rle().struct.field("len").to_numpy()
        starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        return cls(index.n_items, starts, placed["item_ix"].to_numpy().astype(np.int32))

    @classmethod
    def of_users(cls, index: ItemIndex, histories: Sequence[UserHistory]) -> Histories:
        """Return the events of some users, -1 for items that are not in the catalog."""
        place = index.row_of
        rows = [[place.get(event.item_id, -1) for event in user.events] for user in histories]
        return cls.of(rows, index.n_items)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def row(self, user: int) -> NDArray[np.int32]:
        """Return the known items of one user, oldest first."""
        items = self.items[self.starts[user] : self.starts[user + 1]]
        return items[items >= 0] if len(items) and items.min() < 0 else items

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of events of each user."""
        return np.diff(self.starts)

    @property
    def owners(self) -> NDArray[np.int64]:
        """User of each event."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def ages(self) -> NDArray[np.int64]:
        """Number of events of the same user after each event."""
        return np.repeat(self.starts[1:], self.lengths) - 1 - np.arange(len(self.items))

    @cached_property
    def shares(self) -> NDArray[np.float32]:
        """One over the number of events that the user has of each event's item.

        They sum to 1 for a user and an item, so that no account counts more than once for an item.
        """
        return shares_of(self.owners * (self.n_items + 1) + self.items + 1)

    def shares_of_pairs(self, gap: int) -> NDArray[np.float32]:
        """Return the smaller share of both events of each of the `pairs`."""
        shares, same = self.shares, self.owners[:-gap] == self.owners[gap:]
        return np.minimum(shares[:-gap][same], shares[gap:][same])

    def pairs(self, gap: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return the items of events, and those ``gap`` events later of the same user."""
        same = self.owners[:-gap] == self.owners[gap:]
        return self.items[:-gap][same], self.items[gap:][same]

    def take(self, users: NDArray[np.int64]) -> Histories:
        """Return some of the users, in the order given."""
        return Histories.of([self.row(int(user)) for user in users], self.n_items)

    def without_last(self, n: int) -> Histories:
        """Return the same users without their ``n`` last events."""
        return self.kept(self.ages >= n)

    def kept(self, events: NDArray[np.bool_]) -> Histories:
        """Return the same users with the marked events."""
        lengths = np.bincount(self.owners[events], minlength=len(self))
        return Histories(
            self.n_items, np.concatenate([[0], np.cumsum(lengths)]), self.items[events]
        )

    def counts(self) -> NDArray[np.float32]:
        """Return the number of users that took each item, ``[n]``."""
        known = self.items >= 0
        users = np.bincount(self.items[known], self.shares[known], self.n_items)
        return np.rint(users).astype(np.float32)

    def weights(self, decay: float | None) -> sparse.csr_array:
        """Return ``float32 [u, n]``: ``exp(-age / decay)`` at an item's latest event; 1 if None."""
        ages, owners = self.ages[::-1], self.owners[::-1]
        keys = owners * self.n_items + self.items[::-1]
        known = self.items[::-1] >= 0
        kept, first = np.unique(keys[known], return_index=True)
        ages = ages[known][first]
        return self._at(kept, np.ones(len(kept)) if decay is None else np.exp(-ages / decay))

    def repeated(self, decay: float) -> sparse.csr_array:
        """Return ``float32 [u, n]``: the sum of ``exp(-age / decay)`` over an item's events."""
        known = self.items >= 0
        keys = (self.owners * self.n_items + self.items)[known]
        kept, place = np.unique(keys, return_inverse=True)
        values = np.zeros(len(kept))
        np.add.at(values, place, np.exp(-self.ages[known] / decay))
        return self._at(kept, values)

    def _at(self, keys: NDArray[np.int64], values: NDArray[np.float64]) -> sparse.csr_array:
        rows, columns = np.divmod(keys, self.n_items)
        pointers = np.searchsorted(rows, np.arange(len(self) + 1))
        data = (values.astype(np.float32), columns.astype(np.int32), pointers)
        return sparse.csr_array(data, shape=(len(self), self.n_items))

    def last(self) -> sparse.csr_array:
        """Return ``float32 [u, n]``: 1 at each user's latest known item."""
        rows = [self.row(user)[-1:] for user in range(len(self))]
        return Histories.of(rows, self.n_items).weights(None)
