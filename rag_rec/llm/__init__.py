"""Language models: one protocol, four backends, one string to choose between them."""

from rag_rec.llm.base import (
    ByteEstimate,
    ChatModel,
    Completion,
    Deadline,
    Message,
    OnDone,
    Request,
    TokenCounter,
)
from rag_rec.llm.cache import CachedModel, ReplyCache
from rag_rec.llm.gate import Gate, GatedModel
from rag_rec.llm.open import SPECS, open_from, open_model
from rag_rec.llm.openai import OpenAIChatModel, OpenAIOptions
from rag_rec.llm.retry import RetryPolicy
from rag_rec.llm.wrapper import WrappedModel

__all__ = [
    "SPECS",
    "ByteEstimate",
    "CachedModel",
    "ChatModel",
    "Completion",
    "Deadline",
    "Gate",
    "GatedModel",
    "Message",
    "OnDone",
    "OpenAIChatModel",
    "OpenAIOptions",
    "ReplyCache",
    "Request",
    "RetryPolicy",
    "TokenCounter",
    "WrappedModel",
    "open_from",
    "open_model",
]
