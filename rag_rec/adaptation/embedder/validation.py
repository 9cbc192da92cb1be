"""Validation of an embedder: the second-to-last events of users of whom it learns nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag_rec.adaptation.embedder.events import RESERVED, Events
from rag_rec.core import DataError, Model
from rag_rec.index import Vectors

_LATEST = 3
_DECAY = 2.0
_DEPTH = 50
_LEAST = 20
_MOST_USERS = 500
_USER_SHARE = 0.1
_OTHERS = 1_500

Encode = Callable[[list[str]], Vectors]
"""From texts to unit rows."""


class Figures(Model):
    """Ranks of the texts that came next, among the texts they are compared with.

    Attributes:
        mrr: Mean of 1 / rank.
        recall_at_50: Share among the first fifty.
    """

    mrr: float
    recall_at_50: float


@dataclass(frozen=True, slots=True)
class Validation:
    """Questions to users whose events are in no pair.

    Attributes:
        texts: The texts that are compared.
        latest: ``int64 [u, 3]``, row in ``texts`` of the latest events before the target, the
            latest first, -1 where there are fewer.
        targets: ``int64 [u]``, row in ``texts`` of the second-to-last event.
        users: ``bool [users]``, the users that are asked.
    """

    texts: list[str]
    latest: NDArray[np.int64]
    targets: NDArray[np.int64]
    users: NDArray[np.bool_]

    @classmethod
    def of(cls, events: Events, seed: int) -> Validation:
        """Draw a tenth of the users whom one can ask, 500 at most, and texts to compare with.

        Raises:
            DataError: If too few users have three events of items with texts.
        """
        rng = np.random.default_rng([seed, 1])
        texts = events.event_texts
        at = np.flatnonzero((events.ages == RESERVED - 1) & (texts >= 0))
        before = at[:, None] - np.arange(1, _LATEST + 1)
        own = (before >= 0) & (events.owners[before] == events.owners[at][:, None])
        known = np.where(own, texts[before], -1)
        asked = (known[:, 0] >= 0) & ~(known == texts[at][:, None]).any(axis=1)
        at, known = at[asked], known[asked]
        n = min(_MOST_USERS, max(_LEAST, round(_USER_SHARE * len(at))))
        if len(at) < 2 * n:
            raise DataError(
                f"{len(at)} users have an event before their last two, of items with texts; "
                f"{2 * _LEAST} are needed, half of them to validate on"
            )
        chosen = np.sort(rng.choice(len(at), n, replace=False))
        at, known = at[chosen], known[chosen]
        others = rng.permutation(len(events.texts))[:_OTHERS]
        compared, rows = np.unique(
            np.concatenate([others, texts[at], known.ravel()]), return_inverse=True
        )
        has_none = int(compared[0] < 0)
        rows -= has_none
        users = np.zeros(len(events.user_ids), np.bool_)
        users[events.owners[at]] = True
        return cls(
            texts=[events.texts[text] for text in compared[has_none:]],
            latest=rows[len(others) + n :].reshape(known.shape),
            targets=rows[len(others) : len(others) + n],
            users=users,
        )

    def figures(self, encode: Encode) -> Figures:
        """Return how high an embedder ranks what came next, items of the history put aside.

        The score of a text is the sum of its cosines with the latest three events, each counted
        less for every event after it.
        """
        vectors = encode(self.texts)
        weights = np.where(self.latest >= 0, np.exp(-np.arange(_LATEST) / _DECAY), 0.0)
        asked = (weights[:, :, None] * vectors[self.latest]).sum(axis=1)
        scores = asked @ vectors.T
        for column in self.latest.T:
            seen = np.flatnonzero(column >= 0)
            scores[seen, column[seen]] = -np.inf
        own = scores[np.arange(len(scores)), self.targets]
        ranks = (scores >= own[:, None]).sum(axis=1)
        return Figures(mrr=float((1 / ranks).mean()), recall_at_50=float((ranks <= _DEPTH).mean()))
