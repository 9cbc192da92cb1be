"""Read the scores that a model gave to the candidates of a prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rag_rec.core import Repairs, parse_json, prompt_safe
from rag_rec.grounding.parse_reply import Entry, Reading

_SHOWN_CHARS = 400


class Unscored(ValueError):
    """A reply that is not one finite number a label."""


def read_scores(text: str, labels: Sequence[str]) -> dict[str, float]:
    """Return the natural logarithm of each item's share, of one reply.

    Args:
        text: A JSON array with one number a label.
        labels: Item ids by label.

    Raises:
        Unscored: If it is anything else: scores that are missing or too many score nothing.

    >>> {item: round(score, 2) for item, score in read_scores("[0, 0]", ["a", "b"]).items()}
    {'a': -0.69, 'b': -0.69}
    """
    try:
        found: Any = parse_json(text)
    except ValueError as error:
        raise Unscored(f"the scores are not JSON ({error})") from error
    if not isinstance(found, list) or len(found) != len(labels):
        raise Unscored(f"the reply is not {len(labels)} scores")
    if not all(type(score) in {int, float} and np.isfinite(score) for score in found):
        raise Unscored("a score is not a finite number")
    scores = np.asarray(found, np.float64)
    shifted = scores - scores.max(initial=-np.inf)
    shares = shifted - np.log(np.exp(shifted).sum())
    return dict(zip(labels, shares.tolist(), strict=True))


def mean_scores(scored: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return each item's mean over the replies that scored it, in the order of first mention."""
    sums: dict[str, list[float]] = {}
    for scores in scored:
        for item_id, score in scores.items():
            sums.setdefault(item_id, []).append(score)
    return {item_id: sum(some) / len(some) for item_id, some in sums.items()}


def scored_reading(
    order: Sequence[str], labels: Sequence[str], problems: Sequence[str], shown: str
) -> Reading:
    """Return scored items as a reading, in the order that is given.

    Args:
        order: The scored items, best first.
        labels: Item ids by label.
        problems: Replies that could not be read, in words.
        shown: The first reply.
    """
    label_of = {item_id: label for label, item_id in enumerate(labels, start=1)}
    entries = tuple(Entry(label_of[item_id], "") for item_id in order if item_id in label_of)
    repairs = Repairs(unparseable=len(problems))
    return Reading(entries, repairs, tuple(problems), prompt_safe(shown[:_SHOWN_CHARS]))
