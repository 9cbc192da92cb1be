"""Examples of training lists: previewed prompts with a right answer and a wrong one."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rag_rec.adaptation.export.answers import Answer
from rag_rec.adaptation.export.formats import TrainingExample
from rag_rec.adaptation.lists import TrainingList, TrainingLists
from rag_rec.core import Candidate, Evidence, Settings, UserHistory
from rag_rec.llm import ChatModel
from rag_rec.pipeline import RecommendationRequest, RecommendationState
from rag_rec.recommender import Recommender
from rag_rec.retrieval import Retriever

NO_PROMPT = "users whose prompt cannot be made"
NOT_SHOWN = "users whose target did not fit into the prompt"
_BLOCK = 128


def examples_of(
    lists: TrainingLists,
    model: ChatModel,
    settings: Settings,
    answer: Answer,
    left_out: Counter[str],
) -> Iterator[tuple[str, TrainingExample]]:
    """Yield users and their examples, from the states of a preview.

    Args:
        lists: The training lists.
        model: Counts tokens, and bounds them; it is not asked.
        settings: The prompt, ``k`` and the seed.
        answer: Writes the assistant's turn.
        left_out: Counts the users without an example, by the reason.
    """
    for start in range(0, len(lists.lists), _BLOCK):
        block = lists.lists[start : start + _BLOCK]
        shuffled = ShuffledCandidates(lists.retriever, block, settings.seed)
        recommender = Recommender(lists.index, model, settings, retriever=shuffled)
        states = recommender.preview(RecommendationRequest(one.history) for one in block)
        for one, state in zip(block, states, strict=True):
            if state.prompt is None or state.call is None:
                left_out[NO_PROMPT] += 1
            elif one.target not in state.prompt.labels:
                left_out[NOT_SHOWN] += 1
            else:
                yield one.history.user_id or "", example_of(one, state, answer)


def example_of(one: TrainingList, state: RecommendationState, answer: Answer) -> TrainingExample:
    """Return a previewed prompt with its right answer, and a wrong one.

    The right one begins with the target; the other candidates follow in retrieval's order, as many
    as the list is long. The wrong one is the same without the target, which is last where the list
    holds every candidate.
    """
    if state.prompt is None or state.call is None:
        raise AssertionError("only states with a prompt have an answer")
    label_of = {item_id: label for label, item_id in enumerate(state.prompt.labels, start=1)}
    target = label_of[one.target]
    others = [
        label_of[candidate.item_id]
        for candidate in one.candidates
        if candidate.item_id in label_of and candidate.item_id != one.target
    ]
    k = min(state.kind.length, len(label_of))
    return TrainingExample(
        messages=state.call.messages,
        right=answer([target, *others][:k]),
        wrong=answer([*others, target][:k]),
        label=target,
        n_labels=len(label_of),
    )


@dataclass(frozen=True)
class ShuffledCandidates:
    """The candidates of training lists, in an order that says nothing.

    Attributes:
        retriever: Explains them.
        lists: The lists; their users are the ones that can be asked for.
        seed: Of the order, with the user's id.
    """

    retriever: Retriever
    lists: Sequence[TrainingList]
    seed: int

    def retrieve(self, histories: Sequence[UserHistory], k: int) -> list[list[Candidate]]:
        """Return the candidates of each user, shuffled; see `Retriever.retrieve`."""
        by_user = {one.history.user_id: one.candidates for one in self.lists}
        return [self._shuffled(history, by_user[history.user_id])[:k] for history in histories]

    def explain(self, history: UserHistory, item_ids: Sequence[str]) -> dict[str, Evidence]:
        """See `Retriever.explain`."""
        return dict(self.retriever.explain(history, item_ids))

    def _shuffled(self, history: UserHistory, found: Sequence[Candidate]) -> list[Candidate]:
        order = random.Random(f"{self.seed} {history.user_id}")  # noqa: S311 - no secret
        return order.sample(list(found), len(found))
