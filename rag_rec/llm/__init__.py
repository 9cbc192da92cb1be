"""Language models: one protocol, several backends, and a spec to choose between them."""

from rag_rec.core import Message, OnDone, Role, TokenCounter
from rag_rec.llm.adapters.crossencoder import CrossEncoderModel
from rag_rec.llm.adapters.gguf import GgufChatModel
from rag_rec.llm.adapters.langchain import LangChainChatModel
from rag_rec.llm.adapters.offline import NamedModel, OfflineModel
from rag_rec.llm.adapters.openai import OpenAIChatModel
from rag_rec.llm.adapters.openai_batch import BatchApi, BatchState
from rag_rec.llm.adapters.rerank import RerankModel
from rag_rec.llm.adapters.vllm import VllmChatModel
from rag_rec.llm.base import (
    Answer,
    ChatModel,
    Completion,
    Deadline,
    Ranking,
    Request,
    WrappedModel,
    answers_of,
    as_sent,
    scores_schema,
    scores_text,
)
from rag_rec.llm.chat_api.reply_body import read_body, read_usage
from rag_rec.llm.chat_api.reply_scores import read_scores_body
from rag_rec.llm.local.model import LocalChatModel
from rag_rec.llm.middleware.admission import Admission, AdmittedModel, OpenAdmission
from rag_rec.llm.middleware.cache import CachedModel, ReplyCache
from rag_rec.llm.middleware.retry import RetryPolicy
from rag_rec.llm.registry import (
    BACKENDS,
    Backend,
    ModelOptions,
    open_from,
    open_model,
    register_backend,
    spec_help,
)
from rag_rec.llm.tokens import ByteEstimate, estimated_usage, prompt_tokens

__all__ = [
    "BACKENDS",
    "Admission",
    "AdmittedModel",
    "Answer",
    "Backend",
    "BatchApi",
    "BatchState",
    "ByteEstimate",
    "CachedModel",
    "ChatModel",
    "Completion",
    "CrossEncoderModel",
    "Deadline",
    "GgufChatModel",
    "LangChainChatModel",
    "LocalChatModel",
    "Message",
    "ModelOptions",
    "NamedModel",
    "OfflineModel",
    "OnDone",
    "OpenAIChatModel",
    "OpenAdmission",
    "Ranking",
    "ReplyCache",
    "Request",
    "RerankModel",
    "RetryPolicy",
    "Role",
    "TokenCounter",
    "VllmChatModel",
    "WrappedModel",
    "answers_of",
    "as_sent",
    "estimated_usage",
    "open_from",
    "open_model",
    "prompt_tokens",
    "read_body",
    "read_scores_body",
    "read_usage",
    "register_backend",
    "scores_schema",
    "scores_text",
    "spec_help",
]
