"""Any LangChain chat model, through ``init_chat_model``."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rag_rec.core import (
    ConfigError,
    OnDone,
    Refused,
    TokenCounter,
    Truncated,
    Usage,
    one_line,
    redacted,
    without_thoughts,
)
from rag_rec.llm.base import Completion, Request, encodable, portable_schema, timed
from rag_rec.llm.chat_api.endpoint import Endpoint
from rag_rec.llm.chat_api.failures import model_error
from rag_rec.llm.chat_api.families import families_of
from rag_rec.llm.chat_api.keys import api_key
from rag_rec.llm.chat_api.reply_body import MORE_ROOM, THOUGHT_ALL, read_usage
from rag_rec.llm.chat_api.request_form import OMIT
from rag_rec.llm.middleware.retry import Sender
from rag_rec.llm.registry import Backend, ModelOptions, register_backend
from rag_rec.llm.tokens import ByteEstimate

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage

_log = logging.getLogger(__name__)

_CONTEXT = 8_192
_ADDRESSES = ("base_url", "openai_api_base")


class LangChainChatModel:
    """A LangChain chat model as a `ChatModel`.

    The provider is held to the schema through ``with_structured_output`` where it can be; its raw
    message is read, so a mismatch is data and not an exception.

    Args:
        model: ``PROVIDER:MODEL`` for ``init_chat_model``, or a chat model object.
        options: Concurrency, timeout, retries, context length, parameters, admission.

    Raises:
        ConfigError: If LangChain or the provider's package is missing, or an address or a key
            cannot be used.
    """

    def __init__(self, model: str | BaseChatModel, *, options: ModelOptions | None = None) -> None:
        options = options or ModelOptions()
        self.context_tokens = options.context_tokens or _CONTEXT
        self.tokens: TokenCounter = ByteEstimate()
        self._announced = False
        self._parameters, self._room = options.parameters, 0
        if isinstance(model, str):
            self.name = f"langchain:{model}"
            families = families_of(model, "")
            self._room = options.reasoning_tokens if any(f.reasons for f in families) else 0
            self._model = _init(model, options, [n for f in families for n in f.names])
        else:
            self.name = f"langchain:{type(model).__name__}"
            self._model = model
        self._sender = Sender(
            self._once,
            options.retry,
            admission=options.admission,
            concurrency=options.concurrency,
        )

    def generate(
        self, requests: Iterable[Request], on_done: OnDone | None = None
    ) -> list[Completion]:
        """See `ChatModel.generate`."""
        return self._sender.send(requests, on_done)

    def close(self) -> None:
        """Free nothing."""

    def _once(self, request: Request) -> Completion:
        started = time.perf_counter()
        try:
            message = self._invoke(request)
        except Exception as failure:  # noqa: BLE001 - every provider raises kinds of its own
            error = model_error(failure, self.name)
            return Completion("", timed(Usage(calls=1), started), error)
        usage, text = timed(read_usage(message.usage_metadata), started), _text(message)
        finish = message.response_metadata.get("finish_reason")
        error = None
        if finish == "length" and not text:
            error = Truncated(THOUGHT_ALL, provider=self.name, hint=MORE_ROOM)
        elif finish == "length":
            error = Truncated("stopped at max_tokens", provider=self.name)
        elif finish == "content_filter" or message.additional_kwargs.get("refusal"):
            error = Refused("refused", provider=self.name)
        return Completion(text, usage, error)

    def _invoke(self, request: Request) -> AIMessage:
        messages = [(m.role, encodable(m.content)) for m in request.messages]
        bound: Any = self._bounded(request.max_tokens)
        if request.schema is not None:
            names = {"title": "answer", "description": "The answer."}
            schema = names | portable_schema(request.schema)
            try:
                bound = bound.with_structured_output(schema, include_raw=True)
            except NotImplementedError:
                self._announce_unconstrained()
                return bound.invoke(messages)
            return bound.invoke(messages)["raw"]
        return bound.invoke(messages)

    def _announce_unconstrained(self) -> None:
        if not self._announced:
            self._announced = True
            _log.warning("%s cannot be held to a schema; its replies may need repair", self.name)

    def _bounded(self, max_tokens: int) -> BaseChatModel:
        """Return the model with a bound on its reply, where it has such a field."""
        if "max_tokens" in self._parameters or "max_tokens" not in type(self._model).model_fields:
            return self._model
        return self._model.model_copy(update={"max_tokens": max_tokens + self._room})


def _init(model: str, options: ModelOptions, refused: Sequence[str]) -> BaseChatModel:
    standard: dict[str, Any] = {} if "temperature" in refused else {"temperature": 0.0}
    given = {n: v for n, v in {**standard, **options.parameters}.items() if v not in (None, OMIT)}
    server = next((given[name] for name in _ADDRESSES if name in given), None)
    if server and model.startswith("openai:"):  # or OPENAI_API_KEY would go to any server
        given["api_key"] = api_key(Endpoint.of(server))
    try:
        from langchain.chat_models import init_chat_model  # optional

        return init_chat_model(
            model,
            max_retries=0,
            timeout=options.timeout_s,
            **given,
        )
    except ImportError as error:
        raise ConfigError(
            f"llm 'langchain:{model}' needs a package ({error}); "
            "install rag-rec[langchain] and the provider's own"
        ) from error
    except ValueError as error:
        why = redacted(one_line(str(error)))[:160]
        raise ConfigError(f"llm 'langchain:{model}': {why}") from error


def _text(message: AIMessage) -> str:
    """Return the reply's text, or the arguments of its tool call where the provider uses one."""
    if message.tool_calls and not message.text:
        return json.dumps(message.tool_calls[0]["args"])
    return without_thoughts(str(message.text))


def _open(rest: str, options: ModelOptions) -> LangChainChatModel:
    if ":" not in rest:
        raise ConfigError(f"unknown model 'langchain:{rest}'; write langchain:PROVIDER:MODEL")
    return LangChainChatModel(rest, options=options)


register_backend(
    Backend(
        "langchain",
        {"langchain:PROVIDER:MODEL": "any chat model of LangChain"},
        opener=_open,
        admits=True,
    )
)
