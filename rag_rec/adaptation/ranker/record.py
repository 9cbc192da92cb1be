"""`RankerAdaptation`: what a tuned ranker was made of, in its folder; and its state on the way."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import override

from rag_rec.adaptation.course import RunState
from rag_rec.adaptation.record import TuningRecord, read_record
from rag_rec.core import Model


class Point(Model):
    """A point of the learning curve.

    Attributes:
        lists: Lists learned from so far, repeats included.
        loss: Mean loss since the point before; None at the beginning.
        ndcg: NDCG@10 on validation at the weight of training, a half.
    """

    lists: int
    loss: float | None
    ndcg: float


class RankerState(RunState):
    """The state of a run.

    Attributes:
        retrieved: NDCG@10 on validation of retrieval's own order.
        best: The best NDCG@10 so far; retrieval's counts as the first.
        loss: Sum of losses since the last validation.
        curve: The learning curve.
    """

    retrieved: float
    best: float
    loss: float = 0.0
    curve: tuple[Point, ...] = ()


class RankerAdaptation(TuningRecord):
    """Origin and worth of a tuned ranker; see `TuningRecord` for the rest.

    Attributes:
        kind: ``crossencoder`` or ``lora``.
        base: Name of what was tuned.
        prompt: Name of the prompt variant.
        prompt_digest: Digest of that variant.
        lists: Lists that could be learned from.
        validation_lists: Lists of other users, to validate on.
        others: Candidates beside the target that a step looked at.
        retrieved: NDCG@10 on validation of retrieval's own order.
        blended: NDCG@10 on validation by weight of the model, from 0 to 1 in tenths.
        weight: The weight to serve with; 0 if none gains more than its standard error.
        curve: The learning curve.
    """

    kind: str
    base: str
    prompt: str
    prompt_digest: str
    lists: int
    validation_lists: int
    others: int
    retrieved: float
    blended: tuple[float, ...]
    weight: float
    curve: tuple[Point, ...]

    @property
    @override
    def gained(self) -> bool:
        """True if the model may improve a list: its weight on validation is above 0."""
        return self.weight > 0


def read_ranker_adaptation(folder: str | Path) -> RankerAdaptation | None:
    """Return the record of a tuned ranker's folder; see `read_record`."""
    return read_record(folder, RankerAdaptation)
