"""A model that keeps what was asked and answered, so that a report can show it word for word."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rag_rec.llm import ChatModel, Completion, OnDone, Request, WrappedModel


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came back."""

    request: Request
    completion: Completion


@dataclass(frozen=True, slots=True)
class Taken:
    """What was asked since the last look.

    Attributes:
        chats: The exchanges of each user, in the users' order.
        others: Exchanges that continue nobody's chat.
    """

    chats: list[list[Exchange]]
    others: list[Exchange]


class RecordingModel(WrappedModel):
    """Passes requests on and keeps them.

    Args:
        model: The model behind; not closed with this one.
    """

    def __init__(self, model: ChatModel) -> None:
        super().__init__(model, owned=False)
        self._batches: list[list[Exchange]] = []

    def generate(
        self, requests: Iterable[Request], on_done: OnDone | None = None
    ) -> list[Completion]:
        """See `ChatModel.generate`."""
        sent: list[Request] = []
        # the place is taken now: making a request may take a question to the model of its own
        batch: list[Exchange] = []
        self._batches.append(batch)

        def passing() -> Iterator[Request]:
            for request in requests:
                sent.append(request)
                yield request

        completions = self._model.generate(passing(), on_done)
        pairs = zip(sent, completions, strict=True)
        batch += [Exchange(request, done) for request, done in pairs]
        return completions

    def take(self, n_asked: int) -> Taken:
        """Exchanges since the last call, those of each of ``n_asked`` users together.

        The first batch holds one request a user. What comes later continues a chat of the first
        and is told apart by it; a chat that is continued by nobody's rule stays with its user, so
        that it shows, and what continues none is among the others.
        """
        batches, self._batches = self._batches, []
        first, later = (batches[0], batches[1:]) if batches else ([], [])
        if len(first) != n_asked:
            raise AssertionError(f"{len(first)} requests for {n_asked} users")
        found = [[exchange] for exchange in first]
        others: list[Exchange] = []
        users: dict[tuple[object, ...], list[int]] = {}
        for at, exchange in enumerate(first):
            users.setdefault(exchange.request.messages, []).append(at)
        for exchange in (exchange for batch in later for exchange in batch):
            messages = exchange.request.messages
            starts = (messages[:n] for n in range(len(messages), 0, -1))
            owners = next((users[start] for start in starts if start in users), [])
            if owners:
                fewest = min(owners, key=lambda at: len(found[at]))
                found[fewest].append(exchange)
            else:
                others.append(exchange)
        return Taken(found, others)
