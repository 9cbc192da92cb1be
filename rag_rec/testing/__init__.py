"""For tests, ours and yours: fakes, a loopback chat server, contract suites."""

from rag_rec.testing.batch_api import BatchApiServer
from rag_rec.testing.contracts import (
    check_chat_model,
    check_embedder,
    check_list,
    check_retriever,
    check_scores,
    check_source,
    eligible_items,
    ranking_request,
)
from rag_rec.testing.fakes import HashEmbedder, ScriptedModel
from rag_rec.testing.faulty import (
    FAULTS,
    RANK_FAULTS,
    SCORE_FAULTS,
    FaultyServer,
    at_random,
    by_content,
    by_number,
)
from rag_rec.testing.model_servers import MODEL_SERVERS, ModelServer
from rag_rec.testing.rerank import RerankServer, answer_ranking, answer_texts, hashed_score
from rag_rec.testing.server import (
    ChatServer,
    Response,
    completion,
    first_labels,
    scored_completion,
)

__all__ = [
    "FAULTS",
    "MODEL_SERVERS",
    "RANK_FAULTS",
    "SCORE_FAULTS",
    "BatchApiServer",
    "ChatServer",
    "FaultyServer",
    "HashEmbedder",
    "ModelServer",
    "RerankServer",
    "Response",
    "ScriptedModel",
    "answer_ranking",
    "answer_texts",
    "at_random",
    "by_content",
    "by_number",
    "check_chat_model",
    "check_embedder",
    "check_list",
    "check_retriever",
    "check_scores",
    "check_source",
    "completion",
    "eligible_items",
    "first_labels",
    "hashed_score",
    "ranking_request",
    "scored_completion",
]
