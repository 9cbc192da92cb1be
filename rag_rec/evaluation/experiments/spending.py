"""The budget of an experiment."""

from __future__ import annotations

from collections.abc import Iterable

from rag_rec.core import Usage
from rag_rec.evaluation.experiments.answers import UserAnswer
from rag_rec.evaluation.experiments.experiment import BudgetSettings


class BudgetSpent(Exception):
    """The experiment's budget does not allow further questions."""


class Spending:
    """Count what has been spent against the limits.

    Args:
        budget: The limits and the prices.
    """

    def __init__(self, budget: BudgetSettings) -> None:
        self._budget = budget
        self.calls, self.tokens, self.cost = 0, 0, 0.0

    def add(self, llm: str, answers: Iterable[UserAnswer]) -> None:
        """Count answers of a model."""
        for answer in answers:
            usage = answer.usage
            self.calls += usage.calls
            self.tokens += usage.prompt_tokens + usage.completion_tokens
            self.cost += price_of(usage, self._budget.prices.get(llm))

    def check(self) -> None:
        """Raise `BudgetSpent` when a limit is reached."""
        limits = (
            ("calls", self.calls, self._budget.calls),
            ("tokens", self.tokens, self._budget.tokens),
            ("cost", self.cost, self._budget.cost),
        )
        for name, spent, limit in limits:
            if limit and spent >= limit:
                raise BudgetSpent(f"budget.{name} = {limit} is spent ({spent:g})")


def price_of(usage: Usage, price: tuple[float, float] | None) -> float:
    """Return the cost of one answer; 0 where the experiment names no price."""
    if price is None:
        return 0.0
    return (usage.prompt_tokens * price[0] + usage.completion_tokens * price[1]) / 1e6
