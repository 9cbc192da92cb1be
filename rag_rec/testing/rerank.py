"""`RerankServer`: a loopback server that ranks documents, as Jina, Cohere, vLLM and TEI do."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable

from rag_rec.testing.server import ChatServer, Json, Response


def hashed_score(query: str, document: str) -> float:
    """Return the score, between 0 and 1, that a document has for a query; it says nothing."""
    digest = hashlib.blake2b(f"{query}\n{document}".encode("utf-8", "replace"), digest_size=4)
    return int.from_bytes(digest.digest(), "little") / 2**32


def ranked(request: Json) -> list[tuple[int, float]]:
    """Return the index and `hashed_score` of each document of a request, best first."""
    documents = request.get("documents") or request.get("texts") or []
    scores = [hashed_score(request["query"], document) for document in documents]
    return sorted(enumerate(scores), key=lambda pair: -pair[1])


def answer_ranking(request: Json) -> Response:
    """Return the ranking of a request, with its usage."""
    results = [{"index": index, "relevance_score": score} for index, score in ranked(request)]
    usage = {"prompt_tokens": 100, "total_tokens": 100}
    body = {"id": "x", "model": "scripted", "results": results, "usage": usage}
    return Response(json.dumps(body).encode())


def answer_texts(request: Json) -> Response:
    """Return the ranking of a request as Text Embeddings Inference does, which takes ``texts``."""
    if "texts" not in request:
        message = "Failed to deserialize the JSON body into the target type: missing field `texts`"
        return Response(f"{message} at line 1 column 90".encode(), 422)
    results = [{"index": index, "score": score} for index, score in ranked(request)]
    return Response(json.dumps(results).encode())


class RerankServer(ChatServer):
    """Ranks documents in a thread of its own; use it as a context manager.

    Args:
        answer: From the parsed request body to the response.
        delay_s: Added to every response.
    """

    call = "/rerank"

    def __init__(
        self, answer: Callable[[Json], Response] = answer_ranking, *, delay_s: float = 0.0
    ) -> None:
        super().__init__(answer, delay_s=delay_s)
