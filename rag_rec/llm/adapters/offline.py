"""Models that are not asked in this process: named for a run, or written to files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rag_rec.core import ConfigError, Settings, TokenCounter
from rag_rec.llm.adapters.openai import HOSTED_CONTEXT, SERVER_CONTEXT, request_body
from rag_rec.llm.base import ByteEstimate, Completion, OnDone, Request
from rag_rec.llm.registry import token_counter


class NamedModel:
    """A model that is asked elsewhere; here it only gives its name to a run.

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
        """Nothing is ever asked of it.

        Raises:
            ConfigError: Always, but for no requests.
        """
        del on_done
        if list(requests):
            raise ConfigError(f"{self.name} is not asked here; use batch run to ask it")
        return []

    def close(self) -> None:
        """Nothing is open."""


class OfflineModel(NamedModel):
    """Name, context and tokens of ``openai:MODEL[@URL]``, without a key or a connection.

    Args:
        settings: Name the model, and may say its context and tokenizer.

    Raises:
        ConfigError: If they name another kind of model.
    """

    def __init__(self, settings: Settings) -> None:
        kind, _, rest = settings.llm.partition(":")
        model, _, base_url = rest.partition("@")
        if kind != "openai" or not model:
            raise ConfigError(
                f"requests can be exported for openai:MODEL or openai:MODEL@URL, "
                f"not for '{settings.llm}'"
            )
        super().__init__(settings.llm)
        self.tokens = token_counter(settings.tokenizer or None) or ByteEstimate()
        self.base_url = base_url or None
        self.context_tokens = settings.context_tokens or (
            SERVER_CONTEXT if base_url else HOSTED_CONTEXT
        )
        self._model = model
        self._parameters = settings.parameters

    def body(self, request: Request) -> dict[str, Any]:
        """A request as the API takes it."""
        return request_body(self._model, request, self._parameters, hosted=self.base_url is None)
