"""The scorer: the only place that knows what the users took next.

It is made beside the tasks and never handed to anything that makes lists: what answers gets
`Task` objects, which hold histories and nothing else. Ids are compared exactly; a list that is
missing, short or wrong is a miss.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag_rec.core import DataError, UserHistory


@dataclass(frozen=True, slots=True)
class Task:
    """One user as the pipeline sees them.

    Attributes:
        key: A pseudonym, so that nothing can be looked up by the user's own id.
        history: What is known, oldest first, under that pseudonym.
        stratum: ``cold``, ``warm`` or ``hot``, by the length of the history.
    """

    key: str
    history: UserHistory
    stratum: str


@dataclass(frozen=True, slots=True)
class Relevance:
    """Places of the targets, for ``u`` users and lists of up to ``depth``.

    Attributes:
        hits: ``bool [u, depth]``, whether the item at that place is a target.
        n_relevant: ``int [u]``, targets of each user.
    """

    hits: NDArray[np.bool_]
    n_relevant: NDArray[np.int64]

    def first_rank(self) -> NDArray[np.int64]:
        """Return the place of the first target from 1, 0 where there is none."""
        return np.where(self.hits.any(axis=1), self.hits.argmax(axis=1) + 1, 0)


class Scorer:
    """Holds the targets and compares lists with them.

    Args:
        targets: By key, the item ids the user took.
    """

    __slots__ = ("_targets",)

    def __init__(self, targets: Mapping[str, frozenset[str]]) -> None:
        self._targets = dict(targets)

    def relevance(
        self,
        lists: Mapping[str, Sequence[str]],
        users: Sequence[str],
        depth: int | None = None,
    ) -> Relevance:
        """Compare lists with the targets of exactly these users.

        Args:
            lists: Item ids by user key, best first.
            users: Keys, in the order of the rows that are returned.
            depth: Places looked at; as many as the longest list has if None.

        Raises:
            DataError: If the lists are those of other users: leaving users out, or adding
                some, would change what is measured.
        """
        if set(lists) != set(users) or len(lists) != len(users):
            missing, extra = set(users) - set(lists), set(lists) - set(users)
            raise DataError(
                f"refused: lists for {len(lists)} users where {len(users)} were asked for "
                f"({len(missing)} missing, {len(extra)} unasked); every variant must answer for "
                "the same users, with an empty list where it fails"
            )
        if depth is None:
            depth = max(map(len, lists.values()), default=0)
        hits = np.zeros((len(users), depth), np.bool_)
        for row, user in enumerate(users):
            target = self._targets[user]
            listed = list(lists[user])[:depth]
            if len(set(listed)) < len(listed):
                raise DataError(f"refused: the list of user {user} names an item twice")
            hits[row, : len(listed)] = [item_id in target for item_id in listed]
        n = np.array([len(self._targets[user]) for user in users], np.int64)
        return Relevance(hits, n)

    def targets_of(self, users: Sequence[str]) -> list[tuple[str, ...]]:
        """Return sorted targets; for the report, after everything has been answered."""
        return [tuple(sorted(self._targets[user])) for user in users]

    def digest(self) -> str:
        """Return a digest of users and targets: equal where two reports measure the same."""
        rows = sorted((user, *sorted(items)) for user, items in self._targets.items())
        return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]


def pseudonym(user_id: str, seed: int) -> str:
    """Return a name that tells nothing about a user and is the same in every run of one seed."""
    return hashlib.blake2b(f"{seed}\n{user_id}".encode(), digest_size=8).hexdigest()
