"""Lines of training files, as OpenAI and TRL document them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag_rec.core import Message

Turn = dict[str, str]


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """One prompt and its answers.

    Attributes:
        messages: The turns of the prompt.
        right: The assistant's turn with the item that came next first.
        wrong: One with it last, or without it.
        label: The label of the item that came next.
        n_labels: Candidates in the prompt.
    """

    messages: Sequence[Message]
    right: str
    wrong: str
    label: int
    n_labels: int

    @property
    def prompt(self) -> list[Turn]:
        """The prompt's turns as objects."""
        return [{"role": message.role, "content": message.content} for message in self.messages]


def _assistant(content: str) -> list[Turn]:
    return [{"role": "assistant", "content": content}]


def _openai(example: TrainingExample) -> dict[str, Any]:
    return {"messages": example.prompt + _assistant(example.right)}


def _trl_sft(example: TrainingExample) -> dict[str, Any]:
    return {"prompt": example.prompt, "completion": _assistant(example.right)}


def _trl_dpo(example: TrainingExample) -> dict[str, Any]:
    return {
        "prompt": example.prompt,
        "chosen": _assistant(example.right),
        "rejected": _assistant(example.wrong),
    }


def _grpo(example: TrainingExample) -> dict[str, Any]:
    gains = {str(n): float(n == example.label) for n in range(1, example.n_labels + 1)}
    return {"prompt": example.prompt, "label": example.label, "ndcg": gains}


TRAINING_FORMATS: Mapping[str, Callable[[TrainingExample], dict[str, Any]]] = {
    "openai": _openai,
    "trl-sft": _trl_sft,
    "trl-dpo": _trl_dpo,
    "grpo": _grpo,
}
"""From an example to one line of a training file, by the tool that reads it."""

COMPLETIONS: Mapping[str, Callable[[TrainingExample], tuple[str, ...]]] = {
    "openai": lambda example: (example.right,),
    "trl-sft": lambda example: (example.right,),
    "trl-dpo": lambda example: (example.right, example.wrong),
    "grpo": lambda _: (),
}
"""The replies that a line holds beside the prompt."""
