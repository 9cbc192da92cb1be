"""One step of learning to rank, and the state between steps.

The loss of a list is the cross-entropy of its target among the target and some other candidates,
over the sum of the model's score and retrieval's prior ``-log(place)``: the model learns what
retrieval does not say. A weight of .5 in a blend is this sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from rag_rec.adaptation.ranker.examples import RankingExample
from rag_rec.adaptation.ranker.scorers import TunableRanker

_WARM_STEPS = 20
_DECAY, _LARGEST_NORM = 0.01, 1.0
_WEIGHT, _FIRST, _SECOND, _BEST = "weight/", "first/", "second/", "best/"
_AT_ONCE = 16  # lists scored together


class RankerTuner:
    """A scorer and its optimiser.

    Args:
        scorer: The model; its weights are changed.
        rate: Highest learning rate.
        others: Candidates beside the target that a step looks at.
    """

    def __init__(self, scorer: TunableRanker, *, rate: float, others: int) -> None:
        self._scorer, self._rate, self._others = scorer, rate, others
        self._named = dict(scorer.named_parameters())
        self._optimiser = torch.optim.AdamW(
            self._named.values(), lr=rate, weight_decay=_DECAY, foreach=False
        )
        self._best: dict[str, Tensor] = {}

    def step(self, examples: Sequence[RankingExample], step: int, seed: int) -> float:
        """Learn from some lists as step number ``step``, from 1; return the mean loss."""
        pace = min(step / _WARM_STEPS, (_WARM_STEPS / step) ** 0.5)
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate * pace
        rng = np.random.default_rng([seed, step])
        chosen = [self._chosen(one, rng) for one in examples]
        found = self._scorer.scores([one.call for one in examples], chosen)
        losses: list[Tensor] = []
        for one, some, scores in zip(examples, chosen, found, strict=True):
            prior = torch.from_numpy(one.prior[some]).to(scores.device)
            losses.append(functional.log_softmax(scores + prior, 0)[0].neg())
        loss = torch.stack(losses).mean()
        self._optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._named.values(), _LARGEST_NORM)
        self._optimiser.step()
        return loss.item()

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

    # --- state --------------------------------------------------------------------------------

    def keep_best(self) -> None:
        """Remember the weights as the best so far."""
        self._best = {name: p.detach().clone() for name, p in self._named.items()}

    def use_best(self) -> None:
        """Take the best weights."""
        with torch.no_grad():
            for name, tensor in self._best.items():
                self._named[name].copy_(tensor)

    def state(self) -> dict[str, Tensor]:
        """Return the weights, both moments, and the best weights, by name."""
        found = {_BEST + name: tensor for name, tensor in self._best.items()}
        for name, parameter in self._named.items():
            found[_WEIGHT + name] = parameter.detach()
            if moments := self._optimiser.state[parameter]:
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
        self._best = {n: tensors[_BEST + n] for n in self._named if _BEST + n in tensors}
