"""Read the body of a reranker's reply, in the two forms that servers give it.

Jina, Cohere, vLLM and LiteLLM answer with an object of ``results``, each with the ``index`` of a
document and its ``relevance_score``; Text Embeddings Inference with a list of ``index`` and
``score``. Both are sorted by score, so an index that is wrong would give an item another's score.
"""

from __future__ import annotations

import math
from typing import Any, cast

from rag_rec.core import ModelError, TransportError, Usage
from rag_rec.llm.base import Completion, scores_text
from rag_rec.llm.chat_api.reply_body import failed, no_answer, parse_reply, read_usage

_SCORES = ("relevance_score", "score")
_COUNTS = ("prompt_tokens", "input_tokens", "total_tokens")


def read_ranks_body(body: bytes, provider: str, n_documents: int, *, n_read: int) -> Completion:
    """Return a response body with status 200 as the scores of documents.

    Args:
        body: The body.
        provider: The model's spec, for errors.
        n_documents: Number of documents that were sent.
        n_read: Bytes that the model read; a count of tokens must be in proportion.

    Returns:
        The completion, without wall time; its text is that of `scores_text`.
    """
    try:
        reply = parse_reply(body, provider)
        results = reply.get("results") if isinstance(reply, dict) else reply
        if not isinstance(results, list):
            return failed(no_answer(reply, provider, "a ranking"))
    except ModelError as error:
        return failed(error)
    usage = _usage(reply, n_read) if isinstance(reply, dict) else None
    try:
        scores = _scores(cast("list[Any]", results), n_documents)
    except ValueError as error:
        problem = f"a ranking that cannot be used: {error}"
        return Completion("", usage, TransportError(problem, provider=provider, retryable=True))
    return Completion(scores_text(scores), usage)


def _scores(results: list[Any], n_documents: int) -> list[float]:
    """Return one score a document, in the order they were sent.

    Raises:
        ValueError: If a document has none, or two, or a score is not a finite number.
    """
    scores: dict[int, float] = {}
    for result in results:
        if not isinstance(result, dict):
            raise ValueError("a result without an index")  # noqa: TRY004 - of a reply
        found = cast("dict[str, Any]", result)
        index = found.get("index")
        if type(index) is not int:
            raise ValueError("an index that is no whole number")
        if not 0 <= index < n_documents:
            raise ValueError(f"an index of {str(index)[:20]} for {n_documents} documents")
        if index in scores:
            raise ValueError(f"document {index} is scored twice")
        scores[index] = _number(next((found[name] for name in _SCORES if name in found), None))
    if len(scores) < n_documents:
        raise ValueError(f"{n_documents - len(scores)} of {n_documents} documents have no score")
    return [scores[index] for index in range(n_documents)]


def _number(score: Any) -> float:
    """Return a score as a finite number.

    Raises:
        ValueError: If it is none.
    """
    try:
        if (isinstance(score, float) or type(score) is int) and math.isfinite(score):
            return float(score)
    except OverflowError:  # a whole number beyond floats
        pass
    raise ValueError("a score that is no finite number")


def _usage(reply: dict[str, Any], n_read: int) -> Usage | None:
    """Return the tokens that a reply counts, if they are plausible; search units are none."""
    meta = reply.get("meta")
    places: list[Any] = [reply.get("usage")]
    if isinstance(meta, dict):
        places += [meta.get("tokens"), meta.get("billed_units")]
    for counts in places:
        if isinstance(counts, dict) and (named := [n for n in _COUNTS if n in counts]):
            read = {"prompt_tokens": counts[named[0]], "completion_tokens": 0}
            return read_usage(read, n_read)
    return None
