"""Contrastive tuning of a sentence-transformers model, by a loop of its own.

The loss is that of sentence-transformers' MultipleNegativesRankingLoss in both directions, with one
difference: a text of the batch that is the row's positive once more, or a part of its anchor, is
masked and not pushed away. The library's trainer has no such mask (``NO_DUPLICATES`` gives such
pairs to other batches instead), asks for ``accelerate`` and ``datasets``, and goes on from pickled
states. This loop needs no further package, and its state is tensors; see
`rag_rec.adaptation.checkpoint`.

Dropout is off: a run
sees each pair a few times at most, and without it a step takes two thirds of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from rag_rec.adaptation.embedder.pairs import Pairs
from rag_rec.adaptation.optimiser import LearnedWeights
from rag_rec.index import SentenceTransformerEmbedder, Vectors, has_bfloat16

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

_SCALE = 20.0
_MAX_TOKENS = 64
_TOGETHER = 64  # texts a forward pass


class Tuner:
    """A model, its optimiser, and one step of training.

    Args:
        base: The embedder to begin with; its model is changed.
        rate: Highest learning rate.

    Attributes:
        model: The model.
        weights: Its weights.
    """

    def __init__(self, base: SentenceTransformerEmbedder, *, rate: float) -> None:
        self.model = base.model
        self._own_length = self.model.max_seq_length
        self.model.max_seq_length = min(self._own_length or _MAX_TOKENS, _MAX_TOKENS)
        self.weights = LearnedWeights(self.model.named_parameters(), rate=rate)

    def step(self, pairs: Pairs, batch: NDArray[np.int64], step: int) -> float:
        """Learn from a batch of pairs as step number ``step``, from 1; return the loss."""
        self.model.eval()
        texts = [pairs.anchor_text(pair) for pair in batch.tolist()]
        texts += [pairs.texts[text] for text in pairs.positives[batch].tolist()]
        masked = torch.from_numpy(pairs.false_negatives(batch)).to(self.model.device)
        anchors, positives = self._embedded(texts).split(len(batch))
        scores = (_SCALE * anchors @ positives.T).masked_fill(masked, -torch.inf)
        right = torch.arange(len(batch), device=scores.device)
        loss = functional.cross_entropy(scores, right) + functional.cross_entropy(scores.T, right)
        return self.weights.learn(loss / 2, step)

    def _embedded(self, texts: Sequence[str]) -> Tensor:
        """Return unit rows of texts, with gradients; each once, with others of like length."""
        unique = sorted(set(texts), key=lambda text: (len(text), text))
        parts = [unique[start : start + _TOGETHER] for start in range(0, len(unique), _TOGETHER)]
        found = torch.cat([self._forward(part) for part in parts])
        place = {text: row for row, text in enumerate(unique)}
        rows = torch.tensor([place[text] for text in texts], device=found.device)
        return functional.normalize(found, dim=1)[rows]

    def _forward(self, texts: list[str]) -> Tensor:
        device = self.model.device
        features = self.model.preprocess(texts)
        on_device = {
            name: value.to(device) if isinstance(value, torch.Tensor) else value
            for name, value in features.items()
        }
        with torch.autocast(device.type, torch.bfloat16, enabled=_computes_half(device)):
            return self.model(on_device)["sentence_embedding"].float()

    def encode(self, texts: list[str]) -> Vectors:
        """Return unit rows of texts, without gradients."""
        device = self.model.device
        with torch.autocast(device.type, torch.bfloat16, enabled=_computes_half(device)):
            return np.asarray(
                self.model.encode(
                    texts,
                    batch_size=_TOGETHER,
                    normalize_embeddings=True,
                    show_progress_bar=False,
                    convert_to_numpy=True,
                ),
                np.float32,
            )

    def write_best(self, folder: Path) -> None:
        """Write the best model as a sentence-transformers folder, its text length as it was."""
        self.weights.use_best()
        self.model.max_seq_length = self._own_length
        self.model.save(str(folder), create_model_card=False)


def _computes_half(device: torch.device) -> bool:
    return device.type == "cpu" and has_bfloat16()
