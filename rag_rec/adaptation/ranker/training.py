"""The course of a ranker's tuning: its batches and validations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rag_rec.adaptation.course import Course, check_same
from rag_rec.adaptation.ranker.examples import RankingExample
from rag_rec.adaptation.ranker.record import Point, RankerState
from rag_rec.adaptation.ranker.validation import EQUAL, WEIGHTS, ndcg_table
from rag_rec.core import OnStep

if TYPE_CHECKING:
    from rag_rec.adaptation.ranker.tuner import RankerTuner

_PATIENCE = 6
_CHECKS_AN_EPOCH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RankerOptions:
    """Settings of the tuning of a ranker.

    Attributes:
        kind: ``crossencoder`` or ``lora``.
        base: What to begin with: a folder or hub name; the index's embedder (cross-encoder) or the
            embedded model (LoRA) if None.
        prompt: A variant with ``answer = "scores"``, or its ``.toml`` file; a list has as many
            candidates as it shows.
        minutes: Time at most, over all starts.
        epochs: Passes over the lists at most.
        lists: Lists at most, of users drawn at random; all if None.
        others: Candidates beside the target that a step looks at.
        batch: Lists a batch.
        rate: Highest learning rate; the kind's own if None.
        seed: Of all draws.
    """

    kind: str = "crossencoder"
    base: str | None = None
    prompt: str = "rank"
    minutes: float = 20.0
    epochs: int = 3
    lists: int | None = None
    others: int = 7
    batch: int = 16
    rate: float | None = None
    seed: int = 0


Epoch = Callable[[int], Sequence[RankingExample]]
"""Returns the lists of an epoch, from 0: the same lists, their candidates in another order."""


def trained(
    tuner: RankerTuner,
    examples: Epoch,
    validation: Sequence[RankingExample],
    folder: Path,
    options: RankerOptions,
    identity: str,
    on_step: OnStep | None,
) -> RankerState:
    """Train until something ends it; leave the tuner with the best weights.

    Raises:
        ConfigError: If the folder holds another run.
        StorageError: If its checkpoint is damaged.
    """
    state = _begun(tuner, validation, folder, identity)
    size = min(options.batch, len(examples(0)))
    per_epoch = len(examples(0)) // size

    def learn(state: RankerState) -> RankerState:
        epoch, step = state.step // per_epoch, state.step + 1
        lists = examples(epoch)
        order = np.random.default_rng([options.seed, epoch]).permutation(len(lists))
        start = state.step % per_epoch * size
        batch = [lists[at] for at in order[start : start + size]]
        loss = tuner.step(batch, step, options.seed)
        return state.model_copy(update={"step": step, "loss": state.loss + loss})

    course = Course[RankerState](
        name="tuning the ranker",
        learn=learn,
        check=lambda state: _checked(state, tuner, validation, size),
        tensors=tuner.weights.state,
        n_steps=options.epochs * per_epoch,
        limit_s=options.minutes * 60,
        check_every=max(1, per_epoch // _CHECKS_AN_EPOCH),
        patience=_PATIENCE,
    )
    state = course.run(state, folder, on_step)
    tuner.weights.use_best()
    return state


def _begun(
    tuner: RankerTuner, validation: Sequence[RankingExample], folder: Path, identity: str
) -> RankerState:
    from rag_rec.adaptation.checkpoint import load  # torch takes seconds

    found = load(folder, RankerState)
    if found is not None:
        state, tensors = found
        check_same(state.identity, identity, folder)
        tuner.weights.restore(tensors, state.step)
        return state
    table = ndcg_table(validation, tuner.scores(validation))
    retrieved = float(table[0].mean())
    tuner.weights.keep_best()
    first = Point(lists=0, loss=None, ndcg=_at_a_half(table.mean(axis=1).tolist()))
    return RankerState(identity=identity, retrieved=retrieved, best=retrieved, curve=(first,))


def _checked(
    state: RankerState, tuner: RankerTuner, validation: Sequence[RankingExample], size: int
) -> RankerState:
    """Validate, and keep the weights where they are the best so far."""
    table = ndcg_table(validation, tuner.scores(validation))
    now = _at_a_half(table.mean(axis=1).tolist())
    loss = state.loss / max(1, state.step - state.checked)
    point = Point(lists=state.step * size, loss=loss, ndcg=now)
    update: dict[str, Any] = {"checked": state.step, "loss": 0.0}
    update["curve"] = (*state.curve, point)
    risen = now > max(known.ndcg for known in state.curve)
    update["worse"] = 0 if risen else state.worse + 1
    if now > state.best:
        tuner.weights.keep_best()
        update |= {"best": now, "best_step": state.step}
    return state.model_copy(update=update)


def _at_a_half(means: Sequence[float]) -> float:
    return means[WEIGHTS.index(EQUAL)]
