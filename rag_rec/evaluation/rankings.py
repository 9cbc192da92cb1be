"""Rankings to measure beside retrieval's own: chance, the history replayed, given candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rag_rec.core import Constraints, DataError, Interaction, UserHistory
from rag_rec.data import Split, plain_file
from rag_rec.retrieval import Diagnostics, Rankings, as_table, unseen

GIVEN = 20
"""Given candidates that are ranked, as in arXiv 2305.08845."""


def read_candidates(path: Path) -> dict[str, list[str]]:
    """Read lines ``user item item ...``, plain or packed.

    Raises:
        DataError: If the file cannot be read, or two lines name the same user.
    """
    try:
        with plain_file(path) as plain, plain.open(encoding="utf-8") as lines:
            parts = [line.split() for line in lines]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot be read ({error})", path=path) from error
    given: dict[str, list[str]] = {}
    for number, line in enumerate(parts, start=1):
        if line and line[0] in given:
            raise DataError(f"names user {line[0]} a second time", path=path, row=number)
        if line:
            given[line[0]] = line[1:]
    return given


def histories_of(split: Split, *, mask_history: bool) -> list[UserHistory]:
    """Return the history of each user before the target."""
    constraints = Constraints(allow_seen=not mask_history, allow_out_of_stock=True)
    return [
        UserHistory(
            user_id=user,
            events=tuple(Interaction.model_construct(item_id=item_id) for item_id in items),
            constraints=constraints,
        )
        for user, items in zip(split.users, split.inputs, strict=True)
    ]


def baseline_rankings(
    diagnostics: Diagnostics, asked: Sequence[UserHistory], depth: int, *, mask: bool
) -> dict[str, Rankings]:
    """Return the rankings by chance and, where ``mask`` is False, by the history replayed."""
    users = diagnostics.histories(asked)
    n, rng = diagnostics.index.n_items, np.random.default_rng(0)
    drawn = (
        rng.choice(n, min(n, 4 * depth), replace=False).astype(np.int32) for _ in range(len(users))
    )
    found = {"random": unseen(drawn, users, depth, mask=mask)}
    if not mask:
        own = (list(dict.fromkeys(users.row(u)[::-1].tolist())) for u in range(len(users)))
        replayed = (np.array(items[:depth], np.int32) for items in own)
        found["history replayed"] = as_table(replayed, len(users), depth)
    return found


def given_ranks(
    diagnostics: Diagnostics,
    split: Split,
    asked: Sequence[UserHistory],
    given: Mapping[str, Sequence[str]],
) -> dict[str, NDArray[np.int64]]:
    """Return the rank of the target among each user's first given candidates.

    Ties count against it. A target that is not among them takes the place of the last one.

    Raises:
        DataError: If a user has fewer than `GIVEN` candidates, or one is no item.
    """
    lists: list[list[str]] = []
    for user, target in zip(split.users, split.targets, strict=True):
        some = list(given[user])[:GIVEN]
        lists.append(some if target in some else [*some[: GIVEN - 1], target])
        if len(lists[-1]) < GIVEN:
            raise DataError(f"--candidates: user {user} has {len(some)}, {GIVEN} are needed")
        unknown = next((i for i in lists[-1] if diagnostics.index.find(i) is None), None)
        if unknown is not None:
            raise DataError(f"--candidates: user {user} has '{unknown}', which is no item")
    find = diagnostics.index.find
    candidates = np.array([[find(item_id) for item_id in some] for some in lists], np.int32)
    at = np.array([some.index(t) for some, t in zip(lists, split.targets, strict=True)])
    return {
        name: (scores >= np.take_along_axis(scores, at[:, None], 1)).sum(axis=1)
        for name, scores in diagnostics.scores(asked, candidates).items()
    }
