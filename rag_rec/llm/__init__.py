"""Language models: one protocol, four backends, one string to choose between them."""

from rag_rec.llm.base import (
    ByteEstimate,
    ChatModel,
    Completion,
    Message,
    OnDone,
    Request,
    TokenCounter,
)
from rag_rec.llm.cache import CachedModel, ReplyCache
from rag_rec.llm.open import SPECS, open_model
from rag_rec.llm.openai import OpenAIChatModel, OpenAIOptions
from rag_rec.llm.retry import RetryPolicy

__all__ = [
    "SPECS",
    "ByteEstimate",
    "CachedModel",
    "ChatModel",
    "Completion",
    "Message",
    "OnDone",
    "OpenAIChatModel",
    "OpenAIOptions",
    "ReplyCache",
    "Request",
    "RetryPolicy",
    "TokenCounter",
    "open_model",
]
