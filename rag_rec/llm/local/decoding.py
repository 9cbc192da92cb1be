"""Replies and scores of several prompts at once.

Where the schema leaves one choice, the tokens are not asked for: those of all rows are read in one
pass. What followed the last two tokens where they stood before is guessed to follow again and read
along: reasons repeat titles. A guess counts as far as the model chooses the same. A row that is
done leaves the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import torch

from rag_rec.llm.local.grammar import Held
from rag_rec.llm.local.network import Passes

PIECE = 256
_LEAST_SHARED = 32
_LEAST_PIECE = 64  # else guesses could fall into two pieces
_GUESSED = 6  # tokens; a pass over so many takes hardly longer than one over one


@dataclass(slots=True)
class OneReply:
    """One reply while it is written.

    Attributes:
        prompt: The tokens before it.
        held: The schema it is held to, or None.
        max_tokens: Most tokens of the reply.
        temperature: 0 for the most likely token.
        seed: Sampling seed.
        written: The tokens of the reply.
        is_cut: It ended at `max_tokens`.
    """

    prompt: list[int]
    held: Held | None
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    written: list[int] = field(default_factory=list[int])
    is_cut: bool = False
    _dice: torch.Generator | None = None

    def begin(self) -> tuple[list[int], bool]:
        """Return the tokens to read first, and if there is nothing to choose after them."""
        done = self._write(self.held.forced() if self.held else [])
        return [*self.prompt, *self.written], done

    def choose(self, logits: torch.Tensor, stops: Sequence[int]) -> tuple[list[int], bool]:
        """Choose the next token; return it with those that it brings, and if the reply is done."""
        if self.held is not None:
            allowed = torch.from_numpy(self.held.allowed()[: len(logits)])
            logits = logits[: len(allowed)].masked_fill(~allowed, -torch.inf)
        token = self._drawn(logits)
        if token in stops:
            return [], True
        tokens = [token]
        if self.held is not None:
            self.held.take(token)
            tokens += self.held.forced()
        return tokens, self._write(tokens)

    def guess(self) -> list[int]:
        """Return tokens that may come next, in the place of which the model has the last word."""
        text = self.prompt + self.written
        last = text[-2:]
        for at in range(len(text) - 3, -1, -1):
            if text[at : at + 2] == last:
                guessed = text[at + 2 : at + 2 + _GUESSED]
                return guessed[: self.held.n_valid(guessed)] if self.held else guessed
        return []

    def advance(
        self, logits: torch.Tensor, guessed: Sequence[int], stops: Sequence[int]
    ) -> tuple[list[int], int, bool]:
        """Choose tokens as far as guesses were read along and are right.

        Args:
            logits: What follows each of the last tokens read, the guessed ones included.
            guessed: The guessed tokens.
            stops: Tokens that end a reply.

        Returns:
            The tokens to read next, the number of wrong guesses, and if the reply is done.
        """
        first, right = len(logits) - 1 - len(guessed), 0
        while True:
            tokens, done = self.choose(logits[first + right], stops)
            if done:
                return [], 0, True
            ahead = guessed[right : right + len(tokens)]
            same = sum(
                1
                for _ in takewhile(
                    lambda pair: pair[0] == pair[1], zip(tokens, ahead, strict=False)
                )
            )
            right += same
            if same < len(tokens):
                return tokens[same:], len(guessed) - right, False

    def _write(self, tokens: list[int]) -> bool:
        left = self.max_tokens - len(self.written)
        self.written += tokens[:left]
        if self.held is not None and self.held.is_done:
            self.is_cut = len(tokens) > left
            return True
        self.is_cut = len(tokens) >= left
        return self.is_cut

    def _drawn(self, logits: torch.Tensor) -> int:
        if self.temperature <= 0:
            return int(logits.argmax())
        if self._dice is None:
            self._dice = torch.Generator().manual_seed(self.seed % 2**63)
        shares = torch.softmax(logits.double() / self.temperature, -1)
        return int(torch.multinomial(shares, 1, generator=self._dice))


def write(
    network: Any, replies: Sequence[OneReply], stops: Sequence[int], piece: int = PIECE
) -> None:
    """Write replies together.

    Args:
        network: The model.
        replies: The replies; each is filled in.
        stops: Tokens that end a reply.
        piece: Tokens of a row that are read in one pass at most.
    """
    begun = [(reply, *reply.begin()) for reply in replies]
    rows = [reply for reply, _, done in begun if not done]
    if not rows:
        return
    passes, logits = _read(network, [tokens for _, tokens, done in begun if not done], piece)
    guesses: list[list[int]] = [[] for _ in rows]
    while True:
        each = zip(rows, logits, guesses, strict=True)
        steps = [row.advance(seen, guessed, stops) for row, seen, guessed in each]
        left = [n for n, (_, _, done) in enumerate(steps) if not done]
        if not left:
            return
        passes.forget([wrong for _, wrong, _ in steps])
        if len(left) < len(rows):
            rows = [rows[n] for n in left]
            passes.keep(left)
        guesses = [row.guess() if piece >= _LEAST_PIECE else [] for row in rows]
        read = [[*steps[n][0], *guessed] for n, guessed in zip(left, guesses, strict=True)]
        logits = passes.feed(read, 1 + max(map(len, guesses)))


def label_scores(
    network: Any, prompts: Sequence[list[int]], labels: Sequence[list[int]], piece: int = PIECE
) -> list[list[float]]:
    """Return the log-probability of each label as the next token of its prompt.

    Args:
        network: The model.
        prompts: Tokens of each prompt.
        labels: The token of each label, for each prompt.
        piece: Tokens of a row that are read in one pass at most.
    """
    _, logits = _read(network, prompts, piece)
    scores = torch.log_softmax(logits[:, -1], -1)
    return [row[tokens].tolist() for row, tokens in zip(scores, labels, strict=True)]


def _read(network: Any, prompts: Sequence[list[int]], piece: int) -> tuple[Passes, torch.Tensor]:
    """Read prompts; what all begin with is read once."""
    alike = takewhile(lambda tokens: len(set(tokens)) == 1, zip(*prompts, strict=False))
    # each row keeps one token of its own to be read
    shared = min(sum(1 for _ in alike), min(map(len, prompts)) - 1)
    if len(prompts) == 1 or shared < _LEAST_SHARED:
        passes = Passes(network, len(prompts), piece)
        return passes, passes.feed(prompts)
    passes = Passes(network, 1, piece)
    passes.feed([prompts[0][:shared]])
    passes.repeat(len(prompts))
    return passes, passes.feed([prompt[shared:] for prompt in prompts])
