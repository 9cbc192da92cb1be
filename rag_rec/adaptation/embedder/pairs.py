"""Training pairs of an embedder: texts that one user took one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag_rec.adaptation.embedder.events import RESERVED, Events
from rag_rec.core import DataError

N_TITLES = 3
_TITLE_SHARE = 5  # one pair in five has titles for an anchor

Texts = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pairs of ``p`` anchors and what was taken next.

    Attributes:
        texts: The texts that the numbers below stand for.
        titles: Title of each item, for anchors of several.
        anchors: ``int32 [p, N_TITLES]``, texts of the anchor's items, -1 where there are fewer.
        items: ``int32 [p, N_TITLES]``, its items; -1 throughout where the anchor is the whole text
            of one item, else those whose titles it consists of, oldest first.
        positives: ``int32 [p]``, the text that followed.
        events: ``int64 [p]``, the event of the positive, the latest in the pair.
    """

    texts: list[str]
    titles: list[str]
    anchors: Texts
    items: Texts
    positives: Texts
    events: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.positives)

    def anchor_text(self, pair: int) -> str:
        """Return the text of a pair's anchor."""
        items = self.items[pair]
        if (items < 0).all():
            return self.texts[self.anchors[pair, 0]]
        return titles_text([self.titles[item] for item in items.tolist() if item >= 0])

    def false_negatives(self, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return ``bool [b, b]``: the positive of the column is no negative of the row's anchor.

        It is the row's own positive once more, or a part of the anchor.
        """
        positives, anchors = self.positives[pairs], self.anchors[pairs]
        equal = positives[:, None] == positives[None, :]
        equal |= (anchors[:, :, None] == positives[None, None, :]).any(axis=1)
        np.fill_diagonal(equal, val=False)
        return equal

    def batches(self, size: int, epoch: int, seed: int) -> Iterator[NDArray[np.int64]]:
        """Yield the pairs of an epoch in random order, ``size`` at a time; a rest is left out."""
        order = np.random.default_rng([seed, epoch]).permutation(len(self))
        for start in range(0, len(order) - size + 1, size):
            yield order[start : start + size]


def titles_text(titles: list[str]) -> str:
    """Return several titles as the text of a history."""
    return "; ".join(titles)


def training_pairs(
    events: Events, left_out: NDArray[np.bool_], *, limit: int | None = None, seed: int = 0
) -> Pairs:
    """Return the pairs in a log; none holds one of the last two events of anybody.

    They are neighbouring events of a user, in either order, and the titles of up to three events
    in a row with the one after them. Every fifth pair is of the second kind.

    Args:
        events: The log.
        left_out: ``bool [users]``, users of whom nothing is learned.
        limit: Number of pairs, drawn at random; all if None.
        seed: Of the draw.

    Raises:
        DataError: If there is no pair.
    """
    free = (events.ages >= RESERVED) & ~left_out[events.owners]
    texts = np.where(free, events.event_texts, -1)
    rng = np.random.default_rng(seed)
    neighbours, titled = _neighbours(events, texts), _titled(events, texts)
    if not len(neighbours):
        raise DataError(
            "no pair to learn from: nobody has three events and more of different items with "
            "texts, the last two events of each user aside"
        )
    n = len(neighbours) if limit is None else min(limit, len(neighbours))
    n_titled = min(n // _TITLE_SHARE, len(titled))
    chosen = _drawn(rng, neighbours, n - n_titled)
    turned = rng.random(len(chosen)) < 0.5
    first, second = np.where(turned, chosen, chosen - 1), np.where(turned, chosen - 1, chosen)
    single = np.full((len(chosen), N_TITLES), -1, np.int32)
    single[:, 0] = texts[first]
    last = _drawn(rng, titled, n_titled)
    before = last[:, None] - np.arange(N_TITLES, 0, -1)
    shown = _of_one_user(events, before, last) & _has_title(events)[events.items[before]]
    shown &= texts[before] >= 0
    return Pairs(
        texts=events.texts,
        titles=events.titles,
        anchors=np.concatenate([single, np.where(shown, texts[before], -1)]),
        items=np.concatenate([
            np.full_like(single, -1), np.where(shown, events.items[before], -1)
        ]),
        positives=np.concatenate([texts[second], texts[last]]),
        events=np.concatenate([chosen, last]),
    )  # fmt: skip


def _neighbours(events: Events, texts: Texts) -> NDArray[np.int64]:
    """Return events that follow one of the same user with another text."""
    at = np.arange(1, len(texts))
    same = events.owners[at] == events.owners[at - 1]
    told = (texts[at] >= 0) & (texts[at - 1] >= 0) & (texts[at] != texts[at - 1])
    return at[same & told]


def _titled(events: Events, texts: Texts) -> NDArray[np.int64]:
    """Return events after which others of the same user can be named by title, all different."""
    at = np.arange(N_TITLES, len(texts))
    before = at[:, None] - np.arange(N_TITLES, 0, -1)
    shown = _of_one_user(events, before, at) & _has_title(events)[events.items[before]]
    shown &= texts[before] >= 0
    repeated = (shown & (texts[before] == texts[at][:, None])).any(axis=1)
    return at[(shown.sum(axis=1) > 1) & (texts[at] >= 0) & ~repeated]


def _of_one_user(
    events: Events, before: NDArray[np.int64], at: NDArray[np.int64]
) -> NDArray[np.bool_]:
    return events.owners[before] == events.owners[at][:, None]


def _has_title(events: Events) -> NDArray[np.bool_]:
    """Return ``bool [n + 1]``, False for the item -1."""
    return np.array([*map(bool, events.titles), False])


def _drawn(rng: np.random.Generator, events: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    return np.sort(rng.choice(events, min(n, len(events)), replace=False))
