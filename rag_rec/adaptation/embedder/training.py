"""The course of a tuning: batches, validations, checkpoints, and the end."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rag_rec.adaptation.embedder.pairs import Pairs
from rag_rec.adaptation.embedder.state import TrainingState
from rag_rec.adaptation.embedder.validation import Validation
from rag_rec.core import ConfigError, OnStep
from rag_rec.index import SentenceTransformerEmbedder

if TYPE_CHECKING:
    from rag_rec.adaptation.embedder.tuner import Tuner

MODEL = "model.new"
"""Folder of the best model, until it is moved into its place."""

_CHECK_EVERY = 25
_PATIENCE = 4
_SAVE_EVERY_S = 60.0


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
    from rag_rec.adaptation.checkpoint import load, save  # torch takes seconds
    from rag_rec.adaptation.embedder.tuner import Tuner  # likewise

    tuner, clock = Tuner(base, rate=options.rate), time.monotonic()
    found = load(folder, TrainingState)
    if found is None:
        before = validation.figures(tuner.encode)
        tuner.keep_best()
        state = TrainingState(identity=identity, before=before, best=before)
    else:
        state, tensors = found
        check_same(state.identity, identity, folder)
        tuner.restore(tensors, state.step)
    clock -= state.seconds
    size = min(options.batch, len(pairs))
    per_epoch = len(pairs) // size
    n_steps, limit_s = options.epochs * per_epoch, options.minutes * 60
    epoch, batches = -1, list(pairs.batches(size, 0, options.seed))
    saved_at = time.monotonic()
    while True:
        seconds = time.monotonic() - clock
        end = _end(state, n_steps, seconds, limit_s)
        if on_step:
            share = 1.0 if end else max(state.step / n_steps, seconds / limit_s)
            on_step("tuning the embedder", min(100, int(100 * share)), 100)
        is_due = state.checked < state.step and (end or state.step % _CHECK_EVERY == 0)
        if is_due:
            state = _checked(state, tuner, validation)
        if end or is_due or time.monotonic() - saved_at > _SAVE_EVERY_S:
            update = {"end": end, "seconds": time.monotonic() - clock}
            state = state.model_copy(update=update)
            save(folder, state, tuner.state())
            saved_at = time.monotonic()
        if end:
            break
        if state.step // per_epoch != epoch:
            epoch = state.step // per_epoch
            batches = list(pairs.batches(size, epoch, options.seed))
        batch, step = batches[state.step % per_epoch], state.step + 1
        tuner.step(pairs, batch, step)
        state = state.model_copy(update={"step": step})
    if state.best_step:
        shutil.rmtree(folder / MODEL, ignore_errors=True)
        tuner.write_best(folder / MODEL)
    return state


def _checked(state: TrainingState, tuner: Tuner, validation: Validation) -> TrainingState:
    """Validate, and keep the weights where they are the best so far."""
    now = validation.figures(tuner.encode)
    if now.mrr <= state.best.mrr:
        return state.model_copy(update={"checked": state.step, "worse": state.worse + 1})
    tuner.keep_best()
    update = {"checked": state.step, "best": now, "best_step": state.step, "worse": 0}
    return state.model_copy(update=update)


def _end(state: TrainingState, n_steps: int, seconds: float, limit_s: float) -> str:
    """Return why training is over; empty while it goes on."""
    if state.worse >= _PATIENCE:
        return f"validation was no better {_PATIENCE} times in a row"
    if state.step >= n_steps:
        return "every epoch is done"
    return "the time is up" if seconds >= limit_s else ""


def check_same(found: str, wanted: str, folder: Path) -> None:
    """Raise `ConfigError` if a folder holds another run."""
    if found != wanted:
        raise ConfigError(
            f"{folder} holds a run on other data or with other options; name another folder"
        )
