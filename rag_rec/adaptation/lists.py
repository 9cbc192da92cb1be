"""Training lists: a user's history, candidates that have not seen the next event, and that event.

The target is the third event from the end of a user's log; the last two stay for validation and
test, and for the fusion of the index. The candidates come from an index of its own, fitted on the
log without the last three events of anybody, reviews of them included. Prompts are rendered on
that index too, so that nothing in them is later than the target.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rag_rec.adaptation.embedder.record import read_adaptation
from rag_rec.core import Candidate, DataError, OnStep, ScratchFolder, UserHistory
from rag_rec.data import leave_last_out
from rag_rec.index import (
    Embedder,
    ItemIndex,
    SentenceTransformerEmbedder,
    copy_version,
    stored_data,
)
from rag_rec.retrieval import Retriever, build_index, open_retriever

TARGET = 3
"""Place of the target from the end of a user's log."""

_BLOCK = 256

NO_HISTORY = "users with fewer than four events"
REPEATED = "users whose target is in their history"
NOT_FOUND = "users whose target is not among the candidates"


@dataclass(frozen=True, slots=True)
class TrainingList:
    """One user's question, and the answer.

    Attributes:
        history: The user's events before the target.
        candidates: The retriever's, best first; the target is one of them.
        target: The item that came next.
    """

    history: UserHistory
    candidates: tuple[Candidate, ...]
    target: str


@dataclass(frozen=True, slots=True)
class TrainingLists:
    """Lists, and the index they belong to.

    Attributes:
        lists: One a user, in a random order.
        index: Fitted without the targets and what came after them.
        retriever: That index's.
        left_out: Users without a list, by the reason.
    """

    lists: list[TrainingList]
    index: ItemIndex
    retriever: Retriever
    left_out: dict[str, int] = field(default_factory=dict)


@contextmanager
def training_lists(
    index: ItemIndex,
    n_candidates: int,
    *,
    users: int | None = None,
    seed: int = 0,
    on_step: OnStep | None = None,
) -> Generator[TrainingLists]:
    """Yield lists to learn an order from; the index behind them lives as long as the block.

    Args:
        index: An open index; its log gives the histories and the targets.
        n_candidates: Candidates a list.
        users: Lists wanted, of users drawn at random; all if None.
        seed: Of the draw.
        on_step: Receives progress.

    Raises:
        DataError: If no user has four events, or no target is among its candidates.
    """
    data = stored_data(index.folder)
    split = leave_last_out(data, hidden=TARGET, n_target=TARGET)
    targets = dict(zip(split.users, split.targets, strict=True))
    embedder = _unseeing(index)
    with ScratchFolder("adapt") as scratch:
        folder = scratch / "index"
        copy_version(index.folder, folder)  # for its vectors
        build_index(split.fit, folder, embedder=embedder, replace=True, on_step=on_step)
        with closing(ItemIndex.open(folder, embedder)) as before:
            retriever = open_retriever(before)
            left_out = Counter({NO_HISTORY: data.n_users - len(targets)})
            lists: list[TrainingList] = []
            order = np.random.default_rng(seed).permutation(sorted(targets)).tolist()
            wanted = len(order) if users is None else users
            for start in range(0, len(order), _BLOCK):
                some = order[start : start + _BLOCK]
                asked = [before.history(user) for user in some]
                came_next = [targets[user] for user in some]
                lists += _found(retriever, asked, came_next, n_candidates, left_out)
                if on_step:
                    on_step("finding candidates", min(start + _BLOCK, len(order)), len(order))
                if len(lists) >= wanted:
                    break
            if not lists:
                raise DataError("no user's target is among the candidates; nothing to learn from")
            yield TrainingLists(lists[:wanted], before, retriever, dict(left_out))


def _found(
    retriever: Retriever,
    asked: Sequence[UserHistory],
    targets: Sequence[str],
    n: int,
    left_out: Counter[str],
) -> list[TrainingList]:
    found: list[TrainingList] = []
    for history, target, candidates in zip(
        asked, targets, retriever.retrieve(asked, n), strict=True
    ):
        if target in history.item_ids:
            left_out[REPEATED] += 1
        elif all(candidate.item_id != target for candidate in candidates):
            left_out[NOT_FOUND] += 1
        else:
            found.append(TrainingList(history, tuple(candidates), target))
    return found


def _unseeing(index: ItemIndex) -> Embedder:
    """Return the embedder of an index, or the base of a tuned one: that has seen the targets."""
    record = read_adaptation(Path(index.manifest.embedder.name))
    return index.embedder if record is None else SentenceTransformerEmbedder(record.base.name)
