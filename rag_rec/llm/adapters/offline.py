"""Models that are not called in this process: they name a run, or write requests to files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rag_rec.core import ConfigError, OnDone, Settings, TokenCounter
from rag_rec.llm.adapters.openai import HOSTED_CONTEXT, SERVER_CONTEXT
from rag_rec.llm.base import Answer, Completion, Request
from rag_rec.llm.chat_api.endpoint import Endpoint, split_spec
from rag_rec.llm.chat_api.request_form import RequestForm
from rag_rec.llm.tokens import ByteEstimate, token_counter


class NamedModel:
    """A model that is called elsewhere and only gives its name to a run here.

    Args:
        name: Its spec.
    """

    context_tokens = HOSTED_CONTEXT

    def __init__(self, name: str) -> None:
        self.name = name
        self.tokens: TokenCounter = ByteEstimate()

    def generate(
        self, requests: Iterable[Request], on_done: OnDone | None = None
    ) -> list[Completion]:
        """Refuse to answer.

        Raises:
            ConfigError: If there is any request.
        """
        del on_done
        if list(requests):
            raise ConfigError(f"{self.name} is not called here; use `batch run` to call it")
        return []

    def close(self) -> None:
        """Free nothing."""


class OfflineModel(NamedModel):
    """Name, context and tokens of ``openai:MODEL[@URL]``, without a key or a connection.

    Args:
        settings: Name the model, and may state its context and tokenizer.

    Raises:
        ConfigError: If they name another kind of model.
    """

    def __init__(self, settings: Settings) -> None:
        kind, _, rest = settings.llm.partition(":")
        if kind != "openai" or not rest:
            raise ConfigError(
                f"requests can be exported for openai:MODEL or openai:MODEL@URL, "
                f"not for '{settings.llm}'"
            )
        super().__init__(settings.llm)
        model, self.base_url = split_spec(rest)
        self.tokens = token_counter(settings.tokenizer)
        default = SERVER_CONTEXT if self.base_url else HOSTED_CONTEXT
        self._size = settings.context_tokens or default
        self._form = RequestForm(
            self.name,
            model,
            Endpoint.of(self.base_url),
            parameters=settings.parameters,
            reasoning_tokens=settings.request.reasoning_tokens,
        )
        self.context_tokens = self._form.prompt_room(self._size)

    @property
    def answers(self) -> frozenset[Answer]:
        """Words, and scores of labels unless the model's family reasons first."""
        return self._form.answers

    def as_sent(self, request: Request) -> Request:
        """Return a request with room for reasoning, where the model's family reasons."""
        return self._form.with_room(request, self._size)

    def body(self, request: Request) -> dict[str, Any]:
        """Return the body that a request has at the API, as a run of the same model sends it.

        Raises:
            ConfigError: If the model cannot answer it, as a run would say of each request.
        """
        if (refused := self._form.refusal(request)) is not None:
            raise ConfigError(str(refused))
        return self._form.body(self.as_sent(request))
