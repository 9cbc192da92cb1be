"""Token counters of models whose own tokenizer is not at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rag_rec.core import ConfigError, TokenCounter, Usage
from rag_rec.llm.base import Completion, Request

_PER_MESSAGE = 12


class ByteEstimate:
    """Token estimate from the text's length.

    One token per three ASCII characters and per byte of any other: English and JSON run at four
    and more characters a token in current vocabularies, and no byte-level vocabulary needs more
    than one token a byte.
    """

    exact = False
    per_message = _PER_MESSAGE

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text, rounded up.

        >>> ByteEstimate().count(["", "abc", "abcd", "茶"])
        [0, 1, 2, 3]
        """
        counts: list[int] = []
        for text in texts:
            n_ascii = len(text) if text.isascii() else len(text.encode("ascii", "ignore"))
            n_bytes = n_ascii if text.isascii() else len(text.encode("utf-8", "replace"))
            counts.append((n_ascii + 2) // 3 + n_bytes - n_ascii)
        return counts


class FileTokens:
    """Exact token counts from a ``tokenizer.json``.

    Raises:
        ConfigError: If there is no such file.
    """

    exact = True
    per_message = _PER_MESSAGE

    def __init__(self, path: str | Path) -> None:
        from tokenizers import Tokenizer  # slow to import

        if not Path(path).is_file():
            raise ConfigError(f"there is no tokenizer file {path}")
        self._tokenizer = Tokenizer.from_file(str(path))

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(encoding.ids) for encoding in encoded]


def token_counter(tokenizer: str | Path) -> TokenCounter:
    """Return exact counts by a ``tokenizer.json``, or an estimate for an empty path."""
    return FileTokens(tokenizer) if tokenizer else ByteEstimate()


def prompt_tokens(counter: TokenCounter, request: Request) -> int:
    """Return the number of tokens of a request's messages, the marks of the chat included."""
    texts = [message.content for message in request.messages]
    return sum(counter.count(texts)) + counter.per_message * len(texts)


def estimated_usage(request: Request, completion: Completion) -> Usage:
    """Return an estimate, on the high side, of the usage of a call whose tokens are not known.

    An empty reply is taken to be as long as it could be: thoughts are paid for and not shown.
    """
    counter = ByteEstimate()
    written = sum(counter.count([completion.text])) or request.max_tokens
    return Usage(
        calls=1,
        prompt_tokens=prompt_tokens(counter, request),
        completion_tokens=written,
        estimated=1,
    )
