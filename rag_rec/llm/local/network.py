"""Passes through a causal language model for several rows of tokens that differ in length.

Rows are filled up on the left with tokens that nothing attends to, at the beginning and in every
later pass, so that the last column always holds the last token of each row.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.masking_utils import sdpa_mask

GROUPED = "rag_rec_grouped"
_LEAST = -1e30


class Passes:
    """The state of some rows: what each has read so far.

    Args:
        network: The model.
        n_rows: Number of rows.
        piece: Columns of one pass at most; long prompts are read faster in pieces, since a piece
            does not look at what follows it.
    """

    def __init__(self, network: Any, n_rows: int, piece: int) -> None:
        self._network = network
        self._piece = piece
        self._cache: Any = DynamicCache(config=network.config)
        forward = inspect.signature(network.forward).parameters
        self._cache_name = "cache" if "cache" in forward else "past_key_values"
        self._mask = torch.zeros((n_rows, 0), dtype=torch.long)
        self._lengths = torch.zeros((n_rows, 1), dtype=torch.long)

    def feed(self, rows: Sequence[Sequence[int]], keep: int = 1) -> torch.Tensor:
        """Read further tokens of each row; return the logits that follow so many of the last.

        Args:
            rows: One token or more for each row.
            keep: Number of last tokens; within one piece.
        """
        width = max(map(len, rows))
        ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows])
        real = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        places = (self._lengths + real.cumsum(1) - 1).clamp(min=0)
        self._lengths = self._lengths + real.sum(1, keepdim=True)
        before = self._mask.shape[1]
        self._mask = torch.cat([self._mask, real], 1)
        logits = torch.empty(0)
        with torch.inference_mode():
            for start in range(0, width, self._piece):
                part = slice(start, start + self._piece)
                logits = self._network(
                    input_ids=ids[:, part],
                    attention_mask=self._mask[:, : before + start + self._piece],
                    position_ids=places[:, part],
                    use_cache=True,
                    logits_to_keep=keep,
                    **{self._cache_name: self._cache},
                ).logits[:, -keep:]
        return logits.float()

    def forget(self, n_last: Sequence[int]) -> None:
        """Forget so many of the last tokens of each row: nothing attends to them any more."""
        for row, n in enumerate(n_last):
            if n:
                self._mask[row, -n:] = 0
                self._lengths[row] -= n

    def repeat(self, n_rows: int) -> None:
        """Make the only row so many."""
        self._cache.batch_repeat_interleave(n_rows)
        self._mask = self._mask.repeat(n_rows, 1)
        self._lengths = self._lengths.repeat(n_rows, 1)

    def keep(self, rows: Sequence[int]) -> None:
        """Forget all rows but these."""
        chosen = torch.tensor(rows)
        self._cache.batch_select_indices(chosen)
        self._mask = self._mask[chosen]
        self._lengths = self._lengths[chosen]


class ExactHead(torch.nn.Module):
    """A model's last layer in float32: in bfloat16 two candidates in three have the same score.

    Args:
        head: The layer.
    """

    def __init__(self, head: torch.nn.Linear) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(head.weight.detach().float(), requires_grad=False)
        bias: torch.Tensor | None = getattr(head, "bias", None)
        self._bias = None if bias is None else bias.detach().float()

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        return torch.nn.functional.linear(hidden.float(), self.weight, self._bias)


def grouped_attention(
    module: Any,  # noqa: ARG001 - the interface of transformers
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attend with heads that share keys as one product.

    PyTorch's own attention copies the keys for each of those heads, and takes twice as long on a
    processor in bfloat16.
    """
    n, heads, wide, size = query.shape
    groups, long = key.shape[1], key.shape[2]
    asked = (query * scaling).reshape(n * groups, -1, size)
    weights = torch.bmm(asked, key.reshape(n * groups, long, size).transpose(1, 2))
    weights = weights.view(n, heads, wide, long)
    if attention_mask is not None:
        weights = weights.masked_fill(~attention_mask, _LEAST)
    elif wide > 1:
        later = torch.ones((wide, long), dtype=torch.bool).triu(long - wide + 1)
        weights = weights.masked_fill(later, _LEAST)
    shares = torch.softmax(weights, -1).view(n * groups, -1, long)
    mixed = torch.bmm(shares, value.reshape(n * groups, long, size))
    return mixed.view(n, heads, wide, size).transpose(1, 2).contiguous(), None


AttentionInterface.register(GROUPED, grouped_attention)
AttentionMaskInterface.register(GROUPED, sdpa_mask)
