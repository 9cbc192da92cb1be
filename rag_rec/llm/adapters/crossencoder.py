"""A cross-encoder inside this process: it reads a query with each document and scores the pair."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from rag_rec.core import ConfigError, OnDone, TransportError, Usage, one_line
from rag_rec.llm.adapters.rerank import only_ranks
from rag_rec.llm.base import Answer, Completion, Ranking, Request, encodable, scores_text
from rag_rec.llm.registry import Backend, ModelOptions, register_backend
from rag_rec.llm.special_tokens import mark_breaker

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

Pair = tuple[str, str]

_AT_ONCE = 64  # requests between two signs of progress
_BATCH = 32  # pairs a forward pass; those of like length go together
_RANKERS = ("ForSequenceClassification", "ForCausalLM")
_LONGEST = 1 << 20  # what tokenizers without a bound of their own exceed


class PairTokens:
    """Token counts of a cross-encoder's tokenizer.

    Args:
        tokenizer: The tokenizer, Hugging Face style.
        exact: The model reads a pair and nothing else, so the counts are exact.
    """

    def __init__(self, tokenizer: Any, *, exact: bool) -> None:
        self._tokenizer, self.exact = tokenizer, exact
        self.per_message = int(tokenizer.num_special_tokens_to_add(pair=True))

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        if not texts:
            return []
        encoded = self._tokenizer(
            [encodable(text) for text in texts], add_special_tokens=False, verbose=False
        )
        return [len(ids) for ids in encoded["input_ids"]]


class CrossEncoderModel:
    """A sentence-transformers cross-encoder; its scores are the model's own, without a squeeze.

    Pairs that are too long are cut. Weights are read as safetensors, and no code of
    the model's is run.

    Args:
        name: A folder or a hub name.
        context_tokens: Tokens of a pair at most; 0 for the model's own.

    Raises:
        ConfigError: If it cannot be loaded, or does not give one score a pair.
    """

    answers: frozenset[Answer] = frozenset({"scores"})

    def __init__(self, name: str, *, context_tokens: int = 0) -> None:
        self.name = f"crossencoder:{name}"
        self._model = _load(name, context_tokens)
        tokenizer: Any = self._model.tokenizer
        prompted = bool(self._model.default_prompt_name or tokenizer.chat_template)
        self.tokens = PairTokens(tokenizer, exact=not prompted)
        self.context_tokens = _length(self._model, context_tokens)
        self._break = mark_breaker(tokenizer.all_special_tokens)
        self._lock = threading.Lock()

    def generate(
        self, requests: Iterable[Request], on_done: OnDone | None = None
    ) -> list[Completion]:
        """See `ChatModel.generate`; the pairs of many requests are one batch."""
        waiting = iter(requests)
        completions: list[Completion] = []
        while part := list(islice(waiting, _AT_ONCE)):
            with self._lock:
                completions += self._score(part)
            if on_done:
                on_done(len(part))
        return completions

    def close(self) -> None:
        """Free nothing; the memory is the object's."""

    def _score(self, requests: Sequence[Request]) -> list[Completion]:
        started = time.perf_counter()
        pairs = [list(self._pairs(it.ranking)) if it.ranking else [] for it in requests]
        flat = [pair for its in pairs for pair in its]
        try:
            scores = iter(self._predict(flat))
        except (RuntimeError, ValueError) as failure:  # such as memory that does not suffice
            error = TransportError(one_line(str(failure))[:200], provider=self.name)
            return [Completion(error=error) for _ in requests]
        n_tokens = iter(self._lengths(flat))
        per_pair_s = (time.perf_counter() - started) / max(1, len(flat))
        return [
            self._completion(
                request, [*islice(scores, len(its))], sum(islice(n_tokens, len(its))), per_pair_s
            )
            for request, its in zip(requests, pairs, strict=True)
        ]

    def _pairs(self, ranking: Ranking) -> Iterator[Pair]:
        query = self._break(encodable(ranking.query))
        return ((query, self._break(encodable(text))) for text in ranking.documents)

    def _predict(self, pairs: Sequence[Pair]) -> list[float]:
        if not pairs:
            return []
        found: Any = self._model.predict(list(pairs), batch_size=_BATCH, show_progress_bar=False)
        return found.tolist()

    def _lengths(self, pairs: Sequence[Pair]) -> list[int]:
        """Return the number of tokens that were read of each pair."""
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        counts = dict(zip(texts, self.tokens.count(texts), strict=True))
        whole = (counts[one] + counts[other] + self.tokens.per_message for one, other in pairs)
        return [min(n, self.context_tokens) for n in whole]

    def _completion(
        self, request: Request, scores: list[float], n_tokens: int, per_pair_s: float
    ) -> Completion:
        if request.ranking is None:
            return Completion(error=only_ranks(self.name))
        usage = Usage(calls=1, prompt_tokens=n_tokens, wall_s=per_pair_s * len(scores))
        try:
            return Completion(scores_text(scores), usage)
        except ValueError as failure:  # a number that is not finite
            return Completion("", usage, TransportError(str(failure), provider=self.name))


def _load(name: str, context_tokens: int) -> CrossEncoder:
    from sentence_transformers import CrossEncoder  # takes seconds
    from torch.nn import Identity
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    try:
        model = CrossEncoder(
            name,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
            max_length=context_tokens or None,
            activation_fn=Identity(),
        )
    except (OSError, ValueError, RuntimeError, ImportError, KeyError) as error:
        why = one_line(str(error))[:160]
        raise ConfigError(
            f"the cross-encoder '{name}' cannot be loaded ({why}); give a folder with "
            "safetensors, or a name on the Hugging Face hub"
        ) from error
    kinds: list[str] = getattr(model.config, "architectures", None) or []
    if not any(kind.endswith(_RANKERS) for kind in kinds) or model.num_labels != 1:
        raise ConfigError(
            f"'{name}' is no cross-encoder that gives one score a pair "
            f"({', '.join(kinds) or 'no architecture'} with {model.num_labels} labels)"
        )
    return model


def _length(model: CrossEncoder, asked: int) -> int:
    """Return the number of tokens of a pair at most."""
    bounds = [asked, model.max_seq_length, getattr(model.config, "max_position_embeddings", 0)]
    known = [bound for bound in bounds if isinstance(bound, int) and 0 < bound < _LONGEST]
    return min(known, default=512)


def _open(rest: str, options: ModelOptions) -> CrossEncoderModel:
    return CrossEncoderModel(rest, context_tokens=options.context_tokens)


register_backend(
    Backend(
        prefix="crossencoder",
        forms={"crossencoder:NAME": "a cross-encoder on this machine; a folder or a hub name"},
        opener=_open,
    )
)
