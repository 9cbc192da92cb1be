"""The one place where the pipeline calls a language model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rag_rec.core import OnDone
from rag_rec.llm import ChatModel, Completion, Request
from rag_rec.pipeline.state import Exchange, Purpose, RecommendationState

Asked = tuple[RecommendationState, Request]


def ask(
    model: ChatModel, purpose: Purpose, asked: Iterable[Asked], on_done: OnDone | None = None
) -> list[tuple[RecommendationState, Completion]]:
    """Send requests, and note each call with its usage in the state it was made for.

    Args:
        model: The language model.
        purpose: The step that asks.
        asked: States with their requests; taken while the first are already being answered.
        on_done: Called with the number of requests just finished.

    Returns:
        The states with their completions, in order.
    """
    sent: list[Asked] = []

    def requests() -> Iterator[Request]:
        for state, request in asked:
            sent.append((state, request))
            yield request

    completions = model.generate(requests(), on_done)
    answered: list[tuple[RecommendationState, Completion]] = []
    for (state, request), completion in zip(sent, completions, strict=True):
        state.exchanges.append(Exchange(purpose, request, completion))
        answered.append((state, completion))
    return answered
