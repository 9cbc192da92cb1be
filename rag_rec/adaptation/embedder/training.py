"""The course of an embedder's tuning: its batches and validations."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rag_rec.adaptation.course import Course, check_same
from rag_rec.adaptation.embedder.pairs import Pairs
from rag_rec.adaptation.embedder.state import TrainingState
from rag_rec.adaptation.embedder.validation import Validation
from rag_rec.core import OnStep
from rag_rec.index import SentenceTransformerEmbedder

if TYPE_CHECKING:
    from rag_rec.adaptation.embedder.tuner import Tuner

MODEL = "model.new"
"""Folder of the best model, until it is moved into its place."""

_CHECK_EVERY = 25
_PATIENCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningOptions:
    """Settings of the tuning of an embedder.

    Attributes:
        minutes: Time at most, over all starts.
        epochs: Passes over the pairs at most.
        pairs: Pairs at most, drawn at random; all if None.
        batch: Pairs a batch; each pair's negatives are the others.
        rate: Highest learning rate.
        until: Nothing at or after this time is seen, in Unix seconds; None for the whole log.
        seed: Of all draws.
        base: The embedder to begin with; the index's own if None.
    """

    minutes: float = 10.0
    epochs: int = 3
    pairs: int | None = None
    batch: int = 128
    rate: float = 1e-4
    until: float | None = None
    seed: int = 0
    base: str | None = None


def trained(
    base: SentenceTransformerEmbedder,
    pairs: Pairs,
    validation: Validation,
    folder: Path,
    options: TuningOptions,
    identity: str,
    on_step: OnStep | None,
) -> TrainingState:
    """Train until something ends it; leave the best model in the folder, if it is better."""
    from rag_rec.adaptation.checkpoint import load  # torch takes seconds
    from rag_rec.adaptation.embedder.tuner import Tuner  # likewise

    tuner = Tuner(base, rate=options.rate)
    found = load(folder, TrainingState)
    if found is None:
        before = validation.figures(tuner.encode)
        tuner.weights.keep_best()
        state = TrainingState(identity=identity, before=before, best=before)
    else:
        state, tensors = found
        check_same(state.identity, identity, folder)
        tuner.weights.restore(tensors, state.step)
    size = min(options.batch, len(pairs))
    per_epoch = len(pairs) // size

    @lru_cache(maxsize=1)
    def batches(epoch: int) -> list[NDArray[np.int64]]:
        return list(pairs.batches(size, epoch, options.seed))

    def learn(state: TrainingState) -> TrainingState:
        batch, step = batches(state.step // per_epoch)[state.step % per_epoch], state.step + 1
        tuner.step(pairs, batch, step)
        return state.model_copy(update={"step": step})

    course = Course[TrainingState](
        name="tuning the embedder",
        learn=learn,
        check=lambda state: _checked(state, tuner, validation),
        tensors=tuner.weights.state,
        n_steps=options.epochs * per_epoch,
        limit_s=options.minutes * 60,
        check_every=_CHECK_EVERY,
        patience=_PATIENCE,
    )
    state = course.run(state, folder, on_step)
    if state.best_step:
        shutil.rmtree(folder / MODEL, ignore_errors=True)
        tuner.write_best(folder / MODEL)
    return state


def _checked(state: TrainingState, tuner: Tuner, validation: Validation) -> TrainingState:
    """Validate, and keep the weights where they are the best so far."""
    now = validation.figures(tuner.encode)
    if now.mrr <= state.best.mrr:
        return state.model_copy(update={"checked": state.step, "worse": state.worse + 1})
    tuner.weights.keep_best()
    update = {"checked": state.step, "best": now, "best_step": state.step, "worse": 0}
    return state.model_copy(update=update)
