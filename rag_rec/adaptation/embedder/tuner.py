"""Contrastive tuning of a sentence-transformers model, by a loop of its own.

The loss is that of sentence-transformers' MultipleNegativesRankingLoss in both directions, with one
difference: a text of the batch that is the row's positive once more, or a part of its anchor, is
masked and not pushed away. The library's trainer has no such mask (``NO_DUPLICATES`` gives such
pairs to other batches instead), asks for ``accelerate`` and ``datasets``, and goes on from pickled
states. This loop needs no further package, and its state is tensors; see
`rag_rec.adaptation.checkpoint`.

Rates rise over the first steps and then fall with the square root of the step, which does not
depend on when the run will end: stopped early or resumed, a step is the same. Dropout is off: a run
sees each pair a few times at most, and without it a step takes two thirds of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from rag_rec.adaptation.embedder.pairs import Pairs
from rag_rec.index import SentenceTransformerEmbedder, Vectors, has_bfloat16

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

_SCALE = 20.0
_WARM_STEPS = 20
_MAX_TOKENS = 64
_DECAY, _LARGEST_NORM = 0.01, 1.0
_TOGETHER = 64  # texts a forward pass
_WEIGHT, _FIRST, _SECOND, _BEST = "weight/", "first/", "second/", "best/"


class Tuner:
    """A model, its optimiser, and one step of training.

    Args:
        base: The embedder to begin with; its model is changed.
        rate: Highest learning rate.
    """

    def __init__(self, base: SentenceTransformerEmbedder, *, rate: float) -> None:
        self.model = base.model
        self._rate = rate
        self._own_length = self.model.max_seq_length
        self.model.max_seq_length = min(self._own_length or _MAX_TOKENS, _MAX_TOKENS)
        self._named = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        self._optimiser = torch.optim.AdamW(
            self._named.values(), lr=rate, weight_decay=_DECAY, foreach=False
        )
        self._best: dict[str, Tensor] = {}

    def step(self, pairs: Pairs, batch: NDArray[np.int64], step: int) -> float:
        """Learn from a batch of pairs as step number ``step``, from 1; return the loss."""
        pace = min(step / _WARM_STEPS, (_WARM_STEPS / step) ** 0.5)
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate * pace
        self.model.eval()
        texts = [pairs.anchor_text(pair) for pair in batch.tolist()]
        texts += [pairs.texts[text] for text in pairs.positives[batch].tolist()]
        masked = torch.from_numpy(pairs.false_negatives(batch)).to(self.model.device)
        anchors, positives = self._embedded(texts).split(len(batch))
        scores = (_SCALE * anchors @ positives.T).masked_fill(masked, -torch.inf)
        right = torch.arange(len(batch), device=scores.device)
        loss = functional.cross_entropy(scores, right) + functional.cross_entropy(scores.T, right)
        self._optimiser.zero_grad()
        (loss / 2).backward()
        torch.nn.utils.clip_grad_norm_(self._named.values(), _LARGEST_NORM)
        self._optimiser.step()
        return loss.item() / 2

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

    # --- state --------------------------------------------------------------------------------

    def keep_best(self) -> None:
        """Remember the weights as the best so far."""
        self._best = {name: p.detach().clone() for name, p in self._named.items()}

    def state(self) -> dict[str, Tensor]:
        """Return the weights, both moments, and the best weights, by name."""
        found = {_BEST + name: tensor for name, tensor in self._best.items()}
        for name, parameter in self._named.items():
            found[_WEIGHT + name] = parameter.detach()
            moments = self._optimiser.state[parameter]
            if moments:
                found[_FIRST + name] = moments["exp_avg"]
                found[_SECOND + name] = moments["exp_avg_sq"]
        return found

    def restore(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Take over the state of a run after ``step`` steps."""
        with torch.no_grad():
            for name, parameter in self._named.items():
                parameter.copy_(tensors[_WEIGHT + name])
                if _FIRST + name in tensors:
                    self._optimiser.state[parameter] = {
                        "step": torch.tensor(float(step)),
                        "exp_avg": tensors[_FIRST + name].to(parameter.device),
                        "exp_avg_sq": tensors[_SECOND + name].to(parameter.device),
                    }
        self._best = {
            name: tensors[_BEST + name] for name in self._named if _BEST + name in tensors
        }

    def write_best(self, folder: Path) -> None:
        """Write the best model as a sentence-transformers folder, its text length as it was."""
        with torch.no_grad():
            for name, tensor in self._best.items():
                self._named[name].copy_(tensor)
        self.model.max_seq_length = self._own_length
        self.model.save(str(folder), create_model_card=False)


def _computes_half(device: torch.device) -> bool:
    return device.type == "cpu" and has_bfloat16()
