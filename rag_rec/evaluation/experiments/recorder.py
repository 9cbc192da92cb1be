"""An independent witness of every model call, for the leak audit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from rag_rec.core import OnDone
from rag_rec.llm import ChatModel, Completion, Request, WrappedModel
from rag_rec.pipeline import RecommendationState


class RecordingModel(WrappedModel):
    """Passes requests on and keeps them, apart from the states that the pipeline writes.

    Args:
        model: The model behind; not closed with this one.
    """

    def __init__(self, model: ChatModel) -> None:
        super().__init__(model, owned=False)
        self._seen: list[tuple[Request, Completion]] = []

    def generate(
        self, requests: Iterable[Request], on_done: OnDone | None = None
    ) -> list[Completion]:
        """See `ChatModel.generate`."""
        sent: list[Request] = []

        def passing() -> Iterator[Request]:
            for request in requests:
                sent.append(request)
                yield request

        completions = self._model.generate(passing(), on_done)
        self._seen += zip(sent, completions, strict=True)
        return completions

    def unaccounted(self, states: Sequence[RecommendationState]) -> list[str]:
        """Return replies to requests since the last call that no state has an exchange for."""
        seen, self._seen = self._seen, []
        known = Counter(_key(e.request) for state in states for e in state.exchanges)
        strays: list[str] = []
        for request, completion in seen:
            known[_key(request)] -= 1
            if known[_key(request)] < 0:
                strays.append(completion.text)
        return strays


def _key(request: Request) -> tuple[object, ...]:
    return request.messages, request.seed, request.max_tokens
