"""Examples for a ranker: the prompts of training lists, with retrieval's places and the target."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rag_rec.adaptation.export.examples import NO_PROMPT, NOT_SHOWN, ShuffledCandidates
from rag_rec.adaptation.lists import TrainingLists
from rag_rec.core import ConfigError, Settings
from rag_rec.llm import Answer, NamedModel, Request
from rag_rec.pipeline import RecommendationRequest
from rag_rec.recommender import Recommender

_BLOCK = 128
_VALIDATION_SHARE = 0.1
MOST_VALIDATION = 500


class UnaskedRanker(NamedModel):
    """Stands for the ranker while prompts are made; it is not asked."""

    answers = frozenset[Answer]({"text", "scores"})


@dataclass(frozen=True, slots=True)
class RankingExample:
    """One list to learn from.

    Attributes:
        user_id: The user.
        call: The request as it would be sent, with its ranking.
        places: Retrieval's place of each label's item, from 1.
        target: Position of the label of the item that came next, from 0.
    """

    user_id: str
    call: Request
    places: tuple[int, ...]
    target: int

    @property
    def prior(self) -> NDArray[np.float32]:
        """Retrieval's say before the model's: ``-log(place)`` of each label, ``float32 [n]``."""
        return -np.log(np.array(self.places, np.float32))


def ranking_examples(
    lists: TrainingLists, settings: Settings, seed: int, left_out: Counter[str]
) -> list[RankingExample]:
    """Return one example a list, its candidates in an order drawn by the seed.

    Args:
        lists: The training lists.
        settings: The prompt; its variant must ask for scores.
        seed: Of the orders of candidates.
        left_out: Counts the users without an example, by the reason.

    Raises:
        ConfigError: If the variant asks for words.
    """
    found: list[RankingExample] = []
    model = UnaskedRanker("ranker")
    for start in range(0, len(lists.lists), _BLOCK):
        block = lists.lists[start : start + _BLOCK]
        shuffled = ShuffledCandidates(lists.retriever, block, seed)
        recommender = Recommender(lists.index, model, settings, retriever=shuffled)
        if recommender.variant.settings.answer != "scores":
            raise ConfigError(
                f"the prompt '{recommender.variant.name}' asks for a list, and a ranker is tuned "
                'on scores: use --prompt scores, or a variant with answer = "scores"'
            )
        states = recommender.preview(RecommendationRequest(one.history) for one in block)
        for one, state in zip(block, states, strict=True):
            if state.call is None:
                left_out[NO_PROMPT] += 1
            elif one.target not in state.shown:
                left_out[NOT_SHOWN] += 1
            else:
                place = {c.item_id: at for at, c in enumerate(one.candidates, start=1)}
                places = tuple(place[item_id] for item_id in state.shown)
                target = state.shown.index(one.target)
                user = one.history.user_id or ""
                found.append(RankingExample(user, state.call, places, target))
    return found


def split_by_user(
    examples: Sequence[RankingExample], seed: int
) -> tuple[list[RankingExample], list[RankingExample]]:
    """Return examples to learn from, and those of a tenth of the users, to validate on.

    A user's side depends on the user's id and the seed alone.
    """
    learn: list[RankingExample] = []
    validate: list[RankingExample] = []
    for one in examples:
        digest = hashlib.blake2b(f"{seed} {one.user_id}".encode(), digest_size=8).digest()
        is_kept = int.from_bytes(digest) < _VALIDATION_SHARE * 2**64
        (validate if is_kept and len(validate) < MOST_VALIDATION else learn).append(one)
    return learn, validate
