"""Rerankers behind a server: Jina, Cohere, vLLM, LiteLLM, Text Embeddings Inference.

They read a query and documents and give each document a score. They write no words, so they answer
requests with a ranking only.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from rag_rec.core import ConfigError, ModelError, TransportError
from rag_rec.llm.base import Answer, Completion, Ranking, Request, encodable
from rag_rec.llm.chat_api.endpoint import Endpoint, split_spec
from rag_rec.llm.chat_api.http import Reply
from rag_rec.llm.chat_api.refusals import Refusal
from rag_rec.llm.chat_api.reply_ranks import read_ranks_body
from rag_rec.llm.chat_api.request_form import OMIT
from rag_rec.llm.chat_api.served import ServedModel, parsed
from rag_rec.llm.middleware.retry import Adapted
from rag_rec.llm.registry import Backend, ModelOptions, register_backend

_log = logging.getLogger(__name__)

_CALL = "/rerank"
_CONTEXT = 8_192
_TEXTS = "texts"
_OPTIONAL = frozenset({"top_n", "return_documents", "raw_scores", "truncate"})


def only_ranks(provider: str) -> TransportError:
    """Return the error of a request for words to a model that gives scores."""
    hint = 'use a prompt with answer = "scores"'
    return TransportError("it only ranks", provider=provider, hint=hint)


class RerankForm:
    """Writes the bodies of requests to one reranker, and learns from refusals.

    Text Embeddings Inference takes ``texts`` in place of ``documents``, which it says when it is
    asked first. Its scores are asked for as the model gives them, not squeezed between 0 and 1.

    Args:
        name: The model's spec, for warnings.
        model: The model's name at the endpoint.
        parameters: Further parameters; `OMIT` or None leaves a standard one out.

    Attributes:
        changes: What is sent in another form than usual, one line each.
    """

    def __init__(self, name: str, model: str, parameters: Mapping[str, Any]) -> None:
        self._name, self._model = name, model
        self._given = {n: None if v == OMIT else v for n, v in parameters.items()}
        self._takes_texts = False
        self._left_out: set[str] = set()
        self._lock = threading.Lock()
        self.changes: tuple[str, ...] = ()

    def body(self, ranking: Ranking) -> dict[str, Any]:
        """Return a request as the server takes it."""
        query, documents = encodable(ranking.query), [*map(encodable, ranking.documents)]
        body: dict[str, Any] = {
            "model": self._model,
            "query": query,
            "documents": documents,
            "top_n": len(documents),
            "return_documents": False,
        }
        if self._takes_texts:
            body = {"query": query, _TEXTS: documents, "raw_scores": True, "truncate": True}
        body |= self._given
        return {n: v for n, v in body.items() if v is not None and n not in self._left_out}

    def learn(self, sent: Mapping[str, Any], refusal: Refusal) -> bool:
        """Adapt to a refusal; return True if the request should be sent again in the new form."""
        with self._lock:
            if _TEXTS not in sent and refusal.misses(_TEXTS):
                if not self._takes_texts:
                    self._takes_texts = True
                    self._changed("documents are sent as texts, as this server asks")
                return True
            refused = refusal.parameter(sent)
            if refused not in _OPTIONAL or refused in self._given:
                return False
            if refused not in self._left_out:
                self._left_out.add(refused)
                self._changed(f"{refused} is refused and left out")
            return True

    def _changed(self, change: str) -> None:
        _log.warning("%s: %s", self._name, change)
        self.changes = (*self.changes, change)


class RerankModel(ServedModel):
    """A reranker behind a server.

    Args:
        model: The model's name at the endpoint.
        base_url: The endpoint; requests are posted to ``/rerank`` below it.
        options: Concurrency, timeout, retries, context length, parameters, tokenizer, admission.

    Raises:
        ConfigError: If the address, the key, a proxy or certificates cannot be used, or the
            tokenizer file is missing.
    """

    answers: frozenset[Answer] = frozenset({"scores"})

    def __init__(self, model: str, base_url: str, *, options: ModelOptions | None = None) -> None:
        options = options or ModelOptions()
        name = f"rerank:{model}@{base_url}"
        super().__init__(name, Endpoint.of(base_url, _CALL), _CALL, options=options)
        self.context_tokens = options.context_tokens or _CONTEXT
        self._form = RerankForm(name, model, options.parameters)

    @property
    def _changes(self) -> tuple[str, ...]:
        return self._form.changes

    def _refusal(self, request: Request) -> ModelError | None:
        return only_ranks(self.name) if request.ranking is None else None

    def _body(self, request: Request) -> dict[str, Any]:
        return self._form.body(_ranking(request))

    def _read(self, body: bytes, request: Request, n_sent: int) -> Completion:
        ranking = _ranking(request)
        n = len(ranking.documents)
        n_read = n_sent + n * len(encodable(ranking.query).encode())  # once with each document
        return read_ranks_body(body, self.name, n, n_read=n_read)

    def _learn(self, request: Request, sent: Mapping[str, Any], reply: Reply) -> ModelError | None:
        del request
        if self._form.learn(sent, Refusal(parsed(reply))):
            return Adapted("sent in another form", provider=self.name)
        return None


def _ranking(request: Request) -> Ranking:
    if request.ranking is None:
        raise ValueError("a request without a ranking")
    return request.ranking


def _open(rest: str, options: ModelOptions) -> RerankModel:
    model, url = split_spec(rest, "rerank")
    if url is None:
        raise ConfigError(f"llm 'rerank:{model}' names no server; write rerank:MODEL@BASE_URL")
    return RerankModel(model, url, options=options)


register_backend(
    Backend(
        prefix="rerank",
        forms={
            "rerank:MODEL@BASE_URL": "a reranker behind a server: Jina, Cohere, vLLM, TEI; a key "
            "comes as that of openai:MODEL@BASE_URL",
        },
        opener=_open,
        admits=True,
    )
)
