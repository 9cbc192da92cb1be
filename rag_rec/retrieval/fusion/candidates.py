"""Candidates of a list, made together."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag_rec.core import Candidate

_SLOTS = tuple(vars(Candidate)[name] for name in ("item_id", "score", "sources"))


def candidates_of(
    item_ids: Sequence[str], scores: Iterable[float], sources: Iterable[Mapping[str, int]]
) -> list[Candidate]:
    """Return one candidate for each item.

    The constructor of a frozen class sets each attribute by name, which takes most of the time of
    a list of a hundred. Here the slots are set themselves.
    """
    made = [object.__new__(Candidate) for _ in item_ids]
    for slot, values in zip(_SLOTS, (item_ids, scores, sources), strict=True):
        deque[Any](map(slot.__set__, made, values), maxlen=0)
    return made


def ranks_by_source(names: Sequence[str], ranks: NDArray[np.int64]) -> list[dict[str, int]]:
    """Return the ranks of each item that has some, by source.

    Args:
        names: The sources ``s``.
        ranks: ``[items, s]``, 0 where a source does not propose the item.
    """
    rows, columns = np.nonzero(ranks)
    pairs = zip(
        [names[column] for column in columns.tolist()], ranks[rows, columns].tolist(), strict=True
    )
    lengths = np.bincount(rows, minlength=len(ranks)).tolist()
    return [dict(islice(pairs, length)) for length in lengths]
