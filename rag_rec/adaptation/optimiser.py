"""`LearnedWeights`: what is learned, its optimiser, and the state between steps.

Rates rise over the first steps and then fall with the square root of the step, which does not
depend on when the run will end: stopped early or resumed, a step is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

_WARM_STEPS = 20
_DECAY, _LARGEST_NORM = 0.01, 1.0
_WEIGHT, _FIRST, _SECOND, _BEST = "weight/", "first/", "second/", "best/"


class LearnedWeights:
    """Named weights under AdamW.

    Args:
        named: The weights; they are changed in place.
        rate: Highest learning rate.
    """

    def __init__(self, named: Iterable[tuple[str, torch.nn.Parameter]], *, rate: float) -> None:
        self._named, self._rate = {n: p for n, p in named if p.requires_grad}, rate
        self._optimiser = torch.optim.AdamW(
            self._named.values(), lr=rate, weight_decay=_DECAY, foreach=False
        )
        self._best: dict[str, Tensor] = {}

    def learn(self, loss: Tensor, step: int) -> float:
        """Follow the gradient of a loss as step number ``step``, from 1; return the loss."""
        pace = min(step / _WARM_STEPS, (_WARM_STEPS / step) ** 0.5)
        for group in self._optimiser.param_groups:
            group["lr"] = self._rate * pace
        self._optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._named.values(), _LARGEST_NORM)
        self._optimiser.step()
        return loss.item()

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
