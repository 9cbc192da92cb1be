"""Language models: one protocol, four backends, one string to choose between them."""

from rag_rec.core import Message, Role, TokenCounter
from rag_rec.llm.adapters.offline import NamedModel, OfflineModel
from rag_rec.llm.adapters.openai import OpenAIChatModel, OpenAIOptions, read_body
from rag_rec.llm.adapters.openai_batch import BatchApi, BatchState
from rag_rec.llm.base import (
    ByteEstimate,
    ChatModel,
    Completion,
    Deadline,
    OnDone,
    Request,
)
from rag_rec.llm.middleware.admission import Gate, GatedModel
from rag_rec.llm.middleware.cache import CachedModel, ReplyCache
from rag_rec.llm.middleware.retry import RetryPolicy
from rag_rec.llm.middleware.wrapper import WrappedModel
from rag_rec.llm.registry import SPECS, open_from, open_model

__all__ = [
    "SPECS",
    "BatchApi",
    "BatchState",
    "ByteEstimate",
    "CachedModel",
    "ChatModel",
    "Completion",
    "Deadline",
    "Gate",
    "GatedModel",
    "Message",
    "NamedModel",
    "OfflineModel",
    "OnDone",
    "OpenAIChatModel",
    "OpenAIOptions",
    "ReplyCache",
    "Request",
    "RetryPolicy",
    "Role",
    "TokenCounter",
    "WrappedModel",
    "open_from",
    "open_model",
    "read_body",
]
