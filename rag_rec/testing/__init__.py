"""For tests, ours and yours: fakes, a loopback chat server, contract suites."""

from rag_rec.testing.batch_api import BatchApiServer
from rag_rec.testing.contracts import (
    check_chat_model,
    check_embedder,
    check_list,
    check_retriever,
    eligible_items,
)
from rag_rec.testing.fakes import HashEmbedder, ScriptedModel
from rag_rec.testing.faulty import FAULTS, FaultyServer, at_random, by_content, by_number
from rag_rec.testing.server import Answer, ChatServer, completion, first_labels

__all__ = [
    "FAULTS",
    "Answer",
    "BatchApiServer",
    "ChatServer",
    "FaultyServer",
    "HashEmbedder",
    "ScriptedModel",
    "at_random",
    "by_content",
    "by_number",
    "check_chat_model",
    "check_embedder",
    "check_list",
    "check_retriever",
    "completion",
    "eligible_items",
    "first_labels",
]
