"""The weight of a model's order against retrieval's, by length of the history: one small file.

`rag_rec.evaluation` fits the file on validation users; `Recommender` reads it (setting ``blend``).
A weight of 0 means that the model is not asked at all.

::

    weight = 0.3
    [[by_history]]
    at_least = 0
    weight = 0.0
    [[by_history]]
    at_least = 20
    weight = 0.6
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from rag_rec.core import ConfigError, Model, RecommendationList, first_problem, read_toml

_DAMPING = 10


class LengthWeight(Model):
    """The weight for histories from some length on, up to the next entry's.

    Attributes:
        at_least: Events from which on this weight is used.
        weight: The model's weight.
    """

    at_least: int = Field(ge=0)
    weight: float = Field(ge=0, le=1)


class Blend(Model):
    """Weights of the model's order.

    Attributes:
        weight: The weight where `by_history` has no entry.
        by_history: Weights by length of the history, shortest first.
        answer: The answer it was fitted for: the order of a ``list``, or ``scores``.
        fitted_on: Description of the data it was fitted on.
    """

    weight: float = Field(ge=0, le=1)
    by_history: tuple[LengthWeight, ...] = ()
    answer: Literal["list", "scores"] = "list"
    fitted_on: str = ""

    @model_validator(mode="after")
    def _rising(self) -> Blend:
        starts = [entry.at_least for entry in self.by_history]
        if starts != sorted(set(starts)):
            raise ValueError("by_history must have rising at_least")
        return self

    @classmethod
    def load(cls, path: str | Path) -> Blend:
        """Read a blend file.

        Raises:
            ConfigError: If it cannot be read or is not one.
        """
        try:
            return cls.model_validate(read_toml(path, "blend file"))
        except ValidationError as error:
            raise ConfigError(first_problem(error, str(path))) from error

    def save(self, path: str | Path) -> None:
        """Write the file that `load` reads."""
        lines = [f"weight = {self.weight!r}", f'answer = "{self.answer}"']
        if self.fitted_on:
            # TOML's strings are JSON's, but that DEL must be escaped
            quoted = json.dumps(self.fitted_on, ensure_ascii=False).replace("\x7f", "\\u007f")
            lines.insert(0, f"fitted_on = {quoted}")
        for entry in self.by_history:
            lines += [
                "",
                "[[by_history]]",
                f"at_least = {entry.at_least}",
                f"weight = {entry.weight!r}",
            ]
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")

    def weight_for(self, n_events: int) -> float:
        """Return the model's weight for a user with so many events; 0: do not ask.

        >>> Blend(weight=0.2, by_history=[LengthWeight(at_least=5, weight=0.5)]).weight_for(7)
        0.5
        """
        found = [entry.weight for entry in self.by_history if entry.at_least <= n_events]
        return found[-1] if found else self.weight

    def digest(self) -> str:
        """Return the SHA-256 of everything that can change a list."""
        return hashlib.sha256(self.model_dump_json(exclude={"fitted_on"}).encode()).hexdigest()


def blended(
    items: Sequence[str], chosen: Sequence[bool], retrieved: Sequence[str], weight: float
) -> list[str]:
    """Return a list in the order of both places, the model's and retrieval's.

    A place counts ``1 / (10 + place)``. The items stay the same, so the list keeps its constraints.

    Args:
        items: The list, the model's choices first.
        chosen: Which of them the model chose.
        retrieved: Candidates in retrieval's order.
        weight: The model's share.

    >>> blended(["b", "a"], [True, True], ["a", "b"], 1.0)
    ['b', 'a']
    >>> blended(["b", "a"], [True, True], ["a", "b"], 0.2)
    ['a', 'b']
    """
    place = {item: at for at, item in enumerate(retrieved, 1)}
    score = {
        item: (1 - weight) / (_DAMPING + place[item])
        + (weight / (_DAMPING + at) if by_model else 0.0)
        for at, (item, by_model) in enumerate(zip(items, chosen, strict=True), 1)
    }
    return sorted(items, key=lambda item: -score[item])


def blended_scores(
    scores: Mapping[str, float], retrieved: Sequence[str], weight: float
) -> list[str]:
    """Return the scored items by the weighted product of two distributions over them.

    The model's share of an item counts with the weight, ``1 / place`` in retrieval's order with the
    rest: the sum of ``weight * log(share)`` and ``(1 - weight) * -log(place)``.

    Args:
        scores: Natural logarithm of each item's share by the model.
        retrieved: Candidates in retrieval's order; equal sums keep it.
        weight: The model's share, 0 to 1.

    >>> blended_scores({"a": -1.6, "b": -0.2}, ["a", "b"], 1.0)
    ['b', 'a']
    >>> blended_scores({"a": -1.6, "b": -0.2}, ["a", "b"], 0.1)
    ['a', 'b']
    """
    place = {item_id: at for at, item_id in enumerate(retrieved, 1)}
    known = sorted((item_id for item_id in scores if item_id in place), key=place.__getitem__)
    total = {
        item_id: weight * scores[item_id] - (1 - weight) * math.log(place[item_id])
        for item_id in known
    }
    return sorted(known, key=lambda item_id: -total[item_id])


def blend_list(
    made: RecommendationList, retrieved: Sequence[str], weight: float
) -> RecommendationList:
    """Return a finished list in the blended order; see `blended`."""
    slots = {slot.item_id: slot for slot in made.items}
    chosen = [slot.origin != "backfill" for slot in made.items]
    order = blended(list(slots), chosen, retrieved, weight)
    items = tuple(
        slots[item].model_copy(update={"rank": rank}) for rank, item in enumerate(order, 1)
    )
    return made.model_copy(update={"items": items})
