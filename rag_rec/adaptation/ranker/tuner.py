"""One step of learning to rank.

The loss of a list is the cross-entropy of its target among the target and some other candidates,
over the sum of the model's score and retrieval's prior ``-log(place)``: the model learns what
retrieval does not say. A weight of .5 in a blend is this sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rag_rec.adaptation.optimiser import LearnedWeights
from rag_rec.adaptation.ranker.examples import RankingExample
from rag_rec.adaptation.ranker.scorers import TunableRanker

_AT_ONCE = 16  # lists scored together


class RankerTuner:
    """A scorer and its optimiser.

    Args:
        scorer: The model; its weights are changed.
        rate: Highest learning rate.
        others: Candidates beside the target that a step looks at.

    Attributes:
        weights: The model's weights.
    """

    def __init__(self, scorer: TunableRanker, *, rate: float, others: int) -> None:
        self._scorer, self._others = scorer, others
        self.weights = LearnedWeights(scorer.named_parameters(), rate=rate)

    def step(self, examples: Sequence[RankingExample], step: int, seed: int) -> float:
        """Learn from some lists as step number ``step``, from 1; return the mean loss."""
        rng = np.random.default_rng([seed, step])
        chosen = [self._chosen(one, rng) for one in examples]
        found = self._scorer.scores([one.call for one in examples], chosen)
        losses: list[Tensor] = []
        for one, some, scores in zip(examples, chosen, found, strict=True):
            prior = torch.from_numpy(one.prior[some]).to(scores.device)
            losses.append(functional.log_softmax(scores + prior, 0)[0].neg())
        return self.weights.learn(torch.stack(losses).mean(), step)

    def _chosen(self, one: RankingExample, rng: np.random.Generator) -> list[int]:
        """Return the target and others, drawn at random."""
        others = np.delete(np.arange(len(one.places)), one.target)
        n = min(self._others, len(others))
        return [one.target, *rng.choice(others, n, replace=False).tolist()]

    def scores(self, examples: Sequence[RankingExample]) -> list[NDArray[np.float32]]:
        """Return the scores of all labels of each list, without gradients."""
        found: list[NDArray[np.float32]] = []
        with torch.no_grad():
            for start in range(0, len(examples), _AT_ONCE):
                part = examples[start : start + _AT_ONCE]
                every = [range(len(one.places)) for one in part]
                scores = self._scorer.scores([one.call for one in part], every)
                found += [some.cpu().numpy() for some in scores]
        return found
