"""For tests, ours and yours: fakes, a loopback chat server, contract suites."""

from rag_rec.testing.contracts import (
    check_chat_model,
    check_embedder,
    check_list,
    check_retriever,
    eligible_items,
)
from rag_rec.testing.fakes import HashEmbedder, ScriptedModel
from rag_rec.testing.server import Answer, ChatServer, completion, first_labels

__all__ = [
    "Answer",
    "ChatServer",
    "HashEmbedder",
    "ScriptedModel",
    "check_chat_model",
    "check_embedder",
    "check_list",
    "check_retriever",
    "completion",
    "eligible_items",
    "first_labels",
]
