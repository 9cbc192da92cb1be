"""What an experiment has spent, against what it may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rag_rec.evaluation.experiments.answers import Answer
from rag_rec.evaluation.experiments.experiment import BudgetSettings


class BudgetSpent(Exception):
    """The experiment's budget does not allow further questions."""


class Spending:
    """What has been spent, against what may be.

    Args:
        budget: The limits and the prices.
    """

    def __init__(self, budget: BudgetSettings) -> None:
        self._budget = budget
        self.calls, self.tokens, self.cost = 0, 0, 0.0

    def add(self, llm: str, answers: Sequence[Answer]) -> None:
        """Counts answers of a model."""
        for answer in answers:
            usage = answer.usage
            self.calls += int(usage["calls"])
            self.tokens += int(usage["prompt_tokens"] + usage["completion_tokens"])
            self.cost += price_of(usage, self._budget.prices.get(llm))

    def check(self) -> None:
        """Raises `BudgetSpent` when a limit is reached."""
        limits = (
            ("calls", self.calls, self._budget.calls),
            ("tokens", self.tokens, self._budget.tokens),
            ("cost", self.cost, self._budget.cost),
        )
        for name, spent, limit in limits:
            if limit and spent >= limit:
                raise BudgetSpent(f"budget.{name} = {limit} is spent ({spent:g})")


def price_of(usage: Mapping[str, float], price: tuple[float, float] | None) -> float:
    """Money for one answer; 0 where the experiment names no price."""
    if price is None:
        return 0.0
    return (usage["prompt_tokens"] * price[0] + usage["completion_tokens"] * price[1]) / 1e6
