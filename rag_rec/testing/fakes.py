"""Deterministic stand-ins that are shipped, so that users can test what they build on this."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from rag_rec.core import Usage
from rag_rec.index import Vectors
from rag_rec.llm import Answer, ByteEstimate, Completion, OnDone, Request, TokenCounter

Reply = str | Callable[[Request], str]


class HashEmbedder:
    """Feature hashing of words: equal words give near vectors; no model, no download.

    Args:
        dimension: Length of a vector.

    Attributes:
        n_embedded: Number of texts embedded so far.
    """

    def __init__(self, dimension: int = 64) -> None:
        self.dimension = dimension
        self.name = f"hash-{dimension}"
        self.digest = hashlib.sha256(self.name.encode()).hexdigest()
        self.n_embedded = 0

    def embed(self, texts: Sequence[str], on_done: Callable[[int], None] | None = None) -> Vectors:
        """Return unit rows, float32 ``[len(texts), dimension]``."""
        vectors = np.zeros((len(texts), self.dimension), np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split() or [""]:
                digest = hashlib.blake2b(word.encode("utf-8", "replace"), digest_size=8).digest()
                value = int.from_bytes(digest, "little")
                vectors[row, value % self.dimension] += 1 if value >> 63 else -1
            if not vectors[row].any():
                vectors[row, 0] = 1
        self.n_embedded += len(texts)
        if on_done:
            on_done(len(texts))
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class ScriptedModel:
    """A chat model that answers from a script, and keeps the requests it got.

    Args:
        replies: Used in turn, from the start again at the end; a callable gets the request.
        context_tokens: Context length.
    """

    name = "scripted"
    answers = frozenset[Answer]({"text", "scores"})

    def __init__(self, *replies: Reply, context_tokens: int = 8_192) -> None:
        self._replies = replies
        self.context_tokens = context_tokens
        self.tokens: TokenCounter = ByteEstimate()
        self.requests: list[Request] = []

    def generate(
        self, requests: Iterable[Request], on_done: OnDone | None = None
    ) -> list[Completion]:
        """See `rag_rec.llm.ChatModel.generate`."""
        completions: list[Completion] = []
        for request in requests:
            reply = self._replies[len(self.requests) % len(self._replies)]
            self.requests.append(request)
            text = reply if isinstance(reply, str) else reply(request)
            completions.append(Completion(text, Usage(calls=1)))
            if on_done:
                on_done(1)
        return completions

    def close(self) -> None:
        """Free nothing."""
