"""Hosted OpenAI models and every server that speaks the same API.

A request is sent in the form that its model takes (`RequestForm`), and replies are read in all the
forms that servers give them (`read_body`); scores of labels are read from the log-probabilities of
the first token (`read_scores_body`). See docs/models.md for the families that are known.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from rag_rec.core import ModelError, Truncated, read_json
from rag_rec.llm.base import Answer, Completion, Request
from rag_rec.llm.chat_api.endpoint import CHAT, Endpoint, split_spec
from rag_rec.llm.chat_api.failures import message_of
from rag_rec.llm.chat_api.http import Reply
from rag_rec.llm.chat_api.refusals import Refusal
from rag_rec.llm.chat_api.reply_body import read_body
from rag_rec.llm.chat_api.reply_scores import no_scores, read_scores_body
from rag_rec.llm.chat_api.request_form import LOGPROBS, RequestForm
from rag_rec.llm.chat_api.served import UNREACHED, ServedModel, parsed
from rag_rec.llm.middleware.retry import Adapted
from rag_rec.llm.registry import Backend, ModelOptions, register_backend

_log = logging.getLogger(__name__)

HOSTED_CONTEXT = 128_000
SERVER_CONTEXT = 8_192
_MOST_CONTEXT = 1 << 30


class OpenAIChatModel(ServedModel):
    """A chat model behind the OpenAI API.

    Args:
        model: The model's name at the endpoint.
        base_url: The endpoint; the hosted API when None.
        options: Concurrency, timeout, retries, context length, parameters, tokenizer, admission.

    Raises:
        ConfigError: If the address, the key, a proxy or certificates cannot be used, or the
            tokenizer file is missing.
    """

    def __init__(
        self, model: str, base_url: str | None = None, *, options: ModelOptions | None = None
    ) -> None:
        options, endpoint = options or ModelOptions(), Endpoint.of(base_url)
        name = f"openai:{model}" + (f"@{base_url}" if base_url else "")
        super().__init__(name, endpoint, CHAT, options=options)
        self._model = model
        self._form = RequestForm(
            name,
            model,
            endpoint,
            parameters=options.parameters,
            reasoning_tokens=options.reasoning_tokens,
        )

    @property
    def answers(self) -> frozenset[Answer]:
        """Words, and scores of labels unless the model's family reasons first."""
        return self._form.answers

    @property
    def context_tokens(self) -> int:
        """Context length, without the room that reasoning needs.

        It is as configured, as the server reports it, or a cautious default.
        """
        return self._form.prompt_room(self._size)

    @cached_property
    def _size(self) -> int:
        if self._options.context_tokens:
            return self._options.context_tokens
        if self._endpoint.hosted:
            return HOSTED_CONTEXT
        try:
            reply = self._connections.fetch(
                self._endpoint.below("/models"), self._headers, timeout_s=self._options.timeout_s
            )
            models = read_json(reply.body)["data"]
            sizes = [m.get("max_model_len") for m in models if m.get("id") == self._model]
            if sizes and type(sizes[0]) is int and 0 < sizes[0] <= _MOST_CONTEXT:
                return sizes[0]
            why = "the server does not say"
        except (*UNREACHED, ValueError, KeyError, TypeError, AttributeError) as error:
            why = f"the server could not be asked ({type(error).__name__})"
        _log.warning(
            "%s: context length taken as %d tokens, because %s; set context_tokens",
            self.name,
            SERVER_CONTEXT,
            why,
        )
        return SERVER_CONTEXT

    def as_sent(self, request: Request) -> Request:
        """Return a request with room for reasoning, if the model is known to reason."""
        return self._form.with_room(request, self._size if self._form.reasons else 0)

    @property
    def _changes(self) -> tuple[str, ...]:
        return self._form.changes

    def _refusal(self, request: Request) -> ModelError | None:
        return self._form.refusal(request)

    def _body(self, request: Request) -> dict[str, Any]:
        return self._form.body(request)

    def _read(self, body: bytes, request: Request, n_sent: int) -> Completion:
        if request.ranking is not None:
            return read_scores_body(body, self.name, request.ranking.labels, n_sent=n_sent)
        completion = read_body(body, self.name, n_sent=n_sent)
        if isinstance(completion.error, Truncated) and completion.error.hint:
            self._form.learn_reasoning()
        return completion

    def _learn(self, request: Request, sent: Mapping[str, Any], reply: Reply) -> ModelError | None:
        detail = parsed(reply)
        refusal = Refusal(detail)
        if self._form.learn(sent, refusal):
            return Adapted("sent in another form", provider=self.name)
        if request.ranking is not None and refusal.parameter(sent) in LOGPROBS:
            return no_scores(f"status {reply.status}: {message_of(detail)}", self.name)
        return None


def _open(rest: str, options: ModelOptions) -> OpenAIChatModel:
    return OpenAIChatModel(*split_spec(rest), options=options)


register_backend(
    Backend(
        prefix="openai",
        forms={
            "openai:MODEL": "the hosted API; the key comes from OPENAI_API_KEY",
            "openai:MODEL@BASE_URL": "any OpenAI-compatible server: vLLM, Ollama, llama.cpp; a key "
            "comes from RAG_REC_KEY_ and its host, such as RAG_REC_KEY_API_DEEPSEEK_COM",
        },
        opener=_open,
        admits=True,
    )
)
