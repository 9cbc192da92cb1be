"""The turn of the assistant that a prompt asks for, when the right answer is known."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from rag_rec.core import ConfigError
from rag_rec.prompting import PromptSettings, Variant

Answer = Callable[[Sequence[int]], str]
"""From labels, best first, to the assistant's turn."""


def list_answer(labels: Sequence[int]) -> str:
    """Return the reply of a variant that asks for a list of labels, as its schema has it.

    >>> list_answer([3, 1])
    '{"items": [{"label": 3}, {"label": 1}]}'
    """
    return json.dumps({"items": [{"label": label} for label in labels]})


def letter_answer(labels: Sequence[int]) -> str:
    """Return the reply of a variant whose labels are scored: the letter of the first.

    >>> letter_answer([3, 1])
    'C'
    """
    scored = PromptSettings.model_validate({"answer": "scores", "reason_chars": 0})
    return scored.label_text(labels[0])


ANSWERS: Mapping[str, Answer] = {"list": list_answer, "scores": letter_answer}
"""The turn of the assistant by the form of the reply that a variant asks for."""


def answer_of(variant: Variant) -> Answer:
    """Return what writes the assistant's turn for a variant.

    Raises:
        ConfigError: If nothing in a log says what the right reply would be.
    """
    if variant.settings.reason_chars:
        raise ConfigError(
            f"the prompt '{variant.name}' asks for reasons and a log holds none; choose a variant "
            "with reason_chars = 0, such as plain"
        )
    return ANSWERS[variant.settings.answer]
