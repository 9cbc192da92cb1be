"""Replies held to a JSON schema, token by token, by llguidance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rag_rec.core import ConfigError, one_line
from rag_rec.llm.local.weights import INSTALL

if TYPE_CHECKING:
    from llguidance import LLMatcher

_MOST_KEPT = 64
# white space is a place where a small model can loop until max_tokens
_COMPACT: dict[str, Any] = {
    "whitespace_flexible": False,
    "item_separator": ",",
    "key_separator": ":",
}


class Held:
    """The state of one reply that is held to a schema.

    Args:
        matcher: A matcher at its beginning, for this reply alone.
    """

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    @property
    def is_done(self) -> bool:
        """True if nothing can follow."""
        return self._matcher.is_stopped()

    def forced(self) -> list[int]:
        """Return the tokens that must come next, and take them."""
        tokens = self._matcher.compute_ff_tokens()
        if tokens:
            self._matcher.consume_tokens(tokens)
        return tokens

    def allowed(self) -> NDArray[np.bool_]:
        """Return which tokens may come next."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        return np.unpackbits(bits, bitorder="little").astype(np.bool_)

    def n_valid(self, tokens: list[int]) -> int:
        """Return how many of these tokens could come next, one after the other."""
        return self._matcher.validate_tokens(tokens)

    def take(self, token: int) -> None:
        """Go on by one token of those allowed."""
        self._matcher.consume_token(token)


class Grammars:
    """Makes matchers of JSON schemas for a tokenizer; compiled schemas are kept.

    Args:
        tokenizer: A fast Hugging Face tokenizer.
        n_vocab: Width of the model's logits.
        stops: Tokens that end a reply.

    Raises:
        ConfigError: If llguidance is missing.
    """

    def __init__(self, tokenizer: Any, n_vocab: int, stops: list[int]) -> None:
        try:
            import llguidance  # optional
            from llguidance import hf
        except ImportError as error:
            raise ConfigError(f"llm 'local' needs llguidance; {INSTALL}") from error
        self._new = llguidance.LLMatcher
        self._tokenizer = hf.from_tokenizer(tokenizer, n_vocab=n_vocab, eos_token=stops)
        self._compiled: dict[str, LLMatcher] = {}

    def held(self, schema: dict[str, Any]) -> Held:
        """Return the beginning of a reply that is held to a schema.

        Raises:
            ValueError: If llguidance cannot hold replies to it.
        """
        key = json.dumps(schema)
        if key not in self._compiled:
            source = self._new.grammar_from_json_schema(key, defaults=_COMPACT)  # pyright: ignore[reportArgumentType]
            matcher = self._new(self._tokenizer, source, log_level=0)
            if matcher.is_error():
                raise ValueError(f"no grammar for the schema: {one_line(matcher.get_error())}")
            if len(self._compiled) >= _MOST_KEPT:
                self._compiled.clear()
            self._compiled[key] = matcher
        return Held(self._compiled[key].deep_copy())
