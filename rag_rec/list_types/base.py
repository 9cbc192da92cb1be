"""The parts of a list type: the kind that is asked for, its task, its composer and its document."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from rag_rec.constraints import Choice, ItemRules, Tally, fold, n_new_items, without
from rag_rec.core import Candidate, Constraints, Item, RecommendationList, Relaxable, UserHistory
from rag_rec.grounding import Entry, Grounds
from rag_rec.index import ItemIndex
from rag_rec.list_types.affinity import Affinity, Steps
from rag_rec.list_types.objective import Pool
from rag_rec.retrieval import FitData, Histories, Retriever, pools

_WINDOW = 5
_POOL = 40


Search: TypeAlias = Callable[[Pool], tuple[Sequence[int], dict[str, Any]]]
"""Returns the positions of a list in a pool, and the fields its kind adds."""


class Kind(Protocol):
    """Options of one kind of list, a frozen model; every list type has its own class."""

    @property
    def length(self) -> int:
        """Number of items."""
        ...


K = TypeVar("K", bound=Kind)


@dataclass(frozen=True, slots=True)
class Theme:
    """The theme of a row, and the positions of the pool that belong to it."""

    title: str
    members: frozenset[int]


@dataclass(frozen=True, slots=True)
class ListTask:
    """The task of one list, for the prompt and for the composer.

    Attributes:
        text: The task in words, for prompts that state it (``$task``).
        themes: Themes of the rows of a page; empty for lists without rows.
    """

    text: str = ""
    themes: tuple[Theme, ...] = ()


@dataclass(frozen=True, slots=True)
class Composed:
    """A list before its reasons: the items in order, and the fields its kind adds."""

    choices: tuple[Choice, ...]
    extras: dict[str, Any] = field(default_factory=dict)


class ListContext:
    """The index, the retriever and the affinities that lists are built from.

    Args:
        index: An open index.
        retriever: Any retriever over it.
    """

    def __init__(self, index: ItemIndex, retriever: Retriever) -> None:
        self.index = index
        self.retriever = retriever

    def candidates(self, history: UserHistory, n: int, k: int) -> list[Candidate]:
        """Return ``n`` candidates or more of one user; see `rag_rec.retrieval.pools`."""
        return pools(self.retriever, self.index, [history], n, k)[0]

    def pool(self, history: UserHistory, length: int) -> list[Candidate]:
        """Return the candidates that a list of some length is chosen from."""
        return self.candidates(history, max(_POOL, 3 * length), length)

    def items(self, candidates: Sequence[Candidate]) -> list[Item]:
        """Return the catalog rows of candidates."""
        return [self.index.item_by_id(candidate.item_id) for candidate in candidates]

    def rows(self, item_ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the row numbers of known item ids."""
        found = [self.index.find(item_id) for item_id in item_ids]
        return np.array([row for row in found if row is not None], np.int64)

    @cached_property
    def affinity(self) -> Affinity:
        """Affinity of items that are taken together."""
        leaves = [row[-1] if row else "" for row in self.index.items["categories"].to_list()]
        numbers = {name: n for n, name in enumerate(dict.fromkeys(map(fold, filter(None, leaves))))}
        groups = np.array([numbers[fold(leaf)] if leaf else -1 for leaf in leaves], np.int64)
        return Affinity(self._log, groups, self.index.vector_rows, window=_WINDOW)

    @cached_property
    def steps(self) -> Steps:
        """Affinity of an item to those that are taken after it."""
        return Steps(self._log, window=_WINDOW)

    @cached_property
    def _log(self) -> Histories:
        return FitData.of(self.index, []).log


class ListType(ABC, Generic[K]):
    """One type of list, in one place: name, options, task, composer and document.

    Attributes:
        name: Name on the command line and in experiments.
        kind: Class of the options.
        document: Class of the result.
        prompt: Name of the prompt variant; None for the recommender's own.
        entry_tokens: Tokens of a reply's entry without its reason, at most.
        sized_by: The option that holds the number of items (of a row, for pages).
    """

    name: str
    kind: type[K]
    document: type[RecommendationList] = RecommendationList
    prompt: str | None = None
    entry_tokens: int = 32
    sized_by: str = "length"

    def of_size(self, k: int | None) -> K:
        """Return the kind with ``k`` items (a row, for pages); its default length if None."""
        return self.kind() if k is None else self.kind(**{self.sized_by: k})

    def candidates(
        self,
        context: ListContext,
        asked: Sequence[tuple[K, UserHistory]],
        n_shown: int,  # noqa: ARG002 - for types that show as many as the prompt holds
    ) -> list[list[Candidate]]:
        """Return the candidates of several users, best first.

        Raises:
            DataError: If the kind names an unknown item.
            ConfigError: If the kind contradicts a user's constraints.
        """
        return [context.pool(history, kind.length) for kind, history in asked]

    def task(
        self,
        context: ListContext,  # noqa: ARG002 - for types whose task depends on the user
        kind: K,  # noqa: ARG002
        history: UserHistory,  # noqa: ARG002
        candidates: Sequence[Candidate],  # noqa: ARG002
    ) -> ListTask:
        """Return the task of one list; by default the prompt itself says all."""
        return ListTask()

    @abstractmethod
    def compose(
        self,
        context: ListContext,
        kind: K,
        task: ListTask,
        grounds: Grounds,
        entries: Sequence[Entry],
    ) -> Composed:
        """Return the list: the model's entries as far as they hold, the rest by search.

        Args:
            context: Index, retriever, affinities.
            kind: The options.
            task: The task given to the model.
            grounds: The history with its constraints, and the candidates.
            entries: The model's choices, by label (the candidate's place from 1).
        """


def composed_from_pool(
    kind: Kind,
    items: Sequence[Item],
    grounds: Grounds,
    search: Search,
) -> Composed:
    """Search under all constraints; while the list is short, give up one more that may be.

    Before that, the share of new items is lowered to what fills the list.

    Args:
        kind: The options.
        items: The candidates' catalog rows, best first.
        grounds: Holds the constraints.
        search: Makes the list.
    """
    asked = grounds.history.constraints
    composed = Composed(())
    for n_given_up in range(len(asked.relax) + 1):
        composed = _longest(kind.length, items, asked, n_given_up, search)
        if len(composed.choices) == kind.length:
            break
    return composed


def _longest(
    length: int, items: Sequence[Item], asked: Constraints, n_given_up: int, search: Search
) -> Composed:
    """Return the longest list; of those, the one with most of the new items that are asked for."""
    of_items = ItemRules(without(asked, asked.relax[:n_given_up]))
    n_wanted = n_new_items(asked, length)
    if n_wanted:
        n_wanted = min(n_wanted, sum(i.is_new and not of_items.failed(i) for i in items))
    found: list[Composed] = []
    for n_new in range(n_wanted, -1, -1):
        pool = Pool.of(items, asked, n_given_up, most_known=length - n_new)
        chosen, extras = search(pool)
        found.append(Composed(marked(pool, chosen), extras))
        if len(chosen) == length:
            break
    return max(found, key=lambda one: len(one.choices))


def marked(pool: Pool, chosen: Sequence[int]) -> tuple[Choice, ...]:
    """Return chosen positions as items, each with the constraints that were given up for it."""
    items = [pool.items[position] for position in chosen]
    of_items, tally = ItemRules(pool.asked), Tally(pool.asked)
    # a list that obeys the counts as a whole breaks none, in whatever order it is read
    obeys = Tally(pool.asked, items).holds
    choices: list[Choice] = []
    for item in items:
        counts: tuple[Relaxable, ...] = () if obeys else tally.broken_by(item)
        given_up: list[Relaxable] = [n for n in counts if getattr(pool.rules, n) is None]
        choices.append(Choice(item.item_id, (*of_items.failed(item), *given_up)))
        tally.add(item)
    return tuple(choices)
